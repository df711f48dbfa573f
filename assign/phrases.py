"""What assignments say around the exercises, in English; the catalogs hold the translations."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

from nbformat.v4 import new_notebook

from assign import localise
from tools import setup_cell

__all__ = ["all_phrases"]

# The line below an exercise's title, on the page and in a student's notebook.
KIND = {
    "by hand": "*By hand, about {{minutes}} minutes.*",
    "predict": "*Predict, about {{minutes}} minutes.*",
    "code": "*Code, about {{minutes}} minutes.*",
    "measure": "*Measure, about {{minutes}} minutes.*",
    "open": "*Open, about {{minutes}} minutes.*",
}
HINT = "Hint"
TRIAL = "Check"
TRY = "Run your answer, and then this. It stops where your answer is not right yet."
SOLUTION = "Solution"

STUDENT = {
    "title": "Assignment",
    "intro": "Write your answers into the code cell below each question, in place of every `...`. You may add cells of your own. Run the cells from the top; the first one installs what is missing, on Colab for instance.",
    "rule": "Numbers may be exact or rounded to three decimals, and a list, an array and a tensor are the same.",
    "checks": "Below your answer stands a cell with checks. Run it as often as you like: it says what is not right yet. When your work is graded, further checks are run.",
    "due": "To be handed in by {{due}}.",
    "total": "{{questions}} questions, {{points}} points, about {{minutes}} minutes.",
    "question": "Question {{number}}: {{title}}",
    "points": "{{points}} points.",
    "point": "1 point.",
    "words": "*Your explanation, in your own words:*",
    "hand in title": "Handing in",
    "hand in": "Run all cells once more from the top (*Run all*), look whether every check passes, and save. Then hand in this one notebook file: on Colab *File*, *Download*, *Download .ipynb*.",
}
CODE = {
    "check": "Check of question {{number}}: run this cell, you need not read it",
    "setup": "Set-up: run this cell first, you need not read it",
}
# Below the book's own set-up cell; what both say is found as what checks say is.
IMPORT = """
try:
    from companion.notebook._assignments import report
except ImportError:
    raise RuntimeError(
        f"This notebook needs version {VERSION} of the book's package. Run in a cell of its own:\\n"
        f"%pip install {WHEEL}\\n"
        "Then restart the kernel."
    ) from None
"""
SOLUTIONS = {
    "title": "{{title}}: solutions",
    "not for students": "For instructors. Do not publish: other courses may draw the same exercises.",
    "explanation": "Explanation",
}
RUBRIC = {
    "title": "{{title}}: rubric",
    "drawn": "Drawn with seed {{seed}} by version {{version}} of the book's package. {{points}} points, of which {{by_hand}} are given by hand.",
    "table": "| points | check | what it looks at |",
    "visible": "visible",
    "hidden": "hidden",
    "by hand row": "by hand",
    "by hand": "the student's explanation, as described below",
    "good answer": "What a good answer contains:",
    "mistakes": "Mistakes that the checks find:",
    "public": "The page's own variant of this exercise has a public solution in the book.",
}


def all_phrases() -> list[str]:
    """Return every phrase once, in order, with what the set-up cell says."""
    groups = (
        KIND,
        {"hint": HINT, "trial": TRIAL, "try": TRY, "solution": SOLUTION},
        STUDENT,
        CODE,
        SOLUTIONS,
        RUBRIC,
    )
    said = [text for group in groups for text in group.values()]
    setup = localise.messages(setup_cell.source(new_notebook()) + IMPORT)
    return list(dict.fromkeys([*said, *setup]))
