r"""Fine-tuning: teach a trained model your task.

This folder adds: a `Template` says how a conversation is written as tokens: `ChatML`, `Alpaca` or
`Plain`; what it writes is `Rendered`. `make_example` and `make_examples` make an `Example` of each
conversation, with the answer as its target, and `pad_examples` a batch of them. `first_fit`,
`packed_mask` and `pack_examples` put several into one row. `ExampleLoss` lets every example count
the same. `write_answers` lets a model answer, and `share_exact` says how often it is right.
`world_tasks` are instructions of Tiny World.
"""

from companion.finetuning.instructions import (
    Example,
    make_example,
    make_examples,
    pad_examples,
    world_tasks,
)
from companion.finetuning.packing import first_fit, pack_examples, packed_mask
from companion.finetuning.supervised import ExampleLoss, share_exact, write_answers
from companion.finetuning.templates import Alpaca, ChatML, Plain, Rendered, Template

__all__ = [
    "Template",
    "ChatML",
    "Alpaca",
    "Plain",
    "Rendered",
    "Example",
    "make_example",
    "make_examples",
    "pad_examples",
    "first_fit",
    "packed_mask",
    "pack_examples",
    "ExampleLoss",
    "write_answers",
    "share_exact",
    "world_tasks",
]
