"""A progress bar of plain text that leaves one line behind."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from companion.notebook.formatting import format_number

__all__ = ["Progress", "count", "progress", "require_description"]

T = TypeVar("T")
WIDTH = 20
SECONDS_BETWEEN_DRAWINGS = 0.2


class Progress(Generic[T]):
    """An iterable that draws how far it is; made by `progress`."""

    def __init__(self, iterable: Iterable[T], total: int, description: str, elapsed: bool):
        require_description(description)
        self.iterable = iterable
        self.total = total
        self.description = description
        self.elapsed = elapsed
        self.done = 0
        self._values: dict[str, Any] = {}
        self._last_width = 0
        self._last_drawn = 0.0
        self._started = 0.0
        # Set while chapters are executed and compared: then only the last line is printed.
        self._quiet = bool(os.environ.get("COMPANION_QUIET"))

    def set(self, **values: Any) -> None:
        """Set the values shown behind the bar, such as ``loss=0.31``; numbers get 4 places."""
        self._values.update(values)

    def __iter__(self) -> Iterator[T]:
        self.done = 0
        self._started = self._last_drawn = time.monotonic()
        try:
            for item in self.iterable:
                yield item
                self.done += 1
                self._draw()
                if self._ends():
                    break
        finally:
            self._draw(last=True)

    def _ends(self) -> bool:
        """Tell whether to end before the last item."""
        return False

    def __len__(self) -> int:
        return self.total

    def _draw(self, last: bool = False) -> None:
        now = time.monotonic()
        if not last and (self._quiet or now - self._last_drawn < SECONDS_BETWEEN_DRAWINGS):
            return
        self._last_drawn = now
        line = self._line(now - self._started, last)
        start = "\r" if self._last_width else ""
        sys.stdout.write(start + line.ljust(self._last_width) + ("\n" if last else ""))
        sys.stdout.flush()
        self._last_width = 0 if last else len(line)

    def _line(self, seconds: float, last: bool) -> str:
        share = self.done / self.total if self.total else 1.0
        bar = "█" * int(share * WIDTH)
        parts = [f"{bar:░<{WIDTH}} {share:4.0%} {self.done}/{self.total}"]
        if self.description:
            parts.insert(0, self.description)
        parts += [f"{name} {format_number(value)}" for name, value in self._values.items()]
        if not last and share > 0:
            parts.append(f"{seconds * (1 / share - 1):.0f} s left")
        if last and self.elapsed:
            parts.append(f"{seconds:.1f} s")
        return "  ".join(parts)


def require_description(description: Any) -> None:
    """Refuse what is no text: a failing `check` names by it what was stopped.

    Parameters
    ----------
    description : str

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(description, str):
        raise TypeError(f"description must be a text, got {description!r}")


def count(iterable: Iterable[Any], total: int | None) -> int:
    """Return how many items there will be, having checked it.

    Parameters
    ----------
    iterable : iterable
    total : int, optional
        Default its length.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If ``total`` is negative, or not given for what has no length.
    TypeError
        If ``iterable`` is none, or ``total`` no whole number.
    """
    if not isinstance(iterable, Iterable):
        raise TypeError(f"iterable must be a list, got {type(iterable).__name__}")
    if total is None:
        if not isinstance(iterable, Sized):
            raise ValueError(f"total must be given for a {type(iterable).__name__} (no length)")
        total = len(iterable)
    if isinstance(total, bool) or not isinstance(total, int):
        raise TypeError(f"total must be a whole number, got {total!r}")
    if total < 0:
        raise ValueError(f"total must be 0 or more, got {total}")
    return total


def progress(
    iterable: Iterable[T],
    total: int | None = None,
    description: str = "",
    *,
    elapsed: bool = False,
) -> Progress[T]:
    """Go through `iterable` and draw a bar on standard output.

    Stopping a loop early, also with a notebook's stop button, leaves the bar where it stood.

    Parameters
    ----------
    iterable : iterable
        What to go through.
    total : int, optional
        Number of items; taken from ``len(iterable)`` by default.
    description : str, default=""
        Shown before the bar.
    elapsed : bool, default=False
        Whether the last line says how many seconds it took. Only for a cell whose output may
        differ from machine to machine.

    Returns
    -------
    Progress
        Iterate over it; ``bar.set(loss=0.3)`` shows a running value behind the bar.

    Raises
    ------
    ValueError
        If `total` is negative, or is not given and `iterable` has no length.
    TypeError
        If `description` is no text.

    Examples
    --------
    >>> for step in (bar := progress(range(4), description="training")):
    ...     bar.set(loss=1 / (step + 1))
    training  ████████████████████ 100% 4/4  loss 0.2500
    """
    return Progress(iterable, count(iterable, total), description, elapsed)
