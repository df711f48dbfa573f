import dataclasses
import math

import pytest
import torch
from torch import nn

from companion.attention import padding_mask
from companion.models import Seq2Seq, Seq2SeqConfig
from companion.reference import layers as reference_layers
from tests.plugins import shapes
from tests.support import FLOATS, fill
from tests.test_transformer import torch_layer
from tests.verification import agree, same

TINY = Seq2SeqConfig(vocab_size=20, d_model=8, n_layers=2, n_heads=2, d_hidden=16, dropout=0.0)
both = pytest.mark.parametrize("norm_first", [False, True], ids=["post", "pre"])
KINDS = {
    "post": {"norm_first": False},
    "pre": {"norm_first": True},
    "rotary": {"norm_first": True, "rotary": True},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def tiny(dtype=torch.float64, **changes):
    return fill(Seq2Seq(dataclasses.replace(TINY, **changes)), dtype=dtype).eval()


def ids(*shape, seed=0):
    return torch.randint(20, shape, generator=torch.Generator().manual_seed(seed))


def by_torch(ours, source, target, mask):
    """Return the logits that PyTorch's layers give with the same weights."""
    kind, dtype = ("pre" if ours.config.norm_first else "post"), ours.tokens.weight.dtype
    table, d_model = ours.tokens.weight, ours.config.d_model

    def embed(tokens):
        waves = torch.tensor(reference_layers.sinusoidal_positions(tokens.shape[1], d_model))
        return table[tokens] * math.sqrt(d_model) + waves.float().to(dtype)  # they are float32

    def norm(x, stack):
        if not ours.config.norm_first:
            return x
        return nn.functional.layer_norm(x, (d_model,), stack.norm.weight, stack.norm.bias)

    memory = embed(source)
    for block in ours.encoder.blocks:
        memory = torch_layer(block, kind, dtype)(memory, src_key_padding_mask=~mask[:, 0])
    memory = norm(memory, ours.encoder)
    hidden = nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=dtype)
    x = embed(target)
    for block in ours.decoder.blocks:
        hide = {"tgt_mask": hidden, "memory_key_padding_mask": ~mask[:, 0]}
        x = torch_layer(block, kind, dtype)(x, memory, **hide)
    return norm(x, ours.decoder) @ table.T


@both
@pytest.mark.parametrize("dtype", FLOATS)
def test_seq2seq_against_torch(norm_first, dtype):
    ours = tiny(dtype, norm_first=norm_first)
    source, target = ids(3, 7), ids(3, 5, seed=1)
    mask = padding_mask(torch.tensor([7, 3, 5]))
    expected = by_torch(ours, source, target, mask)
    kind = "pre" if norm_first else "post"
    # Numbers are multiplied by √8, and there are 20 of them in each sum.
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    made = ours(source, target, mask)
    agree(f"Seq2Seq, {kind}-norm", "torch.nn", made, expected, tolerance)


def test_the_original_base_model_in_numbers():
    """Vaswani et al. 2017, table 3, with biases; the vocabulary is 'about 37000' tokens."""
    with torch.device("meta"):
        model = Seq2Seq(Seq2SeqConfig())
    count = sum(parameter.numel() for parameter in model.parameters())
    d, f, v, n = 512, 2_048, 37_000, 6
    attention, feed_forward, norm = 4 * (d * d + d), 2 * d * f + f + d, 2 * d
    encoder = n * (attention + feed_forward + 2 * norm)
    decoder = n * (2 * attention + feed_forward + 3 * norm)
    same("Seq2SeqConfig, number of weights", "by formula", count, v * d + encoder + decoder)
    assert count == 63_082_496


@each_kind
def test_nobody_sees_a_later_token_of_the_target(kind):
    model, source, target = tiny(**KINDS[kind]), ids(1, 7), ids(1, 6, seed=1)
    before = model(source, target)
    changed = target.clone()
    changed[0, 3] = (changed[0, 3] + 1) % 20
    after = model(source, changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] - after[:, 3:]).abs().amax(dim=(0, 2)).min() > 1e-6


@each_kind
def test_every_token_of_the_source_matters_and_padding_does_not(kind):
    model, source, target = tiny(**KINDS[kind]), ids(1, 7), ids(1, 4, seed=1)
    mask = padding_mask(torch.tensor([5]), 7)
    before = model(source, target, mask)
    for place in range(7):
        changed = source.clone()
        changed[0, place] = (changed[0, place] + 1) % 20
        moved = (model(changed, target, mask) - before).abs().amax().item()
        assert moved == 0 if place >= 5 else moved > 1e-6
    short = model(source[:, :5], target)
    agree("Seq2Seq, padding", "without padding", before, short)


@each_kind
def test_translate_writes_the_most_probable_token_each_time(kind):
    model = tiny(**KINDS[kind])
    source, mask = ids(4, 7), padding_mask(torch.tensor([7, 3, 5, 6]))
    made = model.translate(source, mask, start_id=0, end_id=1, max_length=12)
    expected = []
    for row in range(4):  # one sentence at a time, everything computed anew at each step
        alone, written = source[row : row + 1, : int(mask[row].sum())], [0]
        while (len(written) <= 12 and written[-1] != 1) or len(written) == 1:
            written.append(int(model(alone, torch.tensor([written]))[0, -1].argmax()))
        expected.append(written[1:])
    longest = max(map(len, expected))
    padded = [row + [1] * (longest - len(row)) for row in expected]
    same("Seq2Seq.translate", "one at a time, without cache", made, padded)


def test_rotary_positions_are_of_self_attention_alone():
    rotary, plain = tiny(rotary=True), tiny()  # filled with the same numbers
    source, target = ids(2, 7), ids(2, 4, seed=1)
    at_zero = rotary(source[:, :1], target[:, :1])  # the first position is turned by no angle
    agree("Seq2Seq, rotary, one token", "without", at_zero, plain(source[:, :1], target[:, :1]))
    assert (rotary.encode(source) - plain.encode(source)).abs().max() > 1e-3
    memory = plain.encode(source)
    first = rotary.decode(target[:, :1], memory)
    agree("Seq2Seq, cross-attention", "not rotary", first, plain.decode(target[:, :1], memory))
    assert (rotary.decode(target, memory) - plain.decode(target, memory)).abs().max() > 1e-3


def test_alignment_is_the_cross_attention():
    model, source, target = tiny(), ids(3, 7), ids(3, 4, seed=1)
    mask = padding_mask(torch.tensor([7, 3, 5]))
    weights = model.alignment(source, target, mask)
    assert weights.shape == (2, 3, 2, 4, 7)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, 3, 2, 4).double())
    assert (weights[:, 1, :, :, 3:] == 0).all()
    memory = model.encode(source, mask)
    x = model.decoder.blocks[0].attention(model.embed(target), is_causal=True)
    layer = model.decoder.blocks[0].cross_attention.layer
    _, first = layer(x, memory, mask=mask, return_weights=True)
    agree("Seq2Seq.alignment, first block", "MultiHeadAttention", weights[0], first)


def test_the_parts_of_a_call():
    model, source, target = tiny(), ids(2, 7), ids(2, 4, seed=1)
    memory = model.encode(source)
    agree("Seq2Seq.decode", "Seq2Seq", model.decode(target, memory), model(source, target))
    x = model.embed(target)
    waves = torch.tensor(reference_layers.sinusoidal_positions(4, 8)).float()
    expected = model.tokens.weight[target] * 8**0.5 + waves
    agree("Seq2Seq.embed", "NumPy twin", x.float(), expected.float())
    by_hand = x @ model.tokens.weight.T
    agree("Seq2Seq.predict", "by hand", model.predict(x), by_hand)


def test_vectors_begin_with_length_one():
    """So that √D times a vector and its position are of one size."""
    torch.manual_seed(0)
    model = Seq2Seq(dataclasses.replace(TINY, vocab_size=500, d_model=64))
    assert model.tokens.weight.norm(dim=1).mean().item() == pytest.approx(1.0, abs=0.02)
    w = model.encoder.blocks[0].feed_forward.layer.expand.weight
    assert w.abs().max().item() == pytest.approx(math.sqrt(6 / (64 + 16)), rel=0.05)


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    model, source, target = tiny(dropout=0.5), ids(1, 5), ids(1, 3)
    assert torch.equal(model(source, target), model(source, target))
    model.train()
    assert not torch.equal(model(source, target), model(source, target))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("ids must be \\(batch, length\\)", lambda: tiny()(ids(5), ids(1, 2))),
        ("ids must be from 0 to 19", lambda: tiny()(ids(1, 5), torch.tensor([[-1]]))),
        ("ids must hold whole numbers", lambda: tiny()(torch.zeros(1, 2), ids(1, 2))),
        ("n_layers must be at least 1", lambda: Seq2SeqConfig(n_layers=0)),
        ("n_heads must divide d_model", lambda: tiny(n_heads=3)),
        ("dropout|p must be", lambda: tiny(dropout=1.5)),
        ("agree in the dimensions|memory|batch", lambda: tiny()(ids(2, 5), ids(3, 2))),
        (
            "max_length must be at least 1",
            lambda: tiny().translate(ids(1, 3), start_id=0, end_id=1, max_length=0),
        ),
        (
            "start_id must be at most 19, got 20",
            lambda: tiny().translate(ids(1, 3), start_id=20, end_id=1),
        ),
        (
            "end_id must be at least 0, got -1",
            lambda: tiny().translate(ids(1, 3), start_id=0, end_id=-1),
        ),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()
