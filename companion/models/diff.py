r"""Where two models that should be equal part.

This file adds: ``diff``, which runs two models on the same input and compares what each of their
layers gets and returns; ``Difference``, what it found; and ``Comparison``, its
findings for one layer.

An error travels: from the layer that makes it, all later ones differ. So the culprit is the layer
whose inputs still agree and whose output does not.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from companion._arguments import _require_number
from companion.models.hub import Pretrained, named_by

__all__ = ["diff", "Difference", "Comparison"]


@dataclass(frozen=True)
class Comparison:
    """How far two models differ at one layer."""

    name: str
    """In the first model; "" is the model as a whole."""
    inputs: float
    """Largest difference of the inputs, divided by the largest number of the first model's."""
    output: float
    """The same of the outputs."""


@dataclass(frozen=True)
class Difference:
    """What `diff` found, layer by layer."""

    layers: tuple[Comparison, ...]
    """In the order in which they finish: what a layer is made of comes before the layer."""
    tolerance: float

    @property
    def culprit(self) -> str | None:
        """The first layer whose inputs agree and whose output does not; None if there is none."""
        return next((layer.name for layer in self.layers if self._parts(layer)), None)

    def _parts(self, layer: Comparison) -> bool:
        return layer.inputs <= self.tolerance < layer.output

    def __str__(self) -> str:
        """Return a line for each layer up to the culprit."""
        lines = [f"{'layer':<40} {'inputs':>9} {'output':>9}"]
        for layer in self.layers:
            mark = "  <- parts here" if layer.name == self.culprit else ""
            name = layer.name or "(the model itself)"
            lines.append(f"{name:<40} {layer.inputs:9.1e} {layer.output:9.1e}{mark}")
            if mark:
                break
        return "\n".join(lines)


def diff(
    a: nn.Module,
    b: nn.Module,
    *inputs: Tensor,
    tolerance: float = 1e-4,
    names: Mapping[str, str] | None = None,
) -> Difference:
    r"""Compare two models layer by layer, and name the first layer at which they part.

    Parameters
    ----------
    a, b : nn.Module
        Both in evaluation mode, since dropout would differ by chance.
    *inputs : Tensor
        What both are called with.
    tolerance : float
        Up to which relative difference two tensors count as equal.
    names : dict of str, optional
        For each layer of ``a`` that is compared, its name in ``b``; ``{}`` stands for a number.
        By default layers have the same names, or those of ``a``'s checkpoints if ``b`` is a model
        of ``transformers``.

    Returns
    -------
    Difference

    Raises
    ------
    ValueError
        If a model is in training mode, or no layer of ``a`` is found in ``b``.

    Examples
    --------
    >>> a = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).eval()
    >>> b = nn.Sequential(a[0], nn.Linear(2, 2)).eval()
    >>> diff(a, b, torch.ones(1, 2)).culprit
    '1'
    """
    _require_number("tolerance", tolerance)
    for name, model in (("a", a), ("b", b)):
        if model.training:
            raise ValueError(f"{name} must be in evaluation mode: call {name}.eval() first")
    pairs = _pairs(a, b, names)
    # Models of different origin hand masks and positions on in different forms.
    n_inputs = None if type(a) is type(b) else 1
    ours = _record(a, set(pairs), inputs, n_inputs)
    theirs = _record(b, set(pairs.values()), inputs, n_inputs)
    layers = [
        Comparison(name, _gap(mine.inputs, other.inputs), _gap(mine.output, other.output))
        for name in ours
        for mine, other in zip_longest(ours[name], theirs[pairs[name]], fillvalue=NO_CALL)
    ]
    return Difference(tuple(layers), tolerance)


def _pairs(a: nn.Module, b: nn.Module, names: Mapping[str, str] | None) -> dict[str, str]:
    """Return which layer of ``b`` each layer of ``a`` is compared with."""
    known = dict(b.named_modules())
    if names is None and isinstance(a, Pretrained) and not isinstance(b, Pretrained):
        names = a.layout.layers(known)
    pairs = {"": ""}
    for name, _ in a.named_modules():
        other = name if names is None else named_by(name, names)
        if name and other is not None and other in known:
            pairs[name] = other
    if len(pairs) == 1:
        raise ValueError("no layer of a was found in b; say in names what they are called there")
    return pairs


@dataclass(frozen=True)
class _Call:
    """The tensors that went into a layer, and those that came out."""

    inputs: list[Tensor]
    output: list[Tensor]


NO_CALL = _Call([], [])


@torch.no_grad()
def _record(
    model: nn.Module, names: set[str], inputs: tuple[Tensor, ...], n_inputs: int | None
) -> dict[str, list[_Call]]:
    """Run a model, and return the calls of each layer, layers in the order of their return."""
    calls: defaultdict[str, list[_Call]] = defaultdict(list)

    def watch(name: str) -> Callable[..., None]:
        def note(_: nn.Module, args: Any, options: Any, output: Any) -> None:
            got = _tensors([args, options])[:n_inputs]
            calls[name].append(_Call(got, _tensors(output)[:1]))

        return note

    handles = [
        module.register_forward_hook(watch(name), with_kwargs=True)
        for name, module in model.named_modules()
        if name in names
    ]
    try:
        model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _tensors(thing: Any) -> list[Tensor]:
    """Return the tensors in a result, in order, as they are now."""
    if isinstance(thing, Tensor):
        return [thing.detach().clone()]
    if isinstance(thing, Mapping):
        thing = list(thing.values())
    if isinstance(thing, (tuple, list)):
        return [tensor for part in thing for tensor in _tensors(part)]
    return []


def _gap(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Return the largest relative difference; infinity if shapes differ or numbers are missing."""
    if len(ours) != len(theirs):
        return float("inf")
    return max((_distance(x, y) for x, y in zip(ours, theirs, strict=True)), default=0.0)


def _distance(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape:
        return float("inf")
    x, y = x.double(), y.double()
    gap = (x - y).abs().where(x != y, torch.zeros_like(x))  # equal infinities have no distance
    if not gap.numel():
        return 0.0
    size = x.abs().where(x.isfinite(), torch.zeros_like(x)).max().clamp(min=1e-300)
    return float((gap.max() / size).nan_to_num(float("inf")))
