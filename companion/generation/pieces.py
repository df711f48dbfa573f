r"""From tokens to text while a text is being written.

This file adds: ``Detokenizer``, which turns one token after the other into characters. A token may
end in the middle of a character: what has come of it is held back until the rest is there.
"""

import codecs
from collections.abc import Iterable

from companion.tokenizers import BPE, ClosedVocabulary, Tokenizer

__all__ = ["Detokenizer"]


class Detokenizer:
    r"""The text of tokens that come one by one, in whole characters.

    All pieces together are what ``tokenizer.decode`` makes of all tokens together, but for a
    character that is still incomplete at the end. Bytes that are no UTF-8 become �, as there.

    Parameters
    ----------
    tokenizer : Tokenizer
        Any of this package.

    Attributes
    ----------
    text : str
        What has been returned so far.

    Raises
    ------
    TypeError
        If ``tokenizer`` is none.

    Examples
    --------
    >>> reads = Detokenizer(BPE([]))  # a token for each byte
    >>> [reads.push(byte) for byte in "né!".encode()]
    ['n', '', 'é', '!']
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        _require_tokenizer(tokenizer)
        self.tokenizer, self.text = tokenizer, ""
        self._ids: list[int] = []
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, index: int) -> str:
        r"""Return the characters that are complete with the next token.

        Parameters
        ----------
        index : int
            The token.

        Returns
        -------
        str
            Empty if the token ends within a character.

        Raises
        ------
        ValueError
            If the token is not in the vocabulary.
        """
        piece = self._piece(index)
        self.text += piece
        return piece

    def _piece(self, index: int) -> str:
        if isinstance(self.tokenizer, BPE):
            return self._bytes.decode(self.tokenizer.token(index))
        if isinstance(self.tokenizer, ClosedVocabulary):
            return self.tokenizer.decode([index])
        # Of others nothing is known: a token may change what stands before it.
        self._ids.append(index)
        whole = self.tokenizer.decode(self._ids)
        return whole[len(self.text) :] if whole.startswith(self.text) else ""


def _require_tokenizer(tokenizer: object) -> None:
    if not isinstance(tokenizer, Tokenizer):
        raise TypeError(f"tokenizer must be one of companion.tokenizers, got {tokenizer!r}")


def _spellings(tokenizer: Tokenizer) -> dict[int, bytes]:
    """Return the bytes that each token adds to a text, without the special ones."""
    special = set(tokenizer.special_ids.values())
    if isinstance(tokenizer, BPE):
        found = tokenizer.tokens.items()
    elif isinstance(tokenizer, ClosedVocabulary):
        found = {i: entry.encode() for i, entry in tokenizer.tokens.items()}.items()
    else:
        raise TypeError(
            "tokenizer must join its tokens without anything between them, as BPE, Characters and "
            f"Words do; got {type(tokenizer).__name__}"
        )
    return {i: spelling for i, spelling in found if i not in special}


def _held_back(text: str, strings: Iterable[str]) -> int:
    """Return how many of the last characters may be the beginning of one of some strings."""
    longest = 0
    for string in strings:
        for n in range(min(len(string) - 1, len(text)), longest, -1):
            if text.endswith(string[:n]):
                longest = n
                break
    return longest


def _first_of(text: str, strings: Iterable[str], start: int) -> int | None:
    """Return where the first of some strings begins in a text, from a place on; None if nowhere."""
    found = [place for string in strings if (place := text.find(string, start)) >= 0]
    return min(found, default=None)
