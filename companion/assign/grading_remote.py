"""Stand-ins for what a submission defines: tests use them as if the thing itself were here."""

from __future__ import annotations

import builtins
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from companion.assign.grading_effects import StandIn, swapped, write_back
from companion.assign.sandbox import Failed, Interrupted, Sandbox, Stopped
from companion.assign.sandbox_calls import followed, random_states, set_random_states
from companion.assign.sandbox_wire import AT_ONCE, LONGEST, Decoder, Encoder

__all__ = ["AnswerError", "Answers", "Environment", "Remote", "RemoteFunction", "surroundings"]


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

    def encoder(self) -> Encoder:
        """Return an encoder that refers to what is not data, or pickles it."""
        made = Encoder(lambda value: self.refer(value, made))
        return made

    def exchange(
        self, request: dict[str, Any], encoder: Encoder | None = None, **values: Any
    ) -> tuple[Any, bytes]:
        """Send a request with values; return the tree and bytes of the answer."""
        encoder = encoder or self.encoder()
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
        inputs = followed(args, kwargs)  # before anything is written to them
        encoder, request = self.encoder(), {"do": "call", "id": number}
        for name, value in {"args": list(args), "kwargs": kwargs}.items():
            request[name] = encoder.encode(value)
        ours = list(encoder.sent)
        tree, blob = self.exchange(request, encoder, around=surroundings())
        result, states, written, graph = self.parts(tree, blob, 4)
        _take_random_states(states)
        if written is not None:
            write_back([list(args), kwargs, ours], written)
        return self.connected(result, graph, inputs)

    def items(self, number: int) -> tuple[list[Any], Remote | None]:
        """Return the next items of something over there, and a stand-in for the rest."""
        request = {"do": "items", "id": number}
        now, states, rest = self.parts(*self.exchange(request, around=surroundings()), 3)
        _take_random_states(states)
        return list(now), rest

    def parts(self, tree: Any, blob: bytes, number: int) -> tuple[Any, ...]:
        """Return an answer of several parts."""
        value = self.decoded(tree, blob)
        if not isinstance(value, tuple) or len(value) != number:
            raise AnswerError("the notebook sent what is no answer")
        return value

    def connected(self, result: Any, graph: Any, inputs: list[torch.Tensor]) -> Any:
        """Return a result through which gradients flow back, to arguments and to its makers."""
        if graph is None:
            return result
        number, places = graph
        found = followed(result)
        computed = [found[int(place)] for place in places]
        inputs = inputs or [torch.zeros((), requires_grad=True)]  # or nothing would flow
        plain = [tensor.detach() for tensor in computed]
        across = _Across.apply(self, int(number), len(plain), *plain, *inputs)
        return swapped(result, {id(a): b for a, b in zip(computed, across, strict=True)})

    # -- references

    def referred(self, tree: dict[str, Any]) -> Any:
        """Return the stand-in for something that is not data."""
        if tree["k"] != "remote":
            return Remote(self, -1, str(tree.get("name", "object"))[:80])
        kind = RemoteFunction if tree["callable"] is True else Remote
        return kind(self, int(tree["id"]), str(tree["type"])[:80], str(tree["name"])[:80])

    def refer(self, value: Any, to: Encoder) -> dict[str, Any]:
        """Return a reference to something of ours that is not data, or a pickle of it."""
        if isinstance(value, Remote):
            return {"k": "yours", "id": value._number}
        if callable(value) and not isinstance(value, torch.nn.Module) and not _importable(value):
            self.functions.append(value)
            return {"k": "mine", "id": len(self.functions) - 1}
        pickled: dict[str, Any] = to.pickled(value)
        return pickled

    def called_back(self, tree: dict[str, Any], blob: bytes) -> tuple[dict[str, Any], bytes]:
        """Call a function of ours that was handed over."""
        decoder, encoder = Decoder(blob, self.referred), self.encoder()
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


class Remote(StandIn):
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
        """Yield the items, fetched some at a time: they may never end."""
        rest: Remote | None = self
        for _ in range(LONGEST // AT_ONCE):
            if rest is None:
                return
            now, rest = self._answers.items(rest._number)
            yield from now
        raise AnswerError(f"an iterator must end before {LONGEST} items")

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
    def forward(ctx: Any, answers: Answers, graph: int, number: int, *tensors: Any) -> Any:
        ctx.answers, ctx.graph, ctx.inputs = answers, graph, len(tensors) - number
        return tensors[:number]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        request = {"do": "backward", "id": ctx.graph}
        found = list(ctx.answers.request(request, gradients=list(gradients)))
        found += [None] * (ctx.inputs - len(found))
        return None, None, None, *[None] * len(gradients), *found


# -- errors and side effects ---------------------------------------------------------------------


def _as_raised(name: str, text: str) -> Exception:
    """Return an error of the same type, if it is one of Python's own."""
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, Exception):
        with contextlib.suppress(Exception):  # UnicodeDecodeError, say, needs more than a text
            return known(text)
    return type(name, (AnswerError,), {})(text)


def surroundings() -> dict[str, Any]:
    """Return what a call depends on besides its arguments."""
    return {
        "random": random_states(),
        "numpy errors": np.geterr(),
        "grad": torch.is_grad_enabled(),
    }


def _take_random_states(states: Any) -> None:
    """Go on with the random numbers where the other side has stopped, if it says so."""
    with contextlib.suppress(Exception):
        set_random_states(states)


def _importable(function: Callable[..., Any]) -> bool:
    """Say whether the other side can import a function under its name."""
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    return getattr(module, getattr(function, "__name__", ""), None) is function
