r"""Layers: linear maps, normalisation, dropout, positions, and what their weights start from.

This folder adds: `Linear`, `Embedding`; the initialisations of Glorot and of He; `MLP`, the
multilayer perceptron, `FeedForward`, and the gated `SwiGLU`; `Dropout`; `LayerNorm`, `RMSNorm`; and
three ways to say where a token stands (`sinusoidal_positions`; `apply_rotary`, whose choices
`Rotary` keeps; `alibi_bias`).
"""

from companion.layers.dropout import Dropout
from companion.layers.initialisation import (
    fans,
    he_normal_,
    he_uniform_,
    initialise,
    xavier_normal_,
    xavier_uniform_,
)
from companion.layers.linear import Embedding, Linear
from companion.layers.mlp import MLP, FeedForward, SwiGLU
from companion.layers.normalisation import LayerNorm, RMSNorm
from companion.layers.positions import (
    Llama3Scaling,
    Rotary,
    alibi_bias,
    apply_rotary,
    sinusoidal_positions,
)

__all__ = [
    "Linear",
    "Embedding",
    "fans",
    "xavier_uniform_",
    "xavier_normal_",
    "he_uniform_",
    "he_normal_",
    "initialise",
    "MLP",
    "FeedForward",
    "SwiGLU",
    "Dropout",
    "LayerNorm",
    "RMSNorm",
    "sinusoidal_positions",
    "apply_rotary",
    "Rotary",
    "Llama3Scaling",
    "alibi_bias",
]
