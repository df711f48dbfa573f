r"""Byte-level byte-pair encoding, as in GPT-2.

A text is cut into words, a word into its bytes; then the pairs that training found most useful
are joined, in the order in which it found them (Sennrich et al. 2016, section 3.2; over bytes:
Radford et al. 2019, section 2.2). Every text can be written, because every byte is a token.

A token is a ``bytes`` object here, and a merge a pair of them; ids come last.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import regex

from companion._arguments import _require_int, _require_ordered, _require_text
from companion.tokenizers.merges import Pair, Word, join, join_all, learn, split_bytes, utf8
from companion.tokenizers.protocol import (
    SpecialTokens,
    _chosen_names,
    _listed,
    _new_special_ids,
    _require_id,
    _require_ids,
)
from companion.tokenizers.streaming import AFTER_WORDS, NOWHERE, parts, split_at

__all__ = ["BPE", "GPT2_PATTERN", "GPT4_PATTERN", "SMOLLM_PATTERN"]

#: How GPT-2 cuts a text into words: a space belongs to the word that follows it.
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
#: How GPT-4 does: at most three digits together, other signs before a word, case left out.
GPT4_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
#: How SmolLM does: each digit by itself, without a space, and otherwise like GPT-2.
SMOLLM_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"
#: Where a text that comes in pieces can be cut; with another pattern only at special tokens.
CUTS = dict.fromkeys((GPT2_PATTERN, GPT4_PATTERN, SMOLLM_PATTERN), AFTER_WORDS)
#: Words of more bytes than this are joined with a queue, which pays only for long ones.
LONG = 64
#: What a file written by `BPE.save` begins with, and all that it holds.
FORMAT = "byte-level BPE, version 1"
PARTS = {"format", "pattern", "special_tokens", "merges", "ids"}


class BPE:
    r"""A byte-level BPE tokenizer.

    Parameters
    ----------
    merges : iterable of (bytes, bytes)
        Pairs to join, the first learnt first.
    special_tokens : iterable of str, or dict from str to int
        Tokens that stand for no text, such as ``"<|endoftext|>"``; their ids come last, or are
        those that you choose.
    ids : dict from bytes to int, optional
        The ids of the ordinary tokens; by default the 256 bytes come first, by value, and then
        what each merge made, in order. Some vocabularies leave out bytes that no merge joins; a
        text that holds one is then refused.
    pattern : str
        A regular expression whose matches are the words; no pair is joined across two words.

    Raises
    ------
    ValueError
        If ``ids`` leaves out a token, two tokens have one id, a pair or a special token stands
        twice, or ``pattern`` is no regular expression.
    TypeError
        If ``special_tokens`` is one string, or something else than bytes is merged.

    Examples
    --------
    >>> tokenizer = BPE([(b"l", b"l"), (b"h", b"e"), (b"he", b"ll")])
    >>> tokenizer.encode("hello")
    [258, 111]
    >>> tokenizer.decode([258, 111])
    'hello'
    """

    #: What a kind of BPE is made of besides: the names of further arguments, and attributes.
    MORE: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        merges: Iterable[Pair],
        special_tokens: SpecialTokens = (),
        ids: dict[bytes, int] | None = None,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        self.merges = [_pair(merge) for merge in _require_ordered(merges, "merges")]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        if len(self.ranks) != len(self.merges):
            raise ValueError("merges must not hold a pair twice")
        self.ids = _ordinary_ids(self.merges, ids)
        self.pattern, self._compiled = pattern, _compile(pattern)
        self.special_ids: dict[str, int] = {}
        self.tokens = {i: token for token, i in self.ids.items()}
        self.add_special_tokens(special_tokens)
        self._ids_of_word = lru_cache(maxsize=2**16)(self._encode_word)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of, without the words that it remembers."""
        parts = (self.merges, dict(self.special_ids), self.ids, self.pattern)
        return type(self), (*parts, *(getattr(self, name) for name in self.MORE))

    def __repr__(self) -> str:
        special = f", special_tokens={list(self.special_ids)}" if self.special_ids else ""
        return f"{type(self).__name__}(vocab_size={self.vocab_size}{special})"

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a table of embeddings needs."""
        return max(self.tokens) + 1

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

        Examples
        --------
        >>> tokenizer = BPE([])
        >>> tokenizer.add_special_tokens({"<|end|>": 300})
        >>> tokenizer.encode("a<|end|>", allow_special=True), tokenizer.vocab_size
        ([97, 300], 301)
        """
        added = _new_special_ids(special_tokens, self.tokens, self.special_ids)
        self.special_ids |= added
        self.tokens |= {i: name.encode() for name, i in added.items()}

    # -- making one ------------------------------------------------------------------------------

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        special_tokens: SpecialTokens = (),
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
        special_tokens : iterable of str, or dict from str to int
            Where one stands in the text, the text is cut: nothing is learnt from its name.
        pattern : str

        Returns
        -------
        BPE

        Raises
        ------
        ValueError
            If ``vocab_size`` has no room for the bytes and the special tokens.
        TypeError
            If ``text`` is no text, ``vocab_size`` no whole number, or ``special_tokens`` one
            string.
        """
        _require_text(text)
        special_tokens = _listed(special_tokens)
        n_special = len(special_tokens)
        n_merges = _require_int("vocab_size", vocab_size) - 256 - n_special
        if n_merges < 0:
            raise ValueError(
                f"vocab_size must be at least {256 + n_special}: 256 bytes and "
                f"{n_special} special tokens; got {vocab_size}"
            )
        compiled = _compile(pattern)
        counts: Counter[str] = Counter()
        for part in split_at(special_tokens, text)[::2]:  # every other one is a special token
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
            It gives exactly GPT-2's ids. Tokens that are made by no merge are special ones.

        Raises
        ------
        ValueError
            If a file is something else.
        """
        try:
            ids = json.loads(Path(encoder_json).read_text(encoding="utf-8-sig"))
            written = {_bytes_of(token): i for token, i in ids.items() if _is_visible(token)}
            lines = Path(vocab_bpe).read_text(encoding="utf-8-sig").split("\n")
            pairs = [line.split() for line in lines if line and not line.startswith("#version")]
            merges = [(_bytes_of(a), _bytes_of(b)) for a, b in pairs]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{encoder_json} and {vocab_bpe} must be the files of GPT-2's tokenizer: {error!r}"
            ) from error
        made = {*_single_bytes(), *(a + b for a, b in merges)}
        _require_all_merges(written, made, vocab_bpe)
        special = {
            name: i
            for name, i in ids.items()
            if not _is_visible(name) or _bytes_of(name) not in made
        }
        ordinary = {token: i for token, i in written.items() if token in made}
        try:
            return cls(merges, special, ordinary)
        except ValueError as error:
            raise ValueError(
                f"{encoder_json} and {vocab_bpe} do not fit each other: {error}"
            ) from error

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
            If the text holds half of a surrogate pair, which no encoding of Unicode can write, or
            a byte that the vocabulary leaves out.
        TypeError
            If it is no text.
        """
        names = _chosen_names(self.special_ids, allow_special)
        found: list[int] = []
        place = 0
        for part in split_at(names, _require_text(text)):
            found += self._encode_part(part, names, place)
            place += len(part)
        return found

    def encode_iterable(self, texts: Iterable[str], allow_special: bool = False) -> Iterator[int]:
        r"""Yield the ids of a text that comes in pieces, such as the lines of a file.

        They are those of the whole text, wherever it is cut. With the patterns of GPT-2 and
        GPT-4 no more is kept in memory than the longest word takes, and some pages; with another
        pattern, as much as stands between two special tokens.

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
            If the text holds half of a surrogate pair, or a byte that the vocabulary leaves out.
        TypeError
            If a piece is no text.

        Examples
        --------
        >>> tokenizer = BPE.train("the cat the hat", 260)
        >>> list(tokenizer.encode_iterable(["the c", "at"])) == tokenizer.encode("the cat")
        True
        """
        names = _chosen_names(self.special_ids, allow_special)
        place = 0
        for part in parts(texts, names, CUTS.get(self.pattern, NOWHERE)):
            yield from self._encode_part(part, names, place)
            place += len(part)

    def _encode_part(self, part: str, names: Collection[str], place: int) -> Iterable[int]:
        """Return the id of a special token, or those of a text; `place` is for the error."""
        if part in names:
            return [self.special_ids[part]]
        words = _words(self._compiled, part)
        return [i for word, start in words for i in self._ids_of_word(utf8(word, place + start))]

    def _encode_word(self, word: bytes) -> tuple[int, ...]:
        tokens = self.merge(word)
        if unknown := [token for token in tokens if token not in self.ids]:
            raise ValueError(
                f"the vocabulary has no token for the byte {unknown[0]!r}, in {word.decode()!r}"
            )
        return tuple(self.ids[token] for token in tokens)

    def merge(self, word: bytes) -> Word:
        r"""Cut a word into tokens: join the pair that was learnt first, until none is known.

        Parameters
        ----------
        word : bytes

        Returns
        -------
        list of bytes

        Raises
        ------
        TypeError
            If the word is no bytes.

        Examples
        --------
        >>> BPE([(b"l", b"l"), (b"h", b"e")]).merge(b"hello")
        [b'he', b'll', b'o']
        """
        if not isinstance(word, bytes):
            raise TypeError(f"word must be bytes, got {type(word).__name__}")
        tokens = split_bytes(word)
        if len(tokens) > LONG:
            return join_all(tokens, self.ranks)
        while len(tokens) > 1:
            pair = min(pairwise(tokens), key=lambda p: self.ranks.get(p, len(self.ranks)))
            if pair not in self.ranks:
                break
            tokens = join(tokens, pair)
        return tokens

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
            If an id is not in the vocabulary, or ``errors`` is something else; with ``"strict"``
            if the bytes are no UTF-8.
        TypeError
            If an id is no whole number.
        """
        if errors not in ("replace", "strict"):
            raise ValueError(f'errors must be "replace" or "strict", got {errors!r}')
        return b"".join(self.token(i) for i in _require_ids(ids)).decode("utf-8", errors)

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
        number = _require_id(index)
        if number not in self.tokens:
            raise ValueError(f"ids must be those of the {len(self.tokens)} tokens, got {number}")
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
            "special_tokens": self.special_ids,
            "merges": [[a.hex(), b.hex()] for a, b in self.merges],
            "ids": [[token.hex(), i] for token, i in self.ids.items()],
            **{name: getattr(self, name) for name in self.MORE},
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
            content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8-sig"))
            form = content["format"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} was not written by BPE.save") from error
        if form != FORMAT:
            raise ValueError(f"{path} has the format {form!r}, not {FORMAT!r}")
        if content.keys() != (parts := PARTS.union(cls.MORE)):
            raise ValueError(
                f"{path} is damaged: it must hold {sorted(parts)}, got {sorted(content)}"
            )
        try:
            merges = [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in content["merges"]]
            ids = {bytes.fromhex(token): i for token, i in content["ids"]}
            if len(ids) != len(content["ids"]):
                raise ValueError("a token stands twice")
            if not isinstance(content["special_tokens"], dict):
                raise TypeError("special_tokens must have their ids")
            more = [content[name] for name in cls.MORE]
            return cls(merges, content["special_tokens"], ids, content["pattern"], *more)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: {error!r}") from error


# -- text ----------------------------------------------------------------------------------------


def _pair(merge: Any) -> Pair:
    """Return a merge; two texts are none, nor is anything that joins nothing."""
    if not (isinstance(merge, (tuple, list)) and len(merge) == 2):
        raise TypeError(f"merges must be pairs of bytes, got {merge!r}")
    a, b = merge
    if not (isinstance(a, bytes) and isinstance(b, bytes)):
        raise TypeError(f"merges must be pairs of bytes, got {merge!r}")
    if not a or not b:
        raise ValueError(f"merges must join something, got {merge!r}")
    return a, b


def _ordinary_ids(merges: list[Pair], ids: Mapping[bytes, int] | None) -> dict[bytes, int]:
    """Return the ids of tokens: in order, or those given."""
    made = [a + b for a, b in merges]
    if ids is None:
        tokens = dict.fromkeys([*_single_bytes(), *made])
        return {token: i for i, token in enumerate(tokens)}
    if not isinstance(ids, Mapping):
        raise TypeError(f"ids must be a dict, from bytes to int, got {type(ids).__name__}")
    given = {token: _require_int("each of ids", i, least=0) for token, i in ids.items()}
    joined = (part for pair in merges for part in pair)
    if missing := [token for token in (*joined, *made) if token not in given]:
        raise ValueError(f"ids must hold every token, but {missing[0]!r} is missing")
    if len(set(given.values())) != len(given):
        raise ValueError("ids must not give two tokens the same id")
    return given


def _require_all_merges(written: Iterable[bytes], made: set[bytes], path: str | Path) -> None:
    """Refuse a file of merges that was cut off: what is missing first joins two known tokens."""
    for token in written:
        halves = ((token[:i], token[i:]) for i in range(1, len(token)))
        if token not in made and any(a in made and b in made for a, b in halves):
            raise ValueError(f"{path} ends too early: no merge makes {token!r}")


def _compile(pattern: str) -> Any:
    """Return a pattern that goes through a text from left to right."""
    try:
        compiled = regex.compile(_require_text(pattern, "pattern"))
    except regex.error as error:
        raise ValueError(
            f"pattern must be a regular expression, got {pattern!r}: {error}"
        ) from None
    if compiled.flags & regex.REVERSE:
        raise ValueError(f"pattern must not search from the right, got {pattern!r}")
    return compiled


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


def _bytes_of(written: str) -> bytes:
    """Return the bytes that visible characters of GPT-2's files stand for."""
    visible = _bytes_by_character()
    return bytes(visible[character] for character in written)


def _is_visible(written: str) -> bool:
    """Tell whether a token is written in these characters; a name with a blank is not."""
    return _bytes_by_character().keys() >= set(written)


@cache
def _bytes_by_character() -> dict[str, int]:
    return {character: b for b, character in _visible_bytes().items()}


def _visible_bytes() -> dict[int, str]:
    """Return the character that stands for each byte in GPT-2's files.

    Bytes that are visible in Latin-1 stand for themselves, the others for characters from 256.
    """
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    return {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}
