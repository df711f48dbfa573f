"""Code that stands alone: functions of a master, with what they need and with nothing else."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

__all__ = ["MACHINERY", "gather", "bare"]

MASTERS = "exercises"  # code from here is copied; everything else is imported
MACHINERY = "companion.notebook._assignments"  # what checks share, where nothing is imported


class _Gatherer:
    """Collects definitions, each after what it needs."""

    def __init__(self, copied: tuple[str, ...]) -> None:
        self.copied = copied
        self.imports: dict[str, None] = {}
        self.definitions: dict[tuple[str, str], str] = {}
        self._open: set[tuple[str, str]] = set()

    def add(self, module: ModuleType, name: str) -> None:
        """Add what `name` stands for in a module, if the module says so."""
        key = (module.__name__, name)
        if key in self._open or key in self.definitions:
            return
        self._open.add(key)
        source, statements = _read(module)
        for node in statements:
            if name in _names_bound(node):
                self._add_statement(module, node, name, source)
        self._open.discard(key)

    def _add_statement(self, module: ModuleType, node: ast.stmt, name: str, source: str) -> None:
        if isinstance(node, ast.ImportFrom) and self._is_copied(node.module):
            origin = importlib.import_module(str(node.module))
            imported = next(a for a in node.names if (a.asname or a.name) == name)
            if imported.asname:
                raise ValueError(f"{module.__name__} must import {imported.name} under its name")
            self.add(origin, imported.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            one = next(a for a in node.names if (a.asname or a.name.split(".")[0]) == name)
            prefix = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
            self.imports[f"{prefix}import {ast.unparse(one)}"] = None
        else:
            for needed in _names_used(node):
                self.add(module, needed)
            code = "\n".join(source.split("\n")[_first_line(node) - 1 : node.end_lineno])
            self.definitions[module.__name__, name] = code

    def _is_copied(self, module: str | None) -> bool:
        return any(f"{module}.".startswith(f"{each}.") for each in self.copied)


@cache
def _read(module: ModuleType) -> tuple[str, list[ast.stmt]]:
    """Return a module's source and its statements."""
    source = inspect.getsource(module)
    return source, ast.parse(source).body


def gather(functions: Iterable[Callable[..., Any]], *more: str) -> str:
    """Return the source of functions with all that they need of their modules.

    What they import from the masters is copied, too, as is what they import from the modules
    named in `more`; what they import from elsewhere is imported.
    """
    gathered = _Gatherer((MASTERS, *more))
    for function in functions:
        gathered.add(sys.modules[function.__module__], function.__name__)
    names = [name for _, name in gathered.definitions]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two modules define {', '.join(sorted(twice))}: one must be renamed")
    imports = [line for line in gathered.imports if "__future__" not in line]
    plain = sorted(line for line in imports if line.startswith("import"))
    froms = sorted(line for line in imports if line.startswith("from"))
    header = "\n".join([*plain, *froms])
    return "\n\n\n".join(part for part in (header, *gathered.definitions.values()) if part) + "\n"


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _names_bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {a.asname or a.name.split(".")[0] for a in node.names}
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}


def _names_used(node: ast.stmt) -> list[str]:
    """Return the names that a statement reads, in order of appearance."""
    read = [n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return list(dict.fromkeys(n.id for n in read))


# -- without words -------------------------------------------------------------------------------

BLANK = re.compile(r"\n(\s*\n)+")


def bare(code: str) -> str:
    """Return code without its comments and docstrings, which are in English."""
    written = code.split("\n")
    lines: list[str | None] = [*written]
    for row, column in _comments(code):
        lines[row - 1] = written[row - 1][:column].rstrip() or None
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            first, last = node.body[0].lineno, node.body[0].end_lineno or 0
            if len(node.body) > 1 and first > node.lineno:
                lines[first - 1 : last] = [None] * (last - first + 1)
    return BLANK.sub("\n\n", "\n".join(line for line in lines if line is not None))


def _comments(code: str) -> Iterator[tuple[int, int]]:
    """Yield where comments begin."""
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            yield token.start
