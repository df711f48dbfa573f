r"""The simplest tokenizer: one token a character.

Its vocabulary is small and nothing has to be trained, but sequences are long, and a character
that was not there when the vocabulary was made cannot be written.
"""

from collections.abc import Iterable

from companion.tokenizers.closed import ClosedVocabulary
from companion.tokenizers.protocol import SpecialTokens
from companion.tokenizers.streaming import ANYWHERE

__all__ = ["Characters"]


class Characters(ClosedVocabulary):
    r"""One token for each character of a vocabulary.

    Parameters
    ----------
    characters : iterable of str
        The vocabulary, in the order of the ids; usually ``sorted(set(text))``, which is what
        ``Characters.train(text)`` takes.
    special_tokens : iterable of str, or dict from str to int
        Tokens that stand for no text, such as ``"<|end|>"``; their ids come last, or are those
        that you choose.

    Raises
    ------
    ValueError
        If a character or a special token stands twice, or an entry is not a single character.
    TypeError
        If ``special_tokens`` is one string.

    Examples
    --------
    >>> tokenizer = Characters("helo")
    >>> tokenizer.encode("hello")
    [0, 1, 2, 2, 3]
    >>> tokenizer.decode([0, 1, 2, 2, 3])
    'hello'
    >>> list(tokenizer.encode_iterable(["he", "llo"]))
    [0, 1, 2, 2, 3]
    """

    unit = "character"
    starts = ANYWHERE

    def __init__(self, characters: Iterable[str], special_tokens: SpecialTokens = ()) -> None:
        super().__init__(characters, special_tokens)

    @staticmethod
    def cut(text: str) -> list[str]:
        """Return the characters of a text."""
        return list(text)
