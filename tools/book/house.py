"""The house in one picture: which package and which folder of ``tools/`` rests on which.

``python -m tools.book.house`` reads the imports and draws ``.github/house.svg``, which README and
CONTRIBUTING show. An arrow leads from a box to what it imports; what follows from other arrows is
left out. Each box stands one floor above the highest one that it rests on.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path

from tools.book.contents import ROOT

PICTURE = Path(".github") / "house.svg"
PACKAGES = ("companion", "assign", "exercises", "tools")
WIDTH, FLOOR, BOX_WIDTH, BOX_HEIGHT = 760, 98, 178, 60
LETTERS = 26  # in a line of a box
COLOURS = {"companion": "#FBE0CC", "assign": "#E4F1E1", "exercises": "#E4F1E1", "tools": "#DCEBF5"}

Rests = dict[str, set[str]]


# -- what imports what ---------------------------------------------------------------------------


def box_of(module: str) -> str:
    """Return the box to which a module belongs; nothing if it is not ours.

    >>> box_of("companion.losses"), box_of("tools.site.search"), box_of("numpy.linalg")
    ('companion', 'tools/site', '')
    """
    package, *rest = module.split(".")
    if package != "tools":
        return package if package in PACKAGES else ""
    return f"tools/{rest[0]}" if rest else ""


def imported(source: str) -> Iterator[str]:
    """Yield the modules that a file imports, within functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def rests_on(root: Path = ROOT) -> Rests:
    """Return what each box imports from other boxes.

    Files named ``__main__.py`` are commands, which may hand anything over: they do not count.
    """
    found: Rests = {}
    for path in (path for name in PACKAGES for path in sorted((root / name).rglob("*.py"))):
        parts = path.relative_to(root).with_suffix("").parts
        box = box_of(".".join(parts).removesuffix(".__init__"))
        if box and path.stem != "__main__" and "skeleton" not in parts:
            others = map(box_of, imported(path.read_text(encoding="utf-8")))
            found.setdefault(box, set()).update(other for other in others if other not in ("", box))
    return found


def reduced(rests: Rests) -> Rests:
    """Leave out what follows from the rest.

    >>> sorted(reduced({"a": set(), "b": {"a"}, "c": {"a", "b"}})["c"])
    ['b']
    """
    return {
        box: {one for one in below if not any(one in under(rests, other) for other in below)}
        for box, below in rests.items()
    }


def under(rests: Rests, box: str) -> set[str]:
    """Return all that a box rests on, at once or through others."""
    return set(rests[box]).union(*(under(rests, below) for below in rests[box]))


def floor(rests: Rests, box: str) -> int:
    """Return the floor on which a box stands, counted from 0.

    >>> [floor({"a": set(), "b": {"a"}, "c": {"a", "b"}}, box) for box in "abc"]
    [0, 1, 2]
    """
    return 1 + max((floor(rests, below) for below in rests[box]), default=-1)


# -- the picture ---------------------------------------------------------------------------------


def places(rests: Rests) -> dict[str, tuple[float, float]]:
    """Return the middle of each box: as near above what it rests on as its floor has room."""
    floors = {box: floor(rests, box) for box in rests}
    top = max(floors.values())
    found: dict[str, tuple[float, float]] = {}
    for number in range(top + 1):
        row = {box: _wished(rests, box, found) for box in rests if floors[box] == number}
        names = sorted(row, key=lambda box: (row[box], box))
        for place, box in enumerate(names):
            x = row[box] if len(names) == 1 else WIDTH * (place + 0.5) / len(names)
            found[box] = (x, (top - number + 0.5) * FLOOR)
    return found


def _wished(rests: Rests, box: str, found: dict[str, tuple[float, float]]) -> float:
    below = [found[one][0] for one in reduced(rests)[box]]
    return sum(below) / len(below) if below else WIDTH / 2


def about(box: str, root: Path = ROOT) -> str:
    """Return what a box's docstring says first."""
    source = (root / box / "__init__.py").read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(doc.split()).replace("*", "").replace("`", "").partition(". ")[0].split(":")[0]


def draw(rests: Rests, root: Path = ROOT) -> str:
    """Return the picture as SVG."""
    middle = places(rests)
    height = FLOOR * (1 + max(floor(rests, box) for box in rests))
    lines = [_arrow(middle[a], middle[b]) for a, below in reduced(rests).items() for b in below]
    boxes = [_box(box, *middle[box], about(box, root)) for box in rests]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" font-family="system-ui,sans-serif">',
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            *sorted(lines),
            *boxes,
            "</svg>\n",
        ]
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    ends = f'x1="{x:.0f}" y1="{y + BOX_HEIGHT / 2:.0f}" x2="{to_x:.0f}"'
    return (
        f'<line {ends} y2="{to_y - BOX_HEIGHT / 2 - 1:.0f}" stroke="#555" marker-end="url(#head)"/>'
    )


def _box(name: str, x: float, y: float, says: str) -> str:
    left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
    lines = textwrap.wrap(says.rstrip("."), LETTERS, max_lines=2, placeholder=" …")
    words = "".join(
        f'<text x="{x:.0f}" y="{top + 35 + 15 * n:.0f}" font-size="11">{escape(line)}</text>'
        for n, line in enumerate(lines)
    )
    return (
        f'<g text-anchor="middle" fill="#222"><rect x="{left:.0f}" y="{top:.0f}" rx="4" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" fill="{COLOURS[name.split("/")[0]]}" '
        f'stroke="#555"/><text x="{x:.0f}" y="{top + 18:.0f}" font-size="14" font-weight="600">'
        f"{name}/</text>{words}</g>"
    )


def main() -> int:
    """Write the picture."""
    (ROOT / PICTURE).write_text(draw(rests_on()), encoding="utf-8")
    print(f"{PICTURE} is drawn.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
