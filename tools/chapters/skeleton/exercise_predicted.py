"""Placeholder: an exercise to be answered before anything is run."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise

QUESTION = """
Placeholder: a line rises through the origin. Its slope is multiplied by {{times}}, and the place at which we look is divided by {{parts}}. Does the height there become *smaller*, stay the *same* or become *larger*? Predict first; then run.
"""
HINT = "The height is a product of two factors; what happens to each of the two?"
TRIAL = """
before, after = np.polyval([1.0, 0.0], 60), np.polyval([TIMES, 0.0], 60 / PARTS)
fate = "same" if before == after else "smaller" if after < before else "larger"
check("prediction", chapter_name_prediction, fate)
"""
EXPLANATION = (
    "The height is multiplied by {{times}} and divided by {{parts}}, so it is {{outcome}}."
)
WORDS = ("smaller", "same", "larger")


def exercise(times: int = 2, parts: int = 2) -> Exercise:
    """Return the exercise with one change of the slope, and one of the place."""
    truth = outcome(times, parts)
    wrong = [word for word in WORDS if word != truth]
    return Exercise(
        id="chapter-name-predicted",
        title="Steeper, but nearer",
        kind="predict",
        difficulty=1,
        minutes=5,
        points=1,
        question=QUESTION,
        starter="chapter_name_prediction = ...",
        hint=HINT,
        solution=f'chapter_name_prediction = "{truth}"',
        explanation=EXPLANATION,
        values={"times": times, "parts": parts, "outcome": truth},
        visible=(Check(prediction_is_a_word),),
        hidden=(Check(prediction_comes_true, {"times": times, "parts": parts}),),
        wrong_answers={f"{word} instead": f'chapter_name_prediction = "{word}"' for word in wrong},
        public_solution=True,
        trial=TRIAL.replace("TIMES", str(times)).replace("PARTS", str(parts)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw what the slope is multiplied by, and what the place is divided by: never the same."""
    return {"times": rng.choice((2, 4, 6)), "parts": rng.choice((3, 5, 7))}


# -- checks --------------------------------------------------------------------------------------


def outcome(times: int, parts: int) -> str:
    """Return what becomes of the height."""
    return WORDS[(times > parts) - (times < parts) + 1]


def prediction_is_a_word(chapter_name_prediction):
    """Check that it is one of the three words."""
    words = ("smaller", "same", "larger")
    assert chapter_name_prediction in words, f"the answer should be one of {', '.join(words)}"


def prediction_comes_true(chapter_name_prediction, *, times, parts):
    """Compare the prediction with a line."""
    before, after = 1.0, times * (1 / parts)
    changed = "smaller" if after < before - 1e-9 else "larger"
    truth = "same" if abs(after - before) < 1e-9 else changed
    assert chapter_name_prediction == truth, (
        "the run says otherwise: try it with a line of your own"
    )
