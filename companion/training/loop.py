r"""The training loop: one step in the open, and around it what a long run needs.

This file adds: `train_step`, which changes the weights once; `train`, which does so again and
again, evaluates, saves and can be stopped at any moment.

Shape letters: ``B`` batch, ``T`` tokens, as in a language model; other batches do as well.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from companion.optim import clip_grad_norm
from companion.training.batches import Batch, Batches, moved
from companion.training.config import TrainConfig
from companion.training.evaluation import evaluate, modes, set_modes
from companion.training.history import History, Record
from companion.training.objectives import (
    Objective,
    TokenLoss,
    added,
    means,
    require_counts,
    share_of_mean,
)
from companion.training.optimisers import lr_share, set_learning_rates
from companion.training.precision import MixedPrecision
from companion.training.processes import any_process, sum_over_processes, world
from companion.training.run import Run, begin
from companion.training.stopping import bar as plain_bar
from companion.training.stopping import heeding
from companion.training.wrapping import exchanging_last

__all__ = ["train", "train_step"]


def train_step(
    model: Callable[..., Any],
    batches: Sequence[Batch],
    objective: Objective,
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    clip: float | None = None,
    mixed: MixedPrecision | None = None,
) -> Record:
    r"""Change the weights once, by the gradient of the mean loss over all targets of all batches.

    Parameters
    ----------
    model : nn.Module
        Of several processes, one in ``DistributedDataParallel`` or of ``fully_shard``.
    batches : sequence of batches
        The micro-batches of this step, one after the other in the memory of the device. Together
        they make the same step as one large batch would.
    objective : Objective
    optimizers : sequence of torch.optim.Optimizer
    clip : float, optional
        Greatest length of the gradient; by default it stays as it is.
    mixed : MixedPrecision, optional
        By default all is computed in the format of the weights, on the CPU.

    Returns
    -------
    dict
        ``loss``, the objective's terms where there are several, ``grad_norm``, ``tokens`` (how
        many targets there were), ``skipped``.

    Raises
    ------
    FloatingPointError
        If loss or gradient is not finite. The weights have not been changed then. (In float16 the
        step is skipped instead, and the loss scaled less.)
    ValueError
        If there is no target in any batch, or several processes would each train a model of its
        own.

    Examples
    --------
    >>> from companion.optim import SGD
    >>> model = nn.Linear(2, 3)
    >>> batch = torch.ones(4, 2), torch.tensor([0, 1, 2, -100])
    >>> train_step(model, [batch], TokenLoss(), [SGD(model.parameters(), lr=0.1)])["tokens"]
    3
    """
    mixed = MixedPrecision("cpu", "float32") if mixed is None else mixed
    counts = _targets(objective, batches)  # {"loss": how many in the whole step}
    sums: list[dict[str, Tensor]] = []
    for optimizer in optimizers:
        optimizer.zero_grad()
    for batch in exchanging_last(model, batches):  # tensors of (B, T)
        with mixed.autocast():
            terms = objective(model, moved(batch, mixed.device))  # {"loss": sum over its targets}
            loss = share_of_mean(terms, counts)  # sum / all targets of the step
        mixed.scaler.scale(loss * world().size).backward()  # adds to the gradients so far
        sums.append({name: total.detach() for name, total in terms.items()})
    for optimizer in optimizers:
        mixed.scaler.unscale_(optimizer)
    norm = clip_grad_norm(_parameters(optimizers), math.inf if clip is None else clip)
    result = _result(sums, counts, float(norm))
    if not result["skipped"]:
        for optimizer in optimizers:
            mixed.scaler.step(optimizer)
    elif not mixed.scales:
        raise FloatingPointError(_not_finite(result))
    mixed.scaler.update()
    return result


def train(
    model: nn.Module,
    batches: Batches | Iterable[Batch],
    config: TrainConfig,
    *,
    objective: Objective | None = None,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    held_out: Any = None,
    floor: float | None = None,
    bar: Callable[..., Any] | None = None,
) -> History:
    r"""Train a model, or go on training it from the newest checkpoint in ``config.folder``.

    A run that was interrupted, at whatever moment, goes on bit for bit as if it had not been (on
    a CPU; on a GPU some sums come in another order). Ctrl-C, the stop button and SIGTERM let the
    step at hand be finished and write a checkpoint; the second one interrupts at once.

    Several processes that ``torchrun`` has started train one model together, if all of them call
    it in a block of `process_group`: each on its rows of every batch. Losses and weights are those
    of one process, but for the order of sums and what dropout draws.

    Parameters
    ----------
    model : nn.Module
        Trained in place, and moved to the device. Where several processes share each tensor
        (``parallel="fsdp"``), it stays where it is, and has its new weights when training ends.
    batches : callable or iterable
        ``batches(i)`` is micro-batch number i, from 0; see `Epochs` and `WindowBatches`.
        An iterable is gone through in its order, again from the start when it ends.
    config : TrainConfig
    objective : Objective, optional
        By default `TokenLoss`, for batches of ``(inputs, targets)``.
    optimizer : torch.optim.Optimizer or sequence of them, optional
        By default what ``config`` says; see `make_optimizers`. The learning rates of its groups
        follow ``config``'s schedule, from their own as the highest.
    held_out : iterable, or a callable with a length, optional
        Batches on which the model is evaluated.
    floor : float, optional
        The lowest loss that is possible, in nats a target; the bar shows how far above it is.
    bar : callable, optional
        ``bar(steps, description=...)`` draws a progress bar, as
        ``companion.notebook.stoppable`` does; by default one of ``tqdm``.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be, or the checkpoint is of another model or other
        settings. Nothing has been changed then.
    FloatingPointError
        If loss or gradient is not finite, before the weights have changed.
    OutOfMemory
        If a step does not fit into memory.
    OSError
        If a checkpoint cannot be written.

    Examples
    --------
    >>> model = nn.Linear(1, 2)
    >>> x = torch.tensor([[-1.0], [1.0]])
    >>> config = TrainConfig(steps=50, lr=0.1, device="cpu")
    >>> history = train(model, [(x, torch.tensor([0, 1]))], config)
    >>> len(history), history[-1]["loss"] < history[0]["loss"]
    (50, True)
    """
    run = begin(model, batches, config, objective or TokenLoss(), optimizer, held_out, floor)
    steps = range(run.done + 1, config.steps + 1)
    training = modes(run.model)
    run.model.train()
    try:
        if steps and not run.out_of_patience:
            _go_through(run, steps, bar if bar and not world().rank else plain_bar, floor)
        run.save()
        run.give_back()
    finally:
        set_modes(training)
    return run.history


def _go_through(run: Run, steps: range, bar: Callable[..., Any], floor: float | None) -> None:
    """Take step after step, until all are done, no better loss is found, or someone stops it."""
    config, ends = run.config, False
    with heeding() as wish:
        for step in (progress := bar(steps, description="training")):
            if ends:  # asked only here, so that the bar has counted the step before
                break
            wish.listen()
            set_learning_rates(run.optimizers, lr_share(step, config))
            micro_batches = run.micro_batches(step)
            with run.explaining(step, micro_batches):
                result = train_step(
                    run.forward,
                    micro_batches,
                    run.objective,
                    run.optimizers,
                    clip=config.clip,
                    mixed=run.mixed,
                )
            run.record(step, result)
            if run.evaluates(step):
                losses = evaluate(run.forward, run.held_out, run.objective, mixed=run.mixed)
                run.note_held_out(losses)
            run.save_if_due(step)
            progress.set(**_shown(run.history, floor))
            ends = any_process(wish.stop or progress.last) or run.out_of_patience
    run.history.stopped = run.done < config.steps and not run.out_of_patience


def _shown(history: History, floor: float | None) -> dict[str, float]:
    """Return what stands behind the bar."""
    last = history[-1]
    shown = {"loss": last["loss"]}
    if floor is not None:
        shown["above_floor"] = last["loss"] - floor
    elif "held_out" in last:
        shown["held_out"] = last["held_out"]
    return shown


# -- inside a step -------------------------------------------------------------------------------


def _targets(objective: Objective, batches: Sequence[Batch]) -> dict[str, float]:
    """Return how many targets each term has in a step, over all micro-batches and processes."""
    counts = sum_over_processes(added(require_counts(objective.count(b)) for b in batches))
    if not any(counts.values()):
        raise ValueError("there is no target in any micro-batch of the step: nothing to learn from")
    return counts


def _parameters(optimizers: Sequence[torch.optim.Optimizer]) -> list[Tensor]:
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return [parameter for group in groups for parameter in group["params"]]


def _result(sums: list[dict[str, Tensor]], counts: dict[str, float], norm: float) -> Record:
    """Return what is known after the gradients, before the weights change."""
    totals = {name: float(total) for name, total in added(sums).items()}
    losses = means(sum_over_processes(totals), counts)
    finite = math.isfinite(losses["loss"]) and math.isfinite(norm)
    return {
        **losses,
        "grad_norm": norm,
        "tokens": int(sum(counts.values())),
        "skipped": not finite,
    }


def _not_finite(result: Record) -> str:
    return f"the loss is {result['loss']} and the gradient's length {result['grad_norm']}"
