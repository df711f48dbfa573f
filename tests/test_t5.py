import dataclasses
import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM, T5ForConditionalGeneration, T5Model
from transformers import T5Config as TheirConfig
from transformers.models.t5 import modeling_t5 as theirs_file

from companion.attention import padding_mask
from companion.losses import cross_entropy
from companion.models import GEGLU, T5, RelativeBias, T5Config, relative_buckets
from companion.models.undrawn import undrawn
from companion.reference import models as reference
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal, shapes_vary
from tests.verification import agree, same

ORACLE = "transformers.T5ForConditionalGeneration"
BUCKETS = "transformers, T5Attention"
# So few buckets and so small a distance that the sequences of the tests reach them all.
TINY = T5Config(
    vocab_size=20,
    d_model=8,
    n_layers=2,
    n_decoder_layers=3,
    n_heads=2,
    d_head=3,
    d_hidden=16,
    n_buckets=8,
    max_distance=10,
)
KINDS = {"1.0": {}, "1.1": {"gated": True, "tied": False}}
each_kind = pytest.mark.parametrize("kind", KINDS)


def tiny(dtype=torch.float64, **changes):
    return fill(T5(dataclasses.replace(TINY, **changes)), dtype=dtype).eval()


def ids(*shape, seed=0, n=20):
    return torch.randint(n, shape, generator=torch.Generator().manual_seed(seed))


def save_theirs(folder, kind="1.0", shard="1GB", **changes):
    """Write a checkpoint of ``transformers``, and return the folder."""
    newer = {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}
    config = TheirConfig(
        **{
            "vocab_size": 20,
            "d_model": 8,
            "num_layers": 2,
            "num_decoder_layers": 3,
            "num_heads": 2,
            "d_kv": 3,
            "d_ff": 16,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 10,
            "decoder_start_token_id": 0,
            **(newer if kind == "1.1" else {}),
            **changes,
        }
    )
    model = T5ForConditionalGeneration(config)
    if kind == "1.1":  # as published; in a new model of version 5 the two are always one
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(20, 8))
    fill(model, dtype=torch.float32).save_pretrained(folder, max_shard_size=shard)
    return folder


def open_theirs(folder, dtype=torch.float32):
    return T5ForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()


def change_config(folder, drop=(), **changes):
    path = folder / "config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in drop}
    path.write_text(json.dumps(config | changes))


@pytest.fixture
def widened(monkeypatch):
    """Let T5LayerNorm of ``transformers`` stay in float64."""

    def norm(self, x):
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(mean_square + self.variance_epsilon))

    monkeypatch.setattr(theirs_file.T5LayerNorm, "forward", norm)


# -- positions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(32, 128), (8, 10), (9, 20), (64, 256), (12, 40), (4, 2)])
def test_buckets_against_transformers_and_the_twin(sizes, causal):
    n_buckets, max_distance = sizes
    distance = torch.arange(-600, 601)
    value = relative_buckets(
        distance, n_buckets=n_buckets, max_distance=max_distance + causal * n_buckets, causal=causal
    )
    theirs = theirs_file.T5Attention._relative_position_bucket(
        distance, not causal, n_buckets, max_distance + causal * n_buckets
    )
    same("relative_buckets", BUCKETS, value, theirs)
    twin = [
        reference.relative_bucket(
            int(t), n_buckets, max_distance + causal * n_buckets, causal=causal
        )
        for t in distance
    ]
    same("relative_buckets", "NumPy twin", value, twin)
    same("twin: relative_bucket", BUCKETS, twin, theirs.tolist())
    assert value.min() == 0
    assert value.max() == n_buckets - 1 - (n_buckets % 2 and not causal)


def test_buckets_by_hand():
    """Of 8 buckets, 4 a direction: 0 and 1 exactly, then from 2 and from 4, as log₂ of 8/2 is 2."""
    value = relative_buckets(torch.tensor([0, -1, -2, -3, -4, -9]), n_buckets=8, max_distance=8)
    same("relative_buckets", "by hand", value, [0, 1, 2, 2, 3, 3])
    later = relative_buckets(torch.tensor([1, 2, 3, 4, 9]), n_buckets=8, max_distance=8)
    same("relative_buckets, later keys", "by hand", later, [5, 6, 6, 7, 7])


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.uint8, torch.int64])
def test_distances_of_any_whole_format(dtype):
    distance = torch.tensor([[0, 3], [7, 100]])
    value = relative_buckets(distance.to(dtype))
    same("relative_buckets, formats", "in int64", value, relative_buckets(distance))


@shapes_vary
@given(st.integers(1, 6), st.integers(0, 6), st.booleans())
def test_the_bias_against_transformers_with_a_past(new, seen, causal):
    config = TheirConfig(
        d_model=8,
        num_heads=2,
        d_kv=4,
        is_decoder=causal,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=10,
    )
    theirs = theirs_file.T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    ours = fill(RelativeBias(2, n_buckets=8, max_distance=10, causal=causal), dtype=torch.float32)
    with torch.no_grad():
        theirs.relative_attention_bias.weight.copy_(ours.table.weight)
    expected = theirs.compute_bias(new, seen + new, past_seen_tokens=seen)
    agree("RelativeBias", BUCKETS, ours(new, seen + new), expected)
    if not seen:
        agree("RelativeBias", "with n_keys", ours(new), expected)


# -- the model -----------------------------------------------------------------------------------


def compare(folder, dtype, *tolerance, **limit):
    """Compare logits, what the encoder computed, the loss, and a batch with padding."""
    ours, theirs = T5.from_hf(folder, dtype=dtype), open_theirs(folder, dtype)
    source, target = ids(3, 13), ids(3, 12, seed=1)
    states = []
    for block in ours.encoder.blocks:
        block.register_forward_hook(lambda _, __, out: states.append(out))
    lengths = torch.tensor([13, 5, 9])
    right = padding_mask(lengths)
    for name, mask in (("", None), (", padded", right), (", padded before", right.flip(-1))):
        states.clear()
        theirs_mask = None if mask is None else mask[:, 0].long()
        options = {"attention_mask": theirs_mask, "output_hidden_states": True}
        expected = theirs(source, decoder_input_ids=target, **options)
        logits = ours(source, target, mask)
        agree(f"T5{name}", ORACLE, logits, expected.logits, *tolerance, **limit)
        real = torch.ones(3, 13).bool() if mask is None else mask[:, 0]
        for state, other in zip(states, expected.encoder_hidden_states[1:-1], strict=False):
            agree(f"T5.encode, states{name}", ORACLE, state[real], other[real], *tolerance, **limit)
        memory = ours.encode(source, mask)[real], expected.encoder_last_hidden_state[real]
        agree(f"T5.encode{name}", ORACLE, *memory, *tolerance, **limit)
    labels = ids(3, 12, seed=2).masked_fill(~padding_mask(torch.tensor([12, 4, 7]))[:, 0], -100)
    expected = theirs(source, labels=labels).loss
    begun = torch.cat((torch.zeros(3, 1).long(), labels[:, :-1].clamp(min=0)), dim=1)
    loss = cross_entropy(ours(source, begun), labels)
    agree("T5, loss", ORACLE, loss, expected, *tolerance, **limit)


@each_kind
def test_against_transformers_in_float32(tmp_path, kind):
    compare(save_theirs(tmp_path, kind), torch.float32)


@each_kind
def test_against_transformers_in_float64(tmp_path, kind):
    compare(save_theirs(tmp_path, kind), torch.float64, 1e-5, limit="float32")


@each_kind
def test_against_transformers_with_all_of_it_in_float64(tmp_path, kind, widened):
    compare(save_theirs(tmp_path, kind), torch.float64)


@each_kind
def test_against_transformers_in_bfloat16(tmp_path, kind):
    ours = T5.from_hf(save_theirs(tmp_path, kind), dtype=torch.bfloat16)
    theirs, source, target = open_theirs(tmp_path, torch.bfloat16), ids(3, 13), ids(3, 12, seed=1)
    value = ours(source, target).float()
    expected = theirs(source, decoder_input_ids=target).logits.float()
    agree("T5, 16 bits", ORACLE, value, expected, 0.1, limit="bfloat16")


@pytest.mark.parametrize(
    "changes",
    [
        {"feed_forward_proj": "gated-gelu"},
        {"num_decoder_layers": None},
        {"relative_attention_num_buckets": 6},
        {"relative_attention_max_distance": 5},
        {"layer_norm_epsilon": 0.1},
        {"d_kv": 4, "num_heads": 3},
    ],
)
def test_against_transformers_with_other_options(tmp_path, changes):
    ours = T5.from_hf(save_theirs(tmp_path, **changes))
    theirs, source, target = open_theirs(tmp_path), ids(3, 13), ids(3, 12, seed=1)
    expected = theirs(source, decoder_input_ids=target).logits
    agree(f"T5, {next(iter(changes))}", ORACLE, ours(source, target), expected)


def test_gradients_against_transformers(tmp_path):
    ours, theirs = T5.from_hf(save_theirs(tmp_path)), open_theirs(tmp_path)
    source, target = ids(3, 13), ids(3, 12, seed=1)
    ours(source, target).square().mean().backward()
    theirs(source, decoder_input_ids=target).logits.square().mean().backward()
    heads = [stack.block[0].layer[0].SelfAttention for stack in (theirs.encoder, theirs.decoder)]
    pairs = {
        "tokens": (ours.tokens, theirs.shared),
        "bias": (ours.encoder_bias.table, heads[0].relative_attention_bias),
        "bias of the decoder": (ours.decoder_bias.table, heads[1].relative_attention_bias),
        "queries": (ours.encoder.blocks[0].attention.layer.w_q, heads[0].q),
    }
    for name, (mine, other) in pairs.items():
        agree(f"T5, gradient, {name}", ORACLE, mine.weight.grad, other.weight.grad)


@each_kind
def test_caches_give_what_one_call_gives(tmp_path, kind):
    model, source, target = tiny(**KINDS[kind]), ids(2, 13), ids(2, 12, seed=1)
    mask = padding_mask(torch.tensor([13, 6]))
    memory, caches = model.encode(source, mask), model.new_caches()
    steps = ((0, 3), (3, 4), (4, 5), (5, 12))
    parts = [model.decode(target[:, a:b], memory, mask, caches=caches) for a, b in steps]
    whole = model.decode(target, memory, mask)
    agree("T5.decode, caches", "in one piece", torch.cat(parts, dim=1), whole)
    agree("T5.decode", "T5", whole, model(source, target, mask))


def test_caches_against_those_of_transformers(tmp_path):
    ours, theirs = T5.from_hf(save_theirs(tmp_path)), open_theirs(tmp_path)
    source, target = ids(2, 13), ids(2, 12, seed=1)
    memory, caches = ours.encode(source), ours.new_caches()
    past, states = None, theirs.encoder(source)
    for a, b in ((0, 5), (5, 6), (6, 12)):
        expected = theirs(
            encoder_outputs=states,
            decoder_input_ids=target[:, a:b],
            past_key_values=past,
            use_cache=True,
        )
        past = expected.past_key_values
        value = ours.decode(target[:, a:b], memory, caches=caches)
        agree("T5.decode, caches", ORACLE, value, expected.logits)


@each_kind
def test_translate_against_generate(tmp_path, kind):
    ours, theirs = T5.from_hf(save_theirs(tmp_path, kind)), open_theirs(tmp_path)
    source, mask = ids(4, 7), padding_mask(torch.tensor([7, 3, 5, 6]))
    made = ours.translate(source, mask, start_id=0, end_id=1, max_length=12)
    theirs.generation_config.pad_token_id = 1  # what ours writes after the end
    # Their `generate` makes caches for as many blocks as the encoder has.
    options = {"do_sample": False, "num_beams": 1, "max_new_tokens": 12, "use_cache": False}
    expected = theirs.generate(source, attention_mask=mask[:, 0].long(), **options)[:, 1:]
    same("T5.translate", ORACLE, made, expected)


def test_nobody_sees_a_later_token_of_the_target():
    model, source, target = tiny(), ids(1, 7), ids(1, 6, seed=1)
    before = model(source, target)
    changed = target.clone()
    changed[0, 3] = (changed[0, 3] + 1) % 20
    after = model(source, changed)
    assert torch.equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] - after[:, 3:]).abs().amax(dim=(0, 2)).min() > 1e-6


def test_every_token_of_the_source_matters_and_padding_does_not():
    model, source, target = tiny(), ids(1, 7), ids(1, 4, seed=1)
    mask = padding_mask(torch.tensor([5]), 7)
    before = model(source, target, mask)
    for place in range(7):
        changed = source.clone()
        changed[0, place] = (changed[0, place] + 1) % 20
        moved = (model(changed, target, mask) - before).abs().amax().item()
        assert moved == 0 if place >= 5 else moved > 1e-6
    agree("T5, padding", "without padding", before, model(source[:, :5], target))


def test_order_is_known_through_the_bias_alone():
    model, source, target = tiny(), ids(1, 7), ids(1, 6, seed=1)
    assert (model.encode(source.flip(-1)).flip(-2) - model.encode(source)).abs().max() > 1e-3
    with torch.no_grad():
        model.encoder_bias.table.weight.zero_()
    memory = model.encode(source)
    agree("T5.encode, no bias", "in another order", model.encode(source.flip(-1)).flip(-2), memory)
    before = model.decode(target, memory)
    with torch.no_grad():
        model.decoder_bias.table.weight.zero_()
    assert (model.decode(target, memory) - before).abs().max() > 1e-3


def test_scores_are_not_divided():
    model = tiny()
    layer, x = model.encoder.blocks[0].attention.layer, normal(1, 4, 8)
    _, weights = layer(x, return_weights=True)
    q, k = (map_(x).unflatten(-1, (2, 3)).transpose(1, 2) for map_ in (layer.w_q, layer.w_k))
    agree("T5, scores", "by hand", weights, torch.softmax(q @ k.mT, dim=-1))


@pytest.mark.parametrize("dtype", FLOATS)
def test_geglu(dtype):
    layer, x = fill(GEGLU(5, 7), dtype=dtype), normal(2, 3, 5, dtype=dtype)
    gate = torch.nn.functional.gelu(x @ layer.w_gate.weight.T, approximate="tanh")
    expected = (gate * (x @ layer.w_up.weight.T)) @ layer.w_down.weight.T
    agree("GEGLU", "torch.nn.functional.gelu", layer(x), expected)


def test_geglu_drops_hidden_features_in_training():
    torch.manual_seed(0)
    layer, x = fill(GEGLU(5, 2000, dropout=0.25)), normal(1, 5)
    kept = []
    layer.w_down.register_forward_hook(lambda _, args, __: kept.append(args[0] != 0))
    layer(x)
    layer.eval()(x)
    assert kept[0].double().mean().item() == pytest.approx(0.75, abs=0.04)
    assert kept[1].all()


def test_the_parts_of_a_call():
    tied, untied = tiny(), tiny(tied=False)
    x = normal(2, 3, 8)
    agree("T5.embed", "by hand", tied.embed(ids(2, 3)), tied.tokens.weight[ids(2, 3)])
    by_hand = x / 8**0.5 @ tied.tokens.weight.T
    agree("T5.predict, tied", "by hand", tied.predict(x), by_hand)
    agree("T5.predict, untied", "by hand", untied.predict(x), x @ untied.head.weight.T)


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    source, target = ids(1, 5), ids(1, 3)
    for kind in KINDS.values():
        model = tiny(dropout=0.5, **kind)
        assert torch.equal(model(source, target), model(source, target))
        model.train()
        assert not torch.equal(model(source, target), model(source, target))


@pytest.mark.parametrize("gated", [False, True])
def test_dropout_stands_where_t5_has_it(gated):
    """In the embedding, after both stacks, of each change, of weights, and of hidden features."""
    model = tiny(dropout=0.25, gated=gated)
    rates = [module.p for module in model.modules() if type(module).__name__ == "Dropout"]
    assert rates == [0.25] * (1 + 2 * 3 + 3 * 4)
    layers = [module for module in model.modules() if type(module).__name__ == "MultiHeadAttention"]
    assert [layer.dropout for layer in layers] == [0.25] * (2 + 3 * 2)
    shapes_of = []
    model.dropout.register_forward_hook(lambda _, args, __: shapes_of.append(args[0].shape[1]))
    model(ids(1, 5), ids(1, 3))
    assert shapes_of == [5, 5, 3, 3]  # source and memory, target and what the decoder made of it


# -- weights -------------------------------------------------------------------------------------


def test_first_weights_are_those_of_transformers():
    torch.manual_seed(0)
    sizes = {"vocab_size": 400, "d_model": 64, "n_heads": 8, "d_head": 16, "d_hidden": 256}
    ours = T5(T5Config(**sizes, n_layers=1, n_buckets=64))
    theirs = T5ForConditionalGeneration(
        TheirConfig(
            vocab_size=400,
            d_model=64,
            num_heads=8,
            d_kv=16,
            d_ff=256,
            num_layers=1,
            relative_attention_num_buckets=64,
        )
    )
    expected = theirs.state_dict()
    for name, weight in ours.named_parameters():
        other = expected[T5.layout.place(name).name]
        if name.endswith("norm.weight"):
            assert torch.equal(weight, other)
        else:
            assert weight.std().item() == pytest.approx(other.std().item(), rel=0.15), name
            assert abs(weight.mean().item()) < 0.15 * weight.std().item()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_first_loss_is_near_that_of_a_model_that_knows_nothing(kind):
    torch.manual_seed(0)
    config = T5Config(vocab_size=500, d_model=64, d_hidden=128, n_layers=2, **kind)
    logits = T5(config)(ids(8, 9, n=500), ids(8, 9, n=500, seed=1))
    loss = cross_entropy(logits, ids(8, 9, n=500, seed=2)).item()
    assert math.log(500) - 0.1 < loss < math.log(500) + 0.8


def test_t5_small_has_60_506_624_parameters():
    with undrawn():
        model = T5(T5Config())
    with torch.device("meta"):
        theirs = T5ForConditionalGeneration(TheirConfig())
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = sum(parameter.numel() for parameter in theirs.parameters())
    same("T5Config, number of weights", "transformers.T5Config", count, expected)
    assert count == 60_506_624


@each_kind
def test_written_checkpoints_are_opened_by_both(tmp_path, kind):
    ours, source, target = tiny(torch.float32, **KINDS[kind]), ids(2, 7), ids(2, 5, seed=1)
    ours.save_hf(tmp_path)
    theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert isinstance(theirs, T5ForConditionalGeneration)
    expected = theirs(source, decoder_input_ids=target).logits
    agree("T5.save_hf", ORACLE, ours(source, target), expected)
    assert theirs(source, labels=target).loss.isfinite()  # it knows how targets begin
    again = T5.from_hf(tmp_path)
    assert again.config == ours.config
    state, other = ours.state_dict(), again.state_dict()
    assert list(state) == list(other)
    assert all(torch.equal(state[name], other[name]) for name in state)


@each_kind
def test_what_transformers_wrote_is_written_alike(tmp_path, kind):
    save_theirs(tmp_path / "theirs", kind)
    T5.from_hf(tmp_path / "theirs").save_hf(tmp_path / "ours")
    theirs, ours = (load_file(tmp_path / who / "model.safetensors") for who in ("theirs", "ours"))
    assert sorted(theirs) == sorted(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_dropout_is_written(tmp_path):
    tiny(dropout=0.25).save_hf(tmp_path)
    assert TheirConfig.from_pretrained(tmp_path).dropout_rate == 0.25


def test_several_files(tmp_path):
    whole = T5.from_hf(save_theirs(tmp_path / "one"))
    parts = T5.from_hf(save_theirs(tmp_path / "many", shard="4KB"))
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    value, expected = (model(ids(2, 5), ids(2, 4)) for model in (parts, whole))
    same("T5.from_hf, shards", "in one file", value, expected)


def test_the_older_way_to_say_that_the_output_is_untied(tmp_path):
    """As published: the field that ``transformers`` 5 writes instead is missing."""
    save_theirs(tmp_path, "1.1")
    change_config(tmp_path, drop=("scale_decoder_outputs",), tie_word_embeddings=False)
    ours, theirs = T5.from_hf(tmp_path), open_theirs(tmp_path)
    assert not ours.config.tied
    expected = theirs(ids(2, 5), decoder_input_ids=ids(2, 4)).logits
    agree("T5.from_hf, older configuration", ORACLE, ours(ids(2, 5), ids(2, 4)), expected)


def test_copies_of_the_table_are_known_and_compared(tmp_path):
    """The published files hold it three times, and a bias of the cross-attention."""
    before = T5.from_hf(save_theirs(tmp_path))(ids(2, 5), ids(2, 4))
    state = load_file(tmp_path / "model.safetensors")
    copies = ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    full = state | {f"{copy}.weight": state["shared.weight"].clone() for copy in copies}
    save_file(full | {unused: torch.ones(8, 2)}, tmp_path / "model.safetensors")
    after = T5.from_hf(tmp_path)(ids(2, 5), ids(2, 4))
    same("T5.from_hf, copies of the table", "without them", after, before)
    for copy in copies:
        save_file(full | {f"{copy}.weight": torch.ones(20, 8)}, tmp_path / "model.safetensors")
        with pytest.raises(ValueError, match=f"{copy}.weight should be shared.weight"):
            T5.from_hf(tmp_path)


def test_a_model_without_a_head_is_opened(tmp_path):
    theirs = fill(T5Model(TheirConfig(**SMALLEST)), dtype=torch.float32)
    theirs.save_pretrained(tmp_path)
    ours = T5.from_hf(tmp_path)
    expected = theirs.eval()(ids(2, 5), decoder_input_ids=ids(2, 4)).encoder_last_hidden_state
    agree("T5.encode", "transformers.T5Model", ours.encode(ids(2, 5)), expected)


SMALLEST = {
    "vocab_size": 20,
    "d_model": 8,
    "num_layers": 1,
    "num_heads": 2,
    "d_kv": 4,
    "d_ff": 8,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj = 'gated-silu'"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder = False"),
        # What a new model of `transformers` 5 is: its output is the table, and is not scaled.
        ({"scale_decoder_outputs": False}, r"missing tensors \(1\): lm_head.weight"),
        ({"relative_attention_num_buckets": 9}, r"tensors of the wrong shape \(2\)"),
        ({"model_type": "mt5"}, "'mt5', and this class reads 't5'"),
    ],
)
def test_other_models_are_refused(tmp_path, changes, message):
    save_theirs(tmp_path)
    change_config(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        T5.from_hf(tmp_path)


# -- errors --------------------------------------------------------------------------------------

FEW = torch.zeros(1, 2).long()


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("ids must be \\(batch, length\\)", lambda: tiny()(ids(5), ids(1, 2))),
        ("ids must be \\(batch, length\\)", lambda: tiny()(ids(1, 5), ids(1, 0))),
        ("ids must be from 0 to 19", lambda: tiny()(ids(1, 5), torch.tensor([[-1]]))),
        ("ids must hold whole numbers", lambda: tiny()(torch.zeros(1, 2), ids(1, 2))),
        (
            "mask must have shape \\(1, 1, 5\\), got \\(1, 1, 4\\)",
            lambda: tiny()(ids(1, 5), ids(1, 2), torch.ones(1, 1, 4).bool()),
        ),
        (
            "mask must have shape",
            lambda: tiny()(ids(1, 5), ids(1, 2), torch.ones(1, 5).bool()),
        ),
        ("mask must be boolean", lambda: tiny()(ids(1, 5), ids(1, 2), torch.ones(1, 1, 5))),
        (
            "caches must be one for each of 3",
            lambda: tiny().decode(FEW, normal(1, 3, 8), caches=[]),
        ),
        ("start_id must be at most 19", lambda: tiny().translate(FEW, start_id=20, end_id=1)),
        ("n_layers must be at least 1", lambda: T5Config(n_layers=0)),
        ("n_decoder_layers must be at least 1", lambda: T5Config(n_decoder_layers=0)),
        ("vocab_size must be at least 1", lambda: T5Config(vocab_size=0)),
        ("d_hidden must be at least 1", lambda: T5Config(d_hidden=0)),
        ("gated must be True or False", lambda: T5Config(gated="gelu")),
        ("tied must be True or False", lambda: T5Config(tied=None)),
        ("d_head must be at least 1", lambda: T5Config(d_head=0)),
        ("n_heads must be at least 1", lambda: T5Config(n_heads=0)),
        ("d_model must be at least 1", lambda: T5Config(d_model=0)),
        ("p must be|dropout must be", lambda: tiny(dropout=1.0)),
        ("n_buckets must be at least 4, got 3", lambda: T5Config(n_buckets=3)),
        ("max_distance must be at least 17, got 16", lambda: T5Config(max_distance=16)),
        ("max_distance must be at least 9, got 8", lambda: RelativeBias(2, max_distance=8)),
        ("n_buckets must be at least 2", lambda: relative_buckets(FEW, n_buckets=1, causal=True)),
        (
            "max_distance must be at least 17",
            lambda: relative_buckets(FEW, max_distance=16, causal=True),
        ),
        ("causal must be True or False", lambda: relative_buckets(FEW, causal="yes")),
        ("distance must hold whole numbers", lambda: relative_buckets(normal(2))),
        ("n_queries must not exceed n_keys", lambda: RelativeBias(2)(3, 2)),
        ("n_buckets must be at least 4", lambda: RelativeBias(2, n_buckets=2)),
        ("d_model must be at least 1|d_in must be at least 1", lambda: GEGLU(0, 3)),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()


def test_layers_say_their_sizes():
    assert repr(RelativeBias(2, causal=True)).startswith(
        "RelativeBias(\n  max_distance=128, causal"
    )
