"""Messages between the grader and a submission, over a pair of connected sockets."""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from companion.assign.sandbox_wire import LARGEST, Unreadable

__all__ = ["Closed", "Late", "Channel"]

_HEAD = struct.Struct("!QQ")


class Closed(Exception):
    """The other side has ended."""


class Late(Exception):
    """No message came in time."""


class Channel:
    """Sends and receives pairs of a tree (for JSON) and bytes.

    Parameters
    ----------
    connection : socket.socket
        One of two connected sockets.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lock = threading.Lock()

    def send(self, tree: dict[str, Any], blob: bytes = b"") -> None:
        """Send one message, whole, whichever thread asks."""
        text = json.dumps(tree).encode()
        with self._lock:
            try:
                self.connection.sendall(_HEAD.pack(len(text), len(blob)) + text)
                self.connection.sendall(blob)
            except OSError as error:
                raise Closed(str(error)) from None

    def receive(
        self, seconds: float | None = None, watch: Callable[[], None] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Wait for a message.

        Parameters
        ----------
        seconds : float, optional
            How long; for ever unless given.
        watch : callable, optional
            Called several times a second meanwhile; it may raise.

        Returns
        -------
        tuple of dict and bytes
            The message.

        Raises
        ------
        Late, Closed, Unreadable
        """
        until = None if seconds is None else time.monotonic() + seconds
        sizes = _HEAD.unpack(self._exactly(_HEAD.size, until, watch))
        if sizes[0] > LARGEST // 4 or sizes[1] > LARGEST:
            raise Unreadable("a message that is too large")
        text, blob = (self._exactly(size, until, watch) for size in sizes)
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            raise Unreadable("a message that is not JSON") from None
        if not isinstance(tree, dict):
            raise Unreadable("a message that is no table")
        return tree, blob

    def _exactly(self, size: int, until: float | None, watch: Callable[[], None] | None) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self._wait(until, watch)
            try:
                part = self.connection.recv(min(size - len(parts), 2**20))
            except OSError as error:
                raise Closed(str(error)) from None
            if not part:
                raise Closed("the other side has ended")
            parts += part
        return bytes(parts)

    def _wait(self, until: float | None, watch: Callable[[], None] | None) -> None:
        while until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise Late
            if select.select([self.connection], [], [], min(left, 0.1))[0]:
                return
            if watch:
                watch()
