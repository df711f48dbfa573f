"""A loop that says how long it will take, and that the stop button ends without an error."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from companion.notebook.progressbar import Progress, count, require_description

__all__ = ["Stoppable", "stop_button", "stoppable"]

T = TypeVar("T")
# The first step warms up; the estimate comes from those after it, as soon as they say something.
FEWEST_STEPS, MOST_STEPS, SECONDS = 3, 50, 0.5
# What the reader stopped and has not run to its end since, by description.
unfinished: dict[str, None] = {}


class _Button:
    """What the stop button has done since the outermost block or loop began."""

    def __init__(self) -> None:
        self.pressed = False
        self.loops: list[Stoppable] = []
        self.says = "stopped; what was done so far is kept, and what was to come made one step"


# The button of the block or loop that is under way, if there is one.
_current: list[_Button] = []


@contextlib.contextmanager
def stop_button(description: str) -> Iterator[None]:
    """Let the stop button end all trainings of a block, without an error.

    When the button is pressed, the step at hand is finished and its `stoppable` loop ends. Each
    such loop that comes later in the block makes a single step, so that everything after the
    block finds a model and a history, only shorter ones. A `check` that then fails says that the
    training was stopped, and does not raise. Pressed a second time, the button interrupts at once.

    Parameters
    ----------
    description : str
        What is trained. A failing `check` names it as what to run again.

    Returns
    -------
    contextlib.AbstractContextManager
        For a ``with`` block.

    Raises
    ------
    TypeError
        If `description` is no text.

    Examples
    --------
    >>> from signal import SIGINT, raise_signal
    >>> def train():
    ...     for step in stoppable(range(400), quiet=True):
    ...         if step == 2:
    ...             raise_signal(SIGINT)  # what the stop button does
    ...     return step + 1
    >>> with stop_button("two trainings"):
    ...     steps = [train(), train()]
    stopped; what was done so far is kept, and what was to come made one step
    >>> steps
    [3, 1]
    """
    require_description(description)
    with _heeded(description):
        yield


@contextlib.contextmanager
def _heeded(description: str) -> Iterator[_Button]:
    """Give the button of the block or loop around this one; if there is none, a new one."""
    if _current:
        yield _current[0]
        return
    button = _Button()
    _current.append(button)
    unfinished.pop(description, None)
    try:
        with _interrupts(button):
            yield button
    finally:
        _current.clear()
        if button.pressed:
            unfinished[description] = None
    if button.pressed:
        print(button.says)


@contextlib.contextmanager
def _interrupts(button: _Button) -> Iterator[None]:
    """Note that the stop button was pressed; pressed again, it interrupts as always."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may listen to signals
        return
    before = signal.getsignal(signal.SIGINT)

    def press(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        button.pressed = True

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Stoppable(Progress[T]):
    """A `Progress` that can be stopped; made by `stoppable`."""

    def __init__(self, iterable: Iterable[T], total: int, description: str, quiet: bool = False):
        super().__init__(iterable, total, description, elapsed=True)
        self.stopped = False
        self._button = _Button()
        self._hidden = self._always_hidden = quiet
        self._alone = self._holds_others = self._estimated = False
        self._warm = 0.0

    @property
    def last(self) -> bool:
        """Whether the step at hand is the last, since all are done or the button was pressed."""
        return self._button.pressed or self.done + 1 == self.total

    def __iter__(self) -> Iterator[T]:
        self.stopped = self._holds_others = self._estimated = False
        self._alone = not _current
        with _heeded(self.description or "training") as self._button:
            around = self._button.loops
            self._hidden = self._always_hidden or bool(around)
            if around:
                around[-1]._holds_others = True
            around.append(self)
            try:
                yield from super().__iter__()
            finally:
                around.remove(self)

    def _ends(self) -> bool:
        """Tell whether to end: a loop over trainings goes on, since each makes a step by now."""
        self.stopped = self._button.pressed and not self._holds_others
        if self.stopped and self._alone:
            done = f"{self.done} of {self.total}"
            self._button.says = f"stopped after {done}; what was done so far is kept"
        return self.stopped

    def _draw(self, last: bool = False) -> None:
        if self._hidden:
            return
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


def stoppable(
    iterable: Iterable[T],
    total: int | None = None,
    description: str = "",
    *,
    quiet: bool = False,
) -> Stoppable[T]:
    """Go through `iterable` as `progress` does; say how long it takes, and heed the stop button.

    After the first few steps a line says how long the whole will take. When the notebook's stop
    button is pressed (or Ctrl-C), the step at hand is finished and the loop ends without an
    error, so that the code after it goes on with what there is. Pressed a second time, it
    interrupts at once.

    A loop inside another one draws nothing, since the outer bar says how far everything is. If
    the button is pressed there, the outer loop goes on through its items, and each inner loop
    makes one step only, so that every training has a result. `stop_button` does the same for
    several trainings that are not in a loop.

    Parameters
    ----------
    iterable : iterable
        What to go through, one item a training step.
    total : int, optional
        Number of items; taken from ``len(iterable)`` by default.
    description : str, default=""
        Shown before the bar.
    quiet : bool, default=False
        Whether to draw nothing, as for one training of many.

    Returns
    -------
    Stoppable
        Iterate over it; ``bar.set(loss=0.3)`` shows a running value, ``bar.last`` tells whether
        the step at hand is the last, and ``bar.stopped`` whether the loop was stopped.

    Raises
    ------
    ValueError
        If `total` is negative, or is not given and `iterable` has no length.
    TypeError
        If `description` is no text.

    Examples
    --------
    >>> losses = []
    >>> for step in (bar := stoppable(range(400), description="training")):  # doctest: +SKIP
    ...     losses.append(train_one_step())
    ...     bar.set(loss=losses[-1])
    training: 400 steps, about 12 s to go
    training  ████████████████████ 100% 400/400  loss 0.0312  12.1 s
    """
    return Stoppable(iterable, count(iterable, total), description, quiet)
