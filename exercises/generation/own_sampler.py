"""Write a sampler that the chapter does not have, as a function from logits to logits."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from exercises import Check, Exercise
from exercises.answers import array, close, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `own_sampler(z, amount)`, which works on one row of logits of shape (V,), like the samplers of the chapter. RULE A token that stays keeps its logit, and all others get minus infinity. Samplers are applied one after the other, so some logits may be minus infinity already: these tokens stay away, and they must not count in any way. Leave `z` as it was.
"""
# What takes the place of RULE, and of BODY in the solution.
RULES = {
    "typical": "It is **locally typical sampling**: a text of everyday language is seldom as predictable as it could be. The surprise of a token is $-\\ln p$, and its average is the entropy $H = -\\sum p \\ln p$. Sort the tokens by $|-\\ln p - H|$, the smallest first, and keep the first ones until their probabilities reach `amount` together.",
    "sigma": "It is **top-nσ sampling**: keep all tokens whose logit is at least the largest logit minus `amount` standard deviations of the logits. (Of $n$ numbers, divide by $n$.)",
    "epsilon": "It is **epsilon sampling**: keep all tokens whose probability is at least `amount`. If there is none, keep the most probable one.",
    "square": "It is **top-a sampling**: keep all tokens whose probability is at least `amount` times the *square* of the largest probability.",
}
BODIES = {
    "typical": """
    p = z.softmax(dim=0)
    surprise = -p.log()
    entropy = (p * surprise)[p > 0].sum()
    order = (surprise - entropy).abs().argsort()
    before = p[order].cumsum(dim=0) - p[order]
    return z.index_fill(0, order[before >= amount], -torch.inf)
""",
    "sigma": """
    sigma = z[z > -torch.inf].std(correction=0)
    return z.masked_fill(z < z.max() - amount * sigma, -torch.inf)
""",
    "epsilon": """
    p = z.softmax(dim=0)
    return z.masked_fill((p < amount) & (p < p.max()), -torch.inf)
""",
    "square": """
    p = z.softmax(dim=0)
    return z.masked_fill(p < amount * p.max() ** 2, -torch.inf)
""",
}
HINTS = {
    "typical": "Take $-\\ln p$ of all tokens first. `argsort` sorts, and `cumsum` adds up in that order. Which token is the last one to stay? And what is 0 times infinity in a computer?",
    "sigma": "A standard deviation of numbers of which one is minus infinity is not a number.",
    "epsilon": "Make probabilities of the logits, and compare. Which token stays in any case?",
    "square": "Make probabilities of the logits, and compare; `masked_fill` takes the result of a comparison.",
}
EXPLANATIONS = {
    "typical": "The token that reaches `amount` stays, so a token stays if the sum of those *before* it is smaller. A token with probability 0 has an infinite surprise; its product with 0 is not a number, so it is left out of the entropy. Unlike top-p, this sampler may drop the most probable token, if it is much less surprising than the average (Meister et al. 2023).",
    "sigma": "A temperature divides both the distance to the largest logit and the standard deviation, so it does not change which tokens stay. With top-p it does. Tokens that are away already have no finite logit, so they are left out of the standard deviation.",
    "epsilon": "The threshold does not depend on how certain the model is. If all probabilities are small, none of them may reach it, and then a sampler without the second rule leaves nothing to draw from.",
    "square": "The largest probability stays as long as `amount` is not above 1, since a square of a number below 1 is smaller than the number. If the model is certain, the threshold is high; if it is not, the square makes the threshold very low. Min-p does the same less strongly.",
}
STARTER = '''
def own_sampler(z, amount):
    """z: logits (V,), amount: a number -> logits (V,)"""
    ...
'''
TWISTS = {
    "dropped": Twist(
        "Return a second tensor: a boolean one of shape (V,), which is true for every token that cannot be drawn afterwards.",
        {"own_sampler": ("", "result = result, plain_own_sampler(z, amount) == -torch.inf")},
        {"-> logits (V,)": "-> logits (V,), dropped (V,)"},
    ),
    "probabilities": Twist(
        "Return the probabilities of what is left, divided by their sum, in place of the logits.",
        {"own_sampler": ("", "result = result.softmax(dim=0)")},
        {"-> logits (V,)": "-> probabilities (V,)"},
    ),
    "percent": Twist(
        "Here `amount` is given in percent: what is 0.5 above is 50 here.",
        {"own_sampler": ("amount = amount / 100", "")},
        {"amount: a number": "amount: in percent"},
    ),
}
AMOUNTS = {"typical": 0.6, "sigma": 1.0, "epsilon": 0.1, "square": 0.5}
TRIAL = """
six = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.06, 0.04]).log()
for amount, stay in CASES:
    kept = torch.isin(torch.arange(6), torch.tensor(stay))
    found = own_sampler(six.clone(), amount)
    check(f"{amount}: the tokens {stay} stay", found.exp(), six.exp() * kept, 1e-3)
    more = torch.cat((six, torch.tensor([-math.inf])))
    found = own_sampler(more, amount)
    check("the same beside a token that is away", found[:6].exp(), six.exp() * kept, 1e-3)
    check("it stays away", found[6].exp(), 0.0)
    check("z is as it was", bool((more[:6] == six).all()))
"""
# On the page: the amount, and the tokens that stay, for the rule of the page.
CASES = "((0.15, [1]), (0.6, [0, 1]))"


def exercise(rule: str = "typical", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise for one of the samplers."""
    given = {"rule": rule, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]
    solution = written(BODIES[rule])

    def filled(code: str) -> str:
        return wrapped(code, {"own_sampler": "z, amount"}, twisted)

    return Exercise(
        id="generation-own-sampler",
        title="One more sampler",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("RULE", RULES[rule]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINTS[rule],
        solution=filled(solution),
        explanation=EXPLANATIONS[rule],
        visible=(Check(row_has_its_shape, given), Check(logits_stay_as_they_were, given)),
        hidden=(Check(right_tokens_stay, given), Check(tokens_stay_away, given)),
        wrong_answers={m: filled(code) for m, code in _wrong_answers(rule, solution).items()},
        public_solution=True,
        trial="" if twists or rule != "typical" else TRIAL.replace("CASES", CASES),
    )


def written(body: str) -> str:
    """Return the function with such a body."""
    return "def own_sampler(z, amount):" + body


def _wrong_answers(rule: str, solution: str) -> dict[str, str]:
    own = {
        "typical": {
            "top-p": solution.replace("(surprise - entropy).abs()", "surprise"),
            "the token that reaches it is dropped": solution.replace(
                "before = p[order].cumsum(dim=0) - p[order]", "before = p[order].cumsum(dim=0)"
            ),
            "zero times infinity": solution.replace("[p > 0]", ""),
        },
        "sigma": {
            "tokens that are away count": solution.replace("[z > -torch.inf]", ""),
            "from the mean": solution.replace("z.max()", "z[z > -torch.inf].mean()"),
            "divided by n - 1": solution.replace("correction=0", "correction=1"),
        },
        "epsilon": {
            "a share of the largest": solution.replace("p < amount)", "p < amount * p.max())"),
            "nothing may be left": solution.replace("(p < amount) & (p < p.max())", "p < amount"),
        },
        "square": {
            "min-p": solution.replace(" ** 2", ""),
            "the square of the amount, too": solution.replace(
                "amount * p.max() ** 2", "(amount * p.max()) ** 2"
            ),
        },
    }
    return {
        **own[rule],
        "z is written to": solution.replace("_fill(", "_fill_("),
        "zero in place of minus infinity": solution.replace(", -torch.inf)", ", 0.0)"),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a sampler, logits, and twists."""
    return {
        "rule": rng.choice(sorted(RULES)),
        "seed": rng.randrange(10_000),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def stays(z, amount, rule):
    """Return which tokens stay, one after the other, in double precision."""
    z = [float(value) for value in z]
    finite = [value for value in z if value > -np.inf]
    powers = [float(np.exp(value - max(finite))) for value in z]
    p = [power / sum(powers) for power in powers]
    if rule == "sigma":
        return [value >= max(finite) - amount * np.std(finite) for value in z]
    if rule == "epsilon":
        return [q >= amount or q == max(p) for q in p]
    if rule == "square":
        return [q > 0 and q >= amount * max(p) ** 2 for q in p]
    surprise = {i: -np.log(q) for i, q in enumerate(p) if q > 0}
    entropy = sum(p[i] * value for i, value in surprise.items())
    kept, total = [], 0.0
    for i in sorted(surprise, key=lambda i: abs(surprise[i] - entropy)):
        if total < amount:
            kept.append(i)
        total += p[i]
    return [i in kept for i in range(len(z))]


def some_logits(seed, away=()):
    """Draw logits of 12 tokens, of which some are away."""
    z = 1.5 * torch.randn(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z[list(away)] = -torch.inf
    return z


def some_amounts(rule):
    """Return small and large amounts, for which the mistakes show."""
    amounts = {
        "typical": (0.15, 0.4, 0.65, 0.85),
        "sigma": (0.6, 1.1, 1.7, 2.3),
        "epsilon": (0.02, 0.06, 0.13, 0.9),
        "square": (0.15, 0.35, 0.7, 0.9),
    }
    return amounts[rule]


def is_clear(z, amount, rule):
    """Tell whether rounding decides nothing."""
    nearby = [stays(z, amount * factor, rule) for factor in (0.995, 1.0, 1.005)]
    return nearby[0] == nearby[1] == nearby[2]


def plain(own_sampler, twists):
    """Return the function as the page asks for it, with an array as a result."""

    def as_on_the_page(z, amount):
        result = own_sampler(z, 100 * amount if "percent" in twists else amount)
        if "dropped" in twists:
            result, dropped = parts(result, 2)
        found = array(result)
        assert found.shape == tuple(z.shape), (
            f"Logits of shape {tuple(z.shape)} should give numbers of the same shape, got "
            f"{found.shape}"
        )
        if "probabilities" in twists:
            assert abs(found.sum() - 1) < 0.01, (
                f"The probabilities should sum to 1, but sum to {found.sum():.3f}"
            )
        away = found == (0 if "probabilities" in twists else -np.inf)
        if "dropped" in twists:
            assert (array(dropped) == away).all(), (
                "The second tensor should be true for the tokens that cannot be drawn, and only "
                "for them"
            )
        return found, ~away

    return as_on_the_page


def compared(found, kept, z, right, twists):
    """Tell whether the tokens that stay are right, and their numbers, too."""
    if kept.tolist() != right:
        return False
    values = array(z)[right]
    if "probabilities" in twists:
        values = np.exp(values - values.max())
        values = values / values.sum()
    return close(found[kept], values, "own_sampler")


def row_has_its_shape(own_sampler, *, rule, seed, twists):
    """Check that a row of logits gives a row of the same shape, and that some tokens stay."""
    z = torch.arange(6, 0, -1, dtype=torch.float64)
    found, kept = plain(own_sampler, twists)(z, some_amounts(rule)[1])
    assert not np.isnan(found).any(), "The result should hold numbers, and has some that are not"
    assert kept.any(), "At least one token has to stay, or there is nothing to draw from"
    assert not kept.all(), (
        "Of these six tokens some have to go: their logits should be minus infinity"
    )


def logits_stay_as_they_were(own_sampler, *, rule, seed, twists):
    """Check that the logits that are given are not written to."""
    z = some_logits(seed)
    own_sampler(z, (100 if "percent" in twists else 1) * some_amounts(rule)[1])
    assert torch.equal(z, some_logits(seed)), "own_sampler writes into z; make new logits"


def right_tokens_stay(own_sampler, *, rule, seed, twists):
    """Compare several rows and amounts with a loop over the tokens."""
    own_sampler = plain(own_sampler, twists)
    for each in range(seed, seed + 12):
        for amount in some_amounts(rule):
            z = some_logits(each)
            if is_clear(z, amount, rule):
                right = stays(z, amount, rule)
                found, kept = own_sampler(z, amount)
                assert kept.any(), (
                    f"With amount = {amount} no token is left; one has to stay in any case"
                )
                assert compared(found, kept, z, right, twists), (
                    f"With amount = {amount}, {sum(right)} of 12 tokens should stay; here it is "
                    f"{kept.sum()}, or others, or their numbers have changed"
                )


def tokens_stay_away(own_sampler, *, rule, seed, twists):
    """Check logits of which an earlier sampler has set some to minus infinity."""
    own_sampler = plain(own_sampler, twists)
    for each in range(seed, seed + 12):
        for away in ((0, 5, 6), (1, 2, 3, 4, 7, 9), range(11)):
            z, amount = some_logits(each, away), some_amounts(rule)[1]
            if is_clear(z, amount, rule):
                found, kept = own_sampler(z, amount)
                assert not kept[list(away)].any(), (
                    "A token whose logit is minus infinity has to stay away"
                )
                assert compared(found, kept, z, stays(z, amount, rule), twists), (
                    "Beside logits that are minus infinity other tokens stay than without them: "
                    "these must not count"
                )
