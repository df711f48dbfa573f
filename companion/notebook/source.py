"""Show the source of a thing where the text speaks of it, with a link to the file."""

from __future__ import annotations

import inspect
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

from companion.notebook.shortening import shorten_docstrings, without_argument_checks

__all__ = ["repository_address", "show"]

DISTRIBUTION = "large-models-companion"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def show(object: Any, *, whole: bool = False) -> None:
    r"""Display the source of a function, method, class or module, highlighted.

    Above it stand its name and, for code of the package, a link to its lines in the repository.

    Parameters
    ----------
    object : function, method, class or module
        What to show; decorated functions are unwrapped first.
    whole : bool, default=False
        Whether to show everything. Otherwise only the first line of each docstring is kept, and
        what only checks arguments is left out; the line above says so.

    Raises
    ------
    TypeError
        If `object` has no Python source.
    """
    from IPython.display import display

    code, first, last = _source(object)
    unchecked = code if whole else without_argument_checks(code)
    shown = code if whole else shorten_docstrings(unchecked)
    heading = [f"`{_name(object)}`"]
    if unchecked != code:
        heading.append("argument checks left out")
    if address := _address(object, first, last):
        heading.append(f"[source, lines {first} to {last}]({address})")
    markdown = f"{' · '.join(heading)}\n\n```python\n{shown}\n```"
    display({"text/markdown": markdown, "text/plain": shown}, raw=True)


def repository_address() -> str | None:
    """Return the address of the book's repository, as the installed package states it.

    Returns
    -------
    str or None
        None where the package is not installed, or states none.
    """
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
