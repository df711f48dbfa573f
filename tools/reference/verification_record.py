"""The record of what was checked against what; ``make verification`` renews it.

The tests of the package compare each public function with something from outside and note how
far apart the two were (`tests.verification`). This module knows what is public, keeps the record
in ``benchmarks/results/verification.json`` and tells where it no longer fits the tests. The page
*Verification report* is made from it.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib import metadata
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from tools.book.contents import ROOT

RECORD = Path("benchmarks") / "results" / "verification.json"
FRESH = Path("build") / "verification.json"
COMMAND = "make verification"
RECORDS = re.compile(r"^from tests.verification import|^@pytest.mark.verifies", re.MULTILINE)
TWINS = "reference"
HELPERS = "notebook"
APART = ("__pycache__",)  # what is no part of what chapters teach
PRIVATE = re.compile(r"_(?!_)")  # how the name of a module begins that nobody else imports
LIBRARIES = ("numpy", "torch", "transformers", "tokenizers", "tiktoken", "mpmath")
BEHAVIOUR = "behaviour"
EXACT = "exact"
#: How a test says where in a model, and in which format, it compares (`tests/test_agreement.py`).
AGREEMENT = re.compile(
    r"(?P<place>(?:encoder |decoder )?embeddings|(?:encoder |decoder )?layer \d+|logits), "
    r"weights in (?P<format>float64|float32|bfloat16)"
)
HEAD = re.compile(r"(?P<twin>twin: )?(?P<name>[A-Za-z_][\w.]*)(?:, | )?(?P<detail>.*)")


@dataclass(frozen=True)
class Public:
    """A public function or class, and where it stands."""

    module: str  # inside the package, such as ``reference.attention``
    name: str
    path: str
    first: int
    last: int


# -- what is public ------------------------------------------------------------------------------


def public(root: Path = ROOT) -> dict[str, Public]:
    """Return the public functions and classes of what chapters teach, by full name."""
    files = [
        path
        for path in (root / "companion").rglob("*.py")
        if path.parent.name not in APART and not PRIVATE.match(path.name)
    ]
    found = [thing for path in sorted(files) for thing in _defined_in(path, root)]
    return {f"{thing.module}.{thing.name}": thing for thing in found}


def _defined_in(path: Path, root: Path) -> Iterable[Public]:
    relative = path.relative_to(root).as_posix()
    module = relative.removeprefix("companion/").removesuffix(".py").replace("/", ".")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield Public(module, node.name, relative, node.lineno, node.end_lineno or node.lineno)


def taught(names: Iterable[str]) -> list[str]:
    """Return those of the full names that must be checked: all but the notebook's helpers."""
    return [name for name in names if not name.startswith(f"{HELPERS}.")]


def resolve(subject: str, names: Mapping[str, Public]) -> tuple[str, str]:
    """Return the full name of what a test speaks of, and the rest of what it says.

    >>> names = {name: None for name in ("activations.gelu", "reference.activations.gelu")}
    >>> resolve("gelu, tanh form", names)
    ('activations.gelu', 'tanh form')
    >>> resolve("twin: gelu", names)
    ('reference.activations.gelu', '')
    """
    match = HEAD.fullmatch(subject)
    if match is None:
        raise ValueError(f"subject must begin with a public name of companion, got {subject!r}")
    group = [n for n in names if n.startswith(f"{TWINS}.") == bool(match["twin"])]
    said = match["name"]
    for head, method in ((said, ""), said.rpartition(".")[::2]):
        fits = [name for name in group if head and f".{name}".endswith(f".{head}")]
        if len(fits) == 1:
            return fits[0], ", ".join(filter(None, (method, match["detail"])))
        if fits:
            raise ValueError(f"subject must name one of {fits}, got {subject!r}")
    raise ValueError(f"subject must begin with a public name of companion, got {subject!r}")


# -- records -------------------------------------------------------------------------------------


def key(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what makes a record the one it is."""
    return tuple(record[part] for part in ("name", "detail", "oracle", "precision"))


def combine(records: dict[tuple[str, ...], dict], new: Mapping[str, Any]) -> None:
    """Add a record to those of the same key: the largest error, all comparisons, all tests."""
    old = records.setdefault(key(new), {**new, "comparisons": 0})
    old["comparisons"] += new["comparisons"]
    old["tests"] = sorted({*old["tests"], *new["tests"]})
    for part in ("error", "tolerance"):
        old[part] = max(old[part], new[part])


def merge(parts: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict]:
    """Combine lists of records into one, sorted."""
    records: dict[tuple[str, ...], dict] = {}
    for part in parts:
        for record in part:
            combine(records, record)
    return [records[each] for each in sorted(records)]


def rounded_up(error: float) -> float:
    """Return an error with two digits, never smaller than it is.

    >>> rounded_up(1.2345e-16), rounded_up(0.0)
    (1.3e-16, 0.0)
    """
    if not error:
        return 0.0
    power = floor(log10(error)) - 1
    return float(f"{ceil(round(error / 10.0**power, 6))}e{power}")


# -- the record that is kept ---------------------------------------------------------------------


def load(path: Path = ROOT / RECORD) -> dict[str, Any]:
    """Return a record as it is stored; where no detail is kept, there is none."""
    record = json.loads(path.read_text(encoding="utf-8"))
    record["records"] = [{"detail": "", **entry} for entry in record["records"]]
    return record


def dump(record: Mapping[str, Any]) -> str:
    """Return a record as text, one comparison a line, so that a change shows as one line."""
    head = {name: value for name, value in record.items() if name != "records"}
    short = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
    kept = ({k: v for k, v in entry.items() if v != ""} for entry in record["records"])
    lines = [short(entry) for entry in kept]
    text = json.dumps({**head, "records": []}, indent=1, ensure_ascii=False)
    return text.removesuffix("]\n}") + "\n  " + ",\n  ".join(lines) + "\n ]\n}\n"


def machine() -> str:
    """Return on what the tests ran, in the words of the benchmarks."""
    from companion import device

    return f"{device.describe_device(device.pick_device())}, {platform.machine()}"


def new_record(records: list[dict]) -> dict[str, Any]:
    """Return a record of these comparisons, with today's date and versions."""
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in LIBRARIES}
    entries = [{**entry, "error": rounded_up(entry["error"])} for entry in records]
    return {
        "command": COMMAND,
        "machine": machine(),
        "versions": versions,
        "date": date.today().isoformat(),
        "records": entries,
    }


def unchecked(record: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the taught functions and classes that stand in no comparison."""
    checked = {entry["name"] for entry in record["records"]}
    return sorted(set(taught(names)) - checked)


# -- fresh and kept ------------------------------------------------------------------------------


def differences(fresh: list[dict], kept: list[dict], whole: Iterable[str]) -> list[str]:
    """Say where what tests have just noted and what is kept are not the same.

    `whole` names the files of which every test has run: only there can one say that a
    comparison is made no more.
    """
    whole = set(whole)
    ours, theirs = ({key(entry): entry for entry in entries} for entries in (fresh, kept))
    found = []
    for each in sorted({*ours, *theirs}):
        new, old = ours.get(each), theirs.get(each)
        now, then = (set(entry["tests"]) if entry else set() for entry in (new, old))
        gone = {test for test in then - now if test.partition("::")[0] in whole}
        if now - then:
            found.append(f"{_words(each)}: not in the record, from {_list(now - then)}")
        if gone:
            found.append(f"{_words(each)}: in the record, but no more in {_list(gone)}")
        if new and old and new["error"] > old["tolerance"]:
            found.append(f"{_words(each)}: off by {new['error']:.2g}, tolerance {old['tolerance']}")
    return found


def _words(each: tuple[str, ...]) -> str:
    name, detail, oracle, precision = each
    return f"{', '.join(filter(None, (name, detail)))} against {oracle} in {precision}"


def _list(tests: Iterable[str]) -> str:
    return ", ".join(sorted(tests))


def recording_tests(root: Path = ROOT) -> list[str]:
    """Return the files of tests that compare something for the record."""
    files = [path for path in root.glob("tests/**/test_*.py") if RECORDS.search(path.read_text())]
    return sorted(path.relative_to(root).as_posix() for path in files)


def main() -> int:
    """Run the package's tests and keep what they noted."""
    jobs = ["-n", os.environ.get("JOBS", "2"), "--dist", "loadfile"]
    command = [sys.executable, "-m", "pytest", "-q", *jobs, *recording_tests()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VERIFICATION": "record"}
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if status:
        return status
    record = new_record(load(ROOT / FRESH)["records"])
    (ROOT / RECORD).write_text(dump(record), encoding="utf-8")
    print(f"{len(record['records'])} kinds of comparison are kept in {RECORD}")
    for name in unchecked(record, public()):
        print(f"{name} is checked against nothing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
