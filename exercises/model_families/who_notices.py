"""Predict which outputs of five models notice that a token was replaced."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor

from companion import models
from exercises import Check, Exercise
from exercises.answers import otherwise, words_for_cases

QUESTION = """
Five small models each read a text of {{length}} tokens; the positions count from 0. The token at position {{changed}} is replaced by another one. Does the output at position {{seen}} *move*, or does it *stay* what it was, to the last bit, in

{models}

Write down your predictions first. Then call `what_happens` for each.
"""
MODELS = {
    "gpt": "GPT",
    "bert": "BERT",
    "encoder": "the encoder of T5",
    "llama": "Llama",
    "decoder": "the decoder of T5, which reads the text as its target, while its source stays the same",
}
STARTER = """
family_predictions = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}

def what_happens(run, length=LENGTH, changed=CHANGED, seen=SEEN):
    ids = torch.arange(length)[None]
    other = ids.clone()
    other[0, changed] = 19
    with torch.no_grad():
        before, after = run(ids)[0, seen], run(other)[0, seen]
    return "stay" if torch.equal(before, after) else "move"
"""
HINT = "Which of the five have a causal mask? And on which side of the changed token is the output that you look at?"
EXPLANATIONS = {
    True: "BERT and the encoder of T5 have no causal mask: each of their outputs depends on every token, so ({{bert}}) and ({{encoder}}) move. GPT, Llama and the decoder of T5 are causal. Position {{seen}} comes before {{changed}}, so it cannot have seen the token, and ({{gpt}}), ({{llama}}) and ({{decoder}}) stay. Only the mask decides; which norm, activation or kind of position a block uses makes no difference.",
    False: "Position {{seen}} comes after {{changed}}, or is the same one, so all five see the token: the causal models GPT, Llama and the decoder of T5 because it stands no later, BERT and the encoder of T5 because they see every token in any case. Only the mask decides; which norm, activation or kind of position a block uses makes no difference.",
}
TRIAL = """
torch.manual_seed(0)
sizes = {"vocab_size": 20, "d_model": 16, "n_layers": 2, "n_heads": 2}
gpt = models.GPT(models.GPTConfig(max_length=16, **sizes))
bert = models.BertEncoder(models.BertConfig(d_hidden=32, **sizes))
t5 = models.T5(models.T5Config(d_hidden=32, d_head=8, **sizes)).eval()
llama = models.Llama(models.LlamaConfig(d_hidden=32, n_kv_heads=1, **sizes))
source = torch.arange(6)[None]
runs = {
    "a": gpt,
    "b": bert,
    "c": t5.encode,
    "d": llama,
    "e": lambda ids: t5(source, ids),
}
for case, run in runs.items():
    check(f"prediction ({case})", family_predictions[case], what_happens(run))
"""


MISTAKES = {
    "BERT taken for causal": "bert",
    "T5 is the same on both sides": "decoder",
    "Llama taken for an encoder": "llama",
}


def exercise(
    length: int = 9, changed: int = 5, seen: int = 2, order: tuple[str, ...] = tuple(MODELS)
) -> Exercise:
    """Return the exercise for a token at ``changed`` and an output at ``seen``, models in `order`."""
    sizes = {"length": length, "changed": changed, "seen": seen}
    given = {**sizes, "order": order}
    truth = fates(**given)
    letters = dict(zip(order, "abcde", strict=True))
    listed = ";\n".join(f"- ({{{{{name}}}}}) {MODELS[name]}" for name in order) + "?"
    earlier = seen < changed
    starter = STARTER
    for name, value in sizes.items():
        starter = starter.replace(name.upper(), str(value))
    flipped = {"move": "stay", "stay": "move"}
    return Exercise(
        id="model-families-who-notices",
        title="Who notices the change?",
        kind="predict",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION.replace("{models}", listed),
        starter=starter,
        hint=HINT,
        solution=f"family_predictions = {truth}",
        explanation=EXPLANATIONS[earlier],
        values=sizes | letters,
        visible=(Check(fates_are_named),),
        hidden=(Check(fates_come_true, given),),
        wrong_answers={
            **{
                mistake: f"family_predictions = {truth | {letters[name]: flipped[truth[letters[name]]]}}"
                for mistake, name in MISTAKES.items()
            },
            "words of one's own": f"family_predictions = {truth | {'a': 'changes'}}",
        },
        public_solution=True,
        trial=TRIAL if order == tuple(MODELS) else "",
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a length, two places, the output before the token or not, and the models' order."""
    length = rng.randrange(6, 12)
    return {
        "order": tuple(rng.sample(list(MODELS), 5)),
        "length": length,
        "changed": rng.randrange(1, length - 1),
        "seen": rng.randrange(0, length),
    }


# -- checks --------------------------------------------------------------------------------------


@torch.no_grad()
def fates(length: int, changed: int, seen: int, order: tuple[str, ...]) -> dict[str, str]:
    """Run all five models on both texts."""
    sizes: dict[str, Any] = {"vocab_size": 20, "d_model": 16, "n_layers": 2, "n_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        gpt = models.GPT(models.GPTConfig(max_length=16, **sizes))
        bert = models.BertEncoder(models.BertConfig(d_hidden=32, **sizes))
        t5 = models.T5(models.T5Config(d_hidden=32, d_head=8, **sizes)).eval()
        llama = models.Llama(models.LlamaConfig(d_hidden=32, n_kv_heads=1, **sizes))
    source = torch.arange(6)[None]
    ids = torch.arange(length)[None]
    other = ids.clone()
    other[0, changed] = 19

    def target(words: Tensor) -> Tensor:
        logits: Tensor = t5(source, words)
        return logits

    runs = {"gpt": gpt, "bert": bert, "encoder": t5.encode, "llama": llama, "decoder": target}
    found = {name: (run(ids)[0, seen], run(other)[0, seen]) for name, run in runs.items()}
    fate = {name: "stay" if torch.equal(*pair) else "move" for name, pair in found.items()}
    return {letter: fate[name] for letter, name in zip("abcde", order, strict=True)}


def fates_are_named(family_predictions):
    """Check that there is one of the two words for each case."""
    words_for_cases(family_predictions, ("move", "stay"))


def fates_come_true(family_predictions, *, length, changed, seen, order):
    """Run the models and compare."""
    truth = fates(length, changed, seen, order)
    wrong = otherwise(family_predictions, truth)
    assert not wrong, f"The run says otherwise for {', '.join(wrong)}: call what_happens for them"
