"""Values on their way between the grader and a submission: as data, never as pickles.

A submission is not trusted, so what comes from it is decoded into numbers, text, arrays and
containers of these, and nothing else. Whatever is not data stays where it is, and a reference
travels in its place. (What the *grader* sends may be a pickle, because it can be trusted.)
"""

from __future__ import annotations

import base64
import collections
import decimal
import importlib
import io
import itertools
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch

__all__ = ["LARGEST", "LONGEST", "AT_ONCE", "Unreadable", "Encoder", "Decoder"]

LARGEST = 64 * 2**20  # bytes of a message
DEEPEST = 40  # containers in containers
LONGEST = 1_000_000  # what an iterator may yield
AT_ONCE = 100  # what an iterator of a submission yields in one message
MODULES = {"companion", "math", "cmath", "numpy", "torch", "random", "fractions", "itertools"}

Tree = Any  # what JSON can hold


class Unreadable(Exception):
    """A message that says nothing, or too much."""


# -- encoding ------------------------------------------------------------------------------------


class Encoder:
    """Turns values into a tree for JSON and the bytes of its arrays.

    `refer` is asked for a tree in place of whatever is not data; an iterator with more than
    `at_once` items sends these, and a reference to the rest. An array or tensor that occurs
    twice is sent once, so that it is one over there, too.
    """

    def __init__(self, refer: Callable[[Any], Tree], at_once: int = LONGEST) -> None:
        self.refer = refer
        self.at_once = at_once
        self.blob = bytearray()
        self.sent: list[Any] = []  # arrays and tensors
        self._numbers: dict[int, int] = {}

    def encode(self, value: Any, depth: int = 0) -> Tree:
        """Return the tree of a value."""
        if depth > DEEPEST:
            raise ValueError("value must not be nested that deeply, nor hold itself")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str(value)
        for kinds, encoding in _ENCODINGS:
            if isinstance(value, kinds):
                return encoding(self, value, depth)
        return self.refer(value)

    def items(self, values: Any, depth: int) -> list[Tree]:
        """Return the trees of several values."""
        return [self.encode(value, depth + 1) for value in values]

    def once(self, value: Any, tree: Callable[[], dict[str, Any]]) -> Tree:
        """Return the tree of an array or tensor, or where it occurs again, its number."""
        if id(value) in self._numbers:
            return {"k": "again", "n": self._numbers[id(value)]}
        number = self._numbers[id(value)] = len(self.sent)
        self.sent.append(value)
        return {**tree(), "n": number}

    def pickled(self, value: Any) -> Tree:
        """Return a pickle, for trusting receivers; its arrays and tensors travel like others."""
        file = io.BytesIO()
        _Pickler(file, self).dump(value)
        return {"k": "pickle", "v": base64.b64encode(file.getvalue()).decode()}

    def store(self, raw: bytes) -> list[int]:
        """Keep bytes, and return where they are."""
        if len(self.blob) + len(raw) > LARGEST:
            raise ValueError(f"values must not take more than {LARGEST >> 20} MB together")
        self.blob += raw
        return [len(self.blob) - len(raw), len(raw)]


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, to: Encoder) -> None:
        super().__init__(file)
        self.to = to

    def persistent_id(self, value: Any) -> Tree:
        """Return a tree in place of a tensor, so that a model and its optimiser share it."""
        return self.to.encode(value) if isinstance(value, (np.ndarray, torch.Tensor)) else None


def _integer(_: Encoder, value: int, depth: int) -> Tree:
    if value.bit_length() > 12_000:
        raise ValueError("a whole number must not have thousands of digits")
    return int(value)


def _array(to: Encoder, value: np.ndarray | np.generic, depth: int) -> Tree:
    array = np.asarray(value)
    if array.dtype.kind == "O":
        return {"k": "objects", "shape": array.shape, "v": to.items(array.ravel(), depth)}
    if array.dtype.kind not in "biufcUS":
        return to.refer(value)
    tree = {"dtype": array.dtype.str, "shape": array.shape}
    if not isinstance(value, np.ndarray):
        return {"k": "scalar", **tree, "at": to.store(array.tobytes())}
    return to.once(value, lambda: {"k": "array", **tree, "at": to.store(array.tobytes())})


def _tensor(to: Encoder, value: torch.Tensor, depth: int) -> Tree:
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return to.refer(value)
    plain = value.detach().resolve_conj().resolve_neg().cpu()
    plain = plain.clone(memory_format=torch.contiguous_format)  # also where strides are 0
    return to.once(
        value,
        lambda: {
            "k": "tensor",
            "dtype": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
            "at": to.store(plain.reshape(-1).view(torch.uint8).numpy().tobytes()),
            "requires_grad": bool(value.requires_grad),
            "parameter": isinstance(value, torch.nn.Parameter),
            "grad": to.encode(value.grad, depth + 1) if value.is_leaf else None,
        },
    )


def _mapping(to: Encoder, value: dict[Any, Any], depth: int) -> Tree:
    pairs = [[to.encode(k, depth + 1), to.encode(v, depth + 1)] for k, v in dict.items(value)]
    return {"k": "dict", "v": pairs}


def _iterator(to: Encoder, value: Iterator[Any], depth: int) -> Tree:
    now = to.items(itertools.islice(value, to.at_once), depth)
    if len(now) == LONGEST:
        raise ValueError(f"an iterator must end before {LONGEST} items")
    rest = to.refer(value) if len(now) == to.at_once else None  # it may never end
    return {"k": "iterator", "v": now, "rest": rest}


def _sequence(kind: str) -> Callable[[Encoder, Any, int], Tree]:
    return lambda to, value, depth: {"k": kind, "v": to.items(value, depth)}


def _numbers(kind: str, *names: str) -> Callable[[Encoder, Any, int], Tree]:
    """Return an encoding by some attributes."""

    def encoding(to: Encoder, value: Any, depth: int) -> Tree:
        return {"k": kind, "v": to.items((getattr(value, name) for name in names), depth)}

    return encoding


_ENCODINGS: tuple[tuple[Any, Callable[[Encoder, Any, int], Tree]], ...] = (
    ((np.ndarray, np.generic), _array),
    (torch.Tensor, _tensor),
    (int, _integer),
    (float, lambda to, value, depth: float(value)),
    (complex, _numbers("complex", "real", "imag")),
    (Fraction, _numbers("fraction", "numerator", "denominator")),
    (decimal.Decimal, lambda to, value, depth: {"k": "decimal", "v": str(value)}),
    (bytes, lambda to, value, depth: {"k": "bytes", "at": to.store(bytes(value))}),
    (range, _numbers("range", "start", "stop", "step")),
    (slice, _numbers("slice", "start", "stop", "step")),
    (list, _sequence("list")),
    (collections.deque, _sequence("list")),
    (tuple, _sequence("tuple")),
    (frozenset, _sequence("frozenset")),
    (set, _sequence("set")),
    (dict, _mapping),
    (type({}.keys()), _sequence("list")),
    (type({}.values()), _sequence("list")),
    (type({}.items()), _sequence("list")),
    (types.EllipsisType, lambda to, value, depth: {"k": "ellipsis"}),
    (torch.dtype, lambda to, value, depth: {"k": "dtype", "v": str(value)}),
    (np.dtype, lambda to, value, depth: {"k": "numpy dtype", "v": value.str}),
    (types.GeneratorType, _iterator),
    ((map, filter, zip, enumerate, type(iter([]))), _iterator),
    ((itertools.chain, itertools.count, itertools.cycle, itertools.islice), _iterator),
    (types.ModuleType, lambda to, value, depth: {"k": "module", "v": value.__name__}),
)


# -- decoding ------------------------------------------------------------------------------------


class Decoder:
    """Turns a tree and its bytes back into values; strict, because anybody may have written them.

    `referred` is asked for the value of a reference. Pickles are opened for `trusted` senders only.
    """

    def __init__(
        self, blob: bytes, referred: Callable[[dict[str, Any]], Any], trusted: bool = False
    ) -> None:
        self.blob = blob
        self.referred = referred
        self.trusted = trusted
        self.received: dict[int, Any] = {}  # arrays and tensors, by number

    def decode(self, tree: Tree) -> Any:
        """Return the value of a tree."""
        if not isinstance(tree, dict):
            if isinstance(tree, list):
                raise Unreadable("a list without a kind")
            return tree
        kind = tree["k"]
        if kind == "pickle" and self.trusted:
            return _Unpickler(io.BytesIO(base64.b64decode(tree["v"])), self).load()
        if kind == "again":
            return self.received[int(tree["n"])]
        if kind in _CONTAINERS:
            return _CONTAINERS[kind](self.items(tree["v"]))
        if kind in _DECODINGS:
            return _DECODINGS[kind](self, tree)
        return self.referred(tree)

    def items(self, trees: list[Tree]) -> list[Any]:
        """Return the values of several trees."""
        return [self.decode(tree) for tree in trees]

    def bytes_at(self, place: list[int]) -> bytes:
        """Return bytes that were stored."""
        start, length = place
        if start < 0 or length < 0 or start + length > len(self.blob):
            raise Unreadable("bytes that are not there")
        return self.blob[start : start + length]

    def array(self, tree: dict[str, Any]) -> np.ndarray:
        """Return an array, whose type must be one of plain numbers or text."""
        dtype = np.dtype(str(tree["dtype"]))
        if dtype.kind not in "biufcUS" or dtype.hasobject:
            raise Unreadable(f"an array of {dtype}")
        flat = np.frombuffer(self.bytes_at(tree["at"]), dtype=dtype)
        value = flat.reshape([int(n) for n in tree["shape"]]).copy()
        if "n" in tree:
            self.received[int(tree["n"])] = value
        return value

    def tensor(self, tree: dict[str, Any]) -> torch.Tensor:
        """Return a tensor, on the CPU."""
        dtype = getattr(torch, str(tree["dtype"]))
        if not isinstance(dtype, torch.dtype):
            raise Unreadable(f"a tensor of {dtype}")
        raw = torch.from_numpy(np.frombuffer(self.bytes_at(tree["at"]), dtype=np.uint8).copy())
        value = raw.view(dtype).reshape([int(n) for n in tree["shape"]])
        value.requires_grad_(bool(tree["requires_grad"]))
        if tree["parameter"]:
            value = torch.nn.Parameter(value, requires_grad=value.requires_grad)
        self.received[int(tree["n"])] = value
        value.grad = self.decode(tree["grad"])
        return value

    def objects(self, tree: dict[str, Any]) -> np.ndarray:
        """Return an array of Python objects."""
        array = np.empty(len(tree["v"]), dtype=object)
        array[:] = self.items(tree["v"])
        return array.reshape([int(n) for n in tree["shape"]])


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, decoder: Decoder) -> None:
        super().__init__(file)
        self.decoder = decoder

    def persistent_load(self, tree: Tree) -> Any:
        """Return the array or tensor that travelled outside of the pickle."""
        return self.decoder.decode(tree)


def _iterated(decoder: Decoder, tree: dict[str, Any]) -> Iterator[Any]:
    """Return an iterator over the items that came, and over the rest, fetched when asked for."""
    now = decoder.items(tree["v"])
    return iter(now) if tree["rest"] is None else itertools.chain(now, decoder.decode(tree["rest"]))


def _module(decoder: Decoder, tree: dict[str, Any]) -> Any:
    """Return our own module of that name, if it is one that we know."""
    name = str(tree["v"])
    if name.partition(".")[0] not in MODULES:
        return decoder.referred({"k": "unknown", "name": f"module {name[:80]}"})
    return sys.modules.get(name) or importlib.import_module(name)


def _dtype(decoder: Decoder, tree: dict[str, Any]) -> Any:
    dtype = getattr(torch, str(tree["v"]).removeprefix("torch."))
    if not isinstance(dtype, torch.dtype):
        raise Unreadable("no dtype")
    return dtype


_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "complex": lambda parts: complex(*parts),
    "fraction": lambda parts: Fraction(*parts),
    "range": lambda parts: range(*parts),
    "slice": lambda parts: slice(*parts),
}
_DECODINGS: dict[str, Callable[[Decoder, dict[str, Any]], Any]] = {
    "dict": lambda d, tree: {d.decode(k): d.decode(v) for k, v in tree["v"]},
    "array": Decoder.array,
    "scalar": lambda d, tree: d.array(tree)[()],
    "tensor": Decoder.tensor,
    "objects": Decoder.objects,
    "iterator": _iterated,
    "bytes": lambda d, tree: d.bytes_at(tree["at"]),
    "decimal": lambda d, tree: decimal.Decimal(str(tree["v"])[:5000]),
    "ellipsis": lambda d, tree: ...,
    "dtype": _dtype,
    "numpy dtype": lambda d, tree: np.dtype(str(tree["v"])),
    "module": _module,
}
