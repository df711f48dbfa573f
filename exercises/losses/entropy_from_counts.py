"""Entropy estimated from counts is too small, and by how much."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
Count the letters of a sample of $n$, and take their shares for probabilities. The entropy of those shares is the loss of a model that knows the sample by heart. By how many nats does it fall short of the true entropy, in the mean of many samples? How does that change when $n$ doubles?
"""
GIVEN = """
letter_chances = {chances}
sample_sizes = {sizes}
"""
STARTER = """
def counted_entropy(sample):
    \"\"\"sample (n,), letters as numbers; return nats\"\"\"
    ...

shortfall = {n: ... for n in sample_sizes}  # the mean of true minus counted
"""
HINT = "`np.bincount(sample)` counts; leave out what did not occur. Take the mean of some thousands of samples."
SOLUTION = """
rng = np.random.default_rng(0)
p = np.array(letter_chances)
true = -(p * np.log(p)).sum()

def counted_entropy(sample):
    share = np.bincount(sample) / len(sample)
    share = share[share > 0]
    return -(share * np.log(share)).sum()

def mean_shortfall(n, repeats=4000):
    samples = rng.choice(len(p), size=(repeats, n), p=p)
    return true - np.mean([counted_entropy(sample) for sample in samples])

shortfall = {n: mean_shortfall(n) for n in sample_sizes}
"""
TRIAL = """
torch.manual_seed(0)
check("entropy of four letters, once each", counted_entropy(np.arange(4)), math.log(4))
drawn = torch.distributions.Categorical(torch.tensor(letter_chances))
for n, found in shortfall.items():
    shares = torch.distributions.Multinomial(n, drawn.probs).sample((4000,)) / n
    counted = torch.distributions.Categorical(shares).entropy()
    short = (drawn.entropy() - counted.mean()).item()
    check(f"shortfall of {n} letters, by PyTorch", found, short, 0.2 * short + 0.003)
"""
EXPLANATION = r"""
The shares fit the sample better than the truth does, always: no distribution gives a sample a higher likelihood than its own shares. So the estimate is too small, in the mean by about $(K - 1) / 2n$ for $K$ letters, and doubling $n$ halves the shortfall. It is the same with a model of many parameters: the more it can adapt and the less it has seen, the deeper its training loss falls below what it would cost on new text.

To grade by hand, besides the checks: is it said that the shortfall about halves (1 point)?
"""
# Wrong answers know the truth, and spoil it.
SAMPLES = """
rng = np.random.default_rng(0)
p = np.array(letter_chances)
true = -(p * np.log(p)).sum()

def counted_entropy(sample):
    share = np.bincount(sample) / len(sample)
    share = share[share > 0]
    return -(share * LOG(share)).sum()

def mean_shortfall(n, repeats=4000):
    samples = rng.choice(len(p), size=(repeats, n), p=p)
    return TRUE - np.mean([counted_entropy(sample) for sample in samples])
"""


def exercise(
    chances: tuple[float, ...] = (0.4, 0.2, 0.15, 0.1, 0.1, 0.05),
    sizes: tuple[int, ...] = (20, 40, 80, 160),
) -> Exercise:
    """Return the exercise for letters of these `chances` and samples of these `sizes`."""
    given = GIVEN.format(chances=list(chances), sizes=list(sizes))
    known = {"chances": chances, "sizes": sizes}
    spoilt = SAMPLES.replace("LOG", "np.log").replace("TRUE", "true")
    in_bits = SAMPLES.replace("LOG", "np.log2").replace("TRUE", "true / math.log(2)")
    every = "shortfall = {n: mean_shortfall(n) for n in sample_sizes}"
    return Exercise(
        id="losses-entropy-from-counts",
        title="Below the floor by luck",
        kind="measure",
        difficulty=2,
        minutes=25,
        points=4,
        question=QUESTION,
        starter=f"{given}{STARTER}",
        hint=HINT,
        solution=f"{given}{SOLUTION}",
        explanation=EXPLANATION,
        visible=(
            Check(counted_entropy_is_in_nats),
            Check(shortfalls_are_complete, {"sizes": sizes}),
        ),
        hidden=(Check(shortfalls_are_as_computed, known),),
        wrong_answers={
            "bits for nats": f"{given}{in_bits}{every}",
            "the sign": f"{given}{spoilt}shortfall = {{n: -mean_shortfall(n) for n in sample_sizes}}",
            "a single sample": f"{given}{spoilt}shortfall = {{n: mean_shortfall(n, 1) for n in sample_sizes}}",
            "one size for all": f"{given}{spoilt}shortfall = dict.fromkeys(sample_sizes, mean_shortfall(sample_sizes[0]))",
        },
        words=True,
        by_hand=1,
        trial=TRIAL,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the chances of five to eight letters, and sizes that double."""
    parts = [rng.randrange(2, 12) for _ in range(rng.randrange(5, 9))]
    parts[0] += 20 - sum(parts) % 20  # twentieths, written without a tail
    start = rng.choice((16, 24, 25, 30))
    return {
        "chances": tuple(part / sum(parts) for part in parts),
        "sizes": tuple(start * 2**i for i in range(4)),
    }


# -- checks --------------------------------------------------------------------------------------


def counted_entropy_is_in_nats(counted_entropy):
    """Try samples whose entropy is known."""
    import numpy as np

    for sample, right in (([0, 1], math.log(2)), ([3, 3, 3], 0.0), ([0, 1, 2, 5], math.log(4))):
        got = float(counted_entropy(np.array(sample)))
        assert close(got, right, "counted_entropy"), (
            f"counted_entropy of {sample} should be {right:.4f} nats, got {got:.4f}"
        )


def shortfalls_are_complete(shortfall, *, sizes):
    """Check that there is a number for each size."""
    absent = [n for n in sizes if not math.isfinite(array(shortfall.get(n)).sum())]
    assert not absent, f"shortfall needs a number for each sample size; missing: {absent}"


def expected_shortfall(chances, n) -> float:
    """Return the exact mean, from the binomial distribution of each letter's count."""
    total = 0.0
    for p in chances:
        total -= p * math.log(p)
        for k in range(1, n + 1):
            chance = math.comb(n, k) * p**k * (1 - p) ** (n - k)
            total += chance * k / n * math.log(k / n)
    return total


def shortfalls_are_as_computed(shortfall, *, chances, sizes):
    """Compare with the exact mean."""
    for n in sizes:
        right = expected_shortfall(chances, n)
        got = float(shortfall[n])
        assert abs(got - right) < max(0.2 * right, 0.006), (
            f"For samples of {n} the mean shortfall should be near {right:.3f} nats, got "
            f"{got:.3f}: true entropy minus counted entropy, in the mean of many samples"
        )
