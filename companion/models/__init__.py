r"""Whole models, and real pretrained weights to fill them with.

This folder adds: the two that came before transformers, `CNN` for images (LeCun et al. 1998) and
`LSTMClassifier` for text (Hochreiter and Schmidhuber 1997), with the layers that they are made of;
`Seq2Seq`, the Transformer that translates (Vaswani et al. 2017); `GPT`, which writes (Radford et
al. 2019), and `Llama`, which has newer parts (Touvron et al. 2023); `MoE`, of which `Mixtral` is
made (Jiang et al. 2024); `T5`, which makes a text of a text (Raffel et al. 2020); `BertEncoder`,
the encoder of BERT, `BERT`, with the heads of its pretraining (Devlin et al. 2019), and `RoBERTa`
(Liu et al. 2019); `ViT`, which reads images (Dosovitskiy et al. 2021); `Pretrained`, which reads
and writes checkpoints; `load_pretrained`, which finds, checks and loads the published weights of
all-MiniLM-L6-v2 and of SmolLM2-135M-Instruct; `diff`, which finds where two models part; and
`count_parameters`, `flops_per_token` and their neighbours, which say what a model costs.
"""

from companion.models.bert import BERT, BertConfig, BertEncoder, MaskedLMHead
from companion.models.cnn import CNN, Conv2d, conv2d, max_pool2d
from companion.models.costs import (
    active_parameters,
    count_parameters,
    flops_per_token,
    kv_cache_bytes,
)
from companion.models.diff import Comparison, Difference, diff
from companion.models.experts import MoE, Routing, balance_loss, expert_load
from companion.models.gguf import as_halves, gguf_tokenizer, llama_from_gguf, read_gguf
from companion.models.gpt import GPT, GPTConfig, Trace
from companion.models.hub import Layout, Pretrained, Stored, to_ours, to_theirs
from companion.models.llama import Llama, LlamaConfig
from companion.models.loading import CHECKPOINTS, Checkpoint, load_pretrained
from companion.models.lstm import LSTM, LSTMCell, LSTMClassifier
from companion.models.mixtral import Mixtral, MixtralConfig
from companion.models.roberta import RoBERTa, RobertaConfig, RobertaEncoder
from companion.models.seq2seq import Seq2Seq, Seq2SeqConfig
from companion.models.t5 import GEGLU, T5, RelativeBias, T5Config, relative_buckets
from companion.models.vit import ViT, ViTConfig, patches

__all__ = [
    "conv2d",
    "max_pool2d",
    "Conv2d",
    "CNN",
    "LSTMCell",
    "LSTM",
    "LSTMClassifier",
    "Seq2SeqConfig",
    "Seq2Seq",
    "GPTConfig",
    "GPT",
    "Trace",
    "LlamaConfig",
    "Llama",
    "read_gguf",
    "as_halves",
    "gguf_tokenizer",
    "llama_from_gguf",
    "MoE",
    "Routing",
    "expert_load",
    "balance_loss",
    "MixtralConfig",
    "Mixtral",
    "relative_buckets",
    "RelativeBias",
    "GEGLU",
    "T5Config",
    "T5",
    "BertConfig",
    "BertEncoder",
    "MaskedLMHead",
    "BERT",
    "RobertaConfig",
    "RobertaEncoder",
    "RoBERTa",
    "patches",
    "ViTConfig",
    "ViT",
    "Stored",
    "Layout",
    "Pretrained",
    "to_ours",
    "to_theirs",
    "diff",
    "Difference",
    "Comparison",
    "count_parameters",
    "active_parameters",
    "flops_per_token",
    "kv_cache_bytes",
    "CHECKPOINTS",
    "Checkpoint",
    "load_pretrained",
]
