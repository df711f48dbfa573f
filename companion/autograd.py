r"""Reverse-mode differentiation over NumPy arrays, made to be read.

This file adds: `Tensor`, an array that remembers how it was computed. Every operation stores,
for each of its inputs, a function that turns the gradient with respect to the output into the
gradient with respect to that input (a *vector-Jacobian product*). `Tensor.backward` walks the
graph from the result to its inputs, each node after all that use it, and adds up what arrives:
the chain rule, and nothing else (Linnainmaa 1976; Baydin et al. 2018, section 3.2).

The names are those of PyTorch, and so are the results: float64 throughout, broadcasting as in
NumPy, gradients that accumulate in ``grad`` until they are set to None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Tensor", "as_tensor", "topological_order"]

Array = NDArray[np.float64]
Pull = Callable[[Array], Array]  # from the gradient of the output to that of one input


class Tensor:
    r"""An array, and the operation that it came from.

    Parameters
    ----------
    data : array_like
        Numbers of any shape; kept as float64.
    requires_grad : bool
        Whether `backward` shall compute the gradient with respect to this tensor.
    name : str
        What pictures of the graph call it.

    Attributes
    ----------
    data : ndarray
        The numbers.
    grad : ndarray or None
        Their gradient after `backward`, of the same shape.
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

    def __init__(self, data: ArrayLike, requires_grad: bool = False, name: str = ""):
        if isinstance(data, Tensor):
            raise TypeError("data is a Tensor already; take its .data to begin a new graph")
        self.data: Array = np.asarray(data, dtype=np.float64)
        self.requires_grad, self.name = requires_grad, name
        self.grad: Array | None = None
        self.operation = ""
        self.inputs: tuple[Tensor, ...] = ()
        self._pulls: tuple[Pull, ...] = ()

    def __repr__(self) -> str:
        made = f", operation={self.operation!r}" if self.operation else ""
        return f"Tensor({self.data}{made})"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of its dimensions."""
        return self.data.ndim

    # -- arithmetic, with broadcasting -----------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        """Return the sum."""
        other = as_tensor(other)
        return _node("+", self.data + other.data, (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other: Operand) -> Tensor:
        """Return the product, element by element."""
        a, b = self, as_tensor(other)
        return _node("×", a.data * b.data, (a, lambda g: g * b.data), (b, lambda g: g * a.data))

    def __pow__(self, power: float) -> Tensor:
        """Return each element to a constant power."""
        if isinstance(power, Tensor):
            raise TypeError("power must be a number; for a tensor use (x.log() * power).exp()")
        slope = power * self.data ** (power - 1) if power else np.zeros(self.shape)
        return _node(f"^{power:g}", self.data**power, (self, lambda g: g * slope))

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
        a_t, b_t = a.data.swapaxes(-1, -2), b.data.swapaxes(-1, -2)
        return _node("@", a.data @ b.data, (a, lambda g: g @ b_t), (b, lambda g: a_t @ g))

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
        out = np.exp(self.data)
        return _node("exp", out, (self, lambda g: g * out))

    def log(self) -> Tensor:
        r"""Return the natural logarithm."""
        return _node("log", np.log(self.data), (self, lambda g: g / self.data))

    def tanh(self) -> Tensor:
        r"""Return the hyperbolic tangent, whose derivative is :math:`1 - \tanh^2 x`."""
        out = np.tanh(self.data)
        return _node("tanh", out, (self, lambda g: g * (1 - out**2)))

    def relu(self) -> Tensor:
        r"""Return :math:`\max(0, x)`; its derivative at 0 is taken to be 0."""
        positive = self.data > 0
        return _node("relu", np.maximum(self.data, 0), (self, lambda g: g * positive))

    # -- over dimensions -------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the sum over one, several or all dimensions."""
        out = self.data.sum(axis=axis, keepdims=keepdims)

        def pull(g: Array) -> Array:
            return np.broadcast_to(_unreduce(g, axis, keepdims, self.ndim), self.shape)

        return _node("sum", out, (self, pull))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the mean over one, several or all dimensions."""
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Return the largest element; equal ones share the gradient, as in ``torch.amax``."""
        largest = self.data.max(axis=axis, keepdims=True)
        winners = self.data == largest
        share = winners / winners.sum(axis=axis, keepdims=True)
        out = largest if keepdims else self.data.max(axis=axis)
        return _node("max", out, (self, lambda g: share * _unreduce(g, axis, keepdims, self.ndim)))

    # -- shape -----------------------------------------------------------------------------------

    def reshape(self, *shape: int) -> Tensor:
        """Return the same elements in another shape."""
        return _node("reshape", self.data.reshape(shape), (self, lambda g: g.reshape(self.shape)))

    def transpose(self, *axes: int) -> Tensor:
        """Return the dimensions in another order; reversed if none is given."""
        order = axes or tuple(range(self.ndim))[::-1]
        back = tuple(np.argsort([axis % self.ndim for axis in order]))
        return _node("transpose", self.data.transpose(order), (self, lambda g: g.transpose(back)))

    def __getitem__(self, index: Any) -> Tensor:
        """Return a part; an element that is taken twice gets both gradients."""

        def pull(g: Array) -> Array:
            out = np.zeros(self.shape)
            np.add.at(out, index, g)
            return out

        return _node("[ ]", self.data[index], (self, pull))

    # -- the chain rule --------------------------------------------------------------------------

    def backward(self, gradient: ArrayLike | None = None) -> None:
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
        if gradient is None and self.data.size != 1:
            raise ValueError(f"gradient must be given for a tensor of shape {self.shape}")
        start = np.ones(self.shape) if gradient is None else np.array(gradient, np.float64)
        if start.shape != self.shape:
            raise ValueError(f"gradient must have shape {self.shape}, got {start.shape}")
        arrived = {id(self): start}
        for node in reversed(topological_order(self)):
            g = arrived.pop(id(node))
            node.grad = g if node.grad is None else node.grad + g
            for parent, pull in zip(node.inputs, node._pulls, strict=True):
                if parent.requires_grad:
                    part = _unbroadcast(pull(g), parent.shape)
                    arrived[id(parent)] = arrived.get(id(parent), 0.0) + part


Operand = Tensor | ArrayLike
Axis = int | tuple[int, ...] | None


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
        elif id(node) not in seen and node.requires_grad:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.inputs)
    return order


def _node(operation: str, data: ArrayLike, *pulls: tuple[Tensor, Pull]) -> Tensor:
    """Return the result of an operation, linked to what it was applied to."""
    out = Tensor(data, requires_grad=any(tensor.requires_grad for tensor, _ in pulls))
    if out.requires_grad:
        out.operation = operation
        out.inputs, out._pulls = zip(*pulls, strict=True)
    return out


def _unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the dimensions along which an input was repeated."""
    added = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(added)))
    repeated = tuple(i for i, size in enumerate(shape) if size == 1 != gradient.shape[i])
    return gradient.sum(axis=repeated, keepdims=True)


def _unreduce(gradient: Array, axis: Axis, keepdims: bool, ndim: int) -> Array:
    """Put back the dimensions that a reduction has removed, with length 1."""
    if keepdims or ndim == 0:
        return gradient
    axes: Iterable[int] = range(ndim) if axis is None else np.atleast_1d(axis).tolist()
    return np.expand_dims(gradient, tuple(axes))
