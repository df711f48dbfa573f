import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from companion import attention, layers
from companion.activations import relu
from companion.attention import KVCache, MultiHeadAttention, padding_mask
from companion.layers import FeedForward, LayerNorm, RMSNorm, SwiGLU
from companion.reference import layers as reference_layers
from companion.reference import transformer as twin
from companion.transformer import Block, Decoder, DecoderBlock, Encoder, PostNorm, PreNorm
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal, seeds, shapes_vary, sizes
from tests.verification import agree

RESIDUALS = {"pre": PreNorm, "post": PostNorm}
both = pytest.mark.parametrize("kind", RESIDUALS)


def block(kind="pre", d_model=8, n_heads=2, dtype=torch.float64, **options):
    parts = MultiHeadAttention(d_model, n_heads), FeedForward(d_model, 16, activation=relu)
    return fill(Block(*parts, residual=RESIDUALS[kind], **options), dtype=dtype).eval()


def decoder_block(kind="pre", d_model=8, n_heads=2, dtype=torch.float64):
    own, cross = (MultiHeadAttention(d_model, n_heads) for _ in range(2))
    feed_forward = FeedForward(d_model, 16, activation=relu)
    return fill(DecoderBlock(own, cross, feed_forward, residual=RESIDUALS[kind]), dtype=dtype)


def copy_attention(ours, theirs):
    with torch.no_grad():
        parts = (ours.w_q, ours.w_k, ours.w_v)
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    copy(ours.w_o, theirs.out_proj)


def copy(ours, theirs):
    with torch.no_grad():
        theirs.weight.copy_(ours.weight)
        theirs.bias.copy_(ours.bias)


def torch_layer(ours, kind, dtype):
    """Return PyTorch's layer with the weights of a block of width 8, two heads and 16 features."""
    cross = isinstance(ours, DecoderBlock)
    make = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    options = {"batch_first": True, "norm_first": kind == "pre", "dtype": dtype}
    theirs = make(8, 2, 16, dropout=0.0, **options)
    copy_attention(ours.attention.layer, theirs.self_attn)
    if cross:
        copy_attention(ours.cross_attention.layer, theirs.multihead_attn)
    copy(ours.feed_forward.layer.expand, theirs.linear1)
    copy(ours.feed_forward.layer.contract, theirs.linear2)
    residuals = [ours.attention, *([ours.cross_attention] if cross else []), ours.feed_forward]
    for i, residual in enumerate(residuals, start=1):
        copy(residual.norm, getattr(theirs, f"norm{i}"))
    return theirs  # in training mode: without dropout, and without its shortcuts


# -- feed-forward layer and ALiBi ----------------------------------------------------------------


@given(sizes, sizes, sizes, seeds)
@shapes_vary
def test_feed_forward_of_any_shape(length, d_model, d_hidden, seed):
    layer = fill(FeedForward(d_model, d_hidden, activation=relu), seed)
    x = normal(length, d_model, seed=seed)
    weights = (layer.expand.weight.T, layer.expand.bias, layer.contract.weight.T)
    arrays = [w.detach().numpy() for w in (*weights, layer.contract.bias)]
    agree("FeedForward", "NumPy twin", layer(x), twin.feed_forward(x.numpy(), *arrays))
    theirs = nn.Sequential(nn.Linear(d_model, d_hidden), nn.ReLU(), nn.Linear(d_hidden, d_model))
    copy(layer.expand, theirs.double()[0]), copy(layer.contract, theirs[2])
    agree("FeedForward", "torch.nn", layer(x), theirs(x))
    agree("twin: feed_forward", "torch.nn", twin.feed_forward(x.numpy(), *arrays), theirs(x))


def test_feed_forward_is_gelu_and_four_times_as_wide_unless_told():
    layer = fill(FeedForward(3))
    assert layer.expand.weight.shape == (12, 3)
    x = normal(5, 3)
    hidden = nn.functional.gelu(nn.functional.linear(x, layer.expand.weight, layer.expand.bias))
    expected = nn.functional.linear(hidden, layer.contract.weight, layer.contract.bias)
    agree("FeedForward, GELU", "torch.nn.functional", layer(x), expected)
    assert FeedForward(3, bias=False).expand.bias is None
    assert FeedForward(3, bias=False).contract.bias is None


def test_feed_forward_drops_hidden_features_in_training():
    torch.manual_seed(0)
    layer = fill(FeedForward(4, 64, activation=relu, dropout=0.5))
    with torch.no_grad():
        layer.contract.weight.fill_(1.0), layer.contract.bias.zero_()
        layer.expand.weight.zero_(), layer.expand.bias.fill_(1.0)
    x = normal(200, 4)
    sums = layer(x)[:, 0]  # each the number of kept features, times 2
    agree("FeedForward, dropout, mean", "64 features", sums.mean(), 64.0, 0.1, limit="1/√n")
    assert sums.std() > 4
    assert torch.equal(layer.eval()(x)[:, 0], torch.full((200,), 64.0, dtype=x.dtype))


@given(st.integers(1, 8), sizes, st.integers(0, 5))
@shapes_vary
def test_alibi_against_its_twin(n_heads, n_queries, more):
    bias = layers.alibi_bias(n_heads, n_queries, n_queries + more)
    expected = reference_layers.alibi_bias(n_heads, n_queries, n_queries + more)
    agree("alibi_bias", "NumPy twin", bias.double(), expected, 1e-6, limit="float32")


def test_alibi_against_bloom():
    """Bloom adds slope times the key's position: the same after a softmax, row by row."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    theirs = build_alibi_tensor(torch.ones(1, 6), 8, torch.float64)  # (8, 1, 6)
    sees = attention.causal_mask(6)
    hidden = torch.zeros(6, 6).double().masked_fill(~sees, -math.inf)
    ours = (layers.alibi_bias(8, 6).double() + hidden).softmax(dim=-1)
    expected = (theirs + hidden).softmax(dim=-1)
    agree("alibi_bias, softmax", "transformers.models.bloom", ours, expected, 1e-6, limit="float32")
    by_twin = torch.from_numpy(reference_layers.alibi_bias(8, 6, 6)) + hidden
    oracle = "transformers.models.bloom"
    agree("twin: alibi_bias, softmax", oracle, by_twin.softmax(dim=-1), expected)


def test_alibi_by_hand():
    published = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]  # section 3
    expected = -torch.tensor(published)[:, None, None] * torch.tensor([[2, 1, 0.0]])
    agree("alibi_bias, one query", "by hand", layers.alibi_bias(8, 1, 3), expected)
    later = layers.alibi_bias(2, 3)
    assert torch.equal(later, later.mT)  # what comes later is as far away


# -- residual connections ------------------------------------------------------------------------


@given(sizes, st.integers(2, 6), seeds)
@shapes_vary
def test_residuals_against_their_twins(length, d_model, seed):
    layer = fill(layers.Linear(d_model, d_model), seed)
    x = normal(length, d_model, seed=seed)
    weight, bias = (w.detach().numpy() for w in (layer.weight, layer.bias))

    def linear(h):
        return h @ weight.T + bias

    norm = LayerNorm(d_model).double()
    pre, post = PreNorm(layer, norm), PostNorm(layer, norm)
    agree("PreNorm", "NumPy twin", pre(x), twin.pre_norm(x.numpy(), linear))
    agree("PostNorm", "NumPy twin", post(x), twin.post_norm(x.numpy(), linear))


def test_residuals_by_hand():
    """x = (1, 2), W = [[0.1, 0.2], [0, 0.1]]: f(x) = (0.5, 0.2); the norm of two is (−1, 1)."""
    layer = layers.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.1, 0.2], [0.0, 0.1]], dtype=torch.float64))
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    plain, norm = nn.Identity(), LayerNorm(2, eps=0.0).double()
    agree("PreNorm, no norm", "by hand", PreNorm(layer, plain)(x), np.array([1.5, 2.2]))
    agree("PreNorm, norm", "by hand", PreNorm(layer, norm)(x), np.array([1.1, 2.1]))
    agree("PostNorm, norm", "by hand", PostNorm(layer, norm)(x), np.array([-1.0, 1.0]))
    for name, function in (("pre_norm", twin.pre_norm), ("post_norm", twin.post_norm)):
        made = function(x.numpy(), lambda h: h @ np.array([[0.1, 0], [0.2, 0.1]]), lambda h: h)
        agree(f"twin: {name}, no norm", "by hand", made, np.array([1.5, 2.2]))


@both
def test_a_residual_passes_on_what_comes_with_it(kind):
    class Layer(nn.Module):
        def forward(self, x, y, *, times):
            return x * 0 + times * y, "what else"

    residual = RESIDUALS[kind](Layer(), nn.Identity())
    x, rest = residual(torch.ones(3), torch.ones(3), times=2)
    assert x.tolist() == [3.0, 3.0, 3.0]
    assert rest == "what else"


@both
def test_dropout_is_of_the_change_alone(kind):
    torch.manual_seed(0)
    residual = RESIDUALS[kind](nn.Identity(), nn.Identity(), dropout=0.5)
    x = residual(torch.ones(1000))
    assert set(x.tolist()) == {1.0, 3.0}  # 1 + 0, or 1 + 2
    assert set(residual.eval()(torch.ones(1000)).tolist()) == {2.0}


# -- blocks --------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("dtype", FLOATS)
def test_block_against_torch(kind, dtype):
    ours = block(kind, dtype=dtype)
    theirs = torch_layer(ours, kind, dtype)
    x = normal(3, 5, 8, dtype=dtype)
    agree(f"Block, {kind}-norm", "torch.nn", ours(x), theirs(x))
    lengths = torch.tensor([5, 2, 4])
    mask = padding_mask(lengths)
    expected = theirs(x, src_key_padding_mask=~mask[:, 0])
    agree(f"Block, {kind}-norm, padding", "torch.nn", ours(x, mask=mask), expected)
    hidden = nn.Transformer.generate_square_subsequent_mask(5, dtype=dtype)
    expected = theirs(x, src_mask=hidden)
    agree(f"Block, {kind}-norm, causal", "torch.nn", ours(x, is_causal=True), expected)


@both
@pytest.mark.parametrize("dtype", FLOATS)
def test_decoder_block_against_torch(kind, dtype):
    ours = decoder_block(kind, dtype=dtype)
    theirs = torch_layer(ours, kind, dtype)
    x, memory = normal(3, 5, 8, dtype=dtype), normal(3, 7, 8, seed=1, dtype=dtype)
    hidden = nn.Transformer.generate_square_subsequent_mask(5, dtype=dtype)
    expected = theirs(x, memory, tgt_mask=hidden)
    agree(f"DecoderBlock, {kind}-norm", "torch.nn", ours(x, memory), expected)
    mask = padding_mask(torch.tensor([7, 3, 1]))
    expected = theirs(x, memory, tgt_mask=hidden, memory_key_padding_mask=~mask[:, 0])
    padded = ours(x, memory, memory_mask=mask)
    agree(f"DecoderBlock, {kind}-norm, padding", "torch.nn", padded, expected)


def matrices(layer):
    parts = (layer.w_q, layer.w_k, layer.w_v, layer.w_o)
    return tuple(part.weight.T.detach().numpy() for part in parts)


def without_biases(ours):
    """Set the biases of attention to 0: the twin has none."""
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if name.startswith(("attention.layer", "cross_attention.layer")) and "bias" in name:
                parameter.zero_()
            if ".norm." in name:
                parameter.fill_(float("weight" in name))
    return ours


@both
@pytest.mark.verifies("twin: Weights", "blocks of torch.nn that hold the same matrices")
def test_blocks_against_their_twins(kind):
    encoder, decoder = without_biases(block(kind)), without_biases(decoder_block(kind))
    x, memory = normal(5, 8), normal(7, 8, seed=1)
    residual = {"pre": twin.pre_norm, "post": twin.post_norm}[kind]
    for ours in (encoder, decoder):
        ff = ours.feed_forward.layer
        maps = (ff.expand.weight.T, ff.expand.bias, ff.contract.weight.T, ff.contract.bias)
        weights = twin.Weights(
            matrices(ours.attention.layer), tuple(w.detach().numpy() for w in maps)
        )
        if ours is encoder:
            mask = np.tril(np.ones((5, 5), bool))
            made = ours(x[None], is_causal=True)[0]
            expected = twin.block(x.numpy(), weights, 2, mask, residual=residual)
            agree(f"Block, {kind}-norm", "NumPy twin", made, expected)
            theirs = torch_layer(ours, kind, torch.float64)
            by_torch = theirs(x[None])[0]
            by_twin = twin.block(x.numpy(), weights, 2, residual=residual)
            agree(f"twin: block, {kind}-norm", "torch.nn", by_twin, by_torch)
        else:
            weights.cross_attention = matrices(ours.cross_attention.layer)
            expected = twin.decoder_block(x.numpy(), memory.numpy(), weights, 2, residual=residual)
            agree(
                f"DecoderBlock, {kind}-norm", "NumPy twin", ours(x[None], memory[None])[0], expected
            )
            theirs = torch_layer(ours, kind, torch.float64)
            hidden = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
            by_torch = theirs(x[None], memory[None], tgt_mask=hidden)[0]
            agree(f"twin: decoder_block, {kind}-norm", "torch.nn", expected, by_torch)


@both
def test_gradients_of_a_block(kind):
    ours = block(kind, d_model=4)
    x = normal(1, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ours(x, is_causal=True), x)


def test_a_block_is_built_of_other_parts():
    parts = MultiHeadAttention(8, 4, n_kv_heads=2, rotary=True), SwiGLU(8, 12)
    modern = fill(Block(*parts, norm=RMSNorm))
    x = normal(2, 5, 8)
    h = x + parts[0](modern.attention.norm(x), is_causal=True)
    expected = h + parts[1](modern.feed_forward.norm(h))
    agree("Block, RMSNorm and SwiGLU", "part by part", modern(x, is_causal=True), expected)
    assert isinstance(modern.attention.norm, RMSNorm)


@both
def test_a_block_returns_weights_and_uses_a_cache(kind):
    ours, x = block(kind), normal(2, 5, 8)
    whole, weights = ours(x, is_causal=True, return_weights=True)
    assert weights.shape == (2, 2, 5, 5)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 2, 5).double())
    cache = KVCache()
    parts = [ours(x[:, i : i + 1], is_causal=True, cache=cache) for i in range(5)]
    agree(f"Block, {kind}-norm, cache", "in one piece", torch.cat(parts, dim=1), whole)


# -- stacks --------------------------------------------------------------------------------------


@both
def test_stacks_against_torch(kind):
    mine = [block(kind), block(kind)]
    encoder = Encoder(mine, fill(LayerNorm(8), 3))
    decoder = Decoder([decoder_block(kind), decoder_block(kind)], fill(LayerNorm(8), 4))
    source, target = normal(3, 7, 8), normal(3, 5, 8, seed=1)
    mask = padding_mask(torch.tensor([7, 3, 5]))
    memory = encoder(source, mask)
    by_torch = source
    for one in mine:
        theirs = torch_layer(one, kind, torch.float64)
        by_torch = theirs(by_torch, src_key_padding_mask=~mask[:, 0])
    last = nn.functional.layer_norm(by_torch, (8,), encoder.norm.weight, encoder.norm.bias)
    agree(f"Encoder, {kind}-norm", "torch.nn", memory, last)
    hidden = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    by_torch = target
    for one in decoder.blocks:
        theirs = torch_layer(one, kind, torch.float64)
        hide = {"tgt_mask": hidden, "memory_key_padding_mask": ~mask[:, 0]}
        by_torch = theirs(by_torch, memory, **hide)
    last = nn.functional.layer_norm(by_torch, (8,), decoder.norm.weight, decoder.norm.bias)
    written, weights = decoder(target, memory, memory_mask=mask, return_weights=True)
    agree(f"Decoder, {kind}-norm", "torch.nn", written, last)
    assert weights.shape == (2, 3, 2, 5, 7)
    assert (weights[:, 1, :, :, 3:] == 0).all()
    agree("Decoder, no weights", "with weights", decoder(target, memory, memory_mask=mask), written)


@both
def test_stacks_take_what_is_added_to_the_scores(kind):
    """One number for each head and each pair of positions, as T5 has it."""
    mine, writing = block(kind), decoder_block(kind)
    x, memory, bias = normal(3, 5, 8), normal(3, 7, 8, seed=1), normal(3, 2, 5, 5, seed=2)
    theirs = torch_layer(mine, kind, torch.float64)(x, src_mask=bias.flatten(0, 1))
    agree(f"Encoder, {kind}-norm, bias", "torch.nn", Encoder([mine])(x, bias), theirs)
    later = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    theirs = torch_layer(writing, kind, torch.float64)
    theirs = theirs(x, memory, tgt_mask=(bias + later).flatten(0, 1))
    value = Decoder([writing])(x, memory, mask=bias)
    agree(f"Decoder, {kind}-norm, bias", "torch.nn", value, theirs)


def test_a_decoder_with_caches_writes_what_it_writes_at_once():
    decoder = Decoder([decoder_block(), decoder_block()], LayerNorm(8).double())
    x, memory = normal(2, 5, 8), normal(2, 7, 8, seed=1)
    caches = [KVCache(), KVCache()]
    parts = [decoder(x[:, i : i + 1], memory, caches=caches) for i in range(5)]
    agree("Decoder, caches", "in one piece", torch.cat(parts, dim=1), decoder(x, memory))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("blocks must hold at least one block", lambda: Encoder([])),
        ("blocks must be a list, got int", lambda: Encoder(3)),
        (
            "caches must be one for each of 1 blocks, got 2",
            lambda: Decoder([decoder_block()])(
                normal(1, 2, 8), normal(1, 2, 8), caches=[KVCache(), KVCache()]
            ),
        ),
        ("n_queries must not exceed n_keys, got 3 and 2", lambda: layers.alibi_bias(2, 3, 2)),
        ("n_heads must be at least 1", lambda: layers.alibi_bias(0, 3)),
        ("d_hidden must be at least 1", lambda: FeedForward(3, 0)),
        ("x must have 8 features", lambda: block()(normal(1, 2, 6))),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()
