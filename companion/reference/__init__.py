"""NumPy twins: each formula in float64, obvious and slow, to hold the fast code against."""

from companion.reference import (
    activations,
    alignment,
    attention,
    data,
    evaluation,
    finetuning,
    generation,
    layers,
    losses,
    models,
    optim,
    pretraining,
    tokenizers,
    transformer,
)

__all__ = [
    "activations",
    "alignment",
    "attention",
    "data",
    "evaluation",
    "finetuning",
    "generation",
    "layers",
    "losses",
    "models",
    "optim",
    "pretraining",
    "tokenizers",
    "transformer",
]
