"""What every measurement of a chapter shares: the chapter's own code, seeds, the record.

A chapter may quote what takes longer than its cells may. The number then comes from a script
here, which takes settings, model and training loop from the chapter's cells, so that what is
measured is what is printed there:

1. In the chapter, tag the cells that define the experiment (``"tags": ["recall"]``). They are run
   in order and by themselves, so they may use only one another and what the cell with the imports
   brings. Training itself stays in cells without the tag.
2. In ``benchmarks/<chapter>_<tag>.py``, name chapter and record, and say what to measure:

   .. code-block:: python

       CHAPTER = records.chapter("attention")
       RESULT = records.RESULTS / "attention_recall.json"

       def chapter_code():
           return records.chapter_code(CHAPTER, "attention-imports", "recall")

       def main():
           seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
           one = records.over_seeds(lambda seed: {"accuracy": code["train"](seed)}, seeds)
           records.write(RESULT, seeds, runs=[one])

3. Run ``python -m benchmarks.<chapter>_<tag>`` on an idle machine, keep the record, and let
   ``tests/test_benchmarks.py`` compare it with the chapter's sentence and settings, in a test with
   the mark ``@pytest.mark.chapter("attention")``.
"""

import argparse
import contextlib
import io
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import torch

from companion import device
from companion.training import stopping

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
KEPT = ROOT / "_build" / "benchmarks"


def chapter(name: str) -> Path:
    """Return where a chapter's notebook is."""
    return ROOT / "chapters" / f"{name}.ipynb"


def chapter_code(chapter: Path, import_cell: str, tag: str, **known: Any) -> dict[str, Any]:
    """Run the cells that define an experiment, and return what they define.

    Parameters
    ----------
    chapter : Path
        The notebook.
    import_cell : str
        The id of the cell with the chapter's imports, which is run with the others.
    tag : str
        What the experiment's cells are tagged with.
    **known
        What they use besides and the imports do not bring (``np=numpy``, where the chapter
        imports it elsewhere).

    Returns
    -------
    dict
        All names. What the cells print is not shown.

    Raises
    ------
    ValueError
        If the chapter has no such cell.
    """
    notebook = nbformat.read(chapter, as_version=4)
    cells = [
        cell
        for cell in notebook.cells
        if cell.id == import_cell or tag in cell.metadata.get("tags", [])
    ]
    if import_cell not in {cell.id for cell in cells} or len(cells) < 2:
        raise ValueError(f"{chapter.name} needs a cell {import_cell!r} and cells tagged {tag!r}")
    names = dict(known)
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in cells:
            exec(cell.source, names)
    return names


def over_seeds(
    run: Callable[[int], Mapping[str, float]], seeds: range
) -> dict[str, dict[str, Any]]:
    """Call `run` once a seed, its progress bar unseen, and sum up each number that it returns.

    The seconds of a run are measured and join the numbers.
    """
    rows = []
    for seed in seeds:
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), ended_by_signals():
            measured = run(seed)
        rows.append({**measured, "seconds": time.perf_counter() - start})
    return {name: summary([row[name] for row in rows]) for name in rows[0]}


def summary(values: list[float]) -> dict[str, Any]:
    """Return mean and standard deviation beside the values, rounded to 4 digits.

    Examples
    --------
    >>> summary([1.0, 2.0, 3.0])
    {'mean': 2.0, 'sd': 1.0, 'values': [1.0, 2.0, 3.0]}
    """
    rounded = [round(float(value), 4) for value in values]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {
        "mean": round(float(statistics.mean(values)), 4),
        "sd": round(float(spread), 4),
        "values": rounded,
    }


def ended_by_signals() -> contextlib.AbstractContextManager[Any]:
    """Let Ctrl-C and SIGTERM end the measurement.

    By itself `companion.training.train` stops after the step at hand and returns as if all were
    well; what it has measured until then would be kept as that of a whole run.
    """
    return mock.patch.object(stopping, "SIGNALS", ())


def kept_runs(
    name: str, cases: Iterable[Mapping[str, Any]], run: Callable[..., Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Call `run` with each case that no earlier call has finished, and return all of them.

    A line of ``_build/benchmarks/<name>.jsonl`` is a case and what was measured. It is written as
    soon as the case is finished; delete the file after a change of the experiment.
    """
    path = KEPT / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {_key(row["case"]): row for row in map(json.loads, lines)}
    rows = []
    for case in cases:
        if _key(case) not in known:
            known[_key(case)] = _measured(case, run)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[_key(case)]) + "\n")
        rows.append(known[_key(case)])
    return rows


def _key(case: Mapping[str, Any]) -> str:
    return json.dumps(case, sort_keys=True)


def _measured(case: Mapping[str, Any], run: Callable[..., Mapping[str, float]]) -> dict[str, Any]:
    """Call `run` with a case, and measure the seconds that processors worked."""
    start = time.process_time()
    with ended_by_signals():
        measured = dict(run(**case))
    return {
        "case": dict(case),
        "measured": {**measured, "cpu_seconds": time.process_time() - start},
    }


def untimed(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return runs without their seconds, which differ from machine to machine.

    Examples
    --------
    >>> untimed([{"case": {"seed": 0}, "measured": {"loss": 1.5, "cpu_seconds": 3.0}}])
    [{'case': {'seed': 0}, 'measured': {'loss': 1.5}}]
    """
    return [
        {**row, "measured": {k: v for k, v in row["measured"].items() if k != "cpu_seconds"}}
        for row in rows
    ]


def by_seed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum up the runs that differ in their seed alone: each number over the seeds.

    Examples
    --------
    >>> rows = [{"case": {"rate": 1, "seed": s}, "measured": {"loss": s / 2}} for s in (0, 1, 2)]
    >>> by_seed(rows)
    [{'rate': 1, 'loss': {'mean': 0.5, 'sd': 0.5, 'values': [0.0, 0.5, 1.0]}}]
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        case = {name: value for name, value in row["case"].items() if name != "seed"}
        groups.setdefault(json.dumps(case), []).append(row["measured"])
    return [
        json.loads(case) | {name: summary([row[name] for row in same]) for name in same[0]}
        for case, same in groups.items()
    ]


def seeds_from_command_line(description: str | None, default: int = 5) -> range:
    """Return the seeds from 0 on, as many as ``--seeds`` asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=default, help="how many seeds, from 0 on")
    return range(parser.parse_args().seeds)


def write(path: Path, seeds: range, **results: Any) -> None:
    """Write a record, and show it: machine, versions, date and seeds, then the results.

    The file is written beside and renamed, so that no half record is ever kept.
    """
    record = {
        "machine": f"{device.describe_device(device.pick_device())}, {platform.machine()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": date.today().isoformat(),
        "seeds": list(seeds),
        **results,
    }
    text = json.dumps(record, indent=1) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    print(text, end="")
