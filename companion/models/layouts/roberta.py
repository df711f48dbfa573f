r"""RoBERTa's checkpoints (Liu et al. 2019).

This file adds: ``ROBERTA_ENCODER``, the encoder alone, and ``ROBERTA``, the encoder with the head
that predicts masked tokens. Their table of positions has rows before the first token's.
"""

from collections.abc import Mapping
from typing import Any

from companion.models.hub import Layout
from companion.models.layouts import bert

__all__ = ["ROBERTA_ENCODER", "ROBERTA"]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    padding = config.get("pad_token_id", 1)
    if not isinstance(padding, int):
        raise ValueError(f"pad_token_id must be a whole number: positions follow it; got {padding}")
    sizes = bert._read(config)
    first = padding + 1
    return sizes | {"first_position": first, "max_length": sizes["max_length"] - first}


def _write(config: Any) -> dict[str, Any]:
    return bert._write(config) | {
        "max_position_embeddings": config.first_position + config.max_length,
        "pad_token_id": config.first_position - 1,
    }


ROBERTA_ENCODER = Layout(
    architecture="RobertaModel",
    model_type="roberta",
    prefix="",
    read=_read,
    write=_write,
    tensors=bert._ENCODER,
    renamed={r"^roberta\.": ""},
    ignored=(bert._NOT_LEARNT, bert._HEADS),
    modules=bert._MODULES,
)
ROBERTA = Layout(
    architecture="RobertaForMaskedLM",
    model_type="roberta",
    prefix="roberta.",
    read=_read,
    write=_write,
    tensors=bert._IN_A_MODEL
    | {
        "head.dense": "lm_head.dense",
        "head.norm": "lm_head.layer_norm",
        "head.bias": "lm_head.bias",
    },
    ignored=(bert._NOT_LEARNT, r"^(roberta\.)?pooler\."),
    tied={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    heads=("lm_head",),
    modules=bert._MODULES_IN_A_MODEL | {"head": "lm_head"},
)
