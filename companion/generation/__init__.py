r"""Generation: what a model says, and how to make it say it.

This folder adds: `generate`, which lets any model of this package write, `stream`, which hands over
the text while it is being written, and `Generated`, what comes of it. A `Sampler` changes the
logits before a token is chosen: `Temperature`, `TopK`, `TopP`, `MinP`, `RepetitionPenalty`,
`FrequencyPenalty`, `NoRepeatNGram`, `BadWords`; `inverse_cdf` draws.
`Detokenizer` turns tokens that come one by one into text.

Shape letters: ``B`` rows, ``T`` tokens, ``V`` vocabulary.
"""

from companion.generation.draws import inverse_cdf
from companion.generation.penalties import (
    BadWords,
    FrequencyPenalty,
    NoRepeatNGram,
    RepetitionPenalty,
)
from companion.generation.pieces import Detokenizer
from companion.generation.samplers import MinP, Sampler, Temperature, TopK, TopP
from companion.generation.writing import Generated, generate, stream

__all__ = [
    "Sampler",
    "Temperature",
    "TopK",
    "TopP",
    "MinP",
    "RepetitionPenalty",
    "FrequencyPenalty",
    "NoRepeatNGram",
    "BadWords",
    "inverse_cdf",
    "Generated",
    "generate",
    "stream",
    "Detokenizer",
]
