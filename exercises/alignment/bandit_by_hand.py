"""The gradient of a bandit's expected reward by hand, and how far single estimates lie from it."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A bandit has three arms, which always pay ${{r_0}}$, ${{r_1}}$ and ${{r_2}}$. A policy pulls them with the probabilities $\pi = ({{p_0}}, {{p_1}}, {{p_2}})$, the softmax of three logits. REINFORCE pulls one arm $i$ and takes $(r_i - b)\,(e_i - \pi)$ as its estimate of the gradient of the expected reward, where $e_i$ is 1 at place $i$ and 0 elsewhere, and $b$ is the baseline. Compute, with three digits after the point or as fractions,

- the expected reward, and its exact gradient with respect to the three logits;
- for each of the three arms, the estimate that REINFORCE makes without a baseline ($b = 0$) if this arm is pulled: one row of three numbers for each arm;
- the variance of this estimate: its squared distance from the exact gradient, summed over the three logits, and averaged over the arms with the weights $\pi_i$;
- the variance if the expected reward is the baseline.
"""
STARTER = """
bandit_reward = ...
bandit_gradient = [..., ..., ...]
estimates_by_arm = [[..., ..., ...], [..., ..., ...], [..., ..., ...]]
variance_plain = ...
variance_centred = ...
"""
HINT = r"The exact gradient has the component $\pi_j\,(r_j - \sum_i \pi_i r_i)$. The mean of the three estimates, weighted by $\pi$, must be this gradient, which is a check of both. For the variance, compute the squared length of each estimate, take the weighted mean, and subtract the squared length of the gradient."
EXPLANATION = r"""
The expected reward is {{reward}}, and the gradient is ({{gradient}}): it raises the logits of the arms that pay more than this, each in proportion to how often it is pulled and by how much it pays more. Its components add up to 0. The estimates are {{rows}}, and their weighted mean is the gradient. Without a baseline every arm that pays anything raises its own logit when it is pulled, even the arms that pay less than the mean. Only the average over many pulls puts this right, and so the variance is {{plain}}, while the squared length of the gradient is {{square}}. With the expected reward for a baseline the weighted mean of the estimates is the same, because the mean of $e_i - \pi$ is 0, but the variance falls to {{centred}}. The number of pulls that a given accuracy takes is proportional to the variance, so the baseline divides it by {{factor}}.
"""
PARTS, PAYS = (2, 1, 1), (8, 10, 4)


def exercise(parts: tuple[int, ...] = PARTS, pays: tuple[int, ...] = PAYS) -> Exercise:
    """Return the exercise for shares of the arms, in parts of their sum, and what they pay."""
    right = answers(parts, pays)
    policy = [str(Fraction(part, sum(parts))) for part in parts]
    return Exercise(
        id="alignment-bandit-by-hand",
        title="One pull, one estimate",
        kind="by hand",
        difficulty=1,
        minutes=20,
        points=5,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=_texts(parts, pays, right),
        visible=(Check(estimates_have_the_gradient_as_mean, {"policy": policy}),),
        hidden=(
            Check(gradient_is_right, {"right": _plain(right)}),
            Check(variances_are_right, {"right": _plain(right)}),
        ),
        wrong_answers=_wrong_answers(parts, pays, right),
        public_solution=True,
    )


def policy_of(parts: tuple[int, ...]) -> list[Fraction]:
    """Return the probabilities of the arms."""
    return [Fraction(part, sum(parts)) for part in parts]


def estimates(parts: tuple[int, ...], pays: tuple[int, ...], baseline: Any) -> list[list[Any]]:
    """Return what REINFORCE takes for the gradient, for each arm that may be pulled."""
    p = policy_of(parts)
    return [[(pays[i] - baseline) * ((i == j) - p[j]) for j in range(3)] for i in range(3)]


def square(vector: list[Any]) -> Any:
    """Return the squared length."""
    return sum(x * x for x in vector)


def variance(parts: tuple[int, ...], pays: tuple[int, ...], baseline: Any) -> Any:
    """Return the variance of one estimate, summed over the logits."""
    p, rows = policy_of(parts), estimates(parts, pays, baseline)
    mean = [sum(p[i] * rows[i][j] for i in range(3)) for j in range(3)]
    return sum(p[i] * square(rows[i]) for i in range(3)) - square(mean)


def answers(parts: tuple[int, ...], pays: tuple[int, ...]) -> dict[str, Any]:
    """Return what is asked for, as fractions."""
    p = policy_of(parts)
    reward = sum(a * b for a, b in zip(p, pays, strict=True))
    return {
        "bandit_reward": reward,
        "bandit_gradient": [a * (b - reward) for a, b in zip(p, pays, strict=True)],
        "estimates_by_arm": estimates(parts, pays, 0),
        "variance_plain": variance(parts, pays, 0),
        "variance_centred": variance(parts, pays, reward),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(float(value), 6)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _rounded(value) for name, value in values.items()}


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in _plain(values).items())


def _row(vector: list[Any]) -> str:
    return ", ".join(f"${float(x):.3f}$" for x in vector)


def _texts(parts: tuple[int, ...], pays: tuple[int, ...], right: dict[str, Any]) -> dict[str, Any]:
    plain, centred = right["variance_plain"], right["variance_centred"]
    return {
        **{f"p_{i}": p for i, p in enumerate(policy_of(parts))},
        **{f"r_{i}": r for i, r in enumerate(pays)},
        "reward": f"{float(right['bandit_reward']):.3f}",
        "gradient": _row(right["bandit_gradient"]),
        "rows": ", ".join(f"({_row(row)})" for row in right["estimates_by_arm"]),
        "plain": f"{float(plain):.3f}",
        "centred": f"{float(centred):.3f}",
        "square": f"{float(square(right['bandit_gradient'])):.3f}",
        "factor": f"{float(plain / centred):.1f}",
    }


def _wrong_answers(
    parts: tuple[int, ...], pays: tuple[int, ...], right: dict[str, Any]
) -> dict[str, str]:
    p, plain = policy_of(parts), right["variance_plain"]
    rows = [[pays[i] * int(i == j) for j in range(3)] for i in range(3)]
    return {
        "the gradient with respect to the probabilities": _answer(
            right | {"bandit_gradient": list(pays)}
        ),
        "nothing is subtracted in the gradient": _answer(
            right | {"bandit_gradient": [a * b for a, b in zip(p, pays, strict=True)]}
        ),
        "only the pulled arm moves": _answer(right | {"estimates_by_arm": rows}),
        "estimates are weighted already": _answer(
            right
            | {
                "estimates_by_arm": [
                    [a * x for x in row]
                    for a, row in zip(p, right["estimates_by_arm"], strict=True)
                ]
            }
        ),
        "the squared length is not subtracted": _answer(
            right
            | {
                "variance_plain": plain + square(right["bandit_gradient"]),
                "variance_centred": right["variance_centred"] + square(right["bandit_gradient"]),
            }
        ),
        "a baseline changes nothing": _answer(right | {"variance_centred": plain}),
        "the mean over arms is the baseline": _answer(
            right | {"variance_centred": variance(parts, pays, Fraction(sum(pays), 3))}
        ),
        "the variance is a mean over logits": _answer(
            right | {"variance_plain": plain / 3, "variance_centred": right["variance_centred"] / 3}
        ),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw shares and payments for which the baseline helps, and in which mistakes show."""
    while True:
        parts = tuple(rng.randint(1, 5) for _ in range(3))
        pays = tuple(rng.sample(range(2, 13), 3))
        if sum(parts) in (4, 5, 8, 10) and (parts, pays) != (PARTS, PAYS) and _clear(parts, pays):
            return {"parts": parts, "pays": pays}


def _clear(parts: tuple[int, ...], pays: tuple[int, ...]) -> bool:
    right = answers(parts, pays)
    middle = variance(parts, pays, Fraction(sum(pays), 3))
    return (
        len(set(parts)) > 1
        and 3 * right["variance_centred"] < right["variance_plain"]
        and abs(middle - right["variance_centred"]) > 0.01
    )


# -- checks --------------------------------------------------------------------------------------


def estimates_have_the_gradient_as_mean(
    bandit_reward, bandit_gradient, estimates_by_arm, variance_plain, variance_centred, *, policy
):
    """Check shapes, signs, and that the estimates have the gradient for their mean."""
    gradient, rows = array(bandit_gradient).squeeze(), array(estimates_by_arm)
    assert gradient.shape == (3,), "bandit_gradient should hold 3 numbers, one for each logit"
    assert rows.shape == (3, 3), "estimates_by_arm should hold 3 rows of 3 numbers"
    for name, value in (
        ("bandit_reward", bandit_reward),
        ("variance_plain", variance_plain),
        ("variance_centred", variance_centred),
    ):
        assert array(value).size == 1, f"{name} should be a single number"
        assert array(value).item() > 0, f"{name} should be above 0 here, got {value}"
    assert abs(gradient.sum()) < 0.003, (
        f"The components of bandit_gradient should add up to 0, since the same number added to all "
        f"logits changes nothing; got {gradient.sum():.3f}"
    )
    p = array([int(n) / int(d or 1) for n, _, d in (x.partition("/") for x in policy)])
    assert abs(p @ rows - gradient).max() < 0.003, (
        "The mean of the three estimates, weighted by how often each arm is pulled, should be "
        "bandit_gradient"
    )


def gradient_is_right(bandit_reward, bandit_gradient, estimates_by_arm, *, right):
    """Check the expected reward, its gradient, and the three estimates."""
    assert close(bandit_reward, right["bandit_reward"], "bandit_reward"), (
        "bandit_reward is not right: weigh what each arm pays by how often it is pulled"
    )
    assert close(bandit_gradient, right["bandit_gradient"], "bandit_gradient"), (
        "bandit_gradient is not right: an arm counts by how much more it pays than the mean, and "
        "by how often it is pulled"
    )
    assert close(estimates_by_arm, right["estimates_by_arm"], "estimates_by_arm"), (
        "estimates_by_arm is not right: a pull moves all three logits, that of the pulled arm "
        "against the two others"
    )


def variances_are_right(variance_plain, variance_centred, *, right):
    """Check both variances."""
    assert close(variance_plain, right["variance_plain"], "variance_plain"), (
        "variance_plain is not right: it is a weighted mean of squared distances from the exact "
        "gradient, summed over the logits"
    )
    assert close(variance_centred, right["variance_centred"], "variance_centred"), (
        "variance_centred is not right: which number is subtracted from what every arm pays?"
    )
