"""Links from code that a chapter shows to where it stands in the repository.

`companion.notebook.show` writes such a link when it runs. A stored output has none, since every
line added above the code would change it, and a fork has another address. The links are put in,
with the lines as they are then, when the site, the printed books and the Colab notebooks are built.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tools.book import addresses, contents, notebooks, phrases

LEFT_OUT = phrases.N_("argument checks left out")
LINK = phrases.N_("[source, lines {first} to {last}]({address})")
HEADING = re.compile(
    r"^`(?P<name>companion\.[\w.]+)`(?P<left_out> · argument checks left out)?"
    r"(?P<link> · \[source, lines \d+ to \d+\]\(\S+\))?(?=\n\n```python\n)"
)
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Place:
    """Where something stands in the repository."""

    file: str
    first: int
    last: int


def texts(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the outputs of a notebook that show code of the package, as mutable bundles."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if HEADING.match("".join(data.get("text/markdown", ""))):
                yield data


def without_links(notebook: dict[str, Any]) -> None:
    """Take the links out of what `show` has displayed."""
    for data in texts(notebook):
        text = "".join(data["text/markdown"])
        data["text/markdown"] = HEADING.sub(lambda m: m[0].removesuffix(m["link"] or ""), text)


def with_links(notebook: dict[str, Any], root: Path, say: Callable[[str], str] = str) -> None:
    """Put the links in, in the words of a language."""
    for data in texts(notebook):
        text = "".join(data["text/markdown"])
        data["text/markdown"] = HEADING.sub(lambda m: heading(m, root, say), text)


def heading(shown: re.Match[str], root: Path, say: Callable[[str], str] = str) -> str:
    """Return the line above shown code, with its link."""
    place = find(shown["name"])
    address = f"{addresses.repository(root)}/blob/HEAD/{place.file}#L{place.first}-L{place.last}"
    parts = [f"`{shown['name']}`"]
    if shown["left_out"]:
        parts.append(say(LEFT_OUT))
    parts.append(say(LINK).format(first=place.first, last=place.last, address=address))
    return " · ".join(parts)


def headings(notebook: dict[str, Any]) -> Iterator[re.Match[str]]:
    """Yield the lines above the code that a notebook shows, in their parts."""
    for data in texts(notebook):
        if shown := HEADING.match("".join(data["text/markdown"])):
            yield shown


def find(name: str) -> Place:
    """Return where a module, class, function or method of the package stands, by its full name."""
    file, parts = module_of(name)
    lines, tree = parsed(contents.ROOT / file, (contents.ROOT / file).stat().st_mtime_ns)
    if not parts:
        return Place(file, 1, lines)
    node: Any = tree
    for part in parts:
        definitions = (inner for inner in node.body if isinstance(inner, DEFINITIONS))
        node = next((inner for inner in definitions if inner.name == part), None)
        if node is None:
            raise notebooks.NotebookError(f"{file} has no {'.'.join(parts)}: run the chapter again")
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return Place(file, first, node.end_lineno)


def module_of(name: str) -> tuple[str, list[str]]:
    """Return the file of the module that a full name begins with, and the rest of the name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        stem = "/".join(parts[:end])
        for file in (f"{stem}.py", f"{stem}/__init__.py"):
            if (contents.ROOT / file).is_file():
                return file, parts[end:]
    raise notebooks.NotebookError(f"there is no module for {name}")


@lru_cache(maxsize=64)
def parsed(path: Path, _changed: int) -> tuple[int, ast.Module]:
    """Return how many lines a file has, and its syntax tree."""
    text = path.read_text(encoding="utf-8")
    return len(text.splitlines()), ast.parse(text)
