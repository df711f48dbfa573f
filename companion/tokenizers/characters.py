r"""The simplest tokenizer: one token a character.

Its vocabulary is small and nothing has to be trained, but sequences are long, and a character
that was not there when the vocabulary was made cannot be written.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from companion._arguments import _require_ordered, _require_text
from companion.tokenizers.protocol import (
    SpecialTokens,
    _chosen_names,
    _listed,
    _new_special_ids,
    _require_ids,
)
from companion.tokenizers.streaming import ANYWHERE, parts, split_at

__all__ = ["Characters"]


class Characters:
    r"""One token for each character of a vocabulary.

    Parameters
    ----------
    characters : iterable of str
        The vocabulary, in the order of the ids; usually ``sorted(set(text))``.
    special_tokens : iterable of str, or dict from str to int
        Tokens that stand for no text, such as ``"<|end|>"``; their ids come last, or are those
        that you choose.

    Raises
    ------
    ValueError
        If a character or a special token stands twice, or an entry is not a single character.
    TypeError
        If ``special_tokens`` is one string, or ``characters`` a dict.

    Examples
    --------
    >>> tokenizer = Characters("helo")
    >>> tokenizer.encode("hello")
    [0, 1, 2, 2, 3]
    >>> tokenizer.decode([0, 1, 2, 2, 3])
    'hello'
    """

    def __init__(self, characters: Iterable[str], special_tokens: SpecialTokens = ()) -> None:
        if isinstance(characters, Mapping):
            raise TypeError("characters must be a list of characters in the order of their ids")
        entries = _require_ordered(characters, "characters")
        self.characters = [_require_text(entry, "each of characters") for entry in entries]
        self.ids = {character: i for i, character in enumerate(self.characters)}
        if len(self.ids) != len(self.characters):
            raise ValueError("characters must not hold a character twice")
        if long := [entry for entry in self.characters if len(entry) != 1]:
            raise ValueError(f"characters must be single characters, got {long[0]!r}")
        self.special_ids: dict[str, int] = {}
        self.tokens = dict(enumerate(self.characters))
        self.add_special_tokens(special_tokens)

    def __repr__(self) -> str:
        special = f", special_tokens={list(self.special_ids)}" if self.special_ids else ""
        return f"{type(self).__name__}(vocab_size={self.vocab_size}{special})"

    @classmethod
    def train(cls, text: str, special_tokens: SpecialTokens = ()) -> "Characters":
        r"""Take the characters of a text, in the order of their code points.

        Parameters
        ----------
        text : str
        special_tokens : iterable of str, or dict from str to int
            Where one stands in the text, its letters are not taken.

        Returns
        -------
        Characters
        """
        special_tokens = _listed(special_tokens)
        letters = "".join(split_at(special_tokens, _require_text(text))[::2])
        return cls(sorted(set(letters)), special_tokens)

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
        r"""Return the id of each character.

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
            If a character is not in the vocabulary; the message says which and where.
        TypeError
            If it is no text.
        """
        names = _chosen_names(self.special_ids, allow_special)
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
            If a character is not in the vocabulary.
        TypeError
            If a piece is no text.

        Examples
        --------
        >>> list(Characters("helo").encode_iterable(["he", "llo"]))
        [0, 1, 2, 2, 3]
        """
        names = _chosen_names(self.special_ids, allow_special)
        yield from self._encode_parts(parts(texts, names, ANYWHERE), names)

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
        for i, character in enumerate(part):
            if character not in self.ids:
                raise ValueError(
                    f"{character!r} (U+{ord(character):04X}) at position {place + i} is not in the "
                    f"vocabulary of {len(self.characters)} characters"
                )
        return [self.ids[character] for character in part]

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
