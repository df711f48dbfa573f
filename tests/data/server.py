"""A server on this machine that fails in the ways that servers do, and says what it was asked."""

import contextlib
import gzip
import hashlib
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

from companion.data import registry
from companion.data.registry import File, Source

CONTENT = bytes(range(256)) * 800  # 204,800 bytes
HALF = len(CONTENT) // 2


class Server(ThreadingHTTPServer):
    """Answers each request for a path as the path's script says; the last answer is repeated."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts = {}
        self.requests = []  # (path, Range, If-Range)
        self.content = {}
        self.lock = threading.Lock()

    def address(self, path=""):
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def script(self, path, *answers, content=CONTENT):
        self.scripts[path] = list(answers)
        self.content[path] = content

    def next_answer(self, path):
        with self.lock:
            script = self.scripts.get(path, ["status 404"])
            return script.pop(0) if len(script) > 1 else script[0]

    def asked(self, path):
        """Return the ranges asked for, in order."""
        return [wanted for p, wanted, _ in self.requests if p == path]

    def handle_error(self, request, client_address):
        """Say nothing of clients that went away."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.lstrip("/")
        wanted = self.headers.get("Range")
        self.server.requests.append((path, wanted, self.headers.get("If-Range")))
        content = self.server.content.get(path, b"")
        answer, *details = self.server.next_answer(path).split()
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        getattr(self, f"answer_{answer}")(content, first, *details)

    def log_message(self, *arguments):
        pass

    # -- what a server may do --------------------------------------------------------------------

    def send(self, status, body, length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def answer_whole(self, content, first):
        self.part(content, first, len(content))

    def answer_cut(self, content, first, until):
        """Promise all from `first` on, and hang up at `until`."""
        self.part(content, first, int(until))
        self.hang_up()

    def part(self, content, first, until, tag='"one"'):
        current = self.headers.get("If-Range")
        if first and (current is None or current == tag):
            head = f"bytes {first}-{len(content) - 1}/{len(content)}"
            rest = content[first:until]
            self.send(206, rest, len(content) - first, ETag=tag, Content_Range=head)
        else:
            self.send(200, content[:until], len(content), ETag=tag)

    def hang_up(self):
        self.close_connection = True

    def answer_norange(self, content, first, until=None):
        """Know nothing of ranges; hang up at `until`."""
        self.send(200, content[: int(until)] if until else content, len(content))
        self.hang_up()

    def answer_weak(self, content, first, until=None):
        """Name the version weakly."""
        self.part(content, first, int(until) if until else len(content), tag='W/"one"')
        self.hang_up()

    def answer_changed(self, content, first):
        """Have another version of the file since."""
        self.part(content, first, len(content), tag='"two"')

    def answer_wrong(self, content, first):
        """Send other bytes of the same length."""
        self.part(bytes(len(content)), first, len(content))

    def answer_portal(self, content, first):
        """Ask for a password, as a hotel's network does, and call it a success."""
        self.send(200, b"<html>Please log in</html>")

    def answer_elsewhere(self, content, first):
        """Begin at another byte than asked."""
        head = f"bytes 7-{len(content) - 1}/{len(content)}"
        self.send(206, content[7:], Content_Range=head)

    def answer_mute(self, content, first):
        """Send a part without saying which."""
        self.send(206, content[first:])

    def answer_unsized(self, content, first, until=None):
        """Do not say how much comes."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[: int(until)] if until else content)
        self.hang_up()

    def answer_silent(self, content, first):
        """Take the question and hang up."""
        self.hang_up()

    def answer_stall(self, content, first, until):
        """Fall asleep in the middle."""
        self.part(content, first, int(until))
        time.sleep(2.0)
        self.hang_up()

    def answer_slow(self, content, first):
        """Send in small pieces."""
        self.send(200, b"", len(content), ETag='"one"')
        with contextlib.suppress(OSError):
            for i in range(0, len(content), len(content) // 20):
                self.wfile.write(content[i : i + len(content) // 20])
                self.wfile.flush()
                time.sleep(0.05)

    def answer_status(self, content, first, code, after=None):
        """Refuse; underscores in `after` stand for blanks."""
        more = {"Retry_After": after.replace("_", " ")} if after else {}
        self.send(int(code), b"no", **more)

    def answer_endless(self, content, first):
        """Do not say how much comes, and never stop."""
        self.send_response(200)
        self.end_headers()
        self.server.sent = 0
        with contextlib.suppress(OSError):
            while self.server.sent < 50_000_000:
                self.wfile.write(bytes(1 << 16))
                self.server.sent += 1 << 16
        self.hang_up()

    def answer_packed(self, content, first, until=None, kind="gzip"):
        """Compress the file on the way, whatever was asked for; do ranges of the compressed."""
        packed = gzip.compress(content) if kind.endswith("gzip") else zlib.compress(content)
        status, head = (
            (206, f"bytes {first}-{len(packed) - 1}/{len(packed)}") if first else (200, "")
        )
        body, rest = packed[first : int(until or len(packed))], len(packed) - first
        self.send(status, body, rest, Content_Encoding=kind, Content_Range=head)
        self.hang_up()

    def answer_archive(self, content, first):
        """Call a file that is an archive compressed, and send it as it is."""
        self.send(200, content, Content_Encoding="x-gzip")

    def answer_moved(self, content, first, path):
        """Say where the file is now."""
        self.send(302, b"", Location=f"/{path}")

    def answer_chunked(self, content, first):
        """Send pieces, each with its size, and not how many there are."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(content), 10_000):
            piece = content[start : start + 10_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


@contextlib.contextmanager
def running(server):
    """Let a server answer, in a thread of its own, until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# -- a data set of our own -----------------------------------------------------------------------


def toy(*addresses, name="toy", files=("a.bin",), content=CONTENT, sha256=None):
    """Return a data set with files of the same content; in an address, {} is the file's name."""
    digest = sha256 or hashlib.sha256(content).hexdigest()
    return Source(
        name=name,
        title="A toy",
        about="for tests",
        row="a byte",
        rows=MappingProxyType({"train": len(content)}),
        licence="CC0",
        citation="Nobody (2026).",
        repository="nobody/toy",
        commit="0" * 40,
        files=tuple(
            File(each, len(content), digest, len(content), tuple(a.format(each) for a in addresses))
            for each in files
        ),
    )


def register(monkeypatch, *sources):
    known = {each.name: each for each in sources}
    monkeypatch.setattr(registry, "_registry", lambda: known)
