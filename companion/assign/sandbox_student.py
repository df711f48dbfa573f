"""The process in which a submission's code runs. It never sees a hidden test.

It runs cells, tells which names they define, hands out their values as data, and calls functions
with arguments that it is given. What is right is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from companion.assign.sandbox_channel import Channel, Closed
from companion.assign.sandbox_wire import (
    Decoder,
    Encoder,
    followed,
    random_states,
    set_random_states,
)

_NOTES = 20  # attempts that are told


class OutputLimit(BaseException):
    """The cell prints too much; not an `Exception`, so that `except Exception` lets it pass."""


class Sink(io.TextIOBase):
    """Takes what is printed, counts it, and keeps nothing."""

    encoding = "utf-8"

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0
        self.buffer = self

    def write(self, text: Any) -> int:
        """Count, and stop the cell at the limit."""
        self.count += len(text)
        if self.count > self.most:
            raise OutputLimit
        return len(text)

    def writable(self) -> bool:
        """Say that this can be written to."""
        return True


# -- the notebook --------------------------------------------------------------------------------


class Otter(types.ModuleType):
    """Stands in for otter: whatever a notebook asks of it, nothing happens."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: Otter("otter")


def shell(note: Callable[[str], None]) -> InteractiveShell:
    """Return IPython's shell without history, tracebacks and programs."""
    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell.instance(config=config)

    def ignored(*args: Any, **kwargs: Any) -> None:
        note("asked to run a shell command, which was left out")

    quiet = lambda *args, **kwargs: None  # noqa: E731
    vars(made).update(showtraceback=quiet, showsyntaxerror=quiet, system=ignored)
    add: Any = made.register_magic_function
    add(quiet, "line", "matplotlib")  # figures are drawn for nobody
    for name in ("pip", "conda", "mamba", "uv", "system", "sx", "bash", "sh", "script"):
        for kind in ("line", "cell"):
            add(ignored, kind, name)
    return made


def _blank() -> None:
    """Do nothing, as a function does whose body is ``...``."""


def unwritten(value: Any) -> bool:
    """Tell whether a function is as the question gave it, with ``...`` for a body."""
    if not isinstance(value, types.FunctionType):
        return False
    said = [constant for constant in value.__code__.co_consts if not isinstance(constant, str)]
    return value.__code__.co_code[::2] == _blank.__code__.co_code[::2] and said == [None]


def describe(error: BaseException) -> dict[str, str]:
    """Return an error as text, whatever its author made of it."""
    try:
        text = str(error)[:500]
    except BaseException:
        text = ""
    return {"type": type(error).__name__[:80], "text": text}


class Notebook:
    """The submission, running: answers one request at a time."""

    def __init__(self, channel: Channel, most_output: int) -> None:
        self.channel = channel
        self.sink = Sink(most_output)
        self.objects: list[Any] = []
        self.shell = shell(self.note)
        self.notes = 0

    def note(self, what: str) -> None:
        """Tell the grader what was tried."""
        self.notes += 1
        if self.notes <= _NOTES:
            self.channel.send({"note": what[:300]})

    def serve(self) -> None:
        """Answer until the grader has gone."""
        while True:
            try:
                tree, blob = self.channel.receive()
            except KeyboardInterrupt:  # came too late for the cell it was meant for
                continue
            self.reply(tree, blob)

    def reply(self, tree: dict[str, Any], blob: bytes) -> None:
        """Do what is asked, and send what came of it."""
        try:
            encoder = Encoder(self.refer)
            decoder = Decoder(blob, self.referred, trusted=True)
            answer = {"ok": getattr(self, f"do_{tree['do']}")(tree, encoder, decoder)}
        except Closed:
            raise
        except BaseException as error:
            encoder = Encoder(self.refer)
            answer = {"error": describe(error)}
        self.channel.send(answer, bytes(encoder.blob))

    # -- references

    def refer(self, value: Any) -> dict[str, Any]:
        """Keep something that is not data, and return a reference to it."""
        if unwritten(value):
            return {"k": "ellipsis"}
        self.objects.append(value)
        return {
            "k": "remote",
            "id": len(self.objects) - 1,
            "type": type(value).__name__[:80],
            "name": str(getattr(value, "__name__", ""))[:80],
            "callable": callable(value),
        }

    def referred(self, tree: dict[str, Any]) -> Any:
        """Return what a reference of the grader's stands for."""
        if tree["k"] == "yours":
            return self.objects[tree["id"]]
        if tree["k"] == "imported":
            return getattr(importlib.import_module(tree["module"]), tree["name"])
        return lambda *args, **kwargs: self.call_back(tree["id"], args, kwargs)

    def call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the grader's."""
        encoder = Encoder(self.refer)
        request = {"call": number, "args": encoder.encode(args), "kwargs": encoder.encode(kwargs)}
        self.channel.send(request, bytes(encoder.blob))
        tree, blob = self.channel.receive()
        if "error" in tree:
            raise RuntimeError(tree["error"])
        return Decoder(blob, self.referred, trusted=True).decode(tree["ok"])

    # -- requests

    def do_cell(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Run a cell; say what went wrong."""
        self.sink.count = 0
        result = self.shell.run_cell(tree["source"], store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if error is None:
            return None
        return describe(error)

    def do_names(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Tell which names are defined."""
        return [name for name in dict.keys(self.shell.user_ns) if isinstance(name, str)]

    def do_get(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Hand out the value of a name."""
        return encoder.encode(self.shell.user_ns[tree["name"]])

    def do_attribute(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Hand out an attribute."""
        return encoder.encode(getattr(self.objects[tree["id"]], tree["name"]))

    def do_item(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Hand out an item."""
        return encoder.encode(self.objects[tree["id"]][decoder.decode(tree["key"])])

    def do_length(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Tell a length."""
        return len(self.objects[tree["id"]])

    def do_items(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Hand out all items."""
        return encoder.encode(iter(list(self.objects[tree["id"]])))

    def do_call(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Call a function, and tell what it returned and what it wrote into its arguments."""
        args, kwargs = decoder.decode(tree["args"]), decoder.decode(tree["kwargs"])
        before = self.snapshot(args)
        self.sink.count = 0
        with surroundings(decoder.decode(tree["around"])):
            result = self.objects[tree["id"]](*args, **kwargs)
            answer = {"result": encoder.encode(result), "around": encoder.encode(random_states())}
        answer["graph"] = self.graph(result, followed(args, kwargs))
        # Arguments came as copies, so what was written into them has to travel back.
        changed = self.snapshot(args) != before
        return {**answer, "args": encoder.encode(args) if changed else None}

    def graph(self, result: Any, inputs: list[torch.Tensor]) -> int | None:
        """Keep what is needed to send gradients back through a call."""
        if not (inputs and isinstance(result, torch.Tensor) and result.requires_grad):
            return None
        self.objects.append((result, inputs))
        return len(self.objects) - 1

    def do_backward(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Send a gradient back through a call that was made before."""
        result, inputs = self.objects[tree["id"]]
        gradient = decoder.decode(tree["gradient"])
        options = {"retain_graph": True, "allow_unused": True}
        return encoder.encode(torch.autograd.grad(result, inputs, gradient, **options))

    def snapshot(self, args: list[Any]) -> tuple[Any, bytes]:
        """Return arguments in a form that can be compared."""
        encoder = Encoder(lambda value: {"k": "remote", "id": id(value)})
        return encoder.encode([a for a in args if not isinstance(a, Iterator)]), bytes(encoder.blob)


@contextlib.contextmanager
def surroundings(around: dict[str, Any]) -> Iterator[None]:
    """Call as if the caller were here: with its random numbers, NumPy errors and grad mode."""
    set_random_states(around["random"])
    with np.errstate(**around["numpy errors"]), torch.set_grad_enabled(around["grad"]):
        yield
