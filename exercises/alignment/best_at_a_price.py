"""The best policy at a price by hand, and what drawing several answers comes to beside it."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A reference model gives three answers, with the probabilities $\pi_{\text{ref}} = ({{p_0}}, {{p_1}}, {{p_2}})$. Their rewards are ${{m_0}} \ln 2$, ${{m_1}} \ln 2$ and ${{m_2}} \ln 2$. Each nat of divergence from the reference costs $\beta = {{beta}}$. Compute, with three digits after the point,

- the policy $\pi^*$ with the largest value $\mathbb{E}_\pi[r] - \beta\,\mathrm{KL}(\pi \,\|\, \pi_{\text{ref}})$, its divergence from the reference, and its value;
- the policy that draws {{n}} answers from the reference, independently of each other, and keeps the one with the highest reward, its divergence from the reference, and its value at the same $\beta$.
"""
STARTER = """
priced_policy = [..., ..., ...]
priced_kl = ...
priced_value = ...
kept_policy = [..., ..., ...]
kept_kl = ...
kept_value = ...
"""
HINT = r"$e^{r/\beta}$ is a power of 2 for each answer. Multiply the reference by it, and divide by the sum $Z$; the best value is $\beta \ln Z$. The best of {{n}} answers has at most a given reward if each of the {{n}} has at most that reward. This gives the probability that the kept answer is *at most* as good, and differences of such numbers give the policy."
EXPLANATION = r"""
The factors $e^{r/\beta}$ are {{factors}}. Times the reference, they are in the ratio {{ratio}}, so that $\pi^* = ({{policy}})$. Its divergence is ${{kl}}$ and its value is $\beta \ln Z = {{value}}$, where $Z = {{z}}$. The best of {{n}} has at most the lowest reward with probability ${{low}}^{{n}}$, and at most the middle one with probability ${{middle}}^{{n}}$, where ${{low}}$ and ${{middle}}$ are the reference's probabilities. The differences give $({{kept}})$ in the order of the answers. Its divergence is ${{kept_kl}}$, which is below the bound $\ln {{n}} - {{less}}/{{n}} = {{bound}}$, and its value is ${{kept_value}}$. This is less than the value of $\pi^*$, as it must be: no policy has a larger value at this price. The difference is $\beta\,\mathrm{KL}(\pi_{\text{kept}} \,\|\, \pi^*)$. The best of {{n}} depends only on the order of the rewards, while $\pi^*$ depends on their size.
"""
PAGE: dict[str, Any] = {"parts": (4, 3, 1), "powers": (0, 1, 3), "beta": 2, "n": 2}


def exercise(
    parts: tuple[int, ...] = PAGE["parts"],
    powers: tuple[int, ...] = PAGE["powers"],
    beta: int = PAGE["beta"],
    n: int = PAGE["n"],
) -> Exercise:
    """Return the exercise for shares, powers of 2 to which rewards come, a price, and n draws."""
    given: dict[str, Any] = {"parts": tuple(parts), "powers": tuple(powers), "beta": beta, "n": n}
    right = answers(**given)
    return Exercise(
        id="alignment-best-at-a-price",
        title="The best policy, and the best of a few",
        kind="by hand",
        difficulty=2,
        minutes=25,
        points=6,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=_texts(right, **given),
        visible=(Check(policies_are_policies),),
        hidden=(
            Check(priced_policy_is_right, {"right": _plain(right)}),
            Check(kept_policy_is_right, {"right": _plain(right)}),
        ),
        wrong_answers=_wrong_answers(right, **given),
        public_solution=True,
    )


def _setting(parts: tuple[int, ...], powers: tuple[int, ...], beta: int) -> tuple[Any, Any]:
    """Return the reference and the rewards."""
    return np.array(parts) / sum(parts), beta * np.array(powers) * math.log(2)


def divergence(p: Any, q: Any) -> float:
    """Return how far p is from q, in nats."""
    return float(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


def kept(reference: Any, rewards: Any, n: int) -> Any:
    """Return the policy that keeps the best of n."""
    at_most = np.array([reference[rewards <= r].sum() ** n for r in rewards])
    below = np.array([reference[rewards < r].sum() ** n for r in rewards])
    return at_most - below


def answers(parts: tuple[int, ...], powers: tuple[int, ...], beta: int, n: int) -> dict[str, Any]:
    """Return what is asked for."""
    reference, rewards = _setting(parts, powers, beta)
    policy = reference * np.exp(rewards / beta)
    best, few = policy / policy.sum(), kept(reference, rewards, n)
    return {
        "priced_policy": best,
        "priced_kl": divergence(best, reference),
        "priced_value": beta * math.log(policy.sum()),
        "kept_policy": few,
        "kept_kl": divergence(few, reference),
        "kept_value": float(few @ rewards) - beta * divergence(few, reference),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: np.round(value, 6).tolist() for name, value in values.items()}


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in _plain(values).items())


def _texts(
    right: dict[str, Any], parts: tuple[int, ...], powers: tuple[int, ...], beta: int, n: int
) -> dict[str, Any]:
    reference, rewards = _setting(parts, powers, beta)
    order = np.argsort(rewards)
    low, middle = (reference[order[: i + 1]].sum() for i in range(2))
    ratio = [part * 2**power for part, power in zip(parts, powers, strict=True)]

    def row(numbers: Any) -> str:
        return ", ".join(f"{x:.3f}" for x in numbers)

    return {
        **{f"p_{i}": f"{p:g}" for i, p in enumerate(reference)},
        **{f"m_{i}": power * beta for i, power in enumerate(powers)},
        "beta": beta,
        "n": n,
        "less": n - 1,
        "factors": ", ".join(str(2**power) for power in powers),
        "ratio": " : ".join(map(str, ratio)),
        "policy": row(right["priced_policy"]),
        "kl": f"{right['priced_kl']:.3f}",
        "z": f"{sum(ratio) / sum(parts):g}",
        "value": f"{right['priced_value']:.3f}",
        "low": f"{low:g}",
        "middle": f"{middle:g}",
        "kept": row(right["kept_policy"]),
        "kept_kl": f"{right['kept_kl']:.3f}",
        "bound": f"{math.log(n) - (n - 1) / n:.3f}",
        "kept_value": f"{right['kept_value']:.3f}",
    }


def _of_policy(policy: Any, reference: Any, rewards: Any, beta: int) -> dict[str, Any]:
    kl = divergence(policy, reference)
    return {
        "priced_policy": policy,
        "priced_kl": kl,
        "priced_value": float(policy @ rewards) - beta * kl,
    }


def _wrong_answers(
    right: dict[str, Any], parts: tuple[int, ...], powers: tuple[int, ...], beta: int, n: int
) -> dict[str, str]:
    reference, rewards = _setting(parts, powers, beta)

    def tilted(weights: Any) -> dict[str, Any]:
        return _of_policy(weights / weights.sum(), reference, rewards, beta)

    best, few = right["priced_policy"], right["kept_policy"]
    at_most = np.array([reference[rewards <= r].sum() ** n for r in rewards])
    found = {
        "the reference is left out": tilted(np.exp(rewards / beta)),
        "the reward itself is the factor": tilted(reference * rewards),
        "the reference backwards": {
            "priced_kl": divergence(reference, best),
            "kept_kl": divergence(reference, few),
        },
        "the divergence is free": {
            "priced_value": float(best @ rewards),
            "kept_value": float(few @ rewards),
        },
        "the value without its price": {"priced_value": right["priced_value"] / beta},
        "at most as good is taken for as good": {"kept_policy": at_most / at_most.sum()},
        "powers of the reference": {"kept_policy": reference**n / (reference**n).sum()},
        "the bound is taken for the divergence": {"kept_kl": math.log(n) - (n - 1) / n},
    }
    if beta != 1:
        found["the price is left out of the exponent"] = tilted(reference * np.exp(rewards))
    else:
        del found["the value without its price"]
    return {why: _answer(right | values) for why, values in found.items()}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a reference in tenths or eighths, rewards, a price, and how many answers are drawn."""
    while True:
        parts = tuple(rng.randint(1, 6) for _ in range(3))
        given: dict[str, Any] = {
            "parts": parts,
            "powers": tuple(rng.sample(range(4), 3)),
            "beta": rng.choice((1, 2, 3)),
            "n": rng.choice((2, 3)),
        }
        if sum(parts) in (8, 10) and given != PAGE and _is_clear(**given):
            return given


def _is_clear(parts: tuple[int, ...], powers: tuple[int, ...], beta: int, n: int) -> bool:
    right = answers(parts, powers, beta, n)
    reference, _ = _setting(parts, powers, beta)
    far = (
        right["priced_kl"] - divergence(reference, right["priced_policy"]),
        right["priced_kl"] - right["kept_kl"],
        right["priced_value"] - right["kept_value"],
        math.log(n) - (n - 1) / n - right["kept_kl"],
    )
    return len(set(parts)) > 1 and min(map(abs, far)) > 0.003


# -- checks --------------------------------------------------------------------------------------


def policies_are_policies(priced_policy, priced_kl, priced_value, kept_policy, kept_kl, kept_value):
    """Check that both policies add up to 1, and that a divergence is above 0."""
    for name, value in (("priced_policy", priced_policy), ("kept_policy", kept_policy)):
        p = array(value).squeeze()
        assert p.shape == (3,), f"{name} should hold 3 probabilities, one for each answer"
        assert (p >= 0).all(), f"{name} should hold no number below 0"
        assert abs(p.sum() - 1) < 0.003, f"{name} should add up to 1, got {p.sum():.3f}"
    numbers = {
        "priced_kl": priced_kl,
        "kept_kl": kept_kl,
        "priced_value": priced_value,
        "kept_value": kept_value,
    }
    for name, value in numbers.items():
        assert array(value).size == 1, f"{name} should be a single number"
    for name in ("priced_kl", "kept_kl"):
        number = array(numbers[name]).item()
        assert number > 0, f"{name} should be above 0, since the policy is not the reference"


def priced_policy_is_right(priced_policy, priced_kl, priced_value, *, right):
    """Check the policy that is best at this price, and what it is worth."""
    assert close(priced_policy, right["priced_policy"], "priced_policy"), (
        "priced_policy is not right: how much does each reward count at this price, and what does "
        "the reference say of the answer before any reward?"
    )
    assert close(priced_kl, right["priced_kl"], "priced_kl"), (
        "priced_kl is not right: which of the two policies is the mean of the logarithms taken "
        "over?"
    )
    assert close(priced_value, right["priced_value"], "priced_value"), (
        "priced_value is not right: subtract from the expected reward what the divergence costs, "
        "at the price that is given"
    )


def kept_policy_is_right(kept_policy, kept_kl, kept_value, *, right):
    """Check the policy that draws several answers and keeps the best."""
    assert close(kept_policy, right["kept_policy"], "kept_policy"), (
        "kept_policy is not right: an answer is kept if at least one of those drawn is this one, "
        "and none is better"
    )
    assert close(kept_kl, right["kept_kl"], "kept_kl"), (
        "kept_kl is not right: compute it from the three probabilities, as for any policy"
    )
    assert close(kept_value, right["kept_value"], "kept_value"), (
        "kept_value is not right: subtract from the expected reward what the divergence costs, at "
        "the price that is given"
    )
