"""One batch whose rows belong to different adapters."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from exercises import Check, Exercise
from exercises.answers import array, close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
A server keeps one frozen model and K adapters of LoRA, one for each customer. The rows of a batch come from different customers, so nothing can be merged. Write `outputs_of_many(x, which, W, A, B, alpha)` for one linear layer. `x` has shape (n, d_in), and `which` holds for each row the number of its adapter, or $-1$ for a row that wants the model as it is. `W` has shape (d_out, d_in), `A` (K, r, d_in) and `B` (K, d_out, r); the change of adapter $k$ is $\frac{\alpha}{r} B_k A_k$. All arguments are tensors but `alpha`, a number. Return the outputs, (n, d_out), and leave the arguments as they were.
"""
STARTER = '''
def outputs_of_many(x, which, W, A, B, alpha):
    """x (n, d_in), which (n,) -> (n, d_out)"""
    ...
'''
TWISTS = {
    "transposed": Twist(
        "All matrices are stored for products from the right, as GPT-2 stores them: `W` has shape (d_in, d_out), `A` (K, d_in, r) and `B` (K, r, d_out), and the change of adapter $k$ is the factor times $A_k B_k$.",
        {"outputs_of_many": ("W, A, B = W.mT, A.mT, B.mT", "")},
    ),
    "own": Twist(
        "Each adapter was trained with an $\\alpha$ of its own: `alpha` is a tensor of shape (K,).",
        {"outputs_of_many": ("B, alpha = B * alpha[:, None, None], 1", "")},
    ),
    "root": Twist(
        "The factor is $\\alpha / \\sqrt r$ in place of $\\alpha / r$, as in rank-stabilised LoRA.",
        {"outputs_of_many": ("alpha = alpha * A.shape[1] ** 0.5", "")},
    ),
    "from_one": Twist(
        "The adapters are numbered from 1 on, and 0 in `which` stands for the model as it is.",
        {"outputs_of_many": ("which = which - 1", "")},
    ),
    "columns": Twist(
        "A batch comes as columns: `x` has shape (d_in, n), and the outputs have shape (d_out, n).",
        {"outputs_of_many": ("x = x.T", "result = result.T")},
        {"x (n, d_in)": "x (d_in, n)", "(n, d_out)": "(d_out, n)"},
    ),
}
HINT = "`A[which]` has shape (n, r, d_in): one matrix for each row. `torch.einsum`, or a product with `x[:, :, None]`, multiplies each row with its own matrix. And what does a list of Python give for the place $-1$?"
SOLUTION = """
def outputs_of_many(x, which, W, A, B, alpha):
    low = torch.einsum("nd,nrd->nr", x, A[which])
    change = torch.einsum("nr,nor->no", low, B[which])
    scale = alpha / A.shape[1] * (which >= 0).to(x)
    return x @ W.T + scale[:, None] * change
"""
EXPLANATION = r"""
The large product with $W$ is the same for all rows and is made once. Each row then goes through its own bottleneck of $r$ numbers, and no matrix of the size of $W$ is made for any customer. Programs that serve many adapters from one model work like this. The place $-1$ needs care: as an index it means the *last* adapter, so a row that wants the plain model would silently get the answers of some other customer, and no error would say so. The factor 0 switches that off. `A[which]` copies a matrix for each row; for large batches one sorts the rows by adapter and multiplies group by group.
"""
TRIAL = """
torch.manual_seed(0)
x, W = torch.randn(6, 5).double(), torch.randn(3, 5).double()
A, B = torch.randn(4, 2, 5).double(), torch.randn(4, 3, 2).double()
which = torch.tensor([0, 3, -1, 1, 3, -1])
found = outputs_of_many(x, which, W, A, B, 8)
for row, k in enumerate(which.tolist()):
    base = torch.nn.Linear(5, 3, bias=False).double()
    base.weight.data.copy_(W)
    layer = finetuning.LoRALinear(base, rank=2, alpha=8)
    if k >= 0:
        layer.lora_A.data.copy_(A[k])
        layer.lora_B.data.copy_(B[k])
    right = layer(x[row]).detach()
    check(f"row {row}, adapter {k}", found[row], right, 1e-3)
"""


def exercise(seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise."""
    given = {"seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"outputs_of_many": "x, which, W, A, B, alpha"}, twisted)

    return Exercise(
        id="fine-tuning-many-adapters",
        title="Many customers, one model",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(shape_fits_the_batch, given),),
        hidden=(
            Check(each_row_has_its_adapter, given),
            Check(rows_without_adapter_are_plain, given),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL,
    )


WRONG_ANSWERS = {
    "the place -1 is the last adapter": SOLUTION.replace("(which >= 0)", "torch.ones(len(x))"),
    "the factor is left out": SOLUTION.replace("alpha / A.shape[1] * ", "1.0 * "),
    "divided by the number of adapters": SOLUTION.replace("alpha / A.shape[1]", "alpha / len(A)"),
    "the adapter of the first row for all": SOLUTION.replace(
        "    low =", "    which = which[:1].expand(len(x))\n    low ="
    ),
    "each change is merged and stays": """
def outputs_of_many(x, which, W, A, B, alpha):
    rows, W = [], W.clone()
    for row, k in zip(x, which.tolist()):
        if k >= 0:
            W += alpha / A.shape[1] * B[k] @ A[k]
        rows.append(W @ row)
    return torch.stack(rows)
""",
    "only the change": SOLUTION.replace("x @ W.T + scale", "scale"),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a batch, and twists."""
    chosen = drawn(rng, TWISTS)
    return {
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def rows_of_answer(outputs_of_many, x, which, W, A, B, alphas, twists):
    """Return what an answer gives for a batch, handed over as the question says, as rows."""
    # x (n, d_in), W (d_out, d_in), A (K, r, d_in), B (K, d_out, r), alphas (K,): arrays
    given = [x.T if "columns" in twists else x, which + 1 if "from_one" in twists else which]
    turned = "transposed" in twists
    given += [m.swapaxes(-1, -2) if turned else m for m in (W, A, B)]
    tensors = [torch.from_numpy(part.copy()) for part in given]
    alpha = torch.from_numpy(alphas.copy()) if "own" in twists else float(alphas[0])
    kept = [part.clone() for part in tensors]
    result = array(outputs_of_many(*tensors, alpha))
    unchanged = all(torch.equal(a, b) for a, b in zip(tensors, kept, strict=True))
    assert unchanged, "outputs_of_many writes into the tensors that it gets; make new ones"
    wanted = (len(W), len(x)) if "columns" in twists else (len(x), len(W))
    assert result.shape == wanted, f"The outputs should have shape {wanted}, got {result.shape}"
    return result.T if "columns" in twists else result


def batch_of(seed, which, twists, r=3):
    """Draw arguments for the rows of a batch, as arrays."""
    rng = np.random.default_rng(seed)
    K, d_in, d_out = 5, 6, 4
    alphas = rng.choice([4.0, 8.0, 12.0, 20.0, 32.0], K, replace=False)
    alphas = alphas if "own" in twists else np.full(K, alphas[0])
    parts = [rng.normal(size=shape) for shape in ((d_out, d_in), (K, r, d_in), (K, d_out, r))]
    return rng.normal(size=(len(which), d_in)), np.array(which), *parts, alphas


def shape_fits_the_batch(outputs_of_many, *, seed, twists):
    """Check the shape for three rows, and that the model is as it was where B is 0."""
    x, which, W, A, B, alphas = batch_of(seed, [2, 0, 2], twists)
    found = rows_of_answer(outputs_of_many, x, which, W, A, 0 * B, alphas, twists)
    assert close(found, x @ W.T, "outputs_of_many"), (
        "Where all B are 0, the outputs should be those of W alone"
    )


def each_row_has_its_adapter(outputs_of_many, *, seed, twists):
    """Compare each row with a matrix that is merged for it alone."""
    for each, r in ((seed, 3), (seed + 1, 2)):
        x, which, W, A, B, alphas = batch_of(each, [3, 0, 4, 3, 1], twists, r)
        found = rows_of_answer(outputs_of_many, x, which, W, A, B, alphas, twists)
        for row, k in enumerate(which):
            factor = alphas[k] / (r**0.5 if "root" in twists else r)
            assert close(found[row], (W + factor * B[k] @ A[k]) @ x[row], "outputs_of_many"), (
                f"With rank {r} and adapters {which.tolist()}, counted from 0, row {row} is not "
                "right: is it multiplied by its own A and B, and with the factor?"
            )


def rows_without_adapter_are_plain(outputs_of_many, *, seed, twists):
    """Check a batch in which some rows want the model as it is."""
    x, which, W, A, B, alphas = batch_of(seed + 2, [-1, 2, -1, 4], twists)
    found = rows_of_answer(outputs_of_many, x, which, W, A, B, alphas, twists)
    for row in (0, 2):
        assert close(found[row], W @ x[row], "outputs_of_many"), (
            "A row without an adapter should get the output of W alone: which adapter does the "
            "index of such a row take?"
        )
    assert not close(found[1], W @ x[1], "outputs_of_many"), (
        "A row with an adapter should not get the output of W alone"
    )
