"""Judge two guesses of a draft by hand, and find how many tokens a call gives."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
At some place the target has $p = ({{p}})$ over four tokens, and the draft has $q = ({{q}})$. Tokens are counted from 0, and the random number for the decision is $u = {{u}}$ both times.

The draft guesses token {{one}}. With what probability is it accepted? Another time it guesses token {{two}}. With what probability is this one accepted? One of the guesses is rejected. From which distribution is a token drawn in its place, and which token is it if the second random number is ${{v}}$?

Now let every place be like this one. What share $\alpha$ of all guesses is accepted? With {{n}} guesses in a round, how many tokens does a call of the target give on average? How many times as fast as the target alone is this, if one guess takes {{cost}} of the time of a call of the target? (Write three digits after the point.)
"""
STARTER = """
accepted_one = ...
accepted_two = ...
drawn_instead_from = [..., ..., ..., ...]
drawn_instead = ...
share_accepted = ...
tokens_a_call = ...
times_as_fast = ...
"""
HINT = r"A guess $x$ is accepted with probability $\min(1, p(x) / q(x))$. The residual has only those tokens of which the draft gives too little. For the last part, use {eq}`eq-decoding-tokens`; a round takes the time of one call of the target and of all guesses."
EXPLANATION = r"""
Token {{one}} is accepted with probability {{accepted_one}} and token {{two}} with probability {{accepted_two}}. As $u = {{u}}$ lies between them, token {{rejected}} is rejected. The draft gives too little of the tokens with $\max(0, p - q) = ({{missing}})$, together {{total}}, so the residual is $({{residual}})$. Its sums are {{sums}}, and ${{v}}$ falls into token {{drawn}}.

Take the smaller of both probabilities for each token. Together they are $\alpha = {{alpha}}$, which is $1 - {{total}}$. A call gives $1 + \alpha + \dots + \alpha^{{{n}}} = {{tokens}}$ tokens. A round takes $1 + {{n}} \cdot {{cost}} = {{round}}$ times as long as a call of the target, so speculative decoding is {{speed}} times as fast.
"""


def exercise(
    p: tuple[int, ...] = (12, 40, 20, 28),
    q: tuple[int, ...] = (30, 20, 32, 18),
    guesses: tuple[int, int] = (2, 0),
    u: float = 0.5,
    v: float = 0.8,
    n_guesses: int = 3,
    cost: float = 0.1,
) -> Exercise:
    """Return the exercise for two distributions, in percent, and what is drawn."""
    right = judged(p, q, guesses, u, v, n_guesses, cost)
    return Exercise(
        id="generation-guesses-by-hand",
        title="One guess stays, one goes",
        kind="by hand",
        difficulty=2,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=_texts(p, q, guesses, u, v, n_guesses, cost),
        visible=(Check(all_are_in_range),),
        hidden=(
            Check(decisions_are_right, {"right": right}),
            Check(speed_is_right, {"right": right}),
        ),
        wrong_answers=_wrong_answers(p, q, guesses, n_guesses, cost, right),
        public_solution=True,
    )


def judged(
    p: tuple[int, ...],
    q: tuple[int, ...],
    guesses: tuple[int, int],
    u: float,
    v: float,
    n_guesses: int,
    cost: float,
) -> dict[str, Any]:
    """Return what is asked for."""
    pairs = list(zip(p, q, strict=True))
    missing = [max(0, a - b) for a, b in pairs]
    residual = [m / sum(missing) for m in missing]
    alpha = sum(map(min, pairs)) / 100
    tokens = sum(alpha**i for i in range(n_guesses + 1))
    return {
        "accepted_one": min(1.0, p[guesses[0]] / q[guesses[0]]),
        "accepted_two": min(1.0, p[guesses[1]] / q[guesses[1]]),
        "drawn_instead_from": residual,
        "drawn_instead": next(i for i in range(4) if sum(residual[: i + 1]) > v),
        "share_accepted": alpha,
        "tokens_a_call": tokens,
        "times_as_fast": tokens / (1 + n_guesses * cost),
    }


def _answer(values: dict[str, Any]) -> str:
    def shown(value: Any) -> Any:
        return [shown(v) for v in value] if isinstance(value, list) else round(value, 6)

    return "\n".join(f"{name} = {shown(value)}" for name, value in values.items())


def _texts(
    p: tuple[int, ...],
    q: tuple[int, ...],
    guesses: tuple[int, int],
    u: float,
    v: float,
    n_guesses: int,
    cost: float,
) -> dict[str, Any]:
    right = judged(p, q, guesses, u, v, n_guesses, cost)
    residual = right["drawn_instead_from"]
    missing = [max(0, a - b) / 100 for a, b in zip(p, q, strict=True)]
    return {
        "p": ", ".join(f"{a / 100:.2f}" for a in p),
        "q": ", ".join(f"{b / 100:.2f}" for b in q),
        "one": guesses[0],
        "two": guesses[1],
        "rejected": guesses[0] if right["accepted_one"] < u else guesses[1],
        "u": f"{u:.2f}",
        "v": f"{v:.2f}",
        "n": n_guesses,
        "cost": f"{cost:g}",
        "accepted_one": f"{right['accepted_one']:.3f}",
        "accepted_two": f"{right['accepted_two']:.3f}",
        "missing": ", ".join(f"{m:.2f}" for m in missing),
        "total": f"{sum(missing):.2f}",
        "residual": ", ".join(f"{r:.3f}" for r in residual),
        "sums": ", ".join(f"{sum(residual[: i + 1]):.3f}" for i in range(4)),
        "drawn": right["drawn_instead"],
        "alpha": f"{right['share_accepted']:.2f}",
        "tokens": f"{right['tokens_a_call']:.3f}",
        "round": f"{1 + n_guesses * cost:g}",
        "speed": f"{right['times_as_fast']:.3f}",
    }


def _wrong_answers(
    p: tuple[int, ...],
    q: tuple[int, ...],
    guesses: tuple[int, int],
    n_guesses: int,
    cost: float,
    right: dict[str, Any],
) -> dict[str, str]:
    alpha, tokens = right["share_accepted"], right["tokens_a_call"]
    missing = [max(0, a - b) / 100 for a, b in zip(p, q, strict=True)]
    turned = {
        name: min(1.0, q[x] / p[x])
        for name, x in zip(("accepted_one", "accepted_two"), guesses, strict=True)
    }
    return {
        "the two models exchanged": _answer(right | turned),
        "drawn from the target itself": _answer(
            right | {"drawn_instead_from": [a / 100 for a in p]}
        ),
        "the residual is not divided by its sum": _answer(right | {"drawn_instead_from": missing}),
        "the token that the target adds is forgotten": _answer(
            right | {"tokens_a_call": tokens - 1}
        ),
        "every guess counts, also after a rejection": _answer(
            right | {"tokens_a_call": 1 + n_guesses * alpha}
        ),
        "guesses take no time": _answer(right | {"times_as_fast": tokens}),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw distributions, and random numbers that accept one guess and reject the other."""
    while True:
        p, q = _percent(rng), _percent(rng)
        ratios = [min(1.0, a / b) for a, b in zip(p, q, strict=True)]
        guesses = tuple(rng.sample(range(4), 2))
        low, high = sorted(ratios[x] for x in guesses)
        missing = [max(0, a - b) for a, b in zip(p, q, strict=True)]
        alpha = sum(map(min, zip(p, q, strict=True))) / 100
        given = {
            "p": p,
            "q": q,
            "guesses": guesses,
            "u": round((low + high) / 2, 2),
            "v": rng.choice((0.15, 0.25, 0.35, 0.65, 0.75, 0.85)),
            "n_guesses": rng.choice((2, 3, 4, 5)),
            "cost": rng.choice((0.05, 0.1, 0.15, 0.2, 0.25)),
        }
        sums = [sum(missing[: i + 1]) / (sum(missing) or 1) for i in range(4)]
        if (
            high - low > 0.2
            and high < 1
            and sum(m > 0 for m in missing) == 2
            and 0.5 < alpha < 0.9
            and min(abs(s - given["v"]) for s in sums) > 0.03
        ):
            return given


def _percent(rng: random.Random) -> tuple[int, ...]:
    cuts = sorted(rng.sample(range(5, 100), 3))
    return tuple(b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True))


# -- checks --------------------------------------------------------------------------------------


def all_are_in_range(
    accepted_one, accepted_two, drawn_instead_from, drawn_instead, share_accepted, tokens_a_call
):
    """Check that probabilities are probabilities, and that a call gives one token or more."""
    given = {
        "accepted_one": accepted_one,
        "accepted_two": accepted_two,
        "share_accepted": share_accepted,
    }
    for name, value in given.items():
        assert 0 <= array(value).item() <= 1, f"{name} should be a probability, got {value}"
    row = array(drawn_instead_from).ravel()
    assert len(row) == 4, f"drawn_instead_from should hold 4 numbers, got {len(row)}"
    assert abs(row.sum() - 1) < 3e-3, (
        f"drawn_instead_from should sum to 1, but sums to {row.sum():.3f}"
    )
    assert array(drawn_instead).item() in (0, 1, 2, 3), (
        f"drawn_instead should be one of the tokens 0, 1, 2 and 3, got {drawn_instead}"
    )
    assert array(tokens_a_call).item() >= 1, (
        f"Each call of the target gives at least one token, got {tokens_a_call}"
    )


def decisions_are_right(accepted_one, accepted_two, drawn_instead_from, drawn_instead, *, right):
    """Check both guesses, and what is drawn instead of the one that is rejected."""
    for name, value in (("accepted_one", accepted_one), ("accepted_two", accepted_two)):
        assert close(value, right[name], name), (
            f"{name} is not right: by which of the two models is the other one divided?"
        )
    assert close(drawn_instead_from, right["drawn_instead_from"], "drawn_instead_from"), (
        "drawn_instead_from is not right: of which tokens does the draft give too little, and how "
        "much?"
    )
    assert array(drawn_instead).item() == right["drawn_instead"], (
        "drawn_instead is not right: put the probabilities side by side, and look where the second "
        "random number falls"
    )


def speed_is_right(share_accepted, tokens_a_call, times_as_fast, *, right):
    """Check the share of accepted guesses, the tokens of a call, and the speed."""
    assert close(share_accepted, right["share_accepted"], "share_accepted"), (
        "share_accepted is not right: token by token, how often is it guessed and accepted?"
    )
    assert close(tokens_a_call, right["tokens_a_call"], "tokens_a_call"), (
        "tokens_a_call is not right: a guess only counts if all before it were accepted, and the "
        "target always adds one token"
    )
    assert close(times_as_fast, right["times_as_fast"], "times_as_fast"), (
        "times_as_fast is not right: divide the tokens of a round by the time that it takes"
    )
