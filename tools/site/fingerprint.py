"""What a build was made from, so that the next one knows what has changed since, if anything.

Everything in the book's folder counts that is neither hidden nor made, and so do the code that
builds it, the versions of all packages, the addresses of repository and site, and the whole books
offered for download. Contents are compared, not times.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from tools.book import addresses, contents
from tools.reference import verification_record

RECORD = ".site.json"
MADE = {"_build", "build", "dist", "__pycache__", "node_modules"}
BUILDERS = ("tools", "web", "exercises", "companion")
PACKAGES = "packages"
ADDRESSES = "addresses"
SITE = "site"


def digest(text: bytes) -> str:
    """Return a short digest."""
    return hashlib.sha256(text).hexdigest()[:16]


def files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder that are neither hidden nor made."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in MADE and is_source(f))
        yield from (Path(where, name) for name in sorted(names) if is_source(name))


def is_source(name: str) -> bool:
    """Tell whether a name is that of something written by hand."""
    return not name.startswith(".") and not name.endswith((".egg-info", ".pyc", ".tmp"))


def sources(root: Path) -> list[Path]:
    """Return the files that the site is made from.

    Of the tests, that is those to whose lines the verification report leads.
    """
    tests = root / "tests"
    cited = {root / name for name in verification_record.recording_tests(root)}
    found = [path for path in files(root) if path in cited or not path.is_relative_to(tests)]
    if root != contents.ROOT:
        found += [path for name in BUILDERS for path in files(contents.ROOT / name)]
    return found + list(files(root / "_build" / "downloads"))


def packages() -> str:
    """Return a digest of what is installed."""
    found = sorted(f"{each.name} {each.version}" for each in metadata.distributions())
    return digest("\n".join([platform.python_version(), *found]).encode())


def state(root: Path) -> dict[str, str]:
    """Return a digest of each source, by its path."""
    found = {os.path.relpath(path, root): digest(path.read_bytes()) for path in sources(root)}
    published = f"{addresses.repository(root)} {addresses.site(root)}"
    return found | {PACKAGES: packages(), ADDRESSES: digest(published.encode())}


def of_site(site: Path) -> str:
    """Return a digest of which files a site has, how large they are and when they were written."""
    stats = ((path, path.stat()) for path in sorted(site.rglob("*")) if path.is_file())
    lines = [f"{path.relative_to(site)} {s.st_size} {s.st_mtime_ns}" for path, s in stats]
    return digest("\n".join(lines).encode())


def keep(root: Path, site: Path, made_from: dict[str, str]) -> None:
    """Record what a site was made from."""
    record = {SITE: of_site(site), "made from": made_from}
    (root / "_build" / RECORD).write_text(json.dumps(record, indent=0), encoding="utf-8")


def changed(root: Path, site: Path) -> set[str] | None:
    """Return the sources that have changed since the site was built.

    Without a record, or if anybody has touched the site since, nobody can tell: None.
    """
    path = root / "_build" / RECORD
    if not path.exists() or not site.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    if record[SITE] != of_site(site):
        return None
    before, now = record["made from"], state(root)
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
