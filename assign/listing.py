"""What there is to choose from: chapters and their exercises."""

from __future__ import annotations

from typing import Any

from assign.book import Book

__all__ = ["listed", "as_text"]

KEYS = ("number", "title", "kind", "difficulty", "points", "minutes", "solution")


def listed(book: Book) -> list[dict[str, Any]]:
    """Return the chapters with exercises, and the exercises of each."""
    return [
        {
            "chapter": name,
            "exercises": [
                {
                    "number": number,
                    "id": exercise.id,
                    "title": exercise.text("title"),
                    "kind": exercise.kind,
                    "difficulty": exercise.difficulty,
                    "points": exercise.points,
                    "points_by_hand": exercise.by_hand,
                    "minutes": exercise.minutes,
                    "public_solution": exercise.public_solution,
                }
                for number, exercise in enumerate(
                    (master.variant() for master in chapter.masters), start=1
                )
            ],
        }
        for name, chapter in book.chapters.items()
    ]


def as_text(chapters: list[dict[str, Any]]) -> str:
    """Return a table for each chapter."""
    blocks = []
    for chapter in chapters:
        rows = [KEYS, *(_row(chapter["chapter"], e) for e in chapter["exercises"])]
        widths = [max(len(row[i]) for row in rows) for i in range(len(KEYS))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        points, minutes = (
            sum(e[key] for e in chapter["exercises"]) for key in ("points", "minutes")
        )
        total = f"{len(chapter['exercises'])} exercises, {points} points, {minutes} minutes"
        blocks.append("\n".join([f"{chapter['chapter']}: {total}", *lines]))
    return "\n\n".join(blocks)


def _row(chapter: str, exercise: dict[str, Any]) -> tuple[str, ...]:
    by_hand = exercise["points_by_hand"]
    points = f"{exercise['points']}" + (f" ({by_hand} by hand)" if by_hand else "")
    return (
        f"{exercise['number']}",
        f"{exercise['title']} ({exercise['id'].removeprefix(f'{chapter}-')})",
        exercise["kind"],
        "●" * exercise["difficulty"],
        points,
        f"{exercise['minutes']}",
        "public" if exercise["public_solution"] else "-",
    )
