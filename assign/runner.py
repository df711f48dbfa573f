"""What runs a check on an answer: in the book's tests, for a student and for a grader.

The functions are copied into students' notebooks and into otter's test files (`sources`), so
that neither depends on which version of the package is installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["unwritten", "unwritten_function", "needs", "demand", "report"]


def unwritten(value: Any) -> bool:
    """Tell whether a value is still what the starter put there: ``...``, somewhere in it."""
    if isinstance(value, dict):
        return any(unwritten(part) for part in value.values())
    if isinstance(value, (list, tuple)):
        return any(part is ... for part in value)
    if inspect.isfunction(value):
        code, blank = value.__code__, unwritten_function.__code__
        said = [c for c in code.co_consts if c is None or c != value.__doc__]
        return code.co_code[::2] == blank.co_code[::2] and said == [None]
    return value is ...


def unwritten_function() -> None:
    """Do nothing, as a function does whose body is ``...``."""


def needs(function: Callable[..., None]) -> list[str]:
    """Return the names that an answer must define for a check."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]


def demand(
    function: Callable[..., None], given: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    """Run a check; raise ``AssertionError`` with a message for the student if it fails."""
    names = needs(function)
    missing = [name for name in names if unwritten(answer.get(name, ...))]
    if missing:
        raise AssertionError(
            f"The answer must define {', '.join(missing)}, and leave no ... in place of an answer."
        )
    try:
        function(**{name: answer[name] for name in names}, **given)
    except AssertionError as error:
        raise AssertionError(str(error) or "An assert in the answer itself fails.") from error
    except (Exception, SystemExit) as error:
        raise AssertionError(
            f"The answer could not be used: {type(error).__name__}: {error}"
        ) from error


def report(
    checks: list[tuple[str, Callable[..., None], dict[str, Any]]], answer: Mapping[str, Any]
) -> None:
    """Print for each check whether the answer passes it, and if it does not, why."""
    failed = 0
    for what, function, given in checks:
        try:
            demand(function, given, answer)
        except AssertionError as error:
            failed += 1
            print(f"✗ {what}\n  {error}")
        else:
            print(f"✓ {what}")
    if not failed:
        print("These checks pass. Others follow when your work is graded.")
