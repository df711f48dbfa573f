"""Which layers of a model are meant, and how another layer is put in their place.

Modules of this folder share this file, and nobody else needs it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from torch import nn

from companion._arguments import _hint, _require_ordered_texts

ALL = "all-linear"
Kinds = tuple[type[nn.Module], ...]
Layer = TypeVar("Layer", bound=nn.Module)


def _find_layers(model: nn.Module, targets: Any, kinds: Kinds) -> dict[str, nn.Module]:
    """Return the layers that targets name, by their full names; or all inside of the blocks."""
    _require_module("model", model)
    found = dict(_inside_blocks(model, kinds)) if targets == ALL else _named(model, targets, kinds)
    if not found:
        said = " and ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            f"targets={ALL!r} means the layers in lists of blocks (nn.ModuleList), and model has "
            f"no {said} in any"
        )
    return found


def _inside_blocks(model: nn.Module, kinds: Kinds) -> Iterator[tuple[str, nn.Module]]:
    for path, module in model.named_modules(remove_duplicate=False):
        above = (model.get_submodule(each) for each in _prefixes(path))
        if isinstance(module, kinds) and any(isinstance(each, nn.ModuleList) for each in above):
            yield path, module


def _prefixes(path: str) -> Iterator[str]:
    """Yield the paths of what holds a module: of "a.b.c" first "a.b", then "a", then ""."""
    while path:
        path = path.rpartition(".")[0]
        yield path


def _named(model: nn.Module, targets: Any, kinds: Kinds) -> dict[str, nn.Module]:
    """Return the layers whose names end with one of the targets, each of which names some."""
    found: dict[str, nn.Module] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for target in _require_targets(targets):
        fits = {path: m for path, m in modules.items() if f".{path}".endswith(f".{target}")}
        _require_fit(target, fits, modules, kinds)
        found |= fits
    return found


def _require_targets(targets: Any) -> list[str]:
    if isinstance(targets, str):
        raise ValueError(
            f"targets must be {ALL!r} or a list of names such as ['w_q', 'w_v'], got {targets!r}"
        )
    names = _require_ordered_texts(targets, "targets")
    if not names or "" in names:
        raise ValueError(f"targets must name at least one layer, got {names}")
    return names


def _require_fit(
    target: str, fits: dict[str, nn.Module], modules: dict[str, nn.Module], kinds: Kinds
) -> None:
    if not fits:
        known = sorted({p.rpartition(".")[2] for p, m in modules.items() if isinstance(m, kinds)})
        raise ValueError(
            f"targets must name layers of model, which has no {target!r}; its linear layers are "
            f"called {known}{_hint(target, known)}"
        )
    for path, module in fits.items():
        if not isinstance(module, kinds):
            said = " or ".join(sorted({kind.__name__ for kind in kinds}))
            raise ValueError(
                f"targets must name {said} layers, and {path} is {type(module).__name__}"
            )


def _replace(
    model: nn.Module, layers: Mapping[str, nn.Module], make: Callable[[Any], nn.Module]
) -> None:
    """Put what is made of each layer in its place; a layer in two places is made over once."""
    made = {id(layer): make(layer) for layer in layers.values()}
    for path, layer in layers.items():
        above, _, name = path.rpartition(".")
        setattr(model.get_submodule(above), name, made[id(layer)])


def _require_module(name: str, value: Any) -> None:
    if not isinstance(value, nn.Module):
        raise TypeError(f"{name} must be a torch.nn.Module, got {type(value).__name__}")


def _require_none(model: nn.Module, kind: type[nn.Module], how: str) -> None:
    """Refuse a model that has layers of a kind already."""
    for path, module in model.named_modules():
        if isinstance(module, kind):
            raise ValueError(f"model has {type(module).__name__} already, at {path!r}: {how}")


def _of_kind(model: nn.Module, kind: type[Layer], how: str) -> dict[str, Layer]:
    """Return all layers of a kind by name; refuse a model that has none."""
    _require_module("model", model)
    found = {
        path: module
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, kind)
    }
    if not found:
        raise ValueError(f"model has no {kind.__name__}: {how}")
    return found


def _some(names: Iterable[str], most: int = 3) -> str:
    """Name the first few."""
    names = list(names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
