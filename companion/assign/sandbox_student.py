"""The process in which a submission's code runs. It never sees a hidden test.

It runs cells, tells which names they define, hands out their values as data, and calls functions
with arguments that it is given. What is right is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from companion.assign.sandbox_calls import followed, random_states, set_random_states
from companion.assign.sandbox_channel import Channel, Closed
from companion.assign.sandbox_wire import AT_ONCE, Decoder, Encoder

__all__ = [
    "OutputLimit",
    "Sink",
    "Otter",
    "shell",
    "unwritten",
    "describe",
    "Notebook",
    "surroundings",
]

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
            encoder = Encoder(self.refer, AT_ONCE)
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
        """Hand out the next items, and a reference to the rest if there may be more."""
        with surroundings(decoder.decode(tree["around"])):
            items = iter(self.objects[tree["id"]])
            now = encoder.encode(list(itertools.islice(items, AT_ONCE)))
            around = encoder.encode(random_states())
        rest = self.refer(items) if len(now["v"]) == AT_ONCE else None
        return {"k": "tuple", "v": [now, around, rest]}

    def do_call(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Call a function, and tell what it returned and what it wrote into its arguments."""
        args, kwargs = decoder.decode(tree["args"]), decoder.decode(tree["kwargs"])
        given = [args, kwargs, [decoder.received[n] for n in sorted(decoder.received)]]
        before, inputs = self.snapshot(given), followed(args, kwargs)
        self.sink.count = 0
        with surroundings(decoder.decode(tree["around"])):
            result = self.objects[tree["id"]](*args, **kwargs)
            answer = [encoder.encode(result), encoder.encode(random_states())]
        # Arguments came as copies, so what was written into them has to travel back.
        changed = self.snapshot(given) != before
        answer.append(encoder.encode(given if changed else None))
        return {"k": "tuple", "v": [*answer, encoder.encode(self.graph(result, inputs))]}

    def graph(self, result: Any, inputs: list[torch.Tensor]) -> tuple[int, list[int]] | None:
        """Keep what is needed to send gradients back through a call.

        Returns
        -------
        tuple of int and list of int, or None
            The number of what was kept, and which of the tensors in the result were computed.
        """
        found = followed(result)
        known = {id(tensor) for tensor in inputs}
        places = [n for n, t in enumerate(found) if t.grad_fn is not None or id(t) in known]
        if not places:
            return None
        self.objects.append(([found[n] for n in places], inputs))
        return len(self.objects) - 1, places

    def do_backward(self, tree: dict[str, Any], encoder: Encoder, decoder: Decoder) -> Any:
        """Send gradients back through a call that was made before."""
        results, inputs = self.objects[tree["id"]]
        for tensor in inputs:  # copies that came with the call
            tensor.grad = None
        torch.autograd.backward(results, decoder.decode(tree["gradients"]), retain_graph=True)
        return encoder.encode([tensor.grad for tensor in inputs])

    def snapshot(self, given: list[Any]) -> tuple[Any, bytes]:
        """Return arguments in a form that can be compared, with iterators left as they are."""
        encoder = Encoder(lambda value: {"k": "remote", "id": id(value)}, at_once=0)
        return encoder.encode(given), bytes(encoder.blob)


@contextlib.contextmanager
def surroundings(around: dict[str, Any]) -> Iterator[None]:
    """Call as if the caller were here: with its random numbers, NumPy errors and grad mode."""
    set_random_states(around["random"])
    with np.errstate(**around["numpy errors"]), torch.set_grad_enabled(around["grad"]):
        yield
