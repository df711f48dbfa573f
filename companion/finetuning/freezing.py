r"""Which parameters are trained, and how fast.

This file adds: ``freeze`` and ``unfreeze``, by names; ``train_last``, which trains the last blocks
alone; ``groups_by_layer``, lower rates for lower layers; and ``hold_statistics``, for batch
normalisation in a frozen part.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from companion._arguments import (
    _hint,
    _require_int,
    _require_number,
    _require_ordered_texts,
)
from companion.finetuning._targets import _require_module

__all__ = [
    "freeze",
    "unfreeze",
    "train_last",
    "groups_by_layer",
    "hold_statistics",
]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def freeze(model: nn.Module, patterns: Sequence[str] = ("*",)) -> list[str]:
    r"""Let parameters be trained no more.

    A layer of batch normalisation goes on collecting means and variances even if its parameters
    are frozen: `hold_statistics` stops that. Dropout is a matter of ``model.eval()``.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    patterns : sequence of str
        Names of parameters, in which ``*`` is anything: ``["tokens.*", "blocks.0.*"]``. All by
        default.

    Returns
    -------
    list of str
        The names of the parameters that fit.

    Raises
    ------
    ValueError
        If no parameter fits a pattern. Nothing is changed then.

    Examples
    --------
    >>> freeze(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), ["0.*"])
    ['0.weight', '0.bias']
    """
    return _set_trained(model, patterns, False)


def unfreeze(model: nn.Module, patterns: Sequence[str] = ("*",)) -> list[str]:
    r"""Let parameters be trained again.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    patterns : sequence of str
        As for `freeze`.

    Returns
    -------
    list of str
        The names of the parameters that fit.

    Raises
    ------
    ValueError
        If no parameter fits a pattern. Nothing is changed then.

    Examples
    --------
    >>> model = nn.Linear(2, 2).requires_grad_(False)
    >>> unfreeze(model, ["bias"])
    ['bias']
    """
    return _set_trained(model, patterns, True)


def _set_trained(model: nn.Module, patterns: Sequence[str], trained: bool) -> list[str]:
    _require_module("model", model)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    fits = _matching(patterns, list(parameters))
    names = [name for name in parameters if name in fits]
    for name in names:
        parameters[name].requires_grad_(trained)
    return names


def _matching(patterns: Any, names: Sequence[str]) -> set[str]:
    """Return the names that fit one of the patterns, each of which fits some."""
    found: set[str] = set()
    for pattern in _require_ordered_texts(patterns, "patterns"):
        fits = {name for name in names if fnmatchcase(name, pattern)}
        if not fits:
            raise ValueError(
                f"patterns must fit parameters of model, and none fits {pattern!r}"
                f"{_hint(pattern, names)}"
            )
        found |= fits
    return found


def train_last(
    model: nn.Module, n: int, *, also: Sequence[str] = (), blocks: str | None = None
) -> list[str]:
    r"""Freeze a model except for its last blocks and what comes after them.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    n : int
        How many blocks are trained; 0 for the head alone.
    also : sequence of str
        Patterns of further parameters to train, as for `unfreeze`.
    blocks : str, optional
        Where the list of blocks is, such as ``"decoder.blocks"``; needed if there are several.

    Returns
    -------
    list of str
        The names of the parameters that are trained.

    Raises
    ------
    ValueError
        If the model has no list of blocks or several, fewer than ``n`` blocks, or no parameter
        fits a pattern. Nothing is changed then.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=3, n_heads=2))
    >>> sorted({name[:8] for name in train_last(model, 1)})
    ['blocks.2', 'norm.bia', 'norm.wei']
    """
    layers = _by_layer(model, blocks)
    n_blocks = len(layers) - 2
    _require_int("n", n, least=0, most=n_blocks)
    trained = {name for layer in layers[n_blocks - n + 1 :] for name in layer}
    every = dict(model.named_parameters())
    trained |= _matching(also, list(every))
    for name, parameter in every.items():
        parameter.requires_grad_(name in trained)
    return [name for name in every if name in trained]


def groups_by_layer(
    model: nn.Module, lr: float, decay: float, *, blocks: str | None = None
) -> list[dict[str, Any]]:
    r"""Return the parameters for an optimiser, with lower rates for lower layers.

    .. math:: \eta_l = \eta\, \gamma^{\,L + 1 - l}

    where :math:`l` is 0 for what comes before the blocks (embeddings), 1 to :math:`L` for the
    blocks, and :math:`L + 1` for what comes after them, such as a new head (Howard and Ruder 2018,
    section 3.2; Sun et al. 2019, section 5.4.3). Low layers hold what all tasks share.

    Parameters
    ----------
    model : nn.Module
        Parameters that are frozen are left out.
    lr : float
        :math:`\eta`, the rate of what comes after the blocks.
    decay : float
        :math:`\gamma`, above 0 and at most 1.
    blocks : str, optional
        As for `train_last`.

    Returns
    -------
    list of dict
        For an optimiser: ``"params"`` and ``"lr"``, from the lowest layer to the highest.

    Raises
    ------
    ValueError
        If a number is out of range, no parameter is to be trained, or the model has no list of
        blocks or several.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=2, n_heads=2))
    >>> [group["lr"] for group in groups_by_layer(model, lr=1.0, decay=0.5)]
    [0.125, 0.25, 0.5, 1.0]
    """
    if not 0 < _require_number("lr", lr) < float("inf"):
        raise ValueError(f"lr must be finite and above 0, got {lr}")
    if not 0 < _require_number("decay", decay) <= 1:
        raise ValueError(f"decay must be above 0 and at most 1, got {decay}")
    layers, every = _by_layer(model, blocks), dict(model.named_parameters())
    groups = []
    for depth, names in enumerate(layers):
        params = [every[name] for name in names if every[name].requires_grad]
        if params:
            groups.append({"params": params, "lr": lr * decay ** (len(layers) - 1 - depth)})
    if not groups:
        raise ValueError("model has no parameter that requires a gradient: nothing can be trained")
    return groups


def _by_layer(model: nn.Module, blocks: str | None) -> list[list[str]]:
    """Return the names of parameters before the blocks, in each block, and after them."""
    path = _path_of_blocks(model, blocks)
    n = len(model.get_submodule(path))  # type: ignore[arg-type]
    layers: list[list[str]] = [[] for _ in range(n + 2)]
    seen = False
    for name, _ in model.named_parameters():
        inside = name.startswith(f"{path}.")
        seen = seen or inside
        place = 1 + int(name[len(path) + 1 :].partition(".")[0]) if inside else (n + 1) * seen
        layers[place].append(name)
    return layers


def _path_of_blocks(model: nn.Module, blocks: str | None) -> str:
    _require_module("model", model)
    lists = [path for path, m in model.named_modules() if isinstance(m, nn.ModuleList)]
    outer = [path for path in lists if not any(path.startswith(f"{up}.") for up in lists)]
    if blocks is not None:
        if blocks not in lists:
            raise ValueError(f"blocks must be one of {lists}, got {blocks!r}")
        return blocks
    if len(outer) != 1:
        raise ValueError(
            "model must have one list of blocks (nn.ModuleList), or blocks= names it; "
            f"it has {outer}"
        )
    return outer[0]


def hold_statistics(model: nn.Module) -> list[str]:
    r"""Let frozen layers of batch normalisation use the statistics that they have.

    In training mode such a layer normalises with the mean and the variance of the batch, and
    moves its stored ones towards them, whether its parameters are frozen or not. A frozen part of
    a model would change all the same. ``model.train()`` undoes this, so call it afterwards.

    Parameters
    ----------
    model : nn.Module
        Changed in place: its layers of batch normalisation of which no parameter is trained are
        put into evaluation mode.

    Returns
    -------
    list of str
        The names of those layers.

    Examples
    --------
    >>> model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    >>> _ = freeze(model, ["0.*"])
    >>> hold_statistics(model.train())
    ['0']
    """
    _require_module("model", model)
    held = []
    for name, module in model.named_modules():
        if isinstance(module, NORMS) and not any(p.requires_grad for p in module.parameters()):
            module.eval()
            held.append(name)
    return held
