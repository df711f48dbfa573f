"""Blocks as plain functions: the numbers of the model itself, or the model where it must be asked.

That texts are the same says `test_generate`; these tests look at the logits.
"""

import dataclasses

import pytest
import torch

from companion import layers, models
from companion.generation.jobs import _reader
from companion.generation.lean import (
    LEAST_TURNED,
    _copies_pay,
    _in_long_rows,
    _is_plain,
    _lean,
    _lean_predict,
)
from companion.generation.readers import _padded_left
from companion.models import GPT, GPTConfig, Llama, LlamaConfig
from companion.transformer import Block, DecoderBlock
from tests.generation.support import MAKERS, PROMPTS, ROTARY, SIZES, START, WITH_ENCODER, V, model
from tests.support import fill, normal

TOKENS = torch.randint(V, (3, 8), generator=torch.Generator().manual_seed(3))


#: How many tokens a row may have: too few for copies of the matrices to pay, and enough.
FEW, MANY = 20, 60


@torch.inference_mode()
def step_by_step(ours, rows, given=PROMPTS, longest=MANY, **options):
    """Return the logits (B, 8, V) that follow 8 tokens which are read one by one."""
    reader = _reader(ours, given, rows, longest, **options)
    reader.read(_padded_left(rows, torch.device("cpu")))
    return torch.stack([reader.read(TOKENS[:, t : t + 1])[:, 0] for t in range(8)], dim=1)


@torch.no_grad()
def at_once(ours, name, rows, given=PROMPTS):
    """Return the same from calls of the model, one for each text."""
    found = []
    for row, tokens, source in zip(rows, TOKENS.tolist(), given, strict=True):
        text = torch.tensor([row + tokens])
        logits = ours(torch.tensor([source]), text) if name in WITH_ENCODER else ours(text)
        found.append(logits[0, -8:])
    return torch.stack(found)


def rows_of(name):
    return [[START]] * 3 if name in WITH_ENCODER else PROMPTS


def off(a, b):
    return float((a - b).detach().abs().max())


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("longest", [FEW, MANY])
def test_step_by_step_the_logits_are_those_of_one_call(name, cache, longest):
    ours, rows = model(name), rows_of(name)
    found = step_by_step(ours, rows, longest=longest, cache=cache)
    assert off(found, at_once(ours, name, rows)) < 1e-10


OTHERS = {
    "scaled": lambda: Llama(LlamaConfig(**ROTARY, scaling=layers.Llama3Scaling(trained_length=4))),
    "not tied": lambda: Llama(LlamaConfig(**ROTARY, tied=False)),
    "one head": lambda: GPT(GPTConfig(**{**SIZES, "n_heads": 1}, positions="alibi")),
    "one key": lambda: Llama(LlamaConfig(**{**ROTARY, "n_kv_heads": 1})),
    "no groups": lambda: Llama(LlamaConfig(**{**ROTARY, "n_kv_heads": None})),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_configurations(kind):
    ours = fill(OTHERS[kind](), scale=0.4).eval()
    assert off(step_by_step(ours, PROMPTS), at_once(ours, "", PROMPTS)) < 1e-10


def test_queries_and_keys_that_are_normalised():
    ours = fill(OTHERS["one key"](), scale=0.4).eval()
    for block in ours.blocks:
        for part in ("q_norm", "k_norm"):
            setattr(block.attention.layer, part, fill(layers.RMSNorm(4), seed=4))
    assert off(step_by_step(ours, PROMPTS), at_once(ours, "", PROMPTS)) < 1e-10


@pytest.mark.parametrize("name", MAKERS)
def test_all_blocks_of_the_book_are_known(name):
    ours = model(name)
    if name in WITH_ENCODER:
        parts = (DecoderBlock, "attention", "cross_attention")
        assert all(_is_plain(block, *parts) for block in ours.decoder.blocks)
    else:
        assert all(_is_plain(block, Block, "attention") for block in ours.blocks)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Linear(4, 3),
        layers.Linear(4, 3, bias=False),
        layers.LayerNorm(4),
        layers.LayerNorm(4, bias=False, eps=0.1),
        layers.RMSNorm(4, eps=0.1),
        layers.SwiGLU(4, 6),
        layers.FeedForward(4, 6),
        layers.Dropout(0.5),
        torch.nn.Identity(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("copies", [True, False])
def test_layers_as_functions(layer, copies):
    layer, x = fill(layer).eval(), normal(2, 1, 4)
    assert _lean(layer, copies) is not layer
    assert off(_lean(layer, copies)(x), layer(x)) < 1e-12


@pytest.mark.parametrize(
    "layer",
    [layers.Linear(128, 256), layers.Linear(256, 128, bias=False), layers.SwiGLU(128, 256)],
    ids=repr,
)
def test_layers_whose_matrices_are_turned(layer):
    layer, x = fill(layer).eval(), normal(2, 1, next(layer.parameters()).shape[1])
    before = {name: weight.clone() for name, weight in layer.named_parameters()}
    assert off(_lean(layer, copies=True)(x), layer(x)) < 1e-10
    for name, weight in layer.named_parameters():
        assert weight.is_contiguous()
        assert torch.equal(weight, before[name])


def test_only_large_matrices_with_short_rows_are_turned():
    long, short, small = normal(64, LEAST_TURNED), normal(LEAST_TURNED, 64), normal(8, 4)
    assert _in_long_rows(long) is long
    assert _in_long_rows(small) is small
    assert torch.equal(_in_long_rows(short), short)
    assert _in_long_rows(short).stride() == (1, LEAST_TURNED)


def test_copies_are_made_where_many_tokens_come():
    ours = model("GPT")
    assert _copies_pay(ours, 32)
    assert not _copies_pay(ours, 31)
    with torch.device("meta"):  # which has sizes and no numbers
        large = torch.nn.Linear(2**14, 2**14)
    assert not _copies_pay(large, 1000)


@pytest.mark.parametrize("tied", [True, False])
def test_what_predicts_may_be_another(tied):
    """The method of a model that somebody has written is called, and hooks are, too."""
    ours = fill(Llama(LlamaConfig(**ROTARY, tied=tied)), scale=0.4).eval()
    x, calls = normal(2, 1, 16), []
    assert off(_lean_predict(ours, copies=True)(x), ours.predict(x)) < 1e-12
    ours.norm.register_forward_hook(lambda module, args, out: calls.append(1) or 2 * out)
    assert off(_lean_predict(ours, copies=True)(x), ours.predict(x)) == 0
    assert len(calls) == 2


class Sharper(Llama):
    """A model that predicts in a way of its own."""

    def predict(self, x):
        return 3 * super().predict(x)


def test_a_model_that_predicts_in_its_own_way():
    ours = fill(Sharper(LlamaConfig(**ROTARY)), scale=0.4).eval()
    assert off(step_by_step(ours, PROMPTS), at_once(ours, "", PROMPTS)) < 1e-10


class Doubled(layers.Linear):
    """What a chapter may put in the place of a layer."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_an_unknown_layer_is_called_as_it_is():
    ours = fill(MAKERS["Llama"](), scale=0.4).eval()
    plain = step_by_step(ours, PROMPTS)
    for block in ours.blocks:
        layer = block.attention.layer
        other = Doubled(16, 16, bias=False).double()
        other.load_state_dict(layer.w_q.state_dict())
        layer.w_q = other
    found = step_by_step(ours, PROMPTS)
    assert off(found, at_once(ours, "", PROMPTS)) < 1e-10
    assert off(found, plain) > 1e-3


@pytest.mark.parametrize("kind", ["hook", "pre-hook"])
def test_hooks_are_called(kind):
    ours, calls = fill(MAKERS["GPT"](), scale=0.4).eval(), []
    layer = ours.blocks[1].attention.layer
    if kind == "hook":
        layer.register_forward_hook(lambda module, args, out: calls.append(1) or 2 * out)
    else:
        layer.register_forward_pre_hook(lambda module, args: calls.append(1))
    found = step_by_step(ours, PROMPTS)
    assert len(calls) == 9
    assert off(found, at_once(ours, "", PROMPTS)) < 1e-10


@pytest.mark.parametrize("name", ["GPT", "Llama", "T5", "Seq2Seq"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_are_left_to_the_model(name, dtype):
    ours = model(name, dtype=dtype)
    blocks = ours.decoder.blocks if name in WITH_ENCODER else ours.blocks
    assert not _is_plain(blocks[0], type(blocks[0]), "attention")
    found = step_by_step(ours, rows_of(name)).double()
    exact = step_by_step(model(name), rows_of(name))
    assert off(found, exact) < 100 * torch.finfo(dtype).eps * exact.abs().max()


@pytest.mark.parametrize("name", ["GPT", "GPT, alibi", "Llama"])
def test_a_window_is_left_to_the_model_too(name):
    """With padding in the window, and after it has left it."""
    ours = fill(MAKERS[name](), scale=0.4).eval()
    lean = step_by_step(ours, PROMPTS, window=3)
    ours.blocks[0].register_forward_hook(lambda module, args, out: out)
    ours.blocks[1].register_forward_hook(lambda module, args, out: out)
    assert off(step_by_step(ours, PROMPTS, window=3), lean) < 1e-10
    assert off(step_by_step(ours, PROMPTS), lean) > 1e-3


def test_autocast_is_left_to_the_model():
    ours = model("GPT", dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert not _is_plain(ours.blocks[0], Block, "attention")
        assert step_by_step(ours, PROMPTS).isfinite().all()


def test_readers_go_back_and_reorder():
    for name in ("GPT", "GPT, alibi", "Llama", "Mixtral", "T5", "Seq2Seq"):
        ours, rows = model(name), rows_of(name)
        expected = at_once(ours, name, rows)
        for cache in (True, False):
            with torch.inference_mode():
                reader = _reader(ours, PROMPTS, rows, 20, cache=cache)
                longest = max(map(len, rows))
                reader.read(torch.tensor([[0] * (longest - len(row)) + row for row in rows]))
                reader.read(TOKENS[:, :3] * 0)
                reader.crop(longest)
                assert off(reader.read(TOKENS[:, :5], 5), expected[:, :5]) < 1e-10
                order = torch.tensor([2, 0, 0, 1])
                reader.reorder(order)
                found = reader.read(TOKENS[order, 5:6])[:, 0]
            assert off(found, expected[order, 5]) < 1e-10, (name, cache)


def test_the_model_is_never_asked_for_logits_that_nobody_reads():
    """Those of a long prompt would take much memory."""
    ours, shapes_seen = fill(MAKERS["Llama"](), scale=0.4).eval(), []
    ours.norm.register_forward_hook(lambda module, args, out: shapes_seen.append(out.shape[1]))
    step_by_step(ours, PROMPTS)
    assert shapes_seen == [1] * 9


def test_settings_of_the_config_stay():
    assert dataclasses.asdict(model("GPT").config) == dataclasses.asdict(MAKERS["GPT"]().config)
    assert isinstance(model("Mixtral"), models.Mixtral)
