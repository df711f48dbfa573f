r"""``python -m companion.training speedrun``: runs a recipe, and writes down how long it took.

This file adds: ``main``; ``race``, which lets runners take turns; ``write_record``.
"""

import argparse
import dataclasses
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import torch

from companion import data
from companion._arguments import _require_int
from companion.device import describe_device
from companion.training.history import _write_whole
from companion.training.speedrun.racing import Runner
from companion.training.speedrun.settings import RECIPES, recipe
from companion.training.speedrun.text import CONTEXT, Text, load_text

__all__ = ["main", "race", "write_record"]

#: What nanoGPT's recipe reached, measured as here: the mean over the seeds of the book's record.
TARGET = 1.9133
EVALUATION = (
    f"mean loss in nats a character over all of the validation split, in windows of {CONTEXT} "
    "characters that do not overlap"
)
DESCRIPTION = """Train a small language model on tiny Shakespeare as fast as possible, on one core
of a CPU. The clock is stopped while the loss on the validation split is measured."""
ABOUT_RECIPES = """fast (if none is named): one small block and tables of n-grams; plain: the same
without tables, in more steps; nanogpt: the recipe of nanoGPT for a CPU"""
ABOUT_RECORD = """the record, as JSON: settings, seed, seconds and losses (speedrun.json)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all is well, 1 if the run failed or was interrupted.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the command line.

    Returns
    -------
    int
    """
    chosen = _parser().parse_args(arguments)
    try:
        runners = _runners(chosen, load_text())
        with _stopped_by_signals(), _threads(chosen.threads):
            finished = race(runners, chosen.points, _say)
        write_record(chosen.out, runners)
    except (data.Unavailable, ValueError, OSError) as error:
        print(f"python -m companion.training speedrun: error: {error}", file=sys.stderr)
        return 1
    _report(runners, chosen.out)
    return 0 if finished else 1


def race(
    runners: Sequence[Runner], points: int = 8, say: Callable[[Runner], None] = lambda runner: None
) -> bool:
    r"""Let runners take their steps until all have finished; whose clock shows least is next.

    Parameters
    ----------
    runners : sequence of Runner
    points : int
        How often each measures its held-out loss, the end included.
    say : function, optional
        Is called with a runner after each of its measurements.

    Returns
    -------
    bool
        False if Ctrl-C ended the race. What was measured until then is kept.

    Raises
    ------
    TypeError, ValueError
        If ``points`` is no whole number from 1.

    Examples
    --------
    >>> from companion.training.speedrun import Settings
    >>> settings = Settings(steps=4, context=4, positions="rotary")
    >>> runner = Runner(settings, load_text("to be or not to be, " * 99))
    >>> race([runner], points=2), [point["step"] for point in runner.curve]
    (True, [2, 4])
    """
    _require_int("points", points, least=1)
    try:
        while running := [runner for runner in runners if not runner.finished]:
            runner = min(running, key=lambda each: each.seconds)
            runner.step()
            if runner.taken in _when(runner.settings.steps, points):
                runner.measure()
                say(runner)
    except KeyboardInterrupt:
        return False
    return True


def _when(steps: int, points: int) -> set[int]:
    """Return the numbers of the steps after which a loss is measured."""
    return {max(1, round(steps * (i + 1) / points)) for i in range(points)}


def write_record(path: str | os.PathLike[str], runners: Sequence[Runner]) -> None:
    r"""Write what runners have measured as JSON, whole or not at all.

    Parameters
    ----------
    path : str or Path
    runners : sequence of Runner

    Raises
    ------
    OSError
        If it cannot be written.
    """
    record = {
        "machine": f"{describe_device(torch.device('cpu'))}, {platform.machine()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": date.today().isoformat(),
        "evaluation": EVALUATION,
        "target": TARGET,
        "finished": all(runner.finished for runner in runners),
        "runs": [{"recipe": _name(runner), **runner.result()} for runner in runners],
    }
    _write_whole(Path(path), json.dumps(record, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m companion.training speedrun", description=DESCRIPTION
    )
    parser.add_argument("--recipe", choices=[*RECIPES], default="fast", help=ABOUT_RECIPES)
    parser.add_argument(
        "--both", action="store_true", help="race it side by side with nanoGPT's recipe"
    )
    of_weights = "of the first weights and the order of the data (0)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=of_weights)
    parser.add_argument("--steps", type=int, metavar="N", help="in place of the recipe's")
    in_curve = "how often the held-out loss is measured, the end included (8)"
    parser.add_argument("--points", type=int, default=8, metavar="N", help=in_curve)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (1)")
    parser.add_argument(
        "--out", type=Path, default=Path("speedrun.json"), metavar="FILE", help=ABOUT_RECORD
    )
    return parser


def _runners(chosen: argparse.Namespace, text: Text) -> list[Runner]:
    """Refuse what cannot work; two steps of each recipe go before, in which PyTorch starts up."""
    _require_int("--threads", chosen.threads, least=1)
    _require_int("--points", chosen.points, least=1)
    _require_int("--seed", chosen.seed, least=0)
    folder = chosen.out.absolute().parent
    if chosen.out.is_dir() or not os.access(folder, os.W_OK):
        raise OSError(f"--out must be a file in a folder that can be written to, got {chosen.out}")
    names = dict.fromkeys(["nanogpt", chosen.recipe] if chosen.both else [chosen.recipe])
    changed = {} if chosen.steps is None else {"steps": chosen.steps}
    settings = [dataclasses.replace(recipe(name), **changed) for name in names]
    race([Runner(dataclasses.replace(each, steps=2), text) for each in settings], points=1)
    return [Runner(each, text, chosen.seed) for each in settings]


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let what asks the process to end do what Ctrl-C does, so that the record is still written."""

    def stop(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _name(runner: Runner) -> str:
    """Return the name of a runner's recipe; the number of its steps may be another."""
    same = [
        name
        for name, settings in RECIPES.items()
        if dataclasses.replace(settings, steps=runner.settings.steps) == runner.settings
    ]
    return same[0] if same else "other"


def _say(runner: Runner) -> None:
    point = runner.curve[-1]
    print(
        f"{_name(runner):>8}  step {point['step']:>5} of {runner.settings.steps:<5} "
        f"{point['seconds']:7.2f} s  loss {point['held_out']:.4f}",
        flush=True,
    )


def _report(runners: Sequence[Runner], out: Path) -> None:
    for runner in runners:
        if runner.curve:
            said = "reached" if runner.curve[-1]["held_out"] <= TARGET else "did not reach"
            print(
                f"{_name(runner)}: loss {runner.curve[-1]['held_out']:.4f} "
                f"after {runner.seconds:.2f} s; {said} {TARGET:.4f}, nanoGPT's recipe's mean"
            )
    ended = "" if all(runner.finished for runner in runners) else ", finished: false"
    print(f"{out}{ended}")
