"""Predict how many tokens each sampler leaves, and how probable the first one becomes."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion.generation import MinP, Temperature, TopK, TopP
from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
Five tokens have the probabilities ${{probabilities}}$. Four settings are tried, each on these numbers:

- (a) top-k with $k = {{k}}$;
- (b) top-p with $p = {{p}}$;
- (c) min-p with $p = {{least}}$;
- (d) temperature {{tau}} first, and then top-p with $p = {{p}}$.

For each setting, how many tokens can still be drawn? And how probable is the first token then, after the division by the sum? Write down your predictions first, with three digits after the point, and then run the samplers.
"""
STARTER = """
tokens_left = {"a": ..., "b": ..., "c": ..., "d": ...}
share_of_first = {"a": ..., "b": ..., "c": ..., "d": ...}
"""
HINT = r"For top-p, add up the probabilities from the left until the sum reaches $p$; the token that reaches it stays. Min-p compares with $p$ times the largest probability. For (d), raise each probability to the power $1 / \tau$ and divide by the sum before you add up."
EXPLANATION = r"""
(a) {{k}} tokens stay, with the sum {{sum_a}}, so the first one gets ${{first}} / {{sum_a}} = {{share_a}}$. (b) The sums from the left are {{sums}}. The number of tokens that reach {{p}} together is {{left_b}}, so the first token gets {{share_b}}. (c) The threshold is ${{least}} \cdot {{first}} = {{threshold}}$. The number of tokens that reach it is {{left_c}}, and the first one gets {{share_c}}. (d) The temperature changes the probabilities to {{changed}}, whose sums are {{changed_sums}}. Now the number of tokens that reach {{p}} together is {{left_d}}, and the first one gets {{share_d}}. The same top-p keeps another number of tokens because the temperature came before it.
"""
TRIAL = """
five = torch.tensor([PROBABILITIES]).log()
settings = {
    "a": [generation.TopK(K)],
    "b": [generation.TopP(MASS)],
    "c": [generation.MinP(LEAST)],
    "d": [generation.Temperature(TAU), generation.TopP(MASS)],
}
for name, samplers in settings.items():
    z = five
    for sampler in samplers:
        z = sampler(z)
    q = z.softmax(dim=-1)[0]
    check(f"({name}) tokens left", tokens_left[name], int((q > 0).sum()), 0)
    check(f"({name}) share of the first", share_of_first[name], q[0].item(), 1e-3)
"""


def exercise(
    probabilities: tuple[float, ...] = (0.38, 0.26, 0.17, 0.12, 0.07),
    k: int = 4,
    p: float = 0.75,
    least: float = 0.6,
    tau: float = 0.5,
) -> Exercise:
    """Return the exercise for a distribution and the settings of the samplers."""
    given = {"probabilities": probabilities, "k": k, "p": p, "least": least, "tau": tau}
    left, share = outcomes(**given)
    trial = TRIAL
    for name, value in (
        ("PROBABILITIES", list(probabilities)),
        ("K", k),
        ("MASS", p),
        ("LEAST", least),
        ("TAU", tau),
    ):
        trial = trial.replace(f"({name})", f"({value})").replace(f"[{name}]", f"[{value}]")
    return Exercise(
        id="generation-tokens-left",
        title="Who is left?",
        kind="predict",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(left, share),
        explanation=EXPLANATION,
        values=_texts(given, left, share),
        visible=(Check(all_are_possible),),
        hidden=(Check(counts_of_tokens_come_true, given), Check(shares_come_true, given)),
        wrong_answers=_wrong_answers(given, left, share),
        public_solution=True,
        trial=trial,
    )


def outcomes(
    probabilities: tuple[float, ...], k: int, p: float, least: float, tau: float
) -> tuple[dict[str, int], dict[str, float]]:
    """Run the four settings; return the tokens left, and the share of the first."""
    settings = {
        "a": [TopK(k)],
        "b": [TopP(p)],
        "c": [MinP(least)],
        "d": [Temperature(tau), TopP(p)],
    }
    left, share = {}, {}
    for name, samplers in settings.items():
        z = torch.tensor([probabilities], dtype=torch.float64).log()
        for sampler in samplers:
            z = sampler(z)
        q = z.softmax(dim=-1)[0]
        left[name], share[name] = int((q > 0).sum()), q[0].item()
    return left, share


def _answer(left: dict[str, int], share: dict[str, float]) -> str:
    rounded = {name: round(value, 6) for name, value in share.items()}
    return f"tokens_left = {left}\nshare_of_first = {rounded}"


def _wrong_answers(
    given: dict[str, Any], left: dict[str, int], share: dict[str, float]
) -> dict[str, str]:
    first = given["probabilities"][0]
    few = {name: left[name] - 1 for name in "bd"}
    absolute = sum(p >= given["least"] for p in given["probabilities"])
    turned = outcomes(**{**given, "tau": 1 / given["tau"]})
    return {
        "the token that reaches p is dropped": _answer(left | few, share),
        "min-p taken for a probability": _answer(left | {"c": absolute}, share),
        "not divided by the sum": _answer(left, share | dict.fromkeys("abc", first)),
        "multiplied by the temperature": _answer(
            left | {"d": turned[0]["d"]}, share | {"d": turned[1]["d"]}
        ),
        "the temperature comes last": _answer(left | {"d": left["b"]}, share),
    }


def _texts(given: dict[str, Any], left: dict[str, int], share: dict[str, float]) -> dict[str, Any]:
    p = given["probabilities"]
    powers = [q ** (1 / given["tau"]) for q in p]
    changed = [q / sum(powers) for q in powers]
    return {
        "probabilities": ", ".join(f"{q:.2f}" for q in p),
        "k": given["k"],
        "p": f"{given['p']:g}",
        "least": f"{given['least']:g}",
        "tau": f"{given['tau']:g}",
        "first": f"{p[0]:.2f}",
        "sum_a": f"{sum(p[: given['k']]):.2f}",
        "sums": ", ".join(f"{q:.2f}" for q in sums(p)),
        "threshold": f"{given['least'] * p[0]:.3f}",
        "changed": ", ".join(f"{q:.3f}" for q in changed),
        "changed_sums": ", ".join(f"{q:.3f}" for q in sums(changed)),
        **{f"left_{name}": count for name, count in left.items()},
        **{f"share_{name}": f"{value:.3f}" for name, value in share.items()},
    }


def sums(numbers: Any) -> list[float]:
    """Return the sums from the left."""
    return [sum(numbers[: i + 1]) for i in range(len(numbers))]


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a distribution and settings for which no number lies on a border."""
    while True:
        cuts = sorted(rng.sample(range(5, 100), 4))
        parts = sorted((b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)), reverse=True)
        given = {
            "probabilities": tuple(part / 100 for part in parts),
            "k": rng.choice((2, 3, 4)),
            "p": rng.choice((0.6, 0.65, 0.7, 0.75, 0.8, 0.85)),
            "least": rng.choice((0.2, 0.25, 0.3, 0.4, 0.5, 0.6)),
            "tau": rng.choice((0.5, 2.0)),
        }
        if _is_clear(given):
            return given


def _is_clear(given: dict[str, Any]) -> bool:
    """Tell whether every mistake shows, and nothing is decided by rounding."""
    p, k, least = given["probabilities"], given["k"], given["least"]
    if len(set(p)) < 5 or p[-1] < 0.03 or p[0] > 0.6:
        return False
    left, _ = outcomes(**given)
    powers = [q ** (1 / given["tau"]) for q in p]
    changed = [q / sum(powers) for q in powers]
    borders = [abs(q - given["p"]) for q in (*sums(p), *sums(changed))]
    borders += [abs(q - least * p[0]) for q in p]
    turned, _ = outcomes(**{**given, "tau": 1 / given["tau"]})
    absolute = sum(q >= least for q in p)
    return (
        min(borders) > 0.008
        and left["b"] != left["d"] != turned["d"]
        and absolute != left["c"] < 5
        and len({k, *left.values()}) >= 3
    )


# -- checks --------------------------------------------------------------------------------------


def all_are_possible(tokens_left, share_of_first):
    """Check that there are four counts from 1 to 5, and four probabilities."""
    for name in "abcd":
        there = name in tokens_left, name in share_of_first
        assert all(there), f"Both dictionaries should have an answer for ({name})"
        count, share = array(tokens_left[name]).item(), array(share_of_first[name]).item()
        assert count in (1, 2, 3, 4, 5), (
            f"({name}) should leave a whole number of tokens, from 1 to 5, got {count:g}"
        )
        assert 0 < share <= 1, f"({name}) should give a probability, got {share:g}"


def counts_of_tokens_come_true(tokens_left, *, probabilities, k, p, least, tau):
    """Run the four settings and count."""
    truth, _ = outcomes(tuple(probabilities), k, p, least, tau)
    wrong = [name for name in truth if array(tokens_left[name]).item() != truth[name]]
    assert "a" not in wrong, "(a) leaves another number of tokens: what is k?"
    assert "b" not in wrong, (
        "(b) leaves another number of tokens: the fewest that have the probability p together stay"
    )
    assert "c" not in wrong, (
        "(c) leaves another number of tokens: the threshold is a share of the largest probability"
    )
    assert "d" not in wrong, (
        "(d) leaves another number of tokens: which sums does top-p see after the temperature?"
    )


def shares_come_true(share_of_first, *, probabilities, k, p, least, tau):
    """Run the four settings and compare the probability of the first token."""
    _, truth = outcomes(tuple(probabilities), k, p, least, tau)
    for name, value in truth.items():
        assert close(share_of_first[name], value, f"share_of_first of ({name})"), (
            f"The probability of the first token is not right in ({name}): what is left has to be "
            "divided by its sum"
        )
