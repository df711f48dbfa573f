r"""Tokenizers that look each token up in a list, and can write nothing else.

What they share stands here: ids, special tokens, encoding and decoding. They differ in where they
cut a text: `Characters` between any two characters, `Words` between words.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from companion._arguments import _require_ordered, _require_text, _require_texts
from companion.tokenizers.protocol import SpecialTokens, _new_special_ids, _require_ids
from companion.tokenizers.streaming import NOWHERE, parts, split_at

__all__ = ["ClosedVocabulary"]

T = TypeVar("T", bound="ClosedVocabulary")


class ClosedVocabulary:
    r"""A tokenizer that knows the entries of a list, and no others.

    Classes made from it say how a text is cut into entries (``cut``), what an entry is called
    (``unit``) and where such an entry begins whatever comes before and after (``starts``, for
    texts that come in pieces).

    Parameters
    ----------
    entries : iterable of str
        The vocabulary, in the order of the ids.
    special_tokens : iterable of str, or dict from str to int
        Tokens that stand for no text, such as ``"<|end|>"``; their ids come last, or are those
        that you choose.

    Raises
    ------
    ValueError
        If an entry or a special token stands twice, or an entry would be cut.
    TypeError
        If ``special_tokens`` is one string.

    Examples
    --------
    >>> class Lines(ClosedVocabulary):
    ...     unit = "line"
    ...     cut = staticmethod(lambda text: text.splitlines(keepends=True))
    >>> Lines(["yes\n", "no\n"]).encode("no\nyes\n")
    [1, 0]
    """

    unit = "entry"
    starts = NOWHERE

    @staticmethod
    def cut(text: str) -> list[str]:
        """Return the entries that a text is made of."""
        raise NotImplementedError

    def __init__(self, entries: Iterable[str], special_tokens: SpecialTokens = ()) -> None:
        name = f"{self.unit}s"
        self.entries = [
            _require_text(entry, f"each of {name}") for entry in _require_ordered(entries, name)
        ]
        self.ids = {entry: i for i, entry in enumerate(self.entries)}
        if len(self.ids) != len(self.entries):
            raise ValueError(f"{name} must not hold a {self.unit} twice")
        if wrong := [entry for entry in self.entries if self.cut(entry) != [entry]]:
            raise ValueError(f"{name} must be single {name}, got {wrong[0]!r}")
        self.special_ids: dict[str, int] = {}
        self.tokens = dict(enumerate(self.entries))
        self.add_special_tokens(special_tokens)

    def __repr__(self) -> str:
        special = f", special_tokens={list(self.special_ids)}" if self.special_ids else ""
        return f"{type(self).__name__}(vocab_size={self.vocab_size}{special})"

    @classmethod
    def train(cls: type[T], text: str | Iterable[str], special_tokens: SpecialTokens = ()) -> T:
        r"""Take the entries of a text or of several, in the order of their code points.

        Parameters
        ----------
        text : str, or iterable of str
        special_tokens : iterable of str, or dict from str to int
            Where one stands in a text, its letters are not taken.

        Returns
        -------
        ClosedVocabulary
            Of the class whose method it is.
        """
        names = _require_texts(special_tokens, "special_tokens")
        texts = [text] if isinstance(text, str) else _require_texts(text, "text")
        pieces = [piece for each in texts for piece in split_at(names, each)[::2]]
        return cls(sorted({entry for piece in pieces for entry in cls.cut(piece)}), special_tokens)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a table of embeddings needs."""
        return max(self.tokens, default=-1) + 1

    def add_special_tokens(self, special_tokens: SpecialTokens) -> None:
        r"""Add special tokens; what was encoded before keeps its ids.

        Parameters
        ----------
        special_tokens : iterable of str, or dict from str to int
            Names, whose ids follow on the largest one, or names with ids of your choice.

        Raises
        ------
        ValueError
            If a name is empty or there already, or an id is taken. Nothing is added then.
        TypeError
            If it is one string.
        """
        added = _new_special_ids(special_tokens, self.tokens, self.special_ids)
        self.special_ids |= added
        self.tokens |= {i: name for name, i in added.items()}

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        r"""Return the id of each entry in a text.

        Parameters
        ----------
        text : str
        allow_special : bool
            Whether the name of a special token in the text becomes that token. By default it is
            text like any other.

        Returns
        -------
        list of int

        Raises
        ------
        ValueError
            If an entry is not in the vocabulary; the message says which and where.
        TypeError
            If it is no text.
        """
        names = self.special_ids if allow_special else ()
        return list(self._encode_parts(split_at(names, _require_text(text)), names))

    def encode_iterable(self, texts: Iterable[str], allow_special: bool = False) -> Iterator[int]:
        r"""Yield the ids of a text that comes in pieces, such as the lines of a file.

        They are those of the whole text, wherever it is cut.

        Parameters
        ----------
        texts : iterable of str
        allow_special : bool
            As for `encode`.

        Yields
        ------
        int

        Raises
        ------
        ValueError
            If an entry is not in the vocabulary.
        TypeError
            If a piece is no text.
        """
        names = self.special_ids if allow_special else ()
        yield from self._encode_parts(parts(texts, names, self.starts), names)

    def _encode_parts(self, texts: Iterable[str], names: Collection[str]) -> Iterator[int]:
        place = 0
        for part in texts:
            if part in names:
                yield self.special_ids[part]
            else:
                yield from self._encode_part(part, place)
            place += len(part)

    def _encode_part(self, part: str, place: int) -> list[int]:
        """Return the ids of a text that begins at a place in a larger one."""
        entries = self.cut(part)
        for entry in entries:
            if entry not in self.ids:
                code = f" (U+{ord(entry):04X})" if len(entry) == 1 else ""
                raise ValueError(
                    f"{entry!r}{code} at position {place} is not in the vocabulary of "
                    f"{len(self.entries)} {self.unit}s"
                )
            place += len(entry)
        return [self.ids[entry] for entry in entries]

    def decode(self, ids: Iterable[int]) -> str:
        r"""Return the text that the ids stand for.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id is not in the vocabulary.
        TypeError
            If an id is no whole number.
        """
        numbers = _require_ids(ids)
        if unknown := [i for i in numbers if i not in self.tokens]:
            raise ValueError(f"ids must be from 0 to {self.vocab_size - 1}, got {unknown[0]}")
        return "".join(self.tokens[i] for i in numbers)
