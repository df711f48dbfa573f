"""Texts of exercises: templates in MyST Markdown, cut into messages that are translated.

A template names what a variant fills in, as in ``The values are ${{values}}$``. It is cut into
messages *before* it is filled, so that a message is the same whatever the seed. A message is what
Sphinx takes for one, too: a line of text, without the marker of its list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["fields", "fill", "messages", "translate"]

FIELD = re.compile(r"\{\{(\w+)\}\}")
LINE = re.compile(r"(?P<marker>\s*(?:[-*+]\s+|\d+[.)]\s+)?)(?P<message>.*)")
FENCE = re.compile(r"\s*(```|\$\$)")

Translate = Callable[[str], str]


def fields(template: str) -> set[str]:
    """Return the names of what is to be filled in."""
    return set(FIELD.findall(template))


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Put the values of a variant in their places."""
    if missing := fields(template) - set(values):
        raise ValueError(f"values must hold {', '.join(sorted(missing))}: {template!r} names it")
    return FIELD.sub(lambda match: str(values[match[1]]), template)


def messages(template: str) -> list[str]:
    """Return the messages of a text, in order."""
    return [message for _, message in _lines(template) if message]


def translate(template: str, into: Translate) -> str:
    """Return the template with each message translated; code and formulas stay as they are."""
    return "\n".join(
        before + (into(message) if message else "") for before, message in _lines(template)
    )


def _lines(template: str) -> Iterator[tuple[str, str]]:
    """Yield what stands before each line's message, and the message; code has none."""
    inside = False
    for line in template.split("\n"):
        fence = bool(FENCE.match(line))
        match = LINE.fullmatch(line)
        if fence or inside or match is None:
            yield line, ""
        else:
            yield match["marker"], match["message"]
        inside ^= fence and line.count("$$") != 2
