"""Points that are given by hand, typed once and kept in files that ``grade`` adds in."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from assign.grading import files
from assign.grading.dist import Dist

__all__ = ["Given", "read", "sheet", "page"]

COLUMNS = ("student", "points", "comment")
Given = dict[tuple[str, str], tuple[float, str]]  # by student and question: points, comment

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 }
section { border-top: 1px solid #999; padding: 1rem 0 }
.rubric { background: #f2f2f2; padding: 1rem }
input[type=number] { width: 5rem } input[type=text] { width: 20rem; max-width: 100% }
button { position: sticky; bottom: 1rem; font-size: 1rem; padding: .5rem 1rem }
"""
SAVE = """
document.querySelector("button").onclick = () => {
  const quoted = (text) => '"' + text.replaceAll('"', '""') + '"';
  const lines = [...document.querySelectorAll("section")].map((one) => [
    one.dataset.student, one.querySelector("[type=number]").value,
    one.querySelector("[type=text]").value].map(quoted).join(","));
  const table = ["student,points,comment", ...lines].join("\\n") + "\\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\\ufeff" + table], { type: "text/csv" }));
  link.download = document.body.dataset.file;
  link.click();
};
"""


def read(folder: Path, dist: Dist) -> Given:
    """Return the points that were given.

    Parameters
    ----------
    folder : Path
        With a table for each question, such as ``q3.csv``.
    dist : Dist

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If there is no such folder, or points are no number or more than a question has.
    """
    if not folder.is_dir():
        raise ValueError(f"by-hand must be the folder that review wrote, got {folder}")
    found: Given = {}
    for question in dist.questions:
        path, most = folder / f"{question['name']}.csv", question["points_by_hand"]
        for row in files.rows_of(path):
            if (row.get("points") or "").strip():
                points = _number(row["points"])
                if not 0 <= points <= most:
                    raise ValueError(
                        f"points must be a number from 0 to {most}, got {row['points']!r} for "
                        f"{row['student']} in {path}"
                    )
                found[row["student"], question["name"]] = (points, row.get("comment") or "")
    return found


def _number(text: str) -> float:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return float("nan")


# -- what is written -----------------------------------------------------------------------------


def sheet(path: Path, students: Iterable[str]) -> str:
    """Return the table for a question, with what stands in it already."""
    known = {row["student"]: row for row in files.rows_of(path)}
    names = dict.fromkeys([*students, *known])
    return files.as_csv(COLUMNS, (known.get(name, {"student": name}) for name in names))


def page(question: Mapping[str, Any], language: str, words: Mapping[str, str], path: Path) -> str:
    """Return a page with each student's words beside the rubric, and a place for the points.

    Parameters
    ----------
    question : dict
        What the record says about it.
    language : str
    words : dict
        Of each student.
    path : Path
        Of the question's table, whose points are shown.
    """
    known, most = {row["student"]: row for row in files.rows_of(path)}, question["points_by_hand"]
    sections = "".join(_section(s, text, known.get(s, {}), most) for s, text in words.items())
    title = html.escape(f"{question['name']}: {question['title']}")
    given = f"Points by hand: {most:g}" if most else "No points by hand"
    button = f"<button>Save {path.name}, and put it beside this page</button>" if most else ""
    rubric = html.escape(question["good_answer"])
    return (
        f'<!doctype html>\n<html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style>\n"
        f'<body data-file="{path.name}"><h1>{title}</h1>\n'
        f'<div class="rubric"><strong>{given}</strong><pre>{rubric}</pre></div>\n'
        f"{sections}{button}\n{f'<script>{SAVE}</script>' if most else ''}</body></html>\n"
    )


def _section(student: str, text: str, known: Mapping[str, str], most: float) -> str:
    name = html.escape(student, quote=True)
    points, comment = (html.escape(known.get(key) or "", quote=True) for key in COLUMNS[1:])
    fields = (
        f'<label>Points <input type="number" min="0" max="{most:g}" step="0.25" value="{points}">'
        f'</label> <label>Comment <input type="text" value="{comment}"></label>'
    )
    said = html.escape(text) or "<em>nothing</em>"
    return (
        f'<section data-student="{name}"><h2>{name}</h2><pre>{said}</pre>'
        f"{fields if most else ''}</section>\n"
    )
