r"""Losses: what is minimised, each with the gradient that it sends back.

This file adds: mean squared error (the negative log-likelihood of a Gaussian), cross-entropy
(that of a categorical distribution, and the length of a code), its forms for two classes, for
masked tokens and for contrast, and what they are reported as: perplexity and bits per byte.

Shape letters: ``batch`` any number of leading dimensions, ``classes`` (or ``vocab``) the number
of classes C. All logarithms are natural; losses of class probabilities are in nats.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from companion.activations import log_softmax, sigmoid, softmax

__all__ = [
    "mse",
    "mse_gradient",
    "log_sum_exp",
    "cross_entropy",
    "cross_entropy_gradient",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_gradient",
    "kl_divergence",
    "mlm_loss",
    "info_nce",
    "perplexity",
    "bits_per_byte",
]

IGNORE = -100  # as in PyTorch: a target that does not count


def mse(
    prediction: Float[Tensor, "*shape"],
    target: Float[Tensor, "*shape"],
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    r"""Mean squared error, :math:`\frac1N \sum_i (\hat y_i - y_i)^2`.

    Up to a constant and a factor, the negative log-likelihood of targets that scatter around
    the prediction as a Gaussian of fixed width (Bishop 2006, section 3.1.1).

    Parameters
    ----------
    prediction, target : Tensor
        The same shape; nothing is broadcast, because a column against a row would silently
        compare every prediction with every target.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        One number, or with ``"none"`` the squared errors.

    Raises
    ------
    ValueError
        If the shapes differ, the input is empty, or ``reduction`` is none of the three.

    Examples
    --------
    >>> mse(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]))
    tensor(0.5000)
    """
    _require_same_shape(prediction, target)
    return _reduce((prediction - target) ** 2, reduction)


def mse_gradient(
    prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    r"""Gradient of the mean squared error, :math:`\frac2N (\hat y - y)`.

    Parameters
    ----------
    prediction, target : Tensor
        The same shape.

    Returns
    -------
    Tensor
        The shape of ``prediction``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> mse_gradient(torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]))
    tensor([1., 0.])
    """
    _require_same_shape(prediction, target)
    return 2 * (prediction - target) / prediction.numel()


def log_sum_exp(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    r""":math:`\log \sum_j e^{x_j}` along the last dimension, without overflow.

    The largest element is taken out first: :math:`m + \log \sum_j e^{x_j - m}`, in which one
    term is 1 and none is larger. A row of :math:`-\infty` gives :math:`-\infty`.

    Parameters
    ----------
    x : Tensor, shape (..., n)

    Returns
    -------
    Tensor, shape (...)

    Examples
    --------
    >>> log_sum_exp(torch.tensor([0.0, 0.0]))
    tensor(0.6931)
    """
    largest = x.amax(dim=-1, keepdim=True).detach()
    shift = torch.where(largest.isinf(), torch.zeros_like(largest), largest)
    return torch.log(torch.exp(x - shift).sum(dim=-1)) + shift.squeeze(-1)


def cross_entropy(
    logits: Float[Tensor, "*batch classes"],
    targets: Int[Tensor, "*batch"],
    *,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    r"""Cross-entropy of class labels, :math:`-\log \hat p_y = \log \sum_j e^{z_j} - z_y`.

    With label smoothing :math:`\epsilon` the target is a mixture of the label and the uniform
    distribution, :math:`-(1-\epsilon) \log \hat p_y - \frac{\epsilon}{C} \sum_j \log \hat p_j`
    (Szegedy et al. 2016, section 7).

    Parameters
    ----------
    logits : Tensor, shape (..., C)
        Scores before the softmax. Probabilities would be passed through a softmax again.
    targets : Tensor of integers, shape (...)
        A class from 0 to C − 1 for each row, or ``ignore_index``.
    label_smoothing : float
        :math:`\epsilon`, from 0 to 1.
    ignore_index : int
        Rows with this target do not count: not in the sum, and not in the number it is divided
        by.
    reduction : {"mean", "sum", "none"}
        With ``"none"`` ignored rows are 0.

    Returns
    -------
    Tensor
        Nats: one number, or shape (...) with ``"none"``.

    Raises
    ------
    ValueError
        If shapes do not fit, a target is no class, every target is ignored, or a parameter is
        out of range.

    Examples
    --------
    >>> cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing}")
    counts = targets != ignore_index
    _require_classes(logits, targets, counts)
    log_p = log_softmax(logits)
    chosen = targets.where(counts, torch.zeros_like(targets)).long()
    loss = -log_p.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(dim=-1)
    loss = loss.where(counts, torch.zeros_like(loss))
    if reduction == "mean":
        return loss.sum() / _require_some(counts, "targets are all ignore_index")
    return _reduce(loss, reduction)


def cross_entropy_gradient(
    logits: Float[Tensor, "*batch classes"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch classes"]:
    r"""Gradient of the mean cross-entropy: softmax minus one-hot, :math:`\frac1N (\hat p - t)`.

    Parameters
    ----------
    logits : Tensor, shape (..., C)
    targets : Tensor of integers, shape (...)

    Returns
    -------
    Tensor, shape (..., C)
        Each row sums to 0: what the right class gains, the others lose.

    Raises
    ------
    ValueError
        If shapes do not fit or a target is no class.

    Examples
    --------
    >>> cross_entropy_gradient(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([[ 0.5000, -0.5000]])
    """
    _require_classes(logits, targets, torch.ones_like(targets, dtype=torch.bool))
    one_hot = torch.zeros_like(logits).scatter(-1, targets.long().unsqueeze(-1), 1.0)
    return (softmax(logits) - one_hot) / targets.numel()


def binary_cross_entropy_with_logits(
    logits: Float[Tensor, "*shape"],
    targets: Float[Tensor, "*shape"],
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    r"""Cross-entropy of two classes and one output, :math:`-y\log\sigma(z)-(1-y)\log\sigma(-z)`.

    Computed as :math:`y \log(1 + e^{-z}) + (1 - y) \log(1 + e^z)`: each logarithm is the
    log-sum-exp of 0 and a number, so it neither overflows nor meets the logarithm of 0.

    Parameters
    ----------
    logits : Tensor
        Scores z before the sigmoid.
    targets : Tensor
        The same shape: 0, 1, or a probability between them.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        Nats: one number, or the shape of ``logits`` with ``"none"``.

    Raises
    ------
    ValueError
        If the shapes differ, the input is empty, or a target is outside [0, 1].

    Examples
    --------
    >>> binary_cross_entropy_with_logits(torch.tensor([0.0, 200.0]), torch.tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    _require_same_shape(logits, targets)
    if bool(((targets < 0) | (targets > 1)).any()):
        raise ValueError("targets must be probabilities from 0 to 1")
    zero = torch.zeros_like(logits)
    loss = targets * torch.logaddexp(zero, -logits) + (1 - targets) * torch.logaddexp(zero, logits)
    return _reduce(loss, reduction)


def binary_cross_entropy_gradient(
    logits: Float[Tensor, "*shape"], targets: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    r"""Gradient of the mean binary cross-entropy, :math:`\frac1N (\sigma(z) - y)`.

    Parameters
    ----------
    logits, targets : Tensor
        The same shape.

    Returns
    -------
    Tensor
        The shape of ``logits``.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> binary_cross_entropy_gradient(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor([-0.5000])
    """
    _require_same_shape(logits, targets)
    return (sigmoid(logits) - targets) / logits.numel()


def kl_divergence(
    log_p: Float[Tensor, "*batch classes"], log_q: Float[Tensor, "*batch classes"]
) -> Float[Tensor, "*batch"]:
    r"""Kullback–Leibler divergence, :math:`\sum_j p_j (\log p_j - \log q_j)`.

    How many nats more a code made for q needs for what p sends; cross-entropy minus entropy.

    Parameters
    ----------
    log_p, log_q : Tensor, shape (..., C)
        Logarithms of probabilities. Where :math:`p_j = 0` (:math:`\log p_j = -\infty`) the term
        is 0; where only :math:`q_j = 0` the divergence is infinite.

    Returns
    -------
    Tensor, shape (...)
        At least 0, and 0 only where the two are equal.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> kl_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log())
    tensor(0.5108)
    """
    _require_same_shape(log_p, log_q)
    some = ~torch.isneginf(log_p)
    difference = (log_p - log_q).where(some, torch.zeros_like(log_p))
    return (log_p.exp() * difference).sum(dim=-1)


def mlm_loss(
    logits: Float[Tensor, "*batch vocab"],
    tokens: Int[Tensor, "*batch"],
    masked: Bool[Tensor, "*batch"],
) -> Float[Tensor, ""]:
    r"""Loss of masked language modelling, over the masked positions M and no other.

    .. math:: -\frac{1}{|M|} \sum_{i \in M} \log \hat p(x_i \mid \tilde x)

    where :math:`\tilde x` is the corrupted sequence (Devlin et al. 2019, section 3.1).

    Parameters
    ----------
    logits : Tensor, shape (..., V)
        What the model says at every position of the corrupted sequence.
    tokens : Tensor of integers, shape (...)
        The original tokens.
    masked : Tensor of booleans, shape (...)
        True where a token was picked, also where it was kept or replaced at random.

    Returns
    -------
    Tensor
        One number, in nats a masked token.

    Raises
    ------
    ValueError
        If shapes do not fit or nothing is masked.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 0.0], [9.0, -9.0]])
    >>> mlm_loss(logits, torch.tensor([1, 1]), torch.tensor([True, False]))
    tensor(0.6931)
    """
    if masked.shape != tokens.shape:
        raise ValueError(f"masked must have the shape of tokens, {_shapes(tokens, masked)}")
    _require_some(masked, "masked is False everywhere: there is nothing to predict")
    return cross_entropy(logits, tokens.masked_fill(~masked, IGNORE))


def info_nce(
    queries: Float[Tensor, "n d"], keys: Float[Tensor, "n d"], temperature: float = 0.07
) -> Float[Tensor, ""]:
    r"""Contrastive loss: each query shall find its own key among all n.

    .. math:: -\frac1n \sum_i \log
        \frac{\exp(q_i \cdot k_i / \tau)}{\sum_j \exp(q_i \cdot k_j / \tau)}

    with rows brought to length 1 (van den Oord et al. 2018, eq. 4; the temperature is that of
    Chen et al. 2020). At most :math:`\log n` can be learnt from n candidates.

    Parameters
    ----------
    queries, keys : Tensor, shape (n, d)
        Row i of one belongs to row i of the other.
    temperature : float
        :math:`\tau`, above 0.

    Returns
    -------
    Tensor
        One number, in nats.

    Raises
    ------
    ValueError
        If the shapes differ or ``temperature`` is not positive.

    Examples
    --------
    >>> info_nce(torch.eye(2), torch.eye(2), temperature=1.0)
    tensor(0.3133)
    """
    _require_same_shape(queries, keys)
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    rows = [x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12) for x in (queries, keys)]
    similarity = rows[0] @ rows[1].T / temperature  # (n, n)
    return cross_entropy(similarity, torch.arange(len(queries), device=queries.device))


def perplexity(nats_per_token: float) -> float:
    r"""Perplexity, :math:`e^{L}`: as uncertain as a choice among so many equally likely tokens.

    Parameters
    ----------
    nats_per_token : float
        A mean cross-entropy L.

    Returns
    -------
    float
        1 or more. Comparable only between models with the same tokens.

    Examples
    --------
    >>> perplexity(0.0)
    1.0
    """
    return math.exp(nats_per_token)


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    r"""Bits per byte, :math:`L / (n \ln 2)`, which compares models whatever their tokens.

    Parameters
    ----------
    total_nats : float
        The cross-entropy of a text, summed over its tokens.
    n_bytes : int
        How long that text is in UTF-8.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``n_bytes`` is not positive.

    Examples
    --------
    >>> bits_per_byte(8 * math.log(2), 1)
    8.0
    """
    if n_bytes <= 0:
        raise ValueError(f"n_bytes must be above 0, got {n_bytes}")
    return total_nats / (n_bytes * math.log(2))


# -- what all of them need -----------------------------------------------------------------------


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction != "mean":
        raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')
    if not loss.numel():
        raise ValueError("there is nothing to average over: the input is empty")
    return loss.mean()


def _shapes(*tensors: Tensor) -> str:
    return "got " + " and ".join(str(tuple(tensor.shape)) for tensor in tensors)


def _require_same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"both arguments must have the same shape, {_shapes(a, b)}")


def _require_classes(logits: Tensor, targets: Tensor, counts: Tensor) -> None:
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"targets must have the shape of logits without its last dimension, "
            f"{_shapes(logits, targets)}"
        )
    n = logits.shape[-1]
    outside = targets[counts & ((targets < 0) | (targets >= n))]
    if outside.numel():
        raise ValueError(f"targets must be from 0 to {n - 1}, got {int(outside[0])}")


def _require_some(counts: Tensor, complaint: str) -> Tensor:
    total = counts.sum()
    if not total:
        raise ValueError(f"there is nothing to average over: {complaint}")
    return total
