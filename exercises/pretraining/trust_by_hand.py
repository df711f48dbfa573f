"""Work out by hand how far a visible word can be trusted under another masking rule."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = """
Tokens are masked by another rule than BERT's: {{percent}} % of the tokens are picked; of these, {{hidden}} % become `[MASK]`, {{replaced}} % a random word, and {{kept}} % stay as they are. (The random word is never the one that stood there.) What share of all positions shows `[MASK]`? Of the positions that show a word, what share shows a *wrong* one? And what share of the positions that show a word is asked for? Last, how probable is it that a text of {{length}} tokens has no target at all? Write four digits after the point, or a formula.
"""
STARTER = """
shows_mask = ...
wrong_of_shown = ...
asked_of_shown = ...
without_target = ...
"""
HINT = "Multiply the share that is picked by each of the three shares. What does not show `[MASK]` shows a word; divide by that for the second and the third answer. A text has no target if each of its tokens is left out, and they are picked independently."
EXPLANATION = r"""
`[MASK]` stands at ${{p}} \cdot {{m}} = {{masked}}$ of all positions, so {{shown}} show a word. Of all positions {{wrong}} show a wrong word and {{same}} the word itself though it is asked for. Divided by the share that shows a word, this makes {{wrong_of_shown}} wrong and {{asked_of_shown}} asked for. All {{length}} tokens are left out with probability ${{left}}^{{{length}}} = {{none}}$. A short text may so give nothing to learn; a batch needs enough tokens, not enough texts.
"""


def exercise(percent: int = 20, hidden: int = 70, replaced: int = 20, length: int = 6) -> Exercise:
    """Return the exercise for these shares, in percent."""
    p, m, r = percent / 100, hidden / 100, replaced / 100
    right = answers(p, m, r, length)
    return Exercise(
        id="pretraining-trust-by-hand",
        title="How far to trust a word",
        kind="by hand",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values={
            "percent": percent,
            "hidden": hidden,
            "replaced": replaced,
            "kept": 100 - hidden - replaced,
            "length": length,
            "p": f"{p:g}",
            "m": f"{m:g}",
            "left": f"{1 - p:g}",
            "masked": f"{p * m:.4f}",
            "shown": f"{1 - p * m:.4f}",
            "wrong": f"{p * r:.4f}",
            "same": f"{p * (1 - m - r):.4f}",
            "wrong_of_shown": f"{right['wrong_of_shown']:.4f}",
            "asked_of_shown": f"{right['asked_of_shown']:.4f}",
            "none": f"{right['without_target']:.4f}",
        },
        visible=(Check(all_are_shares),),
        hidden=(Check(shares_are_right, {"right": right}),),
        wrong_answers={
            "of the picked positions": _answer(right | {"shows_mask": m}),
            "of all positions, not of those that show a word": _answer(
                right | {"wrong_of_shown": p * r, "asked_of_shown": p * (1 - m)}
            ),
            "kept words not counted as asked for": _answer(
                right | {"asked_of_shown": right["wrong_of_shown"]}
            ),
            "all of them picked": _answer(right | {"without_target": p**length}),
        },
        public_solution=True,
    )


def answers(p: float, m: float, r: float, length: int) -> dict[str, float]:
    """Return the four answers."""
    shown = 1 - p * m
    return {
        "shows_mask": p * m,
        "wrong_of_shown": p * r / shown,
        "asked_of_shown": p * (1 - m) / shown,
        "without_target": (1 - p) ** length,
    }


def _answer(values: dict[str, float]) -> str:
    return "\n".join(f"{name} = {value:.6f}" for name, value in values.items())


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw other shares."""
    hidden, replaced = rng.choice([(70, 20), (60, 20), (60, 30), (50, 30), (70, 10)])
    return {
        "percent": rng.choice([20, 25, 30, 40]),
        "hidden": hidden,
        "replaced": replaced,
        "length": rng.randrange(4, 9),
    }


# -- checks --------------------------------------------------------------------------------------


def all_are_shares(shows_mask, wrong_of_shown, asked_of_shown, without_target):
    """Check that all four are numbers from 0 to 1."""
    found = (shows_mask, wrong_of_shown, asked_of_shown, without_target)
    assert all(0 <= value <= 1 for value in found), f"Each share is from 0 to 1, got {found}"


def shares_are_right(shows_mask, wrong_of_shown, asked_of_shown, without_target, *, right):
    """Check all four answers."""
    assert close(shows_mask, right["shows_mask"], "shows_mask"), (
        "shows_mask is not right: picked, and then hidden, of all positions"
    )
    assert close(wrong_of_shown, right["wrong_of_shown"], "wrong_of_shown"), (
        "wrong_of_shown is not right: divide by the share of the positions that show a word"
    )
    assert close(asked_of_shown, right["asked_of_shown"], "asked_of_shown"), (
        "asked_of_shown is not right: both the replaced and the kept words are asked for"
    )
    assert close(without_target, right["without_target"], "without_target"), (
        "without_target is not right: each of the tokens must be left out"
    )
