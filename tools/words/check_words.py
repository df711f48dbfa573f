"""What checks have printed, in another language: `tools.words.code_words` says how they are called.

A line such as ``✓ two heads know: 0.99, at least 0.90`` is a name from the code and what
`companion.notebook.measured` says of the value. The first has its message beside the code's
comments; the second is put into the few templates here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tools.book.phrases import N_
from tools.words.code_words import MARKS, Piece

Say = Callable[[str], str]

# Each is tried against the whole of what is said of a value, and then against {found} in it.
OUTCOMES = [
    N_("{found}, at least {bound}"),
    N_("{found}, at most {bound}"),
    N_("{found}, between {low} and {high}"),
    N_("{found}, within {tolerance} of {expected}"),
    N_("{found}, as expected within {tolerance}"),
    N_("{found}, as expected"),
    N_("fails, as it should"),
]
ARRAYS = [
    N_("{size} entries, largest difference {difference}"),
    N_("{size} entries, smallest {smallest}"),
    N_("{size} entries, largest {largest}"),
    N_("{size} entries, from {smallest} to {largest}"),
    N_("{size} entries"),
]
NAMED = N_("{name}: {outcome}")
FIELD = re.compile(r"\{(\w+)\}")
FORMS = {"found": ".+", "size": r"\d+(?: x \d+)*"}  # all else has no blanks


@dataclass(frozen=True)
class Name:
    """What a check is called in the code, and how the page says it."""

    pattern: re.Pattern
    parts: list[str]  # text, and between every two of them a part that is filled in
    order: list[int]  # which of the groups of the pattern fill the parts


def translated(text: str, pieces: Iterable[Piece], said: Say, say: Say) -> str:
    """Return what a cell has printed, the lines of checks in another language.

    Parameters
    ----------
    text : str
        What was printed.
    pieces : iterable of Piece
        The messages of the page's code.
    said, say : callable
        What the page's catalog, and what the book's own, have for a message.
    """
    known = names(pieces, said)
    return "\n".join(_line(line, known, say) for line in text.split("\n"))


def names(pieces: Iterable[Piece], said: Say) -> list[Name]:
    """Return how checks are called: the longest names first, and those with parts at the end."""
    found = {piece.words: piece for piece in pieces if piece.is_name}.values()
    in_order = sorted(found, key=lambda piece: (piece.is_template, -len(piece.words)))
    return [_name(piece, said(piece.words)) for piece in in_order]


def _name(piece: Piece, said: str) -> Name:
    texts, fields = _parts(piece.words, piece.is_template)
    into, wanted = _parts(said, piece.is_template)
    if sorted(wanted) != sorted(fields):
        into, wanted = texts, fields
    pattern = "(.*?)".join(map(re.escape, texts))
    return Name(re.compile(pattern), into, [fields.index(field) for field in wanted])


def _parts(words: str, is_template: bool) -> tuple[list[str], list[str]]:
    """Return the texts of a message, and the parts between every two of them."""
    if not is_template:
        return [words], []
    quote = next(q for q in ('"""', "'''") if q[0] != words[-1:] and q not in words)
    values = vars(ast.parse(f"f{quote}{words}{quote}", mode="eval").body)["values"]
    texts, fields = [""], []
    for value in values:
        if isinstance(value, ast.Constant):
            texts[-1] += str(value.value)
        else:
            fields.append(ast.dump(value))
            texts.append("")
    return texts, fields


def _line(line: str, known: list[Name], say: Say) -> str:
    if not line.startswith(MARKS):
        return line
    whole = _said(line, known)  # printed by the page's own code
    if whole is not None:
        return whole
    mark, rest = line[:2], line[2:]
    matches = [_with_outcome(name, rest) for name in known]
    found = [(name, match) for name, match in zip(known, matches, strict=True) if match]
    if found:  # the name that leaves least: "pre-norm: its gradient: 2" is not of "pre-norm"
        name, match = min(found, key=lambda each: len(each[1]["outcome"] or ""))
        return _put(mark, _fill(name, match, known), match["outcome"], say)
    text, colon, outcome = rest.rpartition(": ")
    return _put(mark, text, outcome, say) if colon and _outcome(outcome, say) != outcome else line


def _with_outcome(name: Name, text: str) -> re.Match | None:
    return re.fullmatch(f"(?s:{name.pattern.pattern})(?:: (?P<outcome>.+))?", text)


def _put(mark: str, name: str, outcome: str | None, say: Say) -> str:
    if outcome is None:
        return mark + name
    return mark + say(NAMED).format(name=name, outcome=_outcome(outcome, say))


def _said(text: str, known: list[Name]) -> str | None:
    for name in known:
        match = name.pattern.fullmatch(text)
        if match:
            return _fill(name, match, known)
    return None


def _fill(name: Name, match: re.Match, known: list[Name]) -> str:
    """Return a name with its parts filled in; a part may be a name itself."""
    groups = [match[1 + place] for place in name.order]
    filled = [group if (said := _said(group, known)) is None else said for group in groups]
    return "".join(text + part for text, part in zip(name.parts, [*filled, ""], strict=True))


def _outcome(text: str, say: Say) -> str:
    return _form(text, OUTCOMES, say, lambda found: _form(found, ARRAYS, say, str))


def _form(text: str, templates: list[str], say: Say, inside: Say) -> str:
    for template in templates:
        match = re.fullmatch(_as_pattern(template), text)
        if match:
            fields = match.groupdict()
            if "found" in fields:
                fields["found"] = inside(fields["found"])
            return say(template).format(**fields)
    return text


def _as_pattern(template: str) -> str:
    pieces = FIELD.split(template)
    return "".join(
        f"(?P<{piece}>{FORMS.get(piece, r'[^ ]+')})" if place % 2 else re.escape(piece)
        for place, piece in enumerate(pieces)
    )
