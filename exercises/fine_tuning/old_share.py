"""How much of its language a model forgets, in nats, with old texts and without, by hand."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A toy language has three sentences. A model was pretrained on texts in which they have the shares $p = ({{p}})$, and it gives them exactly these probabilities. It is then fine-tuned on new texts with the shares $q = ({{q}})$, until it gives the sentences exactly the shares that they have in what it reads. A loss is the mean surprise of a sentence, in nats.

- By how much has its loss on the *old* texts grown?
- By what factor has its perplexity on the old texts grown?
- Another run mixes old texts in: {{percent}} % of what it reads are old sentences, and the rest are new ones. By how much does the loss on the old texts grow now?
- And by how much is its loss on the *new* texts above the lowest possible one?

(Write three digits after the point, or code that computes them.)
"""
STARTER = """
forgotten_nats = ...
perplexity_factor = ...
forgotten_with_replay = ...
price_of_replay = ...
"""
HINT = r"Before, the loss on the old texts is the entropy $-\sum p \ln p$. Afterwards the texts are the same, but the model has other probabilities $m$, so the loss is $-\sum p \ln m$. The difference is $\sum p \ln \frac{p}{m}$, which has a name. What are the shares in the mixture of texts that the second run reads?"
EXPLANATION = r"""
The loss on the old texts has grown by $\sum p \ln \frac{p}{q}$, the Kullback–Leibler divergence of the old probabilities $p$ from the new ones $q$: {{terms}}, together {{forgotten}} nats. The perplexity is $e$ to the loss, so it has grown by the factor $e^{{{forgotten}}} = {{factor}}$. With replay the run reads, and gives, the probabilities $m = ({{m}})$. Now $\sum p \ln \frac{p}{m} = {{replayed}}$, and $\sum q \ln \frac{q}{m} = {{price}}$.

The first number comes from sentences that are more frequent in the old texts than in the new ones. If one of them did not occur in the new texts at all, the forgetting would be infinite, since $\ln \frac{p}{q}$ grows without bound. With a share $\lambda$ of old texts, however small, no $\ln \frac{p}{m}$ is larger than $\ln \frac{1}{\lambda}$. So even a small share of old texts puts a bound on what is forgotten. Here it costs {{price}} nats on the new texts. Fine-tuning stops long before a model gives exactly the new shares, so these numbers say where it would lead in the end, and not where it stops.
"""
Shares = tuple[int, int, int]
PAGE: tuple[Shares, Shares, int] = ((5, 4, 1), (1, 2, 7), 20)


def exercise(p: Shares = PAGE[0], q: Shares = PAGE[1], percent: int = PAGE[2]) -> Exercise:
    """Return the exercise for old and new shares, in tenths, and percent of old texts."""
    right = forgotten(p, q, percent)
    return Exercise(
        id="fine-tuning-old-share",
        title="A few old texts",
        kind="by hand",
        difficulty=2,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=_texts(p, q, percent, right),
        visible=(Check(losses_are_possible, {"percent": percent}),),
        hidden=(
            Check(forgetting_is_right, {"right": right}),
            Check(replay_is_right, {"right": right}),
        ),
        wrong_answers=_wrong_answers(p, q, percent, right),
        public_solution=True,
    )


def divergence(p: Any, m: Any) -> float:
    """Return by how much the loss on texts with shares p is above their entropy."""
    return math.fsum(a * math.log(a / b) for a, b in zip(p, m, strict=True))


def tenths(shares: Shares) -> list[float]:
    """Return shares as numbers."""
    return [share / 10 for share in shares]


def mixture(p: Shares, q: Shares, percent: int) -> list[float]:
    """Return the shares in a mixture with so many percent of the first."""
    pairs = zip(p, q, strict=True)
    return [(percent * a + (100 - percent) * b) / 1000 for a, b in pairs]


def forgotten(p: Shares, q: Shares, percent: int) -> dict[str, float]:
    """Return what is asked for."""
    m = mixture(p, q, percent)
    lost = divergence(tenths(p), tenths(q))
    return {
        "forgotten_nats": round(lost, 6),
        "perplexity_factor": round(math.exp(lost), 6),
        "forgotten_with_replay": round(divergence(tenths(p), m), 6),
        "price_of_replay": round(divergence(tenths(q), m), 6),
    }


def _answer(values: dict[str, float]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in values.items())


def _texts(p: Shares, q: Shares, percent: int, right: dict[str, float]) -> dict[str, Any]:
    def joined(shares: list[float]) -> str:
        return ", ".join(f"{share:g}" for share in shares)

    a, b = tenths(p), tenths(q)
    terms = [rf"{x:g} \ln \frac{{{x:g}}}{{{y:g}}}" for x, y in zip(a, b, strict=True)]
    return {
        "p": joined(a),
        "q": joined(b),
        "m": joined([round(x, 6) for x in mixture(p, q, percent)]),
        "percent": percent,
        "terms": f"${' + '.join(terms)}$",
        "forgotten": f"{right['forgotten_nats']:.3f}",
        "factor": f"{right['perplexity_factor']:.3f}",
        "replayed": f"{right['forgotten_with_replay']:.3f}",
        "price": f"{right['price_of_replay']:.3f}",
    }


def _wrong_answers(p: Shares, q: Shares, percent: int, right: dict[str, float]) -> dict[str, str]:
    a, b, m = tenths(p), tenths(q), mixture(p, q, percent)
    turned = mixture(q, p, percent)
    entropy = -sum(x * math.log(x) for x in a)
    lost = right["forgotten_nats"]
    return {
        "the divergence the other way round": _answer(
            right
            | {
                "forgotten_nats": divergence(b, a),
                "perplexity_factor": math.exp(divergence(b, a)),
            }
        ),
        "the whole loss in place of its growth": _answer(
            right | {"forgotten_nats": lost + entropy}
        ),
        "in bits": _answer({k: v if "factor" in k else v / math.log(2) for k, v in right.items()}),
        "the shares of old and new exchanged": _answer(
            right
            | {
                "forgotten_with_replay": divergence(a, turned),
                "price_of_replay": divergence(b, turned),
            }
        ),
        "losses are mixed in place of texts": _answer(
            right | {"forgotten_with_replay": lost * (100 - percent) / 100}
        ),
        "measured from the model": _answer(
            right | {"forgotten_with_replay": divergence(m, a), "price_of_replay": divergence(m, b)}
        ),
        "the perplexity grows as the loss does": _answer(
            right | {"perplexity_factor": (entropy + lost) / entropy}
        ),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw shares such that much is forgotten, and a little replay takes most of it away."""
    while True:
        p, q = (_shares(rng) for _ in "pq")
        percent = rng.choice((10, 20, 25, 30, 40))
        right = forgotten(p, q, percent)
        lost, replayed = right["forgotten_nats"], right["forgotten_with_replay"]
        way_back = divergence(tenths(q), tenths(p))
        differ = (
            lost - way_back,
            replayed - lost * (100 - percent) / 100,
            replayed - right["price_of_replay"],
            replayed - divergence(mixture(p, q, percent), tenths(p)),
        )
        other = sorted(zip(p, q, strict=True)) != sorted(zip(*PAGE[:2], strict=True))
        if 0.4 < lost < 2 and min(map(abs, differ)) > 0.01 and other:
            return {"p": p, "q": q, "percent": percent}


def _shares(rng: random.Random) -> Shares:
    one, two = sorted(rng.sample(range(1, 10), 2))
    return (one, two - one, 10 - two)


# -- checks --------------------------------------------------------------------------------------


def losses_are_possible(
    forgotten_nats, perplexity_factor, forgotten_with_replay, price_of_replay, *, percent
):
    """Check that no number is below 0, and that replay keeps what was forgotten bounded."""
    given = {
        "forgotten_nats": forgotten_nats,
        "perplexity_factor": perplexity_factor,
        "forgotten_with_replay": forgotten_with_replay,
        "price_of_replay": price_of_replay,
    }
    for name, value in given.items():
        assert array(value).size == 1, f"{name} should be one number, got {value}"
        assert array(value).item() > 0, f"{name} should be above 0, got {value}"
    assert array(perplexity_factor).item() > 1, (
        "perplexity_factor should be above 1: the model was as good as possible on the old texts"
    )
    most = math.log(100 / percent) + 0.001
    assert array(forgotten_with_replay).item() < most, (
        f"With {percent} % of old texts no sentence can lose more than ln(100 / {percent}), which "
        f"is {most:.3f} nats"
    )


def forgetting_is_right(forgotten_nats, perplexity_factor, *, right):
    """Check what is forgotten without old texts."""
    assert close(forgotten_nats, right["forgotten_nats"], "forgotten_nats"), (
        "forgotten_nats is not right: compare two losses on the old texts, in nats, one with the "
        "old probabilities and one with the new"
    )
    assert close(perplexity_factor, right["perplexity_factor"], "perplexity_factor"), (
        "perplexity_factor is not right: how is the perplexity computed from the loss?"
    )


def replay_is_right(forgotten_with_replay, price_of_replay, *, right):
    """Check what is forgotten with old texts, and what that costs."""
    name = "forgotten_with_replay"
    assert close(forgotten_with_replay, right[name], name), (
        "forgotten_with_replay is not right: which probabilities does the model have after it has "
        "read the mixture, and on which texts is the loss taken?"
    )
    assert close(price_of_replay, right["price_of_replay"], "price_of_replay"), (
        "price_of_replay is not right: take the new texts, and compare the mixture with the best "
        "model of them"
    )
