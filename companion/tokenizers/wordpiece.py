r"""From text to token ids.

This file adds: ``WordPiece``, the tokenizer of BERT (Devlin et al. 2019, section 4.1;
Wu et al. 2016). Words are split at spaces and punctuation; a word that is not in the
vocabulary is cut into the longest pieces that are, and every piece but the first is
written with ``##`` before it.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["WordPiece"]

#: A longer word becomes [UNK] unseen, as in the original.
MAX_WORD_LENGTH = 100

#: Blocks of Chinese characters, each of which is a word of its own.
CJK_BLOCKS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    r"""The uncased WordPiece tokenizer of BERT.

    Parameters
    ----------
    vocabulary : sequence of str
        Pieces in the order of their ids, with ``[PAD]``, ``[UNK]``, ``[CLS]`` and
        ``[SEP]`` among them.

    Raises
    ------
    ValueError
        If a special token is missing, or a piece stands twice.

    Examples
    --------
    >>> toy = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed"])
    >>> toy.tokenize("Unwanted!")
    ['[CLS]', 'un', '##want', '##ed', '[UNK]', '[SEP]']
    >>> toy.encode("unwanted")
    [2, 4, 5, 6, 3]
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.pieces = list(vocabulary)
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        missing = [t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if t not in self.ids]
        if missing:
            raise ValueError(f"vocabulary must hold the special tokens {missing}")
        if len(self.ids) != len(self.pieces):
            raise ValueError("vocabulary must not hold a piece twice")

    @classmethod
    def from_file(cls, path: str | Path) -> "WordPiece":
        r"""Read a ``vocab.txt``: one piece a line, its id the number of the line.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        WordPiece

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        return cls(Path(path).read_text(encoding="utf-8").rstrip("\n").split("\n"))

    def tokenize(self, text: str) -> list[str]:
        r"""Cut a text into pieces, with ``[CLS]`` before and ``[SEP]`` after.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of str
        """
        pieces = [piece for word in _words(text) for piece in self._cut(word)]
        return ["[CLS]", *pieces, "[SEP]"]

    def encode(self, text: str) -> list[int]:
        r"""Return the ids of ``tokenize(text)``.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of int
        """
        return [self.ids[piece] for piece in self.tokenize(text)]

    def _cut(self, word: str) -> list[str]:
        """Take the longest known piece from the left, again and again."""
        if len(word) > MAX_WORD_LENGTH:
            return ["[UNK]"]
        pieces, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if prefix + word[start:e] in self.ids), None)
            if end is None:
                return ["[UNK]"]
            pieces.append(prefix + word[start:end])
            start = end
        return pieces


def _words(text: str) -> Iterator[str]:
    """Split at spaces, punctuation and Chinese characters, in lower case without accents."""
    for chunk in _clean(text).split():
        letters = unicodedata.normalize("NFD", chunk)
        # One letter at a time, as the published tokenizer does: no Greek final sigma.
        plain = "".join(c.lower() for c in letters if unicodedata.category(c) != "Mn")
        yield from _split_at_punctuation(plain)


def _clean(text: str) -> str:
    """Drop control characters, make every blank a space, and set Chinese characters apart."""
    kept = []
    for character in text:
        if _is_control(character):
            continue
        if character.isspace():
            kept.append(" ")
        elif _is_chinese(character):
            kept.append(f" {character} ")
        else:
            kept.append(character)
    return "".join(kept)


def _is_control(character: str) -> bool:
    """Tab and line breaks are blanks; a code point without a character yet is kept."""
    if character in "\t\n\r":
        return False
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs")


def _split_at_punctuation(word: str) -> Iterator[str]:
    current = ""
    for character in word:
        if _is_punctuation(character):
            if current:
                yield current
            yield character
            current = ""
        else:
            current += character
    if current:
        yield current


def _is_punctuation(character: str) -> bool:
    """Treat every ASCII sign that is no letter, digit or blank as punctuation, as BERT does."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")


def _is_chinese(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in CJK_BLOCKS)
