r"""Byte-level byte-pair encoding, as in GPT-2.

A text is cut into words, a word into its bytes; then the pairs that training found most useful
are joined, in the order in which it found them (Sennrich et al. 2016, section 3.2; over bytes:
Radford et al. 2019, section 2.2). Every text can be written, because every byte is a token.

A token is a ``bytes`` object here, and a merge a pair of them; ids come last.
"""

import json
import operator
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import regex

from companion.tokenizers.merges import Pair, Word, join, join_all, learn, split_bytes, utf8

__all__ = ["BPE"]

#: How GPT-2 cuts a text into words: a space belongs to the word that follows it.
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
#: Words of more bytes than this are joined with a queue, which pays only for long ones.
LONG = 64
#: What a file written by `BPE.save` begins with.
FORMAT = "byte-level BPE, version 1"


class BPE:
    r"""A byte-level BPE tokenizer.

    Parameters
    ----------
    merges : iterable of (bytes, bytes)
        Pairs to join, the first learnt first.
    special_tokens : iterable of str
        Tokens that stand for no text, such as ``"<|endoftext|>"``; their ids come last.
    ids : dict from bytes to int, optional
        The ids of the ordinary tokens; by default the 256 bytes come first, by value, and then
        what each merge made, in order.
    pattern : str
        A regular expression whose matches are the words; no pair is joined across two words.

    Raises
    ------
    ValueError
        If ``ids`` leaves out a token, two tokens have one id, or a special token is empty or
        stands twice.
    TypeError
        If ``special_tokens`` is one string.

    Examples
    --------
    >>> tokenizer = BPE([(b"l", b"l"), (b"h", b"e"), (b"he", b"ll")])
    >>> tokenizer.encode("hello")
    [258, 111]
    >>> tokenizer.decode([258, 111])
    'hello'
    """

    def __init__(
        self,
        merges: Iterable[Pair],
        special_tokens: Iterable[str] = (),
        ids: dict[bytes, int] | None = None,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        self.merges = [(bytes(a), bytes(b)) for a, b in merges]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        tokens = dict.fromkeys([*_single_bytes(), *(a + b for a, b in self.merges)])
        self.ids = {token: i for i, token in enumerate(tokens)} if ids is None else dict(ids)
        if missing := [token for token in tokens if token not in self.ids]:
            raise ValueError(f"ids must hold every token, but {missing[0]!r} is missing")
        first = max(self.ids.values()) + 1
        names = _names(special_tokens)
        self.special_ids = {name: first + i for i, name in enumerate(names)}
        self.tokens = {i: token for token, i in self.ids.items()}
        if len(self.tokens) != len(self.ids):
            raise ValueError("ids must not give two tokens the same id")
        self.tokens |= {i: name.encode() for name, i in self.special_ids.items()}
        self.pattern = pattern
        self._compiled = regex.compile(pattern)
        self._ids_of_word = lru_cache(maxsize=2**16)(self._encode_word)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of, without the words that it remembers."""
        return type(self), (self.merges, list(self.special_ids), self.ids, self.pattern)

    def __repr__(self) -> str:
        special = f", special_tokens={list(self.special_ids)}" if self.special_ids else ""
        return f"{type(self).__name__}(vocab_size={self.vocab_size}{special})"

    @property
    def vocab_size(self) -> int:
        """The number of tokens, special ones included."""
        return len(self.tokens)

    # -- making one ------------------------------------------------------------------------------

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        special_tokens: Iterable[str] = (),
        pattern: str = GPT2_PATTERN,
    ) -> "BPE":
        r"""Learn merges: join the most frequent pair of neighbours, again and again.

        Of pairs that are equally frequent the one that comes first in byte order is taken, so
        that the result depends on the text alone. Counts are kept up to date rather than made
        anew: a merge changes only the words that contain it.

        Parameters
        ----------
        text : str
        vocab_size : int
            How many tokens there shall be: 256 bytes, one for each merge, and the special ones.
            If nothing is left to join there are fewer.
        special_tokens : iterable of str
            Where one stands in the text, the text is cut: nothing is learnt from its name.
        pattern : str

        Returns
        -------
        BPE

        Raises
        ------
        ValueError
            If ``vocab_size`` has no room for the bytes and the special tokens.
        """
        special_tokens = _names(special_tokens)
        n_merges = vocab_size - 256 - len(special_tokens)
        if n_merges < 0:
            raise ValueError(
                f"vocab_size must be at least {256 + len(special_tokens)}: 256 bytes and "
                f"{len(special_tokens)} special tokens; got {vocab_size}"
            )
        compiled = regex.compile(pattern)
        counts: Counter[str] = Counter()
        for part in _split_at(special_tokens, text):
            if part not in special_tokens:
                counts.update(word for word, _ in _words(compiled, part))
        return cls(learn(counts, n_merges), special_tokens, pattern=pattern)

    @classmethod
    def from_gpt2(cls, encoder_json: str | Path, vocab_bpe: str | Path) -> "BPE":
        r"""Read the two files of GPT-2's tokenizer.

        Parameters
        ----------
        encoder_json, vocab_bpe : str or Path
            The ids of the tokens, and the merges. Both write bytes as visible characters.

        Returns
        -------
        BPE
            It gives exactly GPT-2's ids.
        """
        visible = {character: bytes([b]) for b, character in _visible_bytes().items()}

        def token(written: str) -> bytes:
            return b"".join(visible[character] for character in written)

        lines = Path(vocab_bpe).read_text(encoding="utf-8").split("\n")
        written = [line.split() for line in lines if line and not line.startswith("#version")]
        merges = [(token(a), token(b)) for a, b in written]
        ids = json.loads(Path(encoder_json).read_text(encoding="utf-8"))
        special = [name for name in ids if name.startswith("<|")]
        return cls(merges, special, {token(t): i for t, i in ids.items() if t not in special})

    # -- text to ids -----------------------------------------------------------------------------

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        r"""Return the ids of a text.

        Parameters
        ----------
        text : str
        allow_special : bool
            Whether the name of a special token in the text becomes that token. By default it is
            text like any other, so that nobody can put an end of text into what they write.

        Returns
        -------
        list of int

        Raises
        ------
        ValueError
            If the text holds half of a surrogate pair, which no encoding of Unicode can write.
        """
        if allow_special:
            parts = _split_at(self.special_ids, text)
            return [i for part in parts for i in self._encode_part(part)]
        return list(self._encode_ordinary(text))

    def _encode_part(self, part: str) -> Iterable[int]:
        special = self.special_ids.get(part)
        return self._encode_ordinary(part) if special is None else [special]

    def _encode_ordinary(self, text: str) -> Iterator[int]:
        for word, start in _words(self._compiled, text):
            yield from self._ids_of_word(utf8(word, start))

    def _encode_word(self, word: bytes) -> tuple[int, ...]:
        return tuple(self.ids[token] for token in self.merge(word))

    def merge(self, word: bytes) -> Word:
        r"""Cut a word into tokens: join the pair that was learnt first, until none is known.

        Parameters
        ----------
        word : bytes

        Returns
        -------
        list of bytes

        Examples
        --------
        >>> BPE([(b"l", b"l"), (b"h", b"e")]).merge(b"hello")
        [b'he', b'll', b'o']
        """
        parts = split_bytes(word)
        if len(parts) > LONG:
            return join_all(parts, self.ranks)
        while len(parts) > 1:
            pair = min(pairwise(parts), key=lambda p: self.ranks.get(p, len(self.ranks)))
            if pair not in self.ranks:
                break
            parts = join(parts, pair)
        return parts

    # -- ids to text -----------------------------------------------------------------------------

    def decode(self, ids: Iterable[int], errors: str = "replace") -> str:
        r"""Return the text that the ids stand for.

        Parameters
        ----------
        ids : iterable of int
        errors : {"replace", "strict"}
            A model may write bytes that are no UTF-8, and a cut may go through a character:
            ``"replace"`` puts � there, ``"strict"`` raises.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id is not in the vocabulary; with ``"strict"`` if the bytes are no UTF-8.
        """
        return b"".join(self.token(i) for i in ids).decode("utf-8", errors)

    def token(self, index: int) -> bytes:
        r"""Return the bytes of one token.

        Parameters
        ----------
        index : int

        Returns
        -------
        bytes

        Raises
        ------
        ValueError
            If the id is not in the vocabulary.
        TypeError
            If it is no whole number.
        """
        if isinstance(index, bool):
            raise TypeError(f"ids must be whole numbers, got {index}")
        number = operator.index(index)
        if number not in self.tokens:
            raise ValueError(f"ids must be those of the {self.vocab_size} tokens, got {number}")
        return self.tokens[number]

    # -- files -----------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        r"""Write the tokenizer to a JSON file, whole or not at all.

        Parameters
        ----------
        path : str or Path
        """
        content = {
            "format": FORMAT,
            "pattern": self.pattern,
            "special_tokens": list(self.special_ids),
            "merges": [[a.hex(), b.hex()] for a, b in self.merges],
            "ids": [[token.hex(), i] for token, i in self.ids.items()],
        }
        beside = Path(f"{path}.tmp")
        beside.write_text(json.dumps(content), encoding="utf-8")
        os.replace(beside, path)

    @classmethod
    def load(cls, path: str | Path) -> "BPE":
        r"""Read what `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        BPE

        Raises
        ------
        ValueError
            If the file is something else.
        """
        try:
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            form = content["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} was not written by BPE.save") from error
        if form != FORMAT:
            raise ValueError(f"{path} has the format {form!r}, not {FORMAT!r}")
        try:
            merges = [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in content["merges"]]
            ids = {bytes.fromhex(token): int(i) for token, i in content["ids"]}
            return cls(merges, content["special_tokens"], ids, content["pattern"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: {error!r}") from error


# -- text ----------------------------------------------------------------------------------------


def _names(special_tokens: Iterable[str]) -> list[str]:
    """Return the special tokens; refuse one string, whose letters would be taken for tokens."""
    if isinstance(special_tokens, str):
        raise TypeError(f"special_tokens must be a list of names, got one: {special_tokens!r}")
    names = list(special_tokens)
    if "" in names or len(set(names)) != len(names):
        raise ValueError(f"special_tokens must be different and not empty, got {names}")
    return names


def _split_at(names: Iterable[str], text: str) -> list[str]:
    """Cut a text before and after each of these names; the longest that fits is taken."""
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        return [text]
    return regex.split(f"({'|'.join(regex.escape(name) for name in longest_first)})", text)


def _words(pattern: Any, text: str) -> Iterator[tuple[str, int]]:
    """Yield the words of a text and where they begin.

    What stands between two matches is a word, too: no pattern can lose any text.
    """
    end = 0
    for match in pattern.finditer(text):
        if match.start() > end:
            yield text[end : match.start()], end
        if match.end() > match.start():
            yield match.group(), match.start()
        end = match.end()
    if end < len(text):
        yield text[end:], end


# -- bytes ---------------------------------------------------------------------------------------


def _single_bytes() -> list[bytes]:
    return [bytes([value]) for value in range(256)]


def _visible_bytes() -> dict[int, str]:
    """Return the character that stands for each byte in GPT-2's files.

    Bytes that are visible in Latin-1 stand for themselves, the others for characters from 256.
    """
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    return {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}
