r"""From text to token ids, and back.

This folder adds: `Characters`, one token a character; `BPE`, byte-level byte-pair encoding as
GPT-2 has it, with its training; `WordPiece`, the tokenizer of BERT.
"""

from companion.tokenizers.bpe import BPE
from companion.tokenizers.characters import Characters
from companion.tokenizers.wordpiece import WordPiece

__all__ = ["BPE", "Characters", "WordPiece"]
