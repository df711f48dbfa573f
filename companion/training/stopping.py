r"""How a run is watched and how it is stopped.

This file adds: `heeding`, which turns Ctrl-C and SIGTERM into a wish that the loop looks at, and
`bar`, a progress bar for where there is no notebook.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from companion.training.processes import world

__all__ = ["Bar", "Wish", "bar", "heeding"]


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _own_lock() -> None:
    """Give a forked process a lock of its own for its bars.

    ``tqdm`` guards all bars by a semaphore that a forked process shares with its parent. Killed
    while it draws, the process would keep it, and the parent would wait for it for ever.
    """
    tqdm.set_lock(threading.RLock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_own_lock)


class Wish:
    """Whether the run was asked to stop; made by `heeding`."""

    def __init__(self) -> None:
        self.stop = False
        self._before = {number: _handler(number) for number in SIGNALS}
        self._around = dict(self._before)

    def listen(self) -> None:
        """Be the first to hear the signals, also after a bar has begun that listens itself."""
        if self.stop or threading.current_thread() is not threading.main_thread():
            return  # the second signal is not ours; only the main thread may listen
        for number in SIGNALS:
            if _handler(number) != self._heed:
                self._around[number] = _handler(number)
                signal.signal(number, self._heed)

    def _heed(self, number: int, frame: Any) -> None:
        self.stop = True
        signal.signal(number, self._before[signal.Signals(number)])
        around = self._around[signal.Signals(number)]
        # A stop button around this run ends what comes after it, too.
        if (
            number == signal.SIGINT
            and callable(around)
            and around is not signal.default_int_handler
        ):
            around(number, frame)
        self.let_go(number)

    def let_go(self, *numbers: int) -> None:
        """Leave the signals to whoever heard them before."""
        for number in numbers:
            if _handler(number) == self._heed:
                signal.signal(number, self._before[signal.Signals(number)])


@contextlib.contextmanager
def heeding() -> Iterator[Wish]:
    """Let Ctrl-C and SIGTERM be wishes; the second one does what it always does.

    Yields
    ------
    Wish
        Its ``stop`` becomes True.

    Examples
    --------
    >>> with heeding() as wish:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     print(wish.stop)
    True
    """
    wish = Wish()
    wish.listen()
    try:
        yield wish
    finally:
        wish.let_go(*SIGNALS)


def _handler(number: int) -> Any:
    """Return what a signal does; what was not set from Python counts as the default."""
    handler = signal.getsignal(number)
    return signal.SIG_DFL if handler is None else handler


class Bar:
    """A bar of ``tqdm`` with the two names that the loop uses; made by `bar`."""

    def __init__(self, steps: Sequence[int], description: str):
        self.steps, self.description, self.done = steps, description, 0
        self._tqdm: Any = None
        self._values: dict[str, Any] = {}

    @property
    def last(self) -> bool:
        """Whether the step at hand is the last one."""
        return self.done + 1 == len(self.steps)

    def set(self, **values: Any) -> None:
        """Show values behind the bar."""
        self._values.update(values)
        self._tqdm.set_postfix(self._values, refresh=False)

    def __iter__(self) -> Iterator[int]:
        quiet = "COMPANION_QUIET" in os.environ or world().rank > 0
        with tqdm(self.steps, desc=self.description, disable=quiet) as self._tqdm:
            for step in self._tqdm:
                yield step
                self.done += 1


def bar(steps: Sequence[int], description: str = "") -> Bar:
    """Go through the steps of a run and draw how far it is.

    Parameters
    ----------
    steps : sequence of int
    description : str

    Returns
    -------
    Bar
        Iterate over it; ``set(loss=0.3)`` shows a value, ``last`` tells whether the step at hand
        is the last. ``companion.notebook.stoppable`` has the same names. Of several processes only
        the first draws it.
    """
    return Bar(steps, description)
