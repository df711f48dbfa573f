"""Cut code down to what a chapter speaks of: no long docstrings, no checks of arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["shorten_docstrings", "without_argument_checks"]

VALIDATORS = ("_check_", "_require_")  # how functions that only check are called in the package
REFUSALS = ("ValueError", "TypeError")


# -- checks of arguments -------------------------------------------------------------------------


def without_argument_checks(code: str) -> str:
    """Leave out what functions do only to refuse bad arguments.

    That is, in the body of each function: an ``if`` that does nothing but raise `ValueError` or
    `TypeError`, a call of a validator (``_check_…``, ``_require_…``) whose result is not used, and
    a loop or a condition around nothing else; each with the comment above it. A function that
    does nothing besides stays whole.

    Parameters
    ----------
    code : str

    Returns
    -------
    str
    """
    lines = code.splitlines()
    for check in sorted(_argument_checks(code), key=lambda check: -check.lineno):
        first, after = check.lineno - 1, check.end_lineno
        while lines[first - 1].lstrip().startswith("#"):
            first -= 1
        del lines[first:after]
    return "\n".join(lines)


def _argument_checks(code: str) -> Iterator[ast.stmt]:
    for function in ast.walk(ast.parse(code)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = function.body[1:] if ast.get_docstring(function) else function.body
            checks = [statement for statement in body if _only_checks(statement)]
            if len(checks) < len(body):
                yield from checks


def _only_checks(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        return not statement.orelse and all(
            _refuses(inner) or _only_checks(inner) for inner in statement.body
        )
    if isinstance(statement, ast.For):
        return not statement.orelse and all(map(_only_checks, statement.body))
    return isinstance(statement, ast.Expr) and _called(statement.value).startswith(VALIDATORS)


def _refuses(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Raise) and _called(statement.exc) in REFUSALS


def _called(expression: ast.expr | None) -> str:
    """Return the name of the function or method that is called, if it is a call."""
    function = expression.func if isinstance(expression, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


# -- docstrings ----------------------------------------------------------------------------------


def shorten_docstrings(code: str) -> str:
    """Cut every docstring down to its first line, leaving all other lines as they are.

    Parameters
    ----------
    code : str

    Returns
    -------
    str
    """
    lines = code.splitlines()
    for node in sorted(_docstrings(code), key=lambda node: -node.lineno):
        if node.end_lineno is None or node.end_lineno == node.lineno:
            continue
        opening = lines[node.lineno - 1].rstrip()
        quotes = '"""' if '"""' in opening else "'''"
        end = node.end_lineno
        while end < len(lines) and not lines[end].strip() and not _ends_block(lines, end):
            end += 1
        lines[node.lineno - 1 : end] = [opening + quotes]
    return "\n".join(lines)


def _ends_block(lines: list[str], index: int) -> bool:
    """Tell whether the blank line at `index` separates definitions, so that it should stay."""
    following = next((line.strip() for line in lines[index:] if line.strip()), "")
    return following.startswith(("def ", "class ", "@"))


def _docstrings(code: str) -> list[ast.expr]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            statement = node.body[0]
            assert isinstance(statement, ast.Expr)
            found.append(statement.value)
    return found
