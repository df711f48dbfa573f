r"""Reading arrays of bytes and sounds, with what their heads say checked against what is there."""

import gzip
import math
import re
import struct
import wave
from pathlib import Path

import numpy as np

from companion.data.rows import Recording

__all__ = ["idx", "recording"]


def idx(path: Path) -> np.ndarray:
    r"""Read an array of bytes in the format of MNIST.

    Two zeros, the type (8 for bytes), the number of dimensions, their sizes as big-endian
    integers of 32 bits, and the bytes.

    Parameters
    ----------
    path : Path
        Packed by gzip.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    ValueError
        If the head is another one, or there are more bytes or fewer than it says.
    """
    content = gzip.decompress(path.read_bytes())
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} must begin with 00 00 08, got {content[:3].hex(' ')}")
    head = 4 + 4 * content[3]
    if len(content) < head:
        raise ValueError(f"{path.name} ends within its head of {head} bytes")
    shape = struct.unpack(f">{content[3]}I", content[4:head])
    if len(content) - head != math.prod(shape):
        raise ValueError(
            f"{path.name} must hold {math.prod(shape):,} bytes for the shape {shape}, "
            f"got {len(content) - head:,}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape).copy()


def recording(path: Path) -> Recording:
    r"""Read a spoken digit, whose name says what it is: ``<digit>_<speaker>_<take>.wav``.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Recording

    Raises
    ------
    ValueError
        If the name says nothing, or it is not one channel of 16 bits.
    """
    named = re.fullmatch(r"(\d)_([a-z]+)_(\d+)", path.stem)
    if named is None:
        raise ValueError(f"{path.name} must be named digit_speaker_take.wav")
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(
                f"{path.name} must have one channel of 16 bits, got {file.getparams()}"
            )
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)
        if len(samples) != file.getnframes():
            raise ValueError(
                f"{path.name} must hold {file.getnframes():,} samples, got {len(samples):,}"
            )
        rate = file.getframerate()
    return Recording(samples, rate, int(named[1]), named[2], int(named[3]))
