r"""GPT-2's checkpoints (Radford et al. 2019).

This file adds: ``GPT2``. Queries, keys and values come from one matrix, and all matrices of the
blocks are stored as (in, out).
"""

from collections.abc import Mapping
from typing import Any

from companion.models.hub import Layout, Stored, require

__all__ = ["GPT2"]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    require(
        config,
        activation_function=("gelu_new", "gelu_pytorch_tanh"),
        layer_norm_epsilon=1e-5,
        scale_attn_weights=True,
        scale_attn_by_inverse_layer_idx=False,
        add_cross_attention=False,
        tie_word_embeddings=True,
    )
    return {
        "vocab_size": config["vocab_size"],
        "max_length": config["n_positions"],
        "d_model": config["n_embd"],
        "n_layers": config["n_layer"],
        "n_heads": config["n_head"],
        "d_hidden": config.get("n_inner"),
    }


def _write(config: Any) -> dict[str, Any]:
    if config.positions != "learned":
        raise ValueError(f"GPT-2 has learned positions, this model has {config.positions!r} ones")
    dropout = dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), config.dropout)
    return {
        "vocab_size": config.vocab_size,
        "n_positions": config.max_length,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_hidden,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        **dropout,
    }


_QKV = {
    f"blocks.{{}}.attention.layer.w_{letter}": Stored("h.{}.attn.c_attn", True, part, of=3)
    for part, letter in enumerate("qkv")
}
GPT2 = Layout(
    architecture="GPT2LMHeadModel",
    model_type="gpt2",
    prefix="transformer.",
    read=_read,
    write=_write,
    tensors=_QKV
    | {
        "tokens": "wte",
        "positions": "wpe",
        "norm": "ln_f",
        "blocks.{}.attention.norm": "h.{}.ln_1",
        "blocks.{}.attention.layer.w_o": Stored("h.{}.attn.c_proj", turned=True),
        "blocks.{}.feed_forward.norm": "h.{}.ln_2",
        "blocks.{}.feed_forward.layer.expand": Stored("h.{}.mlp.c_fc", turned=True),
        "blocks.{}.feed_forward.layer.contract": Stored("h.{}.mlp.c_proj", turned=True),
    },
    ignored=(r"\.attn\.(masked_)?bias$",),
    tied={"lm_head.weight": "transformer.wte.weight"},
    heads=("lm_head.",),
    modules={
        "blocks.{}": "h.{}",
        "blocks.{}.attention.layer": "h.{}.attn",
        "blocks.{}.feed_forward.layer": "h.{}.mlp",
    },
)
