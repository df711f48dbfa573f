"""The command line: ``python -m assign list``, ``make``, ``grade`` and ``review``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from assign import listing
from assign.book import LANGUAGES, AssignError, Book

__all__ = ["main"]


def main(book: Book, arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    book : Book
        Assignments are drawn from its exercises.
    arguments : list of str, optional
        Default: those of the program.

    Returns
    -------
    int
        The exit status: 0 if all went well, 2 if something asked for cannot be done.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = _parser(given[0] if given else "").parse_args(given)
        return int(options.action(book, options))
    except AssignError as error:
        print(f"assign: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as `| head` leaves behind
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m assign",
        description="Draw assignments from the book's exercises, and grade what comes back.",
    )
    commands = parser.add_subparsers(required=True, metavar="list | make | grade | review")
    listed = commands.add_parser("list", help="show chapters and exercises")
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(action=_list)
    _make_parser(commands.add_parser("make", help="draw an assignment"))
    graded = commands.add_parser("grade", help="grade a folder of submissions")
    if command == "grade":  # which needs more than the other commands do
        from assign.grading import arguments
        from assign.grading import command as graders

        arguments.add(graded)
        graded.set_defaults(action=lambda _, options: graders.run(options))
    reviewed = commands.add_parser("review", help="show what was written in words, to give points")
    if command == "review":
        from assign.grading import review

        review.add_arguments(reviewed)
        reviewed.set_defaults(action=lambda _, options: review.run(options))
    return parser


def _make_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "exercises",
        nargs="+",
        metavar="CHAPTER[:EXERCISE,...]",
        help="a chapter, or exercises of it by number or name: attention:2,alibi",
    )
    parser.add_argument("--seed", type=int, required=True, help="the same seed, the same numbers")
    parser.add_argument("--title", help="default: Assignment, in the language asked for")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--language", choices=list(LANGUAGES), default="en")
    parser.add_argument("--due", help="a date that students are told: 2027-03-01")
    parser.add_argument(
        "--secret",
        help="draw what assignment.json with this secret was drawn from (default: a new one)",
    )
    parser.add_argument("--force", action="store_true", help="replace what make wrote before")
    parser.add_argument(
        "--no-run", action="store_true", help="leave the solution's notebook without outputs"
    )
    parser.set_defaults(action=_make)


def _list(book: Book, options: argparse.Namespace) -> int:
    chapters = listing.listed(book)
    print(json.dumps(chapters, indent=2) if options.json else listing.as_text(chapters))
    return 0


def _make(book: Book, options: argparse.Namespace) -> int:
    from assign import assignment, making

    drawn = assignment.draw(
        book,
        options.exercises,
        options.seed,
        options.title,
        options.language,
        options.due,
        options.secret or making.secret(options.out),
    )
    complaints = making.make(drawn, options.out, options.force, not options.no_run)
    print(f"{drawn.title}: {len(drawn.questions)} questions, {drawn.points} points")
    for line in (
        f"student/{drawn.name}.ipynb    hand this out",
        "autograder.zip    for Gradescope, otter run, and python -m assign grade",
        f"solution/{drawn.name}.ipynb, rubric.md, assignment.json    keep these to yourself",
    ):
        print(f"  {options.out}/{line}")
    for complaint in complaints:
        print(f"On this machine the solution did not pass. {complaint}", file=sys.stderr)
    return 0
