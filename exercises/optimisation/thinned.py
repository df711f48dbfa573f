"""Dropout by hand-written code: what keeps the mean, and how much noise it brings."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from exercises import Check, Exercise

QUESTION = r"""
Write dropout for training: each number of `x` becomes 0 with probability `p`, by a draw of its own, and those that stay are scaled so that the mean over many draws is `x`. Then measure the noise: take the mean of {{n}} ones after dropout. What is its standard deviation, over thousands of draws, for each of these `p`? From which `p` on should it be more than {{times}} times that at $p = 0.5$, and why?
"""
STARTER = '''
drop_rates = {rates}

def thinned(x, p):
    """x an array; return one like it, after dropout"""
    ...

noise_of_mean = {{p: ... for p in drop_rates}}
'''
HINT = "By what must the share that stays be multiplied so that it makes up for the rest?"
SOLUTION = """
drop_rates = {rates}
rng = np.random.default_rng(0)

def thinned(x, p):
    return np.where(rng.random(x.shape) < p, 0.0, x / (1 - p))

def noise(p, draws=5_000):
    return thinned(np.ones((draws, {n})), p).mean(axis=1).std()

noise_of_mean = {{p: noise(p) for p in drop_rates}}
"""
TRIAL = """
for p in drop_rates:
    mine, theirs = thinned(np.ones(100_000), p), F.dropout(torch.ones(100_000), p)
    check(f"share that becomes 0, p = {p}", (mine == 0).mean(), p, 0.01)
    check(f"mean of ones, p = {p}", mine.mean(), 1, 0.03)
    check(f"what a one becomes by PyTorch, p = {p}", mine.max(), theirs.max(), 1e-5)
    noise_by_torch = F.dropout(torch.ones(20_000, SIZE), p).mean(1).std().item()
    ratio = noise_of_mean[p] / noise_by_torch
    check(f"noise, relative to that of PyTorch, p = {p}", ratio, 1, 0.06)
"""
EXPLANATION = r"""
What stays is the share $1 - p$, so it is scaled by $1 / (1 - p)$. The factor $1 / p$ agrees with it at $p = 0.5$ and nowhere else, which is why code that was only ever tried at 0.5 can be wrong.

A number that was 1 has the variance $\frac{1}{1 - p} - 1 = \frac{p}{1 - p}$, and the mean of $n$ of them $\frac{1}{n}$ of that. At $p = 0.5$ the deviation is $\sqrt{1/n}$, and {{times}} times that needs $\frac{p}{1 - p} > {{squared}}$, that is $p > {{beyond}}$: near 1 the few that are left shout.

To grade by hand, besides the checks: is the $p$ found, with a reason (1 point)?
"""
WRONG = """
drop_rates = {rates}
rng = np.random.default_rng(0)

def thinned(x, p):
    return {body}

def noise(p, draws=5_000):
    return {spread}

noise_of_mean = {{p: noise(p) for p in drop_rates}}
"""
SPREAD = "thinned(np.ones((draws, {n})), p).mean(axis=1).std()"


def exercise(
    n: int = 50, rates: tuple[float, ...] = (0.1, 0.2, 0.5, 0.8), times: int = 3
) -> Exercise:
    """Return the exercise for the mean of `n` numbers and these rates."""
    known = {"rates": list(rates), "n": n}
    right = "np.where(rng.random(x.shape) < p, 0.0, x / (1 - p))"
    spread = SPREAD.format(n=n)
    alone = f"np.std([thinned(np.ones({n}), p).mean() for _ in range(4000)])"
    wrong = {
        "one over p": ("np.where(rng.random(x.shape) < p, 0.0, x / p)", spread),
        "not scaled": ("np.where(rng.random(x.shape) < p, 0.0, x)", spread),
        "p taken for the chance to stay": ("np.where(rng.random(x.shape) < p, x / p, 0.0)", spread),
        "one draw for all": ("np.where(rng.random() < p, 0.0, x / (1 - p))", alone),
        "the noise of one number": (right, f"thinned(np.ones((draws, {n})), p).std()"),
        "the variance": (right, spread.replace("std", "var")),
    }
    given = {"n": n, "rates": rates}
    return Exercise(
        id="optimisation-thinned",
        title="Thin it out",
        kind="measure",
        difficulty=2,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=STARTER.format(**known),
        hint=HINT,
        solution=SOLUTION.format(**known),
        explanation=EXPLANATION,
        values={
            "n": n,
            "times": times,
            "squared": times**2,
            "beyond": f"{times**2 / (1 + times**2):.3g}",
        },
        visible=(Check(half_is_dropped),),
        hidden=(
            Check(mean_is_kept, {"rates": rates}),
            Check(noise_is_as_computed, given),
        ),
        wrong_answers={
            mistake: WRONG.format(**known, body=body, spread=measured)
            for mistake, (body, measured) in wrong.items()
        },
        words=True,
        by_hand=1,
        trial=TRIAL.replace("SIZE", str(n)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw how many numbers, and rates of which none is a half but one."""
    low = sorted(rng.sample((0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4), 2))
    return {
        "n": rng.choice((20, 25, 40, 100)),
        "rates": (*low, 0.5, rng.choice((0.6, 0.7, 0.75, 0.9))),
        "times": rng.choice((2, 3, 4)),
    }


# -- checks --------------------------------------------------------------------------------------


def half_is_dropped(thinned):
    """Try p = 0.5, where about half of the numbers should become 0."""
    x = np.linspace(1, 2, 4000).reshape(40, 100)
    out = np.asarray(thinned(x, 0.5), dtype=float)
    assert out.shape == x.shape, f"The shape should stay {x.shape}, got {out.shape}"
    share = float((out == 0).mean())
    assert 0.45 < share < 0.55, f"At p = 0.5 about half should become 0, not {share:.0%}"
    twos = np.allclose(out[out != 0], 2 * x[out != 0])
    assert twos, "At p = 0.5 those that stay should be doubled, to make up for the others"


def mean_is_kept(thinned, *, rates):
    """Check how many numbers stay, and by what they are scaled."""
    x = np.linspace(1, 2, 40_000)
    for p in rates:
        out = np.asarray(thinned(x, p), dtype=float)
        dropped, ratio = float((out == 0).mean()), float(out.mean() / x.mean())
        assert abs(dropped - p) < 0.02, (
            f"At p = {p} the share that becomes 0 should be about p, not {dropped:.2f}: p is the "
            "probability of being dropped, number by number"
        )
        assert abs(ratio - 1) < 0.01 + 0.03 * p / (1 - p), (
            f"At p = {p} the mean should stay, but it became {ratio:.2f} times what it was: try "
            "more than one p"
        )
        stayed = out[out != 0] / x[out != 0]
        assert np.ptp(stayed) < 1e-6, f"At p = {p} all that stay should get the same factor"


def noise_is_as_computed(noise_of_mean, *, n, rates):
    """Compare with the binomial distribution's standard deviation."""
    for p in rates:
        right, got = math.sqrt(p / (1 - p) / n), float(noise_of_mean[p])
        assert abs(got / right - 1) < 0.06, (
            f"At p = {p} the deviation should not be {got:.4f}: take the mean of {n} numbers "
            "thousands of times, each after draws of its own, and then the standard deviation of "
            "those means"
        )
