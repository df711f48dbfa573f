"""What the tests of generation share: small models of every kind, and those of transformers."""

import functools
import tempfile

import torch
import transformers
from transformers import AutoModelForCausalLM, T5ForConditionalGeneration

from companion.layers import LayerNorm
from companion.models import (
    GPT,
    T5,
    GPTConfig,
    Llama,
    LlamaConfig,
    Mixtral,
    MixtralConfig,
    Seq2Seq,
    Seq2SeqConfig,
    T5Config,
)
from tests.support import fill

transformers.utils.logging.disable_progress_bar()

V = 17
SIZES = {"vocab_size": V, "d_model": 16, "n_layers": 2, "n_heads": 4}
ROTARY = {**SIZES, "n_kv_heads": 2, "d_hidden": 24, "max_length": 48}
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10]]
START = 0

MAKERS = {
    "GPT": lambda: GPT(GPTConfig(**SIZES, max_length=48)),
    "GPT, sinusoidal": lambda: GPT(GPTConfig(**SIZES, max_length=8, positions="sinusoidal")),
    "GPT, rotary": lambda: GPT(GPTConfig(**SIZES, max_length=8, positions="rotary")),
    "GPT, alibi": lambda: GPT(GPTConfig(**SIZES, max_length=8, positions="alibi")),
    "GPT, none": lambda: GPT(GPTConfig(**SIZES, max_length=8, positions="none")),
    "Llama": lambda: Llama(LlamaConfig(**ROTARY)),
    "Llama, neighbours": lambda: Llama(LlamaConfig(**ROTARY, pairs="neighbours", d_head=6)),
    "Mixtral": lambda: Mixtral(MixtralConfig(**ROTARY, n_experts=3)),
    "T5": lambda: T5(T5Config(**SIZES, d_head=4, d_hidden=24)),
    "T5, gated": lambda: T5(T5Config(**SIZES, d_head=4, d_hidden=24, gated=True, tied=False)),
    "Seq2Seq": lambda: Seq2Seq(Seq2SeqConfig(**SIZES, d_hidden=24)),
    "Seq2Seq, other": lambda: Seq2Seq(
        Seq2SeqConfig(**SIZES, d_hidden=24, norm_first=True, rotary=True)
    ),
}
WITH_ENCODER = ("T5", "T5, gated", "Seq2Seq", "Seq2Seq, other")
WITHOUT = tuple(name for name in MAKERS if name not in WITH_ENCODER)


@functools.cache
def model(name, seed=1, dtype=torch.float64):
    """Return a model of a kind, in evaluation mode, that says many things; do not change it."""
    made = fill(MAKERS[name](), seed, dtype, scale=0.6)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, LayerNorm):  # otherwise one token would be likely everywhere
                module.weight.mul_(0.3).add_(1)
                module.bias.mul_(0.1)
    return made.eval()


def options(name):
    """Return what `generate` has to be told about a model."""
    return {"start_id": START} if name in WITH_ENCODER else {}


@functools.cache
def theirs(name, seed=1):
    """Return the same model in transformers, in float64."""
    kind = T5ForConditionalGeneration if name.startswith("T5") else AutoModelForCausalLM
    with tempfile.TemporaryDirectory() as folder:
        model(name, seed).save_hf(folder)
        found = kind.from_pretrained(folder, dtype=torch.float64)
    if name == "Mixtral":
        found.set_experts_implementation("eager")  # the others do not compute in float64
    config = found.generation_config
    config.bos_token_id = config.eos_token_id = None
    config.pad_token_id = V - 1
    return found.eval()


def padded(prompts=PROMPTS, left=True):
    """Return ids and mask as transformers takes them."""
    longest = max(map(len, prompts))
    ids, mask = [], []
    for row in prompts:
        gap = longest - len(row)
        ids.append([V - 1] * gap + row if left else row + [V - 1] * gap)
        mask.append([0] * gap + [1] * len(row) if left else [1] * len(row) + [0] * gap)
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def inputs(name, prompts=PROMPTS):
    return padded(prompts, left=name not in WITH_ENCODER)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(rows=4, n=V, seed=0, scale=2.0, dtype=torch.float64):
    """Return random logits."""
    return scale * torch.randn(rows, n, generator=generator(seed), dtype=torch.float64).to(dtype)


def table(seed=0, n=5, scale=1.5):
    """Return a model that looks at the last token alone: a function of ids, and its matrix."""
    rows = noise(n, n, seed, scale)
    return (lambda ids: rows[ids]), rows
