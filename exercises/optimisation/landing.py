"""Warm-up and cosine in which no step is wasted."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
The companion's warm-up begins with a rate of 0, a wasted step. Write a schedule for the steps $0, \dots, \text{total} - 1$ that wastes none. The rate rises by equal amounts over `warmup` steps, the last of which has the rate `peak`. Then it falls along half a cosine, and the very last step has `peak` divided by {{part}}.
"""
STARTER = '''
def landing_rate(step, peak, warmup, total):
    """Return the learning rate of a step, counted from 0."""
    ...
'''
TWISTS = {
    "factor": Twist(
        "Return not the rate itself but the factor by which the peak is multiplied, as PyTorch's `LambdaLR` wants it: 1 at the peak.",
        {"landing_rate": ("", "result = result / peak")},
        {"the learning rate of a step": "the factor of a step"},
    ),
    "from one": Twist(
        "Steps are counted from 1: the first step is 1, and the very last one is $\\text{total}$.",
        {"landing_rate": ("step = step - 1", "")},
        {"counted from 0": "counted from 1"},
    ),
    "after": Twist(
        "The last argument is the number of steps *after* the warm-up, so there are `warmup + total` steps in all.",
        {"landing_rate": ("total = warmup + total", "")},
        {"of a step, counted": "of a step; total steps after the warm-up, counted"},
    ),
}
HINT = (
    "How many steps lie behind you when this one is done? The cosine ends at the floor, not at 0."
)
SOLUTION = """
def landing_rate(step, peak, warmup, total):
    done = step + 1  # when this step is over
    if done <= warmup:
        return peak * done / warmup
    share = (done - warmup) / (total - warmup)
    floor = peak / PART
    return floor + (peak - floor) * (1 + math.cos(math.pi * share)) / 2
"""
TRIAL = """
schedules = torch.optim.lr_scheduler
for peak, warmup, total in [(0.4, 5, 12), (2.0, 3, 30)]:
    sgd = torch.optim.SGD([torch.zeros(1)], lr=peak)
    rising = schedules.LambdaLR(sgd, lambda step: min(1, (step + 1) / warmup))
    rates = [sgd.param_groups[0]["lr"]]
    for _ in range(warmup - 1):
        sgd.step()
        rising.step()
        rates.append(sgd.param_groups[0]["lr"])
    falling = schedules.CosineAnnealingLR(sgd, total - warmup, peak / PART)
    for _ in range(total - warmup):
        sgd.step()
        falling.step()
        rates.append(sgd.param_groups[0]["lr"])
    found = [landing_rate(step, peak, warmup, total) for step in range(total)]
    check(f"rates of {total} steps, by PyTorch", found, rates, 1e-9)
"""
EXPLANATION = r"""
Counted from 1, the first step has `peak / warmup`, and at the last the share is 1, the cosine $-1$, and the floor all that is left. Whether it is off by one is seen at the ends and the peak.
"""
WRONG_ANSWERS = {
    "a first step of nothing": """
        def landing_rate(step, peak, warmup, total):
            return optim.warmup_cosine(step, peak, warmup, total, peak / PART)
        """,
    "the cosine begins with the warm-up": """
        def landing_rate(step, peak, warmup, total):
            if step < warmup:
                return peak * (step + 1) / warmup
            share = (step + 1) / total
            return peak / PART + (peak - peak / PART) * (1 + math.cos(math.pi * share)) / 2
        """,
    "the floor comes on top": """
        def landing_rate(step, peak, warmup, total):
            if step < warmup:
                return peak * (step + 1) / warmup
            share = (step + 1 - warmup) / (total - warmup)
            return peak / PART + peak * (1 + math.cos(math.pi * share)) / 2
        """,
    "the floor cuts the cosine off": """
        def landing_rate(step, peak, warmup, total):
            if step < warmup:
                return peak * (step + 1) / warmup
            share = (step + 1 - warmup) / (total - warmup)
            return max(peak / PART, peak * (1 + math.cos(math.pi * share)) / 2)
        """,
    "a straight line": """
        def landing_rate(step, peak, warmup, total):
            if step < warmup:
                return peak * (step + 1) / warmup
            return peak - (peak - peak / PART) * (step + 1 - warmup) / (total - warmup)
        """,
}
# Peaks of 1 and more, so that a rate that is rounded to three decimals is still one.
SHAPES = ((5.0, 3, 11), (2.0, 4, 8), (1.0, 10, 40), (3.0, 2, 9))


def exercise(part: int = 10, shape: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise in which the last rate is the peak over `part`, with `twists`."""
    given = {"part": part, "shapes": SHAPES[shape:] + SHAPES[:shape], "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"landing_rate": "step, peak, warmup, total"}, twisted)
        return answer.replace("PART", str(part))

    return Exercise(
        id="optimisation-landing",
        title="Take off and land",
        kind="code",
        difficulty=1,
        minutes=15,
        points=3,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"part": part},
        visible=(Check(no_rate_is_zero, {"twists": twists}),),
        hidden=(Check(ends_are_right, given), Check(landing_is_a_cosine, given)),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("PART", str(part)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw by how much the last rate is lower than the peak, and twists."""
    return {
        "part": rng.choice((4, 5, 20, 50, 100)),
        "shape": rng.randrange(4),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def plain(landing_rate, twists):
    """Return the schedule as the page asks for it."""

    def as_on_the_page(step, peak, warmup, total):
        steps = total - warmup if "after" in twists else total
        rate = landing_rate(step + ("from one" in twists), peak, warmup, steps)
        return float(rate) * peak if "factor" in twists else rate

    return as_on_the_page


def no_rate_is_zero(landing_rate, *, twists):
    """Check that every rate lies above 0 and none above the peak."""
    landing_rate = plain(landing_rate, twists)
    for step in range(12):
        rate = float(landing_rate(step, 0.6, 4, 12))
        assert 0 < rate <= 0.6 + 1e-9, (
            f"Every rate should lie above 0 and at most at the peak of 0.6, but that of step {step} "
            f"(warmup 4, total 12) is {rate:g}"
        )


def ends_are_right(landing_rate, *, part, shapes, twists):
    """Check the first rate, the peak and the last, for several lengths."""
    landing_rate = plain(landing_rate, twists)
    for peak, warmup, total in shapes:
        places = {0: peak / warmup, warmup - 1: peak, total - 1: peak / part}
        for step, right in places.items():
            got = float(landing_rate(step, peak, warmup, total))
            assert close(got, right, "landing_rate"), (
                f"The rate of step {step} should not be {got:.6g} with a peak of {peak}, {warmup} "
                f"steps of warm-up and {total} in all: which steps are the first, the last of the "
                "warm-up, and the last of all?"
            )


def landing_is_a_cosine(landing_rate, *, part, shapes, twists):
    """Check all rates, by how much each has lost of what there is to lose."""
    landing_rate = plain(landing_rate, twists)
    for peak, warmup, total in shapes:
        height = peak - peak / part
        for step in range(total):
            got = float(landing_rate(step, peak, warmup, total))
            turned = max(0.0, math.pi * (step + 1 - warmup) / (total - warmup))
            lost = height * math.sin(turned / 2) ** 2
            right = peak * (step + 1) / warmup if step < warmup else peak - lost
            assert close(got, right, "landing_rate"), (
                f"The rate of step {step} should not be {got:.6g} with a peak of {peak}, {warmup} "
                f"steps of warm-up and {total} in all: it should rise in equal steps and fall "
                "along half a cosine"
            )
