r"""One vector for a whole text, made of those of its tokens.

This file adds: ``MeanPooling``, ``FirstPooling`` and ``LastPooling``; ``BertPooler``, a layer on
the vector of the first token; and ``Trunk``, a GPT or a Llama without its last matrix, which gives
the vectors.

Shape letters: ``B`` batch, ``T`` tokens, ``D`` features.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._tensors import _require_batch, _require_floats, _require_padding_mask
from companion.layers import Linear
from companion.models import GPT, Llama

__all__ = ["MeanPooling", "FirstPooling", "LastPooling", "BertPooler", "Trunk"]

_Vectors = Float[Tensor, "batch length d_model"]
_Mask = Bool[Tensor, "batch 1 length"]


class MeanPooling(nn.Module):
    r"""The mean of all vectors but those of padding (Reimers and Gurevych 2019, section 3).

    Examples
    --------
    >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> MeanPooling()(x, torch.tensor([[[True, True, False]]]))
    tensor([[2.]])
    """

    def forward(self, x: _Vectors, mask: _Mask | None = None) -> Float[Tensor, "batch d_model"]:
        r"""Map (B, T, D) to (B, D).

        Parameters
        ----------
        x : Tensor, shape (B, T, D)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding.

        Returns
        -------
        Tensor, shape (B, D)

        Raises
        ------
        ValueError
            If shapes do not fit, or a text is all padding.
        """
        counts = _seen(x, mask).to(x.dtype)  # (B, T)
        return (x * counts[..., None]).sum(dim=1) / counts.sum(dim=1, keepdim=True)


class FirstPooling(nn.Module):
    r"""The vector of the first token, such as ``[CLS]`` (Devlin et al. 2019, section 3).

    Examples
    --------
    >>> FirstPooling()(torch.tensor([[[1.0], [3.0]]]))
    tensor([[1.]])
    """

    def forward(self, x: _Vectors, mask: _Mask | None = None) -> Float[Tensor, "batch d_model"]:
        r"""Map (B, T, D) to (B, D).

        Parameters
        ----------
        x, mask
            As for `MeanPooling`.

        Returns
        -------
        Tensor, shape (B, D)

        Raises
        ------
        ValueError
            If shapes do not fit, or a text begins with padding.
        """
        if not _seen(x, mask)[:, 0].all():
            raise ValueError("mask must not hide the first token, which stands for the whole text")
        return x[:, 0]


class LastPooling(nn.Module):
    r"""The vector of the last token that is no padding: in a causal model it has seen all others.

    Examples
    --------
    >>> x = torch.tensor([[[1.0], [3.0], [99.0]]])
    >>> LastPooling()(x, torch.tensor([[[True, True, False]]]))
    tensor([[3.]])
    """

    def forward(self, x: _Vectors, mask: _Mask | None = None) -> Float[Tensor, "batch d_model"]:
        r"""Map (B, T, D) to (B, D).

        Parameters
        ----------
        x, mask
            As for `MeanPooling`; padding may stand on either side.

        Returns
        -------
        Tensor, shape (B, D)

        Raises
        ------
        ValueError
            If shapes do not fit, or a text is all padding.
        """
        places = torch.arange(x.shape[1], device=x.device)
        last = torch.where(_seen(x, mask), places, 0).amax(dim=1)  # (B,)
        return x[torch.arange(len(x), device=x.device), last]


class BertPooler(nn.Module):
    r"""A layer on the vector of the first token, :math:`\tanh(x_1 W^\top + b)`, as BERT has it.

    Parameters
    ----------
    d_model : int

    Examples
    --------
    >>> BertPooler(8)(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 8])
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.first, self.dense = FirstPooling(), Linear(d_model, d_model)

    def forward(self, x: _Vectors, mask: _Mask | None = None) -> Float[Tensor, "batch d_model"]:
        r"""Map (B, T, D) to (B, D).

        Parameters
        ----------
        x, mask
            As for `FirstPooling`.

        Returns
        -------
        Tensor, shape (B, D)
        """
        return torch.tanh(self.dense(self.first(x, mask)))


class Trunk(nn.Module):
    r"""A causal model up to its last normalisation: one vector for each token, and no logits.

    Parameters
    ----------
    model : GPT or Llama
        Used, not copied.

    Raises
    ------
    TypeError
        If the model is of another kind.

    Examples
    --------
    >>> from companion.models import GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> Trunk(model)(torch.tensor([[1, 2]])).shape
    torch.Size([1, 2, 8])
    """

    def __init__(self, model: GPT | Llama) -> None:
        super().__init__()
        _require_causal(model)
        self.model, self.config = model, model.config

    def forward(
        self, ids: Integer[Tensor, "batch length"], mask: _Mask | None = None
    ) -> Float[Tensor, "batch length d_model"]:
        r"""Return the vector of each token.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding. With a `GPT` padding may only follow a text, where no token sees it.

        Returns
        -------
        Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If shapes do not fit, an id is not in the vocabulary, or padding comes first in a GPT.
        """
        _require_batch(ids)
        _require_padding_mask(mask, ids)
        if isinstance(self.model, GPT):
            if mask is not None and not mask[..., 0].all():
                raise ValueError("mask must not hide the first token: a GPT is padded at the end")
            mask = self.model._bias(ids, 0)
        x = self.model.embed(ids)
        for block in self.model.blocks:
            x = block(x, mask=mask, is_causal=True)
        return self.model.norm(x)


def _require_causal(model: Any) -> None:
    if not isinstance(model, (GPT, Llama)):
        raise TypeError(f"model must be a GPT or a Llama, got {type(model).__name__}")


def _seen(x: Tensor, mask: Tensor | None) -> Bool[Tensor, "batch length"]:
    """Return which tokens count; refuse a text of which none does."""
    _require_floats(x=x)
    if x.ndim != 3 or not x.shape[1]:
        raise ValueError(f"x must be (batch, length, d_model), got shape {tuple(x.shape)}")
    if mask is None:
        return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    _require_padding_mask(mask, x[..., 0])
    seen = mask[:, 0]
    if not seen.any(dim=1).all():
        row = int((~seen.any(dim=1)).nonzero()[0])
        raise ValueError(f"mask must leave a token in each text, and hides all of row {row}")
    return seen
