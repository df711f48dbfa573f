"""What a full fine-tuning has changed, as LoRA of the smallest rank that is enough."""

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
A model has been fine-tuned in full, once for each of many tasks, and the copies take too much room. Write `thin_change(before, after, share)`, which makes LoRA of what happened to one matrix. `before` and `after` are tensors of shape (d_out, d_in) and differ. Return `B` of shape (d_out, r) and `A` of shape (r, d_in), such that their product is the best approximation of rank r to the change.

KEPT
"""
# What takes the place of KEPT, and of RANK in the solution.
KEPT = {
    "energy": "Choose the smallest rank for which the product keeps at least `share` of the *energy* of the change, which is the sum of its squared singular values.",
    "sum": "Choose the smallest rank for which the singular values that are kept have at least `share` of the sum of all singular values.",
    "largest": "Keep each singular value that is at least `share` times the largest one.",
    "error": "Choose the smallest rank for which what is missing has a Frobenius norm of at most `share` times that of the change.",
}
RANK = {
    "energy": "int((S.square().cumsum(dim=0) / S.square().sum() < share).sum()) + 1",
    "sum": "int((S.cumsum(dim=0) / S.sum() < share).sum()) + 1",
    "largest": "int((S >= share * S[0]).sum())",
    "error": "int((1 - S.square().cumsum(dim=0) / S.square().sum() > share**2).sum()) + 1",
}
STARTER = '''
def thin_change(before, after, share):
    """before, after: (d_out, d_in) -> B (d_out, r), A (r, d_in)"""
    ...
'''
TWISTS = {
    "transposed": Twist(
        "The matrices are stored for products from the right, as GPT-2 stores them: `before` and `after` have shape (d_in, d_out). Return `A` of shape (d_in, r) first and then `B` of shape (r, d_out); their product $AB$ is the change.",
        {
            "thin_change": (
                "before, after = before.mT, after.mT",
                "B, A, *rest = result\nresult = A.mT, B.mT, *rest",
            )
        },
        {
            "(d_out, d_in) -> B (d_out, r), A (r, d_in)": "(d_in, d_out) -> A (d_in, r), B (r, d_out)"
        },
    ),
    "balanced": Twist(
        "Let both matrices have the same part in each direction: column $i$ of the first one is as long as row $i$ of the second.",
        {
            "thin_change": (
                "",
                "B, A, *rest = result\nlonger = (B.norm(dim=0) / A.norm(dim=1)).sqrt()\nresult = B / longer, A * longer[:, None], *rest",
            )
        },
    ),
    "alpha": Twist(
        "The program that reads the two matrices multiplies their product by $\\alpha / r$ with $\\alpha = 16$, and the result of that has to be the change.",
        {"thin_change": ("", "B, A, *rest = result\nresult = B * (len(A) / 16), A, *rest")},
    ),
    "missing": Twist(
        "Return a third result: the Frobenius norm of what is missing, the change less its approximation.",
        {
            "thin_change": (
                "",
                "result = *result, (after - before - result[0] @ result[1]).norm()",
            )
        },
    ),
}
HINT = "`torch.linalg.svd` with `full_matrices=False` gives $U$, the singular values $S$, the largest first, and $V^\\top$. The theorem in the chapter says which of them the best approximation of rank r keeps. Then the singular values have to go into one of the two matrices."
SOLUTION = """
def thin_change(before, after, share):
    U, S, Vh = torch.linalg.svd(after - before, full_matrices=False)
    r = RANK
    return U[:, :r] * S[:r], Vh[:r]
"""
EXPLANATION = r"""
The best approximation of rank r keeps the r largest singular values and their directions (Eckart and Young). Its energy is the sum of their squares, and the energy of what is missing is the sum of the other squares, so a rule about what is kept and one about what is missing can be turned into each other: an error of 10 % in norm is 1 % of the energy. A sum of the singular values themselves is another measure, which needs a higher rank for the same share, because squares make large values count more. Before you choose a rank by such a rule, look at the singular values. If they fall slowly, as for noise, no small rank is a good description; and a direction with little energy in the weights may still matter for the outputs, if the inputs are large along it.
"""
TRIAL = """
torch.manual_seed(0)
U, V = (torch.linalg.qr(torch.randn(d, 4).double())[0] for d in (6, 8))
before = torch.randn(6, 8).double()
S = torch.tensor([5.0, 4.0, 3.0, 1.0]).double()  # squares: 25, 16, 9, 1
after = before + U @ torch.diag(S) @ V.T
for share, r in ((0.4, 1), (0.5, 2), (0.9, 3), (0.99, 4)):
    found = thin_change(before, after, share)
    B, A = (torch.as_tensor(part).double() for part in found)
    check(f"rank for a share of {share}", len(A), r, 0)
    missing = (after - before - B @ A).square().sum().item()
    least = (S[r:] ** 2).sum().item()
    check(f"energy missing, of {share}", missing, least, 1e-3)
"""


def exercise(kept: str = "energy", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise with one of the rules of `KEPT`."""
    given = {"kept": kept, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"thin_change": "before, after, share"}, twisted)
        return answer.replace("RANK", RANK[kept])

    return Exercise(
        id="fine-tuning-thin-change",
        title="A copy made thin",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("KEPT", KEPT[kept]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(one_direction_is_enough, given),),
        hidden=(Check(rank_is_the_smallest, given), Check(approximation_is_the_best, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(kept).items()},
        trial="" if twists or kept != "energy" else TRIAL,
    )


def wrong_answers(kept: str) -> dict[str, str]:
    """Return mistakes, that in the rule as it can be made there."""
    found = {
        "one rank too many": SOLUTION.replace("r = RANK", "r = min(RANK + 1, len(S))"),
        "one rank too few": SOLUTION.replace("r = RANK", "r = max(RANK - 1, 1)"),
        "singular values in both matrices": SOLUTION.replace("Vh[:r]\n", "S[:r, None] * Vh[:r]\n"),
        "singular values in neither": SOLUTION.replace("U[:, :r] * S[:r]", "U[:, :r]"),
        "of the matrix and not of its change": SOLUTION.replace("after - before", "after"),
        "the change with the wrong sign": SOLUTION.replace("after - before", "before - after"),
        "rows of U in place of columns": SOLUTION.replace("U[:, :r] * S[:r]", "U[:r].mT * S[:r]"),
        "another rule for the rank": SOLUTION.replace(
            "RANK", RANK["sum" if kept == "energy" else "energy"]
        ),
    }
    if kept == "error":
        found["the error is not squared"] = SOLUTION.replace(
            "RANK", RANK["error"].replace("share**2", "share")
        )
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a rule for the rank, matrices, and twists."""
    chosen = drawn(rng, TWISTS)
    return {
        "kept": rng.choice(list(KEPT)),
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_change(seed, values, shape=(7, 9)):
    """Draw a matrix, and a change of it with these singular values."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.normal(size=(d, len(values))))[0] for d in shape)
    return rng.normal(size=shape), U, np.array(values, dtype=float), V.T


def product_of(thin_change, before, after, share, twists):
    """Return the change that an answer describes, its rank, and what it says is missing."""
    given = [part.T if "transposed" in twists else part for part in (before, after)]
    tensors = [torch.from_numpy(part.copy()) for part in given]
    result = parts(thin_change(*tensors, share), 3 if "missing" in twists else 2)
    first, second = (array(part) for part in result[:2])
    assert first.ndim == second.ndim == 2, "Both results should be matrices, also for rank 1"
    shape, r = given[0].shape, first.shape[1]
    fits = first.shape[0] == shape[0] and second.shape == (r, shape[1])
    assert fits, (
        f"The shapes {first.shape} and {second.shape} do not fit a matrix of shape {shape} with "
        "one rank between them"
    )
    if "balanced" in twists:
        lengths = np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=1)
        assert close(*lengths, "The length"), (
            "Column i of the first matrix should be as long as row i of the second one"
        )
    product = first @ second * (16 / r if "alpha" in twists else 1)
    missing = array(result[2]).item() if "missing" in twists else None
    return (product.T if "transposed" in twists else product), r, missing


def one_direction_is_enough(thin_change, *, kept, seed, twists):
    """Check a change of rank 1, of which everything is to be kept."""
    before, U, S, Vh = some_change(seed, [3.0])
    change = U * S @ Vh
    share = 0.1 if kept == "error" else 0.9
    found, r, _ = product_of(thin_change, before, before + change, share, twists)
    assert r == 1, f"A change of rank 1 needs no more than that, and the answer has rank {r}"
    assert close(found, change, "The change"), (
        "A change of rank 1 should come out as it is: before and what the answer returns should "
        "give after"
    )


def rank_wanted(S, share, kept):
    """Return the rank by the rule, one after the other tried."""
    if kept == "largest":
        return sum(1 for s in S if s >= share * max(S))
    power = 1 if kept == "sum" else 2
    for r in range(1, len(S) + 1):
        part = sum(s**power for s in S[:r]) / sum(s**power for s in S)
        if (kept == "error" and (1 - part) ** 0.5 <= share) or (kept != "error" and part >= share):
            return r
    return len(S)


CASES = (
    ([5.0, 4.0, 3.0, 2.0, 1.0, 0.5], (0.33, 0.55, 0.72, 0.86, 0.97)),
    ([9.0, 3.0, 1.5, 1.2, 0.4], (0.12, 0.25, 0.5, 0.9, 0.985)),
)


def rank_is_the_smallest(thin_change, *, kept, seed, twists):
    """Check how many singular values are kept, for several shares."""
    for number, (values, shares) in enumerate(CASES):
        before, U, S, Vh = some_change(seed + number, values)
        for share in shares:
            _, r, _ = product_of(thin_change, before, before + U * S @ Vh, share, twists)
            right = rank_wanted(values, share, kept)
            assert r == right, (
                f"With the singular values {values} and a share of {share} the rank should not be "
                f"{r}: what does the rule compare, and is the last one that is needed kept?"
            )


def approximation_is_the_best(thin_change, *, kept, seed, twists):
    """Check that the product keeps the largest singular values, with their directions."""
    for number, (values, shares) in enumerate(CASES):
        before, U, S, Vh = some_change(seed + 5 + number, values, (9, 6))
        for share in shares:
            found, r, missing = product_of(thin_change, before, before + U * S @ Vh, share, twists)
            assert close(found, U[:, :r] * S[:r] @ Vh[:r], "The change"), (
                f"Of all changes of rank {r}, another one is nearer to the right one: which "
                "directions are kept, and do the singular values count once?"
            )
            if missing is not None:
                assert close(missing, np.sqrt((S[r:] ** 2).sum()), "The third result"), (
                    "The third result is not right: take the change, less what the two matrices give"
                )
