r"""One file over HTTP, which goes on where a broken download stopped.

Bytes go into a file of their own, the part. Whatever cuts the connection, what came so far is
kept, and the next request asks only for the rest (``Range``; ``If-Range`` makes sure that it is
the rest of the same file: RFC 9110, section 13.1.5). Never more is read than the file has bytes.
Only a part with the right checksum is renamed, so that nobody ever sees half a file.
"""

import contextlib
import hashlib
import os
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["CannotWrite", "Interrupted", "Report", "download", "sha256"]

ATTEMPTS = 4  # in a row that bring nothing new
PAUSE = 0.5  # seconds before the second attempt; twice as long before each further one
TIMEOUT = 10.0  # seconds without an answer
PATIENCE = 60.0  # seconds that a server may ask for between two attempts
REST = 60.0  # seconds in which a server that was out of reach is not asked again
CHUNK = 1 << 16
AGAIN = {408, 425, 429, 500, 502, 503, 504}  # answers that may be another one soon

Report = Callable[[int], None]
_lost: dict[str, float] = {}  # ways to servers out of reach, and when that was found
_met: set[str] = set()  # ways on which a server has answered


class Interrupted(OSError):
    """A download that failed, for a reason that may be gone at the next attempt."""

    wait = 0.0  # seconds that the server asked for


class CannotWrite(OSError):
    """The bytes cannot be kept on this machine: no other server would help."""


def download(
    address: str,
    target: Path,
    *,
    part: Path,
    size: int,
    digest: str,
    report: Report = lambda n: None,
) -> None:
    r"""Download a file, in several attempts if need be.

    Parameters
    ----------
    address : str
        ``http://`` or ``https://``.
    target : Path
        Where the file shall stand. It appears there whole, or not at all.
    part : Path
        Where its bytes are gathered; what an earlier attempt left there is used.
    size : int
        How many bytes it has.
    digest : str
        Its SHA-256.
    report : function of an int, optional
        Told of each piece how many bytes came; of bytes thrown away, as a negative number.

    Raises
    ------
    CannotWrite
        If the disk is full, or the folder cannot be written to.
    OSError
        If it cannot be had from there; what came so far stays in ``part``.
    ValueError
        If what came is another file.
    """
    transfer = _Transfer(address, part, size, report)
    most, failures, spoilt = 0, 0, 0
    while True:
        resumed = transfer.have
        try:
            transfer.go_on()
        except Interrupted as error:
            failures = failures + 1 if transfer.have <= most else 1
            most = max(most, transfer.have)
            if failures == ATTEMPTS:
                raise
            time.sleep(max(PAUSE * 2 ** (failures - 1), error.wait))
            continue
        if transfer.have == size and sha256(part) == digest:
            with _writing(target):
                os.replace(part, target)
            return
        transfer.begin_anew()
        spoilt += not resumed  # a part of something else is no reason to doubt the server
        if spoilt == 2:  # bytes may be spoilt on their way, but hardly twice
            raise ValueError(f"what came is another file: its SHA-256 is not {digest}")


def sha256(path: Path) -> str:
    r"""Return a file's SHA-256.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class _Transfer:
    """The part of a file that has come so far, and how to get more of it."""

    def __init__(self, address: str, part: Path, size: int, report: Report):
        self.address, self.part, self.size, self.report = address, part, size, report
        self.tag = ""  # the server's name for the version that the part belongs to
        report(self.have)

    @property
    def have(self) -> int:
        """How many bytes have come."""
        return self.part.stat().st_size if self.part.exists() else 0

    def begin_anew(self) -> None:
        """Throw the part away."""
        self.report(-self.have)
        self.part.unlink(missing_ok=True)

    def go_on(self) -> None:
        """Fetch what is missing."""
        if self.have >= self.size:
            return
        with _open(self.address, self.have, self.tag) as response:
            first = _first_byte(response, self.size)
            if first != self.have:  # the server cannot resume, or has another version now
                self.begin_anew()
            if first != self.have:
                raise OSError(f"the server sent bytes from {first} on, asked for the whole file")
            self.tag = response.headers.get("ETag", "")
            coded = _is_coded(response, self.size)
            if coded and first:
                self.begin_anew()
                raise Interrupted("the server went on with a compressed copy of the file")
            self._append(_unpacked(response) if coded else iter(lambda: _read(response), b""))
        if self.have > self.size:
            self.begin_anew()
            raise ValueError(f"the file there has more than {self.size:,} bytes")
        if self.have < self.size:
            raise Interrupted(f"the connection was cut after {self.have:,} of {self.size:,} bytes")

    def _append(self, pieces: Iterator[bytes]) -> None:
        have = self.have
        with _writing(self.part), self.part.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                self.report(len(piece))
                have += len(piece)
                if have > self.size:  # it need not have said how much it sends, nor ever end
                    return


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell what goes wrong on the disk from what goes wrong on the way."""
    try:
        yield
    except (Interrupted, CannotWrite):
        raise
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written ({error.strerror or error})") from error


@contextlib.contextmanager
def _open(address: str, have: int, tag: str) -> Iterator[HTTPResponse]:
    """Ask for the bytes from `have` on."""
    headers = {"User-Agent": "large-models-companion", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag and not tag.startswith("W/"):  # a weak tag does not promise the same bytes
            headers["If-Range"] = tag
    # Proxies are asked for anew: a notebook may name one after a first attempt in vain.
    proxies = urllib.request.getproxies()
    way = f"{urlsplit(address).netloc} {proxies}"
    if time.monotonic() - _lost.get(way, -REST) < REST:
        raise OSError("the server was out of reach a moment ago")
    request = urllib.request.Request(address, headers=headers)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
        response = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        _met.add(way)
        raise _refusal(error) from None
    except urllib.error.URLError as error:
        said = f"the server is out of reach ({error.reason})"
        if way in _met:  # it was there before, so it may be back soon
            raise Interrupted(said) from None
        _lost[way] = time.monotonic()
        raise OSError(said) from None
    except InvalidURL as error:  # of the file or of a proxy; it will not be another one soon
        raise OSError(f"the address cannot be used ({error})") from None
    except (OSError, HTTPException) as error:
        raise Interrupted(f"the connection was cut ({error!r})") from None
    _met.add(way)
    with response:
        yield response


def _refusal(error: urllib.error.HTTPError) -> OSError:
    said = f"the server said {error.code} {error.reason}"
    asked = error.headers.get("Retry-After", "")
    error.close()
    if error.code not in AGAIN:
        return OSError(said)
    again = Interrupted(said)
    again.wait = min(max(_seconds(asked), 0.0), PATIENCE)
    return again


def _seconds(asked: str) -> float:
    """Read a ``Retry-After``: a number of seconds, or a date."""
    if asked.isdecimal():
        return float(asked)
    try:
        return (parsedate_to_datetime(asked) - datetime.now(timezone.utc)).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def _first_byte(response: HTTPResponse, size: int) -> int:
    """Return from which byte on the server sends; refuse a file of another size at once."""
    first, total = _place(response)
    if total is not None and total != size and not _is_coded(response, size):
        raise ValueError(f"the file there has {total:,} bytes, expected {size:,}")
    return first


def _place(response: HTTPResponse) -> tuple[int, int | None]:
    """Return from which byte on the server sends, and the size of all, if it says so."""
    if response.status != 206:
        first, total = "0", response.headers.get("Content-Length", "")
    elif found := re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "")
    ):
        first, total = found.groups()
    else:
        raise OSError("the server sent a part of the file and did not say which")
    return int(first), int(total) if total.isdecimal() else None


# -- what comes ----------------------------------------------------------------------------------


def _is_coded(response: HTTPResponse, size: int) -> bool:
    """Tell whether a server sends the file compressed, although it was asked not to.

    A file that is an archive may be called so as well: it is sent as it is, in its own size.
    """
    coding = response.headers.get("Content-Encoding", "").lower()
    return coding in ("gzip", "x-gzip", "deflate") and _place(response)[1] != size


def _unpacked(response: HTTPResponse) -> Iterator[bytes]:
    """Yield a compressed file as it was before."""
    unpacker = zlib.decompressobj(wbits=47)  # of gzip or of zlib
    while chunk := _read(response):
        while chunk:
            try:
                piece = unpacker.decompress(chunk, CHUNK)  # a little file may unpack to a huge one
            except zlib.error as error:
                raise Interrupted(f"the compressed copy is damaged ({error})") from None
            chunk = unpacker.unconsumed_tail
            if piece:
                yield piece


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, HTTPException) as error:
        raise Interrupted(f"the connection was cut ({error!r})") from None
