"""What the tests of instruction tuning share: small tokenizers, models and examples."""

import dataclasses
import os
import random
from pathlib import Path

import torch

from companion import data
from companion.finetuning import Example
from companion.losses import IGNORE
from companion.models import GPT, GPTConfig, Llama, LlamaConfig
from companion.tokenizers import BPE, ChatBPE, Words
from tests.support import fill

V = 20
GPTS = ("learned", "sinusoidal", "rotary", "alibi", "none")
KINDS = (*GPTS, "llama")
TINY = GPTConfig(vocab_size=V, max_length=16, d_model=8, n_layers=2, n_heads=2)

ASK = {"role": "user", "content": "Hi!"}
SAY = {"role": "assistant", "content": "Hello."}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 12 + 3?"},
    {"role": "assistant", "content": "It is 15."},
    {"role": "user", "content": "你好  and\n\nmore"},
    {"role": "assistant", "content": "1.\n2.\n"},
]


def model(kind, dtype=torch.float64):
    """Return a model of random weights; a GPT by what tells it the order, or a Llama."""
    if kind == "llama":
        sizes = {"d_model": 8, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "d_hidden": 12}
        made = Llama(LlamaConfig(vocab_size=V, **sizes))
    else:
        made = GPT(dataclasses.replace(TINY, positions=kind))
    return fill(made, dtype=dtype).eval()


def examples(lengths, seed=0):
    """Return examples of these lengths; of each the last third, at least 1, is the answer."""
    rng = random.Random(seed)
    found = []
    for n in lengths:
        ids = [rng.randrange(V) for _ in range(n + 1)]
        asked = n - max(1, n // 3)
        found.append(Example(ids[:-1], [IGNORE] * asked + ids[1 + asked :]))
    return found


def words():
    return Words(["Who", " ran", "?", "Ben", " Ben"], ["<|answer|>", "<|end|>"])


def chat(**options):
    return ChatBPE([(b"u", b"s"), (b"us", b"e")], ["<|im_start|>", "<|im_end|>"], **options)


def byte_bpe():
    return BPE([(b"\n", b"\n"), (b"#", b"#")], ["<|endoftext|>"])


#: Of the form that sets of instructions have.
ROWS = [
    data.Instruction("Name three colours.", "", "Red, green and blue."),
    data.Instruction("Add the numbers.", "12 and  30\n", "12 + 30 = 42"),
    data.Instruction("把句子译成英文。", "她去了花园。", "She went to the garden."),
    data.Instruction("Write a loop.", "for 3 numbers", "for i in range(3):\n    print(i)\n"),
]


def real_rows(name, n):
    """Return the first rows of a real set, where its files are at hand; else rows like them."""
    folder = Path(os.environ.get("COMPANION_DATA", "")) / name
    if all((folder / file.name).is_file() for file in data.source(name).files):
        return data.load(name)["train"][:n]
    return ROWS[:n]
