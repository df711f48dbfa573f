r"""From text to token ids, and back.

This folder adds: `Characters`, one token a character, and `Words`, one token a word (both are a
`ClosedVocabulary`); `BPE`, byte-level byte-pair encoding as GPT-2 has it, with its training;
`ChatBPE`, the same for a model that holds conversations;
`WordPiece`, the tokenizer of BERT. What all of them can do is written down in `Tokenizer`:
``encode``, ``encode_iterable``, ``decode``, ``vocab_size`` and ``special_ids``.
"""

from companion.tokenizers.bpe import BPE, GPT2_PATTERN, GPT4_PATTERN, SMOLLM_PATTERN
from companion.tokenizers.characters import Characters
from companion.tokenizers.chat import ChatBPE
from companion.tokenizers.closed import ClosedVocabulary
from companion.tokenizers.protocol import Tokenizer
from companion.tokenizers.wordpiece import WordPiece
from companion.tokenizers.words import WORDS_PATTERN, Words

__all__ = [
    "BPE",
    "GPT2_PATTERN",
    "GPT4_PATTERN",
    "SMOLLM_PATTERN",
    "WORDS_PATTERN",
    "ChatBPE",
    "Characters",
    "ClosedVocabulary",
    "Tokenizer",
    "WordPiece",
    "Words",
]
