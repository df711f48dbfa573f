r"""T5's checkpoints, of version 1.0 and 1.1 (Raffel et al. 2020).

This file adds: ``T5``. The table of position biases is stored with the first block of each stack;
version 1.1 has a gated feed-forward layer, and a last matrix of its own.
"""

from collections.abc import Mapping
from typing import Any

from companion.models.hub import Layout, require

__all__ = ["T5"]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    require(config, feed_forward_proj=("relu", "gated-gelu"), is_encoder_decoder=True)
    # Since version 5, `transformers` writes "tie_word_embeddings": true for all models, and says
    # in another field what that once meant.
    tied = config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True))
    return {
        "vocab_size": config["vocab_size"],
        "d_model": config["d_model"],
        "n_layers": config["num_layers"],
        "n_decoder_layers": config.get("num_decoder_layers"),
        "n_heads": config["num_heads"],
        "d_head": config["d_kv"],
        "d_hidden": config["d_ff"],
        "gated": config.get("feed_forward_proj", "relu") == "gated-gelu",
        "tied": tied is not False,
        "n_buckets": config.get("relative_attention_num_buckets", 32),
        "max_distance": config.get("relative_attention_max_distance", 128),
        "eps": config.get("layer_norm_epsilon", 1e-6),
    }


def _write(config: Any) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "num_layers": config.n_layers,
        "num_decoder_layers": config.n_decoder_layers or config.n_layers,
        "num_heads": config.n_heads,
        "d_kv": config.d_head,
        "d_ff": config.d_hidden,
        "feed_forward_proj": "gated-gelu" if config.gated else "relu",
        "tie_word_embeddings": config.tied,
        "relative_attention_num_buckets": config.n_buckets,
        "relative_attention_max_distance": config.max_distance,
        "layer_norm_epsilon": config.eps,
        "dropout_rate": config.dropout,
        "is_encoder_decoder": True,
        # The token that fills short texts begins every target.
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }


def _stack(name: str, **layers: str) -> dict[str, str]:
    """Return the places of one stack, of whose blocks these are the layers in turn."""
    feed_forward = {"expand": "wi", "contract": "wo"}
    feed_forward |= {"w_gate": "wi_0", "w_up": "wi_1", "w_down": "wo"}
    places = {
        f"{name}_bias.table": f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias",
        f"{name}.norm": f"{name}.final_layer_norm",
    }
    for number, (ours, theirs) in enumerate(layers.items()):
        parts = {f"w_{letter}": letter for letter in "qkvo"} | feed_forward
        layer = f"{name}.block.{{}}.layer.{number}"
        places[f"{name}.blocks.{{}}.{ours}.norm"] = f"{layer}.layer_norm"
        for part, stored in parts.items():
            places[f"{name}.blocks.{{}}.{ours}.layer.{part}"] = f"{layer}.{theirs}.{stored}"
    return places


T5 = Layout(
    architecture="T5ForConditionalGeneration",
    model_type="t5",
    prefix="",
    read=_read,
    write=_write,
    tensors={"tokens": "shared", "head": "lm_head"}
    | _stack("encoder", attention="SelfAttention", feed_forward="DenseReluDense")
    | _stack(
        "decoder",
        attention="SelfAttention",
        cross_attention="EncDecAttention",
        feed_forward="DenseReluDense",
    ),
    # Attention to the source has no bias; some old checkpoints hold one that is never used.
    ignored=(r"^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$",),
    tied={
        f"{copy}.weight": "shared.weight"
        for copy in ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
    },
)
