r"""Losses: what is minimised, each with the gradient that it sends back.

This file adds: mean squared error (the negative log-likelihood of a Gaussian), cross-entropy
(that of a categorical distribution, and the length of a code), its forms for two classes, for
masked tokens and for contrast, and what they are reported as: perplexity and bits per byte.

Shape letters: ``batch`` any number of leading dimensions, ``classes`` (or ``vocab``) the number
of classes C. All logarithms are natural; losses of class probabilities are in nats.

Losses of 16-bit numbers are computed and returned in float32: squares and sums overflow in
float16, and so would a loss that is scaled up for mixed precision. Gradients have the format of
what they are gradients of.

Under ``torch.compile`` shapes and formats are checked, but not the numbers in a tensor: as in
PyTorch, a mean over nothing is then not a number.
"""

import math

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from companion._arguments import _require_number
from companion._tensors import (
    _in_range,
    _require_floats,
    _require_ids,
    _require_sizes,
    _require_tensors,
    _require_whole,
    _require_whole_numbers,
    _wide,
)
from companion.activations import log_softmax, sigmoid, softmax

__all__ = [
    "IGNORE",
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
    *,
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
    _require_same_shape(prediction=prediction, target=target)
    return _reduce((_wide(prediction) - _wide(target)) ** 2, reduction)


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
    _require_same_shape(prediction=prediction, target=target)
    gradient = 2 * (_wide(prediction) - _wide(target)) / prediction.numel()
    return gradient.to(prediction.dtype)


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
    _require_floats(x=x)
    largest = _wide(x).amax(dim=-1, keepdim=True).detach()
    shift = torch.where(largest.isinf(), torch.zeros_like(largest), largest)
    total = torch.exp(_wide(x) - shift).sum(dim=-1)
    return (torch.log(total) + shift.squeeze(-1)).to(x.dtype)


def cross_entropy(
    logits: Float[Tensor, "*batch classes"],
    targets: Integer[Tensor, "*batch"],
    *,
    weight: Float[Tensor, " classes"] | None = None,
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
    weight : Tensor, shape (C,), optional
        How much each class counts, by default 1: :math:`\log \hat p_j` is multiplied by
        :math:`w_j`, and the mean is taken over :math:`\sum_i w_{y_i}`, as in PyTorch. Rare classes
        can be given more weight.
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
        If shapes do not fit, a target is no class, every target is ignored or has weight 0, or a
        parameter is out of range.
    TypeError
        If ``targets`` are not whole numbers, or ``logits`` no floating-point ones.

    Examples
    --------
    >>> cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """
    _require_options(weight, label_smoothing, ignore_index, logits)
    _require_whole_numbers(targets=targets)
    counts = targets.long() != ignore_index
    _require_classes(logits, targets, counts)
    log_p = log_softmax(_wide(logits))
    chosen = torch.where(counts, targets.long(), 0)
    loss = -log_p.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    if weight is not None:
        loss, log_p = loss * weight[chosen], log_p * weight
    if label_smoothing:
        loss = (1 - label_smoothing) * loss - label_smoothing * log_p.mean(dim=-1)
    loss = torch.where(counts, loss, 0.0)
    if reduction == "mean":
        shares = counts if weight is None else torch.where(counts, weight[chosen], 0.0)
        return loss.sum() / _require_some(shares, "targets are all ignore_index or of weight 0")
    return _reduce(loss, reduction)


def cross_entropy_gradient(
    logits: Float[Tensor, "*batch classes"], targets: Integer[Tensor, "*batch"]
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
    _require_whole_numbers(targets=targets)
    _require_classes(logits, targets, torch.ones_like(targets, dtype=torch.bool))
    p = softmax(_wide(logits))
    one_hot = torch.zeros_like(p).scatter(-1, targets.long().unsqueeze(-1), 1.0)
    return ((p - one_hot) / targets.numel()).to(logits.dtype)


def binary_cross_entropy_with_logits(
    logits: Float[Tensor, "*shape"],
    targets: Float[Tensor, "*shape"],
    *,
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
    _require_same_shape(logits=logits, targets=targets)
    _require_probabilities(targets)
    z, y = _wide(logits), _wide(targets)
    zero = torch.zeros_like(z)
    loss = y * torch.logaddexp(zero, -z) + (1 - y) * torch.logaddexp(zero, z)
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
        If the shapes differ, or a target is outside [0, 1].

    Examples
    --------
    >>> binary_cross_entropy_gradient(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor([-0.5000])
    """
    _require_same_shape(logits=logits, targets=targets)
    _require_probabilities(targets)
    return ((sigmoid(_wide(logits)) - _wide(targets)) / logits.numel()).to(logits.dtype)


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
        If the shapes differ, or the exponentials of a row do not sum to 1, as with probabilities
        in place of their logarithms.

    Examples
    --------
    >>> kl_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log())
    tensor(0.5108)
    """
    _require_same_shape(log_p=log_p, log_q=log_q)
    _require_logarithms(log_p=log_p, log_q=log_q)
    log_p, log_q = _wide(log_p), _wide(log_q)
    difference = torch.where(log_p.isneginf(), 0.0, log_p - log_q)
    return (log_p.exp() * difference).sum(dim=-1)


def mlm_loss(
    logits: Float[Tensor, "*batch vocab"],
    tokens: Integer[Tensor, "*batch"],
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
        If shapes do not fit, nothing is masked, or a masked token is none of the vocabulary.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 0.0], [9.0, -9.0]])
    >>> mlm_loss(logits, torch.tensor([1, 1]), torch.tensor([True, False]))
    tensor(0.6931)
    """
    _require_masked(logits, tokens, masked)
    return cross_entropy(logits, tokens.long().masked_fill(~masked, IGNORE))


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
        If the shapes differ, are not (n, d) or empty, or ``temperature`` is not positive.

    Examples
    --------
    >>> info_nce(torch.eye(2), torch.eye(2), temperature=1.0)
    tensor(0.3133)
    """
    _require_same_shape(queries=queries, keys=keys)
    if queries.ndim != 2:
        raise ValueError(f"queries must have two dimensions (n, d), {_shapes(queries)}")
    if not queries.numel():
        raise ValueError(f"there is nothing to average over: {_shapes(queries)}")
    if not _require_number("temperature", temperature) > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    pair = [_in_range(_wide(x)) for x in (queries, keys)]
    rows = [x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12) for x in pair]
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
    try:
        return math.exp(_require_number("nats_per_token", nats_per_token))
    except OverflowError:  # beyond 709 nats
        return math.inf


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
    _require_sizes(n_bytes=n_bytes)
    return _require_number("total_nats", total_nats) / (n_bytes * math.log(2))


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


def _require_same_shape(**tensors: Tensor) -> None:
    _require_floats(**tensors)
    first, second = tensors.values()
    if first.shape != second.shape:
        names = " and ".join(tensors)
        raise ValueError(f"{names} must have the same shape, {_shapes(first, second)}")


def _require_probabilities(targets: Tensor) -> None:
    if torch.compiler.is_compiling():
        return
    if not bool(((targets >= 0) & (targets <= 1)).all()):  # NaN is not either
        raise ValueError("targets must be probabilities from 0 to 1")


def _require_logarithms(**rows: Tensor) -> None:
    if torch.compiler.is_compiling():
        return
    for name, row in rows.items():
        total = _wide(row).exp().sum(dim=-1)
        allowed = 1e-3 if row.dtype in (torch.float32, torch.float64) else 0.05
        off = total[(total - 1).abs() > allowed]
        if off.numel():
            raise ValueError(
                f"{name} must hold logarithms of probabilities, whose exponentials sum to 1; "
                f"those of a row sum to {off[0].item():.4g}"
            )


def _require_masked(logits: Tensor, tokens: Tensor, masked: Tensor) -> None:
    _require_floats(logits=logits)
    _require_whole_numbers(tokens=tokens)
    _require_tensors(masked=masked)
    if masked.dtype != torch.bool:
        raise TypeError(f"masked must be boolean, got {masked.dtype}")
    if masked.shape != tokens.shape:
        raise ValueError(f"masked must have the shape of tokens, {_shapes(tokens, masked)}")
    if torch.compiler.is_compiling():  # also because tokens[masked] has no shape yet
        return
    _require_some(masked, "masked is False everywhere: there is nothing to predict")
    _require_ids("tokens", tokens[masked], logits.shape[-1])  # -100 would not count


def _require_options(
    weight: Tensor | None, label_smoothing: float, ignore_index: int, logits: Tensor
) -> None:
    _require_floats(logits=logits)
    _require_whole(ignore_index=ignore_index)
    if not 0 <= _require_number("label_smoothing", label_smoothing) <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing}")
    if weight is None:
        return
    _require_floats(weight=weight)
    if weight.shape != logits.shape[-1:]:
        raise ValueError(f"weight must have one number for each class, {_shapes(weight, logits)}")
    if torch.compiler.is_compiling():
        return
    if not bool((weight >= 0).all()):  # NaN is not either
        raise ValueError("weight must not be negative, nor NaN")


def _require_classes(logits: Tensor, targets: Tensor, counts: Tensor) -> None:
    _require_floats(logits=logits)
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"targets must have the shape of logits without its last dimension, "
            f"{_shapes(logits, targets)}"
        )
    if not torch.compiler.is_compiling():  # targets[counts] has no shape yet
        _require_ids("targets", targets[counts], logits.shape[-1])


def _require_some(shares: Tensor, complaint: str) -> Tensor:
    total = _wide(shares).sum()  # 100,000 weights of 1 are infinite in float16
    if not torch.compiler.is_compiling() and not total:
        raise ValueError(f"there is nothing to average over: {complaint}")
    return total
