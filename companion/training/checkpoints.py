r"""Checkpoints: files from which a run goes on, whenever it was killed.

This file adds: `write_checkpoint`, `latest`, `best`, `read_checkpoint`.

A checkpoint is a pair. ``step-000123.pt`` holds the tensors; ``step-000123.json`` says how many
bytes it has, and their SHA-256. Both are first written as ``.part``, forced onto the disk, and
then renamed, the JSON last: the pair is there once that name is. Whatever moment a process is
killed at, the pair before it is whole. A file that was damaged later is found by its hash, and
passed over.
"""

import errno
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from companion._arguments import _require_int

__all__ = ["best", "latest", "read_checkpoint", "write_checkpoint"]

NAME = re.compile(r"step-(\d+)\.pt")


def write_checkpoint(
    folder: str | os.PathLike[str],
    step: int,
    content: dict[str, Any],
    about: dict[str, Any],
    keep: int = 2,
) -> Path:
    """Write a checkpoint, then remove those that are older than the newest ``keep``.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    step : int
        From 0.
    content : dict
        Tensors, numbers, texts, and lists and dicts of them: what ``torch.load`` reads with
        ``weights_only=True``.
    about : dict
        What the JSON says besides. The checkpoint with the lowest ``"held_out"`` stays, too.
    keep : int
        From 1.

    Returns
    -------
    Path
        The file with the tensors.

    Raises
    ------
    OSError
        If it cannot be written, for want of space, say. The checkpoints before are untouched, and
        no half of this one is left.
    """
    _require_int("keep", keep, least=1)
    path = Path(folder) / f"step-{_require_int('step', step, least=0):06d}.pt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = _write(path, lambda file: torch.save(content, file))
        described = {"file": path.name, "sha256": digest, "bytes": size, "step": step, **about}
        text = json.dumps(described, indent=1).encode()
        _describe(path, text)
    except OSError as error:
        raise type(error)(error.errno, _complaint(path, error), str(path)) from error
    _prune(path.parent, keep)
    return path


def _describe(path: Path, text: bytes) -> None:
    """Write the JSON, which makes the pair whole; where that fails leave no half of it."""
    try:
        _write(path.with_suffix(".json"), lambda file: file.write(text))
    except OSError:
        path.unlink(missing_ok=True)
        raise


class _Hashing:
    """A file that computes the SHA-256 of what is written to it, and remembers what went wrong.

    PyTorch writes from C++, which turns an `OSError` into an error that does not say why.
    """

    def __init__(self, file: BinaryIO):
        self.file, self.hash, self.size = file, hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
        self.hash.update(data)
        length = memoryview(data).nbytes
        self.size += length
        return length

    def flush(self) -> None:
        if self.error is None:
            self.file.flush()


def _write(path: Path, write: Callable[[Any], Any]) -> tuple[str, int]:
    """Write a file beside its place, force it onto the disk, rename it; return hash and size."""
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "wb") as file:
            hashing = _Hashing(file)
            write(hashing)
            if hashing.error is not None:
                raise hashing.error
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError:
        part.unlink(missing_ok=True)  # makes room on a full disk
        raise
    return hashing.hash.hexdigest(), hashing.size


def _sync_folder(folder: Path) -> None:
    """Force a new name onto the disk, too; Windows does so by itself."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _complaint(path: Path, error: OSError) -> str:
    why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
    kept = sorted(_steps(path.parent).values())
    good = f"the last good one stays: {kept[-1].name}" if kept else "there is none before it"
    return f"the checkpoint {path.name} could not be written: {why}; {good}"


def _steps(folder: Path) -> dict[int, Path]:
    """Return the files of a folder whose name is that of a checkpoint, by step."""
    if not folder.is_dir():
        return {}
    found = ((NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in found if match}


def _described(path: Path) -> dict[str, Any]:
    """Return what the JSON says of a checkpoint."""
    described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if not isinstance(described, dict):
        raise ValueError("its JSON is no object")
    return described


def _prune(folder: Path, keep: int) -> None:
    """Remove older checkpoints, and what killed processes left half written.

    The JSON goes first: without it a file counts as half a checkpoint, never as a damaged one.
    """
    steps = _steps(folder)
    kept = {*sorted(steps)[-keep:], _best_step(steps)}
    for step, path in steps.items():
        if step not in kept:
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    for part in folder.glob("step-*.part"):
        part.unlink(missing_ok=True)


def _best_step(steps: dict[int, Path]) -> int | None:
    losses = {step: _held_out(path) for step, path in steps.items()}
    known = {step: loss for step, loss in losses.items() if loss is not None}
    return min(known, key=lambda step: (known[step], step), default=None)


def _held_out(path: Path) -> float | None:
    try:
        return _described(path).get("held_out")
    except (OSError, ValueError):
        return None


def _fault(path: Path) -> str | None:
    """Say what is wrong with a checkpoint; None if nothing is."""
    try:
        described = _described(path)
    except FileNotFoundError:
        return "its .json is missing, so that it may be half written"
    except (OSError, ValueError) as error:
        return f"its .json cannot be read ({error})"
    if path.stat().st_size != described.get("bytes"):
        return f"it has {path.stat().st_size} bytes instead of {described.get('bytes')}"
    if _sha256(path) != described.get("sha256"):
        return "it is damaged: its SHA-256 is not what it was"
    return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def latest(folder: str | os.PathLike[str]) -> Path | None:
    """Return the newest checkpoint of a folder that is whole.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    Path or None
        The file with the tensors; None if there is no checkpoint. A half or damaged one is passed
        over, with a warning that names it.
    """
    steps = _steps(Path(folder))
    for step in sorted(steps, reverse=True):
        fault = _fault(steps[step])
        if fault is None:
            return steps[step]
        warnings.warn(f"{steps[step]} is passed over: {fault}", stacklevel=2)
    return None


def best(folder: str | os.PathLike[str]) -> Path | None:
    """Return the checkpoint of a folder with the lowest held-out loss.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    Path or None
        None if no checkpoint was made after an evaluation. Half and damaged ones do not count.
    """
    steps = _steps(Path(folder))
    return steps.get(_best_step({n: path for n, path in steps.items() if _fault(path) is None}))  # type: ignore[arg-type]


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what is in a checkpoint, its tensors on the CPU.

    Parameters
    ----------
    path : str or Path
        As `latest` and `best` return it. ``"model"`` is what ``load_state_dict`` takes.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If it is half of a checkpoint or damaged.
    FileNotFoundError
        If it is not there.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such checkpoint", str(path))
    if fault := _fault(path):
        raise ValueError(f"{path} is no whole checkpoint: {fault}")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
