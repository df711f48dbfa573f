r"""From text to token ids, and back.

This folder adds: `Characters`, one token a character; `BPE`, byte-level byte-pair encoding as
GPT-2 has it, with its training; `WordPiece`, the tokenizer of BERT. What all of them can do is
written down in `Tokenizer`: ``encode``, ``encode_iterable``, ``decode``, ``vocab_size`` and
``special_ids``.
"""

from companion.tokenizers.bpe import BPE, GPT2_PATTERN, GPT4_PATTERN
from companion.tokenizers.characters import Characters
from companion.tokenizers.protocol import Tokenizer
from companion.tokenizers.wordpiece import WordPiece

__all__ = ["BPE", "GPT2_PATTERN", "GPT4_PATTERN", "Characters", "Tokenizer", "WordPiece"]
