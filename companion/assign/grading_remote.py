"""Stand-ins for what a submission defines: tests use them as if the thing itself were here."""

from __future__ import annotations

import base64
import builtins
import contextlib
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from companion.assign.sandbox import Failed, Interrupted, Sandbox, Stopped
from companion.assign.sandbox_wire import (
    Decoder,
    Encoder,
    followed,
    random_states,
    set_random_states,
)


class AnswerError(Exception):
    """An error that a submission's code raised, of a type that is not Python's own."""


class Answers:
    """The names that a submission defines, fetched when a test asks for them.

    Parameters
    ----------
    sandbox : Sandbox
        In which the submission's cells have been run.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.functions: list[Callable[..., Any]] = []
        self.quiet = False  # whether the texts of errors are kept back
        self.incidents: list[tuple[str, str]] = []
        sandbox.call_back = self.called_back

    def names(self) -> set[str]:
        """Return the names that are defined."""
        tree, _ = self.sandbox.ask({"do": "names"})
        return {name for name in tree["ok"] if isinstance(name, str)}

    def get(self, name: str) -> Any:
        """Return the value of a name: a copy of data, a stand-in for anything else."""
        return self.request({"do": "get", "name": name})

    def request(self, request: dict[str, Any], **values: Any) -> Any:
        """Send a request with values, and return the value of the answer."""
        tree, blob = self.exchange(request, **values)
        return self.decoded(tree, blob)

    def decoded(self, tree: Any, blob: bytes) -> Any:
        """Return the value of an answer, whatever may be wrong with it."""
        try:
            return Decoder(blob, self.referred).decode(tree)
        except Exception as error:
            raise AnswerError(f"the notebook sent what is no answer ({error})") from None

    def exchange(self, request: dict[str, Any], **values: Any) -> tuple[Any, bytes]:
        """Send a request with values; return the tree and bytes of the answer."""
        encoder = Encoder(self.refer)
        trees = {name: encoder.encode(value) for name, value in values.items()}
        try:
            tree, blob = self.sandbox.ask({**request, **trees}, bytes(encoder.blob))
        except Failed as error:
            text = "(its text is not shown here)" if self.quiet and error.text else error.text
            raise _as_raised(error.type_name, text) from None
        except (Stopped, Interrupted) as error:
            kind = error.kind if isinstance(error, Stopped) else "timeout"
            if kind != "stopped":  # which only says that it had been stopped before
                self.incidents.append((kind, str(error)))
            raise
        return tree["ok"], blob

    def call(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function over there, with the surroundings that there are here."""
        around = {
            "random": random_states(),
            "numpy errors": np.geterr(),
            "grad": torch.is_grad_enabled(),
        }
        request = {"do": "call", "id": number}
        tree, blob = self.exchange(request, args=list(args), kwargs=kwargs, around=around)
        result, written = (self.decoded(tree.get(name), blob) for name in ("result", "args"))
        _take_random_states(self.decoded(tree.get("around"), blob))
        if isinstance(written, list):
            for old, new in zip(args, written, strict=False):
                write_back(old, new)
        inputs, graph = followed(args, kwargs), tree.get("graph")
        if inputs and isinstance(graph, int) and isinstance(result, torch.Tensor):
            return _Across.apply(self, graph, result.detach(), *inputs)
        return result

    # -- references

    def referred(self, tree: dict[str, Any]) -> Any:
        """Return the stand-in for something that is not data."""
        if tree["k"] != "remote":
            return Remote(self, -1, str(tree.get("name", "object"))[:80])
        kind = RemoteFunction if tree["callable"] is True else Remote
        return kind(self, int(tree["id"]), str(tree["type"])[:80], str(tree["name"])[:80])

    def refer(self, value: Any) -> dict[str, Any]:
        """Return a reference to something of ours that is not data, or a pickle of it."""
        if isinstance(value, Remote):
            return {"k": "yours", "id": value._number}
        if callable(value) and not _importable(value) and not isinstance(value, torch.nn.Module):
            self.functions.append(value)
            return {"k": "mine", "id": len(self.functions) - 1}
        return {"k": "pickle", "v": base64.b64encode(pickle.dumps(value)).decode()}

    def called_back(self, tree: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        """Call a function of ours that was handed over."""
        decoder, encoder = Decoder(blob, self.referred), Encoder(self.refer)
        try:
            args, kwargs = decoder.decode(tree["args"]), decoder.decode(tree["kwargs"])
            result = self.functions[int(tree["call"])](*args, **kwargs)
            return {"ok": encoder.encode(result)}, bytes(encoder.blob)
        except Exception as error:
            return {"error": type(error).__name__}, b""


class Environment(dict[str, Any]):
    """The names that a notebook defines, each fetched when it is first asked for."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers
        self.names = answers.names()

    def __missing__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        try:
            self[name] = self.answers.get(name)
        except Exception as error:
            raise AssertionError(f"{name} could not be read: {error}") from None
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, or something else if there is none."""
        return self[name] if name in self.names else default


class Remote:
    """Something over there: its attributes, items and length can be asked for.

    It equals only itself, so that an answer cannot claim to equal everything.
    """

    def __init__(self, answers: Answers, number: int, kind: str, name: str = "") -> None:
        self._answers, self._number, self._kind = answers, number, kind
        self.__name__ = name or kind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._answers.request({"do": "attribute", "id": self._number, "name": name})

    def __getitem__(self, key: Any) -> Any:
        return self._answers.request({"do": "item", "id": self._number}, key=key)

    def __len__(self) -> int:
        return int(self._answers.request({"do": "length", "id": self._number}))

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._answers.request({"do": "items", "id": self._number}))

    def __repr__(self) -> str:
        return f"<the answer's {self._kind} {self.__name__}>"


class RemoteFunction(Remote):
    """A function, a class or another callable over there."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self._answers.call(self._number, args, kwargs)


class _Across(torch.autograd.Function):
    """Lets gradients flow back through a call that was made over there."""

    @staticmethod
    def forward(ctx: Any, answers: Answers, graph: int, result: Any, *inputs: Any) -> Any:
        ctx.answers, ctx.graph = answers, graph
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        request = {"do": "backward", "id": ctx.graph}
        return None, None, None, *ctx.answers.request(request, gradient=gradients[0])


# -- errors and side effects ---------------------------------------------------------------------


def _as_raised(name: str, text: str) -> Exception:
    """Return an error of the same type, if it is one of Python's own."""
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, Exception):
        with contextlib.suppress(Exception):  # UnicodeDecodeError, say, needs more than a text
            return known(text)
    return type(name, (AnswerError,), {})(text)


def write_back(old: Any, new: Any) -> None:
    """Put into an argument what the function over there has written into its copy."""
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray) and old.shape == new.shape:
        if old.flags.writeable and old.dtype == new.dtype:
            old[...] = new
    elif isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
        if old.shape == new.shape and old.dtype == new.dtype:
            with torch.no_grad():
                old.copy_(new)
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        if len(old) == len(new):
            for a, b in zip(old, new, strict=True):
                write_back(a, b)
        if isinstance(old, list) and isinstance(new, list) and not _holds_arrays(old):
            old[:] = new
    elif isinstance(old, dict) and isinstance(new, dict):
        old.clear()
        old.update(new)


def _holds_arrays(values: list[Any]) -> bool:
    return any(isinstance(value, (np.ndarray, torch.Tensor)) for value in values)


def _take_random_states(states: Any) -> None:
    """Go on with the random numbers where the other side has stopped, if it says so."""
    with contextlib.suppress(Exception):
        set_random_states(states)


def _importable(function: Callable[..., Any]) -> bool:
    """Say whether the other side can import a function under its name."""
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    return getattr(module, function.__name__, None) is function
