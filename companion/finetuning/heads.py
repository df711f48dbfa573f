r"""Heads: what makes answers to a task of the vectors of a trained model.

This file adds: ``SequenceClassifier``, a class for each text, and ``TokenClassifier``, a class for
each token (Devlin et al. 2019, section 4).

Shape letters: ``B`` batch, ``T`` tokens, ``D`` features, ``C`` classes.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._tensors import _require_sizes, _require_whole_numbers
from companion.finetuning._targets import _require_module
from companion.finetuning.pooling import MeanPooling
from companion.layers import Dropout, Linear
from companion.losses import IGNORE, cross_entropy

__all__ = ["SequenceClassifier", "TokenClassifier"]

_Ids = Integer[Tensor, "batch length"]
_Mask = Bool[Tensor, "batch 1 length"]


class _Head(nn.Module):
    """An encoder, dropout, and a linear layer on top."""

    def __init__(self, encoder: nn.Module, n_out: int, dropout: float) -> None:
        super().__init__()
        _require_module("encoder", encoder)
        d_model = getattr(getattr(encoder, "config", None), "d_model", None)
        if d_model is None:
            raise TypeError(
                "encoder must have config.d_model, as BertEncoder and Trunk(gpt) have; "
                f"got {type(encoder).__name__}"
            )
        self.encoder, self.dropout = encoder, Dropout(dropout)
        self.head = Linear(d_model, n_out)
        with torch.no_grad():  # as BERT's heads start: all classes about as probable
            for parameter in self.head.parameters():
                parameter.zero_()
            self.head.weight.normal_(std=0.02)


class SequenceClassifier(_Head):
    r"""A class for each text, :math:`\text{logits} = \mathrm{pool}(x)\, W^\top + b`.

    Parameters
    ----------
    encoder : nn.Module
        Maps ids (B, T) and a mask to vectors (B, T, D): `BertEncoder`, or `Trunk` of a GPT.
    n_classes : int
        C.
    pool : nn.Module, optional
        Makes one vector of those of a text; by default `MeanPooling`.
    dropout : float
        Of that vector, in training mode only.

    Raises
    ------
    ValueError
        If ``n_classes`` is below 1, or ``dropout`` out of range.
    TypeError
        If ``encoder`` does not say how wide its vectors are.

    Examples
    --------
    >>> from companion.models import BertConfig, BertEncoder
    >>> sizes = dict(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> model = SequenceClassifier(BertEncoder(BertConfig(**sizes)), n_classes=3)
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3])
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_classes: int,
        pool: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        _require_sizes(n_classes=n_classes)
        super().__init__(encoder, n_classes, dropout)
        self.pool = MeanPooling() if pool is None else pool

    def forward(
        self, ids: _Ids, mask: _Mask | None = None, **options: Any
    ) -> Float[Tensor, "batch classes"]:
        r"""Return the logits of each class.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding.
        **options
            For the encoder, such as ``segments``.

        Returns
        -------
        Tensor, shape (B, C)
        """
        x = self.encoder(ids, mask, **options)  # (B, T, D)
        return self.head(self.dropout(self.pool(x, mask)))

    def loss(
        self,
        ids: _Ids,
        labels: Integer[Tensor, " batch"],
        mask: _Mask | None = None,
        **options: Any,
    ) -> Float[Tensor, ""]:
        r"""Return the mean cross-entropy of the labels.

        Parameters
        ----------
        ids, mask
            As for a call.
        **options
            For the encoder.
        labels : Tensor of int, shape (B,)
            From 0 to C − 1.

        Returns
        -------
        Tensor
            Nats.

        Raises
        ------
        ValueError
            If a label is no class, or there is not one for each text.
        """
        _require_labels("labels", labels, tuple(ids.shape[:1]), self.head.weight.shape[0])
        return cross_entropy(self(ids, mask, **options), labels)


class TokenClassifier(_Head):
    r"""A class for each token, such as the kind of name that it belongs to.

    Parameters
    ----------
    encoder, n_classes, dropout
        As for `SequenceClassifier`.

    Raises
    ------
    ValueError
        If ``n_classes`` is below 1, or ``dropout`` out of range.
    TypeError
        If ``encoder`` does not say how wide its vectors are.

    Examples
    --------
    >>> from companion.models import BertConfig, BertEncoder
    >>> sizes = dict(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> model = TokenClassifier(BertEncoder(BertConfig(**sizes)), n_classes=3)
    >>> model(torch.tensor([[1, 2, 3, 4]])).shape
    torch.Size([1, 4, 3])
    """

    def __init__(self, encoder: nn.Module, n_classes: int, dropout: float = 0.0) -> None:
        _require_sizes(n_classes=n_classes)
        super().__init__(encoder, n_classes, dropout)

    def forward(
        self, ids: _Ids, mask: _Mask | None = None, **options: Any
    ) -> Float[Tensor, "batch length classes"]:
        r"""Return the logits of each class for each token, (B, T, C).

        Parameters
        ----------
        ids, mask
            As for `SequenceClassifier`.
        **options
            For the encoder.

        Returns
        -------
        Tensor, shape (B, T, C)
        """
        return self.head(self.dropout(self.encoder(ids, mask, **options)))

    def loss(
        self, ids: _Ids, labels: _Ids, mask: _Mask | None = None, **options: Any
    ) -> Float[Tensor, ""]:
        r"""Return the mean cross-entropy over all tokens that have a label.

        Parameters
        ----------
        ids, mask
            As for a call.
        **options
            For the encoder.
        labels : Tensor of int, shape (B, T)
            From 0 to C − 1, or −100 where nothing is to be said: padding, special tokens, and all
            pieces of a word but the first.

        Returns
        -------
        Tensor
            Nats.

        Raises
        ------
        ValueError
            If a label is no class, there is not one for each token, or none counts.
        """
        _require_labels("labels", labels, tuple(ids.shape), self.head.weight.shape[0], IGNORE)
        return cross_entropy(self(ids, mask, **options), labels)


def _require_labels(
    name: str, labels: Any, shape: tuple[int, ...], n: int, ignored: int | None = None
) -> None:
    """Refuse labels that are not one for each row, or outside of the classes."""
    _require_whole_numbers(**{name: labels})
    if tuple(labels.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(labels.shape)}")
    outside = (labels < 0) | (labels >= n)
    if ignored is not None:
        outside &= labels != ignored
    if bool(outside.any()):
        also = "" if ignored is None else f", or {ignored} where none counts"
        raise ValueError(f"{name} must be from 0 to {n - 1}{also}, got {int(labels[outside][0])}")
