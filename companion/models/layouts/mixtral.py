r"""Mixtral's checkpoints (Jiang et al. 2024).

This file adds: ``MIXTRAL``. All but the experts has the names of Llama.
"""

from collections.abc import Mapping
from typing import Any

from companion.models.hub import Layout, require
from companion.models.layouts import llama

__all__ = ["MIXTRAL"]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    require(config, hidden_act=("silu", "swish"), sliding_window=None, router_jitter_noise=0.0)
    return {
        **llama._decoder_fields({"rope_theta": 1e6, **config}),
        "n_experts": config["num_local_experts"],
        "n_active": config["num_experts_per_tok"],
    }


def _write(config: Any) -> dict[str, Any]:
    return {
        **llama._write(config),
        "num_local_experts": config.n_experts,
        "num_experts_per_tok": config.n_active,
        "sliding_window": None,
    }


_EXPERT = "blocks.{}.feed_forward.layer.experts.{}"
MIXTRAL = Layout(
    architecture="MixtralForCausalLM",
    model_type="mixtral",
    prefix="model.",
    read=_read,
    write=_write,
    tensors=llama._DECODER
    | {"blocks.{}.feed_forward.layer.router": "layers.{}.block_sparse_moe.gate"}
    | {
        f"{_EXPERT}.w_{part}": f"layers.{{}}.block_sparse_moe.experts.{{}}.w{number}"
        for number, part in ((1, "gate"), (2, "down"), (3, "up"))
    },
    ignored=llama.LLAMA.ignored,
    tied=llama.LLAMA.tied,
    heads=llama.LLAMA.heads,
    # In memory `transformers` calls them so, and holds all experts of a block in one tensor.
    modules=llama._BLOCKS | {"blocks.{}.feed_forward.layer": "layers.{}.mlp"},
)
