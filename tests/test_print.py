"""What ``print`` shows of layers and models: their sizes and settings, as torch does."""

import importlib
import inspect
import re

import pytest
from torch import nn

from companion import attention, layers, models
from tests.test_exports import MODULES

CLASSES = {
    thing
    for name in MODULES
    for thing in vars(importlib.import_module(name)).values()
    if inspect.isclass(thing) and thing.__module__.startswith("companion.")
}
LAYERS = sorted((c for c in CLASSES if issubclass(c, nn.Module)), key=lambda c: c.__name__)
OWN = [layer for layer in LAYERS if "nn.Parameter" in inspect.getsource(layer)]
SHOWN = {
    "Linear(d_in=2, d_out=3, bias=False)": lambda: layers.Linear(2, 3, bias=False),
    "Embedding(vocab_size=9, d_model=4)": lambda: layers.Embedding(9, 4),
    "LayerNorm(d_model=4, eps=1e-05, bias=True)": lambda: layers.LayerNorm(4),
    "RMSNorm(d_model=4, eps=1e-06)": lambda: layers.RMSNorm(4),
    "Dropout(p=0.25)": lambda: layers.Dropout(0.25),
    "Conv2d(c_in=1, c_out=2, size=3, stride=2, padding=0)": lambda: models.Conv2d(1, 2, 3, 2),
}


@pytest.mark.parametrize("text", SHOWN)
def test_a_layer_shows_its_sizes(text):
    assert str(SHOWN[text]()) == text


@pytest.mark.parametrize("layer", OWN, ids=lambda layer: layer.__name__)
def test_a_layer_with_parameters_of_its_own_says_their_sizes(layer):
    assert "extra_repr" in vars(layer)


def test_attention_shows_its_heads_and_what_it_is_made_of():
    text = str(attention.MultiHeadAttention(8, 4, n_kv_heads=2, dropout=0.1))
    assert "n_heads=4, n_kv_heads=2, d_head=2, dropout=0.1" in text
    assert "(w_k): Linear(d_in=8, d_out=4, bias=True)" in text


def test_a_model_shows_every_layer_with_its_sizes():
    config = models.BertConfig(100, 8, 2, 1, 16, 10)
    for model in (
        layers.MLP((4, 8, 2), dropout=0.5),
        models.CNN(),
        models.LSTMClassifier(50),
        models.BertEncoder(config),
        models.BERT(config),
    ):
        numbers = set(re.findall(r"=(\d+)\b", str(model)))
        sizes = {size for parameter in model.parameters() for size in parameter.shape}
        assert {str(size) for size in sizes} <= numbers, type(model).__name__
