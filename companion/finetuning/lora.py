r"""LoRA: a change of a matrix, learnt as the product of two thin ones (Hu et al. 2022).

This file adds: ``LoRALinear``, a frozen linear layer with such a change beside it, and
``RSLoRALinear``, in which the change is scaled otherwise.

Letters: ``r`` rank, ``W`` frozen matrix (out, in), ``A`` (r, in), ``B`` (out, r).
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion._arguments import _require_generator, _require_number
from companion._tensors import _require_sizes
from companion.finetuning.quantised import NF4Linear
from companion.layers import Dropout, Linear, he_uniform_
from companion.layers._checks import _require_features

__all__ = ["LoRALinear", "RSLoRALinear"]

_LINEAR = (Linear, nn.Linear, NF4Linear)


class LoRALinear(nn.Module):
    r"""A frozen linear layer and a change of low rank beside it.

    .. math:: y = x W^\top + b + \frac{\alpha}{r}\, \mathrm{dropout}(x)\, A^\top B^\top

    :math:`B` starts as 0, so the layer starts as the one it was made from. :math:`A` starts
    uniform in :math:`\pm 1/\sqrt{d_{in}}`, as in ``peft``; if it were 0, too, neither would ever
    get a gradient (Hu et al. 2022, section 4.1).

    ``state_dict`` and ``load_state_dict`` refuse a layer whose change is merged: the file would
    hold the change in :math:`W` and once more in :math:`A` and :math:`B`, and a model that reads
    it would apply both. For a file of the changes alone there is `save_lora`.

    Parameters
    ----------
    base : Linear
        Or a ``torch.nn.Linear`` or an `NF4Linear`. It is used, not copied, and frozen.
    rank : int
        :math:`r`, at most the smaller side of the matrix.
    alpha : int or float
        The change is multiplied by :math:`\alpha/r`.
    dropout : float
        Probability of dropping an entry of what :math:`A` sees, in training mode only.
    generator : torch.Generator, optional
        Where :math:`A` comes from.

    Raises
    ------
    ValueError
        If ``rank`` is below 1 or above the smaller side, ``alpha`` is not above 0, or ``dropout``
        is out of range.
    TypeError
        If ``base`` is no linear layer.

    Examples
    --------
    >>> layer = LoRALinear(Linear(6, 4), rank=2, alpha=4)
    >>> layer.delta.shape, layer.scale, bool((layer.delta == 0).all())
    (torch.Size([4, 6]), 2.0, True)
    """

    base: Linear | nn.Linear | NF4Linear

    def __init__(
        self,
        base: Linear | nn.Linear | NF4Linear,
        rank: int = 8,
        alpha: int | float = 16,
        dropout: float = 0.0,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        d_out, d_in = _sizes(base)
        _require_options(rank, alpha, dropout, generator)
        if rank > min(d_in, d_out):
            raise ValueError(f"rank must be at most {min(d_in, d_out)} here, got {rank}")
        self.base, self.rank, self.alpha = base.requires_grad_(False), rank, alpha
        self.dropout, self.merged = Dropout(dropout), False
        start = torch.empty(rank, d_in)  # where the generator is, whatever device W is on
        he_uniform_(start, gain=math.sqrt(1 / 3), generator=generator)
        self.lora_A = nn.Parameter(start.to(base.weight))
        self.lora_B = nn.Parameter(base.weight.new_zeros(d_out, rank))

    @property
    def scale(self) -> float:
        r"""What the change is multiplied by, :math:`\alpha/r`."""
        return self.alpha / self.rank

    @property
    def delta(self) -> Float[Tensor, "d_out d_in"]:
        r"""The change of the matrix, :math:`\frac{\alpha}{r} B A`."""
        return self.scale * self.lora_B @ self.lora_A

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"rank={self.rank}, alpha={self.alpha}, merged={self.merged}"

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Map (..., d_in) to (..., d_out)."""
        _require_features(x, self.lora_A.shape[1])
        y = self.base(x)
        if self.merged:
            return y
        low = self.dropout(x) @ self.lora_A.T  # (..., r)
        return y + self.scale * (low @ self.lora_B.T)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the change to the matrix: from then on the layer takes no longer than a plain one."""
        if not self.merged:
            _shift(self.base, self.delta)
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the change off again, up to what rounding has lost."""
        if self.merged:
            _shift(self.base, -self.delta)
            self.merged = False

    def _save_to_state_dict(self, *args: Any, **options: Any) -> None:
        _require_not_merged(self)
        super()._save_to_state_dict(*args, **options)

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        _require_not_merged(self)
        super()._load_from_state_dict(*args, **options)


class RSLoRALinear(LoRALinear):
    r"""LoRA with the factor :math:`\alpha/\sqrt r` for :math:`\alpha/r` (Kalajdzievski 2023).

    Each entry of :math:`BA` is a sum of :math:`r` products. Divided by :math:`r` it becomes smaller
    the higher the rank is, and so do its steps; divided by :math:`\sqrt r` it does not.

    Parameters
    ----------
    base, rank, alpha, dropout, generator
        As for `LoRALinear`.

    Examples
    --------
    >>> RSLoRALinear(Linear(6, 4), rank=4, alpha=4).scale
    2.0
    """

    @property
    def scale(self) -> float:
        r"""What the change is multiplied by, :math:`\alpha/\sqrt r`."""
        return self.alpha / math.sqrt(self.rank)


def _sizes(base: nn.Module) -> tuple[int, int]:
    if not isinstance(base, _LINEAR):
        raise TypeError(f"base must be a Linear or an NF4Linear, got {type(base).__name__}")
    d_out, d_in = (base.d_out, base.d_in) if isinstance(base, NF4Linear) else base.weight.shape
    return d_out, d_in


def _require_options(rank: int, alpha: int | float, dropout: float, generator: Any) -> None:
    _require_sizes(rank=rank)
    if not 0 < _require_number("alpha", alpha) < math.inf:
        raise ValueError(f"alpha must be finite and above 0, got {alpha}")
    if not 0 <= _require_number("dropout", dropout) < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
    _require_generator("generator", generator, torch.Generator, type(None))


def _require_not_merged(layer: LoRALinear) -> None:
    """Refuse to write or read a layer that holds its change twice."""
    if layer.merged:
        raise ValueError(
            "the change of a LoRALinear must not be merged when its weights are written or read: "
            "unmerge_lora(model) first, or remove_lora(model) for plain layers"
        )


def _shift(base: Linear | nn.Linear | NF4Linear, delta: Tensor) -> None:
    """Add to the weights of a layer; those of 4 bits are rounded anew."""
    if isinstance(base, NF4Linear):
        base.set_weight(base.weight + delta)
    else:
        base.weight.data.add_(delta)
