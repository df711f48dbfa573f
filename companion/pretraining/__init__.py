r"""Pretraining: targets made from the text itself, and what is minimised with them.

This folder adds, for each objective, a small function from token ids to inputs and targets: the
next token, masked tokens, spans that were cut out, and pairs of sentences. `MaskedLM`,
`MaskedLMAndNSP` and `Contrastive` are objectives as a training loop takes them: sums of losses
over the targets, with the number of targets known before the model has run.

Shape letters: ``B`` batch, ``T`` tokens, ``V`` vocabulary.
"""

from companion.pretraining.causal import causal_lm, pad_rows
from companion.pretraining.masking import mask_tokens, whole_words
from companion.pretraining.objectives import Contrastive, MaskedLM, MaskedLMAndNSP
from companion.pretraining.pairs import SentencePair, sentence_pair, sentence_pairs
from companion.pretraining.spans import cut_spans, join_spans, random_spans, span_corruption

__all__ = [
    "causal_lm",
    "pad_rows",
    "mask_tokens",
    "whole_words",
    "SentencePair",
    "sentence_pair",
    "sentence_pairs",
    "random_spans",
    "cut_spans",
    "join_spans",
    "span_corruption",
    "MaskedLM",
    "MaskedLMAndNSP",
    "Contrastive",
]
