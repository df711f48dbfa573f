r"""A reward model: a language model whose last vector becomes one number.

This file adds: ``RewardModel`` (Ouyang et al. 2022, section 3.5).

Shape letters: ``B`` batch, ``T`` tokens.
"""

from typing import Any

from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion.alignment.preferences import preference_loss
from companion.finetuning import LastPooling, SequenceClassifier

__all__ = ["RewardModel"]

_Ids = Integer[Tensor, "batch length"]
_Mask = Bool[Tensor, "batch 1 length"]


class RewardModel(nn.Module):
    r"""One number for each text, :math:`r(x) = w^\top h_T + b`, from the vector of its last token.

    In a causal model the last token is the one that has seen all others.

    Parameters
    ----------
    encoder : nn.Module
        Maps ids (B, T) and a mask to vectors (B, T, D): `companion.finetuning.Trunk` of a GPT or
        a Llama.
    dropout : float
        Of that vector, in training mode only.

    Raises
    ------
    ValueError
        If ``dropout`` is out of range.
    TypeError
        If ``encoder`` does not say how wide its vectors are.

    Examples
    --------
    >>> import torch
    >>> from companion.finetuning import Trunk
    >>> from companion.models import GPT, GPTConfig
    >>> gpt = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> RewardModel(Trunk(gpt))(torch.tensor([[1, 2], [3, 4]])).shape
    torch.Size([2])
    """

    def __init__(self, encoder: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.scorer = SequenceClassifier(encoder, 1, LastPooling(), dropout)

    def forward(self, ids: _Ids, mask: _Mask | None = None) -> Float[Tensor, " batch"]:
        r"""Return the reward of each text.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding.

        Returns
        -------
        Tensor, shape (B,)
        """
        return self.scorer(ids, mask)[:, 0]

    def loss(
        self,
        chosen: _Ids,
        rejected: Integer[Tensor, "batch other"],
        chosen_mask: _Mask | None = None,
        rejected_mask: Bool[Tensor, "batch 1 other"] | None = None,
        margin: Any = 0.0,
    ) -> Float[Tensor, ""]:
        r"""Return the mean of :math:`-\ln \sigma(r_w - r_l - m)`.

        Parameters
        ----------
        chosen, rejected : Tensor of int, shape (B, T) and (B, T')
            Whole texts, with the prompt.
        chosen_mask, rejected_mask : Tensor of bool, optional
            False for padding.
        margin : float or Tensor of shape (B,)
            As for `companion.alignment.preference_loss`.

        Returns
        -------
        Tensor
            Nats.

        Raises
        ------
        ValueError
            If there are not as many rejected texts as chosen ones.
        """
        return preference_loss(self(chosen, chosen_mask), self(rejected, rejected_mask), margin)
