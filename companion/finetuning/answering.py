r"""Answers that stand in a text: the first and the last token of each are to be found.

This file adds: ``QuestionAnswerer``, which says how probable each token is as the first and as the
last one (Devlin et al. 2019, section 4.2), and ``best_span``, which picks a pair of them.

Shape letters: ``B`` batch, ``T`` tokens, ``D`` features.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from companion._tensors import _require_sizes
from companion.finetuning.heads import _Head, _Ids, _Mask, _require_labels
from companion.losses import IGNORE, cross_entropy

__all__ = ["QuestionAnswerer", "best_span"]


class QuestionAnswerer(_Head):
    r"""Where in a text the answer to a question begins and ends (Devlin et al. 2019, section 4.2).

    .. math:: \hat p_{\text{start}} = \mathrm{softmax}_t(x_t w_1 + b_1), \qquad
        \hat p_{\text{end}} = \mathrm{softmax}_t(x_t w_2 + b_2)

    Parameters
    ----------
    encoder, dropout
        As for `SequenceClassifier`.

    Raises
    ------
    ValueError
        If ``dropout`` is out of range.
    TypeError
        If ``encoder`` does not say how wide its vectors are.

    Examples
    --------
    >>> from companion.models import BertConfig, BertEncoder
    >>> sizes = dict(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> start, end = QuestionAnswerer(BertEncoder(BertConfig(**sizes)))(torch.tensor([[1, 2, 3]]))
    >>> start.shape, end.shape
    (torch.Size([1, 3]), torch.Size([1, 3]))
    """

    def __init__(self, encoder: nn.Module, dropout: float = 0.0) -> None:
        super().__init__(encoder, 2, dropout)

    def forward(
        self, ids: _Ids, mask: _Mask | None = None, **options: Any
    ) -> tuple[Float[Tensor, "batch length"], Float[Tensor, "batch length"]]:
        r"""Return logits of the first and of the last token of the answer.

        Parameters
        ----------
        ids, mask
            As for `SequenceClassifier`. Padding cannot be an answer: its logits are −∞.
        **options
            For the encoder.

        Returns
        -------
        tuple of Tensor, each of shape (B, T)
        """
        logits = self.head(self.dropout(self.encoder(ids, mask, **options)))  # (B, T, 2)
        if mask is not None:
            logits = logits.masked_fill(~mask.transpose(1, 2), -math.inf)
        return logits[..., 0], logits[..., 1]

    def loss(
        self,
        ids: _Ids,
        starts: Integer[Tensor, " batch"],
        ends: Integer[Tensor, " batch"],
        mask: _Mask | None = None,
        **options: Any,
    ) -> Float[Tensor, ""]:
        r"""Return the mean of two cross-entropies, that of the first and that of the last token.

        Parameters
        ----------
        ids, mask
            As for a call.
        **options
            For the encoder.
        starts, ends : Tensor of int, shape (B,)
            Places from 0 to T − 1, both of the answer's own tokens; −100 where the answer is not
            in this part of the text.

        Returns
        -------
        Tensor
            Nats.

        Raises
        ------
        ValueError
            If a place is not in the text or is padding, an answer ends before it starts, or none
            counts.
        """
        for name, places in (("starts", starts), ("ends", ends)):
            _require_labels(name, places, tuple(ids.shape[:1]), ids.shape[1], IGNORE)
            _require_unhidden(name, places, mask)
        if not torch.equal(starts == IGNORE, ends == IGNORE):
            raise ValueError(f"ends must be {IGNORE} where starts are, and only there")
        if bool((starts > ends).any()):
            raise ValueError("ends must not be before starts")
        first, last = self(ids, mask, **options)
        return (cross_entropy(first, starts) + cross_entropy(last, ends)) / 2


def best_span(
    start: Float[Tensor, " length"], end: Float[Tensor, " length"], max_length: int = 30
) -> tuple[int, int]:
    r"""Return the pair of places :math:`i \le j` with the largest sum of logits.

    Parameters
    ----------
    start, end : Tensor, shape (T,)
        Logits of the first and of the last token; −∞ where no answer can begin or end, such as
        in the question.
    max_length : int
        Tokens that an answer has at most.

    Returns
    -------
    tuple of int
        The first and the last place. Of several pairs that are equally good, the first.

    Raises
    ------
    ValueError
        If shapes differ, or no pair is possible.

    Examples
    --------
    >>> best_span(torch.tensor([0.0, 3.0, 1.0]), torch.tensor([4.0, 0.0, 2.0]))
    (1, 2)
    """
    _require_sizes(max_length=max_length)
    if start.ndim != 1 or start.shape != end.shape:
        raise ValueError(
            f"start and end must have one shape (length,), got {tuple(start.shape)} and "
            f"{tuple(end.shape)}"
        )
    score = start[:, None] + end[None]  # (T, T)
    allowed = torch.ones_like(score, dtype=torch.bool).triu().tril(max_length - 1)
    score = score.masked_fill(~allowed, -math.inf)
    best = int(score.argmax())
    if not score.flatten()[best] > -math.inf:
        raise ValueError("start and end must leave a pair of places that is possible, got none")
    return divmod(best, len(start))


def _require_unhidden(name: str, places: Tensor, mask: Tensor | None) -> None:
    """Refuse places of padding."""
    if mask is None:
        return
    hidden = ~mask[:, 0].gather(1, places.long().clamp(min=0)[:, None])[:, 0]
    if bool((hidden & (places != IGNORE)).any()):
        raise ValueError(f"{name} must be places that mask does not hide")
