r"""Functions of the caller: a model, samplers or a draw that are none of this package.

What they return is looked at where they are called, so that a wrong shape is named there, and does
not become another text. To look at shapes takes no time beside the call itself.

Shape letters: ``B`` rows, ``T`` tokens of one row, ``V`` vocabulary.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion._tensors import _require_ids
from companion.generation.draws import Draw
from companion.generation.readers import Model, _padding
from companion.generation.samplers import Rows, Sampler


class _Function:
    """Any function of ids (1, T) to logits (1, T, V): each row is read by itself, as a whole.

    ``check`` is told the size of the vocabulary, which only the first logits show.
    """

    nbytes = 0

    def __init__(
        self, model: Model, rows: list[list[int]], called: str, check: Callable[[int], None]
    ) -> None:
        self.model, self.called, self.check = model, called, check
        self.vocab_size: int | None = None
        self.padding = _padding(rows)
        self.ids = torch.empty(len(rows), 0, dtype=torch.int64)

    def read(self, ids: Tensor, n_last: int = 1) -> Tensor:
        self.ids = torch.cat((self.ids, ids.to(self.ids)), dim=1)
        rows = [row[pad:] for row, pad in zip(self.ids, self.padding.tolist(), strict=True)]
        return torch.cat([self._logits(row, n_last) for row in rows])

    def _logits(self, row: Tensor, n_last: int) -> Tensor:
        """Return what the function expects after the last tokens of a row, (1, n_last, V)."""
        logits = self.model(row[None])
        _require_all_logits(self.called, logits, n_last, len(row), self.vocab_size)
        if self.vocab_size is None:
            self.vocab_size = logits.shape[-1]
            self.check(self.vocab_size)
        return logits[:, -n_last:]

    def reorder(self, rows: Tensor) -> None:
        self.ids, self.padding = self.ids[rows], self.padding[rows]

    def crop(self, length: int) -> None:
        self.ids = self.ids[:, :length]


def _require_all_logits(called: str, logits: Any, least: int, most: int, vocab: int | None) -> None:
    """Refuse what a function returns if it is no logits; those of the last tokens are enough."""
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        what = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"{called} must return a tensor of floating-point logits, got {what}")
    batch, n, size = logits.shape if logits.ndim == 3 else (0, 0, 0)
    if batch != 1 or not least <= n <= most or size != (vocab or max(size, 1)):
        raise ValueError(
            f"{called} must return logits (1, {most}, {vocab or 'V'}) for ids (1, {most}), got "
            f"shape {tuple(logits.shape)}"
        )


class _Asked:
    """A sampler whose answers are looked at; what it is given stays as it was."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __call__(self, logits: Tensor, prompts: Rows, written: Rows) -> Tensor:
        found = self.sampler(logits.clone(), prompts, written)
        _require_answer(found, logits.shape, self.sampler)
        return found


def _require_answer(found: Any, shape: torch.Size, sampler: Sampler) -> None:
    """Refuse what a sampler returns if it is no logit for each that it was given."""
    if not isinstance(found, Tensor) or not found.is_floating_point():
        what = found.dtype if isinstance(found, Tensor) else type(found).__name__
        raise TypeError(
            "each of samplers must return a tensor of floating-point numbers, got "
            f"{what} from {sampler!r}"
        )
    if found.shape != shape:
        raise ValueError(
            f"each of samplers must return logits of the shape that it is given, {tuple(shape)}, "
            f"got {tuple(found.shape)} from {sampler!r}"
        )


def _checked_draw(draw: Draw) -> Draw:
    """Return a function that draws as one of the caller's does, and looks at what comes of it."""

    def checked(p: Tensor) -> Tensor:
        chosen = draw(p.clone())
        if not isinstance(chosen, Tensor):
            raise TypeError(
                f"draw must return a tensor of ids, one for each row, got {type(chosen).__name__}"
            )
        _require_ids("the ids that draw returns", chosen, p.shape[1])
        if chosen.shape != p.shape[:1]:
            raise ValueError(
                f"draw must return a token for each row, shape {tuple(p.shape[:1])}, got "
                f"{tuple(chosen.shape)}"
            )
        chosen = chosen.to(p.device, torch.int64)
        impossible = p.gather(1, chosen[:, None])[:, 0] == 0
        if bool(impossible.any()):
            row = int(impossible.nonzero()[0, 0])
            raise ValueError(
                "draw must return tokens whose probability is above 0, got "
                f"{int(chosen[row])} in row {row}"
            )
        return chosen

    return checked
