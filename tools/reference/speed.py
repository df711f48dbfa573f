"""The page *Speed*: the directive ``speed-table``, made from what ``make bench`` has recorded.

``speed-table`` with ``gpt``, ``text`` or ``attention`` has a line for each program at each task.
The role ``speed`` gives ``machine``, ``date``, ``versions`` or ``stories`` for use in a sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tools.pages import tables
from tools.pages.quoted import Quoted

RESULTS = Path("benchmarks") / "results"
RECORDS = {
    "gpt": RESULTS / "gpt_speed.json",
    "text": RESULTS / "data_speed.json",
    "attention": RESULTS / "attention_speed.json",
}
# Names of columns, and how wide each is.
COLUMNS = {"Task": 36, "Program": 18, "Milliseconds": 14, "Megabytes": 14, "Times as fast": 24}
WORK = {
    "train": "Learn {vocab_size:,} tokens from {bytes:,} bytes",
    "encode": "Encode these {bytes:,} bytes",
    "train, small": "Learn {small[vocab_size]:,} tokens from {small[characters]:,} characters",
    "encode, small": "Encode these {small[characters]:,} characters",
}


def load(root: Path, name: str) -> dict[str, Any]:
    """Return a record, by its short name."""
    record: dict[str, Any] = json.loads((root / RECORDS[name]).read_text("utf-8"))
    return record


def task(name: str, record: dict[str, Any], run: dict[str, Any]) -> str:
    """Return in words what was timed."""
    if name == "gpt":
        size, rows = record["sizes"][run["size"]], record["batch"][run["size"]]
        layers, width, length = size["n_layer"], size["n_embd"], size["n_positions"]
        return f"{layers} layers of width {width}, {rows} rows of {length} tokens"
    if name == "attention":
        return f"{run['size']:,} tokens"
    return WORK[run["task"]].format(**record["sizes"])


def shown(number: float) -> str:
    """Return a number with three digits that count, or all digits before the point.

    >>> shown(0.93), shown(17.4), shown(21466.91)
    ('0.93', '17.4', '21,467')
    """
    digits = 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:,.{digits}f}"


def ratio(measured: dict[str, Any] | None) -> str:
    """Return how many times as fast ours is, and where the middle half of the pairs lies.

    >>> ratio({"median": 1.203, "middle_half": [1.158, 1.253]})
    '1.20 (1.16–1.25)'
    """
    if measured is None:
        return ""
    low, high = measured["middle_half"]
    return f"{shown(measured['median'])} ({shown(low)}–{shown(high)})"


def lines(name: str, record: dict[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield task, program, time, memory and ratio: a line for each program at each task."""
    for run in record["runs"]:
        for program, milliseconds in run["ms"].items():
            megabytes = run.get("megabytes", {}).get(program)
            yield (
                task(name, record, run),
                program,
                shown(milliseconds),
                "" if megabytes is None else shown(megabytes),
                ratio(run["times_as_fast"].get(program)),
            )


class SpeedTable(SphinxDirective):
    """Who took how long, and how much memory, at one kind of task."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        (name,) = self.arguments
        root = Path(self.env.srcdir)
        self.env.note_dependency(str(root / RECORDS[name]))
        measured = [dict(zip(COLUMNS, line, strict=True)) for line in lines(name, load(root, name))]
        kept = [column for column in COLUMNS if any(line[column] for line in measured)]
        header = [tables.text_of(self, column) for column in kept]
        rows = [tables.row(*(self.cell(c, line[c]) for c in kept)) for line in measured]
        return [tables.table(header, rows, [COLUMNS[c] for c in kept], "speed")]

    def cell(self, column: str, text: str) -> nodes.paragraph:
        """Return a cell: tasks are in the language of the page, the rest is names and numbers."""
        return tables.text_of(self, text) if column == "Task" else tables.fixed(text or "–")


class Speed(Quoted):
    """What a sentence may say of the records."""

    RECORDS = tuple(RECORDS.values())

    def numbers(self, root: Path) -> dict[str, str]:
        """Return what is known about all records."""
        return about([load(root, name) for name in RECORDS])


def about(all_records: list[dict[str, Any]]) -> dict[str, str]:
    """Return where and when the records were made, with what, and how fast stories are drawn."""
    versions: dict[str, str] = {}
    for record in all_records:
        versions |= record["versions"] | record.get("beside", {})
    # All use one core; how many the machine had is of no matter.
    machines = {re.sub(r", \d+ threads", "", record["machine"]) for record in all_records}
    return {
        "machine": ", ".join(sorted(machines)),
        "date": ", ".join(sorted({record["date"] for record in all_records})),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "stories": "".join(f"{r['stories_a_second']:,}" for r in all_records if "stories" in r),
    }


def setup(app) -> dict:
    """Register the directive and the role with Sphinx."""
    app.setup_extension("tools.pages.tables")
    app.add_directive("speed-table", SpeedTable)
    app.add_role("speed", Speed())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
