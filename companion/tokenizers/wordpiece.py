r"""From text to token ids.

This file adds: ``WordPiece``, the tokenizer of BERT (Devlin et al. 2019, section 4.1;
Wu et al. 2016). Words are split at spaces and punctuation; a word that is not in the
vocabulary is cut into the longest pieces that are, and every piece but the first is
written with ``##`` before it.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from companion._arguments import _require_ordered_texts, _require_text
from companion.tokenizers.merges import utf8
from companion.tokenizers.protocol import _chosen_names, _require_ids
from companion.tokenizers.streaming import parts, split_at

__all__ = ["CHINESE", "WordPiece"]

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
#: Every text has these, and BERT's vocabulary a mask besides; each is a token that is no text.
NEEDED = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SPECIAL = (*NEEDED, "[MASK]")
#: Where a text that comes in pieces can be cut: before a blank, which no word goes across, and
#: before and after a Chinese character, which is a word of its own.
CHINESE = "".join(f"{chr(first)}-{chr(last)}" for first, last in CJK_BLOCKS)
CUT = rf"(?r)(?=[ \t\n\r\p{{Z}}{CHINESE}])|(?<=[{CHINESE}])(?=(?s:.))"


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
    TypeError
        If ``vocabulary`` is one string, a dict, or has no order.

    Examples
    --------
    >>> toy = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed"])
    >>> toy.tokenize("Unwanted!")
    ['[CLS]', 'un', '##want', '##ed', '[UNK]', '[SEP]']
    >>> toy.encode("unwanted")
    [2, 4, 5, 6, 3]
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        if isinstance(vocabulary, Mapping):
            raise TypeError("vocabulary must be a list of pieces in the order of their ids")
        self.pieces = _require_ordered_texts(vocabulary, "vocabulary")
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}
        missing = [token for token in NEEDED if token not in self.ids]
        if missing:
            raise ValueError(f"vocabulary must hold the special tokens {missing}")
        if len(self.ids) != len(self.pieces):
            raise ValueError("vocabulary must not hold a piece twice")
        self.special_ids = {token: self.ids[token] for token in SPECIAL if token in self.ids}

    def __repr__(self) -> str:
        special = list(self.special_ids)
        return f"{type(self).__name__}(vocab_size={self.vocab_size}, special_tokens={special})"

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a table of embeddings needs."""
        return len(self.pieces)

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
        ValueError
            If it is something else.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} must be a text in UTF-8: {error}") from None
        return cls(text.rstrip("\n").split("\n"))

    def tokenize(self, text: str, allow_special: bool = False) -> list[str]:
        r"""Cut a text into pieces, with ``[CLS]`` before and ``[SEP]`` after.

        Parameters
        ----------
        text : str
        allow_special : bool
            Whether the name of a special token in the text becomes that token. By default it is
            text like any other.

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If the text holds half of a surrogate pair, which no encoding of Unicode can write.
        TypeError
            If it is no text.
        """
        names = _chosen_names(self.special_ids, allow_special)
        return list(self._tokenize(split_at(names, _require_text(text)), allow_special))

    def _tokenize(self, texts: Iterable[str], allow_special: bool) -> Iterator[str]:
        place = 0
        yield "[CLS]"
        for part in texts:
            utf8(part, place)  # refuses half of a surrogate pair
            if allow_special and part in self.special_ids:
                yield part
            else:
                yield from (piece for word in _words(part) for piece in self._cut(word))
            place += len(part)
        yield "[SEP]"

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        r"""Return the ids of ``tokenize(text)``.

        Parameters
        ----------
        text : str
        allow_special : bool

        Returns
        -------
        list of int
        """
        return [self.ids[piece] for piece in self.tokenize(text, allow_special)]

    def encode_iterable(self, texts: Iterable[str], allow_special: bool = False) -> Iterator[int]:
        r"""Yield the ids of a text that comes in pieces, such as the lines of a file.

        They are those of the whole text, wherever it is cut: with one ``[CLS]`` and one
        ``[SEP]``.

        Parameters
        ----------
        texts : iterable of str
        allow_special : bool

        Yields
        ------
        int

        Raises
        ------
        ValueError
            If the text holds half of a surrogate pair.
        TypeError
            If a piece is no text.

        Examples
        --------
        >>> toy = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed"])
        >>> list(toy.encode_iterable(["unwa", "nted"]))
        [2, 4, 5, 6, 3]
        """
        names = _chosen_names(self.special_ids, allow_special)
        pieces = self._tokenize(parts(texts, names, CUT), allow_special)
        yield from (self.ids[piece] for piece in pieces)

    def decode(self, ids: Iterable[int]) -> str:
        r"""Return the text that ids stand for, as far as it is known.

        Case, accents and blanks are gone, and ``[UNK]`` stands for what is not in the vocabulary.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        str
            Words with a blank between any two, special tokens among them.

        Raises
        ------
        ValueError
            If an id is not in the vocabulary.
        TypeError
            If an id is no whole number.

        Examples
        --------
        >>> WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b"]).decode([2, 4, 5, 4, 3])
        '[CLS] ab a [SEP]'
        """
        numbers = _require_ids(ids)
        if unknown := [i for i in numbers if not 0 <= i < self.vocab_size]:
            raise ValueError(f"ids must be from 0 to {self.vocab_size - 1}, got {unknown[0]}")
        return " ".join(self.pieces[i] for i in numbers).replace(" ##", "")

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
