"""What attention does when positions are shuffled."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion import attention
from exercises import Check, Exercise
from exercises.answers import otherwise, words_for_cases

# What may be shuffled: how the question says it, and why it comes out as it does.
CASES = {
    "kv": (
        "keys and values, both alike",
        "each value is still found by its own key, and a sum does not care in what order it is taken.",
    ),
    "q": ("queries only", "each query gets its own answer, wherever it stands."),
    "k": ("keys only", "the values are now found by the wrong keys."),
    "v": ("values only", "each key now leads to a value that is not its own."),
    "qk": (
        "queries and keys, both alike",
        "every query finds the same keys as before, but the values stayed behind, and the keys lead to the wrong ones.",
    ),
    "qkv": (
        "queries, keys and values, all alike",
        "({{kv}}) and ({{q}}) together, the permutation equivariance of the chapter.",
    ),
}
QUESTION = """
The code below has six queries, keys and values, and an order to shuffle them by. Five times something is shuffled:

{cases}
- (e) the same as ({{{{masked}}}}), with a causal mask before and after.

Before you run anything, write down for each whether the output is the *same*, the same rows *shuffled* alike, or *different*. Then run all five with `compare`. Explain each in one sentence.
"""
HINT = "The output of a query is a sum over the keys. Does a sum ask for an order? And which row of the output belongs to which query?"
TRIAL = """
changed = {
CASES}
for case, (new_q, new_k, new_v) in changed.items():
    causal = case == "e"
    old = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    new = F.scaled_dot_product_attention(new_q, new_k, new_v, is_causal=causal)
    check(f"prediction ({case})", predictions[case], compare(old, new))
"""
LAST = "- (e) {{masked_outcome}}: the mask speaks of positions, and so knows the order. A causal model can tell orders apart even when no positions are put in."


def exercise(
    seed: int = 0,
    order: tuple[int, ...] = (3, 0, 5, 1, 4, 2),
    cases: tuple[str, ...] = ("kv", "q", "k", "qkv"),
    masked: str = "qkv",
) -> Exercise:
    """Return the exercise with four `cases`, and once more with a mask the one named `masked`."""
    given = {"seed": seed, "order": order, "cases": (*cases, masked)}
    truth = shuffle_outcomes(**given)
    letters = dict(zip(cases, "abcd", strict=True))
    outcomes = {f"{case}_outcome": truth[letter] for case, letter in letters.items()}
    return Exercise(
        id="attention-shuffling",
        title="Shuffle the cards",
        kind="predict",
        difficulty=2,
        minutes=10,
        points=3,
        question=QUESTION.format(
            cases="\n".join(f"- ({{{{{case}}}}}) {CASES[case][0]};" for case in cases)
        ),
        starter=_starter(seed, order),
        hint=HINT,
        solution=f"predictions = {truth}",
        explanation="\n".join([*(_reason(case) for case in cases), LAST]),
        values={**letters, **outcomes, "masked": letters[masked], "masked_outcome": truth["e"]},
        visible=(Check(predictions_are_complete),),
        hidden=(Check(predictions_come_true, given),),
        wrong_answers={
            "keys and values shuffle the output": f"predictions = {truth | {letters['kv']: 'shuffled'}}",
            "the mask changes nothing": f"predictions = {truth | {'e': truth[letters[masked]]}}",
            "a word that was not offered": f"predictions = {truth | {'c': 'wrong'}}",
        },
        public_solution=True,
        words=True,
        trial=_trial({letter: case for case, letter in letters.items()} | {"e": masked}),
    )


def _reason(case: str) -> str:
    return f"- ({{{{{case}}}}}) {{{{{case}_outcome}}}}: {CASES[case][1]}"


def _starter(seed: int, order: tuple[int, ...]) -> str:
    return f"""
torch.manual_seed({seed})
q, k, v = torch.randn(3, {len(order)}, 8)
order = torch.tensor({list(order)})
attend = attention.scaled_dot_product_attention

def compare(old, new):
    for name, expected in (("same", old), ("shuffled", old[order])):
        if torch.allclose(new, expected, atol=1e-5):
            return name
    return "different"

predictions = {{"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}}
"""


def _trial(moved: dict[str, str]) -> str:
    """Return the page's check; for each letter, `moved` has the names of what is shuffled."""
    lines = ""
    for letter, names in moved.items():
        parts = (f"{name}[order]" if name in names else name for name in "qkv")
        lines += f'    "{letter}": ({", ".join(parts)}),\n'
    return TRIAL.replace("CASES", lines)


# -- variants ------------------------------------------------------------------------------------


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, an order that leaves nothing in its place, and the cases."""
    order = list(range(6))
    while any(i == j for i, j in enumerate(order)):
        rng.shuffle(order)
    cases = ["kv", "q", "qkv", rng.choice(("k", "v", "qk"))]
    rng.shuffle(cases)
    return {
        "seed": rng.randrange(10_000),
        "order": tuple(order),
        "cases": tuple(cases),
        "masked": rng.choice(("kv", "qkv")),
    }


# -- checks --------------------------------------------------------------------------------------


def shuffle_outcomes(seed: int, order: tuple[int, ...], cases: tuple[str, ...]) -> dict[str, str]:
    """Run the five experiments, the last with a causal mask."""
    generator = torch.Generator().manual_seed(seed)
    shape = (3, len(order), 8)
    given = dict(zip("qkv", torch.randn(shape, generator=generator).double(), strict=True))
    index = list(order)
    found = {}
    for letter, case in zip("abcde", cases, strict=True):
        moved = {name: x[index] if name in case else x for name, x in given.items()}
        old, new = (
            attention.scaled_dot_product_attention(*x.values(), is_causal=letter == "e")
            for x in (given, moved)
        )
        same, shuffled = torch.allclose(old, new), torch.allclose(old[index], new)
        found[letter] = "same" if same else "shuffled" if shuffled else "different"
    return found


def predictions_are_complete(predictions):
    """Check that there is one of the three words for each case."""
    words_for_cases(predictions, ("same", "shuffled", "different"))


def predictions_come_true(predictions, *, seed, order, cases):
    """Run the experiments and compare."""
    truth = shuffle_outcomes(seed, order, cases)
    wrong = otherwise(predictions, truth)
    assert not wrong, f"The run says otherwise for {', '.join(wrong)}; run them with compare"
