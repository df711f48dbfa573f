"""The verification report: two directives, and the role ``verified``.

``verification-report`` lists every function; ``agreement-table`` has a line for each layer of each
family of models (`tests/test_agreement.py`). All are made from the record that ``make
verification`` keeps (`tools.reference.verification_record`); the role gives one number of it, for
use in a sentence: ``functions``, ``comparisons``, ``largest-error``, ``date``, ``machine`` or
``versions``.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tools.pages import tables
from tools.pages.quoted import Quoted
from tools.reference import verification_record

LINES = "{url}/blob/{branch}/{path}#L{first}"
LIBRARY_NAMES = {"python": "Python", "numpy": "NumPy", "torch": "PyTorch"}
WORDLESS = (verification_record.EXACT, verification_record.BEHAVIOUR)


def file_lines(repository: dict, path: str, first: int, last: int = 0) -> str:
    """Return the address of lines of a file in the repository."""
    url, branch = repository["url"].rstrip("/"), repository["branch"]
    address = LINES.format(url=url, branch=branch, path=path, first=first)
    return f"{address}-L{last}" if last > first else address


def short(error: float) -> str:
    """Return an error as it is printed.

    >>> short(0.0), short(2.2e-16), short(0.00027)
    ('0', '2.2e-16', '2.7e-04')
    """
    return f"{error:.1e}" if error else "0"


# -- numbers for sentences -----------------------------------------------------------------------


def summary(record: dict[str, Any]) -> dict[str, str]:
    """Return what a sentence may quote of the record."""
    entries = record["records"]
    in_float64 = [entry["error"] for entry in entries if entry["precision"] == "float64"]
    versions = record["versions"].items()
    return {
        "functions": f"{len({entry['name'] for entry in entries}):,}",
        "comparisons": f"{sum(entry['comparisons'] for entry in entries):,}",
        "largest-error": short(max(in_float64)),
        "date": record["date"],
        "machine": record["machine"],
        "versions": ", ".join(f"{LIBRARY_NAMES.get(name, name)} {v}" for name, v in versions),
    }


class Verified(Quoted):
    """One number of the record."""

    RECORDS = (verification_record.RECORD,)

    def numbers(self, root: Path) -> dict[str, str]:
        """Return the summary of the record."""
        return summary(verification_record.load(root / verification_record.RECORD))


# -- the report ----------------------------------------------------------------------------------


@functools.cache
def lines_of(path: Path, _changed: int) -> dict[str, int]:
    """Return the lines on which the functions and classes of a file begin."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name: node.lineno for node in ast.walk(tree) if isinstance(node, kinds)}


def test_lines(root: Path, tests: list[str]) -> Iterator[tuple[str, str, int]]:
    """Yield for each test that there still is how it is called, its file and its line."""
    for test in tests:
        path, _, name = test.partition("::")
        file = root / path
        line = lines_of(file, file.stat().st_mtime_ns).get(name) if file.exists() else None
        if line:
            yield f"{Path(path).name}:{line}", path, line


def tests_of(entries: list[dict]) -> list[str]:
    """Return the tests that made these comparisons."""
    return sorted({test for entry in entries for test in entry["tests"]})


def errors_of(entries: list[dict]) -> list[str]:
    """Return the largest error in each format of numbers, the most exact format first."""
    worst: dict[str, float] = {}
    for entry in entries:
        worst[entry["precision"]] = max(worst.get(entry["precision"], 0.0), entry["error"])
    order = sorted(worst, reverse=True)
    return [f"{short(worst[name])} ({name})" for name in order if name not in WORDLESS]


class VerificationReport(SphinxDirective):
    """For each module a section with a table: what, against what, how far apart.

    While the record is out of date, the page can be built all the same: what has another name
    since is left out. It is the tests that demand a record of everything there is.
    """

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        self.root = Path(self.env.srcdir)
        self.env.note_dependency(str(self.root / verification_record.RECORD))
        self.record = verification_record.load(self.root / verification_record.RECORD)
        self.public = verification_record.public(self.root)
        groups: dict[str, list[dict]] = {}
        for entry in self.record["records"]:
            if entry["name"] in self.public:
                groups.setdefault(self.public[entry["name"]].module, []).append(entry)
        return [self.section(module, entries) for module, entries in groups.items()]

    def section(self, module: str, entries: list[dict]) -> nodes.section:
        """Return the section of a module."""
        names = ("Function or class", "Checked against", "Largest error", "Cases", "Tests")
        header = [tables.text_of(self, name) for name in names]
        entries = sorted(entries, key=lambda entry: (entry["name"], entry["oracle"]))
        pairs = groupby(entries, key=lambda entry: (entry["name"], entry["oracle"]))
        rows = [self.row(name, oracle, list(group)) for (name, oracle), group in pairs]
        table = tables.table(header, rows, (26, 20, 23, 7, 24), "verification")
        identity = f"verified-{nodes.make_id(module)}"
        return tables.section(f"companion.{module}", table, identity=identity)

    def row(self, name: str, oracle: str, entries: list[dict]) -> nodes.row:
        """Return what a function was found to be, compared with one thing."""
        thing = self.public[name]
        address = file_lines(self.config.repository, thing.path, thing.first, thing.last)
        count = sum(entry["comparisons"] for entry in entries)
        return tables.row(
            tables.fixed(tables.external(thing.name, address, code=True)),
            self.against(oracle),
            self.errors(entries),
            tables.fixed(str(count)),
            [self.test(*test) for test in test_lines(self.root, tests_of(entries))],
        )

    def against(self, oracle: str) -> nodes.paragraph:
        """Return the other side, with its version where it is a library."""
        library = oracle.partition(".")[0].partition(",")[0]
        if library not in self.record["versions"]:
            return tables.text_of(self, oracle)
        version = self.record["versions"][library].partition("+")[0]
        return tables.fixed(tables.literal(oracle), f" {version}")

    def errors(self, entries: list[dict]) -> list[nodes.paragraph]:
        """Return the largest errors, or what there is in place of one."""
        lines = [tables.fixed(line) for line in errors_of(entries)]
        kinds = {entry["precision"] for entry in entries}
        if verification_record.EXACT in kinds:
            lines.append(tables.text_of(self, "none, all equal"))
        if verification_record.BEHAVIOUR in kinds:
            lines.append(tables.text_of(self, "behaviour, no number"))
        return lines

    def test(self, label: str, path: str, line: int) -> nodes.paragraph:
        """Return the link to a test."""
        return tables.fixed(tables.external(label, file_lines(self.config.repository, path, line)))


# -- models, layer by layer ----------------------------------------------------------------------

FORMATS = ("float64", "float32", "bfloat16")
COARSER = "*"


@dataclass(frozen=True)
class Line:
    """One layer of one model: the largest error for each format of the weights, as printed."""

    name: str
    oracle: str
    place: str
    errors: tuple[str, ...]


def agreements(records: Iterable[dict[str, Any]]) -> list[Line]:
    """Return the lines of the table, model by model, and in each from its input to its output.

    Where the other side computes in a coarser format than that of the weights, a star follows.
    """
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for entry in records:
        if match := verification_record.AGREEMENT.fullmatch(entry["detail"]):
            star = COARSER if entry["precision"] != match["format"] else ""
            cells = lines.setdefault((entry["name"], entry["oracle"], match["place"]), {})
            cells[match["format"]] = short(entry["error"]) + star
    return [
        Line(*where, tuple(cells.get(name, "") for name in FORMATS))
        for where, cells in sorted(lines.items(), key=_depth)
    ]


def _depth(item: tuple[tuple[str, str, str], Any]) -> tuple[Any, ...]:
    """Return by what a line is sorted: an encoder before its decoder, logits at the end."""
    name, oracle, place = item[0]
    number = re.search(r"\d+", place)
    return name, oracle, place == "logits", place.startswith("decoder"), int((number or [0])[0])


class AgreementTable(SphinxDirective):
    """How far each layer of each family of models is from the same layer in transformers."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        path = Path(self.env.srcdir) / verification_record.RECORD
        self.env.note_dependency(str(path))
        names = ("Model", "Layer", *(f"Weights in {name}" for name in FORMATS))
        header = [tables.text_of(self, name) for name in names]
        rows = map(self.row, agreements(verification_record.load(path)["records"]))
        return [tables.table(header, rows, (20, 26, 18, 18, 18), "agreement")]

    def row(self, line: Line) -> nodes.row:
        """Return the row of one layer."""
        name = tables.literal(line.name.rpartition(".")[2])
        errors = (tables.fixed(error) for error in line.errors)
        return tables.row(tables.fixed(name), tables.text_of(self, line.place), *errors)


def setup(app) -> dict:
    """Register the directive and the role with Sphinx."""
    app.setup_extension("tools.pages.tables")
    app.add_directive("verification-report", VerificationReport)
    app.add_directive("agreement-table", AgreementTable)
    app.add_role("verified", Verified())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
