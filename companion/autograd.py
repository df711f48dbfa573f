r"""Reverse-mode differentiation over NumPy arrays, made to be read.

This file adds: `Tensor`, an array that remembers how it was computed. Every operation stores,
for each of its inputs, a function that turns the gradient with respect to the output into the
gradient with respect to that input (a *vector-Jacobian product*). `Tensor.backward` walks the
graph from the result to its inputs, each node after all that use it, and adds up what arrives:
the chain rule, and nothing else (Linnainmaa 1976; Baydin et al. 2018, section 3.2).

The names are those of PyTorch, and so are the results: float64 throughout, broadcasting as in
NumPy, gradients that accumulate in ``grad`` until they are set to None. What differs: the graph
stays after `Tensor.backward`, so that it can be drawn; every tensor in it gets its ``grad``;
comparisons give NumPy's arrays; and `Tensor.max` over a dimension gives the values alone.

A gradient belongs to the numbers of the forward pass. So the arrays that a graph uses are locked:
from then on ``data`` is a copy, which may be changed. What is not noticed is a change through a
view that was taken before, as in ``row = w.data[0]; y = w * w; row[:] = 5``.
"""

from __future__ import annotations

import copy
import functools
import numbers
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Tensor", "as_tensor", "topological_order"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Pull = Callable[[Array], Array]  # from the gradient of the output to that of one input
Dim = int | Iterable[int] | None


def _or_as_in_numpy(reduction: Callable[[Tensor, Dim, bool], Tensor]) -> Callable[..., Tensor]:
    """Let a reduction be called with NumPy's names, ``axis`` and ``keepdims``, as in PyTorch."""

    @functools.wraps(reduction)
    def reduce(self: Tensor, dim: Dim = None, keepdim: bool = False, **names: Any) -> Tensor:
        if "axis" in names and dim is not None:
            raise TypeError("dim and axis are the same argument; give one of them")
        dim, keepdim = names.pop("axis", dim), names.pop("keepdims", keepdim)
        if names:
            raise TypeError(f"{reduction.__name__} has no argument {sorted(names)[0]!r}")
        if not isinstance(keepdim, bool):
            raise TypeError(f"keepdim must be True or False, got {keepdim!r}")
        return reduction(self, dim, keepdim)

    return reduce


class Tensor:
    r"""An array, and the operation that it came from.

    Parameters
    ----------
    data : array_like
        Numbers of any shape; copied, as float64.
    requires_grad : bool
        Whether `backward` shall compute the gradient with respect to this tensor.
    name : str
        What pictures of the graph call it.

    Raises
    ------
    TypeError
        If `data` is a tensor already or holds anything but real numbers, `requires_grad` is not
        True or False, or `name` is no string.

    Attributes
    ----------
    grad : ndarray or None
        The gradient after `backward`, of the tensor's shape.
    operation : str
        The operation that made it; empty for a leaf.
    inputs : tuple of Tensor
        What that operation was applied to.

    Examples
    --------
    >>> w, x = Tensor([2.0, -1.0], requires_grad=True), Tensor([3.0, 4.0])
    >>> loss = ((w * x).sum() - 1) ** 2
    >>> loss.backward()
    >>> float(loss.data), w.grad.tolist()
    (1.0, [6.0, 8.0])
    """

    # NumPy leaves `array * tensor` to us.
    __array_ufunc__ = None
    # `==` compares numbers; in a set or a dict each tensor is itself, as in PyTorch.
    __hash__ = object.__hash__

    def __init__(self, data: ArrayLike, requires_grad: bool = False, name: str = ""):
        if isinstance(data, Tensor):
            raise TypeError("data is a Tensor already; take its .data to begin a new graph")
        if not isinstance(requires_grad, bool):
            raise TypeError(f"requires_grad must be True or False, got {requires_grad!r}")
        if not isinstance(name, str):
            raise TypeError(f"name must be a string, got {name!r}")
        self._array: Array = _real_numbers("data", data)
        self.requires_grad, self.name = requires_grad, name
        self.grad: Array | None = None
        self.operation = ""
        self.inputs: tuple[Tensor, ...] = ()
        self._pulls: tuple[Pull | None, ...] = ()

    def __repr__(self) -> str:
        text = [np.array2string(self._array, separator=", ", prefix="Tensor(")]
        text += [f"operation={self.operation!r}"] if self.operation else []
        text += ["requires_grad=True"] if self.requires_grad and not self.operation else []
        text += [f"name={self.name!r}"] if self.name else []
        return f"Tensor({', '.join(text)})"

    @property
    def data(self) -> Array:
        """The numbers; a copy, once a graph needs them as they were."""
        if not self._array.flags.writeable:
            self._array = self._array.copy()
        return self._array

    @data.setter
    def data(self, data: ArrayLike) -> None:
        new = _real_numbers("data", data)
        if new.shape != self.shape:
            raise ValueError(f"data must keep its shape {self.shape}, got {new.shape}")
        self._array = new

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of its dimensions."""
        return self._array.ndim

    # -- to Python and NumPy ---------------------------------------------------------------------

    def item(self) -> float:
        """Return the number of a tensor that has only one."""
        if self._array.size != 1:
            raise ValueError(f"only a tensor of one element is a number, got shape {self.shape}")
        return float(self._array.reshape(()))

    def tolist(self) -> Any:
        """Return the numbers in lists of lists; of a single number, the number."""
        return self._array.tolist()

    def __float__(self) -> float:
        return self.item()

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a tensor without dimensions has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("a tensor without dimensions cannot be iterated over")
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self.requires_grad:
            raise TypeError("NumPy would lose the graph of this tensor; take its .data")
        return self._array.astype(dtype or np.float64)

    # -- comparisons, which have no gradient -----------------------------------------------------

    def __eq__(self, other: object) -> Mask:  # type: ignore[override]
        return _compare(np.equal, self, other)

    def __ne__(self, other: object) -> Mask:  # type: ignore[override]
        return _compare(np.not_equal, self, other)

    def __lt__(self, other: Operand) -> Mask:
        return _compare(np.less, self, other)

    def __le__(self, other: Operand) -> Mask:
        return _compare(np.less_equal, self, other)

    def __gt__(self, other: Operand) -> Mask:
        return _compare(np.greater, self, other)

    def __ge__(self, other: Operand) -> Mask:
        return _compare(np.greater_equal, self, other)

    def __contains__(self, number: Operand) -> bool:
        return bool((self == as_tensor(number)).any())

    # -- arithmetic, with broadcasting -----------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        """Return the sum."""
        other = as_tensor(other)
        return _node("+", self._array + other._array, (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other: Operand) -> Tensor:
        """Return the product, element by element."""
        a, b = self, as_tensor(other)
        x, y = a._array, b._array
        return _node("×", x * y, (a, lambda g: g * y), (b, lambda g: g * x))

    def __pow__(self, power: float) -> Tensor:
        """Return each element to a constant power."""
        if isinstance(power, bool) or not isinstance(power, numbers.Real):
            raise TypeError("power must be a number; for a tensor use (x.log() * power).exp()")
        x, n = self._array, float(power)

        def pull(g: Array) -> Array:
            return g * (n * x ** (n - 1)) if n else np.zeros(x.shape)

        return _node(f"^{n:g}", x**n, (self, pull))

    def __matmul__(self, other: Operand) -> Tensor:
        """Return the matrix product, over the last two dimensions; vectors as NumPy has them."""
        a, b = self, as_tensor(other)
        if not (a.ndim and b.ndim):
            raise ValueError(f"@ needs vectors or matrices, got shapes {a.shape} and {b.shape}")
        if b.ndim == 1:
            product = a @ b.reshape(-1, 1)
            return product.reshape(*product.shape[:-1])
        if a.ndim == 1:
            product = a.reshape(1, -1) @ b
            return product.reshape(*product.shape[:-2], product.shape[-1])
        x, y = a._array, b._array
        x_t, y_t = x.swapaxes(-1, -2), y.swapaxes(-1, -2)
        return _node("@", x @ y, (a, lambda g: g @ y_t), (b, lambda g: x_t @ g))

    def __neg__(self) -> Tensor:
        """Return the negative."""
        return self * -1.0

    def __sub__(self, other: Operand) -> Tensor:
        """Return the difference."""
        return self + -as_tensor(other)

    def __truediv__(self, other: Operand) -> Tensor:
        """Return the quotient."""
        return self * as_tensor(other) ** -1.0

    def __radd__(self, other: Operand) -> Tensor:
        """Return the sum."""
        return self + other

    def __rmul__(self, other: Operand) -> Tensor:
        """Return the product, element by element."""
        return self * other

    def __rsub__(self, other: Operand) -> Tensor:
        """Return the difference."""
        return -self + other

    def __rtruediv__(self, other: Operand) -> Tensor:
        """Return the quotient."""
        return as_tensor(other) / self

    def __rmatmul__(self, other: Operand) -> Tensor:
        """Return the matrix product."""
        return as_tensor(other) @ self

    # -- functions of each element ---------------------------------------------------------------

    def exp(self) -> Tensor:
        r"""Return :math:`e^x`."""
        out = np.exp(self._array)
        return _node("exp", out, (self, lambda g: g * out))

    def log(self) -> Tensor:
        r"""Return the natural logarithm."""
        x = self._array
        return _node("log", np.log(x), (self, lambda g: g / x))

    def tanh(self) -> Tensor:
        r"""Return the hyperbolic tangent, whose derivative is :math:`1 - \tanh^2 x`."""
        out = np.tanh(self._array)
        return _node("tanh", out, (self, lambda g: g * (1 - out**2)))

    def relu(self) -> Tensor:
        r"""Return :math:`\max(0, x)`; its derivative at 0 is taken to be 0."""
        x = self._array
        positive = x > 0
        return _node("relu", np.maximum(x, 0), (self, lambda g: np.where(positive, g, 0.0)))

    # -- over dimensions -------------------------------------------------------------------------

    @_or_as_in_numpy
    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the sum over one, several or all dimensions."""
        dims, shape = _dims(dim, self.ndim), self.shape
        out = self._array.sum(axis=dims, keepdims=keepdim)

        def pull(g: Array) -> Array:
            return np.broadcast_to(_unreduce(g, dims, keepdim), shape)

        return _node("sum", out, (self, pull))

    @_or_as_in_numpy
    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the mean over one, several or all dimensions."""
        count = np.prod([self.shape[d] for d in _dims(dim, self.ndim)])
        return self.sum(dim, keepdim) * (1 / count)

    @_or_as_in_numpy
    def max(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Return the largest element; equal ones share the gradient, as in ``torch.amax``."""
        x, dims = self._array, _dims(dim, self.ndim)
        largest = x.max(axis=dims, keepdims=True)
        winners = (x == largest) | np.isnan(x)
        out = largest if keepdim else x.max(axis=dims)

        def pull(g: Array) -> Array:
            return _unreduce(g, dims, keepdim) * winners / winners.sum(axis=dims, keepdims=True)

        return _node("max", out, (self, pull))

    amax = max  # PyTorch's name for it, where a dimension is given

    # -- shape -----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Tensor:
        """Return the same elements in another shape, given as numbers or as one tuple."""
        before, after = self.shape, _whole_numbers("shape", shape)
        if min(after, default=0) < -1:
            raise ValueError(f"shape must be at least -1, got {min(after)}")
        return _node("reshape", self._array.reshape(after), (self, lambda g: g.reshape(before)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Return it with two dimensions swapped."""
        dims = list(range(self.ndim))
        first, second = (_dims(dim, self.ndim)[0] for dim in (dim0, dim1))
        dims[first], dims[second] = second, first
        return self.permute(dims)

    def permute(self, *dims: Any) -> Tensor:
        """Return it with all dimensions in another order, given as numbers or as one tuple."""
        order = _whole_numbers("dims", dims)
        if len(order) != self.ndim:
            raise ValueError(f"dims must name all {self.ndim} dimensions, got {order}")
        order = _dims(order, self.ndim)
        back = tuple(np.argsort(order))
        out = self._array.transpose(order)
        return _node("permute", out, (self, lambda g: g.transpose(back)))

    def __getitem__(self, index: Any) -> Tensor:
        """Return a part; an element that is taken twice gets both gradients."""
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, Tensor) for part in parts):
            raise TypeError("an index must be whole numbers or a mask, got a Tensor")
        # NumPy would take a torch tensor with one entry for a number.
        parts = tuple(np.asarray(part) if hasattr(part, "__array__") else part for part in parts)
        index = parts if isinstance(index, tuple) else parts[0]
        shape, kept = self.shape, copy.deepcopy(index)  # a list or an array may be changed later

        def pull(g: Array) -> Array:
            out = np.zeros(shape)
            np.add.at(out, kept, g)
            return out

        return _node("[ ]", self._array[index], (self, pull))

    # -- the chain rule --------------------------------------------------------------------------

    def backward(self, gradient: Operand | None = None) -> None:
        r"""Add to ``grad`` of every tensor in the graph the gradient of this one.

        Parameters
        ----------
        gradient : array_like, optional
            What multiplies this tensor's elements in the quantity that is differentiated; 1 for
            a single number.

        Raises
        ------
        ValueError
            If `gradient` is missing for a tensor of several elements, or has another shape; or if
            nothing that this tensor was computed from requires a gradient.
        """
        if not self.requires_grad:
            raise ValueError("nothing in the graph has requires_grad=True")
        if gradient is None and self._array.size != 1:
            raise ValueError(f"gradient must be given for a tensor of shape {self.shape}")
        start = np.ones(self.shape) if gradient is None else as_tensor(gradient).data.copy()
        if start.shape != self.shape:
            raise ValueError(f"gradient must have shape {self.shape}, got {start.shape}")
        arrived = {id(self): start}
        for node in reversed(topological_order(self)):
            g = arrived.pop(id(node))
            if node.requires_grad:
                node.grad = np.asarray(g if node.grad is None else node.grad + g)
            for parent, pull in zip(node.inputs, node._pulls, strict=True):
                if pull:
                    part = _unbroadcast(pull(g), parent.shape)
                    arrived[id(parent)] = arrived.get(id(parent), 0.0) + part


Operand = Tensor | ArrayLike


def as_tensor(value: Operand) -> Tensor:
    """Return a tensor: the one given, or a new constant."""
    return value if isinstance(value, Tensor) else Tensor(value)


def topological_order(result: Tensor) -> list[Tensor]:
    """Return the nodes that need a gradient, every one after all of its inputs."""
    order: list[Tensor] = []
    seen: set[int] = set()
    stack = [(result, False)]
    while stack:  # without recursion, so that a deep graph is no trouble
        node, inputs_done = stack.pop()
        if inputs_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            links = zip(node.inputs, node._pulls, strict=True)
            stack.extend((parent, False) for parent, pull in links if pull)
    return order


def _node(operation: str, data: ArrayLike, *pulls: tuple[Tensor, Pull]) -> Tensor:
    """Return the result of an operation, linked to what it was applied to."""
    out = Tensor(0.0, requires_grad=any(tensor.requires_grad for tensor, _ in pulls))
    out._array = np.asarray(data)
    if out.requires_grad:
        out.operation = operation
        out.inputs = tuple(tensor for tensor, _ in pulls)
        out._pulls = tuple(pull if tensor.requires_grad else None for tensor, pull in pulls)
        for tensor in (out, *out.inputs):
            tensor._array.flags.writeable = False  # the pulls will read what is in it now
    elif out._array.base is not None:
        out._array = out._array.copy()  # it was a view of an input, which may be changed
    return out


def _unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the dimensions along which an input was repeated."""
    added = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(added)))
    repeated = tuple(i for i, size in enumerate(shape) if size == 1 != gradient.shape[i])
    return gradient.sum(axis=repeated, keepdims=True)


def _unreduce(gradient: Array, dims: tuple[int, ...], keepdim: bool) -> Array:
    """Put back the dimensions that a reduction has removed, with length 1."""
    return gradient if keepdim else np.expand_dims(gradient, dims)


def _compare(relation: np.ufunc, tensor: Tensor, other: Any) -> Any:
    """Compare with numbers; leave to Python what is to become of anything else."""
    try:
        numbers = as_tensor(other)._array
    except (TypeError, ValueError):
        return NotImplemented
    return relation(tensor._array, numbers)


# -- what is refused -----------------------------------------------------------------------------


def _real_numbers(name: str, data: ArrayLike) -> Array:
    """Return a copy as float64; NumPy would make a number of None, and of a string of digits."""
    array = np.asarray(data)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must be real numbers, got {data!r}")
    return array.astype(np.float64)


def _whole_numbers(name: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """Return whole numbers that came one by one, or as one tuple."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = tuple(values[0])
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise TypeError(f"{name} must be whole numbers, got {value!r}")
    return tuple(int(value) for value in values)


def _dims(dim: Dim, ndim: int) -> tuple[int, ...]:
    """Return dimensions, counted from the front; all of them for None or an empty tuple."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    given = _whole_numbers("dim", (dim,))
    for each in given:
        # A number without dimensions counts as one with a single one, as in PyTorch.
        if not -max(ndim, 1) <= each < max(ndim, 1):
            raise np.exceptions.AxisError(each, ndim)
    dims = tuple(each % ndim for each in given) if ndim else ()
    if len(set(dims)) < len(dims):
        raise ValueError(f"dim must name each dimension once, got {dim}")
    return dims
