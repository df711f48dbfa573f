r"""When a row has ended, and why.

A row ends with a stop token, with a stop string in its text, when a condition holds, when a
constraint is complete, or when it has as many tokens as it may have. Each row ends by itself.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from companion._arguments import _require_int, _require_ordered
from companion.generation.pieces import Detokenizer, _first_of, _require_tokenizer
from companion.tokenizers import Tokenizer

__all__ = ["Stop", "Stops"]

#: A token, a string, or a function of the ids that a row has written; or several of them.
Stop = int | str | Callable[[list[int]], bool]
Stops = Stop | Iterable[Stop]


class _Ends:
    """The conditions under which rows end."""

    def __init__(
        self, stop: Stops, tokenizer: Tokenizer | None, samplers: Iterable[Any], vocab: int | None
    ) -> None:
        self.ids: set[int] = set()
        self.strings: list[str] = []
        self.conditions: list[Callable[[list[int]], bool]] = []
        self.complete = [s.complete for s in samplers if hasattr(s, "complete")]
        for each in _listed(stop):
            self._add(each, vocab)
        if tokenizer is not None:
            _require_tokenizer(tokenizer)
        elif self.strings:
            raise ValueError(f"stop holds the text {self.strings[0]!r}, so a tokenizer is needed")
        self.tokenizer = tokenizer

    def _add(self, stop: Stop, vocab: int | None) -> None:
        if isinstance(stop, str):
            if not stop:
                raise ValueError("a string in stop must not be empty")
            self.strings.append(stop)
        elif callable(stop):
            self.conditions.append(stop)
        else:
            most = None if vocab is None else vocab - 1
            self.ids.add(_require_int("a token in stop", stop, least=0, most=most))

    def check(self, vocab: int) -> None:
        """Refuse tokens that a model of so many cannot write; of a function that is known late."""
        for index in self.ids:
            _require_int("a token in stop", index, most=vocab - 1)

    def texts(self, n: int) -> list["_Text"] | None:
        """Return an empty text for each row, if there is a tokenizer."""
        return None if self.tokenizer is None else [self.text() for _ in range(n)]

    def text(self) -> "_Text":
        assert self.tokenizer is not None
        return _Text(Detokenizer(self.tokenizer), self.strings)

    def reason(self, written: list[int], text: "_Text | None") -> str | None:
        """Return why a row ends with its last token; None if it goes on."""
        if written[-1] in self.ids:
            return "stop_id"
        if text is not None and text.push(written[-1]):
            return "stop_string"
        if any(condition(written) for condition in self.conditions):
            return "condition"
        if any(complete(written) for complete in self.complete):
            return "complete"
        return None


def _listed(stop: Stops) -> list[Stop]:
    single = isinstance(stop, (int, str)) or callable(stop)
    return [stop] if single else list(_require_ordered(stop, "stop"))  # type: ignore[list-item]


def _require_no_text(stop: Stops) -> None:
    """Refuse a text where only ids are read."""
    if texts := [each for each in _listed(stop) if isinstance(each, str)]:
        raise TypeError(f"stop must hold tokens and functions of ids here, got {texts[0]!r}")


class _Text:
    """What a row says so far, without the string that ends it."""

    def __init__(self, detokenizer: Detokenizer, strings: Sequence[str]) -> None:
        self.detokenizer, self.strings = detokenizer, strings
        self.longest = max(map(len, strings), default=1)
        self.cut: int | None = None

    def push(self, index: int) -> bool:
        """Add a token, and tell whether a stop string is in the text now."""
        before = len(self.detokenizer.text)
        self.detokenizer.push(index)
        start = max(0, before - self.longest + 1)
        self.cut = _first_of(self.detokenizer.text, self.strings, start)
        return self.cut is not None

    def __str__(self) -> str:
        return self.detokenizer.text[: self.cut]
