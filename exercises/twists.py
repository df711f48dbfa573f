"""Variants that differ in structure: other axes, another meaning of a mask, one more output.

A twist of a coded exercise says what is asked for otherwise than on the page. Its code stands
around an answer to the page's question, right or wrong: ``before`` makes the page's arguments of
those that are given, ``after`` makes what is asked for of the page's ``result``. A check does the
opposite (each master has a function ``plain`` for that), so that it compares what the page asks
for. A solution from the page fails wherever there is a twist.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent, indent

__all__ = ["Twist", "drawn", "asked", "wrapped", "begun"]


@dataclass(frozen=True)
class Twist:
    """What is otherwise than on the page."""

    says: str  # a paragraph of the question
    code: Mapping[str, tuple[str, str]]  # for each function, what comes before and after
    starter: Mapping[str, str] = field(default_factory=dict)  # what is written otherwise there


def drawn(rng: random.Random, names: Iterable[str]) -> tuple[str, ...]:
    """Draw some of the twists; none at all, which is the page's question, hardly ever."""
    names = list(names)
    for _ in range(2):
        if chosen := tuple(name for name in names if rng.random() < 0.5):
            return chosen
    return ()


def asked(question: str, twists: Iterable[Twist]) -> str:
    """Return a question with what its twists say."""
    return "\n\n".join([question.strip(), *(twist.says for twist in twists)])


def begun(starter: str, twists: Iterable[Twist]) -> str:
    """Return the code to begin with."""
    for twist in twists:
        for old, new in twist.starter.items():
            assert old in starter, old
            starter = starter.replace(old, new)
    return starter


def wrapped(code: str, calls: Mapping[str, str], twists: Iterable[Twist]) -> str:
    """Return an answer to the page's question as an answer to the twisted one.

    Parameters
    ----------
    code : str
        Defines functions.
    calls : dict
        For each function, its parameters, such as ``"x, n_heads"``.
    twists : iterable of Twist
        The first one stands outermost: one more output before another order of axes.
    """
    twists, code = list(twists), dedent(code).strip()
    changed = [name for name in calls if any(name in twist.code for twist in twists)]
    for name in changed:
        code = re.sub(rf"\b{name}\b", f"plain_{name}", code)
    return "\n\n".join([code, *(_around(name, calls[name], twists) for name in changed)])


def _around(name: str, parameters: str, twists: list[Twist]) -> str:
    own = [twist.code[name] for twist in twists if name in twist.code]
    before = [dedent(first).strip() for first, _ in own if first.strip()]
    after = [dedent(last).strip() for _, last in reversed(own) if last.strip()]
    body = [*before, f"result = plain_{name}({parameters})", *after, "return result"]
    return f"def {name}({parameters}):\n" + indent("\n".join(body), "    ")
