"""An initialisation for an activation that no table has: derive it, and measure."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise

QUESTION = r"""
A layer is a linear map without a bias, $z = x W^\top$, followed by the activation function $f$, where $f(z)$ is $z$ if $z > 0$ and ${{slope}}\,z$ otherwise. Write `bent_weights`, which draws normally distributed weights such that $f(z)$, the output of a layer, has on average the same mean square as its input $x$. (Between the two, at $z$, the mean square may be another.)

Then measure. Send 20 standard normal inputs through each of 30 networks with {{width}} neurons in each layer. `signal_at[depth]` is the mean square of what comes out of the layer number `depth`, after $f$, divided by the mean square of the network's input, and averaged over the 30 networks, which have other random weights. Do so for the depths {{depths}}. How far apart are the 30 networks?
"""
STARTER = '''
depths = {depths}

def bent_weights(n_in, n_out, rng):
    """rng a numpy Generator; return an array (n_out, n_in)"""
    ...

signal_at = {{depth: ... for depth in depths}}
'''
HINT = r"What is the mean of $f(z)^2$, if $z$ is as often above 0 as below, with the mean square 1 on both sides?"
SOLUTION = """
depths = DEPTHS
SLOPE = VALUE

def bent_weights(n_in, n_out, rng):
    std = STD
    return std * rng.standard_normal((n_out, n_in))

def mean_square(depth, rng):
    x = rng.standard_normal((20, WIDTH))
    for _ in range(depth):
        z = x @ bent_weights(WIDTH, WIDTH, rng).T
        x = np.where(z > 0, z, SLOPE * z)
    return (x**2).mean()

rng = np.random.default_rng(0)
signal_at = {n: np.mean([mean_square(n, rng) for _ in range(30)]) for n in depths}
"""
TRIAL = """
rng = np.random.default_rng(2)
for n_in, n_out in [(300, 60), (60, 300)]:
    x = rng.normal(size=(500, n_in))
    z = x @ bent_weights(n_in, n_out, rng).T
    f = np.where(z > 0, z, SLOPE * z)
    check(f"mean square from {n_in} to {n_out} neurons", (f**2).mean(), 1, 0.1)
for depth in depths:
    check(f"signal after {depth} layers", signal_at[depth], at_least=0.6, at_most=1.7)
"""
EXPLANATION = r"""
A layer's sum has the mean square $n_\text{in}\,\sigma^2$ times that of its input, and $f$ keeps the share $\tfrac12 (1 + s^2)$ of it, with $s = {{slope}}$. So $\sigma^2 = 2 / \big((1 + s^2)\, n_\text{in}\big)$, which is He's for $s = 0$. Measured after $f$, the mean over the networks stays near 1 at every depth. (Measured at $z$, before $f$, it would be $2 / (1 + s^2)$.) Single networks are the further from 1 the deeper they are, because each layer multiplies the mean square by a number near 1 that depends on its random weights.

To grade by hand, besides the checks: is it said how far apart the networks are, and that it grows with depth (1 point)?
"""
STDS = {
    "right": "math.sqrt(2 / ((1 + SLOPE**2) * n_in))",
    "slope forgotten: He's initialisation": "math.sqrt(2 / n_in)",
    "as if nothing was bent": "math.sqrt(1 / n_in)",
    "the wrong side of the matrix": "math.sqrt(2 / ((1 + SLOPE**2) * n_out))",
    "the variance for the standard deviation": "2 / ((1 + SLOPE**2) * n_in)",
}


def exercise(
    slope: float = 0.5, depths: tuple[int, ...] = (1, 5, 20), width: int = 200, seed: int = 0
) -> Exercise:
    """Return the exercise for this `slope` below 0."""
    known = {"DEPTHS": list(depths), "VALUE": slope, "WIDTH": width}

    def fill(std: str) -> str:
        code = SOLUTION.replace("STD", std, 1)
        for name, value in known.items():
            code = code.replace(name, str(value))
        return code

    given = {"slope": slope, "seed": seed}
    return Exercise(
        id="neural-networks-kept-signal",
        title="An initialisation of your own",
        kind="measure",
        difficulty=2,
        minutes=25,
        points=4,
        question=QUESTION,
        starter=STARTER.format(depths=list(depths)),
        hint=HINT,
        solution=fill(STDS["right"]),
        explanation=EXPLANATION,
        values={
            "slope": slope,
            "depths": ", ".join(map(str, depths)),
            "width": width,
        },
        visible=(Check(weights_are_normal), Check(signals_are_there, {"depths": depths})),
        hidden=(Check(spread_is_right, given), Check(signal_is_kept, {"depths": depths})),
        wrong_answers={mistake: fill(std) for mistake, std in STDS.items() if mistake != "right"},
        words=True,
        by_hand=1,
        trial=TRIAL.replace("SLOPE", str(slope)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a slope that makes a difference, depths, and numbers."""
    return {
        "slope": rng.choice([0.4, 0.6, 0.7, -0.4, -0.5, -0.6, -0.7]),
        "depths": rng.choice([(1, 4, 16), (1, 6, 18), (2, 6, 18)]),
        "width": rng.choice([180, 220, 240]),
        "seed": rng.randrange(10_000),
    }


# -- checks --------------------------------------------------------------------------------------


def weights_are_normal(bent_weights):
    """Check the shape, that weights differ, and that their mean is 0."""
    weights = np.asarray(bent_weights(300, 200, np.random.default_rng(1)))
    assert weights.shape == (200, 300), (
        f"bent_weights(300, 200, rng) should return an array (200, 300), got {weights.shape}"
    )
    assert abs(weights.mean()) < 0.05 * weights.std(), "The weights should have a mean of about 0"
    assert np.abs(weights).max() > 3 * weights.std(), "The weights should be normal, with tails"


def signals_are_there(signal_at, *, depths):
    """Check that there is a number above 0 for each depth."""
    absent = [n for n in depths if not float(signal_at.get(n, 0)) > 0]
    assert not absent, f"signal_at needs a number above 0 for each depth; missing: {absent}"


def spread_is_right(bent_weights, *, slope, seed):
    """Send a signal through one layer that is not square, with the given slope below 0."""
    rng = np.random.default_rng(seed)
    for n_in, n_out in ((400, 100), (100, 400)):
        x = rng.standard_normal((400, n_in))
        z = x @ np.asarray(bent_weights(n_in, n_out, rng)).T
        kept = float((np.where(z > 0, z, slope * z) ** 2).mean())
        assert abs(kept - 1) < 0.08, (
            f"From {n_in} to {n_out} neurons the mean square is multiplied by {kept:.3f}, and "
            "should be kept: how many products are summed, and what does f leave of the sum?"
        )


def signal_is_kept(signal_at, *, depths):
    """Compare what was measured with what should be."""
    for depth in depths:
        got = float(signal_at[depth])
        assert 0.6 < got < 1.7, (
            f"After {depth} layers the mean square should be near that of the input; you measured "
            f"{got:.3g} times as much"
        )
