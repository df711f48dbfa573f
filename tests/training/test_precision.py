"""Formats, and the scale of the loss."""

import pytest
import torch

from companion import training
from companion.training.precision import MixedPrecision
from tests.training.support import noisy


@pytest.mark.verifies("MixedPrecision", "products are in 16 bits, and float16 is scaled")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16", "auto"])
def test_products_are_in_the_chosen_format(precision):
    if precision == "float16" and not hasattr(torch.amp, "GradScaler"):
        pytest.skip("this PyTorch has none for a CPU")
    mixed = MixedPrecision("cpu", precision)
    with mixed.autocast():
        product = noisy().head(torch.ones(1, 4))
    name = "float32" if precision == "auto" else precision
    assert product.dtype == getattr(torch, name)
    assert mixed.name == name
    assert mixed.scales == mixed.scaler.is_enabled() == (name == "float16")


def test_what_is_no_precision():
    with pytest.raises(ValueError, match=r"precision must be .* one of .*, got 'fp16'"):
        training.MixedPrecision("cpu", "fp16")


def test_a_pytorch_without_a_scaler_for_the_cpu_says_so(monkeypatch):
    monkeypatch.delattr(torch.amp, "GradScaler", raising=False)
    with pytest.raises(ValueError, match=r"on a cpu device needs PyTorch 2.3"):
        MixedPrecision("cpu", "float16")


def test_the_scale_is_watched():
    if not hasattr(torch.amp, "GradScaler"):
        pytest.skip("this PyTorch has none for a CPU")
    mixed = MixedPrecision("cpu", "float16")
    mixed.require_scale()
    mixed.scaler.scale(torch.ones(()))  # makes the scale
    mixed.scaler.update(1e-6)
    with pytest.raises(FloatingPointError, match="take precision='bfloat16'"):
        mixed.require_scale()
