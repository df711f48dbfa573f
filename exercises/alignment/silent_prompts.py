"""Predict from which groups of answers a policy learns, and how much."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close, text

QUESTION = r"""
A policy writes {{size}} answers to each of five prompts. They get these rewards:

- (a) {{group_a}};
- (b) {{group_b}};
- (c) {{group_c}};
- (d) {{group_d}};
- (e) {{group_e}}.

The advantage of an answer is its reward minus the mean of its group, divided by the standard deviation of the group, where the sum of squares is divided by {{less}}. If all rewards of a group are equal, the advantage is 0. From which groups does the policy learn anything? What is the advantage of the *first* answer of each group?

Then consider answers whose reward is 1 if they are right and 0 if not. How often will a group of {{size}} answers teach nothing if the policy solves the prompt with probability {{p_0}}, {{p_1}} or {{p_2}}? Write down your predictions first, with three digits after the point. Then let `group_advantages` and `silent_groups` check them.
"""
STARTER = """
teaching_groups = [...]  # letters
first_advantages = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}
silent_shares = [..., ..., ...]
"""
HINT = "What happens to the mean and to the standard deviation of a group if every reward is multiplied by a number, or if a number is added to every reward? A group of right and wrong answers teaches nothing in two cases, and their probabilities add up."
EXPLANATION = r"""
The policy learns from {{teaching}}. In the two other groups all rewards are equal, so all advantages are 0, whether every answer is right or every one is wrong. The advantages of the first answers are {{advantages}}, in the order of the letters. The group ({{scaled}}) has the rewards of ({{mixed}}), multiplied by {{times}}, with ${{moved}}$ added, and it has the same advantages, because neither changes anything after the division: the unit of a reward does not matter. In ({{hard}}) a single answer is better than the others, and its advantage is the largest that a group of {{size}} can have, $({{size}} - 1)/\sqrt{{{size}}} = {{largest}}$. A prompt that is solved with probability $p$ gives a silent group with probability $p^{{{size}}} + (1 - p)^{{{size}}}$, which is {{shares}} here. Prompts that are always or never solved cost as much computing time as the others and teach nothing, and this is why one filters them, or chooses prompts that are solved about half of the time.
"""
TRIAL = """
groups = GROUPS
found = alignment.group_advantages(torch.tensor(groups).double(), eps=0.0)
for letter, row in zip("abcde", found.tolist()):
    check(f"first of ({letter})", first_advantages[letter], row[0], 1e-3)
silent = alignment.silent_groups(torch.tensor(groups).double())
loud = {x for x, quiet in zip("abcde", silent.tolist()) if not quiet}
check("groups that teach", len(loud ^ set("".join(teaching_groups))), 0)
generator = torch.Generator().manual_seed(0)
for p, share in zip(CHANCES, silent_shares):
    drawn = torch.rand(200_000, SIZE, generator=generator).lt(p).double()
    found = alignment.silent_groups(drawn).double().mean()
    check(f"silent share at {p}", found, share, 0.005)
"""
PAGE: dict[str, Any] = {
    "groups": ((1, 0, 0, 1), (0, 0, 0, 0), (1, 0, 0, 0), (5, 2, 2, 5), (2, 2, 2, 2)),
    "chances": (0.05, 0.5, 0.8),
}
LETTERS = "abcde"


def exercise(
    groups: tuple[tuple[float, ...], ...] = PAGE["groups"],
    chances: tuple[float, ...] = PAGE["chances"],
) -> Exercise:
    """Return the exercise for five groups of rewards, and three probabilities."""
    given: dict[str, Any] = {"groups": [list(group) for group in groups], "chances": list(chances)}
    right = answers(**given)
    trial = TRIAL
    for word, by in (
        ("GROUPS", given["groups"]),
        ("CHANCES", given["chances"]),
        ("SIZE", len(groups[0])),
    ):
        trial = trial.replace(word, str(by))
    return Exercise(
        id="alignment-silent-prompts",
        title="Groups that teach nothing",
        kind="predict",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=_texts(right, **given),
        visible=(Check(predictions_are_possible),),
        hidden=(Check(advantages_come_true, given), Check(shares_come_true, given)),
        wrong_answers=_wrong_answers(right, **given),
        public_solution=True,
        trial=trial,
    )


def advantages(group: list[float], less: int = 1) -> list[float]:
    """Return by how many standard deviations each reward is above the mean of its group."""
    mean = sum(group) / len(group)
    spread = (sum((r - mean) ** 2 for r in group) / (len(group) - less)) ** 0.5
    return [(r - mean) / spread if spread > 1e-9 else 0.0 for r in group]


def answers(groups: list[list[float]], chances: list[float]) -> dict[str, Any]:
    """Return what is asked for."""
    size = len(groups[0])
    return {
        "teaching_groups": [x for x, g in zip(LETTERS, groups, strict=True) if len(set(g)) > 1],
        "first_advantages": {
            x: round(advantages(g)[0], 6) for x, g in zip(LETTERS, groups, strict=True)
        },
        "silent_shares": [round(p**size + (1 - p) ** size, 6) for p in chances],
    }


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in values.items())


def _roles(groups: list[list[float]]) -> dict[str, int]:
    """Return the places of the groups that the explanation names."""
    loud = [i for i, group in enumerate(groups) if len(set(group)) > 1]
    hard = next(i for i in loud if set(groups[i]) == {0, 1} and sum(groups[i]) == 1)
    mixed = next(i for i in loud if set(groups[i]) == {0, 1} and i != hard)
    return {"hard": hard, "mixed": mixed, "scaled": next(i for i in loud if i not in (hard, mixed))}


def _texts(
    right: dict[str, Any], groups: list[list[float]], chances: list[float]
) -> dict[str, Any]:
    roles, size = _roles(groups), len(groups[0])
    low, high = min(groups[roles["scaled"]]), max(groups[roles["scaled"]])
    return {
        **{
            f"group_{x}": ", ".join(f"{r:g}" for r in g)
            for x, g in zip(LETTERS, groups, strict=True)
        },
        **{f"p_{i}": f"{p:g}" for i, p in enumerate(chances)},
        **{role: LETTERS[i] for role, i in roles.items()},
        "size": size,
        "less": size - 1,
        "teaching": ", ".join(f"({x})" for x in right["teaching_groups"]),
        "advantages": ", ".join(f"${a:.3f}$" for a in right["first_advantages"].values()),
        "times": f"{high - low:g}",
        "moved": f"{low:g}",
        "largest": f"{(size - 1) / size**0.5:.3f}",
        "shares": ", ".join(f"{share:.3f}" for share in right["silent_shares"]),
    }


def _wrong_answers(
    right: dict[str, Any], groups: list[list[float]], chances: list[float]
) -> dict[str, str]:
    size = len(groups[0])

    def first(of: Any) -> dict[str, Any]:
        found = {x: round(of(g), 6) for x, g in zip(LETTERS, groups, strict=True)}
        return {"first_advantages": found}

    found = {
        "whoever is rewarded is taught": {
            "teaching_groups": [x for x, g in zip(LETTERS, groups, strict=True) if any(g)]
        },
        "nothing is divided": first(lambda g: g[0] - sum(g) / size),
        "the mean is not subtracted": first(lambda g: g[0]),
        "divided by the number of all": first(lambda g: advantages(g, less=0)[0]),
        "silent only if all are right": {"silent_shares": [round(p**size, 6) for p in chances]},
        "silent only if all are wrong": {
            "silent_shares": [round((1 - p) ** size, 6) for p in chances]
        },
        "how often both kinds occur": {"silent_shares": [1 - x for x in right["silent_shares"]]},
    }
    return {why: _answer(right | values) for why, values in found.items()}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw groups of four to six: a mixed one, the same on another scale, a hard and two equal."""
    size = rng.choice((4, 5, 6))
    mixed = [1, 1] + [0] * (size - 3)
    mixed = [rng.choice((0, 1)), *rng.sample(mixed, size - 1)]
    times, moved = rng.choice((2, 3, 4, 5, 10)), rng.choice((-1, 1, 2, 3))
    hard = [1] + [0] * (size - 1)
    if rng.random() < 0.5:
        rng.shuffle(hard)
    equal = rng.choice((1, 2, 3))
    groups = [mixed, [times * r + moved for r in mixed], hard, [0] * size, [equal] * size]
    rng.shuffle(groups)
    few = (0.02, 0.05, 0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (0.7, 0.8, 0.9, 0.95)
    return {"groups": tuple(map(tuple, groups)), "chances": tuple(map(rng.choice, few))}


# -- checks --------------------------------------------------------------------------------------


def predictions_are_possible(teaching_groups, first_advantages, silent_shares):
    """Check that letters are those of groups, and that shares are shares."""
    letters = [text(name) for name in teaching_groups]
    assert set(letters) <= set("abcde"), (
        f"teaching_groups should hold letters from a to e, got {letters}"
    )
    for name in "abcde":
        there = name in first_advantages
        assert there, f"first_advantages should have a value for ({name})"
        assert array(first_advantages[name]).size == 1, (
            f"The advantage of ({name}) should be a single number"
        )
    shares = array(silent_shares).ravel()
    assert len(shares) == 3, f"silent_shares should hold 3 numbers, got {len(shares)}"
    assert ((shares >= 0) & (shares <= 1)).all(), (
        "silent_shares should be from 0 to 1, and not in percent"
    )


def advantages_come_true(teaching_groups, first_advantages, *, groups, chances):
    """Compute the advantages of the first answers."""
    loud = {name for name, group in zip("abcde", groups, strict=True) if len(set(group)) > 1}
    letters = {text(name) for name in teaching_groups}
    assert letters >= loud, (
        "Another group teaches something, too: in which groups is any answer better than another?"
    )
    assert letters <= loud, (
        "One of the groups that you name teaches nothing: if all answers are equally good, is any "
        "of them better than the mean?"
    )
    for name, group in zip("abcde", groups, strict=True):
        spread = np.std(group, ddof=1)
        value = (group[0] - np.mean(group)) / spread if spread > 1e-9 else 0.0
        assert close(first_advantages[name], value, f"first_advantages of ({name})"), (
            f"The advantage of the first answer of ({name}) comes out otherwise: subtract the mean "
            "of the group, then divide by its standard deviation"
        )


def shares_come_true(silent_shares, *, groups, chances):
    """Compute how often all answers to a prompt are right, or all are wrong."""
    size = len(groups[0])
    right = [p**size + (1 - p) ** size for p in chances]
    assert close(silent_shares, right, "silent_shares"), (
        "silent_shares comes out otherwise: in which two ways can all rewards of a group be equal?"
    )
