"""Write the files from which a GPT trained on Tiny World lives in the page: `write`.

A script of ``benchmarks/`` that has trained a model calls it. The weights are rounded to 8 bits:
each row of a matrix is divided by a scale of its own, so that its largest entry becomes 127.
Vectors (biases, norms) stay as they are. What is stored as the first answer is computed with the
rounded weights, since these are what the page has.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from companion.models import GPT, GPTConfig
from companion.tinyworld import TinyWorld
from companion.tokenizers import Words
from tools.models import live_models, tinyworld_rules

BEGIN, END = "<|story|>", "<|end|>"
BEGINNINGS = {
    "en": [
        "One morning Anna went to the park. She found a red kite. She",
        "One morning Anna went to the park. She found a red kite. She met Ben. She gave the",
        "One day Ben went to the lake. He fell and cried. It began to rain. In the end Ben felt",
    ],
    "zh": [
        "一天早上，安娜去了公园。她捡到了一只红色的风筝。她",
        "一天早上，安娜去了公园。她捡到了一只红色的风筝。她遇见了小本。她把",
        "有一天，小本去了湖边。他摔倒了，哭了起来。下起雨来了。最后，小本觉得很",
    ],
}
SHOWN = 8  # candidates for the next token
LOGIT_DIGITS = 4  # so that no probability moves by more than 0.01 %
LARGEST = 127  # of the whole numbers that 8 bits hold

State = dict[str, Tensor]


# -- weights in 8 bits -----------------------------------------------------------------------------


def rounded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix in whole numbers, and the scale of each row."""
    scales = matrix.abs().amax(dim=1) / LARGEST
    scales[scales == 0] = 1.0
    return (matrix / scales[:, None]).round().to(torch.int8), scales


def restored(state: State) -> State:
    """Return the weights as the page has them: those of matrices are rounded."""
    return {
        name: weight if weight.ndim == 1 else _product(*rounded(weight))
        for name, weight in state.items()
    }


def _product(whole: Tensor, scales: Tensor) -> Tensor:
    return whole.float() * scales[:, None]


def unpacked(data: bytes, shapes: list[tuple[str, list[int]]]) -> State:
    """Return the weights of a file, as ``model.js`` does."""
    n_floats = sum(shape[0] for _, shape in shapes)
    floats = iter(
        torch.frombuffer(bytearray(data[: 4 * n_floats]), dtype=torch.float32).split(
            [shape[0] for _, shape in shapes]
        )
    )
    matrices = [math.prod(shape) for _, shape in shapes if len(shape) == 2]
    whole = iter(
        torch.frombuffer(bytearray(data[4 * n_floats :]), dtype=torch.int8).split(matrices)
    )
    return {
        name: vector if len(shape) == 1 else _product(next(whole).view(shape), vector)
        for (name, shape), vector in zip(shapes, floats, strict=True)
    }


def packed(state: State) -> bytes:
    """Return weights as the page reads them: first all float32, vectors and scales, then bytes."""
    floats, whole = [], []
    for weight in state.values():
        if weight.ndim == 1:
            floats.append(weight.float())
        else:
            numbers, scales = rounded(weight.float())
            floats.append(scales)
            whole.append(numbers.flatten())
    return torch.cat(floats).numpy().astype("<f4").tobytes() + torch.cat(whole).numpy().tobytes()


# -- what the page shows ---------------------------------------------------------------------------


def sizes(model: GPT) -> dict[str, Any]:
    """Return what settles how the weights are read and used."""
    names = ("vocab_size", "max_length", "d_model", "n_layers", "n_heads")
    return {
        "config": {name: getattr(model.config, name) for name in names},
        "tensors": [[name, list(weight.shape)] for name, weight in model.state_dict().items()],
    }


def described(model: GPT, tokenizer: Words) -> dict[str, Any]:
    """Return what the page must know of a model besides its weights."""
    return {
        **sizes(model),
        "tokens": [tokenizer.tokens[i] for i in range(model.config.vocab_size)],
        "begin": BEGIN,
        "end": END,
        "rules": tinyworld_rules.rules(),
    }


@torch.no_grad()
def answer(model: GPT, tokenizer: Words, text: str, language: str) -> dict[str, Any]:
    """Return what there is to see after the beginning of a story, as ``storyteller.js`` does."""
    ids = tokenizer.encode(BEGIN + text, allow_special=True)
    trace = model.trace(torch.tensor([ids]))
    truth = TinyWorld(language=language).next_tokens(text, tokenizer)
    q = torch.zeros(tokenizer.vocab_size)
    q[list(truth)] = torch.tensor(list(truth.values()))
    floor = -sum(p * math.log(p) for p in truth.values())
    log_p = model.predict(trace.stream[:, 0, -1]).log_softmax(-1)  # (L+1, V)
    best = (log_p[-1].exp() + q).topk(SHOWN).indices.tolist()
    return {
        "tokens": [tokenizer.tokens[i] for i in ids],
        "at": len(ids) - 1,
        "next": [[tokenizer.tokens[i], _short(log_p[-1, i].exp()), _short(q[i])] for i in best],
        "loss": _short(-q @ log_p[-1]),
        "floor": _short(floor),
        "layers": [
            [tokenizer.tokens[int(says.argmax())], _short(says.max().exp()),
             _short(-q @ says - floor), _shorter(x)]
            for says, x in zip(log_p, trace.stream[:, 0, -1], strict=True)
        ],
        "attention": [
            [[_shorter(row[: i + 1]) for i, row in enumerate(head)] for head in block]
            for block in trace.weights[:, 0]
        ],
        "head": _telling(trace.weights[:, 0, :, -1]),
        "ids": ids,
        "logits": [round(z, LOGIT_DIGITS) for z in trace.logits[0, -1].tolist()],
        "truth": [[i, _short(p)] for i, p in truth.items()],
    }  # fmt: skip


def _short(number: Any) -> float:
    return round(float(number), 5)


def _shorter(row: Tensor) -> list[float]:
    return [round(weight, 2) for weight in row.tolist()]


def _telling(weights: Tensor) -> list[int]:
    """Return block and head that take most from a word, and not from itself or the beginning."""
    place = int(weights[:, :, 1:-1].amax(dim=-1).argmax())
    return list(divmod(place, weights.shape[1]))


# -- what rounding costs ---------------------------------------------------------------------------


@torch.no_grad()
def loss(model: GPT, tokenizer: Words, stories: Iterable[str]) -> float:
    """Return the mean loss of a story's token, its end included, in nats."""
    total, count = 0.0, 0
    for story in stories:
        ids = torch.tensor([tokenizer.encode(BEGIN + story + END, allow_special=True)])
        log_p = model(ids[:, :-1]).log_softmax(-1)  # (1, T, V)
        total -= float(log_p.gather(-1, ids[:, 1:, None]).sum())
        count += ids.shape[1] - 1
    return total / count


def write(model: GPT, tokenizer: Words, name: str, folder: Path = live_models.FOLDER) -> GPT:
    """Write a model's files; return the model as the page has it.

    Parameters
    ----------
    model : GPT
        With learned positions.
    tokenizer : Words
        Of both languages, with the special tokens `BEGIN` and `END`.
    name : str
        What the files are called, and the directive's argument.
    folder : Path
        Where they are written.

    Raises
    ------
    ValueError
        If its positions are not learned, or the tokenizer lacks a word of Tiny World.
    """
    for language in BEGINNINGS:
        for sentence in TinyWorld(language=language).sentences():
            tokenizer.encode(sentence)  # refuses a word that it does not know
    in_page = write_model(model, described(model, tokenizer), name, folder)
    write_answers(in_page, tokenizer, name, folder)
    return in_page


def write_model(model: GPT, about: dict[str, Any], name: str, folder: Path) -> GPT:
    """Write a GPT with learned positions and what is `described` of it.

    The model is returned as the page has it.
    """
    if model.config.positions != "learned":
        raise ValueError(f"model must have learned positions, got {model.config.positions!r}")
    state = {key: weight.detach().float() for key, weight in model.state_dict().items()}
    in_page = GPT(model.config).eval()
    in_page.load_state_dict(restored(state))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bin").write_bytes(packed(state))
    write_json(folder / f"{name}.json", about)
    return in_page


def write_answers(model: GPT, tokenizer: Words, name: str, folder: Path) -> None:
    """Write what stands in the page before the model is loaded; `model` is as the page has it."""
    answers = {
        language: answer(model, tokenizer, texts[0], language)
        for language, texts in BEGINNINGS.items()
    }
    write_json(
        folder / f"{name}{live_models.STORED}", {"beginnings": BEGINNINGS, "answers": answers}
    )


def read(name: str, folder: Path = live_models.FOLDER) -> tuple[GPT, Words]:
    """Return a model as the page has it, and its tokenizer.

    ``write_answers(*read(name), name, folder)`` renews the stored answers of a model.
    """
    model, tokens, special = read_model(name, folder)
    return model, Words(tokens, special)


def read_model(name: str, folder: Path) -> tuple[GPT, list[str], list[str]]:
    """Return a model as the page has it, its tokens, and those that begin and end a text."""
    known = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    special = [known["begin"], known["end"]]
    model = GPT(GPTConfig(**known["config"])).eval()
    model.load_state_dict(unpacked((folder / f"{name}.bin").read_bytes(), known["tensors"]))
    return model, [token for token in known["tokens"] if token not in special], special


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write what a page reads, as short as it can be."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
