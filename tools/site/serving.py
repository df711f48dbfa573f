"""Serve the book while it is being written: ``python -m tools.site.serving``, or ``make serve``.

The last site is shown at once, and built first where there is none. From then on a change of a
chapter, an appendix, a translation, the bibliography or the theme is read by itself, English
first, and the pages that come out different are loaded again by the browsers that show them. A
change of the table of contents, the settings, the tools or the exercises builds the whole site.
The package and its tests are not watched: chapters hold what came out when they were last run.

What is shown stands in ``_build/.live`` and is never published. A page with a fault is not shown:
the fault is named in the terminal, and the last good page stays. Pages that only quote a changed
one, such as its title in their contents, follow when the whole book is built.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import gc
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.book import contents
from tools.pages import assets, editions, products
from tools.pages.editions import Edition
from tools.reference import indexes
from tools.site import fingerprint, one_edition, whole_site
from tools.site.news import EVERYTHING, News, make_server

READ = ("chapters/", "locale/", "benchmarks/", "index.md", "references.bib")
DRAWN = ("web/",)
WHOLE = ("_toc.yml", "_config.yml", "tools/", "exercises/", fingerprint.PACKAGES,
         fingerprint.ADDRESSES)  # fmt: skip
PAUSE = 0.3  # seconds between two looks at the sources


# -- following changes ---------------------------------------------------------------------------


class Live:
    """The book as it is served, each page as new as it can be.

    Parameters
    ----------
    root : Path
        The book's folder, in which the site has been built.
    news : News
        Told which pages have changed.
    """

    def __init__(self, root: Path, news: News):
        self.root, self.news = root, news
        self.place = root / "_build" / ".live"
        self.served = self.place / "site"
        self.faulty: dict[str, set[str]] = {each.folder: set() for each in editions.EDITIONS}

    def start(self) -> None:
        """Take the built site, and what Sphinx knows of it, to where they may be changed."""
        for edition in editions.EDITIONS:
            kept = editions.place(".doctrees", self.root, edition)
            renewed(kept, self.place / edition.folder / ".doctrees")
            parts = [each.folder for each in products.EDITION_PRODUCTS]
            built = self.root / "_build" / "html" / edition.folder
            renewed(built, self.beside(edition), shutil.ignore_patterns(*parts))
        renewed(self.root / "_build" / "html", self.served)
        self.news.tell([EVERYTHING])

    def beside(self, edition: Edition) -> Path:
        """Return the folder into which pages are written before they are shown."""
        return self.place / edition.folder / one_edition.PAGES

    def follow(self, names: set[str]) -> None:
        """Show what has changed in the sources that are named."""
        with editions.alone(self.root):
            if any(name.startswith(DRAWN) for name in names):
                editions.stage(self.root)
            for edition in editions.EDITIONS:
                start = time.monotonic()
                shown = self.read(edition)
                if shown is None:
                    print(f"{edition.name}: the last good pages stay.", file=sys.stderr)
                else:
                    self.news.tell(shown)
                    pages = [name for name in shown if name.endswith(".html")]
                    seconds = time.monotonic() - start
                    print(f"{edition.name}: {' '.join(pages) or 'no change'} ({seconds:.1f} s)")

    def read(self, edition: Edition) -> list[str] | None:
        """Build what has changed in an edition; return what is shown, or None if there is a fault.

        Pages with a fault are read each time until they are right.
        """
        faulty, read = self.faulty[edition.folder], set()
        static, modules = editions.static_folder(self.root), assets.ensure()
        try:
            failed = editions.sphinx(
                one_edition.PAGES,
                self.root,
                editions.sphinx_config(self.root, static, modules, edition),
                self.beside(edition),
                self.place / edition.folder / ".doctrees",
                everything=False,
                listeners={
                    "env-get-outdated": lambda _app, env, *_: [*faulty, *indexes.holders(env)],
                    "env-before-read-docs": lambda _app, _env, names: read.update(names),
                },
            )
        except Exception:  # whatever it is, an author is writing
            traceback.print_exc()
            failed = 1
        self.faulty[edition.folder] = faulty | read if failed else set()
        return None if failed else show(self.beside(edition), self.served, edition.folder)


def renewed(source: Path, target: Path, ignore=None) -> None:
    """Put a copy of a folder in the place of an older copy."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=ignore)


def show(new: Path, served: Path, folder: str) -> list[str]:
    """Copy the files of an edition that differ; return their addresses."""
    shown = []
    for path in sorted(p for p in new.rglob("*") if p.is_file()):
        name = f"{folder}/{path.relative_to(new).as_posix()}"
        if not (served / name).exists() or not filecmp.cmp(path, served / name, shallow=False):
            (served / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, served / name)
            shown.append(f"/{name}")
    return shown


# -- watching ------------------------------------------------------------------------------------


def look(root: Path) -> dict[str, int]:
    """Return when each source that is watched was written, by its name."""
    found = {}
    for path in fingerprint.files(root):
        with contextlib.suppress(FileNotFoundError):
            found[path.relative_to(root).as_posix()] = path.stat().st_mtime_ns
    return {name: at for name, at in found.items() if name.startswith((*READ, *DRAWN, *WHOLE))}


def differences(before: dict[str, int], now: dict[str, int]) -> set[str]:
    """Return the names of what was written, made or removed.

    >>> sorted(differences({"a": 1, "b": 1}, {"a": 2, "c": 1}))
    ['a', 'b', 'c']
    """
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


def changes(root: Path, before: dict[str, int], pause: float = PAUSE) -> Iterator[set[str]]:
    """Yield the names of what has changed, whenever something has, and is then left alone."""
    while True:
        time.sleep(pause)
        now = look(root)
        if now != before:
            now = at_rest(root, now, pause)
            yield differences(before, now)
            before = now


def at_rest(root: Path, seen: dict[str, int], pause: float) -> dict[str, int]:
    """Return how the sources stand once nobody is writing them."""
    while True:
        time.sleep(pause)
        now = look(root)
        if now == seen:
            return now
        seen = now


def can_follow(names: Iterable[str]) -> bool:
    """Tell whether Sphinx knows by itself which pages a change concerns."""
    return not any(name.startswith(WHOLE) for name in names)


def prepare(root: Path) -> bool:
    """Build the site where there is none that pages could be changed in; tell whether there is."""
    html = root / "_build" / "html"
    changed = fingerprint.changed(root, html)
    if (changed is None or not can_follow(changed)) and whole_site.build(root):
        print("The last good site stays.", file=sys.stderr)
    return (html / "index.html").exists()


def serve(root: Path, port: int) -> None:
    """Serve the book, and follow its changes until one of them needs another start."""
    live = Live(root, News())
    with make_server(live.served, live.news, port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"The book is at http://localhost:{server.server_address[1]}/ (Ctrl-C ends it)")
        try:
            keep_up(root, live)
        finally:
            server.shutdown()


def keep_up(root: Path, live: Live) -> None:
    """Show each change, until one comes that cannot be followed page by page."""
    changed = changes(root, look(root))
    is_built = prepare(root)
    if is_built:
        live.start()
        live.follow(set())
    for names in changed:
        print(f"Changed: {', '.join(sorted(names))}")
        if not (is_built and can_follow(names)):
            return
        live.follow(names)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.site.serving", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args(arguments).port
    gc.set_threshold(one_edition.SELDOM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve(contents.ROOT, port)
    except KeyboardInterrupt:
        print()
        return 0
    # What has changed may be the code of this program.
    return os.execv(
        sys.executable, [sys.executable, "-m", "tools.site.serving", "--port", str(port)]
    )


if __name__ == "__main__":
    sys.exit(main())
