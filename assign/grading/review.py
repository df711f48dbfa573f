"""The command ``review``: what students wrote in words, a page for each question."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assign import phrases
from assign.grading import byhand, collect, dist, steps, table
from assign.grading.dist import Dist

__all__ = ["add_arguments", "run", "words"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("dist", type=Path, help="the folder that make wrote")
    parser.add_argument("submissions", type=Path, help="a folder of notebooks, as for grade")
    parser.add_argument(
        "--out", type=Path, default=Path("review"), help="where to write (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Write a page and a table for each question that asks for words.

    Returns
    -------
    int
        0, or 2 if the arguments are wrong.
    """
    try:
        drawn = dist.read(options.dist)
        found = collect.collect(options.submissions, drawn.record["id"])
    except ValueError as error:
        print(f"review: {error}", file=sys.stderr)
        return 2
    notebooks = {s.student: _parsed(s.raw) for s in found.submissions}
    for question in drawn.questions:
        if question["words"]:
            said = {s: words(made, question["name"], drawn) for s, made in notebooks.items()}
            _write(options.out, question, drawn, said)
    return 0


def _parsed(raw: bytes) -> Any:
    try:
        return steps.parse(raw)
    except ValueError:
        return None


def _write(out: Path, question: dict[str, Any], drawn: Dist, said: dict[str, str]) -> None:
    path = out / f"{question['name']}.csv"
    page = byhand.page(question, drawn.record["language"], said, path)
    table.write(path.with_suffix(".html"), page)
    if question["points_by_hand"]:
        table.write(path, byhand.sheet(path, said))
    print(f"{path.with_suffix('.html')}: {question['title']}")


def words(notebook: Any, question: str, drawn: Dist) -> str:
    """Return what a student wrote in words to a question, and the comments of the answer."""
    if notebook is None:
        return ""
    return "\n\n".join(_said(notebook, question, drawn)).strip()


def _said(notebook: Any, question: str, drawn: Dist) -> Iterator[str]:
    prompt = drawn.record.get("words", phrases.STUDENT["words"])
    for cell, place in steps.placed(notebook):
        if place == question and cell.cell_type == "markdown" and not steps.asks(cell):
            text = cell.source.replace(prompt, "").strip()
            if text:
                yield text
