"""Moved: what draws and grades assignments is ``assign``, beside this package in the repository."""

import sys

__all__: list[str] = []

MOVED = (
    "companion.assign has moved: run python -m assign in a clone of the book's repository, "
    "after make setup"
)


def __getattr__(name: str) -> object:
    """Say where everything is that was here."""
    if name.startswith("__"):  # what Python and its tools ask of every module
        raise AttributeError(name)
    raise ImportError(MOVED)


if __name__ == "__main__":
    sys.exit(MOVED)
