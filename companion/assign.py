"""Moved: what draws and grades assignments is ``assign``, beside this package in the repository."""

import sys

__all__: list[str] = []

MOVED = (
    "companion.assign has moved: run python -m assign in a clone of the book's repository, "
    "after make setup"
)
WERE_HERE = (
    "assignment autograder book cli grading listing localise making notebooks phrases references "
    "rubric runner sandbox sources texts"
)


def __getattr__(name: str) -> object:
    """Say where everything is that was here."""
    if name in WERE_HERE.split():
        raise ImportError(MOVED)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    sys.exit(MOVED)
