"""Build the website, and serve it: ``python -m tools.site build``, ``python -m tools.site serve``.

``python -m tools.site build slides`` builds the slides alone, into the site that is there.

Jupyter Book reads ``_config.yml`` and ``_toc.yml``; the pages are laid out by the book's own theme
in ``web/theme``. Every warning is an error. The site is built beside the last one and renamed when
it is whole, so that a build that fails leaves the last good site standing.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import http.server
import io
import shutil
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.book import wheel
from tools.book.contents import ROOT
from tools.pages import editions, products
from tools.site import entrance, fingerprint, fonts, one_edition, side_by_side

SITE_PRODUCTS: list[Callable[[Path, Path], None]] = [wheel.write, fonts.trim]


# -- building ------------------------------------------------------------------------------------


def swap(new: Path, site: Path) -> None:
    """Put the new site in the old one's place."""
    old = site.with_name(".html-old")
    shutil.rmtree(old, ignore_errors=True)
    if site.exists():
        site.rename(old)
    new.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def build(root: Path = ROOT) -> int:
    """Build the site into ``_build/html``; return 0, or 1 when there was any warning.

    Where nothing has changed since the last build, it stands as it is.

    Parameters
    ----------
    root : Path
        A folder with ``_config.yml``, ``_toc.yml`` and what they name.
    """
    with editions.alone(root):
        if is_current(root):
            print(f"{root / '_build' / 'html'} is up to date: nothing has changed since its build.")
            return 0
        return build_alone(root)


def is_current(root: Path = ROOT) -> bool:
    """Tell whether the site is what a build would make: no source, tool or package has changed."""
    return fingerprint.changed(root, root / "_build" / "html") == set()


def build_alone(root: Path) -> int:
    """Build the site while nobody else builds."""
    start = time.monotonic()
    made_from = fingerprint.state(root)
    new = root / "_build" / ".html-next"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    parts = [one_edition.PAGES, *(product.builder for product in products.EDITION_PRODUCTS)]
    if build_editions(root, new, parts):
        print("The site was not built: every warning above is an error.", file=sys.stderr)
        return 1
    complete(root, new)
    site = root / "_build" / "html"
    swap(new, site)
    fingerprint.keep(root, site, made_from)
    print(f"Built {site / 'index.html'} in {time.monotonic() - start:.0f} s.")
    print("Open it with `make serve`.")
    return 0


def build_part(name: str, root: Path = ROOT) -> int:
    """Build one product alone, for each edition, into the site that is there; or begin one."""
    (product,) = (each for each in products.EDITION_PRODUCTS if each.folder == name)
    site = root / "_build" / "html"
    with editions.alone(root):
        if build_editions(root, site, [product.builder]):
            print(f"{name}: not built, every warning above is an error.", file=sys.stderr)
            return 1
        wheel.write(root, site)  # what the notebooks install
    for edition in editions.EDITIONS:
        print(f"Built {site / edition.folder / product.folder}")
    return 0


def build_editions(root: Path, site: Path, parts: list[str]) -> list[str]:
    """Build parts of all editions, side by side; return the editions that failed."""
    editions.stage(root)
    program = [sys.executable, "-m", "tools.site.one_edition"]
    commands = {
        each.folder: [*program, each.folder, str(root.resolve()), str(site.resolve()), *parts]
        for each in editions.EDITIONS
    }
    return side_by_side.run(commands, ROOT)


def complete(root: Path, site: Path) -> None:
    """Add what does not belong to one edition."""
    with ThreadPoolExecutor() as pool:  # they wait for programs of their own
        list(pool.map(lambda write: write(root, site), SITE_PRODUCTS))
    products.copy_downloads(root, site, [edition.folder for edition in editions.EDITIONS])
    entrance.write(root, site)


# -- serving -------------------------------------------------------------------------------------


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve files as a static host does: text compressed, no directory listings."""

    protocol_version = "HTTP/1.1"
    compressible = (".html", ".css", ".js", ".svg", ".json", ".txt", ".ipynb")
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".webp": "image/webp",
        ".woff2": "font/woff2",
        ".ipynb": "application/x-ipynb+json",
    }

    def send_head(self):
        """Send the headers; compress text where the browser takes it."""
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        accepts = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (accepts and path.suffix in self.compressible and path.is_file()):
            return super().send_head()
        data = self.packed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return io.BytesIO(data)

    def packed(self, path: Path) -> bytes:
        """Return a file's bytes, compressed."""
        return compressed(path, path.stat().st_mtime_ns)

    def list_directory(self, path):
        """Answer as static hosts do: a folder without an index is not there."""
        self.send_error(404)

    def send_error(self, code, message=None, explain=None):
        """Answer with the site's own page where there is nothing."""
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            super().send_error(code, message, explain)
            return
        data = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_args):
        """Keep the terminal quiet."""


@functools.lru_cache(maxsize=256)
def compressed(path: Path, _changed: int) -> bytes:
    """Return a file's bytes, compressed once per version of the file."""
    return gzip.compress(path.read_bytes(), 6)


def make_server(site: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Return a server for `site` on localhost; port 0 takes a free one."""
    handler = functools.partial(Handler, directory=str(site))
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def serve(port: int, root: Path = ROOT) -> int:
    """Serve the built site until interrupted."""
    site = root / "_build" / "html"
    if not (site / "index.html").exists():
        print("There is no site yet: run `make book` first.", file=sys.stderr)
        return 1
    with make_server(site, port) as server:
        print(f"The book is at http://localhost:{server.server_address[1]}/ (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="build the site into _build/html")
    parts = [product.folder for product in products.EDITION_PRODUCTS]
    command.add_argument("part", nargs="?", choices=parts, help="only this part of it")
    command = commands.add_parser("serve", help="serve _build/html on localhost")
    command.add_argument("--port", type=int, default=8000)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, and leaves nobody
    try:
        if options.command == "serve":
            return serve(options.port)
        return build_part(options.part) if options.part else build()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return one_edition.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
