r"""The checkpoints of the Vision Transformer (Dosovitskiy et al. 2021).

This file adds: ``VIT``, the encoder with the head that classifies images.
"""

from collections.abc import Mapping
from typing import Any

from companion.models.hub import Layout, require

__all__ = ["VIT"]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    require(config, hidden_act="gelu", qkv_bias=True)
    return {
        "image_size": _side(config, "image_size"),
        "patch_size": _side(config, "patch_size"),
        "n_channels": config["num_channels"],
        "n_classes": len(config.get("id2label") or "01"),  # two where no names are given
        "d_model": config["hidden_size"],
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "d_hidden": config["intermediate_size"],
        "eps": config["layer_norm_eps"],
    }


def _side(config: Mapping[str, Any], name: str) -> int:
    """Return the side of a square, which may be given as height and width."""
    sides = config[name] if isinstance(config[name], list) else [config[name]]
    if len(set(sides)) != 1:
        raise ValueError(f"config.json asks for {name} = {sides}; only squares are here")
    return sides[0]


def _write(config: Any) -> dict[str, Any]:
    labels = [f"LABEL_{i}" for i in range(config.n_classes)]
    dropout = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    return {
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "num_channels": config.n_channels,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_hidden or 4 * config.d_model,
        "layer_norm_eps": config.eps,
        "hidden_act": "gelu",
        "qkv_bias": True,
        **dict.fromkeys(dropout, config.dropout),
    }


VIT = Layout(
    architecture="ViTForImageClassification",
    model_type="vit",
    prefix="vit.",
    read=_read,
    write=_write,
    tensors={
        "class_token": "embeddings.cls_token",
        "positions": "embeddings.position_embeddings",
        "projection": "embeddings.patch_embeddings.projection",
        "blocks.{}.attention.norm": "encoder.layer.{}.layernorm_before",
        "blocks.{}.attention.layer.w_q": "encoder.layer.{}.attention.attention.query",
        "blocks.{}.attention.layer.w_k": "encoder.layer.{}.attention.attention.key",
        "blocks.{}.attention.layer.w_v": "encoder.layer.{}.attention.attention.value",
        "blocks.{}.attention.layer.w_o": "encoder.layer.{}.attention.output.dense",
        "blocks.{}.feed_forward.norm": "encoder.layer.{}.layernorm_after",
        "blocks.{}.feed_forward.layer.expand": "encoder.layer.{}.intermediate.dense",
        "blocks.{}.feed_forward.layer.contract": "encoder.layer.{}.output.dense",
        "norm": "layernorm",
        "head": "classifier",
    },
    ignored=(r"^(vit\.)?pooler\.", r"embeddings\.mask_token$"),
    heads=("classifier",),
    # In its models, version 5 of `transformers` has other names than in its files.
    modules={
        "blocks.{}": "layers.{}",
        "blocks.{}.attention.norm": "layers.{}.layernorm_before",
        "blocks.{}.attention.layer": "layers.{}.attention",
        **{
            f"blocks.{{}}.attention.layer.w_{letter}": f"layers.{{}}.attention.{letter}_proj"
            for letter in "qkvo"
        },
        "blocks.{}.feed_forward.norm": "layers.{}.layernorm_after",
        "blocks.{}.feed_forward.layer": "layers.{}.mlp",
        "blocks.{}.feed_forward.layer.expand": "layers.{}.mlp.fc1",
        "blocks.{}.feed_forward.layer.contract": "layers.{}.mlp.fc2",
    },
)
