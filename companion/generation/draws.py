r"""The draw: one random number decides which token comes.

This file adds: ``inverse_cdf``, which finds the token that a number between 0 and 1 stands for.
Each row has its own stream of such numbers, so what it writes does not depend on the others.

Shape letters: ``B`` rows, ``V`` vocabulary.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from companion._arguments import _require_generator
from companion._tensors import _require_floats

__all__ = ["Draw", "Generators", "inverse_cdf"]

#: What draws a token for each row from its probabilities: (B, V) to (B,).
Draw = Callable[[Tensor], Tensor]
Generators = torch.Generator | Sequence[torch.Generator] | None


def inverse_cdf(
    p: Float[Tensor, "batch vocab"], u: Float[Tensor, " batch"]
) -> Int64[Tensor, " batch"]:
    r"""Return the token in whose share of the line from 0 to 1 a number lies.

    .. math:: x = \min\,\{\, i : p_0 + p_1 + \dots + p_i > u \,\}

    If :math:`u` is uniform, token :math:`i` comes with probability :math:`p_i` (inverse transform
    sampling: Devroye 1986, section II.2).

    Parameters
    ----------
    p : Tensor, shape (B, V)
        Probabilities; those of a row need not sum to exactly 1.
    u : Tensor, shape (B,)
        From 0 to below 1.

    Returns
    -------
    Tensor of int64, shape (B,)
        Never a token whose probability is 0.

    Raises
    ------
    ValueError
        If the shapes do not fit, a row has no probability, or a number is out of range.

    Examples
    --------
    >>> p = torch.tensor([[0.5, 0.0, 0.25, 0.25]])
    >>> [inverse_cdf(p, torch.tensor([u])).item() for u in (0.0, 0.49, 0.5, 0.75)]
    [0, 0, 2, 3]
    """
    _require_floats(p=p, u=u)
    if p.ndim != 2 or u.shape != p.shape[:1]:
        raise ValueError(
            f"p must be (batch, vocabulary) and u (batch,), got {tuple(p.shape)} and "
            f"{tuple(u.shape)}"
        )
    if not bool((u >= 0).all() & (u < 1).all()):
        raise ValueError("u must be from 0 to below 1")
    if not bool((p >= 0).all() & p.sum(dim=-1).isfinite().all() & (p > 0).any(dim=-1).all()):
        raise ValueError("p must hold probabilities, and in every row at least one above 0")
    return _inverse_cdf(p, u)


def _inverse_cdf(p: Tensor, u: Tensor) -> Tensor:
    """Do what `inverse_cdf` does, without looking at the numbers."""
    ends = p.to(_widest(p)).cumsum(dim=-1)  # where the share of each token ends
    total = ends[:, -1]
    # The product could be rounded up to the total, and be in nobody's share.
    place = torch.minimum(u.to(ends) * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(ends, place[:, None], right=True)[:, 0]


def _widest(p: Tensor) -> torch.dtype:
    """Return the format to sum probabilities in; MPS has no float64."""
    return torch.float32 if p.device.type == "mps" else torch.float64


def _uniform_draw(generator: Generators, n_rows: int, n_steps: int) -> Draw:
    """Return a function that draws by one number for each row and step.

    All of them are drawn ahead, those of a row by a generator of its own.
    """
    numbers = [_numbers(own, n_steps) for own in _row_generators(generator, n_rows)]
    steps = iter(torch.stack(numbers, dim=1))  # (B,) each
    return lambda p: _inverse_cdf(p, next(steps).to(p.device))


def _numbers(generator: torch.Generator, n: int) -> Tensor:
    """Return n uniform numbers; MPS has no float64."""
    device = generator.device
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.rand(n, generator=generator, device=device, dtype=dtype).cpu()


def _row_generators(generator: Generators, n_rows: int) -> list[torch.Generator]:
    """Return a generator for each row: those given, or one that is seeded by the one given."""
    if isinstance(generator, Sequence):
        for own in generator:
            _require_generator("each generator", own, torch.Generator)
        if len(generator) != n_rows:
            raise ValueError(
                f"generator must be one, or one for each of {n_rows} rows, got {len(generator)}"
            )
        return list(generator)
    _require_generator("generator", generator, torch.Generator)
    assert generator is not None
    seeds = torch.randint(2**62, (n_rows,), generator=generator, device=generator.device)
    return [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
