r"""Finding files: in a folder of yours, in the cache, or on the network.

`fetch` finds those of a data set; the weights of `companion.models` come in the same way, by
`fetch_into`. Wherever a file comes from, its SHA-256 is checked, and a download takes its place
only when it is whole.

Environment variables: ``COMPANION_DATA`` names a folder that holds sets, one folder each;
``COMPANION_CACHE`` where downloads are kept, weights included; ``COMPANION_MIRROR`` a server that
has the files as ``<mirror>/<set>/<file>``, asked first; ``COMPANION_QUIET`` forbids all messages.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from companion.data.downloading import CannotWrite, Report, download, sha256
from companion.data.registry import File, Source, source

__all__ = ["Unavailable", "addresses", "cache_folder", "fetch", "fetch_into", "locate"]

AT_ONCE = 8  # downloads of small files at the same time
_announced: set[str] = set()


class Unavailable(OSError):
    """The data are not on this machine and cannot be downloaded; the message says what to do."""


def fetch(name: str) -> dict[str, Path]:
    r"""Return where the files of a data set are, downloading them if need be.

    Looks in ``$COMPANION_DATA/<name>/``, then in the cache, then on the network.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    dict of str to Path
        By the files' names in the registry. Empty for ``digits``.

    Raises
    ------
    Unavailable
        If a file cannot be had; the message says what to do. It is an ``OSError``.
    ValueError
        If the name is unknown, or a file in ``$COMPANION_DATA`` is not the right one.
    """
    wanted = source(name)
    found = {file.name: locate(wanted, file) for file in wanted.files}
    missing = [file for file in wanted.files if found[file.name] is None]
    if missing:
        found |= _download_all(wanted, missing)
    _announce(wanted)
    return {file: path for file, path in found.items() if path is not None}


def locate(wanted: Source, file: File) -> Path | None:
    r"""Return where a file is on this machine, checked; None where it is to be downloaded.

    Parameters
    ----------
    wanted : Source
    file : File

    Returns
    -------
    Path or None

    Raises
    ------
    ValueError
        If the file in ``$COMPANION_DATA`` has another checksum. (One in the cache is replaced.)
    """
    given = _given(wanted, file)
    if given is not None and given.is_file():
        digest = sha256(given)
        if digest != file.sha256:
            raise ValueError(
                f"{given} has SHA-256 {digest}, expected {file.sha256}: it is damaged or another "
                f"version. Replace it by {file.addresses[0]}, or delete it, and it is downloaded."
            )
        return given
    kept = cache_folder() / wanted.name / file.name
    return kept if kept.is_file() and sha256(kept) == file.sha256 else None


def cache_folder(name: str = "data") -> Path:
    r"""Return the folder that downloads are kept in.

    Parameters
    ----------
    name : str
        The folder of data sets, or ``""`` for that of weights.

    Returns
    -------
    Path
        ``$COMPANION_CACHE``, if it is set; there is one for all.
    """
    named = os.environ.get("COMPANION_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch  # needed only here, where something is downloaded or was

    return Path(pooch.os_cache("large-models-companion")) / name


def addresses(wanted: Source, file: File) -> list[str]:
    r"""Return where a file can be downloaded, in the order to try.

    Parameters
    ----------
    wanted : Source
    file : File

    Returns
    -------
    list of str
        ``$COMPANION_MIRROR`` first, if it is set.
    """
    return _addresses(wanted.name, file)


def _addresses(name: str, file: File) -> list[str]:
    mirror = os.environ.get("COMPANION_MIRROR", "").rstrip("/")
    ours = [f"{mirror}/{quote(name)}/{quote(file.name)}"] if mirror else []
    return [*ours, *file.addresses]


def _given(wanted: Source, file: File) -> Path | None:
    folder = os.environ.get("COMPANION_DATA")
    return Path(folder).expanduser() / wanted.name / file.name if folder else None


# -- downloading ---------------------------------------------------------------------------------


def _download_all(wanted: Source, missing: Sequence[File]) -> dict[str, Path]:
    try:
        return fetch_into(cache_folder() / wanted.name, wanted.name, missing)
    except _Nowhere as error:
        raise Unavailable(_advice(wanted, error.file, error.reasons)) from None


class _Nowhere(Unavailable):
    """A file that no server has, and what each of them said."""

    def __init__(self, file: File, reasons: list[str]):
        super().__init__("\n".join([f"{file.name} cannot be downloaded:", *reasons]))
        self.file, self.reasons = file, reasons


def fetch_into(folder: Path, name: str, files: Sequence[File]) -> dict[str, Path]:
    r"""Download files into a folder, where they are not there yet.

    Whoever else wants them at the same time waits, and finds them there.

    Parameters
    ----------
    folder : Path
        It is made, if need be.
    name : str
        What the files are of, for mirrors and for the bar that shows how much has come.
    files : sequence of File

    Returns
    -------
    dict of str to Path
        By the files' names.

    Raises
    ------
    Unavailable
        If a file cannot be had, or the folder cannot be written to. What has come so far stays.
    """
    with _alone(folder), _bar(name, sum(file.bytes for file in files)) as report:
        if len(files) == 1:  # in this thread, so that an interrupt stops it at once
            return {files[0].name: _download(name, files[0], folder, report)}
        with _threads(len(files), report) as (pool, told):
            paths = pool.map(lambda file: _download(name, file, folder, told), files)
            return {file.name: path for file, path in zip(files, paths, strict=True)}


class _Stopped(Exception):
    """Somebody pressed stop, or another file cannot be had."""


@contextlib.contextmanager
def _threads(n: int, report: Report) -> Iterator[tuple[ThreadPoolExecutor, Report]]:
    """Give threads, and what they shall report to: at the end it stops those still at work."""
    stop = threading.Event()

    def told(n_bytes: int) -> None:
        if stop.is_set():
            raise _Stopped
        report(n_bytes)

    pool = ThreadPoolExecutor(min(AT_ONCE, n))
    try:
        yield pool, told
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _download(name: str, file: File, folder: Path, report: Report) -> Path:
    """Download one file from the first address that has it."""
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.is_file() and sha256(target) == file.sha256:
        report(file.bytes)  # somebody else was faster
        return target
    reasons = []
    for address in _addresses(name, file):
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            download(address, target, part=part, size=file.bytes, digest=file.sha256, report=report)
            return target
        except CannotWrite as error:
            raise _unusable(folder, error) from error
        except (OSError, ValueError) as error:
            reasons.append(f"  {address}: {error}")
    raise _Nowhere(file, reasons)


def _unusable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"the cache {folder} cannot be used ({error}): set COMPANION_CACHE to a folder on this "
        "machine that you may write to and that has room"
    )


def _advice(wanted: Source, file: File, reasons: list[str]) -> str:
    variable = os.environ.get("COMPANION_DATA")
    folder = Path(variable) if variable else Path("FOLDER")
    said = "" if variable else ", where FOLDER is any folder, and set COMPANION_DATA to it"
    more = (
        f" (and so for all {len(wanted.files)} files of the set)" if len(wanted.files) > 1 else ""
    )
    return "\n".join(
        [
            f"the data set {wanted.name!r} is not on this machine and cannot be downloaded:",
            *reasons,
            f"What to do: download {file.addresses[0]} ({file.bytes:,} bytes) in another way, "
            f"save it as {folder / wanted.name / file.name}{said}{more}. Or set COMPANION_MIRROR "
            f"to the address of a server that has it as {wanted.name}/{file.name}.",
        ]
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep all other threads and processes out while a folder is filled."""
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / ".lock").open("ab"))
            _lock(file)
        except OSError as error:
            raise _unusable(folder, error) from error
        yield  # closing the file, or the end of the process, opens the lock


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        while True:
            try:
                return msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            except PermissionError:  # somebody else holds it
                time.sleep(0.5)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)


# -- what is said --------------------------------------------------------------------------------


def _quiet() -> bool:
    return bool(os.environ.get("COMPANION_QUIET"))


def _announce(wanted: Source) -> None:
    """Say, once in a process, what may be done with the data, and whom to cite."""
    if not _quiet() and wanted.name not in _announced:
        print(f"{wanted.title}. Licence: {wanted.licence}.\nPlease cite: {wanted.citation}")
    _announced.add(wanted.name)


@contextlib.contextmanager
def _bar(name: str, total: int) -> Iterator[Report]:
    """Draw how many bytes have come, where it takes longer than a moment, if tqdm is there."""
    bar = None if _quiet() else _tqdm(name, total)
    if bar is None:
        yield lambda n: None
        return
    lock = threading.Lock()

    def report(n: int) -> None:
        with lock:
            bar.update(n)

    with bar:
        yield report


def _tqdm(name: str, total: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, desc=name, unit="B", unit_scale=True, file=sys.stdout, delay=0.5)
