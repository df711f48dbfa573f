"""What assignments say around the exercises, in English; the catalogs hold the translations."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

from assign import localise

__all__ = ["upright", "all_phrases"]

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
# What it says is found as what checks say is.
SETUP = """
import os
import site
import subprocess
import sys
from importlib import invalidate_caches, util

VERSION = "$version"  # of the book's package; this notebook was written with it
SITE = os.environ.get("COMPANION_SITE", "$site")
HELP = f"{SITE}/$help"
WHEEL = f"{SITE}/wheels/large_models_companion-{VERSION}-py3-none-any.whl"
if getattr(util.find_spec("companion"), "origin", None) is None:  # or some folder of that name
    pip = [sys.executable, "-m", "pip", "install", "--retries", "1", "--timeout", "15"]
    done = subprocess.run([*pip, "--no-deps", WHEEL], capture_output=True, text=True)
    print(done.stderr if done.returncode else "The book's package has been installed.")
    if site.ENABLE_USER_SITE:
        site.addsitedir(site.getusersitepackages())  # pip may have begun it only now
    invalidate_caches()
try:
    from companion._setting_up import set_up

    set_up(VERSION, WHEEL, HELP$weights)
    from $machinery import report
except ImportError as error:
    raise RuntimeError(
        f"This notebook needs version {VERSION} of the book's package: run %pip install {WHEEL}, "
        f"then restart the kernel. If that fails, see {HELP}"
    ) from error
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


def upright(text: str) -> str:
    """Return a line as a notebook shows it: Chinese words are never slanted."""
    return text.strip("*") if any("\u4e00" <= letter <= "\u9fff" for letter in text) else text


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
    return list(dict.fromkeys([*said, *localise.messages(SETUP.replace("$", ""))]))
