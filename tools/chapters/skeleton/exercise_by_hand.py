"""Placeholder: an exercise to be worked by hand. The first of eight."""

# A paragraph of text is one line.

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise

QUESTION = """
Placeholder: how high is the line with the slope {{slope}} above the place {{x}}?
"""
HINT = "A line through the origin is proportional: its height is the slope times the place."
TRIAL = """
check("height, by NumPy", chapter_name_height, np.polyval([SLOPE, 0.0], PLACE))
"""
EXPLANATION = (
    "The height is the slope times the place, {{slope}} times {{x}}, which gives {{height}}."
)


def exercise(slope: float = 0.8, x: float = 1.5) -> Exercise:
    """Return the exercise about one line, at one place."""
    return Exercise(
        id="chapter-name-by-hand",
        title="Height of a line",
        kind="by hand",
        difficulty=1,
        minutes=5,
        points=1,
        question=QUESTION,
        starter="chapter_name_height = ...",
        hint=HINT,
        solution=f"chapter_name_height = {slope} * {x}",
        explanation=EXPLANATION,
        values={"slope": slope, "x": x, "height": f"{slope * x:.2f}"},
        visible=(Check(height_is_above_the_axis),),
        hidden=(Check(height_is_right, {"slope": slope, "x": x}),),
        wrong_answers={
            "the sum": f"chapter_name_height = {slope} + {x}",
            "the slope alone": f"chapter_name_height = {slope}",
        },
        trial=TRIAL.replace("SLOPE", str(slope)).replace("PLACE", str(x)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a slope and a place."""
    return {"slope": rng.choice([0.2, 0.4, 0.6, 0.8]), "x": rng.choice([2.0, 3.0, 4.0, 5.0])}


# -- checks --------------------------------------------------------------------------------------


def height_is_above_the_axis(chapter_name_height):
    """Check the sign of the height."""
    assert chapter_name_height > 0, "a rising line is above the axis to the right of the origin"


def height_is_right(chapter_name_height, *, slope, x):
    """Compare the height with the slope times the place."""
    off = abs(chapter_name_height - slope * x)
    assert off < 1e-6, "that is not the slope times the place; compute it once more"
