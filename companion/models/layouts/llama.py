r"""Llama's checkpoints (Touvron et al. 2023; Llama Team 2024).

This file adds: ``LLAMA``. Queries and keys are stored for a rotation of the two halves of a head,
the embedding may serve as the last matrix or not, and the rotation is described in one of two ways.
"""

from collections.abc import Mapping
from typing import Any

from companion.layers import Llama3Scaling
from companion.models.hub import Layout, require

__all__ = ["LLAMA"]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    require(config, hidden_act=("silu", "swish"), mlp_bias=False, pretraining_tp=1)
    return _decoder_fields(config)


def _decoder_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the configurations of Llama's relatives call alike."""
    require(config, attention_bias=False)
    return {
        "vocab_size": config["vocab_size"],
        "max_length": config["max_position_embeddings"],
        "d_model": config["hidden_size"],
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "n_kv_heads": config.get("num_key_value_heads"),
        "d_head": config.get("head_dim"),
        "d_hidden": config["intermediate_size"],
        "eps": config["rms_norm_eps"],
        "tied": config.get("tie_word_embeddings", False),
        **_rotation(config),
    }


def _rotation(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return base and scaling, which ``transformers`` writes into one table since version 5."""
    table = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = {"rope_type": table.get("rope_type", table.get("type", "default"))}
    require(kind, rope_type=("default", "llama3"))
    require({**config, **table}, partial_rotary_factor=1.0)
    scaling = None
    if kind["rope_type"] == "llama3":
        scaling = Llama3Scaling(
            factor=table["factor"],
            low=table["low_freq_factor"],
            high=table["high_freq_factor"],
            trained_length=table["original_max_position_embeddings"],
        )
    return {
        "base": table.get("rope_theta", config.get("rope_theta", 10_000.0)),
        "scaling": scaling,
    }


def _write(config: Any) -> dict[str, Any]:
    if config.pairs != "halves":
        raise ValueError(
            f"a checkpoint holds queries and keys whose pairs are halves, this model has "
            f"{config.pairs!r}"
        )
    if config.d_model % config.n_heads:
        raise ValueError(
            "transformers opens only models whose n_heads divides d_model, "
            f"got {config.n_heads} and {config.d_model}"
        )
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_length,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.d_head,
        "intermediate_size": config.d_hidden,
        "hidden_act": "silu",
        "rms_norm_eps": config.eps,
        "tie_word_embeddings": config.tied,
        # The older way to write the rotation, which all versions of transformers read.
        "rope_theta": config.base,
        "rope_scaling": _written_scaling(config.scaling),
    }


def _written_scaling(scaling: Llama3Scaling | None) -> dict[str, Any] | None:
    if scaling is None:
        return None
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low,
        "high_freq_factor": scaling.high,
        "original_max_position_embeddings": scaling.trained_length,
    }


#: What checkpoints of Llama's relatives have in common: all but the feed-forward layers.
_DECODER = {
    "tokens": "embed_tokens",
    "norm": "norm",
    "head": "lm_head",
    "blocks.{}.attention.norm": "layers.{}.input_layernorm",
    **{
        f"blocks.{{}}.attention.layer.w_{letter}": f"layers.{{}}.self_attn.{letter}_proj"
        for letter in "qkvo"
    },
    "blocks.{}.feed_forward.norm": "layers.{}.post_attention_layernorm",
}
_BLOCKS = {"blocks.{}": "layers.{}", "blocks.{}.attention.layer": "layers.{}.self_attn"}
LLAMA = Layout(
    architecture="LlamaForCausalLM",
    model_type="llama",
    prefix="model.",
    read=_read,
    write=_write,
    tensors=_DECODER
    | {
        f"blocks.{{}}.feed_forward.layer.w_{part}": f"layers.{{}}.mlp.{part}_proj"
        for part in ("gate", "up", "down")
    },
    ignored=(r"rotary_emb\.inv_freq$",),
    tied={"lm_head.weight": "model.embed_tokens.weight"},
    heads=("lm_head.",),
    modules=_BLOCKS | {"blocks.{}.feed_forward.layer": "layers.{}.mlp"},
)
