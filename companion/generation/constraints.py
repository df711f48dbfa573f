r"""Constraints: samplers that allow only what may come next, so that a text cannot get out of form.

This file adds: ``AllowOnly``, for which any function says what is allowed, and ``Constraint``, for
which a pattern does. A pattern knows of bytes, a model of tokens: a token is allowed if the
pattern can go on with all of its bytes (Willard and Louf 2023). The tokens are kept in a tree by
their bytes, so that where a beginning is not allowed, none of its continuations is looked at.

Shape letters: ``B`` rows, ``V`` vocabulary.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion._arguments import _require_int, _require_iterable
from companion.generation.derivatives import (
    _derivative,
    _restricted,
    _shortest,
    derivative,
    is_complete,
    longest,
)
from companion.generation.patterns import END, NOTHING, Pattern, _require_patterns
from companion.generation.pieces import _require_tokenizer, _spellings
from companion.generation.samplers import Rows, _mask_of, _require_logits, _require_rows
from companion.tokenizers import BPE, Tokenizer

__all__ = ["AllowOnly", "Constraint"]

Next = dict[Pattern, list[int]]
HERE = -1  # no byte
NEVER = 2**60  # more tokens than any text has


@dataclass(frozen=True)
class AllowOnly:
    r"""Allow the tokens that a function names (De Cao et al. 2021, section 3.2).

    Parameters
    ----------
    function : function
        Makes of the ids of a prompt and of those written so far the ids that may come next.

    Raises
    ------
    TypeError
        If it is no function.

    Examples
    --------
    >>> even = AllowOnly(lambda prompt, written: [0, 2])
    >>> even(torch.zeros(1, 3), [[1]], [[]])
    tensor([[0., -inf, 0.]])
    """

    function: Callable[[Sequence[int], Sequence[int]], Iterable[int]]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function must be a function of ids, got {self.function!r}")

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows, written: Rows
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits, of which those that are not allowed are minus infinity."""
        _require_logits(logits)
        _require_rows(prompts, logits, "prompts")
        _require_rows(written, logits, "written")
        name = "the ids that function returns"
        pasts = zip(prompts, written, strict=True)
        allowed = [_require_iterable(self.function(*past), name) for past in pasts]
        return logits.masked_fill(~_mask_of(allowed, logits, name), -math.inf)


class Constraint:
    r"""Allow only tokens with which a text of a pattern can go on.

    Whatever the logits are, the text that is written belongs to the pattern in the end. A row ends
    by itself as soon as nothing can follow.

    Parameters
    ----------
    pattern : Pattern
        Such as `json_pattern` makes of a form.
    tokenizer : Tokenizer
        Whose tokens spell texts: `BPE`, `Characters` or `Words`.
    most : int, optional
        How many tokens may be written. Where few are left, only what leads to an end in time is
        allowed. By default so many as the longest text has bytes.
    end_id : int, optional
        A token that may follow wherever the text may end; it ends the row.

    Raises
    ------
    ValueError
        If the tokenizer cannot write any text of the pattern, or none of at most ``most`` tokens;
        if it can write the empty text alone, and there is no ``end_id`` to end it; if ``end_id`` is
        a token that spells a text. In use: if the vocabulary of the logits lacks a token.
    TypeError
        If an argument is of another kind, or the tokenizer joins tokens in another way.

    Examples
    --------
    >>> from companion.generation import either, literal
    >>> from companion.tokenizers import Characters
    >>> answer = Constraint(either(literal("no"), literal("yes")), Characters("enosy"))
    >>> answer(torch.zeros(1, 5), [[0]], [[]])  # n or y
    tensor([[-inf, 0., -inf, -inf, 0.]])
    >>> answer.complete([1, 2])
    True
    """

    def __init__(
        self,
        pattern: Pattern,
        tokenizer: Tokenizer,
        *,
        most: int | None = None,
        end_id: int | None = None,
    ) -> None:
        _require_patterns([pattern])
        _require_tokenizer(tokenizer)
        self.end_id = None if end_id is None else _require_int("end_id", end_id, least=0)
        self.spellings = _spellings(tokenizer)
        self._require_end_of_its_own()
        self.vocab_size, self.tree = tokenizer.vocab_size, _tree(self.spellings)
        self._nexts: dict[Pattern, Next] = {}
        self._distances: dict[Pattern, int] = {}
        self._masks: dict[tuple[Any, ...], Tensor] = {}
        # Every text of bytes that have tokens of their own can go on, wherever it is cut.
        self.has_bytes = isinstance(tokenizer, BPE)
        single = frozenset(text[0] for text in self.spellings.values() if len(text) == 1)
        self.pattern = _restricted(pattern, single) if self.has_bytes else pattern
        fewest = NEVER if self.pattern is NOTHING else self._fewest(self.pattern)
        if fewest >= NEVER:
            raise ValueError("pattern must have a text that the tokenizer can write, and has none")
        self._require_something(fewest)
        default = longest(self.pattern) + (end_id is not None)
        self.most = _require_int("most", default if most is None else most, least=max(1, fewest))

    def __repr__(self) -> str:
        return f"Constraint(most={self.most})"

    def check(self, vocab_size: int) -> None:
        """Refuse a model that does not know all of the tokens."""
        if self.vocab_size > vocab_size:
            raise ValueError(
                f"the model must know all {self.vocab_size} tokens of the constraint's tokenizer, "
                f"and knows {vocab_size}"
            )
        if self.end_id is not None:
            _require_int("end_id", self.end_id, most=vocab_size - 1)

    def _require_end_of_its_own(self) -> None:
        """Refuse an end that could as well be a part of the text."""
        if self.end_id in self.spellings:
            raise ValueError(
                "end_id must be a token that stands for no text, such as a special one, got "
                f"{self.end_id}, which spells {self.spellings[self.end_id]!r}"
            )

    def _require_something(self, fewest: int) -> None:
        """Refuse a pattern of which only the empty text can be written, by no token at all."""
        if fewest > 0 or self.end_id is not None:
            return
        if not (longest(self.pattern) if self.has_bytes else self._allowed(self.pattern, NEVER)):
            raise ValueError(
                "pattern must have a text of at least one token, and the tokenizer can write "
                "nothing but the empty text; with end_id a token would say that it ends"
            )

    def check_length(self, room: int) -> None:
        """Refuse to write fewer tokens than a text may need."""
        if room < self.most:
            raise ValueError(
                f"there must be room for {self.most} new tokens, so that no text is cut off, and "
                f"there is for {room}; Constraint(..., most={room}) writes shorter texts"
            )

    def complete(self, written: Sequence[int]) -> bool:
        """Tell whether nothing can follow what has been written."""
        ended = self.end_id is not None and len(written) > 0 and written[-1] == self.end_id
        return ended or len(written) >= self.most or self._state(written) is END

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows, written: Rows
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits, of which those that are not allowed are minus infinity."""
        _require_logits(logits)
        _require_rows(written, logits, "written")
        self.check(logits.shape[-1])
        masks = [self._mask(self._state(row), self.most - len(row), logits[0]) for row in written]
        allowed = torch.stack(masks)
        # A row for which everything allowed was impossible before gets all of it, equally likely.
        hopeless = (logits == -math.inf).logical_or(~allowed).all(dim=-1, keepdim=True)
        return logits.masked_fill(hopeless, 0.0).masked_fill(~allowed, -math.inf)

    def _state(self, written: Sequence[int]) -> Pattern:
        """Return what may follow; after a token that is none of the pattern's, nothing."""
        text = b"".join(self.spellings.get(i, b"") for i in written)
        return derivative(self.pattern, text)

    def _mask(self, state: Pattern, left: int, like: Tensor) -> Bool[Tensor, " vocab"]:
        """Return which tokens are allowed if so many may still be written."""
        left = min(left, longest(state))  # with more left, all texts come to their end
        key = (state, left, len(like), like.device)
        if key not in self._masks:
            ids = self._allowed(state, left)
            self._masks[key] = _mask_of([ids], like[None], "the tokens of pattern")[0]
        return self._masks[key]

    def _allowed(self, state: Pattern, left: int) -> list[int]:
        """Return the tokens after which a text can end in time."""
        after = self._next(state).items()
        found = [i for pattern, ids in after if self._fewest(pattern) < left for i in ids]
        return [*found, self.end_id] if self.end_id is not None and is_complete(state) else found

    def _next(self, state: Pattern) -> Next:
        """Return the tokens that may come, by the pattern of what may come after each of them."""
        if state in self._nexts:
            return self._nexts[state]
        found: Next = {}
        stack = [(self.tree, state)]
        while stack:
            node, now = stack.pop()
            if now is not state and HERE in node:
                found.setdefault(now, []).extend(node[HERE])
            for byte, child in node.items():
                if byte != HERE and (after := _derivative(now, byte)) is not NOTHING:
                    stack.append((child, after))
        if not self.has_bytes:  # a vocabulary of bytes is large, and its masks are kept anyway
            self._nexts[state] = found
        return found

    def _fewest(self, state: Pattern) -> int:
        """Return how many tokens lead to an end at least, or as many as will do."""
        if self.has_bytes:
            return _shortest(state)
        stack = [state]
        while stack:
            top = stack[-1]
            unknown = [] if is_complete(top) else [*(self._next(top).keys() - self._distances)]
            if not unknown:
                stack.pop()
                self._distances[top] = self._distance(top)
            stack += unknown
        return self._distances[state]

    def _distance(self, state: Pattern) -> int:
        if is_complete(state):
            return 0
        return 1 + min((self._distances[after] for after in self._next(state)), default=NEVER)


def _tree(spellings: Mapping[int, bytes]) -> dict[int, Any]:
    """Return the tokens by their bytes: for each byte what follows, and at `HERE` who ends."""
    tree: dict[int, Any] = {}
    for i, text in spellings.items():
        node = tree
        for byte in text:
            node = node.setdefault(byte, {})
        node.setdefault(HERE, []).append(i)
    return tree
