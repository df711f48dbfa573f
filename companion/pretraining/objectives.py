r"""What is minimised in pretraining: sums of losses, with the number of their targets.

This file adds: `MaskedLM`, `MaskedLMAndNSP` and `Contrastive`. Each has two methods. ``count``
says how many targets a batch has for each term, before the model has run. A call gives, for each
term, the *sum* of the losses over these targets. A training loop that accumulates several batches
can so divide each sum once, by the number of all targets.

A batch is a dict of tensors.
"""

from collections.abc import Mapping
from typing import cast

from jaxtyping import Bool, Float
from torch import Tensor, nn

from companion._arguments import _require_number
from companion._tensors import _require_whole_numbers
from companion.losses import IGNORE, cross_entropy, info_nce
from companion.models import BERT

__all__ = ["MaskedLM", "MaskedLMAndNSP", "Contrastive"]

Batch = Mapping[str, Tensor]


class MaskedLM:
    r"""Masked language modelling, for `companion.models.BERT` and other models with such logits.

    A batch holds ``ids`` and ``targets`` of shape (B, T), as `mask_tokens` makes them, and if they
    are needed ``mask`` of shape (B, 1, T), which is False for padding, and ``segments``.

    The sum over the targets divided by their number is `companion.losses.mlm_loss`.

    Examples
    --------
    >>> import torch
    >>> from companion.models import BERT, BertConfig
    >>> model = BERT(BertConfig(vocab_size=10, d_model=8, n_layers=1, n_heads=2, d_hidden=16))
    >>> ids = torch.tensor([[1, 3, 5, 2]])
    >>> batch = {"ids": ids, "targets": torch.tensor([[-100, 7, -100, -100]])}
    >>> MaskedLM().count(batch)
    {'mlm': 1}
    >>> sum(MaskedLM()(model, batch).values()).shape
    torch.Size([])
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def count(self, batch: Batch) -> dict[str, int]:
        r"""Return how many tokens the batch asks for.

        Parameters
        ----------
        batch : dict of Tensor

        Returns
        -------
        dict from str to int

        Raises
        ------
        KeyError
            If the batch has no targets.
        """
        return {"mlm": int((_part(batch, "targets") != IGNORE).sum())}

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        r"""Return the sum of the losses at the positions that are asked for.

        Parameters
        ----------
        model : Module
            ``model(ids, mask, segments=segments)`` gives logits (B, T, V).
        batch : dict of Tensor

        Returns
        -------
        dict from str to Tensor
            In nats; 0 if nothing is asked for.
        """
        logits = model(_part(batch, "ids"), batch.get("mask"), segments=batch.get("segments"))
        return {"mlm": cross_entropy(logits, _part(batch, "targets"), reduction="sum")}


class MaskedLMAndNSP(MaskedLM):
    r"""Both objectives of BERT: masked tokens, and whether the second sentence follows.

    A batch holds ``ids``, ``targets`` and ``segments`` of shape (B, T), ``label`` of shape (B,)
    with 0 where the second sentence follows and 1 where it does not, and if it is needed ``mask``.
    The loss of a step is the sum of the two means (Devlin et al. 2019, appendix A.2).

    Examples
    --------
    >>> import torch
    >>> ids = torch.tensor([[1, 3, 2, 6, 2]])
    >>> targets = torch.tensor([[-100, 7, -100, -100, -100]])
    >>> MaskedLMAndNSP().count({"ids": ids, "targets": targets, "label": torch.tensor([0])})
    {'mlm': 1, 'nsp': 1}
    """

    def count(self, batch: Batch) -> dict[str, int]:
        r"""Return how many tokens the batch asks for, and how many pairs it has.

        Parameters
        ----------
        batch : dict of Tensor

        Returns
        -------
        dict from str to int
        """
        return {**super().count(batch), "nsp": _part(batch, "label").numel()}

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        r"""Return the sums of both losses, from one pass through the encoder.

        Parameters
        ----------
        model : companion.models.BERT
        batch : dict of Tensor

        Returns
        -------
        dict from str to Tensor
        """
        bert = cast(BERT, model)
        x = bert.encoder(
            _part(batch, "ids"), batch.get("mask"), segments=_part(batch, "segments")
        )  # (B, T, D)
        words = cross_entropy(bert.predict(x), _part(batch, "targets"), reduction="sum")
        follows = cross_entropy(bert.compare(x), _part(batch, "label"), reduction="sum")
        return {"mlm": words, "nsp": follows}


class Contrastive:
    r"""Two views of a text must find each other among those of all other texts of the batch.

    The two views are two passes through the encoder with different dropout (SimCSE, Gao et al.
    2021, eq. 4), or two texts that belong together, such as a question and its answer. A text's
    vector is the mean over its tokens. The loss is `companion.losses.info_nce`.

    A batch holds ``ids`` of shape (B, T), and if they are needed ``mask``, and ``other`` and
    ``other_mask``: the second views, if they are texts of their own. The other texts of the batch
    are the negatives, so the loss depends on the batch's size; accumulation adds none, and of
    several processes each compares only the texts of its own part.

    Parameters
    ----------
    temperature : float
        Above 0; 0.05 as in SimCSE.

    Raises
    ------
    ValueError
        If ``temperature`` is not positive.

    Examples
    --------
    >>> import torch
    >>> from companion.models import BertConfig, BertEncoder
    >>> tiny = BertConfig(vocab_size=10, d_model=8, n_layers=1, n_heads=2, d_hidden=16, dropout=0.1)
    >>> encoder, batch = BertEncoder(tiny), {"ids": torch.tensor([[1, 2], [3, 4], [5, 6]])}
    >>> Contrastive().count(batch)
    {'contrastive': 3}
    >>> bool(Contrastive()(encoder, batch)["contrastive"] > 0)
    True
    """

    def __init__(self, temperature: float = 0.05) -> None:
        if not _require_number("temperature", temperature) > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature

    def __repr__(self) -> str:
        return f"{type(self).__name__}(temperature={self.temperature})"

    def count(self, batch: Batch) -> dict[str, int]:
        r"""Return how many texts the batch has.

        Parameters
        ----------
        batch : dict of Tensor

        Returns
        -------
        dict from str to int
        """
        return {"contrastive": len(_part(batch, "ids"))}

    def __call__(self, encoder: nn.Module, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        r"""Return the sum of the losses of all texts.

        Parameters
        ----------
        encoder : Module
            ``encoder(ids, mask)`` gives vectors (B, T, D), such as `companion.models.BertEncoder`.
            In training mode with dropout, if the second views are no texts of their own: else the
            two views are the same.
        batch : dict of Tensor

        Returns
        -------
        dict from str to Tensor
        """
        ids, mask = _part(batch, "ids"), batch.get("mask")
        second = (batch["other"], batch.get("other_mask")) if "other" in batch else (ids, mask)
        a, b = _mean(encoder(ids, mask), mask), _mean(encoder(*second), second[1])  # (B, D)
        return {"contrastive": len(ids) * info_nce(a, b, self.temperature)}


def _mean(
    x: Float[Tensor, "batch length d_model"], mask: Bool[Tensor, "batch 1 length"] | None
) -> Float[Tensor, "batch d_model"]:
    """Average the vectors of the tokens that are no padding."""
    if mask is None:
        return x.mean(dim=1)
    real = mask[:, 0, :, None].to(x.dtype)  # (B, T, 1)
    return (x * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def _part(batch: Batch, name: str) -> Tensor:
    if name not in batch:
        raise KeyError(f"batch must hold {name!r}, got {', '.join(map(repr, batch)) or 'nothing'}")
    _require_whole_numbers(**{f"batch[{name!r}]": batch[name]})
    return batch[name]
