"""Weights as levels, block by block, with a scale for each block."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
Write `rounded_blocks(w, levels, size)`, which keeps weights in few bits. `w` is an array of n weights, and n is a multiple of `size`; each `size` weights that follow one another form a block. `levels` is an array of K ascending numbers from $-1$ to 1, and 0 is one of them. Each block has a scale. Each weight is divided by the scale of its block and becomes the level that is nearest to the result. Return two arrays: the codes, n whole numbers that say which level each weight has (from 0 to K − 1), and the scales, one for each block. A block whose weights are all 0 has the scale 0, and its codes stand for the level 0.

SCALED
"""
# What takes the place of SCALED, and of SCALE in the solution.
SCALED = {
    "absmax": "The scale of a block is its largest absolute weight.",
    "signed": "The scale of a block is the weight with the largest absolute value, *with its sign*, so that this weight always becomes the level 1.",
    "clipped": "The scale of a block is 0.8 times its largest absolute weight. Weights that are larger than the scale become the level at that end, so that the others are rounded less.",
}
SCALE = {
    "absmax": "np.abs(blocks).max(axis=1)",
    "signed": "blocks[np.arange(len(blocks)), np.abs(blocks).argmax(axis=1)]",
    "clipped": "0.8 * np.abs(blocks).max(axis=1)",
}
STARTER = '''
def rounded_blocks(w, levels, size):
    """w (n,), levels (K,) -> codes (n,), scales"""
    ...
'''
TWISTS = {
    "packed": Twist(
        "There are always 16 levels and an even number of weights, and two codes are packed into one byte: the first code in the *lower* four bits, the second in the upper ones. Return these n / 2 numbers, from 0 to 255, in place of the codes.",
        {
            "rounded_blocks": (
                "",
                "codes, *rest = result\nresult = codes[::2] + 16 * codes[1::2], *rest",
            )
        },
        {"codes (n,)": "bytes (n / 2,)"},
    ),
    "ragged": Twist(
        "The number of weights need not be a multiple of `size`: the last block has what is left.",
        {
            "rounded_blocks": (
                "n, w = len(w), np.append(w, np.zeros(-len(w) % size))",
                "codes, scales, *rest = result\nresult = codes[:n], scales, *(r[:n] for r in rest)",
            )
        },
    ),
    "back": Twist(
        "Return a third array of shape (n,): the weights as they are read back, each the level of its code times the scale of its block.",
        {
            "rounded_blocks": (
                "",
                "codes, scales = result\nresult = codes, scales, levels[codes] * np.repeat(scales, size)",
            )
        },
    ),
    "matrix": Twist(
        "`w` is a matrix of shape (rows, columns) with n weights in all. Each row is cut into blocks by itself, and the number of columns is a multiple of `size`. The scales have shape (rows, columns / size). Every other result is one-dimensional and has the weights in their order, row after row.",
        {
            "rounded_blocks": (
                "rows, w = len(w), w.ravel()",
                "codes, scales, *rest = result\nresult = codes, scales.reshape(rows, -1), *rest",
            )
        },
        {"w (n,)": "w (rows, columns)"},
    ),
}
HINT = "`w.reshape(-1, size)` has a row for each block. A comparison of a column of numbers with a row of levels gives a table of distances; `argmin` finds the nearest level of each. What is 0/0, and what should it be here?"
SOLUTION = """
def rounded_blocks(w, levels, size):
    blocks = w.reshape(-1, size)
    scales = SCALE
    safe = np.where(scales == 0, 1, scales)
    ratio = (blocks / safe[:, None]).reshape(-1, 1)
    return np.abs(ratio - levels).argmin(axis=1), scales
"""
EXPLANATION = r"""
If it is not clipped, the largest weight of a block is kept exactly. All others are rounded to a grid that becomes coarser the larger this weight is. This is why blocks are small: an outlier spoils the grid of its own block only. With a scale that keeps its sign, one end of the levels is used in every block, so the other end need not reach as far. The format Q4_0 of GGUF does this with 16 evenly spaced levels. Clipping makes the error of the outlier larger and that of all others smaller; which is better depends on how far out it lies. The block of zeros is no rare case, because padding and pruned rows look like this, and one NaN spreads through a whole model.
"""
TRIAL = """
levels = finetuning.nf4_levels().numpy()
w = np.array([0.3, -0.8, 0.05, 0.0, 0, 0, 0, 0])
codes, scales = rounded_blocks(w, levels, 4)
check("codes of two blocks", list(codes), [11, 0, 8, 7, 7, 7, 7, 7], 0)
check("scales of two blocks", list(scales), [0.8, 0], 1e-3)
w = np.random.default_rng(0).normal(size=192)
codes, scales = (np.asarray(part) for part in rounded_blocks(w, levels, 64))
back = levels[codes.astype(int)] * np.repeat(scales, 64)
kept = finetuning.quantise_nf4(torch.from_numpy(w), 64, double=False)
check("192 weights, read back", back, kept.dequantise(), 1e-3)
"""


def exercise(scaled: str = "absmax", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise with one of the rules of `SCALED`."""
    given = {"scaled": scaled, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"rounded_blocks": "w, levels, size"}, twisted)
        return answer.replace("SCALE", SCALE[scaled])

    return Exercise(
        id="fine-tuning-rounded-blocks",
        title="Sixteen levels and a scale",
        kind="code",
        difficulty=2,
        minutes=25,
        points=4,
        question=asked(QUESTION.replace("SCALED", SCALED[scaled]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(levels_come_out_as_they_are, given),),
        hidden=(Check(weights_get_the_nearest_level, given), Check(zeros_stay_zeros, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(scaled).items()},
        trial="" if twists or scaled != "absmax" else TRIAL,
    )


def wrong_answers(scaled: str) -> dict[str, str]:
    """Return mistakes."""
    other = SCALE["signed" if scaled != "signed" else "absmax"]
    return {
        "one scale for all blocks": SOLUTION.replace(
            "    safe =",
            "    scales = np.full(len(blocks), scales[np.abs(scales).argmax()])\n    safe =",
        ),
        "the next lower level": SOLUTION.replace(
            "np.abs(ratio - levels).argmin(axis=1)",
            "(np.sum(ratio >= levels - 1e-9, axis=1) - 1).clip(0)",
        ),
        "evenly spaced levels": SOLUTION.replace(
            "ratio - levels", "ratio - np.linspace(-1, 1, len(levels))"
        ),
        "another rule for the scale": SOLUTION.replace("SCALE", other),
        "0 divided by 0": SOLUTION.replace(
            "np.where(scales == 0, 1, scales)", "scales + 0.0"
        ).replace("    ratio =", "    with np.errstate(all='ignore'):\n        ratio ="),
        "the block of zeros keeps the scale 1": SOLUTION.replace(
            "(axis=1), scales", "(axis=1), safe"
        ),
        "blocks of every so many-th weight": SOLUTION.replace(
            "w.reshape(-1, size)", "w.reshape(size, -1).T"
        ),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a rule for the scale, weights, and twists, of which two do not go together."""
    without = rng.choice(("ragged", "matrix"))
    chosen = drawn(rng, [name for name in TWISTS if name != without])
    return {
        "scaled": rng.choice(list(SCALED)),
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_levels(seed):
    """Draw 16 levels from -1 to 1, with 0 among them, that lie apart."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0.5, 1.5, 15)
    below, above = steps[:7].cumsum(), steps[7:].cumsum()
    return np.array([*(below[::-1] / -below[-1]), 0.0, *(above / above[-1])])


def codes_and_scales(rounded_blocks, w, levels, size, twists):
    """Return codes and scales of an answer, after a look at what else it returns.

    `w` holds weights one after the other; as a matrix they are handed over in two rows.
    """
    given = w.reshape(2, -1).copy() if "matrix" in twists else w.copy()
    kept = given.copy()
    result = parts(rounded_blocks(given, levels.copy(), size), 3 if "back" in twists else 2)
    unchanged = (given == kept).all()
    assert unchanged, "rounded_blocks writes into the array that it gets; make a new one"
    codes, scales = array(result[0]).ravel(), array(result[1])
    blocks = -(-len(w) // size)
    if "matrix" in twists:
        shape = (2, blocks // 2)
        assert scales.shape == shape, f"The scales should have shape {shape}, got {scales.shape}"
    scales = scales.ravel()
    assert len(scales) == blocks, f"{blocks} blocks have as many scales, got {len(scales)}"
    many = len(w) // 2 if "packed" in twists else len(w)
    assert len(codes) == many, f"The first result should hold {many} numbers, got {len(codes)}"
    whole = np.isfinite(codes).all() and (codes == codes.round()).all() and (codes >= 0).all()
    assert whole, "The first result should hold whole numbers, and none below 0"
    codes = codes.astype(int)
    if "packed" in twists:
        codes = np.stack((codes % 16, codes // 16), axis=1).ravel()
    assert (codes < 16).all(), "There are 16 levels, so no code should be above 15"
    if "back" in twists:
        read = levels[codes] * np.repeat(scales, size)[: len(w)]
        assert close(array(result[2]).ravel(), read, "The third result"), (
            "The third result should be the level of each code times the scale of its block"
        )
    return codes, scales


def levels_come_out_as_they_are(rounded_blocks, *, scaled, seed, twists):
    """Check two blocks of four weights: how many results there are, and the sizes of scales."""
    levels = some_levels(seed)
    w = np.array([0.5, 0.1, -0.2, 0.0, 0.3, 2.0, 0.0, -1.0])
    codes, scales = codes_and_scales(rounded_blocks, w, levels, 4, twists)
    ratio = scales[1] / scales[0]
    assert close(ratio, 4, "The ratio"), (
        "The largest weights of two blocks are 0.5 and 2, so one scale should be 4 times the other"
    )
    assert levels[codes[3]] == levels[codes[6]] == 0, "A weight of 0 should become the level 0"


def block_by_block(w, levels, size, scaled):
    """Return codes and scales, found weight by weight."""
    codes, scales = [], []
    for i in range(0, len(w), size):
        block = w[i : i + size].tolist()
        outer = max(block, key=abs)
        scale = {"absmax": abs(outer), "signed": outer, "clipped": 0.8 * abs(outer)}[scaled]
        scales.append(scale)
        for x in block:
            far = [abs((x / scale if scale else 0) - level) for level in levels]
            codes.append(far.index(min(far)))
    return codes, scales


def weights_get_the_nearest_level(rounded_blocks, *, scaled, seed, twists):
    """Compare codes and scales with a search, weight by weight."""
    for each, size, n in ((seed, 4, 24), (seed + 1, 6, 48), (seed + 2, 8, 16)):
        rng, levels = np.random.default_rng(each), some_levels(each)
        n -= 2 if "ragged" in twists else 0
        w = rng.normal(size=n) * np.repeat(rng.uniform(0.2, 3, n), size)[:n]
        codes, scales = codes_and_scales(rounded_blocks, w, levels, size, twists)
        right_codes, right_scales = block_by_block(w, levels, size, scaled)
        assert close(scales, right_scales, "The scales"), (
            "The scales are not right: which weights form a block, and which of them sets the scale?"
        )
        wrong = np.flatnonzero(codes != np.array(right_codes))
        assert not len(wrong), (
            f"With blocks of {size} weights, weight {w[wrong[0]]:.3f} at place {wrong[0]} gets "
            f"the code {codes[wrong[0]]}: another level is nearer after the division by the scale"
        )


def zeros_stay_zeros(rounded_blocks, *, scaled, seed, twists):
    """Check a block in which all weights are 0, beside another one."""
    levels = some_levels(seed + 3)
    w = np.array([0.0, 0.0, 0.0, 0.0, 0.5, -0.25, 0.0, 0.1])
    with np.errstate(all="ignore"):
        codes, scales = codes_and_scales(rounded_blocks, w, levels, 4, twists)
    assert scales[0] == 0, "A block of zeros should have the scale 0"
    assert (levels[codes[:4]] == 0).all(), (
        "In a block of zeros each code should stand for the level 0, and nothing may become NaN"
    )
    assert abs(scales[1]) > 0, "The other block should have a scale of its own"
