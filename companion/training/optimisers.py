r"""Which optimiser changes which parameter, and how long its steps are.

This file adds: `make_optimizers`, which sorts the parameters into groups, and `lr_share`, the
schedules of the learning rate (those of `companion.optim`, and two more).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from companion._arguments import _require_int
from companion.layers import Embedding
from companion.optim import AdamW, Muon, warmup_cosine
from companion.training.config import TrainConfig

__all__ = ["lr_share", "make_optimizers", "parameter_groups", "set_learning_rates"]

# Words for parameters that are looked up, not multiplied with, in models that have no `Embedding`.
LOOKED_UP = ("positions", "class_token")
# Warm-up, stable, decay: the part of all steps in which the rate falls (Hägele et al. 2024).
DECAY = 0.2


def parameter_groups(model: nn.Module) -> dict[str, list[Tensor]]:
    r"""Sort the parameters of a model that are trained by what is done to them.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    dict
        ``"matrices"``: those of two dimensions that are inside a list of blocks
        (``nn.ModuleList``). ``"decayed"``: all others of two dimensions and more.
        ``"plain"``: embeddings, biases and normalisations, whose size means something, and
        should not be drawn towards 0. A parameter that is in two places counts once.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=4, n_layers=1, n_heads=2))
    >>> {name: len(group) for name, group in parameter_groups(model).items()}
    {'matrices': 6, 'decayed': 0, 'plain': 14}
    """
    embeddings, inside = set(_embeddings(model)), set(_inside_blocks(model))
    groups: dict[str, list[Tensor]] = {"matrices": [], "decayed": [], "plain": []}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or parameter in embeddings:
            groups["plain"].append(parameter)
        else:
            matrix = parameter.ndim == 2 and parameter in inside
            groups["matrices" if matrix else "decayed"].append(parameter)
    return groups


def _embeddings(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if isinstance(module, (Embedding, nn.Embedding)):
            yield module.weight
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] in LOOKED_UP:
            yield parameter


def _inside_blocks(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            yield from module.parameters()


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    r"""Return the optimisers of a model: AdamW, and after it Muon if that is asked for.

    Parameters
    ----------
    model : nn.Module
        Those of its parameters that require no gradient are left out.
    config : TrainConfig
        Its ``optimizer``, ``lr``, ``muon_lr``, ``weight_decay`` and ``betas``.

    Returns
    -------
    list of torch.optim.Optimizer

    Raises
    ------
    ValueError
        If no parameter is to be trained, or Muon is asked for and there are no blocks.

    Examples
    --------
    >>> make_optimizers(nn.Linear(2, 2), TrainConfig(steps=1))[0].param_groups[1]["weight_decay"]
    0.0
    """
    groups = parameter_groups(model)
    if not any(groups.values()):
        raise ValueError("model has no parameter that requires a gradient: nothing can be trained")
    muon = groups["matrices"] if config.optimizer == "muon" else []
    if config.optimizer == "muon" and not muon:
        raise ValueError(
            "optimizer='muon' is for the matrices inside of blocks, and model has no nn.ModuleList "
            "with any: take 'adamw'"
        )
    decayed = groups["decayed"] + ([] if muon else groups["matrices"])
    adamw = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": groups["plain"], "weight_decay": 0.0},
    ]
    made: list[torch.optim.Optimizer] = []
    if adamw := [group for group in adamw if group["params"]]:
        made.append(AdamW(adamw, lr=config.lr, betas=config.betas))
    if muon:
        made.append(Muon(muon, lr=config.muon_lr, weight_decay=config.weight_decay))
    return made


def lr_share(step: int, config: TrainConfig) -> float:
    r"""Return the learning rate of a step, as a share of the highest.

    It rises linearly over ``warmup`` steps, then does what ``schedule`` says, and is
    ``final_share`` in the last step (with ``"constant"`` it stays 1).

    Parameters
    ----------
    step : int
        From 1: a step of length 0 would be wasted.
    config : TrainConfig
        Its ``steps``, ``warmup``, ``schedule`` and ``final_share``.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If ``step`` is no whole number from 1.

    Examples
    --------
    >>> config = TrainConfig(steps=6, warmup=2, schedule="linear", final_share=0.0)
    >>> [lr_share(step, config) for step in range(1, 7)]
    [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    step = _require_int("step", step, least=1)
    steps, warmup, final = config.steps, config.warmup, config.final_share
    if config.schedule == "cosine":
        return warmup_cosine(step, 1.0, warmup, steps, final)
    if step <= warmup:
        return step / warmup
    if config.schedule == "constant":
        return 1.0
    falls = steps - warmup if config.schedule == "linear" else max(1, round(DECAY * steps))
    left = max(0, steps - step) / falls  # of the part in which it falls
    return final + (1 - final) * min(1.0, left)


def set_learning_rates(optimizers: Sequence[torch.optim.Optimizer], share: float) -> None:
    """Give every group the same share of its own highest learning rate.

    Parameters
    ----------
    optimizers : sequence of torch.optim.Optimizer
        The highest rate of a group is the one that it has when it is first seen here; it is kept
        in the group as ``"initial_lr"``, as PyTorch's schedules do.
    share : float
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * share
