r"""What training costs by formula: operations, days, and bytes that are sent.

This file adds: the operations of a training run and its length; the bytes that one process sends
under each kind of parallelism; and the share of time in which a pipeline stands idle. They are
formulas, without a process or a tensor; tests hold them against what is counted.

Letters: ``n`` processes, ``N`` numbers, ``p`` stages, ``m`` micro-batches.
"""

from companion._arguments import _require_int, _require_number

__all__ = [
    "training_flops",
    "training_days",
    "bubble_share",
    "all_gather_bytes",
    "all_reduce_bytes",
    "tensor_parallel_bytes",
    "pipeline_bytes",
]

SECONDS_A_DAY = 86_400


def training_flops(
    n_parameters: float,
    n_tokens: float,
    *,
    n_layers: int = 0,
    d_model: int = 0,
    length: int = 0,
) -> float:
    r"""Return the floating-point operations of a training run (Kaplan et al. 2020, section 2.1).

    .. math:: 6\,N D + 12\,L\,d\,T\,D

    Each parameter takes part in a multiplication and an addition for each token: 2 operations
    forward, and 4 backward, for the gradients of inputs and of weights. The second term, which
    many leave out, is for the scores of attention and the sums of values, over all :math:`T`
    positions of a text (Chowdhery et al. 2022, appendix B).

    Parameters
    ----------
    n_parameters, n_tokens : float
        :math:`N` and :math:`D`. Of a mixture of experts count the active parameters.
    n_layers, d_model, length : int
        :math:`L`, :math:`d` and :math:`T`, for the second term; :math:`d` is the width of all
        heads of a layer together.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a number is negative, or only some of the three are given.

    Examples
    --------
    >>> print(f"{training_flops(405e9, 15.6e12):.1e}")  # Llama 3 (Llama Team 2024, section 1)
    3.8e+25
    """
    _require_positive(n_parameters=n_parameters, n_tokens=n_tokens)
    sizes = {"n_layers": n_layers, "d_model": d_model, "length": length}
    for name, size in sizes.items():
        _require_int(name, size, least=0)
    if any(sizes.values()) and not all(sizes.values()):
        raise ValueError(f"n_layers, d_model and length belong together, got {sizes}")
    return (6 * n_parameters + 12 * n_layers * d_model * length) * n_tokens


def training_days(
    flops: float, n_devices: int, peak_flops: float, utilization: float = 0.4
) -> float:
    r"""Return how many days so many operations take.

    Parameters
    ----------
    flops : float
        Of the whole run.
    n_devices : int
    peak_flops : float
        Operations a second of one device, as its data sheet has them for the number format.
    utilization : float
        The share of them that is reached, above 0, at most 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> round(training_days(3.8e25, 16_384, 989e12, 0.41))  # Llama 3 405B, if its 41 % are kept up
    66
    """
    _require_positive(flops=flops, peak_flops=peak_flops, utilization=utilization)
    _require_int("n_devices", n_devices, least=1)
    if utilization > 1:
        raise ValueError(f"utilization must be at most 1, got {utilization}")
    return flops / (n_devices * peak_flops * utilization * SECONDS_A_DAY)


def bubble_share(p: int, m: int) -> float:
    r"""Return the share of time in which the stages of a pipeline stand idle.

    .. math:: \frac{p - 1}{m + p - 1}

    Huang et al. 2019, section 2.3. It is the same for GPipe and for 1F1B. (Narayanan et al. 2021,
    section 2.2.1, divide the idle time by the busy one, which gives :math:`(p-1)/m`.)

    Parameters
    ----------
    p, m : int
        Stages and micro-batches.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If one is below 1.

    Examples
    --------
    >>> bubble_share(4, 12)
    0.2
    """
    _require_int("p", p, least=1)
    _require_int("m", m, least=1)
    return (p - 1) / (m + p - 1)


def all_gather_bytes(numbers: int, n: int, bytes_per_number: int) -> int:
    r"""Return what each process sends in an all-gather, or a reduce-scatter, round a ring.

    .. math:: (n - 1) \lceil N / n \rceil\, b

    In stages 1 and 2 of ZeRO a step sends it twice for each parameter, as much as plain data
    parallelism; in stage 3 three times (Rajbhandari et al. 2020, section 7).

    Parameters
    ----------
    numbers : int
        Of the whole tensor, :math:`N`.
    n : int
        Processes.
    bytes_per_number : int

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> all_gather_bytes(8, 4, bytes_per_number=2)
    12
    """
    _require_int("numbers", numbers, least=0)
    _require_int("n", n, least=1)
    _require_int("bytes_per_number", bytes_per_number, least=1)
    return (n - 1) * -(-numbers // n) * bytes_per_number


def all_reduce_bytes(numbers: int, n: int, bytes_per_number: int) -> int:
    r"""Return what each process sends in an all-reduce round a ring.

    .. math:: 2 (n - 1) \lceil N / n \rceil\, b

    Parameters
    ----------
    numbers, n, bytes_per_number : int
        As for `all_gather_bytes`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> all_reduce_bytes(8, 4, bytes_per_number=2)
    24
    """
    return 2 * all_gather_bytes(numbers, n, bytes_per_number)


def tensor_parallel_bytes(
    batch: int, length: int, d_model: int, n: int, bytes_per_number: int
) -> int:
    r"""Return what each process sends for one block cut by tensor parallelism, in one step.

    Four all-reduces of (B, T, D): attention and feed-forward, forward and backward (Shoeybi et
    al. 2019, figure 4).

    Parameters
    ----------
    batch, length, d_model : int
        :math:`B, T, D`.
    n, bytes_per_number : int
        As for `all_gather_bytes`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> tensor_parallel_bytes(1, 4, 8, n=2, bytes_per_number=2)
    256
    """
    for name, size in (("batch", batch), ("length", length), ("d_model", d_model)):
        _require_int(name, size, least=1)
    return 4 * all_reduce_bytes(batch * length * d_model, n, bytes_per_number)


def pipeline_bytes(numbers: int, stage: int, p: int, bytes_per_number: int) -> int:
    r"""Return what a stage of a pipeline sends in one step.

    Activations to the stage after it, if there is one, and as many gradients to the one before.

    Parameters
    ----------
    numbers : int
        That one stage hands to the next for the whole batch, :math:`B T D`.
    stage, p : int
        Which of :math:`p` stages, from 0.
    bytes_per_number : int

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> [pipeline_bytes(10, stage, p=3, bytes_per_number=2) for stage in range(3)]
    [20, 40, 20]
    """
    _require_int("numbers", numbers, least=0)
    _require_int("p", p, least=1)
    _require_int("stage", stage, least=0, most=p - 1)
    _require_int("bytes_per_number", bytes_per_number, least=1)
    return ((stage < p - 1) + (stage > 0)) * numbers * bytes_per_number


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < _require_number(name, number) < float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {number}")
