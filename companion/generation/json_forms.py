r"""Forms of JSON: which keys an object has, and what may stand under each.

This file adds: ``String``, ``Integer``, ``Boolean``, ``Choice``, ``ListOf`` and ``Object``, and
``json_pattern``, which makes of a form the pattern of all texts that have it (RFC 8259), as
``json.dumps`` writes them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from companion._arguments import _require_flag, _require_int, _require_ordered, _require_text
from companion.generation.patterns import Pattern, either, literal, one_of, repeat, then

__all__ = ["String", "Integer", "Boolean", "Choice", "ListOf", "Object", "json_pattern"]


@dataclass(frozen=True)
class String:
    r"""A string of at most so many characters.

    Any character may stand in it but those from U+0000 to U+001F and U+007F; a quotation mark, a
    backslash and a line break stand in their escaped form.

    Parameters
    ----------
    most : int
    least : int

    Raises
    ------
    ValueError
        If ``least`` is negative, or above ``most``.
    """

    most: int = 40
    least: int = 0

    def __post_init__(self) -> None:
        _require_int("least", self.least, least=0)
        _require_int("most", self.most, least=self.least)


@dataclass(frozen=True)
class Integer:
    r"""A whole number of at most so many digits.

    Parameters
    ----------
    digits : int
    negative : bool
        Whether it may be below 0.

    Raises
    ------
    ValueError
        If ``digits`` is below 1.
    """

    digits: int = 9
    negative: bool = True

    def __post_init__(self) -> None:
        _require_int("digits", self.digits, least=1)
        _require_flag("negative", self.negative)


@dataclass(frozen=True)
class Boolean:
    """The words true and false."""


@dataclass(frozen=True)
class Choice:
    r"""One of several values.

    Parameters
    ----------
    values : list
        Strings, numbers, None: whatever ``json.dumps`` writes.

    Raises
    ------
    ValueError
        If there is none.
    """

    values: tuple[Any, ...]

    def __init__(self, values: Iterable[Any]) -> None:
        _require_not_text("values", values)
        object.__setattr__(self, "values", tuple(_require_ordered(values, "values")))
        if not self.values:
            raise ValueError("values must hold at least one value, got none")


@dataclass(frozen=True)
class ListOf:
    r"""A list of values of one form.

    Parameters
    ----------
    item : form
    most, least : int
        How many.

    Raises
    ------
    ValueError
        If ``least`` is negative, or above ``most``.
    """

    item: Any
    most: int = 5
    least: int = 0

    def __post_init__(self) -> None:
        _require_int("least", self.least, least=0)
        _require_int("most", self.most, least=self.least)


@dataclass(frozen=True)
class Object:
    r"""An object with these keys, in this order.

    Parameters
    ----------
    fields : dict
        The form of what stands under each key; a dict in it is an object, too.

    Raises
    ------
    TypeError
        If ``fields`` is no dict, or a key no text.
    """

    fields: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.fields, Mapping):
            raise TypeError(f"fields must be a dict of forms, got {self.fields!r}")
        for key in self.fields:
            _require_text(key, "each key")


def json_pattern(form: Any) -> Pattern:
    r"""Return the pattern of all texts that are JSON of a form.

    Parameters
    ----------
    form : String, Integer, Boolean, Choice, ListOf, Object or dict
        A dict is an object with these keys, in this order.

    Returns
    -------
    Pattern

    Raises
    ------
    TypeError
        If it is no form.

    Examples
    --------
    >>> from companion.generation import derivative, is_complete
    >>> pattern = json_pattern({"name": String(10), "age": Integer(2)})
    >>> is_complete(derivative(pattern, b'{"name": "Ann", "age": 7}'))
    True
    """
    if isinstance(form, Mapping):
        form = Object(form)
    if type(form) not in WRITTEN:
        raise TypeError(
            f"form must be String, Integer, Boolean, Choice, ListOf, Object or a dict, got {form!r}"
        )
    return WRITTEN[type(form)](form)


def _string(form: String) -> Pattern:
    quote = literal('"')
    return then(quote, repeat(CHARACTER, form.least, form.most), quote)


def _integer(form: Integer) -> Pattern:
    digits = then(one_of(b"123456789"), repeat(one_of(b"0123456789"), 0, form.digits - 1))
    number = either(literal("0"), digits)
    return then(repeat(literal("-"), 0, 1), number) if form.negative else number


def _boolean(form: Boolean) -> Pattern:
    return either(literal("true"), literal("false"))


def _choice(form: Choice) -> Pattern:
    return either(*(_literal(value) for value in form.values))


def _list(form: ListOf) -> Pattern:
    item = json_pattern(form.item)
    if form.most == 0:
        return literal("[]")
    more = repeat(then(literal(", "), item), max(form.least - 1, 0), form.most - 1)
    filled = then(literal("["), item, more, literal("]"))
    return filled if form.least else either(filled, literal("[]"))


def _object(form: Object) -> Pattern:
    parts = [literal("{")]
    for i, (key, value) in enumerate(form.fields.items()):
        parts += [literal(", ")] if i else []
        parts += [_literal(key), literal(": "), json_pattern(value)]
    return then(*parts, literal("}"))


def _literal(value: Any) -> Pattern:
    """Return the text of one value."""
    return literal(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _require_not_text(name: str, values: Any) -> None:
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{name} must be a list, got one text: {values!r}")


def _character() -> Pattern:
    """Return what may stand for one character in a string (RFC 8259, section 7; RFC 3629)."""

    def span(first: int, last: int) -> Pattern:
        return one_of(range(first, last + 1))

    follows = span(0x80, 0xBF)
    plain = one_of(byte for byte in range(0x20, 0x80) if byte not in b'"\\\x7f')
    return either(
        plain,
        then(one_of(b"\\"), one_of(b'"\\/bfnrt')),
        then(span(0xC2, 0xDF), follows),
        then(span(0xE0, 0xE0), span(0xA0, 0xBF), follows),
        then(either(span(0xE1, 0xEC), span(0xEE, 0xEF)), follows, follows),
        then(span(0xED, 0xED), span(0x80, 0x9F), follows),  # no half of a surrogate pair
        then(span(0xF0, 0xF0), span(0x90, 0xBF), follows, follows),
        then(span(0xF1, 0xF3), follows, follows, follows),
        then(span(0xF4, 0xF4), span(0x80, 0x8F), follows, follows),
    )


CHARACTER = _character()
WRITTEN: dict[type, Any] = {
    String: _string,
    Integer: _integer,
    Boolean: _boolean,
    Choice: _choice,
    ListOf: _list,
    Object: _object,
}
