r"""Generation: what a model says, and how to make it say it.

This folder adds: `generate`, which lets any model of this package write, `stream`, which hands over
the text while it is being written, and `Generated`, what comes of it. A `Sampler` changes the
logits before a token is chosen: `Temperature`, `TopK`, `TopP`, `MinP`, `RepetitionPenalty`,
`FrequencyPenalty`, `NoRepeatNGram`, `BadWords`; `inverse_cdf` draws. `AllowOnly` and `Constraint`
allow nothing else than a function or a `Pattern` says. Patterns are made by `literal`, `one_of`,
`then`, `either` and `repeat`, and by `json_pattern` from a form: `Object`, `String`, `Integer`,
`Boolean`, `Choice`, `ListOf`; `derivative`, `is_complete`, `first_bytes` and `longest` look into
them. `beam_search` finds the most probable texts, each a `Beam`. `speculate` lets a small model
guess what a large one would write, and says how that went in a `Speculated`: `accept` and
`residual` see to it that nothing else is written, `acceptance` and `expected_tokens` predict how
fast it is. `Detokenizer` turns tokens that come one by one into text.

Shape letters: ``B`` rows, ``T`` tokens, ``V`` vocabulary.
"""

from companion.generation.beams import Beam, beam_search
from companion.generation.constraints import AllowOnly, Constraint
from companion.generation.derivatives import derivative, first_bytes, is_complete, longest
from companion.generation.draws import inverse_cdf
from companion.generation.guesses import accept, acceptance, expected_tokens, residual
from companion.generation.json_forms import (
    Boolean,
    Choice,
    Integer,
    ListOf,
    Object,
    String,
    json_pattern,
)
from companion.generation.patterns import (
    END,
    NOTHING,
    Pattern,
    either,
    literal,
    one_of,
    repeat,
    then,
)
from companion.generation.penalties import (
    BadWords,
    FrequencyPenalty,
    NoRepeatNGram,
    RepetitionPenalty,
)
from companion.generation.pieces import Detokenizer
from companion.generation.samplers import MinP, Sampler, Temperature, TopK, TopP
from companion.generation.speculation import Speculated, speculate
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
    "Beam",
    "beam_search",
    "Speculated",
    "speculate",
    "accept",
    "residual",
    "acceptance",
    "expected_tokens",
    "Detokenizer",
    "AllowOnly",
    "Pattern",
    "NOTHING",
    "END",
    "literal",
    "one_of",
    "then",
    "either",
    "repeat",
    "derivative",
    "is_complete",
    "first_bytes",
    "longest",
    "String",
    "Integer",
    "Boolean",
    "Choice",
    "ListOf",
    "Object",
    "json_pattern",
    "Constraint",
]
