"""Sort distances into the buckets of T5."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
T5 sorts the distances between a query and a key into buckets, and adds to each score a learnt number that belongs to the bucket. Write `bucket_of(steps_back, n_buckets, max_distance)` for a decoder. `steps_back` is the distance $t$: how many positions the key stands before the query, 0 or more. $N$ is `n_buckets`, a multiple of 4, and $M$ is `max_distance`. EXACT A distance $t \geq E$ belongs to bucket $E + \lfloor (N - E) \ln(t / E) / \ln(M / E) \rfloor$, or to the last bucket, $N - 1$, if this is larger than $N - 1$. Return a whole number. Try it with $N = {{n}}$ and $M = {{most}}$.
"""
# What takes the place of EXACT, by how many times as many buckets there are in all.
EXACT = {
    2: r"The first half of the buckets holds one distance each, $0, 1, \dots, E - 1$ with $E = N / 2$.",
    4: r"Unlike in T5, only the first quarter of the buckets holds one distance each, $0, 1, \dots, E - 1$ with $E = N / 4$.",
}
STARTER = '''
def bucket_of(steps_back, n_buckets, max_distance):
    """steps_back >= 0 -> bucket, from 0 to n_buckets - 1"""
    ...
'''
TWISTS = {
    "near": Twist(
        "Return two things: the bucket, and whether the distance is one of the near ones, which have a bucket each.",
        {"bucket_of": ("", "result = result, steps_back < n_buckets // TIMES")},
        {"bucket, from 0 to n_buckets - 1": "bucket, from 0 to n_buckets - 1; whether it is near"},
    ),
    "backwards": Twist(
        "The buckets are numbered from the far end: the distance 0 has the bucket $N - 1$, and the farthest distances have the bucket 0.",
        {"bucket_of": ("", "result = n_buckets - 1 - result")},
    ),
    "signed": Twist(
        "In place of the distance, the first argument is the position of the key minus that of the query, as T5's own code has it: 0 or a negative number.",
        {"bucket_of": ("steps_back = -steps_back", "")},
        {"steps_back >= 0": "steps_back <= 0"},
    ),
}
HINT = "Treat the near distances first and return at once. For the others, `math.log` gives the logarithm, `int` rounds a positive number down, and `min` keeps the result below `n_buckets`."
# In these answers TIMES stands for how many times as many buckets there are in all.
SOLUTION = """
def bucket_of(steps_back, n_buckets, max_distance):
    exact = n_buckets // TIMES
    if steps_back < exact:
        return steps_back
    share = math.log(steps_back / exact) / math.log(max_distance / exact)
    return min(exact + int(share * (n_buckets - exact)), n_buckets - 1)
"""
EXPLANATION = r"""
Near distances have buckets of their own, because it matters whether a word is the last or the last but one. Far distances share buckets, and each further bucket is wider than the one before it by the same factor. So {{n}} numbers a head are enough for any distance. The formula alone would put $M$ into bucket $N$, which does not exist; `min` puts it, and every larger distance, into the last bucket. That is why a text may be longer than those of the training.
"""
TRIAL = """
ours = [bucket_of(t, NUMBER, MOST) for t in range(2 * MOST)]
back = -torch.arange(2 * MOST)
theirs = models.relative_buckets(
    back, n_buckets=NUMBER, max_distance=MOST, causal=True
)
check("buckets of all distances", ours, theirs.tolist(), 0)
"""
WRONG_ANSWERS = {
    "logarithms for near distances too": """
def bucket_of(steps_back, n_buckets, max_distance):
    exact = n_buckets // TIMES
    share = math.log(max(steps_back, 1)) / math.log(max_distance)
    return min(int(share * n_buckets), n_buckets - 1)
""",
    "no last bucket": SOLUTION.replace("min(", "(").replace(", n_buckets - 1)", ")"),
    "far distances in equal steps": SOLUTION.replace(
        "math.log(steps_back / exact) / math.log(max_distance / exact)",
        "(steps_back - exact) / (max_distance - exact)",
    ),
    "the scale spread over all buckets": SOLUTION.replace(
        "share * (n_buckets - exact)", "share * n_buckets"
    ),
    "rounded to the nearest": SOLUTION.replace("int(", "round("),
}


def exercise(n: int = 16, most: int = 64, times: int = 2, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise with ``n`` buckets, one in ``times`` of them exact, and `twists`."""
    sizes = ([n, most], [2 * n, 3 * most])
    twisted = [TWISTS[name] for name in twists]
    given = {"times": times, "twists": twists}

    def filled(code: str) -> str:
        answer = wrapped(code, {"bucket_of": "steps_back, n_buckets, max_distance"}, twisted)
        return answer.replace("TIMES", str(times))

    return Exercise(
        id="model-families-buckets",
        title="Near and far",
        kind="code",
        difficulty=2,
        minutes=15,
        points=3,
        question=asked(QUESTION.replace("EXACT", EXACT[times]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"n": n, "most": most},
        visible=(Check(near_ones_are_exact, {"n": n, "most": most} | given),),
        hidden=(Check(buckets_are_right, {"sizes": sizes} | given),),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial=TRIAL.replace("NUMBER", str(n)).replace("MOST", str(most))
        if times == 2 and not twists
        else "",
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a number of buckets, a largest distance, and twists."""
    n, chosen = rng.choice([8, 12, 20, 32]), drawn(rng, ("quarter", *TWISTS))
    return {
        "n": n,
        "most": n * rng.choice([3, 5, 6]),
        "times": 4 if "quarter" in chosen else 2,
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def right_bucket(t: int, n: int, most: int, times: int) -> int:
    """Return the bucket by counting upwards: the last one whose smallest distance is reached."""
    exact = n // times
    if t < exact:
        return t
    ratio = most / exact
    reached = [i for i in range(n - exact) if exact * ratio ** (i / (n - exact)) <= t * (1 + 1e-12)]
    return exact + reached[-1]


def plain(bucket_of, twists, times):
    """Return the function as the page asks for it."""

    def as_on_the_page(t, n, most):
        found = bucket_of(-t if "signed" in twists else t, n, most)
        if "near" in twists:
            found, near = parts(found, 2)
            right = t < n // times
            assert near == right, f"Whether {t} is near, of {n} buckets, should not be {near}"
        return n - 1 - found if "backwards" in twists else found

    return as_on_the_page


def near_ones_are_exact(bucket_of, *, n, most, times, twists):
    """Check the near distances, and that what comes back is a whole number."""
    bucket_of = plain(bucket_of, twists, times)
    for t in range(n // times):
        found = bucket_of(t, n, most)
        assert found == t, f"The distance {t} should have a bucket of its own, {t}, got {found!r}"
    found = bucket_of(most - 1, n, most)
    assert float(found).is_integer(), f"A bucket should be a whole number, got {found!r}"
    assert n // times <= found < n, f"{most - 1} steps back should be in a far bucket, got {found}"


def buckets_are_right(bucket_of, *, sizes, times, twists):
    """Check every distance up to beyond the largest."""
    bucket_of = plain(bucket_of, twists, times)
    for n, most in sizes:
        for t in range(3 * most):
            found, right = bucket_of(t, n, most), right_bucket(t, n, most, times)
            exact = n // times
            place = math.log(max(t, 1) / exact) / math.log(most / exact) * (n - exact) % 1
            if found != right and min(place, 1 - place) > 1e-9:  # not at a rounded edge
                raise AssertionError(
                    f"With {n} buckets up to {most}, a key {t} steps back is in another bucket "
                    f"than {found}: check where the buckets begin and what the last one holds"
                )
