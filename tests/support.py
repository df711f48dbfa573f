"""What the tests of the core modules share: random numbers, shapes, and slow oracles."""

import math

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.verification import agree

# Small tensors gain nothing from threads, and two workers share the cores.
torch.set_num_threads(1)

# The same examples on every machine and in every run.
shapes_vary = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

FLOATS = (torch.float64, torch.float32)
SIXTEEN_BITS = (torch.float16, torch.bfloat16)
sizes = st.integers(1, 6)
seeds = st.integers(0, 2**16)


def normal(*shape, seed=0, dtype=torch.float64, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def coins(*shape, seed=0, p=0.6):
    """Return a random boolean mask."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < p


def fill(module, seed=0, dtype=torch.float64, scale=0.5):
    """Give every parameter random numbers, so that no weight is 1 and no bias is 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module.to(dtype)


def broadcast(batch, ones):
    """Replace the dimensions marked in ``ones`` by 1."""
    return tuple(1 if one else size for size, one in zip(batch, ones, strict=True))


def attend_by_loops(q, k, v, sees=None, added=None, scale=None):
    """Attention over (..., T, d), one Python float at a time."""
    q, k, v = (torch.as_tensor(x).detach().double() for x in (q, k, v))
    batch = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    q, k, v = (x.expand(*batch, *x.shape[-2:]).numpy() for x in (q, k, v))
    full = (*batch, q.shape[-2], k.shape[-2])
    sees = np.ones(full, bool) if sees is None else torch.as_tensor(sees).expand(full).numpy()
    added = np.zeros(full) if added is None else torch.as_tensor(added).expand(full).numpy()
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    out = np.zeros((*batch, q.shape[-2], v.shape[-1]))
    for index in np.ndindex(*batch, q.shape[-2]):
        head, row = index[:-1], index[-1]
        scores = {
            j: math.fsum(q[index] * k[(*head, j)]) * scale + float(added[(*index, j)])
            for j in range(full[-1])
            if sees[(*index, j)] and added[(*index, j)] > -math.inf
        }
        if not scores:
            continue
        largest = max(scores.values())
        powers = {j: math.exp(score - largest) for j, score in scores.items()}
        total = math.fsum(powers.values())
        for f in range(v.shape[-1]):
            terms = [power / total * v[(*head, j, f)] for j, power in powers.items()]
            out[(*head, row, f)] = math.fsum(terms)
    return torch.from_numpy(out)


def agree_16(subject, value, expected, oracle="itself in float32"):
    """Compare 16-bit numbers with the same in float32, rounded: they differ by one unit at most.

    The error is relative, however small a number is. Equal infinities agree.
    """
    unit, limit = torch.finfo(value.dtype).eps, str(value.dtype).removeprefix("torch.")
    value, expected = value.detach().double(), expected.detach().to(value.dtype).double()
    size = expected.abs().where(expected.isfinite() & (expected != 0), torch.ones_like(expected))
    agree(f"{subject}, 16 bits", oracle, value / size, expected / size, unit, limit=limit)
