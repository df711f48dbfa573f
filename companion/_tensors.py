"""What functions ask of the tensors and sizes that they are given, and what they compute in.

Modules share this file, and nobody else needs it. Functions that begin with ``_require_`` do
nothing but refuse. Those that look at the numbers in a tensor do not look while ``torch.compile``
traces the code: there are no numbers yet, and to wait for them would break the graph.
"""

import torch
from torch import Tensor

from companion._arguments import _require_int


def _wide(x: Tensor) -> Tensor:
    """Return 16-bit numbers in float32, where their sums and squares fit; others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _in_range(rows: Tensor) -> Tensor:
    """Scale down rows so large that their squares would overflow, where only ratios matter."""
    largest = torch.finfo(rows.dtype).max ** 0.5 / 1e4  # 100 million squares can be summed
    if rows.device.type == "cpu" and rows.numel() and not torch.compiler.is_compiling():
        low, high = torch.aminmax(rows.detach())  # one look costs less than a division by 1
        if -largest <= low.item() and high.item() <= largest:
            return rows
    size = rows.detach().abs().amax(dim=-1, keepdim=True) / largest
    return rows / size.clamp(min=1)


def _require_tensors(**things: object) -> None:
    """Refuse lists and arrays, which lack what tensors can do."""
    for name, thing in things.items():
        if not isinstance(thing, Tensor):
            raise TypeError(
                f"{name} must be a torch tensor, got {type(thing).__name__}: "
                f"torch.as_tensor({name}) makes one"
            )


def _require_floats(**tensors: object) -> None:
    """Refuse what is no tensor of floating-point numbers."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            _require_tensors(**{name: tensor})
        elif not tensor.is_floating_point():
            raise TypeError(f"{name} must hold floating-point numbers, got {tensor.dtype}")


def _require_whole_numbers(**tensors: object) -> None:
    """Refuse what is no tensor of whole numbers; True and False are none."""
    _require_tensors(**tensors)
    for name, tensor in tensors.items():
        assert isinstance(tensor, Tensor)
        if tensor.dtype == torch.bool or tensor.is_floating_point() or tensor.is_complex():
            raise TypeError(f"{name} must hold whole numbers, got {tensor.dtype}")


def _require_ids(name: str, ids: Tensor, n: int) -> None:
    """Refuse ids that are not from 0 to n − 1; a negative one would count from the end."""
    _require_whole_numbers(**{name: ids})
    if torch.compiler.is_compiling():
        return
    ids = ids.long()  # 300 has no place among numbers of 8 bits, and those of 16 do not compare
    if not ids.numel():
        return
    low, high = torch.stack(torch.aminmax(ids)).tolist()  # a GPU is waited for once
    if low < 0 or high >= n:
        outside = ids[(ids < 0) | (ids >= n)]
        raise ValueError(f"{name} must be from 0 to {n - 1}, got {int(outside[0])}")


def _require_whole(**numbers: object) -> None:
    """Refuse fractions where a count is meant."""
    for name, number in numbers.items():
        _require_int(name, number)


def _require_sizes(**sizes: int) -> None:
    """Refuse a size that is no whole number, or below 1."""
    for name, size in sizes.items():
        _require_int(name, size, least=1)


def _require_batch(ids: Tensor) -> None:
    """Refuse what is no batch of texts of at least one token."""
    _require_whole_numbers(ids=ids)
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise ValueError(f"ids must be (batch, length), got shape {tuple(ids.shape)}")


def _require_padding_mask(mask: Tensor | None, ids: Tensor, seen: int = 0) -> None:
    """Refuse what is no mask of padding; one of shape (B, T) could pass for (T_q, T_k)."""
    if mask is None:
        return
    _require_tensors(mask=mask)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be boolean, got {mask.dtype}")
    expected = (ids.shape[0], 1, seen + ids.shape[1])
    if mask.shape != expected:
        raise ValueError(f"mask must have shape {expected}, got {tuple(mask.shape)}")


def _require_mask(mask: Tensor | None, ids: Tensor, seen: int = 0) -> None:
    """Refuse what tells neither which keys are padding nor which key each query may see."""
    if mask is not None and getattr(mask, "ndim", None) == 3 and mask.shape[1] != 1:
        expected = (ids.shape[0], ids.shape[1], seen + ids.shape[1])
        if mask.shape != expected:
            raise ValueError(f"mask must have shape {expected}, got {tuple(mask.shape)}")
        mask = mask[:, :1]
    _require_padding_mask(mask, ids, seen)


def _require_positions(positions: Tensor | None, ids: Tensor, n: int | None = None) -> None:
    """Refuse what does not say of each token where it stands, from 0 to ``n`` - 1."""
    if positions is None:
        return
    _require_whole_numbers(positions=positions)
    if positions.shape not in (ids.shape, ids.shape[1:]):
        raise ValueError(
            f"positions must have shape {tuple(ids.shape)} or {tuple(ids.shape[1:])}, "
            f"got {tuple(positions.shape)}"
        )
    if torch.compiler.is_compiling():
        return
    low, high = int(positions.min()), int(positions.max())
    if low < 0 or (n is not None and high >= n):
        most = "" if n is None else f" and at most {n - 1}, the last one that has been learnt"
        raise ValueError(f"positions must be at least 0{most}, got {low} to {high}")
