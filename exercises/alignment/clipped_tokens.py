"""The clipped loss of proximal policy optimisation, and the tokens that it lets go."""

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
An old policy has written B answers, and the new policy learns from them. `new` and `old`, of shape (B, T), hold the log-probability of each token by the two policies, `advantages`, of shape (B,), says by how much each answer is better than usual, and `answer`, of shape (B, T), is `True` at the tokens of the answers; everywhere else stands padding. Let $A$ be the advantage of an answer, and $\rho$ the ratio of the probability that the new policy gives a token to that of the old one. The loss of the token is $-\min(\rho A,\ \mathrm{clip}(\rho, 1 - \epsilon_{\text{low}}, 1 + \epsilon_{\text{high}})\,A)$, where `low` and `high` are $\epsilon_{\text{low}}$ and $\epsilon_{\text{high}}$. Write `clipped_tokens(new, old, advantages, answer, low, high)`, which returns two results: the loss, MEAN; and an array of shape (B, T) that is `True` at those tokens of answers for which the gradient of the loss with respect to `new` is not 0.
"""
# What takes the place of MEAN in the question, and of AVERAGE in the solution.
MEANS = {
    "answers": "which is the mean over answers of the mean over the tokens of an answer",
    "tokens": "which is the mean over all tokens of all answers, so that longer answers count for more",
}
AVERAGES = {
    "answers": "(loss.sum(axis=1) / answer.sum(axis=1)).mean()",
    "tokens": "loss.sum() / answer.sum()",
}
STARTER = '''
def clipped_tokens(new, old, advantages, answer, low, high):
    """new, old, answer: (B, T); advantages: (B,) -> loss, moving (B, T)"""
    ...
'''
TWISTS = {
    "rewards": Twist(
        "The third argument holds rewards of shape (P, G) in place of advantages: G answers to each of P prompts, in the order of the rows of `new`. The advantage of an answer is its reward minus the mean of its group, and is not divided by anything.",
        {
            "clipped_tokens": (
                "advantages = (advantages - advantages.mean(axis=1, keepdims=True)).ravel()",
                "",
            )
        },
        {"advantages: (B,)": "advantages: rewards (P, G)"},
    ),
    "share": Twist(
        "In place of the second result, return a number: the share of the tokens of answers through which the loss has *no* gradient.",
        {"clipped_tokens": ("", "result = result[0], 1 - result[1].sum() / answer.sum()")},
        {"moving (B, T)": "a number"},
    ),
    "sequence": Twist(
        "All tokens of an answer have the same ratio: the *geometric mean* of the ratios of its tokens.",
        {
            "clipped_tokens": (
                """
                step = np.where(answer, new - old, 0).sum(axis=1, keepdims=True)
                new = old + step / answer.sum(axis=1, keepdims=True)
                """,
                "",
            )
        },
    ),
}
HINT = "Draw the loss of a token as a function of the ratio, once for a positive and once for a negative advantage. The minimum takes the clipped line only on one side of the range, and which side this is depends on the sign. What is the gradient if the advantage is 0?"
SOLUTION = """
def clipped_tokens(new, old, advantages, answer, low, high):
    ratio = np.exp(np.where(answer, new - old, 0))
    a = advantages[:, None]  # (B, 1)
    clipped = ratio.clip(1 - low, 1 + high)
    loss = np.where(answer, -np.minimum(ratio * a, clipped * a), 0)
    gone = np.where(a > 0, ratio > 1 + high, ratio < 1 - low)
    return AVERAGE, answer & (a != 0) & ~gone
"""
EXPLANATION = r"""
If the advantage is positive, the policy should make the token more probable. Once the ratio is above the range, enough has been done with these samples, and the loss is constant there. Below the range nothing is cut off: a token that has become *less* probable although its answer was good still has its whole gradient, and is brought back. With a negative advantage it is the other way round. This is what the minimum is for. If the ratio were clipped alone, a token that has moved the wrong way by too much would never come back. At the first step on a batch all ratios are 1, nothing is clipped, and the gradient is that of REINFORCE with a baseline. The clipping is no limit on how far the policy moves: a step of the optimiser can carry a ratio far beyond the range, and it only ends the gradient there.
"""
TRIAL = """
rng = np.random.default_rng(1)
old = -rng.gamma(2, 0.5, (5, 6))
new = old + rng.normal(0, 0.4, (5, 6))
answer = np.arange(6) < np.array([6, 3, 1, 4, 5])[:, None]
advantages = np.array([1.5, -1.0, 2.0, 0.0, -0.5])
given = [torch.tensor(x) for x in (new, old, advantages, answer)]
given[0].requires_grad_()
right = alignment.ppo_clip_loss(*given, clip_low=0.2, clip_high=0.3)
right.backward()
loss, moving = clipped_tokens(new, old, advantages, answer, 0.2, 0.3)
check("loss", loss, right.item(), 1e-3)
wrong = np.asarray(moving) != (given[0].grad != 0).numpy()
check("tokens judged wrongly", int(wrong.sum()), 0)
"""


def exercise(mean: str = "answers", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise for one of the means."""
    given = {"mean": mean, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        calls = {"clipped_tokens": "new, old, advantages, answer, low, high"}
        return wrapped(code.replace("AVERAGE", AVERAGES[mean]), calls, twisted)

    return Exercise(
        id="alignment-clipped-tokens",
        title="Far enough for this batch",
        kind="code",
        difficulty=3,
        minutes=25,
        points=5,
        question=asked(QUESTION.replace("MEAN", MEANS[mean]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(nothing_is_clipped_at_first, given),),
        hidden=(Check(losses_are_clipped, given), Check(tokens_are_let_go, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(mean).items()},
        trial="" if twists or mean != "answers" else TRIAL,
    )


def wrong_answers(mean: str) -> dict[str, str]:
    """Return mistakes; one of them is to take the other mean."""
    other = AVERAGES["tokens" if mean == "answers" else "answers"]
    return {
        "clipped on both sides": SOLUTION.replace(
            "np.minimum(ratio * a, clipped * a)", "clipped * a"
        ).replace(
            "np.where(a > 0, ratio > 1 + high, ratio < 1 - low)",
            "(ratio > 1 + high) | (ratio < 1 - low)",
        ),
        "not clipped": SOLUTION.replace("np.minimum(ratio * a, clipped * a)", "ratio * a"),
        "the larger of the two": SOLUTION.replace("np.minimum", "np.maximum"),
        "the ratio upside down": SOLUTION.replace("new - old", "old - new"),
        "all that is clipped has no gradient": SOLUTION.replace(
            "np.where(a > 0, ratio > 1 + high, ratio < 1 - low)", "clipped != ratio"
        ),
        "an advantage of 0 moves something": SOLUTION.replace(" & (a != 0)", ""),
        "the filling counts": SOLUTION.replace(
            "np.where(answer, -np.minimum(ratio * a, clipped * a), 0)",
            "-np.minimum(ratio * a, clipped * a)",
        ),
        "both limits are the same": SOLUTION.replace("1 + high", "1 + low"),
        "another mean": SOLUTION.replace("AVERAGE", other),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a mean, answers, and twists."""
    chosen = drawn(rng, ("tokens", *TWISTS))
    return {
        "mean": "tokens" if "tokens" in chosen else "answers",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_answers(seed, twists):
    """Draw log-probabilities of six answers, by how much each is better, and which tokens count."""
    rng = np.random.default_rng(seed)
    lengths = np.array([6, 1, 3, 5, 2, 4])[:, None]
    answer = np.arange(6) < lengths
    old = -rng.gamma(2, 0.5, (6, 6))
    far = rng.normal(0, 0.5, (6, 1)) + rng.normal(0, 0.4, (6, 6))
    told = rng.choice([-1.0, 2.0, 0.5, -2.0], 6)
    told[rng.integers(6)] = 0.0
    if "rewards" in twists:
        told = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])[rng.permutation(2)]
        told[0] = told[0] if seed % 3 else 1.0  # a group that teaches nothing
    return old + far, old, told, answer


def counted(new, old, told, answer, low, high, mean, twists):
    """Return the loss, and through which tokens it has a gradient, by differentiation."""
    x, mask = torch.tensor(new, requires_grad=True), torch.tensor(answer)
    a = torch.tensor(told)
    a = (a - a.mean(dim=1, keepdim=True)).flatten() if "rewards" in twists else a
    step = torch.where(mask, x - torch.tensor(old), 0.0)
    if "sequence" in twists:
        step = (step.sum(dim=1) / mask.sum(dim=1))[:, None].expand(6, 6)
    ratio = step.exp()
    plain, held = ratio * a[:, None], ratio.clamp(1 - low, 1 + high) * a[:, None]
    losses = torch.where(mask, -torch.minimum(plain, held), 0.0)
    if mean == "tokens":
        loss = losses.sum() / mask.sum()
    else:
        loss = (losses.sum(dim=1) / mask.sum(dim=1)).mean()
    loss.backward()
    return loss.item(), (x.grad != 0).numpy() & answer


def results_for(clipped_tokens, some, low, high, twists):
    """Return both results of an answer, which gets copies."""
    given = [x.copy() for x in some]
    found = parts(clipped_tokens(*given, low, high), 2)
    unchanged = all((a == b).all() for a, b in zip(given, some, strict=True))
    assert unchanged, "clipped_tokens writes into the arrays that it gets; make new ones"
    loss, second = array(found[0]), array(found[1])
    assert loss.size == 1, f"The loss should be a single number, got {loss.size}"
    if "share" in twists:
        assert second.size == 1, f"The second result should be a number, got {second.size}"
        return loss.item(), second.item()
    assert second.shape == (6, 6), (
        f"The second result should have the shape (6, 6) for these answers, got {second.shape}"
    )
    assert np.isin(second, (0, 1)).all(), "The second result should hold True and False alone"
    return loss.item(), second == 1


def nothing_is_clipped_at_first(clipped_tokens, *, mean, seed, twists):
    """Check a policy that is still the one that wrote the answers."""
    _, old, told, answer = some_answers(seed, twists)
    loss, second = results_for(clipped_tokens, (old, old, told, answer), 0.2, 0.2, twists)
    right, moving = counted(old, old, told, answer, 0.2, 0.2, mean, twists)
    assert close(loss, right, "The loss"), (
        "While the new policy is the old one, all ratios are 1, and the loss is the mean of the "
        "advantages with a minus sign, taken as the question says"
    )
    wanted = 1 - moving.sum() / answer.sum() if "share" in twists else moving
    assert close(second, wanted, "The second result"), (
        "While the new policy is the old one, nothing is clipped: only an advantage of 0 leaves a "
        "token of an answer without a gradient"
    )


def losses_are_clipped(clipped_tokens, *, mean, seed, twists):
    """Compare losses of policies that have moved."""
    for each in range(seed, seed + 6):
        some = some_answers(each, twists)
        loss, _ = results_for(clipped_tokens, some, 0.2, 0.4, twists)
        right, _ = counted(*some, 0.2, 0.4, mean, twists)
        assert close(loss, right, "The loss"), (
            f"A loss is {loss:.3f}, which is not right: is the smaller of two products taken for "
            "each token, with a limit of its own on each side, and which mean is asked for?"
        )


def tokens_are_let_go(clipped_tokens, *, mean, seed, twists):
    """Compare the tokens that have a gradient with those of automatic differentiation."""
    for each in range(seed, seed + 6):
        some = some_answers(each, twists)
        _, second = results_for(clipped_tokens, some, 0.2, 0.4, twists)
        _, moving = counted(*some, 0.2, 0.4, mean, twists)
        if "share" in twists:
            wanted = 1 - moving.sum() / some[3].sum()
            assert close(second, wanted, "The second result"), (
                "The share is not right: on which side of the range does a token lose its "
                "gradient, for each sign of the advantage?"
            )
        else:
            wrong = np.argwhere(second != moving)
            assert not len(wrong), (
                f"For the token at {wrong[0].tolist()} the second result is not right: on which "
                "side of the range does a token lose its gradient, for each sign of the advantage?"
            )
