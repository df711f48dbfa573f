"""Find all blocks in which two models differ, although each error travels on."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion.models import GPT, GPTConfig
from exercises import Check, Exercise
from exercises.twists import Twist, begun, drawn, wrapped
from exercises.twists import asked as told

QUESTION = """
Somebody has converted a GPT of {{blocks}} blocks, and made mistakes in some of them. You have the original, `a`, and the converted model, `b`. Write `compare_blocks(a, b, ids)`, which returns the numbers of all blocks that ASKED, in ascending order and counted from 0. It is not enough to compare the residual streams of the two models, because they differ everywhere after the first wrong block. A block is wrong only if it gives another output for the *same* input. Two numbers count as equal if they differ by less than 0.0001. Everything outside the blocks (the tables, the last norm) is right.
"""
# What takes the place of ASKED.
ASKED = {
    "wrong": "compute something else in `b` than in `a`",
    "right": "compute in `b` what they compute in `a`",
}
STARTER = '''
def compare_blocks(a, b, ids):
    """a, b: models.GPT; ids (1, T) -> list of numbers of blocks"""
    ...
'''
TWISTS = {
    "marks": Twist(
        "In place of the numbers, return a list with `True` or `False` for each block: whether it is one of those that are asked for.",
        {"compare_blocks": ("", "result = [i in result for i in range(len(a.blocks))]")},
        {"list of numbers of blocks": "list of True and False, one a block"},
    ),
    "downwards": Twist(
        "Blocks are counted from the top: the last block has the number 0, and the numbers are in ascending order.",
        {
            "compare_blocks": (
                "",
                "result = sorted(len(a.blocks) - 1 - i for i in result)",
            )
        },
    ),
}
HINT = "`a.trace(ids).stream` holds the input of every block of `a`, and the output of the last one: block $i$ turns `stream[i]` into `stream[i + 1]`. Give the same input to block $i$ of `b`. The blocks are in `b.blocks`, and they need `is_causal=True`."
# In these answers IS stands for the comparison that is asked for.
SOLUTION = """
def compare_blocks(a, b, ids):
    stream = a.trace(ids).stream  # (L+1, 1, T, D)
    found = []
    with torch.no_grad():
        for i, block in enumerate(b.blocks):
            output = block(stream[i], is_causal=True)
            if (output - stream[i + 1]).abs().max() IS 1e-4:
                found.append(i)
    return found
"""
EXPLANATION = """
Each block of `b` gets the input that the same block of `a` got, so an earlier error cannot reach it. `models.diff` uses the same idea: it looks for the layer whose inputs agree and whose output does not. It finds only the first wrong layer. Here all wrong blocks are found, because every block gets the right input. You can go on in the same way inside a wrong block, and compare its attention and its feed-forward layer.
"""
TRIAL = """
torch.manual_seed(0)
sizes = {"vocab_size": 20, "max_length": 12, "d_model": 16, "n_heads": 2}
a, b = (models.GPT(models.GPTConfig(n_layers=BLOCKS, **sizes)) for _ in "ab")
with torch.no_grad():
    for parameter in a.parameters():
        parameter.normal_(std=0.3)
    b.load_state_dict(a.state_dict())
first, second = (b.blocks[i].attention.layer for i in PLANTED)
with torch.no_grad():
    first.w_q.weight[:2] = first.w_q.weight[:2].flip(0)  # two rows exchanged
second.scale = 0.9  # no weight is wrong here, but the scores are multiplied by another number
check("blocks", compare_blocks(a, b, torch.arange(12)[None]), RIGHT, 0)
"""
WRONG_ANSWERS = {
    "the streams compared": """
def compare_blocks(a, b, ids):
    ours, theirs = a.trace(ids).stream, b.trace(ids).stream
    gaps = (ours - theirs).abs().amax(dim=(1, 2, 3))[1:]
    return [i for i, gap in enumerate(gaps) if gap IS 1e-4]
""",
    "the first one only": SOLUTION.replace("    return found\n", "    return found[:1]\n"),
    "counted from 1": SOLUTION.replace("found.append(i)", "found.append(i + 1)"),
    "the weights compared": """
def compare_blocks(a, b, ids):
    found = []
    for i, (x, y) in enumerate(zip(a.blocks, b.blocks)):
        pairs = zip(x.parameters(), y.parameters())
        if max((p - q).abs().max() for p, q in pairs) IS 1e-4:
            found.append(i)
    return found
""",
    "no causal mask": SOLUTION.replace(", is_causal=True", ""),
}


def exercise(
    blocks: int = 6,
    planted: tuple[int, ...] = (1, 4),
    seed: int = 0,
    asked: str = "wrong",
    twists: tuple[str, ...] = (),
) -> Exercise:
    """Return the exercise, tried with errors ``planted`` in a model of so many blocks."""
    sign = {"wrong": ">=", "right": "<"}[asked]
    given = {"blocks": blocks, "planted": list(planted), "seed": seed, "asked": asked}
    given |= {"twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"compare_blocks": "a, b, ids"}, twisted).replace("IS", sign)

    trial = TRIAL.replace("BLOCKS", str(blocks)).replace("PLANTED", str(list(planted)))
    trial = trial.replace("RIGHT", str(_answer(list(planted), blocks, asked)))
    return Exercise(
        id="model-families-culprits",
        title="Every culprit",
        kind="code",
        difficulty=3,
        minutes=25,
        points=4,
        question=told(QUESTION.replace("ASKED", ASKED[asked]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"blocks": blocks},
        visible=(Check(last_block_is_judged, given),),
        hidden=(Check(all_are_found, given), Check(settings_count_too, given)),
        wrong_answers={why: filled(code) for why, code in WRONG_ANSWERS.items()},
        trial="" if twists else trial,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw how many blocks there are, and two that are wrong and not the last."""
    blocks, chosen = rng.randrange(5, 9), drawn(rng, ("right", *TWISTS))
    planted = sorted(rng.sample(range(blocks - 1), 2))
    return {
        "blocks": blocks,
        "planted": tuple(planted),
        "seed": rng.randrange(10_000),
        "asked": "right" if "right" in chosen else "wrong",
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def _answer(wrong: list[int], blocks: int, asked: str, twists: tuple[str, ...] = ()) -> list[Any]:
    """Return the blocks that are asked for, as they are asked for."""
    found = [i for i in range(blocks) if (i in wrong) == (asked == "wrong")]
    if "downwards" in twists:
        found = sorted(blocks - 1 - i for i in found)
    return [i in found for i in range(blocks)] if "marks" in twists else found


def two_models(blocks: int, seed: int) -> tuple[GPT, GPT, torch.Tensor]:
    """Return a model twice, and a text."""
    generator = torch.Generator().manual_seed(seed)
    config = GPTConfig(
        vocab_size=20, max_length=12, d_model=16, n_layers=blocks, n_heads=2, d_hidden=24
    )
    with torch.random.fork_rng(devices=[]):
        a, b = GPT(config).double().eval(), GPT(config).double().eval()
    with torch.no_grad():
        for parameter in a.parameters():
            shape = parameter.shape
            parameter.copy_(0.3 * torch.randn(shape, generator=generator, dtype=torch.float64))
    b.load_state_dict(a.state_dict())
    return a, b, torch.randint(20, (1, 11), generator=generator)


def last_block_is_judged(compare_blocks, *, blocks, planted, seed, asked, twists):
    """Check two equal models, and an error in the last block."""
    a, b, ids = two_models(blocks, seed)
    found, right = list(compare_blocks(a, b, ids)), _answer([], blocks, asked, twists)
    assert found == right, f"For two equal models, {right} should be returned, got {found}"
    with torch.no_grad():
        b.blocks[-1].feed_forward.layer.contract.bias += 1.0
    found, right = list(compare_blocks(a, b, ids)), _answer([blocks - 1], blocks, asked, twists)
    assert found == right, (
        f"With an error in the last block alone, {right} should be returned, got {found}"
    )


def all_are_found(compare_blocks, *, blocks, planted, seed, asked, twists):
    """Plant errors in several blocks."""
    a, b, ids = two_models(blocks, seed)
    with torch.no_grad():
        for i in planted:
            b.blocks[i].attention.layer.w_v.weight += 0.2
    found = list(compare_blocks(a, b, ids))
    assert found == _answer(planted, blocks, asked, twists), (
        f"compare_blocks returns {found}, and other blocks are right or wrong: does each block of "
        "b get the input that the block of a got?"
    )


def settings_count_too(compare_blocks, *, blocks, planted, seed, asked, twists):
    """Plant an error that is not in the weights."""
    a, b, ids = two_models(blocks, seed)
    b.blocks[planted[0]].attention.layer.scale = 0.9
    found = list(compare_blocks(a, b, ids))
    assert found == _answer(planted[:1], blocks, asked, twists), (
        "An attention layer with another scale has the same weights and computes something else; "
        f"compare_blocks returns {found}"
    )
