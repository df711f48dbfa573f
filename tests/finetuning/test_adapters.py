import numpy as np
import pytest
import torch
from hypothesis import given
from torch import nn

from companion.activations import relu
from companion.attention import MultiHeadAttention
from companion.finetuning import Adapted, Adapter, add_adapters, count_trainable
from companion.generation import generate
from companion.layers import Linear
from companion.models import T5, BertConfig, BertEncoder, T5Config
from companion.reference import activations
from companion.reference import finetuning as twin
from tests.finetuning.support import ids, model, trained
from tests.plugins import shapes
from tests.support import fill, normal, seeds, shapes_vary, sizes
from tests.verification import agree, same

GELU = nn.GELU()


@shapes_vary
@given(n=sizes, d=sizes, m=sizes, seed=seeds)
def test_an_adapter_against_its_twin_and_torch(n, d, m, seed):
    ours, x = fill(Adapter(d, m), seed=seed), normal(n, d, seed=seed)
    theirs = nn.Sequential(nn.Linear(d, m), GELU, nn.Linear(m, d)).double()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    down, up = (
        tuple(p.detach().numpy() for p in (layer.weight, layer.bias))
        for layer in (ours.down, ours.up)
    )
    by_loops = twin.adapter(x.numpy(), down, up, activations.gelu)
    agree("Adapter", "torch.nn", ours(x), x + theirs(x))
    agree("Adapter", "NumPy twin", ours(x), by_loops)
    agree("twin: adapter", "torch.nn", by_loops, x + theirs(x))
    same("Adapter, parameters", "2md + d + m", count_trainable(ours).total, 2 * m * d + d + m)


def test_gradients_by_differences_and_the_activation():
    ours = fill(Adapter(4, 3))
    assert torch.autograd.gradcheck(ours, normal(2, 4).requires_grad_())
    other, x = fill(Adapter(4, 3, activation=relu)), normal(5, 4)
    expected = x + other.up(torch.relu(other.down(x)))
    agree("Adapter, ReLU", "by hand", other(x), expected)
    assert not torch.allclose(ours(x), expected)


def test_an_adapter_starts_as_the_identity_and_learns():
    ours = Adapter(8, 2, generator=torch.Generator().manual_seed(0))
    x = torch.randn(3, 8)
    same("Adapter, at the start", "its input", ours(x), x)
    ours(x).square().sum().backward()
    assert float(ours.up.weight.grad.abs().max()) > 0
    again = Adapter(8, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours.down.weight, again.down.weight)


def test_what_a_layer_returns_besides_goes_through():
    attention, adapter = fill(MultiHeadAttention(8, 2)), fill(Adapter(8, 2), seed=1)
    x = normal(1, 3, 8)
    y, weights = Adapted(attention, adapter)(x, is_causal=True, return_weights=True)
    expected, as_before = attention(x, is_causal=True, return_weights=True)
    agree("Adapted", "one after the other", y, adapter(expected))
    same("Adapted, weights", "the layer's own", weights, as_before)


def others():
    sizes = {"vocab_size": 17, "d_model": 16, "n_layers": 2, "n_heads": 4}
    bert = BertEncoder(BertConfig(**sizes, d_hidden=24))
    t5 = T5(T5Config(**sizes, d_head=4, d_hidden=24))
    return {
        "GPT": (model("GPT"), (ids(2, 5),), 4),
        "Llama": (model("Llama"), (ids(2, 5),), 4),
        "BertEncoder": (fill(bert, scale=0.3).eval(), (ids(2, 5),), 4),
        "T5": (fill(t5, scale=0.3).eval(), (ids(2, 5), ids(2, 4)), 10),
    }


@pytest.mark.parametrize("name", others())
def test_every_kind_of_model_takes_them(name):
    one, inputs, n = others()[name]
    expected = one(*inputs)
    assert add_adapters(one, 3) is one
    agree("add_adapters, at the start", "the model before", one(*inputs), expected)
    adapters = [m for m in one.modules() if isinstance(m, Adapter)]
    same("add_adapters", "by hand", len(adapters), n)
    assert all(".adapter." in each for each in trained(one))
    same(
        "add_adapters, parameters",
        "2md + d + m",
        count_trainable(one).trainable,
        n * (2 * 3 * 16 + 16 + 3),
    )
    assert {p.dtype for p in one.parameters()} == {torch.float64}
    for seed, each in enumerate(adapters):
        fill(each, seed=seed)
    one(*inputs).square().mean().backward()
    assert all((p.grad is not None) == p.requires_grad for p in one.parameters())
    assert not torch.allclose(one(*inputs), expected, atol=1e-3)


def test_where_they_stand():
    """In a block with the norm before the layer: x + adapter(layer(norm(x)))."""
    one = add_adapters(model("GPT"), 3)
    for seed, each in enumerate(m for m in one.modules() if isinstance(m, Adapter)):
        fill(each, seed=seed)
    x, block = normal(2, 5, 16), one.blocks[0]
    attention, feed = block.attention, block.feed_forward
    y = x + attention.layer.adapter(attention.layer.layer(attention.norm(x), is_causal=True))
    y = y + feed.layer.adapter(feed.layer.layer(feed.norm(y)))
    agree("add_adapters, in a block", "by hand", block(x, is_causal=True), y)


@pytest.mark.parametrize("kind", ["GPT", "Llama"])
def test_texts_are_written_with_them(kind):
    one = add_adapters(model(kind), 3)
    for seed, each in enumerate(m for m in one.modules() if isinstance(m, Adapter)):
        fill(each, seed=seed)
    options = {"max_new_tokens": 35}
    written = generate(one, [[1, 2, 3], [4]], **options).ids
    same(
        "add_adapters, generate",
        "no cache",
        written,
        generate(one, [[1, 2, 3], [4]], cache=False, **options).ids,
    )
    assert written != generate(model(kind), [[1, 2, 3], [4]], **options).ids


def test_wrong_calls():
    one = model()
    before = trained(one)
    with shapes.unchecked():
        for error, message, call in (
            (ValueError, "bottleneck must be at least 1", lambda: add_adapters(one, 0)),
            (TypeError, "bottleneck must be a whole number", lambda: add_adapters(one, 2.5)),
            (TypeError, "activation must be a f", lambda: add_adapters(one, activation="relu")),
            (TypeError, "generator must be a torch.G", lambda: add_adapters(one, generator=1)),
            (TypeError, "model must be a torch.nn.Module", lambda: add_adapters(3)),
            (ValueError, "model has no blocks of companion.tr", lambda: add_adapters(Linear(2, 2))),
            (ValueError, "d_model must be at least 1", lambda: Adapter(0, 2)),
        ):
            with pytest.raises(error, match=message):
                call()
    assert trained(one) == before
    add_adapters(one)
    with pytest.raises(ValueError, match=r"model has Adapter already, at 'blocks\.0"):
        add_adapters(one)
    assert np.isfinite(count_trainable(one).share)
