"""Write the files from which a GPT trained on Chinese poems lives in the page: `write`.

``benchmarks/pretraining_poems.py``, which has trained it, calls it. The weights are those of
`tools.models.live_export`. A token is a character, and there is no grammar, so no truth to compare
with. Characters that the model has no token for are read as `UNKNOWN`, and never written. Who types
simplified characters is understood: the page knows which traditional ones they stand for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion import generation
from companion.models import GPT
from companion.tokenizers import Characters
from tools.models import live_export, live_models, live_sampling

BEGIN, END, UNKNOWN = "<|poem|>", "<|end|>", "□"
BEGINNINGS = ["月照空山", "春風", "萬里無人", "故人"]
NEVER = -1e9  # the logit of what is not written: JSON has no infinity
SEED = 0  # which the page begins with
SIMPLIFIED = Path(__file__).with_name("simplified.txt")


# -- characters ------------------------------------------------------------------------------------


def simplified() -> dict[str, str]:
    """Return for each simplified character the traditional ones that it may stand for."""
    lines = SIMPLIFIED.read_text(encoding="utf-8").splitlines()
    return {line[0]: line[1:] for line in lines if not line.startswith("#")}


def alike(tokens: list[str]) -> dict[str, str]:
    """Return for characters that are no tokens those that are read in their place.

    Of several the first token is taken, which is the most common one.
    """
    places = {token: place for place, token in enumerate(tokens)}
    found = {}
    for each, others in simplified().items():
        known = [other for other in others if other in places]
        if known and each not in places:
            found[each] = min(known, key=places.__getitem__)
    return found


def known(text: str, tokenizer: Characters) -> str:
    """Return a text with `UNKNOWN` in the place of each character that has no token.

    >>> known("明月", Characters("日月□"))
    '□月'
    """
    vocabulary = set(tokenizer.entries)
    return "".join(each if each in vocabulary else UNKNOWN for each in text)


def unwritten(tokenizer: Characters) -> list[int]:
    """Return the ids of what no poem may contain."""
    return [*tokenizer.encode(UNKNOWN), tokenizer.special_ids[BEGIN]]


# -- what the page shows ---------------------------------------------------------------------------


def described(model: GPT, tokenizer: Characters) -> dict[str, Any]:
    """Return what the page must know of a model besides its weights."""
    tokens = [tokenizer.tokens[i] for i in range(tokenizer.vocab_size)]
    return {
        **live_export.sizes(model),
        "tokens": tokens,
        "begin": BEGIN,
        "end": END,
        "unknown": UNKNOWN,
        "unwritten": [tokens[i] for i in unwritten(tokenizer)],
        "alike": alike(tokens),
    }


class Written:
    """A sampler that leaves out what is never written."""

    def __init__(self, tokenizer: Characters) -> None:
        self.ids = unwritten(tokenizer)

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Any, written: Any
    ) -> Float[Tensor, "batch vocab"]:
        """Return logits that are lowest there."""
        return logits.index_fill(-1, torch.tensor(self.ids), NEVER)


@torch.no_grad()
def answer(model: GPT, tokenizer: Characters, text: str) -> dict[str, Any]:
    """Return what there is to see after the beginning of a poem, and how the poem goes on."""
    ids = tokenizer.encode(BEGIN + known(text, tokenizer), allow_special=True)
    logits = Written(tokenizer)(model(torch.tensor([ids]))[:, -1], [ids], [[]])[0]
    return {
        "tokens": [tokenizer.tokens[i] for i in ids],
        "ids": ids,
        "logits": [round(z, live_export.LOGIT_DIGITS) for z in logits.tolist()],
        "truth": [],
        "written": [tokenizer.tokens[i] for i in continued(model, tokenizer, ids)],
    }


def continued(model: GPT, tokenizer: Characters, ids: list[int], seed: int = SEED) -> list[int]:
    """Return how a poem goes on with the samplers as they stand at first, without its end.

    It is drawn by the numbers of the page, so that the page writes the same.
    """
    places = iter(range(len(ids), model.config.max_length + 1))

    def draw(p: Tensor) -> Tensor:
        u = torch.tensor([live_sampling.uniform(seed, next(places))], dtype=torch.float64)
        return generation.inverse_cdf(p.double(), u)

    samplers = [Written(tokenizer), *live_sampling.samplers(live_sampling.at_first())]
    end = tokenizer.special_ids[END]
    room = model.config.max_length - len(ids)
    done = generation.generate(model, [ids], samplers, max_new_tokens=room, stop=end, draw=draw)
    return [i for i in done.ids[0] if i != end]


# -- files -----------------------------------------------------------------------------------------


def write(model: GPT, tokenizer: Characters, name: str, folder: Path = live_models.FOLDER) -> GPT:
    """Write a model's files; return the model as the page has it.

    Parameters
    ----------
    model : GPT
        With learned positions.
    tokenizer : Characters
        With the token `UNKNOWN` and the special tokens `BEGIN` and `END`.
    name : str
        What the files are called, and the directive's argument.
    folder : Path
        Where they are written.

    Raises
    ------
    ValueError
        If its positions are not learned, or the tokenizer lacks one of these tokens.
    """
    missing = {BEGIN, END, UNKNOWN} - set(tokenizer.tokens.values())
    if missing:
        raise ValueError(f"tokenizer must have the tokens {sorted(missing)}")
    in_page = live_export.write_model(model, described(model, tokenizer), name, folder)
    write_answers(in_page, tokenizer, name, folder)
    return in_page


def write_answers(model: GPT, tokenizer: Characters, name: str, folder: Path) -> None:
    """Write what stands in the page before the model is loaded; `model` is as the page has it."""
    answers = {"zh": answer(model, tokenizer, BEGINNINGS[0])}
    stored = {"beginnings": {"zh": BEGINNINGS}, "answers": answers}
    live_export.write_json(folder / f"{name}{live_models.STORED}", stored)


def read(name: str, folder: Path = live_models.FOLDER) -> tuple[GPT, Characters]:
    """Return a model as the page has it, and its tokenizer."""
    model, tokens, special = live_export.read_model(name, folder)
    return model, Characters(tokens, special)
