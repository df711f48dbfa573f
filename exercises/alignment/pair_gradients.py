"""The loss of direct preference optimisation and its gradient, from the tokens of pairs."""

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

QUESTION = r"""
Write `dpo_by_tokens(policy, reference, answer, beta)` for a batch of B pairs. `policy` and `reference` are arrays of shape (2, B, T): the log-probability of each token, by the policy that is trained and by the reference. Their part 0 belongs to the answers that were preferred, and part 1 to the other ones. `answer`, of the same shape, is `True` at the tokens of the answers. Everywhere else stand tokens of the prompt or padding, and these must not count. Return two results: the loss of direct preference optimisation (DPO), a mean over the pairs, and its gradient with respect to `policy`, of the shape of `policy`. Use NumPy, without automatic differentiation.
"""
STARTER = '''
def dpo_by_tokens(policy, reference, answer, beta):
    """policy, reference, answer: (2, B, T) -> loss, gradient (2, B, T)"""
    ...
'''
TWISTS = {
    "pairs": Twist(
        "All arrays have the shape (B, 2, T), also the gradient: the two answers to a prompt stand together.",
        {
            "dpo_by_tokens": (
                "policy, reference, answer = (x.swapaxes(0, 1) for x in (policy, reference, answer))",
                "result = result[0], result[1].swapaxes(0, 1), *result[2:]",
            )
        },
        {"answer: (2, B, T)": "answer: (B, 2, T)", "gradient (2, B, T)": "gradient (B, 2, T)"},
    ),
    "others": Twist(
        "The third argument is `True` at all tokens that must *not* count, and `False` at those of the answers.",
        {"dpo_by_tokens": ("answer = ~answer", "")},
    ),
    "margins": Twist(
        r"Return a third result, of shape (B,): the margin of each pair, $\beta$ times h, which is by how much the implicit reward of the preferred answer is the larger one.",
        {
            "dpo_by_tokens": (
                "",
                """
                chosen, rejected = ((policy - reference) * answer).sum(axis=2)
                result = *result, beta * (chosen - rejected)
                """,
            )
        },
        {'T)"""': 'T), margins (B,)"""'},
    ),
    "smoothed": Twist(
        r"Each comparison is wrong with a probability of 0.2. So the loss of a pair is $-0.8 \ln \sigma(\beta h) - 0.2 \ln \sigma(-\beta h)$, where $\beta h$ is what stands in the usual loss.",
        {
            "dpo_by_tokens": (
                "",
                """
                other = plain_dpo_by_tokens(reference, policy, answer, beta)
                result = 0.8 * result[0] + 0.2 * other[0], 0.8 * result[1] - 0.2 * other[1]
                """,
            )
        },
    ),
}
HINT = r"First compute one number for each pair: $h$, the sum of $\ln \pi - \ln \pi_{\text{ref}}$ over the tokens of the preferred answer, minus the same for the other answer. The derivative of $-\ln \sigma(\beta h)$ with respect to $h$ is $-\beta\,\sigma(-\beta h)$. With which sign does a token of each answer stand in $h$?"
SOLUTION = """
def dpo_by_tokens(policy, reference, answer, beta):
    sums = np.where(answer, policy - reference, 0).sum(axis=2)  # (2, B)
    h = sums[0] - sums[1]
    loss = np.log1p(np.exp(-beta * h)).mean()
    slope = -beta / (1 + np.exp(beta * h)) / len(h)  # (B,)
    signs = np.array([1, -1])[:, None, None]  # (2, 1, 1)
    return loss, np.where(answer, signs * slope[:, None], 0)
"""
EXPLANATION = r"""
All tokens of an answer get the same gradient, however probable each of them is: the logarithm of a product is a sum, and a sum passes its gradient on unchanged. The tokens of the other answer get the same with the opposite sign. The factor $\sigma(-\beta h)$ is 1/2 at the start and becomes small for pairs that the policy already orders far better than the reference does, so the loss turns to the pairs that are still wrong. If the tokens of the prompt are counted, the loss often stays the same, because the same prompt stands before both answers and cancels in $h$. The mistake shows as soon as the two prompts differ, for instance because the longer row was cut off, or because padding is counted as well. The mean over tokens in place of the sum gives another loss, which does not belong to the reward from which this one was derived.
"""
TRIAL = """
rng = np.random.default_rng(0)
policy, reference = -rng.gamma(2, 0.5, (2, 2, 2, 5))
answer = np.arange(5) < np.array([[4, 3], [5, 2]])[..., None]
answer[..., 0] = False
tokens = torch.tensor(policy, requires_grad=True)
both, counts = (tokens, torch.tensor(reference)), torch.tensor(answer)
sums = [(x * counts).sum(dim=2) for x in both]
right = alignment.dpo_loss(*sums[0], *sums[1], beta=0.9)
right.backward()
loss, gradient = dpo_by_tokens(policy, reference, answer, 0.9)
check("loss", loss, right.item(), 1e-3)
check("gradient", gradient, tokens.grad, 1e-3)
loss, _ = dpo_by_tokens(reference, reference, answer, 0.9)
check("the policy is the reference", loss, math.log(2), 1e-3)
"""


def exercise(seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise."""
    given = {"seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"dpo_by_tokens": "policy, reference, answer, beta"}, twisted)

    return Exercise(
        id="alignment-pair-gradients",
        title="What a pair does to each token",
        kind="code",
        difficulty=2,
        minutes=25,
        points=5,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(begins_at_ln_2, given),),
        hidden=(Check(losses_of_pairs_are_right, given), Check(gradients_are_right, given)),
        wrong_answers={why: filled(code) for why, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL,
    )


WRONG_ANSWERS = {
    "the prompt and the filling count": SOLUTION.replace(
        "np.where(answer, policy - reference, 0)", "(policy - reference)"
    ),
    "the mean over tokens": SOLUTION.replace(
        "sums = np.where(answer, policy - reference, 0).sum(axis=2)",
        "sums = np.where(answer, policy - reference, 0).sum(axis=2) / answer.sum(axis=2)",
    ),
    "the reference is left out": SOLUTION.replace("policy - reference", "policy"),
    "the answers are exchanged": SOLUTION.replace("sums[0] - sums[1]", "sums[1] - sums[0]"),
    "both answers are raised": SOLUTION.replace("np.array([1, -1])", "np.array([1, 1])"),
    "the gradient does not know the mean": SOLUTION.replace(" / len(h)  #", "  #"),
    "all pairs count alike in the gradient": SOLUTION.replace(
        "-beta / (1 + np.exp(beta * h))", "-beta / 2 * np.ones(len(h))"
    ),
    "every token gets a gradient": SOLUTION.replace(
        "np.where(answer, signs * slope[:, None], 0)",
        "np.ones(policy.shape) * signs * slope[:, None]",
    ),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw pairs, and twists."""
    chosen = drawn(rng, TWISTS)
    return {
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_pairs(seed):
    """Draw log-probabilities of tokens, which of them are an answer's, and a price."""
    rng = np.random.default_rng(seed)
    B, T = 1 + seed % 3, 6
    policy, reference = -rng.gamma(2, 0.4, (2, 2, B, T))
    begin, end = rng.integers(1, 4, (2, B, 1)), rng.integers(4, 7, (2, B, 1))
    places = np.arange(T)
    answer = (places >= begin) & (places < end)
    answer[0, 0], answer[1, 0] = places >= 3, places == 1 + seed % 4  # of different lengths
    return policy, reference, answer, float(rng.choice([0.5, 1.0, 1.5]))


def of_pairs(policy, reference, answer, beta, twists):
    """Return loss, gradient and margins, the gradient by automatic differentiation."""
    tokens = torch.tensor(policy, requires_grad=True)
    counted = torch.where(torch.tensor(answer), tokens - torch.tensor(reference), 0.0)
    margins = beta * (counted[0].sum(dim=1) - counted[1].sum(dim=1))
    log_sigmoid = torch.nn.functional.logsigmoid
    wrong = 0.2 if "smoothed" in twists else 0.0
    each = -(1 - wrong) * log_sigmoid(margins) - wrong * log_sigmoid(-margins)
    each.mean().backward()
    return each.mean().item(), tokens.grad.numpy(), margins.detach().numpy()


def results_for(dpo_by_tokens, some, twists):
    """Return what an answer gives, with the axes of the page."""
    *arrays, beta = some
    given = [x.swapaxes(0, 1).copy() if "pairs" in twists else x.copy() for x in arrays]
    if "others" in twists:
        given[2] = ~given[2]
    kept = [x.copy() for x in given]
    found = parts(dpo_by_tokens(*given, beta), 3 if "margins" in twists else 2)
    unchanged = all((a == b).all() for a, b in zip(given, kept, strict=True))
    assert unchanged, "dpo_by_tokens writes into the arrays that it gets; make new ones"
    loss, gradient = array(found[0]), array(found[1])
    assert loss.size == 1, f"The loss should be a single number, got {loss.size}"
    assert gradient.shape == given[0].shape, (
        f"The gradient should have the shape {given[0].shape}, as the policy has; got "
        f"{gradient.shape}"
    )
    gradient = gradient.swapaxes(0, 1) if "pairs" in twists else gradient
    return loss.item(), gradient, array(found[2]) if "margins" in twists else None


def begins_at_ln_2(dpo_by_tokens, *, seed, twists):
    """Check the loss of a policy that is still the reference."""
    _, reference, answer, beta = some_pairs(seed)
    loss, gradient, _ = results_for(dpo_by_tokens, (reference, reference, answer, beta), twists)
    assert close(loss, 0.693147, "The loss"), (
        f"While the policy is the reference, the loss should be ln 2, got {loss:.3f}"
    )
    assert abs(gradient[~answer]).max(initial=0) < 1e-6, (
        "Tokens of the prompt and padding should have a gradient of 0"
    )


def losses_of_pairs_are_right(dpo_by_tokens, *, seed, twists):
    """Compare losses, and what else is asked for of each pair."""
    for each in range(seed, seed + 6):
        some = some_pairs(each)
        loss, _, margins = results_for(dpo_by_tokens, some, twists)
        right, _, wanted = of_pairs(*some, twists)
        assert close(loss, right, "The loss"), (
            f"A loss is {loss:.3f}, which is not right: which tokens count, are they summed, and "
            "is the reference subtracted for both answers?"
        )
        if margins is not None:
            assert close(margins, wanted, "The third result"), (
                "The third result is not right: a margin is what stands in the sigmoid, one for each "
                "pair"
            )


def gradients_are_right(dpo_by_tokens, *, seed, twists):
    """Compare gradients with those of automatic differentiation."""
    for each in range(seed, seed + 6):
        some = some_pairs(each)
        _, gradient, _ = results_for(dpo_by_tokens, some, twists)
        assert close(gradient, of_pairs(*some, twists)[1], "The gradient"), (
            "The gradient is not right: how much does the loss of a pair change with h, with which "
            "sign is a token counted in h, and over how many pairs is the mean taken?"
        )
