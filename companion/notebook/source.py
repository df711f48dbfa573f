"""Show the source of a thing where the text speaks of it, with a link to the file."""

from __future__ import annotations

import ast
import inspect
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["show"]

DISTRIBUTION = "large-models-companion"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def show(object: Any, *, link: bool = True, docstring: bool = False) -> None:
    r"""Display the source of a function, method, class or module, highlighted.

    Parameters
    ----------
    object : function, method, class or module
        What to show; decorated functions are unwrapped first.
    link : bool, default=True
        Whether to add a link to the lines in the repository.
    docstring : bool, default=False
        Whether to show docstrings in full. Otherwise only their first line is kept.

    Raises
    ------
    TypeError
        If `object` has no Python source.
    """
    from IPython.display import display

    code, first, last = _source(object)
    shown = code if docstring else _shorten_docstrings(code)
    heading = f"`{_name(object)}`"
    address = _address(object, first, last) if link else None
    if address:
        heading += f" · [source, lines {first} to {last}]({address})"
    markdown = f"{heading}\n\n```python\n{shown}\n```"
    display({"text/markdown": markdown, "text/plain": shown}, raw=True)


def repository_address() -> str | None:
    """Return the address of the book's repository, as the installed package states it."""
    try:
        urls = metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return None
    pairs = (url.split(",", 1) for url in urls)
    return next((address.strip() for label, address in pairs if label == "Repository"), None)


def _unwrap(object: Any) -> Any:
    if isinstance(object, property):
        object = object.fget
    if isinstance(object, (staticmethod, classmethod)):
        object = object.__func__
    return inspect.unwrap(object) if callable(object) else object


def _source(object: Any) -> tuple[str, int, int]:
    """Return the dedented source and its first and last line number."""
    try:
        lines, start = inspect.getsourcelines(_unwrap(object))
    except (TypeError, OSError) as error:
        raise TypeError(
            f"object must be a Python function, method, class or module whose source can be "
            f"read, got {object!r}"
        ) from error
    first = max(start, 1)
    return textwrap.dedent("".join(lines)).rstrip(), first, first + len(lines) - 1


def _name(object: Any) -> str:
    target = _unwrap(object)
    if inspect.ismodule(target):
        return target.__name__
    module = getattr(target, "__module__", None)
    name = getattr(target, "__qualname__", repr(target))
    return name if module in (None, "__main__") else f"{module}.{name}"


def _address(object: Any, first: int, last: int) -> str | None:
    """Return the link to the object's lines, or None for code from elsewhere."""
    repository = repository_address()
    path = Path(inspect.getsourcefile(_unwrap(object)) or "").resolve()
    if repository is None or not path.is_relative_to(PACKAGE_ROOT / "companion"):
        return None
    file = path.relative_to(PACKAGE_ROOT).as_posix()
    return f"{repository}/blob/HEAD/{file}#L{first}-L{last}"


def _shorten_docstrings(code: str) -> str:
    """Cut every docstring down to its first line, leaving all other lines as they are."""
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
