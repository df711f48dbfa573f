r"""What one process must hold, by formula: parameters, gradients, optimiser state, activations.

This file adds: ``state_bytes``, what is held as long as training lasts (Rajbhandari et al. 2020,
sections 3.1 and 5); and ``activation_bytes``, what is kept from forward to backward (Korthikanti
et al. 2022, section 4).
"""

from companion._arguments import _require_flag, _require_int

__all__ = ["state_bytes", "activation_bytes"]


def state_bytes(
    n_parameters: int,
    *,
    n_data: int = 1,
    n_tensor: int = 1,
    n_pipeline: int = 1,
    stage: int = 0,
    parameter: int = 2,
    gradient: int = 2,
    optimizer: int = 12,
) -> float:
    r"""Return the bytes of parameters, gradients and optimiser state in each process.

    .. math:: \frac{\Psi}{t\,p} \left(
        \frac{b_{\text{parameter}}}{d_3} + \frac{b_{\text{gradient}}}{d_2} +
        \frac{b_{\text{optimizer}}}{d_1} \right)

    where :math:`d_k = d` if ZeRO's stage is :math:`k` or more, else 1. By default mixed precision
    with Adam: parameters and gradients in 16 bits, and in 32 bits a copy of the parameters and
    two moments, together 16 bytes for each parameter.

    Parameters
    ----------
    n_parameters : int
        :math:`\Psi`.
    n_data, n_tensor, n_pipeline : int
        Processes that share the batch, :math:`d`; each layer, :math:`t`; the layers, :math:`p`.
    stage : {0, 1, 2, 3}
        Of ZeRO; 0 is plain data parallelism.
    parameter, gradient, optimizer : int
        Bytes for each parameter.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> [state_bytes(7_500_000_000, n_data=64, stage=stage) / 1e9 for stage in range(4)]
    [120.0, 31.40625, 16.640625, 1.875]
    """
    counts = {"n_parameters": n_parameters, "n_data": n_data}
    counts |= {"n_tensor": n_tensor, "n_pipeline": n_pipeline}
    for name, count in counts.items():
        _require_int(name, count, least=1)
    _require_int("stage", stage, least=0, most=3)
    sizes = {"optimizer": optimizer, "gradient": gradient, "parameter": parameter}
    total = 0.0
    for first_stage, (name, size) in enumerate(sizes.items(), start=1):
        _require_int(name, size, least=0)
        total += size / n_data if stage >= first_stage else size
    return total * n_parameters / (n_tensor * n_pipeline)


RECOMPUTE = ("none", "selective", "full")


def activation_bytes(
    batch: int,
    length: int,
    d_model: int,
    n_heads: int,
    *,
    n_tensor: int = 1,
    sequence_parallel: bool = False,
    recompute: str = "none",
) -> float:
    r"""Return the bytes that one block keeps for going backward (Korthikanti et al. 2022, table 2).

    .. math:: s b h \Big(10 + \frac{24}{t} + 5 \frac{a s}{h t}\Big)

    in 16 bits, with dropout. The 10 are what tensor parallelism does not cut: norms, dropout and
    the inputs of both layers; sequence parallelism cuts them too. The last term is for attention
    weights; it vanishes if they are computed anew ("selective", as FlashAttention does). If
    everything is, from the input of the block ("full"), that input remains, :math:`2 s b h`.

    Multiply by the layers of a stage, and by the micro-batches that it keeps.

    Parameters
    ----------
    batch, length, d_model, n_heads : int
        The paper's :math:`b, s, h, a`; the batch is a micro-batch.
    n_tensor : int
        Processes that share each layer, :math:`t`; must divide the heads.
    sequence_parallel : bool
        Whether what tensor parallelism does not cut is cut along the text.
    recompute : {"none", "selective", "full"}

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If ``sequence_parallel`` is neither True nor False.
    ValueError
        If a number is out of range, the processes do not divide the heads, ``recompute`` is
        unknown, or it is "full" with sequence parallelism, for which the paper has no formula.

    Examples
    --------
    >>> whole = activation_bytes(1, 2048, 12288, 96)  # a block of GPT-3
    >>> selective = activation_bytes(1, 2048, 12288, 96, recompute="selective")
    >>> whole / 2**30, 1 - selective / whole
    (2.671875, 0.7017543859649122)
    """
    _require_block(batch, length, d_model, n_heads, n_tensor)
    _require_flag("sequence_parallel", sequence_parallel)
    if recompute not in RECOMPUTE:
        raise ValueError(f"recompute must be one of {RECOMPUTE}, got {recompute!r}")
    if recompute == "full":
        if sequence_parallel:
            raise ValueError('recompute must not be "full" with sequence_parallel')
        return 2.0 * length * batch * d_model
    uncut = 10 / n_tensor if sequence_parallel else 10
    weights = 0.0 if recompute == "selective" else 5 * n_heads * length / (d_model * n_tensor)
    return length * batch * d_model * (uncut + 24 / n_tensor + weights)


def _require_block(batch: int, length: int, d_model: int, n_heads: int, n_tensor: int) -> None:
    sizes = {"batch": batch, "length": length, "d_model": d_model}
    sizes |= {"n_heads": n_heads, "n_tensor": n_tensor}
    for name, size in sizes.items():
        _require_int(name, size, least=1)
    if n_heads % n_tensor:
        raise ValueError(f"n_tensor must divide n_heads, got {n_tensor} and {n_heads}")
