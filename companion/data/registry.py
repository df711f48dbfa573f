r"""What data there is: addresses, checksums, licences, and whom to cite.

The facts stand in ``sources.json`` beside this file, and those of the 600 recordings of spoken
digits, one a line, in ``fsdd.txt``. A file is named by the commit it was published in, so its
bytes cannot change; its SHA-256 says whether they did.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from companion._arguments import _hint

__all__ = ["DIGITS", "File", "Source", "names", "source"]

#: Where a file of a repository is served from; the second is a mirror that others run.
HOSTS = (
    "https://raw.githubusercontent.com/{repository}/{commit}/{path}",
    "https://cdn.jsdelivr.net/gh/{repository}@{commit}/{path}",
)


@dataclass(frozen=True)
class File:
    """A file of a data set."""

    name: str  # below the folder of its set
    bytes: int
    sha256: str
    rows: int  # lines, sentences, images; of a recording, samples
    addresses: tuple[str, ...]  # where it can be downloaded, in the order to try


@dataclass(frozen=True)
class Source:
    """A data set: what it is, where it comes from, and what may be done with it."""

    name: str
    title: str
    about: str
    row: str  # what a row is
    rows: Mapping[str, int]  # how many there are in each split
    licence: str
    citation: str
    repository: str  # on GitHub; empty where nothing is downloaded
    commit: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """How large all files are together."""
        return sum(file.bytes for file in self.files)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle what cannot be changed as what can."""
        return _frozen, ({**vars(self), "rows": dict(self.rows)},)


def _frozen(facts: dict[str, Any]) -> Source:
    return Source(**{**facts, "rows": MappingProxyType(facts["rows"])})


#: The one set that is installed with a dependency.
DIGITS = Source(
    name="digits",
    title="Handwritten digits, 8 × 8",
    about="carried by scikit-learn; the last 360 images are the test part",
    row="an image with its label, each pixel from 0 to 16",
    rows=MappingProxyType({"train": 1437, "test": 360}),
    licence="CC BY 4.0",
    citation="Alpaydin, E., & Kaynak, C. (1998). Optical Recognition of Handwritten Digits. "
    "UCI Machine Learning Repository.",
    repository="",
    commit="",
    files=(),
)


def names() -> list[str]:
    r"""Return the names of all data sets.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> names()[:3]
    ['chnsenticorp', 'digits', 'filmtrust']
    """
    return sorted(_registry())


def source(name: str) -> Source:
    r"""Return the facts about a data set.

    Parameters
    ----------
    name : str

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If there is no such set.

    Examples
    --------
    >>> source("wnut17").licence
    'CC BY 4.0'
    """
    known = _registry()
    if not isinstance(name, str) or name not in known:
        hint = _hint(name, known)
        raise ValueError(f"name must be one of {', '.join(names())}, got {name!r}{hint}")
    return known[name]


@cache
def _registry() -> dict[str, Source]:
    entries = json.loads(_text("sources.json"))
    return {entry["name"]: _source(entry) for entry in entries} | {DIGITS.name: DIGITS}


def _text(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _source(entry: dict[str, Any]) -> Source:
    listed = entry["files"]
    facts = _listed_by_line(listed) if isinstance(listed, str) else listed
    return Source(
        **{key: entry[key] for key in ("name", "title", "about", "row", "licence", "citation")},
        rows=MappingProxyType(entry["rows"]),
        repository=entry["repository"],
        commit=entry["commit"],
        files=tuple(_file(fact, entry) for fact in facts),
    )


def _file(fact: dict[str, Any], entry: dict[str, Any]) -> File:
    where = {**entry, "path": quote(fact["path"]), "file": quote(fact["file"])}
    hosts = [HOSTS[0], *entry.get("mirrors", []), *HOSTS[1:]]
    return File(
        name=fact["file"],
        bytes=fact["bytes"],
        sha256=fact["sha256"],
        rows=fact["rows"],
        addresses=tuple(host.format(**where) for host in hosts),
    )


def _listed_by_line(manifest: str) -> list[dict[str, Any]]:
    """Read lines of checksum, size, rows and name; the name is also the path at its source."""
    lines = [line.split() for line in _text(manifest).splitlines() if not line.startswith("#")]
    return [
        {"sha256": digest, "bytes": int(size), "rows": int(rows), "file": name, "path": name}
        for digest, size, rows, name in lines
    ]
