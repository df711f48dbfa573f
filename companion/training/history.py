r"""What happened in a training run, step by step: numbers to look at, to plot, to keep.

This file adds: ``History``.
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from companion._arguments import _require_number, _require_text

__all__ = ["History", "Record"]

Record = dict[str, Any]


class History:
    r"""One record for each step that was taken.

    A record has ``step`` (from 1), ``loss`` (nats a target, the mean over all targets of the
    step) and the objective's terms where there are several, ``lr``, ``grad_norm`` (before
    clipping), ``tokens`` (targets so far), ``seconds`` (of training so far), ``skipped`` (True
    where float16 overflowed and the weights stayed as they were), and after an evaluation
    ``held_out``.

    Parameters
    ----------
    records : list of dict, optional
    stopped : bool
        Whether the run was stopped before its end, by the stop button or a signal.

    Examples
    --------
    >>> history = History([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5, "held_out": 1.7}])
    >>> history.column("held_out")
    array([nan, 1.7])
    >>> history.best["step"]
    2
    """

    def __init__(self, records: list[Record] | None = None, stopped: bool = False):
        self.records = [] if records is None else records
        self.stopped = stopped

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, place: int) -> Record:
        return self.records[place]

    def __repr__(self) -> str:
        last = f", loss {self[-1]['loss']:.4f}" if self.records else ""
        return f"History({len(self)} steps{last}{', stopped' if self.stopped else ''})"

    def column(self, name: str) -> np.ndarray:
        """Return one number of every record, NaN where it has none.

        Parameters
        ----------
        name : str

        Returns
        -------
        ndarray of float64

        Raises
        ------
        TypeError
            If it is no text.
        ValueError
            If there are records, and none has it.
        """
        _require_text(name, "name")
        known = {each for record in self for each in record}
        if self.records and name not in known:
            raise ValueError(f"name must be one of {sorted(known)}, got {name!r}")
        return np.array([record.get(name, math.nan) for record in self], dtype=np.float64)

    @property
    def best(self) -> Record | None:
        """The record with the lowest held-out loss; None before the first evaluation."""
        evaluated = [r for r in self if not math.isnan(r.get("held_out", math.nan))]
        return min(evaluated, key=lambda record: record["held_out"], default=None)

    @property
    def evaluations_since_best(self) -> int:
        """How many evaluations in a row have found no lower loss."""
        evaluated = [record["step"] for record in self if "held_out" in record]
        best = self.best
        return sum(step > best["step"] for step in evaluated) if best else len(evaluated)

    def plot(self, ax: Any = None, floor: float | None = None) -> Any:
        """Draw the loss over the steps, and the held-out loss.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to; by default on a new figure.
        floor : float, optional
            The lowest loss that is possible, drawn as a line.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ValueError
            If there is nothing to draw.
        """
        import matplotlib.pyplot as plt

        if not self.records:
            raise ValueError("there is nothing to draw: the history has no records")
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        steps = self.column("step")
        ax.plot(steps, self.column("loss"), label="training", linewidth=1)
        if self.best is not None:
            held_out = self.column("held_out")
            seen = ~np.isnan(held_out)
            ax.plot(steps[seen], held_out[seen], "o--", label="held out", markersize=4)
        if floor is not None:
            ax.axhline(_require_number("floor", floor), color="0.5", linestyle=":", label="floor")
        ax.set(xlabel="step", ylabel="loss (nats a target)")
        ax.legend()
        return ax

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all.

        Parameters
        ----------
        path : str or Path
        """
        text = json.dumps({"stopped": self.stopped, "records": self.records}, indent=0)
        _write_whole(Path(path), text)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "History":
        """Return what `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        History

        Raises
        ------
        ValueError
            If the file holds no history.
        """
        try:
            saved = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(list(saved["records"]), bool(saved["stopped"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} holds no history: {error!r}") from None


def _write_whole(path: Path, text: str) -> None:
    """Write a file beside, and let it take this one's place once it is whole."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
