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
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import torch

from companion import device

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


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
        with contextlib.redirect_stdout(io.StringIO()):
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
