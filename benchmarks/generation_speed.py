"""How fast models write: beside transformers, and the longer the text.

Ours and theirs have the same sizes and the same weights, get the same prompts, and take turns in
one run, so that whatever else the machine does disturbs both alike. A turn is one call of
``generate``, in float32 on a CPU, from prompts of one length or, where the name says so, of
several; nobody stops before the last token, and it is counted how many rows are alike. The time of
a turn is that for which the processor works, in one thread. The ratio of a pair is their time by
ours; the median of the ratios is what counts. Recorded, too, is how long a product of one vector
with a matrix takes in two layouts, and a copy from one to the other: the shortest time of each.
From the repository's root, on an idle machine:

    python -m benchmarks.generation_speed

``--quick`` runs few pairs and writes nothing.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import pairs, records
from companion import generation, models

RESULT = records.RESULTS / "generation_speed.json"
GPT: dict[str, dict[str, int]] = {
    "tiny": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 512, "vocab_size": 128},
    "small": {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 512, "vocab_size": 512},
    "wide": {"n_embd": 256, "n_layer": 6, "n_head": 8, "n_positions": 512, "vocab_size": 2048},
}
LLAMA = {
    name: {
        "hidden_size": sizes["n_embd"],
        "num_hidden_layers": sizes["n_layer"],
        "num_attention_heads": sizes["n_head"],
        "num_key_value_heads": sizes["n_head"] // 2,
        "intermediate_size": 3 * sizes["n_embd"],
        "max_position_embeddings": sizes["n_positions"],
        "vocab_size": sizes["vocab_size"],
    }
    for name, sizes in GPT.items()
}
T5 = {
    "tiny": {
        "d_model": 64,
        "d_kv": 16,
        "num_heads": 4,
        "num_layers": 3,
        "d_ff": 256,
        "vocab_size": 128,
    }
}
N_PROMPT, N_NEW = 16, 100
#: What is compared: the kind of model, its size, rows, whether their lengths differ, samplers.
CASES: dict[str, tuple[str, str, int, bool, bool]] = {
    "GPT, tiny": ("GPT", "tiny", 1, False, False),
    "GPT, tiny, 8 rows": ("GPT", "tiny", 8, False, False),
    "GPT, tiny, 8 ragged rows": ("GPT", "tiny", 8, True, False),
    "GPT, tiny, sampled": ("GPT", "tiny", 1, False, True),
    "GPT, small": ("GPT", "small", 1, False, False),
    "GPT, wide": ("GPT", "wide", 1, False, False),
    "Llama, tiny": ("Llama", "tiny", 1, False, False),
    "Llama, tiny, 8 ragged rows": ("Llama", "tiny", 8, True, False),
    "Llama, small": ("Llama", "small", 1, False, False),
    "Llama, wide": ("Llama", "wide", 1, False, False),
    "T5, tiny": ("T5", "tiny", 1, False, False),
}
LENGTHS = (50, 100, 200, 400)
#: Matrices, as (in, out), and how many of them take turns, so that each one has to be read anew.
MATRICES = {(256, 768): 24, (256, 1024): 18, (1024, 256): 18, (256, 2048): 9, (768, 3072): 2}
PAIRS, QUICK = 30, 3

Turn = Callable[[], Any]


def both(kind: str, size: str) -> tuple[Any, Any]:
    """Return our model and theirs, with the same random weights."""
    torch.manual_seed(0)
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    theirs: Any
    if kind == "GPT":
        theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT[size], **ends))
    elif kind == "Llama":
        theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA[size], **ends))
    else:
        config = transformers.T5Config(**T5[size], **ends, decoder_start_token_id=0)
        theirs = transformers.T5ForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.ndim > 1:  # so that texts are not all one token
                parameter.mul_(3)
    ours = {"GPT": models.GPT, "Llama": models.Llama, "T5": models.T5}[kind]
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return ours.from_hf(folder), theirs.eval()


def turns(case: str) -> dict[str, Turn]:
    """Return what each of the two does in a turn; both return the ids that they have written."""
    kind, size, n_rows, ragged, sampled = CASES[case]
    ours, theirs = both(kind, size)
    draws = torch.Generator().manual_seed(1)
    ids = torch.randint(1, ours.config.vocab_size, (n_rows, N_PROMPT), generator=draws)
    skipped = [i if ragged else 0 for i in range(n_rows)]
    prompts = [row[skip:] for row, skip in zip(ids.tolist(), skipped, strict=True)]
    mask = torch.arange(N_PROMPT) >= torch.tensor(skipped)[:, None]
    given = {"input_ids": ids.masked_fill(~mask, 0), "attention_mask": mask.long()}
    settings = {"do_sample": sampled, "max_new_tokens": N_NEW, "pad_token_id": 0}
    settings |= {"temperature": 0.9, "top_k": 50, "top_p": 0.95} if sampled else {}
    samplers = [generation.Temperature(0.9), generation.TopK(50), generation.TopP(0.95)]
    options = {"start_id": 0} if kind == "T5" else {}
    if sampled:
        options["draw"] = lambda p: torch.multinomial(p, 1)[:, 0]
    start = 1 if kind == "T5" else N_PROMPT

    def write() -> list[list[int]]:
        torch.manual_seed(2)
        done = generation.generate(
            ours, prompts, samplers if sampled else (), max_new_tokens=N_NEW, **options
        )
        return done.ids

    def write_theirs() -> list[list[int]]:
        torch.manual_seed(2)
        return theirs.generate(**given, **settings)[:, start:].tolist()

    return {"companion": write, "transformers": write_theirs}


def seconds_of(turn: Turn) -> float:
    """Return the seconds that the processor works in a turn; what others do does not count."""
    start = time.process_time()
    turn()
    return time.process_time() - start


def in_turns(chosen: dict[str, Turn], rounds: int) -> dict[str, Any]:
    """Return medians in milliseconds of the processor, and how many times as fast the first is."""
    times = pairs.alternating(chosen, rounds, warm_up=1, clock=time.process_time)
    summed = pairs.compared(times)
    (beside,) = summed["times_as_fast"].values()
    return {
        **{f"{name}_ms": milliseconds for name, milliseconds in summed["ms"].items()},
        "times_as_fast": beside["median"],
        "middle_half": beside["middle_half"],
    }


def compared(case: str, rounds: int) -> dict[str, Any]:
    """Compare ours with theirs."""
    chosen = turns(case)
    written = [turn() for turn in chosen.values()]
    same = sum(a == b for a, b in zip(*written, strict=True))
    return {
        "case": case,
        "rows_alike": same,
        "rows": CASES[case][2],
        **in_turns(chosen, rounds),
    }


def growth(rounds: int) -> dict[str, Any]:
    """Return how long texts of several lengths take with a cache, and the power that fits best."""
    ours, _ = both("GPT", "tiny")
    prompt = [list(range(1, N_PROMPT + 1))]
    seconds = {
        n: statistics.median(
            seconds_of(lambda n=n: generation.generate(ours, prompt, max_new_tokens=n))
            for _ in range(rounds)
        )
        for n in LENGTHS
    }
    logs = torch.tensor([*seconds.items()], dtype=torch.float64).log()
    x, y = (logs - logs.mean(dim=0)).T
    return {
        "milliseconds": {n: round(1000 * s, 2) for n, s in seconds.items()},
        "power": round(float((x * y).sum() / (x * x).sum()), 3),
    }


def layouts(d_in: int, d_out: int, rounds: int) -> dict[str, Any]:
    """Compare the ways in which a matrix that one vector is multiplied by can lie in memory."""
    x, n = torch.randn(1, d_in), MATRICES[d_in, d_out]
    kept = [torch.randn(d_out, d_in) for _ in range(n)]  # rows of d_in, as layers keep them
    turned = [w.T.contiguous() for w in kept]  # rows of d_out
    chosen: dict[str, Turn] = {
        "rows_of_in": lambda: [x @ w.T for w in kept],
        "rows_of_out": lambda: [x @ w for w in turned],
        "copy": lambda: [w.T.contiguous() for w in kept],
    }
    times = {name: min(seconds_of(turn) for _ in range(rounds)) for name, turn in chosen.items()}
    return {
        "in": d_in,
        "out": d_out,
        **{f"{name}_us": round(1e6 * seconds / n, 1) for name, seconds in times.items()},
    }


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--quick", action="store_true", help="few pairs, and no record")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    rounds, runs = QUICK if chosen.quick else PAIRS, []
    for case in CASES:
        runs.append(compared(case, rounds))
        print(json.dumps(runs[-1]), flush=True)
    grown = growth(rounds)
    products = [layouts(*shape, rounds) for shape in MATRICES]
    if chosen.quick:
        print(json.dumps({"growth": grown, "layouts": products}, indent=1))
        return
    beside = {"transformers": transformers.__version__}
    sizes = {"sizes": {"GPT": GPT, "Llama": LLAMA, "T5": T5}, "pairs": rounds}
    sizes |= {"prompt": N_PROMPT, "new_tokens": N_NEW}
    results = {"runs": runs, "growth": grown, "layouts": products}
    records.write(chosen.out, range(1), **sizes, beside=beside, **results)


if __name__ == "__main__":
    main()
