"""A loop that says how long it will take, and that the stop button ends without an error."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from companion.notebook.progressbar import Progress, count

__all__ = ["Stoppable", "stoppable"]

T = TypeVar("T")
# The first step warms up; the estimate comes from those after it, as soon as they say something.
FEWEST_STEPS, MOST_STEPS, SECONDS = 3, 50, 0.5


class Stoppable(Progress[T]):
    """A `Progress` that can be stopped; made by `stoppable`."""

    def __init__(self, iterable: Iterable[T], total: int, description: str):
        super().__init__(iterable, total, description, elapsed=True)
        self.stopped = False
        self._estimated = False
        self._warm = 0.0

    def __iter__(self) -> Iterator[T]:
        self.stopped = self._estimated = False
        with _interrupts(self._stop):
            yield from super().__iter__()
        if self.stopped:
            print(f"stopped after {self.done} of {self.total}; what was done so far is kept")

    def _stop(self) -> None:
        self.stopped = True

    def _ends(self) -> bool:
        return self.stopped

    def _draw(self, last: bool = False) -> None:
        if not self._estimated and not last:
            self._estimate()
            return
        super()._draw(last)

    def _estimate(self) -> None:
        """Print how long the whole will take, once a few steps have been timed."""
        now = time.monotonic()
        if self.done == 1:
            self._warm = now
        timed = self.done - 1
        if timed >= MOST_STEPS or (timed >= FEWEST_STEPS and now - self._warm >= SECONDS):
            seconds = (self.total - self.done) * (now - self._warm) / timed
            start = f"{self.description}: " if self.description else ""
            sys.stdout.write(f"{start}{self.total} steps, {_duration(seconds)} to go\n")
            self._estimated = True


def _duration(seconds: float) -> str:
    """Return a length of time in words.

    >>> _duration(12.4), _duration(600), _duration(7500)
    ('about 12 s', 'about 10 min', 'about 2.1 h')
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


@contextlib.contextmanager
def _interrupts(first: Callable[[], None]) -> Iterator[None]:
    """Call `first` when the stop button is pressed; pressed again, it interrupts as always."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may listen to signals
        return
    before = signal.getsignal(signal.SIGINT)

    def press(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        first()

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stoppable(
    iterable: Iterable[T], total: int | None = None, description: str = ""
) -> Stoppable[T]:
    """Go through `iterable` as `progress` does; say how long it takes, and heed the stop button.

    After the first few steps a line says how long the whole will take. When the notebook's stop
    button is pressed (or Ctrl-C), the step at hand is finished and the loop ends without an
    error, so that the code after it goes on with what there is. Pressed a second time, it
    interrupts at once.

    Parameters
    ----------
    iterable : iterable
        What to go through, one item a training step.
    total : int, optional
        Number of items; taken from ``len(iterable)`` by default.
    description : str, default=""
        Shown before the bar.

    Returns
    -------
    Stoppable
        Iterate over it; ``bar.set(loss=0.3)`` shows a running value, ``bar.stopped`` tells
        whether it was stopped.

    Raises
    ------
    ValueError
        If `total` is negative, or is not given and `iterable` has no length.

    Examples
    --------
    >>> losses = []
    >>> for step in (bar := stoppable(range(400), description="training")):  # doctest: +SKIP
    ...     losses.append(train_one_step())
    ...     bar.set(loss=losses[-1])
    training: 400 steps, about 12 s to go
    training  ████████████████████ 100% 400/400  loss 0.0312  12.1 s
    """
    return Stoppable(iterable, count(iterable, total), description)
