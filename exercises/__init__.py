"""The exercises' masters: one folder a chapter, whose ``MASTERS`` stand in the order of the page.

A master is the only place where an exercise is written. The page gets its question, its hint and,
where it is public, its solution (``tools/chapters/exercises.py``); assignments are drawn from it
(``python -m assign``); the tests see to it that the solution passes every check and that each wrong
answer fails one.

A master has two functions. ``exercise(**arguments)`` returns the exercise with these numbers and
seeds; without arguments, it is the one on the page. ``draw(random)`` draws other arguments. An
answer is Python code in every case: what is found by hand is handed in as ``weights = [...]``.
"""

from __future__ import annotations

import importlib

from assign.masters import CODE, KINDS, TEXTS, Check, Exercise, Master, run

__all__ = ["CODE", "KINDS", "TEXTS", "Check", "Exercise", "Master", "masters", "run"]


def masters(package: str, *names: str) -> list[Master]:
    """Return the masters of a chapter, whose modules are named in the order of the page."""
    modules = (importlib.import_module(f"{package}.{name}") for name in names)
    return [Master(module.exercise, module.draw) for module in modules]
