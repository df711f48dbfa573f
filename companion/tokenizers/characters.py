r"""The simplest tokenizer: one token a character.

Its vocabulary is small and nothing has to be trained, but sequences are long, and a character
that was not there when the vocabulary was made cannot be written.
"""

from collections.abc import Iterable

__all__ = ["Characters"]


class Characters:
    r"""One token for each character of a vocabulary.

    Parameters
    ----------
    characters : iterable of str
        The vocabulary, in the order of the ids; usually ``sorted(set(text))``.

    Raises
    ------
    ValueError
        If a character stands twice, or an entry is not a single character.

    Examples
    --------
    >>> tokenizer = Characters("helo")
    >>> tokenizer.encode("hello")
    [0, 1, 2, 2, 3]
    >>> tokenizer.decode([0, 1, 2, 2, 3])
    'hello'
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = list(characters)
        self.ids = {character: i for i, character in enumerate(self.characters)}
        if len(self.ids) != len(self.characters):
            raise ValueError("characters must not hold a character twice")
        if long := [entry for entry in self.characters if len(entry) != 1]:
            raise ValueError(f"characters must be single characters, got {long[0]!r}")

    @classmethod
    def train(cls, text: str) -> "Characters":
        r"""Take the characters of a text, in the order of their code points.

        Parameters
        ----------
        text : str

        Returns
        -------
        Characters
        """
        return cls(sorted(set(text)))

    @property
    def vocab_size(self) -> int:
        """The number of tokens."""
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        r"""Return the id of each character.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of int

        Raises
        ------
        ValueError
            If a character is not in the vocabulary; the message says which and where.
        """
        for place, character in enumerate(text):
            if character not in self.ids:
                raise ValueError(
                    f"{character!r} (U+{ord(character):04X}) at position {place} is not in the "
                    f"vocabulary of {self.vocab_size} characters"
                )
        return [self.ids[character] for character in text]

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
        """
        ids = [int(i) for i in ids]
        if unknown := [i for i in ids if not 0 <= i < self.vocab_size]:
            raise ValueError(f"ids must be from 0 to {self.vocab_size - 1}, got {unknown[0]}")
        return "".join(self.characters[i] for i in ids)
