"""Serve pages that load themselves again when they are told that they have changed.

The script that listens is added to pages while they are served; no file of the site has it.
"""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tools.site import whole_site

PATIENCE = 10  # seconds after which a browser is told that the connection still stands
EVERYTHING = "*"
EVENTS = "/.live"
SCRIPT = """<script>
new EventSource("{events}?since={since}").onmessage = (message) => {{
  const here = decodeURI(location.pathname).replace(/\\/$/, "/index.html");
  const changed = JSON.parse(message.data);
  if (changed.includes(here) || changed.includes("*")) location.reload();
}};
</script>
</body>"""


class News:
    """What has changed, and when, for all browsers that are waiting for it."""

    def __init__(self) -> None:
        self.told = threading.Condition()
        self.changes: list[tuple[int, list[str]]] = []

    def tell(self, addresses: list[str]) -> None:
        """Announce that pages have changed."""
        with self.told:
            last = self.changes[-1][0] if self.changes else 0
            self.changes.append((max(time.time_ns(), last + 1), addresses))
            self.told.notify_all()

    def since(self, moment: int, patience: float) -> list[tuple[int, list[str]]]:
        """Return the changes after a moment; wait a while if there are none yet."""

        def later() -> list[tuple[int, list[str]]]:
            return [change for change in self.changes if change[0] > moment]

        with self.told:
            self.told.wait_for(later, patience)
            return later()


class Handler(whole_site.Handler):
    """Serve pages that load themselves again when they have changed."""

    def __init__(self, *arguments, news: News, **options):
        self.news = news
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """Answer with a file, or with the stream of changes."""
        if urlsplit(self.path).path == EVENTS:
            self.stream()
        else:
            super().do_GET()

    def packed(self, path: Path) -> bytes:
        """Return a file compressed: a page with the script that listens to changes."""
        if path.suffix != ".html":
            return super().packed(path)
        script = SCRIPT.format(events=EVENTS, since=time.time_ns())
        return gzip.compress(path.read_bytes().replace(b"</body>", script.encode()), 1)

    def stream(self) -> None:
        """Send each change as it comes, until the browser leaves."""
        asked = parse_qs(urlsplit(self.path).query).get("since", ["0"])[0]
        moment = int(self.headers.get("Last-Event-ID") or asked)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                changes = self.news.since(moment, PATIENCE)
                for moment, addresses in changes:
                    self.wfile.write(f"id: {moment}\ndata: {json.dumps(addresses)}\n\n".encode())
                self.wfile.write(b"" if changes else b": waiting\n\n")
                self.wfile.flush()
        except OSError:
            return  # the browser has left


def make_server(folder: Path, news: News, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Return a server for a folder on localhost; port 0 takes a free one."""
    handler = functools.partial(Handler, directory=str(folder), news=news)
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
