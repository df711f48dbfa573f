"""Find out who sees whom in a model, from outside: by changing tokens."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from exercises import Check, Exercise
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Somebody hands you a model and says nothing of its mask. Write `who_sees_whom(model, ids, vocab_size)`, which finds the mask from outside. `ids` has shape (1, T), and `model(ids)` returns one row of numbers for each position, shape (1, T, n). Return a boolean tensor of shape (T, T). RULE Leave `ids` as it was.
"""
# What takes the place of RULE, by whether rows stand for tokens.
RULES = {
    False: "Row $i$ stands for the output at position $i$, column $j$ for the token at position $j$: the entry is true if that output changes when that token is replaced.",
    True: "Row $i$ stands for the token at position $i$, column $j$ for the output at position $j$: the entry is true if that output changes when that token is replaced.",
}
STARTER = '''
def who_sees_whom(model, ids, vocab_size):
    """ids (1, T) -> bool (T, T)"""
    ...
'''
TWISTS = {
    "hidden": Twist(
        "In place of who is seen, say who is *hidden*: each entry is turned round, true where nothing changes.",
        {"who_sees_whom": ("", "result = ~result")},
        {"bool (T, T)": "bool (T, T), true where nothing is seen"},
    ),
    "columns": Twist(
        "This model returns its numbers as columns: `model(ids)` has shape (1, n, T).",
        {"who_sees_whom": ("rows, model = model, lambda ids: rows(ids).mT", "")},
        {"ids (1, T) ->": "ids (1, T), model(ids) (1, n, T) ->"},
    ),
}
HINT = "Replace one token at a time, in a copy, by another one of the vocabulary, and compare the outputs of all positions with those before. Since the model computes the same numbers in the same order, an output that cannot see the token does not change at all."
# In these answers PLACE stands for the part of the result that belongs to the token `j`.
SOLUTION = """
def who_sees_whom(model, ids, vocab_size):
    T = ids.shape[1]
    sees = torch.zeros(T, T, dtype=torch.bool)
    with torch.no_grad():
        before = model(ids)
        for j in range(T):
            changed = ids.clone()
            changed[0, j] = (changed[0, j] + 1) % vocab_size
            sees[PLACE] = (model(changed) != before).any(dim=-1)[0]
    return sees
"""
EXPLANATION = """
One changed token gives one whole part of the answer: all positions that move. The comparison asks for *any* change, not for a large one, because a leak may be small at first and learnt later. The same function finds a causal mask, a sliding window, an encoder, and a mask with a hole in it, and it never looks inside the model. It needs T + 1 calls.
"""
TRIAL = """
torch.manual_seed(0)
gpt = models.GPT(models.GPTConfig(30, 8, d_model=16, n_layers=2, n_heads=2))


def model(ids):  # the first number of each output is 1; an id above 29 counts as 29
    return torch.cat([torch.ones(1, 6, 1), gpt(ids.clamp(max=29))], dim=-1)


triangle = torch.ones(6, 6).tril().bool()
found = who_sees_whom(model, torch.tensor([[5, 29, 0, 7, 29, 3]]), 30)
check("GPT is causal", found, TRIANGLE)
"""
WRONG_ANSWERS = {
    "rows and columns exchanged": SOLUTION.replace("PLACE", "OTHER"),
    "changes pile up": SOLUTION.replace("changed = ids.clone()", "changed = ids"),
    "only large changes count": SOLUTION.replace(
        "(model(changed) != before)", "((model(changed) - before).abs() > 0.01)"
    ),
    "only the first number of each output": SOLUTION.replace(".any(dim=-1)[0]", "[0, :, 0]"),
    "an id outside of the vocabulary": SOLUTION.replace(" % vocab_size", ""),
}


def exercise(seed: int = 0, by_token: bool = False, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; rows stand for outputs, or for tokens."""
    places = ("j", ":, j") if by_token else (":, j", "j")
    given = [{"seed": seed + i, "by_token": by_token, "twists": twists} for i in range(3)]
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"who_sees_whom": "model, ids, vocab_size"}, twisted)
        return answer.replace("PLACE", places[0]).replace("OTHER", places[1])

    return Exercise(
        id="transformer-who-sees-whom",
        title="Who sees whom",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("RULE", RULES[by_token]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(finds_a_causal_mask, given[0]), Check(ids_stay_as_they_are, given[0])),
        hidden=(Check(finds_any_mask, given[1]), Check(finds_a_small_leak, given[2])),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("TRIANGLE", "triangle.T" if by_token else "triangle"),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, what the rows stand for, and twists."""
    chosen = drawn(rng, ("by token", *TWISTS))
    return {
        "seed": rng.randrange(10_000),
        "by_token": "by token" in chosen,
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def a_model(mask, seed, weight=1.0):
    """Return a model in which output i sees token j where the mask says so, and some ids."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(12, 3, generator=generator, dtype=torch.float64)
    ids = torch.randint(12, (1, len(mask)), generator=generator)
    ids[0, 1] = 11  # the last word of the vocabulary
    table[:, 0] = 1.0  # a number that tells nothing

    def model(given):
        assert given.max() < 12, (
            "who_sees_whom calls the model with an id that is not in the vocabulary"
        )
        return (mask.double() * weight) @ table[given]

    return model, ids


def asked_for(mask, by_token):
    """Return the mask as it is asked for: rows are outputs, or tokens."""
    return mask.T if by_token else mask


def plain(who_sees_whom, twists):
    """Return the function as the page asks for it."""

    def as_on_the_page(model, ids, vocab_size):
        as_columns = (lambda given: model(given).mT) if "columns" in twists else model
        found = who_sees_whom(as_columns, ids, vocab_size)
        return ~found if "hidden" in twists and found.dtype == torch.bool else found

    return as_on_the_page


def finds_a_causal_mask(who_sees_whom, *, seed, by_token, twists):
    """Check a model that sees what came before."""
    who_sees_whom = plain(who_sees_whom, twists)
    mask = torch.ones(5, 5).tril().bool()
    model, ids = a_model(mask, seed)
    found = who_sees_whom(model, ids, 12)
    assert found.shape == (5, 5), f"5 tokens should give (5, 5), not {tuple(found.shape)}"
    assert found.dtype == torch.bool, f"The result should be boolean, not {found.dtype}"
    assert torch.equal(found, asked_for(mask, by_token)), (
        "A causal model is not recognised: what do rows stand for, and what do columns?"
    )


def ids_stay_as_they_are(who_sees_whom, *, seed, by_token, twists):
    """Check that the ids are not written to."""
    who_sees_whom = plain(who_sees_whom, twists)
    model, ids = a_model(torch.ones(4, 4).bool(), seed)
    before = ids.clone()
    who_sees_whom(model, ids, 12)
    assert torch.equal(ids, before), "who_sees_whom writes into ids; change a copy of them"


def finds_any_mask(who_sees_whom, *, seed, by_token, twists):
    """Check a mask that follows no rule."""
    who_sees_whom = plain(who_sees_whom, twists)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(7, 7, generator=generator) < 0.5
    model, ids = a_model(mask, seed)
    assert torch.equal(who_sees_whom(model, ids, 12), asked_for(mask, by_token)), (
        "A mask without any pattern is not recognised: change each token alone, by another one "
        "of the vocabulary"
    )


def finds_a_small_leak(who_sees_whom, *, seed, by_token, twists):
    """Check a model that sees a later token, but hardly."""
    who_sees_whom = plain(who_sees_whom, twists)
    mask = torch.ones(6, 6).tril()
    mask[1, 4] = 1e-4
    model, ids = a_model(mask, seed)
    assert torch.equal(who_sees_whom(model, ids, 12), asked_for(mask > 0, by_token)), (
        "A small leak from a later token is not found: any change of an output counts"
    )
