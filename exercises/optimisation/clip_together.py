"""Clipping by the length of the whole gradient, in numbers that may be very large."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Clip a gradient in NumPy, a list of arrays of any shape, one for each parameter, or `None`. Taken as *one* vector, it may be at most {{longest}} long. Return the new list and the length before. Even a bad batch, with numbers of 1e30 in float32, must come out short and in the right direction.
"""
STARTER = '''
def clip_together(gradients):
    """gradients: a list of arrays, some of them None

    Return a list like it, and the length before."""
    ...
'''
TWISTS = {
    "clipped": Twist(
        "Return three things: the list, the length before, and whether the gradient was too long.",
        {"clip_together": ("", "result = *result, result[1] > LONGEST")},
        {"and the length before.": "the length before, and whether that was too long."},
    ),
    "names": Twist(
        "The gradients come in a dictionary, from the names of the parameters to the arrays (or to `None`), and in such a dictionary they are returned.",
        {
            "clip_together": (
                "names, gradients = list(gradients), list(gradients.values())",
                "result = dict(zip(names, result[0])), result[1]",
            )
        },
        {
            "a list of arrays, some": "a dictionary of arrays, some",
            "Return a list like it": "Return a dictionary like it",
        },
    ),
    "mean square": Twist(
        "Here the length is a *root mean square*: the squares of all numbers are averaged, not added up, before the root is taken.",
        {
            "clip_together": (
                """
                root = math.sqrt(sum(np.size(g) for g in gradients if g is not None))
                gradients = [g if g is None else g / root for g in gradients]
                """,
                """
                clipped = [g if g is None else root * g for g in result[0]]
                result = clipped, result[1]
                """,
            )
        },
        {"the length before": "the length before, as a root mean square"},
    ),
}
HINT = "What is the square of 1e30, and how large may a float32 be? And what of a gradient that is zero?"
SOLUTION = """
def clip_together(gradients):
    there = [g.astype(np.float64) for g in gradients if g is not None]
    length = math.sqrt(sum((g**2).sum() for g in there))
    scale = LONGEST / max(length, LONGEST)
    clipped = [None if g is None else scale * g for g in gradients]
    return clipped, length
"""
TRIAL = """
rng = np.random.default_rng(3)
for size in (1e-3, 1.0, 1e30):
    a, b = ((size * rng.normal(size=shape)).astype(np.float32) for shape in ((3, 2), (4,)))
    theirs = [torch.zeros(g.shape, dtype=torch.float64) for g in (a, b)]
    for p, g in zip(theirs, (a, b)):
        p.grad = torch.tensor(g, dtype=torch.float64)
    right = nn.utils.clip_grad_norm_(theirs, LONGEST).item()
    (new_a, nothing, new_b), length = clip_together([a.copy(), None, b.copy()])
    check(f"length by PyTorch, numbers near {size:g}", length / right, 1, 1e-5)
    check("None stays where it was", nothing is None)
    for new, p in zip((new_a, new_b), theirs):
        check(f"gradient by PyTorch, numbers near {size:g}", new, p.grad, 1e-5)
check("a gradient of zeros", clip_together([np.zeros(2)])[0][0], [0, 0])
"""
EXPLANATION = r"""
The squares of all numbers of all arrays are added up before the one root is taken, in float64, where $10^{60}$ has room. Dividing by the length or by what is allowed, whichever is more, leaves a short gradient alone and a zero one without a division by 0. Every array is multiplied by the *same* number: only so does the direction stay, and with it what was learnt about which parameters matter.
"""
WRONG_ANSWERS = {
    "each parameter by itself": """
        def clip_together(gradients):
            clipped, squares = [], 0.0
            for g in gradients:
                if g is not None:
                    length = np.linalg.norm(g.astype(np.float64))
                    squares += length**2
                    g = g * (LONGEST / max(length, LONGEST))
                clipped.append(g)
            return clipped, math.sqrt(squares)
        """,
    "each number by itself": """
        def clip_together(gradients):
            there = [g.astype(np.float64) for g in gradients if g is not None]
            clipped = [g if g is None else g.clip(-LONGEST, LONGEST) for g in gradients]
            return clipped, math.sqrt(sum((g**2).sum() for g in there))
        """,
    "short gradients are lengthened": """
        def clip_together(gradients):
            there = [g.astype(np.float64) for g in gradients if g is not None]
            length = math.sqrt(sum((g**2).sum() for g in there)) + 1e-12
            return [g if g is None else g * (LONGEST / length) for g in gradients], length
        """,
    "squares in float32": """
        def clip_together(gradients):
            with np.errstate(over="ignore"):
                squares = sum((g**2).sum() for g in gradients if g is not None)
            length = math.sqrt(squares)
            scale = LONGEST / max(length, LONGEST)
            return [g if g is None else g * scale for g in gradients], length
        """,
    "the sum of the lengths": """
        def clip_together(gradients):
            there = [g.astype(np.float64) for g in gradients if g is not None]
            length = sum(np.linalg.norm(g) for g in there)
            scale = LONGEST / max(length, LONGEST)
            return [g if g is None else g * scale for g in gradients], length
        """,
}


def exercise(seed: int = 0, longest: float = 1.0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise in which a gradient may be `longest` long, with `twists`."""
    given = [{"seed": seed + i, "longest": longest, "twists": twists} for i in range(3)]
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"clip_together": "gradients"}, twisted).replace(
            "LONGEST", str(longest)
        )

    return Exercise(
        id="optimisation-clip-together",
        title="Shorter, but straight on",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"longest": longest},
        visible=(Check(length_is_that_of_one_vector, {"longest": longest, "twists": twists}),),
        hidden=(
            Check(long_gradients_keep_their_direction, given[0]),
            Check(short_gradients_stay, given[1]),
            Check(huge_gradients_become_short, given[2]),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        trial="" if twists else TRIAL.replace("LONGEST", str(longest)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, how long a gradient may be, and twists."""
    return {
        "seed": rng.randrange(10_000),
        "longest": rng.choice((0.1, 0.25, 0.5, 2.0, 5.0)),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def plain(clip_together, twists, longest):
    """Return the function as the page asks for it."""

    def as_on_the_page(gradients):
        numbers = sum(np.size(g) for g in gradients if g is not None)
        root = math.sqrt(numbers) if "mean square" in twists else 1.0
        given = [g if g is None else (root * g).astype(g.dtype) for g in gradients]
        names = [f"layer {i}" for i in range(len(given))]
        result = clip_together(dict(zip(names, given, strict=True)) if "names" in twists else given)
        clipped, length, *told = parts(result, 3 if "clipped" in twists else 2)
        if told and abs(float(length) - longest) > 1e-6 * longest:
            right = float(length) > longest
            assert bool(told[0]) is right, (
                f"A gradient that is {float(length):g} long, where {longest:g} is allowed: whether "
                f"it was too long should be {right}"
            )
        if "names" in twists:
            assert list(clipped) == names, "There should be an array under each name, in order"
            clipped = list(clipped.values())
        return [g if g is None else array(g) / root for g in clipped], length

    return as_on_the_page


def drawn_gradients(seed: int, length: float):
    """Draw gradients of several shapes, with one missing, that are `length` long together."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in ((3, 4), (4,), (), (2, 1, 5))]
    scale = length / math.sqrt(sum((g**2).sum() for g in arrays))
    arrays = [np.asarray(scale * g, dtype=np.float32) for g in arrays]
    return [*arrays[:2], None, *arrays[2:]]


def compare_clipped(clip_together, gradients, scale, length):
    """Compare with every array times the same number."""
    clipped, told = clip_together([None if g is None else g.copy() for g in gradients])
    kept = [g is None for g in clipped]
    assert kept == [g is None for g in gradients], (
        "There should be an array for each array, and None where None was"
    )
    assert abs(float(told) / length - 1) < 1e-4, (
        f"With a gradient that is {length:g} long, the length before should not be "
        f"{float(told):.6g}: of all numbers taken together"
    )
    for new, old in zip(clipped, gradients, strict=True):
        if old is not None:
            assert np.shape(new) == old.shape, f"The shape {old.shape} changed to {np.shape(new)}"
            error = np.abs(np.asarray(new, dtype=np.float64) - scale * old.astype(np.float64)).max()
            assert error < 1e-4 * scale * length, (
                f"With a gradient that is {length:g} long, every array should be multiplied by "
                f"{scale:g}, all by the same number, so that the direction stays"
            )


def length_is_that_of_one_vector(clip_together, *, longest, twists):
    """Try a gradient of 3 and 4 in two arrays, and one of zeros."""
    clip_together = plain(clip_together, twists, longest)
    _, length = clip_together([np.array([3.0]), None, np.array([[4.0]])])
    assert abs(float(length) - 5) < 1e-6, (
        f"The gradient (3, 4) is 5 long, in however many arrays it comes; got {float(length):g}"
    )
    (zeros,), _ = clip_together([np.zeros(2)])
    assert np.isfinite(zeros).all(), "A gradient of zeros should stay one, without 0 divided by 0"


def long_gradients_keep_their_direction(clip_together, *, seed, longest, twists):
    """Try a gradient that is too long, though no array is by itself."""
    clip_together = plain(clip_together, twists, longest)
    for times in (1.1, 7.0):
        length = times * longest
        gradients = drawn_gradients(seed, length)
        compare_clipped(clip_together, gradients, 1 / times, length)


def short_gradients_stay(clip_together, *, seed, longest, twists):
    """Try a gradient that is short enough."""
    clip_together = plain(clip_together, twists, longest)
    gradients = drawn_gradients(seed, 0.9 * longest)
    compare_clipped(clip_together, gradients, 1.0, 0.9 * longest)


def huge_gradients_become_short(clip_together, *, seed, longest, twists):
    """Try numbers of 1e30."""
    clip_together = plain(clip_together, twists, longest)
    gradients = drawn_gradients(seed, 1e30)
    compare_clipped(clip_together, gradients, longest / 1e30, 1e30)
