r"""Mixed precision: products in 16 bits, weights and sums in 32.

This file adds: ``MixedPrecision``. bfloat16 has the range of float32, and needs nothing else.
float16 ends at 65,504 and loses gradients below about :math:`10^{-8}`, so the loss is multiplied
by a scale before it is differentiated, and the gradients are divided by it afterwards
(Micikevicius et al. 2018). Where a gradient overflows, the step is left out and the scale halved.
"""

import contextlib
from typing import Any

import torch

from companion.device import pick_dtype

__all__ = ["MixedPrecision"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# The scale begins at 65,536 and is halved with each step that overflows; if it comes to this,
# the scale is not what is wrong.
SMALLEST_SCALE = 2.0**-10


class MixedPrecision:
    r"""In which format a model computes on a device, and how its loss is scaled.

    Parameters
    ----------
    device : torch.device or str
    precision : {"auto", "float32", "bfloat16", "float16"}
        With ``"float32"`` the model computes in the format of its weights.

    Raises
    ------
    ValueError
        If ``precision`` is another text, or this PyTorch has no scaler for the device.

    Examples
    --------
    >>> mixed = MixedPrecision("cpu", "bfloat16")
    >>> with mixed.autocast():
    ...     print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
    torch.bfloat16
    """

    def __init__(self, device: torch.device | str, precision: str = "auto"):
        self.device = torch.device(device)
        if precision not in {"auto", *DTYPES}:
            raise ValueError(
                f"precision must be 'auto' or one of {list(DTYPES)}, got {precision!r}"
            )
        self.dtype = pick_dtype(self.device) if precision == "auto" else DTYPES[precision]
        self.scales = self.dtype == torch.float16
        self.scaler = _scaler(self.device.type, self.scales)

    @property
    def name(self) -> str:
        """The format, as a setting calls it."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which products are computed in the chosen format."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def require_scale(self) -> None:
        """Refuse to go on leaving out steps for ever.

        Raises
        ------
        FloatingPointError
            If the scale has become so small that it cannot be the reason.
        """
        if self.scales and self.scaler.get_scale() < SMALLEST_SCALE:
            raise FloatingPointError(
                "gradients overflow float16 whatever the loss is scaled by, so that every step "
                "is left out: take precision='bfloat16' or 'float32', or a lower lr"
            )


def _scaler(kind: str, enabled: bool) -> Any:
    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler(kind, enabled=enabled)
    if enabled and kind != "cuda":  # before PyTorch 2.3
        raise ValueError(f"precision 'float16' on a {kind} device needs PyTorch 2.3 or newer")
    return torch.cuda.amp.GradScaler(enabled=enabled)
