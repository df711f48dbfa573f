"""Files that are whole or not there, and tables that Excel reads as they are meant."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["write", "as_csv", "rows_of"]


def write(path: Path, text: str) -> None:
    """Write a file beside its place, then rename it: it is whole, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def as_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]], absent: str = "") -> str:
    """Return a table, with `absent` where a row has no value.

    It begins with a mark without which Excel takes Chinese names for another encoding.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), absent, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return "\ufeff" + text.getvalue()


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table; none if it is not there."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
