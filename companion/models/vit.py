r"""The Vision Transformer: an image is cut into patches, and each patch is a token.

This file adds: ``patches``, which shows an image as rows of pixels; ``ViTConfig`` and ``ViT``
(Dosovitskiy et al. 2021, section 3.1).

Shape letters: ``B`` batch, ``C`` channels, ``P`` side of a patch, ``N`` patches, ``D`` features,
``H`` heads, ``L`` blocks, ``K`` classes.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion._tensors import _require_floats, _require_sizes
from companion.attention import MultiHeadAttention
from companion.layers import (
    Dropout,
    FeedForward,
    LayerNorm,
    Linear,
    he_normal_,
    initialise,
    xavier_uniform_,
)
from companion.models.cnn import Conv2d
from companion.models.hub import Pretrained
from companion.models.layouts import VIT
from companion.transformer import Block, _first

__all__ = ["patches", "ViTConfig", "ViT"]


def patches(
    images: Float[Tensor, "batch channels height width"], size: int
) -> Float[Tensor, "batch n pixels"]:
    r"""Cut images into squares, and lay out the pixels of each one as a row.

    A linear map of these rows is a convolution whose kernel moves on by its own size.

    Parameters
    ----------
    images : Tensor, shape (B, C, height, width)
    size : int
        Side :math:`P` of the squares; it must divide height and width.

    Returns
    -------
    Tensor, shape (B, N, C·P·P)
        From left to right and from top to bottom; in each row one channel after the other.

    Raises
    ------
    ValueError
        If ``images`` do not have four dimensions, or ``size`` does not divide their sides.

    Examples
    --------
    >>> patches(torch.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    _require_floats(images=images)
    _require_sizes(size=size)
    if images.ndim != 4 or any(side % size for side in images.shape[2:]):
        raise ValueError(
            f"images must be (batch, channels, height, width), with sides that {size} divides, "
            f"got shape {tuple(images.shape)}"
        )
    return F.unfold(images, size, stride=size).transpose(1, 2)  # (B, N, C P P)


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of a Vision Transformer; the defaults are those of ViT-B/16."""

    image_size: int = 224
    """Height and width of the images."""
    patch_size: int = 16
    """Height and width of a patch; it must divide those of the images."""
    n_channels: int = 3
    n_classes: int = 1_000
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_hidden: int | None = None
    """Width of the feed-forward layers; default ``4 * d_model``."""
    eps: float = 1e-12
    """Epsilon of LayerNorm."""
    dropout: float = 0.0

    def __post_init__(self) -> None:
        names = ("image_size", "patch_size", "n_channels", "n_classes", "d_model", "n_layers")
        _require_sizes(**{name: getattr(self, name) for name in names})
        if self.image_size % self.patch_size:
            raise ValueError(
                f"patch_size must divide image_size, got {self.patch_size} and {self.image_size}"
            )

    @property
    def n_patches(self) -> int:
        """Number of patches of an image, N."""
        return (self.image_size // self.patch_size) ** 2


class ViT(Pretrained):
    r"""An encoder that reads the patches of an image, and classifies what it sees.

    .. math::
        z_0 = [c;\; p_1 W^\top + b;\; \dots;\; p_N W^\top + b] + E, \qquad
        z_l = \mathrm{Block}_l(z_{l-1}), \qquad
        \text{logits} = \mathrm{norm}(z_L)_0\, V^\top + d

    where :math:`p_i` are the pixels of a patch and :math:`c` is the vector of the class token,
    which stands for no patch (eq. 1 to 4). Its blocks normalise before each layer.

    Parameters
    ----------
    config : ViTConfig

    Raises
    ------
    ValueError
        If the sizes do not fit one another.

    Examples
    --------
    >>> tiny = ViTConfig(8, patch_size=2, n_channels=1, n_classes=10, d_model=8, n_heads=2)
    >>> ViT(tiny)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """

    layout, Config = VIT, ViTConfig

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.projection = Conv2d(
            config.n_channels, config.d_model, size=config.patch_size, stride=config.patch_size
        )
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.d_model))
        self.positions = nn.Parameter(torch.zeros(1, config.n_patches + 1, config.d_model))
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layers))
        self.norm = LayerNorm(config.d_model, config.eps)
        self.head = Linear(config.d_model, config.n_classes)
        self._initialise()

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the model."""
        c = self.config
        return f"image_size={c.image_size}, n_patches={c.n_patches}, d_model={c.d_model}"

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        *,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch classes"]
        | tuple[Float[Tensor, "batch classes"], Float[Tensor, "layers batch heads tokens tokens"]]
    ):
        r"""Return the logits of the classes.

        Parameters
        ----------
        images : Tensor, shape (B, C, height, width)
            Of the size and with the channels of the configuration.
        return_weights : bool

        Returns
        -------
        Tensor, shape (B, K)
            And, if asked for, the attention weights, shape (L, B, H, N+1, N+1); token 0 is the
            class token.

        Raises
        ------
        ValueError
            If the images have another shape.
        TypeError
            If they do not hold floating-point numbers.
        """
        x = self.embed(images)  # (B, N+1, D)
        maps: list[Tensor] = []
        for block in self.blocks:
            x, weights = _first(block(x, return_weights=return_weights))
            maps += weights
        logits = self.head(self.norm(x[:, 0]))
        return (logits, torch.stack(maps)) if return_weights else logits

    def embed(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        """Map images to the class token and one vector for each patch, (B, N+1, D)."""
        self._require_fit(images)
        x = self.projection(images).flatten(2).transpose(1, 2)  # (B, N, D)
        x = torch.cat((self.class_token.expand(len(x), -1, -1), x), dim=1)  # (B, N+1, D)
        return self.dropout(x + self.positions)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Draw weights as the authors' code does; at first every class is equally likely.

        Only positions are larger, as in `Embedding`: beside patches of small images, those of
        standard deviation 0.02 are too weak to be noticed, and training takes much longer.
        """
        initialise(self.blocks, xavier_uniform_)
        initialise(self.projection, he_normal_, gain=1.0)
        self.positions.normal_()
        for parameter in self.head.parameters():
            parameter.zero_()

    def _require_fit(self, images: Tensor) -> None:
        _require_floats(images=images)
        side = self.config.image_size
        if images.ndim != 4 or images.shape[1:] != (self.config.n_channels, side, side):
            raise ValueError(
                f"images must have shape (batch, {self.config.n_channels}, {side}, {side}), "
                f"got {tuple(images.shape)}"
            )


def _block(config: ViTConfig) -> Block:
    # PyTorch's own GELU computes `companion.activations.gelu(x)` in one pass.
    return Block(
        MultiHeadAttention(config.d_model, config.n_heads, dropout=config.dropout),
        FeedForward(config.d_model, config.d_hidden, activation=nn.GELU()),
        norm=partial(LayerNorm, eps=config.eps),
        dropout=config.dropout,
    )
