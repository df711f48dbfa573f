"""Linear maps that are computed as convolutions, where that is faster."""

import pytest
import torch
import torch.nn.functional as F

from companion.layers import _product
from tests.support import normal


def _held_back(monkeypatch, held=True):
    monkeypatch.setattr(_product, "_mkl_is_held_back", lambda: held)


def _everything(f, x, weight, bias):
    """Values, slopes, slopes of slopes, changes, and what many inputs give at once."""
    y = f(x, weight, bias)
    first = torch.autograd.grad(y.tanh().pow(2).sum(), (x, weight, bias), create_graph=True)
    second = torch.autograd.grad(sum(slope.pow(2).sum() for slope in first), (x, weight, bias))
    change = torch.func.jvp(f, (x, weight, bias), (x, weight, bias))[1]
    batched = torch.func.vmap(f, (0, None, None))(x, weight, bias)
    return [y, f(x, weight), *first, *second, change, batched]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # PyTorch's own
def test_as_a_convolution_a_linear_map_is_the_same(monkeypatch):
    shapes = [(4, 256, 64), (192, 64), (192,)]
    x, weight, bias = (
        normal(*shape, seed=seed, dtype=torch.float32).requires_grad_()
        for seed, shape in enumerate(shapes)
    )
    _held_back(monkeypatch)
    assert _product._convolution_pays(x, weight)
    ours = _everything(_product._linear, x, weight, bias)
    for value, expected in zip(ours, _everything(F.linear, x, weight, bias), strict=True):
        largest = expected.abs().max()  # sums in another order differ by parts of their terms
        torch.testing.assert_close(value / largest, expected / largest, rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("shape", "dtype", "device"),
    [
        ((4, 255, 64), torch.float32, "cpu"),  # 1020 rows have no 16 equal parts
        ((1, 16, 64), torch.float32, "cpu"),  # few numbers
        ((4, 256, 64), torch.float64, "cpu"),
        ((4, 256, 64), torch.bfloat16, "cpu"),
        ((4, 256, 64), torch.float32, "meta"),
    ],
)
def test_other_products_are_left_as_they_are(shape, dtype, device, monkeypatch):
    _held_back(monkeypatch)
    weight = torch.zeros(192, 64, dtype=dtype, device=device)
    x = torch.zeros(shape, dtype=dtype, device=device)
    assert not _product._convolution_pays(x, weight)
    assert _product._linear(x, weight).shape == (*shape[:-1], 192)


def test_where_mkl_is_not_held_back_it_multiplies(monkeypatch):
    x, weight = torch.zeros(1024, 64), torch.zeros(192, 64)
    _held_back(monkeypatch, held=False)
    assert not _product._convolution_pays(x, weight)


@pytest.mark.parametrize("widest", ["AVX512", "AVX2"])
@pytest.mark.parametrize("maker", ["GenuineIntel", "AuthenticAMD", None])
def test_mkl_is_held_back_on_other_processors_with_wide_instructions(
    widest, maker, monkeypatch, tmp_path
):
    described = tmp_path / "cpuinfo"
    if maker is not None:
        described.write_text(f"vendor_id\t: {maker}\n")
    monkeypatch.setattr(_product, "Path", lambda _: described)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: widest)
    for library in (torch.backends.mkl, torch.backends.mkldnn):
        monkeypatch.setattr(library, "is_available", lambda: True)
    told = _product._mkl_is_held_back.__wrapped__()
    assert told == (widest == "AVX512" and maker == "AuthenticAMD")
