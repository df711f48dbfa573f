r"""Files of llama.cpp, which hold a whole language model, its weights in 4 or 8 bits.

A GGUF file has a table, with the sizes of the model and all of its tokenizer, and tensors, most of
them as whole numbers of few bits: in Q4_1, 32 weights in a row share two 16-bit numbers, a step and
an offset, and each weight is one of 16 levels.

This file adds: ``read_gguf``, which gives the table and the tensors as ordinary numbers (the
package ``gguf`` knows the formats); ``as_halves``, which undoes a reordering that llama.cpp makes;
``gguf_tokenizer`` and ``llama_from_gguf``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from companion._tensors import _require_floats, _require_sizes
from companion.models.hub import Layout, to_ours
from companion.models.llama import Llama, LlamaConfig
from companion.models.undrawn import undrawn
from companion.tokenizers import SMOLLM_PATTERN, ChatBPE
from companion.tokenizers.bpe import _bytes_of

__all__ = ["read_gguf", "as_halves", "gguf_tokenizer", "llama_from_gguf"]

#: How a tokenizer cuts text into words, by the name that the files have for it.
PATTERNS = {"smollm": SMOLLM_PATTERN}
#: The kind of tokens that stand for no text, in the files.
CONTROL = 3


def read_gguf(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    r"""Read the table and the tensors of a GGUF file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    tuple of dict
        The table, as numbers, texts and lists; and the tensors by name, in float32, as (out, in).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the package ``gguf`` is missing.
    ValueError
        If the file is damaged, or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        from gguf import GGUFReader
        from gguf.quants import dequantize
    except ImportError as error:
        raise ImportError(
            f"reading {path.name} needs the package gguf, and it PyYAML: "
            "'pip install --no-deps gguf pyyaml' installs them"
        ) from error
    try:
        reader = GGUFReader(path)
        table = {name: entry.contents() for name, entry in reader.fields.items()}
        tensors = {
            tensor.name: torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type)))
            for tensor in reader.tensors
        }
    except (ValueError, IndexError, KeyError, NotImplementedError) as error:
        raise ValueError(f"{path} is no GGUF file, or not a whole one: {error}") from error
    return table, {name: tensor.float() for name, tensor in tensors.items()}


def as_halves(
    weight: Float[Tensor, "features d_model"], d_head: int
) -> Float[Tensor, "features d_model"]:
    r"""Reorder the rows of a map to queries or keys, from pairs of neighbours to halves.

    llama.cpp rotates neighbours, features :math:`2i` and :math:`2i + 1` of a head, and stores the
    maps of Llama for that. A model with ``pairs="halves"`` rotates :math:`i` and
    :math:`i + d/2`: there the even features of each head come first, and then the odd ones.

    Parameters
    ----------
    weight : Tensor, shape (H·d, D)
    d_head : int
        :math:`d`, an even number.

    Returns
    -------
    Tensor, shape (H·d, D)

    Raises
    ------
    ValueError
        If ``d_head`` is odd, below 1, or does not divide the number of rows.

    Examples
    --------
    >>> as_halves(torch.arange(8.0)[:, None], d_head=4).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]
    """
    _require_floats(weight=weight)
    _require_sizes(d_head=d_head)
    if d_head % 2 or len(weight) % d_head:
        raise ValueError(
            f"d_head must be even and divide the {len(weight)} rows of weight, got {d_head}"
        )
    pairs = weight.unflatten(0, (-1, d_head // 2, 2))  # (H, d/2, 2, D)
    return pairs.transpose(1, 2).reshape(weight.shape)


def gguf_tokenizer(table: Mapping[str, Any]) -> ChatBPE:
    r"""Make the tokenizer that a GGUF file describes.

    Parameters
    ----------
    table : dict
        As `read_gguf` gives it.

    Returns
    -------
    ChatBPE

    Raises
    ------
    ValueError
        If it describes another kind of tokenizer, or lacks a part of one.
    """
    _require_entry(table, "tokenizer.ggml.model", "gpt2")
    _require_entry(table, "tokenizer.ggml.pre", *PATTERNS)
    parts = ("tokens", "token_type", "merges", "pre")
    wanted = [*(f"tokenizer.ggml.{part}" for part in parts), "tokenizer.chat_template"]
    if missing := [name for name in wanted if name not in table]:
        raise ValueError(f"the file lacks {missing[0]}, which its tokenizer needs")
    names, kinds, lines, cut, template = (table[name] for name in wanted)
    system = _system(template)
    try:
        special = {name: i for i, name in enumerate(names) if kinds[i] == CONTROL}
        ids = {_bytes_of(name): i for i, name in enumerate(names) if kinds[i] != CONTROL}
        merges = [(_bytes_of(a), _bytes_of(b)) for a, b in (line.split(" ") for line in lines)]
        return ChatBPE(merges, special, ids, PATTERNS[cut], system)
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"the file's tokenizer is damaged: {error!r}") from error


def _system(template: str) -> str:
    r"""Return what a program that writes ChatML puts before a conversation without a system.

    The program is in a language of its own (Jinja), and `ChatBPE.chat_prompt` does what it does.
    """
    found = re.search(r"<\|im_start\|>system\n(.*?)<\|im_end\|>", template.replace(r"\n", "\n"))
    if found is None:
        raise ValueError(f"the file's chat template is none of ChatML: {template[:60]!r}…")
    return found.group(1)


def llama_from_gguf(path: str | Path) -> Llama:
    r"""Read a Llama from a GGUF file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Llama
        With its tokenizer, in float32 and evaluation mode, on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If the package ``gguf`` is missing.
    ValueError
        If the file is damaged, or holds another kind of model.
    """
    table, tensors = read_gguf(path)
    _require_entry(table, "general.architecture", "llama")
    config = LlamaConfig(**_sizes(table), tied="output.weight" not in tensors)
    with undrawn():
        model = Llama(config, gguf_tokenizer(table))
    state = to_ours(tensors, _NAMES, model.state_dict())
    # Reordered once, here: so the model is the one of transformers, and `save_hf` can write it.
    for name, weight in state.items():
        if name.endswith(("w_q.weight", "w_k.weight")):
            state[name] = as_halves(weight, config.d_model // config.n_heads)
    model.load_state_dict(state, assign=True)
    return model.eval()


def _sizes(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our configuration; refuse what our model cannot be."""
    try:
        sizes = {ours: table[f"llama.{theirs}"] for ours, theirs in _SIZES.items()}
        sizes["vocab_size"] = len(table["tokenizer.ggml.tokens"])
    except KeyError as error:
        raise ValueError(f"the file lacks {error}") from None
    d_head = sizes["d_model"] // sizes["n_heads"]
    of_heads = ("rope.dimension_count", "attention.key_length", "attention.value_length")
    needed: dict[str, Any] = {"rope.scaling.type": "none", "expert_count": 0}
    for name, value in (needed | dict.fromkeys(of_heads, d_head)).items():
        _require_entry(table, f"llama.{name}", value)
    # The file holds 1e-5 in 32 bits, 9.99999975e-06; what was meant is the shortest such number.
    return sizes | {name: float(str(np.float32(sizes[name]))) for name in ("eps", "base")}


def _require_entry(table: Mapping[str, Any], name: str, *known: Any) -> None:
    """Refuse a file that asks for what is not here; an entry that is missing asks for nothing."""
    if table.get(name, known[0]) not in known:
        raise ValueError(
            f"the file has {name} = {table[name]!r}; only {' or '.join(map(repr, known))} is here"
        )


def _write(config: Any) -> dict[str, Any]:
    raise ValueError("GGUF files are only read here; save_hf writes a checkpoint")


_SIZES = {
    "max_length": "context_length",
    "d_model": "embedding_length",
    "n_layers": "block_count",
    "n_heads": "attention.head_count",
    "n_kv_heads": "attention.head_count_kv",
    "d_hidden": "feed_forward_length",
    "eps": "attention.layer_norm_rms_epsilon",
    "base": "rope.freq_base",
}
_ATTENTION = {"w_q": "attn_q", "w_k": "attn_k", "w_v": "attn_v", "w_o": "attn_output"}
_NAMES = Layout(
    architecture="llama of a GGUF file",
    model_type="llama",
    prefix="",
    read=_sizes,
    write=_write,
    tensors={
        "tokens": "token_embd",
        "norm": "output_norm",
        "head": "output",
        "blocks.{}.attention.norm": "blk.{}.attn_norm",
        "blocks.{}.feed_forward.norm": "blk.{}.ffn_norm",
        **{f"blocks.{{}}.attention.layer.{a}": f"blk.{{}}.{b}" for a, b in _ATTENTION.items()},
        **{
            f"blocks.{{}}.feed_forward.layer.w_{part}": f"blk.{{}}.ffn_{part}"
            for part in ("gate", "up", "down")
        },
    },
)
