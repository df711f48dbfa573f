"""How fast a GPT goes forward and backward, and in how much memory, beside transformers' GPT-2.

All contenders have the same sizes and the same weights, get the same batch, and take turns in one
run (``benchmarks.pairs``). A turn is the forward pass, PyTorch's own cross-entropy and the backward
pass, in float32 on one CPU core; seconds are of the processor. Memory is the largest number of
bytes that tensors hold at once in such a turn, weights and gradients included. From the
repository's root, and if you have a checkout of nanoGPT, beside that too:

    python -m benchmarks.gpt_speed [--nanogpt PATH]
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import pairs, records
from companion.layers._product import _mkl_is_held_back
from companion.models import GPT

RESULT = records.RESULTS / "gpt_speed.json"
# The first two are trained on a CPU: by the chapter, and by nanoGPT's recipe for Shakespeare. The
# wider a model, the more of its time goes into matrix products, which all leave to PyTorch.
SIZES: dict[str, dict[str, int]] = {
    "chapter": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 48, "vocab_size": 128},
    "shakespeare": {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 64, "vocab_size": 65},
    "wide": {"n_embd": 256, "n_layer": 6, "n_head": 8, "n_positions": 128, "vocab_size": 2048},
    "wider": {"n_embd": 512, "n_layer": 6, "n_head": 8, "n_positions": 256, "vocab_size": 8192},
}
BATCH = {"chapter": 16, "shakespeare": 12, "wide": 16, "wider": 4}
PAIRS = {"chapter": 300, "shakespeare": 100, "wide": 16, "wider": 8}
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def contenders(size: str, nanogpt: Path | None = None) -> dict[str, nn.Module]:
    """Return the models, with the same weights, as they are trained."""
    torch.manual_seed(0)
    off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    ends = {"bos_token_id": None, "eos_token_id": None}
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**SIZES[size], **off, **ends))
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = GPT.from_hf(folder)
    models = {"companion": ours, "transformers": theirs}
    if nanogpt is not None:
        models["nanoGPT"] = _nanogpt(nanogpt, size, theirs)
    return {name: model.train() for name, model in models.items()}


def _nanogpt(folder: Path, size: str, theirs: nn.Module) -> nn.Module:
    """Return nanoGPT's model with the same weights; it stores matrices the other way round."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["nanogpt_model"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = {name: n for name, n in SIZES[size].items() if name != "n_positions"}
    config = module.GPTConfig(block_size=SIZES[size]["n_positions"], dropout=0.0, **known)
    model: nn.Module = module.GPT(config)
    weights = {
        name: weight.t() if name.endswith(TRANSPOSED) else weight
        for name, weight in theirs.state_dict().items()
    }
    model.load_state_dict(weights)
    for part in model.modules():
        if isinstance(part, nn.GELU):
            part.approximate = "tanh"  # as GPT-2 and the two others have it
    return model


def batch(size: str) -> tuple[Tensor, Tensor]:
    """Return ids and targets, (B, T) each."""
    generator = torch.Generator().manual_seed(1)
    shape = (BATCH[size], SIZES[size]["n_positions"] + 1)
    ids = torch.randint(SIZES[size]["vocab_size"], shape, generator=generator)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def turn(model: nn.Module, ids: Tensor, targets: Tensor) -> float:
    """Go forward and backward once, and return the loss."""
    model.zero_grad()
    if type(model).__module__ == "nanogpt_model":  # without targets it gives the last logits only
        _, loss = model(ids, targets)
    else:
        logits = model(ids)
        logits = logits if isinstance(logits, Tensor) else logits.logits
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return loss.item()


def megabytes(model: nn.Module, ids: Tensor, targets: Tensor) -> float:
    """Return the most that tensors hold at once in a turn, weights and gradients included."""
    model.zero_grad()
    return pairs.megabytes(lambda: turn(model, ids, targets), model)


def measured(size: str, nanogpt: Path | None) -> dict[str, Any]:
    """Let the models take turns, and return their times, ratios and memory."""
    models, (ids, targets) = contenders(size, nanogpt), batch(size)
    losses = [turn(model, ids, targets) for model in models.values()]
    assert max(losses) - min(losses) < 1e-4, losses
    turns = {name: lambda m=model: turn(m, ids, targets) for name, model in models.items()}
    result = pairs.compared(pairs.alternating(turns, PAIRS[size], clock=time.process_time))
    memory = {name: megabytes(model, ids, targets) for name, model in models.items()}
    return {"size": size, **result, "megabytes": memory}


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--nanogpt", type=Path, help="a checkout of nanoGPT, to compare with it too"
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    runs = []
    for size in SIZES:
        runs.append(measured(size, chosen.nanogpt))
        print(json.dumps(runs[-1]), flush=True)
    beside = {"transformers": transformers.__version__}
    if chosen.nanogpt is not None:
        beside["nanoGPT"] = pairs.commit_of(chosen.nanogpt)
    sizes = {"sizes": SIZES, "batch": BATCH, "pairs": PAIRS}
    sizes["mkl_is_held_back"] = _mkl_is_held_back()  # so that products are computed in two ways
    records.write(chosen.out, range(1), **sizes, beside=beside, runs=runs)


if __name__ == "__main__":
    main()
