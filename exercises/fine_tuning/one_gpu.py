"""Choose between training everything, LoRA and QLoRA with a budget, by numbers."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array

QUESTION = r"""
A team has one GPU with {{gpu}} GB and wants to teach {{tasks}} tasks to a model of the family of Llama. It has {{n_layers}} blocks of width {{d_model}}, keys and values of width {{d_kv}} (several heads share them), a feed-forward layer of width {{d_hidden}}, and {{parameters}} parameters in all. Each block has seven matrices without bias: those of queries and of the output of attention, $D \times D$, those of keys and of values, from $D$ to the smaller width, and three between $D$ and the width of the feed-forward layer. The vectors that the backward pass needs take {{activations}} GB, whatever is trained. (A GB is $10^9$ bytes.)

- *Everything*: 16 bytes for each parameter (weight and gradient in 16 bits; a copy and Adam's two numbers in 32 bits).
- *LoRA* of rank {{rank}} on all seven matrices: 2 bytes for each frozen parameter, 16 for each trained one.
- *QLoRA*: the same, but each frozen parameter is kept in {{bits}} bits.

Find the memory in GB that each of the three needs; the highest rank with which LoRA with frozen weights in 16 bits fits on the GPU; and how many GB all tasks together take on the disk in 16 bits, once as {{tasks}} whole models and once as one model and {{tasks}} sets of LoRA's matrices.

On a smaller model of the same family a colleague has measured the share of right answers, mean and standard deviation over three seeds: everything {{acc_full}} ± {{sd}}, LoRA of rank {{rank}} {{acc_lora}} ± {{sd}}, QLoRA {{acc_qlora}} ± {{sd}}, and a trained prompt, which would fit as well, {{acc_prompt}} ± {{sd}}. Say in a comment of four to six sentences which method the team should take and why, what speaks against it, and what you would measure before you are sure.
"""
STARTER = """
full_memory = ...
lora_memory = ...
qlora_memory = ...
highest_rank = ...
disk_as_models = ...
disk_as_lora = ...
# The team should ...
"""
HINT = r"LoRA on a matrix from $a$ to $b$ features trains $r\,(a + b)$ numbers. Add up $a + b$ for the seven matrices of a block. Are the weights of the frozen matrices fewer because LoRA stands beside them? For the highest rank, ask how many bytes are left once weights and vectors have their room."
SOLUTION = """
GB, D, KV, H = 10**9, D_MODEL, D_KV, D_HIDDEN
total = PARAMETERS
of_rank_one = N_LAYERS * (2 * (D + D) + 2 * (D + KV) + 3 * (D + H))
trained = RANK * of_rank_one

full_memory = 16 * total / GB + ACTIVATIONS
lora_memory = (2 * total + 16 * trained) / GB + ACTIVATIONS
qlora_memory = (BITS / 8 * total + 16 * trained) / GB + ACTIVATIONS
left = GPU * GB - ACTIVATIONS * GB - 2 * total
highest_rank = int(left // (16 * of_rank_one))
disk_as_models = TASKS * 2 * total / GB
disk_as_lora = (2 * total + TASKS * 2 * trained) / GB
# The team should take LoRA with frozen weights in 16 bits.
"""
EXPLANATION = r"""
A rank of 1 trains {{of_rank_one}} numbers, so rank {{rank}} trains {{millions}} million, or {{percent}} % of all. Everything needs {{full}} GB, which is far too much for the GPU. LoRA needs {{lora}} GB and QLoRA {{qlora}} GB, so both fit. The rank may be as high as {{highest}}, so the rank is not what memory limits here. On the disk, {{tasks}} models take {{as_models}} GB and one model with its adapters {{as_lora}} GB.

The colleague's numbers do not show a difference between everything, LoRA and QLoRA: the distances are smaller than the spread over three seeds. The trained prompt is behind by several times the spread. So memory decides, and LoRA with frozen weights in 16 bits is a good choice: it fits, its weights need not be decoded in each call, as those of 4 bits must, and it can be merged without rounding to 4 bits. One can defend QLoRA as well, if the room that is left is used for longer texts or larger batches. Against both speaks that the learning rate of LoRA has to be searched for anew, and that accuracies of a smaller model are no proof for the large one. To be measured: one task on the large model, LoRA against QLoRA, with three seeds and equal searches for the rate; the memory at its peak, for the longest texts; and what the model has forgotten.

To grade by hand, besides the checks: is the choice justified by these numbers, and is it said that the differences of the first three methods are within the spread (1 point); is something named that speaks against it, and a measurement that could change the choice (1)?
"""
TRIAL = """
D, KV, H = D_MODEL, D_KV, D_HIDDEN
shapes = [(D, D), (KV, D), (KV, D), (D, D), (H, D), (H, D), (D, H)]
per_rank = 0
for d_out, d_in in shapes:
    base = torch.nn.Linear(d_in, d_out, device="meta")  # no memory
    layer = finetuning.LoRALinear(base, rank=1)
    per_rank += N_LAYERS * sum(p.numel() for p in (layer.lora_A, layer.lora_B))
trained = 16 * RANK * per_rank / 1e9  # GB
frozen = 2 * PARAMETERS / 1e9
check("LoRA without what is trained", lora_memory - trained - ACTIVATIONS, frozen, 0.01)
saved = frozen * (1 - BITS / 16)
check("QLoRA less than LoRA by", lora_memory - qlora_memory, saved, 0.01)
check("everything, vectors taken off", full_memory - ACTIVATIONS, 8 * frozen, 0.01)
rank_more = frozen + 16 * (highest_rank + 1) * per_rank / 1e9 + ACTIVATIONS
check("the highest rank fits", rank_more - 16 * per_rank / 1e9, at_most=GPU)
check("one more does not", rank_more, at_least=GPU)
check("disk, models", disk_as_models / TASKS, frozen, 0.01)
check("disk, LoRA", (disk_as_lora - frozen) / TASKS, trained / 8, 0.001)
"""
# Blocks, width, keys and values, feed-forward, parameters in all; as published models have them.
MODELS = {
    "1.2": (16, 2048, 512, 8192, 1_235_814_400),
    "3.2": (28, 3072, 1024, 8192, 3_212_749_824),
    "8.0": (32, 4096, 1024, 14336, 8_030_261_248),
}
GPUS = {"1.2": (8, 12, 16), "3.2": (12, 16, 24), "8.0": (24, 32, 40)}


def exercise(
    billions: str = "8.0",
    gpu: int = 24,
    tasks: int = 20,
    rank: int = 16,
    activations: int = 4,
    accuracies: tuple[int, int, int, int] = (842, 839, 835, 781),
) -> Exercise:
    """Return the exercise for a model, a GPU and a number of tasks; accuracies in thousandths."""
    given: dict[str, Any] = {
        "billions": billions,
        "gpu": gpu,
        "tasks": tasks,
        "rank": rank,
        "activations": activations,
    }
    right = budget(**given)
    return Exercise(
        id="fine-tuning-one-gpu",
        title="One GPU, many tasks",
        kind="open",
        difficulty=3,
        minutes=35,
        points=6,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_put(SOLUTION, **given),
        explanation=EXPLANATION,
        values=_texts(given, accuracies, right),
        visible=(Check(memories_are_in_order),),
        hidden=(
            Check(memories_are_right, {"right": right}),
            Check(disk_is_right, {"right": right}),
        ),
        wrong_answers=_wrong_answers(given, right),
        words=True,
        by_hand=2,
        trial=_put(TRIAL, **given),
    )


BITS = 4.127  # with scales of 8 bits for each 64 weights, and theirs


def of_rank_one(billions: str) -> int:
    """Return how many numbers LoRA of rank 1 trains."""
    n_layers, d, kv, hidden, _ = MODELS[billions]
    sides = [(d, d), (d, kv), (d, kv), (d, d), (d, hidden), (d, hidden), (hidden, d)]
    return n_layers * sum(a + b for a, b in sides)


def budget(
    billions: str, gpu: int, tasks: int, rank: int, activations: int, bits: float = BITS
) -> dict[str, Any]:
    """Return what is asked for."""
    total, one = MODELS[billions][-1], of_rank_one(billions)
    trained = rank * one
    numbers = {
        "full_memory": 16 * total / 1e9 + activations,
        "lora_memory": (2 * total + 16 * trained) / 1e9 + activations,
        "qlora_memory": (bits / 8 * total + 16 * trained) / 1e9 + activations,
        "highest_rank": int(((gpu - activations) * 10**9 - 2 * total) // (16 * one)),
        "disk_as_models": tasks * 2 * total / 1e9,
        "disk_as_lora": (2 * total + tasks * 2 * trained) / 1e9,
    }
    return {name: round(value, 6) for name, value in numbers.items()}


def _put(code: str, billions: str, gpu: int, tasks: int, rank: int, activations: int) -> str:
    n_layers, d, kv, hidden, total = MODELS[billions]
    for word, by in (
        ("D_MODEL", d),
        ("D_KV", kv),
        ("D_HIDDEN", hidden),
        ("N_LAYERS", n_layers),
        ("PARAMETERS", f"{total:_}"),
        ("ACTIVATIONS", activations),
        ("RANK", rank),
        ("BITS", BITS),
        ("TASKS", tasks),
        ("GPU", gpu),
    ):
        code = code.replace(word, str(by))
    return code


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in values.items())


def _texts(
    given: dict[str, Any], accuracies: tuple[int, int, int, int], right: dict[str, Any]
) -> dict[str, Any]:
    n_layers, d, kv, hidden, total = MODELS[given["billions"]]
    trained = given["rank"] * of_rank_one(given["billions"])
    names = ("acc_full", "acc_lora", "acc_qlora", "acc_prompt")
    return {
        **{name: f"{value / 1000:.3f}" for name, value in zip(names, accuracies, strict=True)},
        "sd": "0.009",
        "gpu": given["gpu"],
        "tasks": given["tasks"],
        "rank": given["rank"],
        "activations": given["activations"],
        "parameters": f"{total:,}",
        "bits": BITS,
        "n_layers": n_layers,
        "d_model": f"{d:,}",
        "d_kv": f"{kv:,}",
        "d_hidden": f"{hidden:,}",
        "of_rank_one": f"{of_rank_one(given['billions']):,}",
        "millions": f"{trained / 1e6:.1f}",
        "percent": f"{100 * trained / total:.2f}",
        "full": f"{right['full_memory']:.1f}",
        "lora": f"{right['lora_memory']:.2f}",
        "qlora": f"{right['qlora_memory']:.2f}",
        "highest": right["highest_rank"],
        "as_models": f"{right['disk_as_models']:.1f}",
        "as_lora": f"{right['disk_as_lora']:.1f}",
    }


def _wrong_answers(given: dict[str, Any], right: dict[str, Any]) -> dict[str, str]:
    n_layers, d, _, hidden, total = MODELS[given["billions"]]
    act, rank, tasks = given["activations"], given["rank"], given["tasks"]
    trained = rank * of_rank_one(given["billions"])
    square = rank * n_layers * (4 * (d + d) + 3 * (d + hidden))  # no smaller keys and values
    bare = {"full_memory", "lora_memory", "qlora_memory"}
    return {
        "keys and values as wide as queries": _answer(
            right | {"lora_memory": (2 * total + 16 * square) / 1e9 + act}
        ),
        "what the backward pass needs is forgotten": _answer(
            right | {name: right[name] - act for name in bare}
        ),
        "gigabytes of two to the thirtieth": _answer(
            right | {name: (right[name] - act) * 1e9 / 2**30 + act for name in bare}
        ),
        "the rank that does not fit any more": _answer(
            right | {"highest_rank": right["highest_rank"] + 1}
        ),
        "a whole model for each adapter": _answer(
            right | {"disk_as_lora": tasks * 2 * (total + trained) / 1e9}
        ),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a model and a GPU that is too small for everything, and large enough for LoRA."""
    while True:
        billions = rng.choice(list(MODELS))
        given: dict[str, Any] = {
            "billions": billions,
            "gpu": rng.choice(GPUS[billions]),
            "tasks": rng.choice((8, 12, 20, 30, 50)),
            "rank": rng.choice((8, 16, 32, 64)),
            "activations": rng.choice((1, 2, 3, 4)),
        }
        right = budget(**given)
        most = given["gpu"]
        if right["lora_memory"] < 0.95 * most and right["full_memory"] > 1.3 * most:
            start = rng.randrange(780, 900)
            steps = rng.choice((2, 3, 4)), rng.choice((5, 6, 7)), rng.randrange(50, 80)
            return {**given, "accuracies": (start, *(start - step for step in steps))}


# -- checks --------------------------------------------------------------------------------------


def memories_are_in_order(
    full_memory, lora_memory, qlora_memory, highest_rank, disk_as_models, disk_as_lora
):
    """Check that what trains or keeps less needs less, and that the rank is a whole number."""
    given: dict[str, Any] = {
        "full_memory": full_memory,
        "lora_memory": lora_memory,
        "qlora_memory": qlora_memory,
        "highest_rank": highest_rank,
        "disk_as_models": disk_as_models,
        "disk_as_lora": disk_as_lora,
    }
    for name, value in given.items():
        assert array(value).size == 1, f"{name} should be one number, got {value}"
        assert 0 < array(value).item() < 1e5, f"{name} should be above 0 and in GB, got {value}"
    order = array(qlora_memory) < array(lora_memory) < array(full_memory)
    assert order, "QLoRA should need less memory than LoRA, and LoRA less than training everything"
    rank = array(highest_rank).item()
    assert rank == round(rank), f"highest_rank should be a whole number, got {rank}"


def memories_are_right(full_memory, lora_memory, qlora_memory, highest_rank, *, right):
    """Check the memory of the three methods, and the highest rank."""
    for name, value in (
        ("full_memory", full_memory),
        ("lora_memory", lora_memory),
        ("qlora_memory", qlora_memory),
    ):
        assert abs(array(value).item() - right[name]) < 0.006, (
            f"{name} is not right, to two decimals: how many numbers are frozen and how many are "
            "trained, what does each cost, and is everything counted that needs memory?"
        )
    assert array(highest_rank).item() == right["highest_rank"], (
        "highest_rank is not right: how many bytes are left once the frozen weights and the "
        "vectors have their room, and how many does one more rank cost?"
    )


def disk_is_right(disk_as_models, disk_as_lora, *, right):
    """Check what all tasks take on the disk."""
    assert abs(array(disk_as_models).item() - right["disk_as_models"]) < 0.06, (
        "disk_as_models is not right, to one decimal: 2 bytes for each parameter of each model"
    )
    assert abs(array(disk_as_lora).item() - right["disk_as_lora"]) < 0.06, (
        "disk_as_lora is not right, to one decimal: the frozen model is the same for all tasks"
    )
