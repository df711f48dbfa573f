"""Write the exercises into the chapters: ``python -m tools.chapters.exercises [CHAPTER ...]``.

Each exercise becomes one Markdown cell, tagged ``exercise``, after the cell that holds the
heading "Exercises"; in a chapter of several notebooks that is in the last of them. Nothing else in
a notebook is touched. ``--check`` writes nothing and fails if a chapter is not in step with its
master.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from assign import phrases, texts
from exercises import Exercise, Master
from tools.book import contents, notebooks
from tools.book.contents import Chapter

TAG = "exercise"
HEADING = re.compile(r"^## Exercises\s*$", re.MULTILINE)
SECTION = re.compile(r"^## ", re.MULTILINE)


def folder(chapter: Chapter, root: Path = contents.ROOT) -> ModuleType | None:
    """Return the package of a chapter's exercises, with ``SETUP`` and ``MASTERS``, or nothing."""
    if not (root / "exercises" / chapter.module / "__init__.py").exists():
        return None
    return importlib.import_module(f"exercises.{chapter.module}")


def load(chapter: Chapter, root: Path = contents.ROOT) -> list[Master]:
    """Return the masters of a chapter's exercises; none if it has no folder of them."""
    found = folder(chapter, root)
    return found.MASTERS if found else []


def masters(path: Path, root: Path = contents.ROOT) -> list[Exercise]:
    """Return the exercises that stand in a notebook: its chapter's, if it is the last of them."""
    chapter = contents.ending_with(path, root)
    return [master.variant() for master in load(chapter, root)] if chapter else []


# -- one exercise --------------------------------------------------------------------------------


def render(exercise: Exercise) -> str:
    """Return the exercise as MyST Markdown, with its solution only if that is public."""
    kind = texts.fill(phrases.KIND[exercise.kind], {"minutes": exercise.minutes})
    question = f"{kind}\n\n{exercise.text('question')}"
    if exercise.kind != "by hand":
        question += f"\n\n{code(exercise.starter)}"
    options = {"label": exercise.id, "class": f"difficulty-{exercise.difficulty}"}
    boxes = [box("exercise", exercise.text("title"), question, **options)]
    boxes.append(box("dropdown", "Hint", exercise.text("hint"), **{"class": "hint"}))
    if exercise.trial:
        body = f"{phrases.TRY}\n\n{code(exercise.trial)}"
        boxes.append(box("dropdown", phrases.TRIAL, body, **{"class": "trial"}))
    if exercise.public_solution:
        boxes.append(box("dropdown", "Solution", solution(exercise), **{"class": "solution"}))
    return "\n\n".join(boxes)


def solution(exercise: Exercise) -> str:
    """Return the solution as a reader sees it: code only where code was asked for."""
    if exercise.kind in ("by hand", "predict"):
        return exercise.text("explanation")
    return f"{code(exercise.solution)}\n\n{exercise.text('explanation')}"


def code(source: str) -> str:
    """Return a block of Python."""
    return f"```python\n{source}\n```"


def box(directive: str, title: str, body: str, **options: str) -> str:
    """Return a directive in colon fences."""
    fence = "::::" if directive == "exercise" else ":::"
    lines = [f":{name}: {value}" for name, value in options.items()]
    return "\n".join([f"{fence}{{{directive}}} {title}", *lines, "", body, fence])


# -- one notebook --------------------------------------------------------------------------------


def place(notebook: NotebookNode, exercises: list[Exercise]) -> None:
    """Put the exercises' cells in their place, instead of those that are there."""
    if not exercises:
        return
    kept = [cell for cell in notebook.cells if TAG not in notebooks.tags(cell)]
    start = _heading(kept) + 1
    notebook.cells = [*kept[:start], *(new_cell(e) for e in exercises), *kept[start:]]


def new_cell(exercise: Exercise) -> NotebookNode:
    """Return the exercise's cell."""
    name = f"exercise-{exercise.id}"
    return new_markdown_cell(render(exercise), id=name[:64], metadata={"tags": [TAG]})


def _heading(cells: list[NotebookNode]) -> int:
    """Return the number of the cell that ends with the section on exercises."""
    for number, cell in enumerate(cells):
        found = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        if found and SECTION.search(cell.source, found.end()):
            raise ValueError("the section after 'Exercises' must start in a cell of its own")
        if found:
            return number
    raise ValueError("there is no heading '## Exercises' to put the exercises under")


def renew(chapter: Chapter, check: bool) -> bool:
    """Bring a chapter's last notebook in step; return whether it was."""
    path = chapter.last
    notebook = notebooks.read(path)
    place(notebook, masters(path))
    text = notebooks.write(notebook)
    same = text == path.read_text(encoding="utf-8")
    if not same and not check:
        notebooks.store(path, text)
    print(f"{chapter.name}: exercises {'unchanged' if same else 'differ' if check else 'written'}")
    return same


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.chapters.exercises", description=__doc__)
    parser.add_argument("chapter", nargs="*", help="a chapter's name; default: all")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of step")
    options = parser.parse_args(arguments)
    chapters = {chapter.name: chapter for chapter in contents.chapters()}
    names = options.chapter or list(chapters)
    if unknown := [name for name in names if name not in chapters]:
        parser.error(f"no chapter {unknown[0]}; there are {', '.join(chapters)}")
    current = [renew(chapters[name], options.check) for name in names]
    return 1 if options.check and not all(current) else 0


if __name__ == "__main__":
    sys.exit(main())
