r"""BERT's checkpoints (Devlin et al. 2019).

This file adds: ``BERT_ENCODER``, the encoder alone, and ``BERT``, the encoder with the heads of
pretraining. Both read the files of 2018, in which a gain is called gamma and a shift beta.
"""

from collections.abc import Mapping
from typing import Any

from companion.models.hub import Layout, require

__all__ = ["BERT_ENCODER", "BERT"]


def _read(config: Mapping[str, Any]) -> dict[str, Any]:
    require(
        config,
        hidden_act="gelu",
        position_embedding_type="absolute",
        is_decoder=False,
        add_cross_attention=False,
        tie_word_embeddings=True,
    )
    return {
        "vocab_size": config["vocab_size"],
        "d_model": config["hidden_size"],
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "d_hidden": config["intermediate_size"],
        "max_length": config["max_position_embeddings"],
        "n_segments": config["type_vocab_size"],
        "eps": config.get("layer_norm_eps", 1e-12),
    }


def _write(config: Any) -> dict[str, Any]:
    dropout = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_hidden,
        "max_position_embeddings": config.max_length,
        "type_vocab_size": config.n_segments,
        "layer_norm_eps": config.eps,
        "hidden_act": "gelu",
        **dict.fromkeys(dropout, config.dropout),
    }


_ENCODER = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "blocks.{}.attention.layer.w_q": "encoder.layer.{}.attention.self.query",
    "blocks.{}.attention.layer.w_k": "encoder.layer.{}.attention.self.key",
    "blocks.{}.attention.layer.w_v": "encoder.layer.{}.attention.self.value",
    "blocks.{}.attention.layer.w_o": "encoder.layer.{}.attention.output.dense",
    "blocks.{}.attention.norm": "encoder.layer.{}.attention.output.LayerNorm",
    "blocks.{}.feed_forward.layer.expand": "encoder.layer.{}.intermediate.dense",
    "blocks.{}.feed_forward.layer.contract": "encoder.layer.{}.output.dense",
    "blocks.{}.feed_forward.norm": "encoder.layer.{}.output.LayerNorm",
}
_MODULES = {
    "blocks.{}": "encoder.layer.{}",
    "blocks.{}.attention": "encoder.layer.{}.attention",
}
_IN_A_MODEL, _MODULES_IN_A_MODEL = (
    {f"encoder.{ours}": theirs for ours, theirs in table.items()} for table in (_ENCODER, _MODULES)
)
_OLD = {r"LayerNorm\.gamma$": "LayerNorm.weight", r"LayerNorm\.beta$": "LayerNorm.bias"}
_HEADS = r"^(pooler|cls|lm_head|classifier|qa_outputs)\."
_NOT_LEARNT = r"embeddings\.position_ids$"

BERT_ENCODER = Layout(
    architecture="BertModel",
    model_type="bert",
    prefix="",
    read=_read,
    write=_write,
    tensors=_ENCODER,
    renamed=_OLD | {r"^bert\.": ""},  # as models with a head have them
    ignored=(_NOT_LEARNT, _HEADS),
    modules=_MODULES,
)
BERT = Layout(
    architecture="BertForPreTraining",
    model_type="bert",
    prefix="bert.",
    read=_read,
    write=_write,
    tensors=_IN_A_MODEL
    | {
        "pooler": "pooler.dense",
        "head.dense": "cls.predictions.transform.dense",
        "head.norm": "cls.predictions.transform.LayerNorm",
        "head.bias": "cls.predictions.bias",
        "next": "cls.seq_relationship",
    },
    renamed=_OLD,
    ignored=(_NOT_LEARNT,),
    tied={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    heads=("cls.",),
    modules=_MODULES_IN_A_MODEL | {"head": "cls.predictions"},
)
