r"""Fine-tuning: a trained model learns a task, and few of its parameters change.

This folder adds: heads for tasks (`SequenceClassifier`, `TokenClassifier`, `QuestionAnswerer`),
what they need of an encoder (`MeanPooling` and its relatives; `Trunk` makes one of a GPT or a
Llama), and which parameters are trained (`freeze`, `train_last`, `groups_by_layer`); four ways to
train only few new ones, LoRA (`add_lora`), adapters (`add_adapters`), prompts (`PromptTuning`) and
prefixes (`PrefixTuning`); and weights of 4 bits below them (`NF4Linear`).
"""

from companion.finetuning.adapters import Adapted, Adapter, add_adapters
from companion.finetuning.answering import QuestionAnswerer, best_span
from companion.finetuning.counting import ParameterCount, count_trainable
from companion.finetuning.freezing import (
    freeze,
    groups_by_layer,
    hold_statistics,
    train_last,
    unfreeze,
)
from companion.finetuning.heads import SequenceClassifier, TokenClassifier
from companion.finetuning.injecting import add_lora, merge_lora, remove_lora, unmerge_lora
from companion.finetuning.lora import LoRALinear, RSLoRALinear
from companion.finetuning.lora_files import load_lora, load_lora_state, lora_state, save_lora
from companion.finetuning.merging import MergeError, merge_error
from companion.finetuning.pooling import (
    BertPooler,
    FirstPooling,
    LastPooling,
    MeanPooling,
    Trunk,
)
from companion.finetuning.prompts import PrefixTuning, PromptEmbedding, PromptTuning
from companion.finetuning.quantised import (
    NF4Linear,
    NF4Tensor,
    nf4_levels,
    quantise_linears,
    quantise_nf4,
)

__all__ = [
    "freeze",
    "unfreeze",
    "train_last",
    "groups_by_layer",
    "hold_statistics",
    "ParameterCount",
    "count_trainable",
    "MeanPooling",
    "FirstPooling",
    "LastPooling",
    "BertPooler",
    "Trunk",
    "SequenceClassifier",
    "TokenClassifier",
    "QuestionAnswerer",
    "best_span",
    "LoRALinear",
    "RSLoRALinear",
    "add_lora",
    "merge_lora",
    "unmerge_lora",
    "remove_lora",
    "lora_state",
    "load_lora_state",
    "save_lora",
    "load_lora",
    "MergeError",
    "merge_error",
    "Adapter",
    "Adapted",
    "add_adapters",
    "PromptEmbedding",
    "PromptTuning",
    "PrefixTuning",
    "nf4_levels",
    "NF4Tensor",
    "quantise_nf4",
    "NF4Linear",
    "quantise_linears",
]
