r"""What weights start from, so that signals neither vanish nor grow from layer to layer.

This file adds: the initialisations of Glorot and Bengio (2010), called Xavier after the first
author, and of He et al. (2015). Each fills a tensor in place, as those of ``torch.nn.init`` do.

A sum of ``fan_in`` independent products has ``fan_in`` times the variance of one. Variance 1 /
fan_in for the weights therefore keeps the variance of the signal on the way forward, and 1 /
fan_out that of the gradient on the way back; Glorot takes the mean of the two fans. ReLU sets half
of the signal to 0, which the factor 2 of He makes up for.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from companion._arguments import _require_generator
from companion._tensors import _require_floats, _require_tensors

__all__ = ["fans", "xavier_uniform_", "xavier_normal_", "he_uniform_", "he_normal_", "initialise"]


def fans(weight: Tensor) -> tuple[int, int]:
    r"""Return how many inputs each output has, and how many outputs each input has.

    Parameters
    ----------
    weight : Tensor, shape (out, in) or (out, in, height, width)
        For a kernel each place counts.

    Returns
    -------
    tuple of int
        ``fan_in`` and ``fan_out``.

    Raises
    ------
    ValueError
        If ``weight`` has fewer than two dimensions.

    Examples
    --------
    >>> fans(torch.empty(10, 128)), fans(torch.empty(32, 16, 3, 3))
    ((128, 10), (144, 288))
    """
    _require_tensors(weight=weight)
    if weight.ndim < 2:
        raise ValueError(f"weight must have two or more dimensions, got {tuple(weight.shape)}")
    places = math.prod(weight.shape[2:])
    return weight.shape[1] * places, weight.shape[0] * places


def xavier_uniform_(
    weight: Tensor, gain: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill with uniform numbers of variance :math:`2\,g^2/(n_{in} + n_{out})`.

    A uniform number in :math:`\pm a` has variance :math:`a^2/3`, so that
    :math:`a = g\sqrt{6/(n_{in} + n_{out})}` (Glorot and Bengio 2010, eq. 16).

    Parameters
    ----------
    weight : Tensor, shape (out, in, ...)
        Changed in place.
    gain : float
        Factor :math:`g`.
    generator : torch.Generator, optional

    Returns
    -------
    Tensor
        ``weight`` itself.

    Examples
    --------
    >>> bool((xavier_uniform_(torch.empty(2, 4)).abs() <= 1).all())
    True
    """
    return _uniform(weight, gain * math.sqrt(2 / sum(fans(weight))), generator)


def xavier_normal_(
    weight: Tensor, gain: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill with normal numbers of variance :math:`2\,g^2/(n_{in} + n_{out})`.

    Parameters
    ----------
    weight : Tensor, shape (out, in, ...)
        Changed in place.
    gain : float
        Factor :math:`g`.
    generator : torch.Generator, optional

    Returns
    -------
    Tensor
        ``weight`` itself.

    Examples
    --------
    >>> xavier_normal_(torch.empty(2, 4)).shape
    torch.Size([2, 4])
    """
    return _normal(weight, gain * math.sqrt(2 / sum(fans(weight))), generator)


def he_uniform_(
    weight: Tensor, *, gain: float = math.sqrt(2), generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill with uniform numbers of variance :math:`g^2/n_{in}`, :math:`g^2 = 2` for ReLU.

    Parameters
    ----------
    weight : Tensor, shape (out, in, ...)
        Changed in place.
    gain : float
        Factor :math:`g`: :math:`\sqrt2` for ReLU, 1 where no non-linearity follows.
    generator : torch.Generator, optional

    Returns
    -------
    Tensor
        ``weight`` itself.

    Examples
    --------
    >>> bool((he_uniform_(torch.empty(2, 6)).abs() <= 1).all())
    True
    """
    return _uniform(weight, gain / math.sqrt(fans(weight)[0]), generator)


def he_normal_(
    weight: Tensor, *, gain: float = math.sqrt(2), generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill with normal numbers of variance :math:`g^2/n_{in}` (He et al. 2015, eq. 10).

    Parameters
    ----------
    weight : Tensor, shape (out, in, ...)
        Changed in place.
    gain : float
        Factor :math:`g`: :math:`\sqrt2` for ReLU, 1 where no non-linearity follows.
    generator : torch.Generator, optional

    Returns
    -------
    Tensor
        ``weight`` itself.

    Examples
    --------
    >>> he_normal_(torch.empty(2, 6)).shape
    torch.Size([2, 6])
    """
    return _normal(weight, gain / math.sqrt(fans(weight)[0]), generator)


def initialise(
    module: nn.Module, fill: Callable[..., Tensor] = he_normal_, **options: object
) -> nn.Module:
    r"""Fill the weights of a network in one way and set its biases to 0.

    What has one dimension is taken for a bias if it is called so; the gains of normalisation
    layers stay as they are.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    fill : function
        One of the functions above.
    **options
        Passed on to it: ``gain``, ``generator``.

    Returns
    -------
    nn.Module
        ``module`` itself.

    Examples
    --------
    >>> layer = initialise(nn.Linear(3, 2), xavier_uniform_, gain=0.1)
    >>> bool(layer.weight.abs().max() < 0.11), layer.bias.tolist()
    (True, [0.0, 0.0])
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim >= 2:
                fill(parameter, **options)
            elif name.endswith("bias"):
                parameter.zero_()
    return module


@torch.no_grad()
def _uniform(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    _require_generator("generator", generator, torch.Generator, type(None))
    _require_spread(weight, std)
    bound = math.sqrt(3) * std
    return weight.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def _normal(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    _require_generator("generator", generator, torch.Generator, type(None))
    _require_spread(weight, std)
    return weight.normal_(0, std, generator=generator)


def _require_spread(weight: Tensor, std: float) -> None:
    """Refuse weights that are no floats, and a gain that gives no standard deviation."""
    _require_floats(weight=weight)
    if not 0 <= std < math.inf:
        raise ValueError(f"gain must be finite and not negative, got one that gives {std:.3g}")
