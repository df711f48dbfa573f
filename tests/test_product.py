"""Linear maps that oneDNN computes, where that is faster than MKL."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from companion.layers import _product
from tests.support import normal

# PyTorch's own, when it prepares derivatives forwards.
PREPARES = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def held_back(monkeypatch):
    monkeypatch.setattr(_product, "_mkl_is_held_back", lambda: True)


@pytest.fixture
def onednn(monkeypatch):
    """Each product that oneDNN computes, by its shape."""
    products, compute = [], _product._product

    def noted(x, weight, bias):
        products.append((x.numel() // x.shape[-1], *weight.shape))
        return compute(x, weight, bias)

    monkeypatch.setattr(_product, "_product", noted)
    return products


def numbers(*shapes, dtype=torch.float32):
    return [normal(*s, seed=i, dtype=dtype).requires_grad_() for i, s in enumerate(shapes)]


def close(values, others):
    for value, expected in zip(values, others, strict=True):
        assert value.dtype == expected.dtype
        largest = expected.abs().max()  # sums in another order differ by parts of their terms
        torch.testing.assert_close(value / largest, expected / largest, rtol=0, atol=3e-6)


def slopes(linear, x, weight, bias):
    """Return values, their slopes, and the slopes of those."""
    y = linear(x, weight, bias)
    first = torch.autograd.grad(y.tanh().pow(2).sum(), (x, weight, bias), create_graph=True)
    second = torch.autograd.grad(sum(slope.pow(2).sum() for slope in first), (x, weight, bias))
    return [y, *first, *second]


@pytest.mark.parametrize("rows", [(4, 255), (1, 1021), (1024,)])
def test_values_and_slopes_are_the_same(rows, onednn):
    given = numbers((*rows, 64), (192, 64), (192,))
    ours = slopes(_product._linear, *given)
    n = given[0][..., 0].numel()
    assert {(n, 192, 64), (n, 64, 192), (192, 64, n)} <= set(onednn)  # forwards and backwards
    close(ours, slopes(F.linear, *given))
    x, weight, bias = given
    with torch.no_grad():
        for inputs in ((x, weight.T.contiguous().T, bias), (x[..., ::2], weight[:, ::2], None)):
            close([_product._linear(*inputs)], [F.linear(*inputs)])


def test_only_what_is_asked_for_gets_a_slope(onednn):
    x, weight, bias = numbers((1024, 64), (192, 64), (192,))
    _product._linear(x.detach(), weight).sum().backward()
    _product._linear(x, weight.detach(), bias.detach()).sum().backward()
    assert sorted(onednn) == [(192, 64, 1024), (1024, 64, 192), (1024, 192, 64), (1024, 192, 64)]
    assert bias.grad is None


@pytest.mark.parametrize(
    ("shape", "dtype", "device"),
    [
        ((15, 64), torch.float32, "cpu"),
        ((64,), torch.float32, "cpu"),
        ((4, 256, 64), torch.float64, "cpu"),
        ((4, 256, 64), torch.bfloat16, "cpu"),
        ((4, 256, 64), torch.float32, "meta"),
    ],
)
def test_few_numbers_and_other_formats_are_left_to_pytorch(shape, dtype, device, onednn):
    weight = torch.zeros(192, 64, dtype=dtype, device=device)
    y = _product._linear(torch.zeros(shape, dtype=dtype, device=device), weight)
    assert (y.shape, y.dtype, onednn) == ((*shape[:-1], 192), dtype, [])


@PREPARES
def test_what_pytorch_does_to_operators_it_can_still_do(onednn):
    x, weight, bias = numbers((4, 256, 64), (192, 64), (192,))
    expected = F.linear(x, weight, bias)
    close([torch.func.vmap(_product._linear, (0, None, None))(x, weight, bias)], [expected])
    given = ((x, weight, bias),) * 2
    close(torch.func.jvp(_product._linear, *given), torch.func.jvp(F.linear, *given))
    with forward_ad.dual_level():
        y = _product._linear(forward_ad.make_dual(x, x), weight)
        close([forward_ad.unpack_dual(y).tangent], [F.linear(x, weight)])
    with torch.autocast("cpu", torch.bfloat16):
        assert _product._linear(x, weight, bias).dtype == torch.bfloat16
    with FlopCounterMode(display=False) as counter:
        _product._linear(x, weight, bias)
    assert counter.get_total_flops() == 2 * 1024 * 192 * 64
    assert torch.compile(_product._linear, backend="eager", fullgraph=True)(x, weight).shape
    assert onednn == []


def test_where_mkl_is_not_held_back_it_multiplies(monkeypatch, onednn):
    monkeypatch.setattr(_product, "_mkl_is_held_back", lambda: False)
    _product._linear(torch.zeros(1024, 64), torch.zeros(192, 64))
    assert onednn == []


@pytest.mark.parametrize("widest", ["AVX512", "AVX2"])
@pytest.mark.parametrize("maker", ["GenuineIntel", "AuthenticAMD", None])
def test_mkl_is_held_back_on_processors_of_others(widest, maker, monkeypatch, tmp_path):
    monkeypatch.undo()
    described = tmp_path / "cpuinfo"
    if maker is not None:
        described.write_text(f"vendor_id\t: {maker}\n")
    monkeypatch.setattr(_product, "Path", lambda _: described)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: widest)
    for library in (torch.backends.mkl, torch.backends.mkldnn):
        monkeypatch.setattr(library, "is_available", lambda: True)
    told = _product._mkl_is_held_back.__wrapped__()
    assert told == (widest == "AVX512" and maker == "AuthenticAMD")
