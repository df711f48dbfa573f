r"""RoBERTa: BERT with a better recipe for its pretraining.

This file adds: ``RobertaConfig``, ``RobertaEncoder`` and ``RoBERTa`` (Liu et al. 2019). It does not
ask which sentences follow one another, so it has neither segments nor the head for them, and it
counts positions in another way.

Shape letters: ``B`` batch, ``T`` tokens, ``D`` features, ``V`` vocabulary.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Integer
from torch import Tensor

from companion._tensors import _require_sizes
from companion.layers import Embedding
from companion.models.bert import BertConfig, BertEncoder, MaskedLMHead, _initialise
from companion.models.hub import Pretrained
from companion.models.layouts import ROBERTA, ROBERTA_ENCODER
from companion.tokenizers import WordPiece

__all__ = ["RobertaConfig", "RobertaEncoder", "RoBERTa"]


@dataclass(frozen=True)
class RobertaConfig(BertConfig):
    """Sizes of a RoBERTa; the defaults are those of its base model."""

    vocab_size: int = 50_265
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_hidden: int = 3_072
    max_length: int = 512
    n_segments: int = 1
    eps: float = 1e-5
    first_position: int = 2
    """Row of the first token's position; the row before it, and the id of the same number, are
    those of padding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_sizes(first_position=self.first_position)


class RobertaEncoder(BertEncoder):
    r"""The encoder of RoBERTa, which differs from BERT's in how it counts positions.

    They begin at ``first_position``, and padding is not counted, wherever it stands: the id
    ``first_position − 1``. The mask is still to be given.

    Parameters
    ----------
    config : RobertaConfig
    tokenizer : WordPiece, optional
        As for `BertEncoder`.

    Examples
    --------
    >>> import torch
    >>> sizes = {"d_model": 8, "n_layers": 2, "n_heads": 2, "d_hidden": 16}
    >>> RobertaEncoder(RobertaConfig(vocab_size=10, **sizes))(torch.tensor([[0, 3, 2]])).shape
    torch.Size([1, 3, 8])
    """

    layout, Config = ROBERTA_ENCODER, RobertaConfig
    config: RobertaConfig

    def __init__(self, config: RobertaConfig, tokenizer: WordPiece | None = None) -> None:
        super().__init__(config, tokenizer)
        self.positions = Embedding(config.first_position + config.max_length, config.d_model)

    def _positions(self, ids: Tensor) -> Tensor:
        """Return the vector of each position, (B, T, D)."""
        padding = self.config.first_position - 1
        real = ids != padding
        return self.positions(real.cumsum(dim=1) * real + padding)


class RoBERTa(Pretrained):
    r"""BERT pretrained on more text, longer, and to fill in masked tokens alone (Liu et al. 2019).

    Parameters
    ----------
    config : RobertaConfig

    Examples
    --------
    >>> import torch
    >>> sizes = {"d_model": 8, "n_layers": 2, "n_heads": 2, "d_hidden": 16}
    >>> RoBERTa(RobertaConfig(vocab_size=10, **sizes))(torch.tensor([[0, 3, 2]])).shape
    torch.Size([1, 3, 10])
    """

    layout, Config = ROBERTA, RobertaConfig

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = RobertaEncoder(config)
        self.head = MaskedLMHead(config)
        _initialise(self)

    def forward(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        """Return the logits of the token at each position, (B, T, V), as `BERT` does."""
        return self.head(self.encoder(ids, mask), self.encoder.words.weight)
