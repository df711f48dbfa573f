"""Focal loss from logits, which neither overflows nor loses its gradient."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from exercises import Check, Exercise
from exercises.answers import close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
Thousands of easy samples can drown the few that matter. {cite:t}`lin2017focal` turn the easy ones down: with $\hat p_t$ for the probability of what *is* the case, a sample costs $-(1 - \hat p_t)^\gamma \ln \hat p_t$. Write the mean of that, from one logit a sample, for $\gamma = {{gamma}}$. Loss and gradient must be right for logits of any size. How many times less does a sample with $\hat p_t = {{easy}}$ cost than under cross-entropy?
"""
STARTER = '''
def focal_loss(logits, targets):
    """logits (n,), targets (n,) of 0.0 and 1.0; return one number"""
    ...

turned_down = ...  # times
'''
TWISTS = {
    "sum": Twist(
        "Here return the *sum* over the samples in place of the mean.",
        {"focal_loss": ("", "result = result * len(targets)")},
        {"return one number": "return one number, the sum"},
    ),
    "signs": Twist(
        "The targets are $1$ and $-1$.",
        {"focal_loss": ("targets = (targets + 1) / 2", "")},
        {"targets (n,) of 0.0 and 1.0": "targets (n,) of -1.0 and 1.0"},
    ),
    "two logits": Twist(
        "A sample comes with *two* logits, one for each class, as a classifier with a softmax has them: `logits` is (n, 2), and column 1 is that of the class 1.",
        {"focal_loss": ("logits = logits[:, 1] - logits[:, 0]", "")},
        {"logits (n,)": "logits (n, 2)"},
    ),
}
HINT = r"What is the logit of *what is the case* when the target is 0? `F.logsigmoid` will help, and $1 - \sigma(z) = \sigma(-z)$."
SOLUTION = """
def focal_loss(logits, targets):
    z = torch.where(targets == 1, logits, -logits)  # of what is the case
    weight = torch.sigmoid(-z) ** GAMMA
    return -(weight * F.logsigmoid(z)).mean()

turned_down = round(1 / (1 - EASY) ** GAMMA, 6)
"""
TRIAL = """
torch.manual_seed(0)
z = torch.randn(50, dtype=torch.float64, requires_grad=True)
y = (torch.rand(50) < 0.3).double()
p = torch.where(y == 1, z.sigmoid(), 1 - z.sigmoid())
plain = torch.mean((1 - p) ** GAMMA * -p.log())
check("loss of small logits, by the formula", focal_loss(z, y), plain, 1e-9)
gradients = [torch.autograd.grad(value, z)[0] for value in (focal_loss(z, y), plain)]
check("its gradient, by the formula", *gradients, 1e-9)
far = torch.tensor([400.0, -400.0], requires_grad=True)
for side in (0.0, 1.0):
    loss = focal_loss(far, torch.full((2,), side))
    check("loss of one right by 400, one wrong by 400", loss, 200, 1e-3)
    slope = [0.5, 0.0] if side == 0 else [0.0, -0.5]
    check("its gradient", torch.autograd.grad(loss, far)[0], slope, 1e-4)
easy, one = torch.tensor([math.log(EASY / (1 - EASY))]), torch.ones(1)
times = F.binary_cross_entropy_with_logits(easy, one) / focal_loss(easy, one)
check("turned down, as by your loss", turned_down, times, 0.01 * times.item())
"""
EXPLANATION = r"""
Turning the sign of the logit for targets of 0 makes one case of two: $\hat p_t = \sigma(z)$. The logarithm is taken in one step from the logit, and $1 - \hat p_t$ as a sigmoid of the negative logit, so nothing is rounded to 0 before its logarithm or its derivative is needed. An easy sample's loss is multiplied by $(1 - \hat p_t)^\gamma$, here $1 / {{times}}$, while one with $\hat p_t$ near 0 keeps nearly all of its loss.
"""
WRONG_ANSWERS = {
    "the probability of class 1 for all": """
        def focal_loss(logits, targets):
            return -(torch.sigmoid(-logits) ** GAMMA * F.logsigmoid(logits)).mean()
        turned_down = RIGHT
        """,
    "the weight turned round": """
        def focal_loss(logits, targets):
            z = torch.where(targets == 1, logits, -logits)
            return -(torch.sigmoid(z) ** GAMMA * F.logsigmoid(z)).mean()
        turned_down = RIGHT
        """,
    "the logarithm of a sigmoid": """
        def focal_loss(logits, targets):
            p = torch.sigmoid(logits)
            p = torch.where(targets == 1, p, 1 - p)
            return -((1 - p) ** GAMMA * p.log()).mean()
        turned_down = RIGHT
        """,
    "a sum": """
        def focal_loss(logits, targets):
            z = torch.where(targets == 1, logits, -logits)
            return -(torch.sigmoid(-z) ** GAMMA * F.logsigmoid(z)).sum()
        turned_down = RIGHT
        """,
    "the probability where its complement belongs": """
        def focal_loss(logits, targets):
            z = torch.where(targets == 1, logits, -logits)
            return -(torch.sigmoid(-z) ** GAMMA * F.logsigmoid(z)).mean()
        turned_down = EASY ** GAMMA
        """,
}


def exercise(
    seed: int = 0, gamma: int = 2, easy: float = 0.9, twists: tuple[str, ...] = ()
) -> Exercise:
    """Return the exercise for this `gamma` and a sample of this probability, with `twists`."""
    times = round((1 - easy) ** -gamma, 6)
    twisted = [TWISTS[name] for name in twists]
    given = {"gamma": gamma, "twists": twists}

    def fill(code: str) -> str:
        known = {"GAMMA": gamma, "EASY": easy, "RIGHT": times}
        for name, value in known.items():
            code = code.replace(name, str(value))
        return code

    def answer(code: str) -> str:
        return wrapped(fill(code), {"focal_loss": "logits, targets"}, twisted)

    return Exercise(
        id="losses-focal",
        title="Turn down the easy ones",
        kind="code",
        difficulty=3,
        minutes=25,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=answer(SOLUTION),
        explanation=EXPLANATION,
        values={"gamma": gamma, "easy": easy, "times": f"{times:g}"},
        visible=(Check(a_half_is_as_by_hand, given),),
        hidden=(
            Check(focal_as_the_formula, given | {"seed": seed}),
            Check(any_logit_is_safe, given),
            Check(easy_ones_weigh_less, {"times": times}),
        ),
        wrong_answers={mistake: answer(code) for mistake, code in WRONG_ANSWERS.items()},
        trial="" if twists else fill(TRIAL),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, the exponent and what counts as easy."""
    return {
        "seed": rng.randrange(10_000),
        "gamma": rng.choice((1, 3, 4)),
        "easy": rng.choice((0.8, 0.75, 0.95)),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def plain(focal_loss, twists):
    """Return the loss as the page asks for it."""

    def as_on_the_page(logits, targets):
        n = len(targets)
        targets = 2 * targets - 1 if "signs" in twists else targets
        if "two logits" in twists:  # only their difference counts
            logits = torch.stack([3 + 0 * logits, 3 + logits], dim=1)
        loss = focal_loss(logits, targets)
        return loss / n if "sum" in twists else loss

    return as_on_the_page


def a_half_is_as_by_hand(focal_loss, *, gamma, twists):
    """Try a logit of 0, where both probabilities are a half."""
    focal_loss = plain(focal_loss, twists)
    got = float(focal_loss(torch.zeros(2).double(), torch.tensor([0.0, 1.0]).double()))
    right = 0.5**gamma * 0.6931471805599453
    assert close(got, right, "focal_loss"), (
        f"With probabilities of a half the mean loss should be {right:.6f}, got {got:.6f}"
    )


def focal_as_the_formula(focal_loss, *, seed, gamma, twists):
    """Compare with the formula written out, value and gradient."""
    focal_loss = plain(focal_loss, twists)
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(40, generator=generator, dtype=torch.float64)
    targets = (torch.rand(40, generator=generator, dtype=torch.float64) < 0.3).double()
    mine, slow = (logits.clone().requires_grad_() for _ in range(2))
    p = 1 / (1 + torch.exp(-slow))
    p = targets * p + (1 - targets) * (1 - p)
    right = (-((1 - p) ** gamma) * p.log()).mean()
    right.backward()
    got = focal_loss(mine, targets)
    assert close(got, right, "focal_loss"), (
        f"On random logits the loss should be {right.item():.6f}, got {got.item():.6f}: which "
        "probability is that of what is the case?"
    )
    got.backward()
    assert torch.allclose(mine.grad, slow.grad, atol=1e-5), "The gradient is not that of the loss"


def any_logit_is_safe(focal_loss, *, gamma, twists):
    """Check logits of 300 either way, in float32, right and wrong."""
    focal_loss = plain(focal_loss, twists)
    logits = torch.tensor([300.0, -300.0, 300.0, -300.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert abs(loss.item() - 150.0) < 1e-3, (
        f"Two of four samples wrong by 300 should cost 150 in the mean, got {loss.item()}: take no "
        "logarithm of a probability"
    )
    loss.backward()
    expected = torch.tensor([0.0, 0.0, 0.25, -0.25])
    assert torch.allclose(logits.grad, expected, atol=1e-4), (
        f"With logits of 300 the gradient should be {expected.tolist()}, got {logits.grad.tolist()}"
    )


def easy_ones_weigh_less(turned_down, *, times):
    """Check how many times less an easy sample weighs."""
    assert abs(float(turned_down) / times - 1) < 0.01, (
        f"turned_down should not be {float(turned_down):g}: divide the cross-entropy of such a "
        "sample by its focal loss"
    )
