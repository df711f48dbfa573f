"""Time decoding with and without a cache, and fit exponents."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise

QUESTION = """
Measure how long one attention layer takes to write $T$ tokens, one at a time: once with a `KVCache`, and once by putting all tokens so far through the layer at every step. If the time grows like $T^p$, it is a straight line on paper with two logarithmic scales, and $p$ is its slope. Fit $p$ for both.

Which exponents would you expect from counting products? Why are those you find smaller?
"""
SIZES = """
layer = attention.MultiHeadAttention({d_model}, n_heads=4)
lengths = {lengths}
"""
STARTER = """
@torch.no_grad()
def generate(length, cached):
    ...

def fit_exponent(lengths, seconds):
    ...

seconds = {"cached": [...], "recomputed": [...]}
exponents = {"cached": ..., "recomputed": ...}
"""
HINT = "`device.seconds(lambda: generate(T, True))` measures a call, and `np.polyfit(x, y, 1)` fits a line. Count for one step first: which products grow with $T$, which only with $D$? Then sum over the steps."
SOLUTION = """
@torch.no_grad()
def generate(length, cached):
    x = torch.randn(1, length, D_MODEL)
    cache = attention.KVCache() if cached else None
    for t in range(length):
        seen = x[:, t : t + 1] if cached else x[:, : t + 1]
        layer(seen, is_causal=True, cache=cache)

def fit_exponent(lengths, seconds):
    slope, _ = np.polyfit(np.log(lengths), np.log(seconds), 1)
    return slope

seconds = {
    name: [device.seconds(lambda: generate(T, cached), 2) for T in lengths]
    for name, cached in (("cached", True), ("recomputed", False))
}
exponents = {name: fit_exponent(lengths, s) for name, s in seconds.items()}
"""
EXPLANATION = """
Without a cache, step $t$ projects $t$ tokens, about $t D^2$ products, and meets $t^2$ pairs, $t^2 D$ products. Summed over $T$ steps that is of the order of $T^2 D^2 + T^3 D$: between 2 and 3, and 3 only once $T$ is far beyond $D$. With a cache, step $t$ projects one token and meets $t$ keys, together $T D^2 + T^2 D$: between 1 and 2.

What is measured lies near the lower end of each range or below it, since every call also has a cost that does not depend on $t$ at all, and at these sizes that is a good part of the whole. Longer sequences come closer to the count. The gap between the two exponents is the cache's doing.
"""
TRIAL = """
check("all lengths are measured", {*LENGTHS} <= {*lengths})
powers = [n**1.7 for n in lengths]
check("exponent of n to the power 1.7", fit_exponent(lengths, powers), 1.7)
for name, times in seconds.items():
    x, y = np.log(lengths), np.log(times)
    slope = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
    check(f"exponent {name}, by the covariance", exponents[name], slope, 1e-3)
last = np.argmax(lengths)
gain = seconds["recomputed"][last] / seconds["cached"][last]
check("times as long without the cache", gain, at_least=1.2)
"""
# Wrong answers do not measure: their times follow a law, and what is wrong is what they do next.
MADE_UP = """
lengths = LENGTHS
seconds = {
    "cached": [0.001 * T**1.2 for T in lengths],
    "recomputed": [0.001 * T**1.9 for T in lengths],
}
"""
FIT = """
def fit_exponent(lengths, seconds):
    return np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
"""
REPORT = """
exponents = {name: fit_exponent(lengths, s) for name, s in seconds.items()}
"""
WRONG_ANSWERS = {
    "a line without logarithms": """
def fit_exponent(lengths, seconds):
    return np.polyfit(lengths, seconds, 1)[0]
""",
    "logarithm of the time alone": """
def fit_exponent(lengths, seconds):
    return np.polyfit(lengths, np.log(seconds), 1)[0]
""",
    "the two exchanged": f"""{FIT}
seconds = {{"cached": seconds["recomputed"], "recomputed": seconds["cached"]}}
""",
    "one step timed, not all": f"""{FIT}
seconds["recomputed"] = [0.001 * T**0.9 for T in lengths]
""",
    "other lengths": f"""{FIT}
lengths = [2, 3, 4, 16]
seconds = {{name: [T**p for T in lengths] for name, p in (("cached", 1), ("recomputed", 2))}}
""",
}


def exercise(lengths: tuple[int, ...] = (48, 96, 192, 384), d_model: int = 128) -> Exercise:
    """Return the exercise for these lengths and a layer of this width."""
    sizes = SIZES.format(d_model=d_model, lengths=list(lengths))
    made_up = MADE_UP.replace("LENGTHS", str(list(lengths)))
    return Exercise(
        id="attention-cache-timing",
        title="What the cache saves",
        kind="measure",
        difficulty=2,
        minutes=30,
        points=4,
        question=QUESTION,
        starter=f"{sizes}{STARTER}",
        hint=HINT,
        solution=f"{sizes}{SOLUTION}".replace("D_MODEL", str(d_model)),
        explanation=EXPLANATION,
        visible=(
            Check(measurements_are_complete, {"asked": list(lengths)}),
            Check(exponents_fit_the_measurements),
        ),
        hidden=(Check(power_laws_are_recovered), Check(the_cache_saves)),
        wrong_answers={
            mistake: f"{made_up}{code}{REPORT}" for mistake, code in WRONG_ANSWERS.items()
        },
        words=True,
        trial=TRIAL.replace("LENGTHS", str(list(lengths))),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the lengths, each the double of the one before, and the layer's width."""
    start = rng.choice((36, 40, 44, 52, 56, 60))
    return {
        "lengths": tuple(start * 2**i for i in range(4)),
        "d_model": rng.choice((96, 128, 160)),
    }


# -- checks --------------------------------------------------------------------------------------


def measurements_are_complete(lengths, seconds, *, asked):
    """Check that each length that was asked for has its two times."""
    absent = sorted(set(asked) - {int(length) for length in lengths})
    assert not absent, f"lengths should hold {asked}, and more if you like; {absent} are missing"
    for name in ("cached", "recomputed"):
        times = seconds.get(name, [])
        assert len(times) == len(lengths), f"seconds[{name!r}] needs one time for each length"
        assert min(times) > 0, f"seconds[{name!r}] holds a time that is not above 0"


def exponents_fit_the_measurements(lengths, seconds, exponents):
    """Check that the exponents are the slopes of the measured times."""
    x = np.log(np.array(lengths, dtype=float))
    x -= x.mean()
    for name in ("cached", "recomputed"):
        slope = float(x @ np.log(np.array(seconds[name], dtype=float)) / (x @ x))
        assert abs(float(exponents[name]) - slope) < 0.02, (
            f"exponents[{name!r}] is not the slope of log seconds over log lengths"
        )


def power_laws_are_recovered(fit_exponent):
    """Try times whose exponent is known."""
    lengths = [10, 20, 50, 200]
    for power, factor in ((1.0, 3.0), (2.0, 1e-4), (0.5, 0.1)):
        got = float(fit_exponent(lengths, [factor * n**power for n in lengths]))
        assert abs(got - power) < 1e-6, (
            f"Times that grow exactly like T^{power:g} should give {power:g}, not {got:.3f}"
        )


def the_cache_saves(lengths, seconds):
    """Check that the cache saves time, and the more of it the longer the text."""
    # Ratios at one length: a busy machine disturbs them less than it does exponents.
    times = zip(lengths, seconds["recomputed"], seconds["cached"], strict=True)
    gain = {int(length): float(slow) / float(fast) for length, slow, fast in times}
    shortest, longest = min(gain), max(gain)
    assert gain[longest] > 1.2, (
        f"For {longest} tokens it should take clearly longer without the cache, but it takes "
        f"{gain[longest]:.2f} times as long: time all steps together; is the cache passed to each?"
    )
    assert gain[longest] > gain[shortest], (
        f"The cache should save more the longer the text, but without it {shortest} tokens take "
        f"{gain[shortest]:.2f} times as long, and {longest} tokens {gain[longest]:.2f} times"
    )
