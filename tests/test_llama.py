import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, LlamaForCausalLM, LlamaModel
from transformers import LlamaConfig as TheirConfig

from companion.attention import padding_mask
from companion.layers import Llama3Scaling, SwiGLU
from companion.losses import cross_entropy
from companion.models import Llama, LlamaConfig, diff, hub
from companion.models.layouts import LLAMA
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal
from tests.verification import agree, same

THEIRS = "transformers.LlamaForCausalLM"
SIZES = {
    "vocab_size": 20,
    "max_position_embeddings": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "attn_implementation": "eager",
}
#: The second of two pairs turns 1.6 times within the length of training: it is a blend.
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
#: Of SmolLM2 and Llama 3.2 (tied), Llama 2 (as many heads for all), Llama 3.1; and a wide head.
KINDS = {
    "grouped": {"tie_word_embeddings": True},
    "all heads": {"num_key_value_heads": 4, "rms_norm_eps": 1e-2},
    "llama3": {"rope_parameters": LLAMA3},
    "wide heads": {"head_dim": 10, "num_key_value_heads": 1, "tie_word_embeddings": True},
}
TINY = LlamaConfig(20, 64, 16, 3, 4, 2, d_hidden=24)
#: They compute norms and angles in float32, whatever the format of the model.
THEIR_LIMIT = {"tolerance": 1e-5, "limit": "float32"}
every_kind = pytest.mark.parametrize("kind", KINDS)


def tiny(dtype=torch.float64, **changes):
    return fill(Llama(dataclasses.replace(TINY, **changes)), dtype=dtype).eval()


def ids(*shape, seed=0, n=20):
    return torch.randint(n, shape, generator=torch.Generator().manual_seed(seed))


def pair(tmp_path, kind="grouped", dtype=torch.float64, **changes):
    """Return one model of theirs, and ours, read from what they wrote."""
    theirs = fill(LlamaForCausalLM(TheirConfig(**SIZES | KINDS[kind])), dtype=dtype, scale=0.4)
    theirs.save_pretrained(tmp_path)
    # Opened anew: their angles are tensors, too, and must not be made from rounded ones.
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, dtype=dtype, attn_implementation="eager")
    return theirs.eval(), Llama.from_hf(tmp_path, dtype=dtype, **changes)


# -- against transformers, and by hand -----------------------------------------------------------


@torch.no_grad()
@every_kind
@pytest.mark.parametrize("dtype", FLOATS)
def test_llama_against_transformers(tmp_path, kind, dtype):
    theirs, ours = pair(tmp_path, kind, dtype)
    some = ids(3, 50)
    expected = theirs(some, labels=some, output_hidden_states=True, output_attentions=True)
    agree(f"Llama, {kind}", THEIRS, ours(some), expected.logits, **THEIR_LIMIT)
    trace = ours.trace(some)
    agree("Llama.trace, logits", THEIRS, trace.logits, expected.logits, **THEIR_LIMIT)
    weights = torch.stack(expected.attentions)
    agree("Llama.trace, weights", THEIRS, trace.weights, weights, **THEIR_LIMIT)
    # Their last hidden state has passed the final norm already.
    before, last = torch.stack(expected.hidden_states[:-1]), expected.hidden_states[-1]
    agree("Llama.trace, stream", THEIRS, trace.stream[:-1], before, **THEIR_LIMIT)
    agree("Llama.trace, last", THEIRS, ours.norm(trace.stream[-1]), last, **THEIR_LIMIT)
    loss = cross_entropy(ours(some)[:, :-1].flatten(0, 1), some[:, 1:].flatten())
    agree("Llama, loss", THEIRS, loss, expected.loss, **THEIR_LIMIT)


def test_gradients_against_transformers(tmp_path):
    theirs, ours = pair(tmp_path)
    some = ids(2, 9)
    ours(some).square().mean().backward()
    theirs(some).logits.square().mean().backward()
    for name, weight in ours.named_parameters():
        other = theirs.get_parameter(LLAMA.place(name).name)
        agree("Llama, gradient", THEIRS, weight.grad, other.grad, **THEIR_LIMIT)


@torch.no_grad()
def test_in_16_bits_the_two_are_as_close_as_16_bits_allow(tmp_path):
    """Each is compared with the same weights in float64; ours is no further off than theirs."""
    theirs, ours = pair(tmp_path, dtype=torch.bfloat16)
    exact = Llama.from_hf(tmp_path, dtype=torch.float64)
    some = ids(3, 50)
    value, expected = ours(some).double(), exact(some)
    agree("Llama, 16 bits", "itself in float64", value, expected, 0.1, limit="bfloat16")
    off = (theirs(some).logits.double() - expected).square().mean().sqrt()
    assert (value - expected).square().mean().sqrt() < 1.5 * off


def by_hand(model, ids):
    """Compute a Llama in plain PyTorch and complex numbers, from the names of a checkpoint."""
    state, c = hub.to_theirs(model.state_dict(), LLAMA), model.config
    d = c.d_head or c.d_model // c.n_heads
    turn = torch.polar(torch.ones(()).double(), torch.arange(ids.shape[1])[:, None] * speeds(c, d))
    hidden = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()

    def norm(x, name):
        mean = x.pow(2).mean(-1, keepdim=True)
        return x * torch.rsqrt(mean + c.eps) * state[f"{name}.weight"]

    def linear(x, name):
        return x @ state[f"{name}.weight"].T

    def heads(x, rotated):
        x = x.unflatten(-1, (-1, d)).transpose(1, 2)
        if rotated:
            turned = torch.complex(x[..., : d // 2], x[..., d // 2 :]) * turn
            x = torch.cat((turned.real, turned.imag), -1)
        return x.repeat_interleave(c.n_heads // x.shape[1], 1)

    x = state["model.embed_tokens.weight"][ids]
    for i in range(c.n_layers):
        at = f"model.layers.{i}"
        y = norm(x, f"{at}.input_layernorm")
        q, k, v = (heads(linear(y, f"{at}.self_attn.{n}_proj"), n != "v") for n in "qkv")
        scores = (q @ k.mT / math.sqrt(d)).masked_fill(hidden, -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + linear(mixed, f"{at}.self_attn.o_proj")
        y = norm(x, f"{at}.post_attention_layernorm")
        gate = torch.nn.functional.silu(linear(y, f"{at}.mlp.gate_proj"))
        x = x + linear(gate * linear(y, f"{at}.mlp.up_proj"), f"{at}.mlp.down_proj")
    return linear(norm(x, "model.norm"), "model.embed_tokens" if c.tied else "lm_head")


def speeds(config, d):
    """Return the angle per position of each pair, with the three cases of Llama 3.1 written out."""
    found, s = [], config.scaling
    for i in range(d // 2):
        speed = config.base ** (-2 * i / d)
        if s is not None:
            wavelength = 2 * math.pi / speed
            if wavelength > s.trained_length / s.low:
                speed /= s.factor
            elif wavelength > s.trained_length / s.high:
                smooth = (s.trained_length / wavelength - s.low) / (s.high - s.low)
                speed = (1 - smooth) * speed / s.factor + smooth * speed
        found.append(speed)
    return torch.tensor(found, dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tied": False, "n_kv_heads": None},
        {"d_head": 10, "n_kv_heads": 1, "eps": 0.1},
        {"base": 5.0, "scaling": Llama3Scaling(4.0, 1.0, 3.0, 24)},
    ],
    ids=str,
)
def test_llama_by_hand_in_float64(changes):
    model, some = tiny(**changes), ids(2, 50)
    agree("Llama, float64", "plain PyTorch", model(some), by_hand(model, some))


@torch.no_grad()
@pytest.mark.parametrize(
    "changes",
    [
        {"eps": 1e-3},
        {"base": 10_000.0},
        {"scaling": Llama3Scaling(trained_length=32)},
        {"pairs": "neighbours"},
    ],
    ids=str,
)
def test_every_field_counts(changes):
    model, other = tiny(), tiny(**changes)
    other.load_state_dict(model.state_dict())
    assert (model(ids(2, 30)) - other(ids(2, 30))).abs().max() > 1e-3


def test_the_head_is_the_table_or_a_matrix_of_its_own():
    x = normal(2, 3, 16)
    tied, free = tiny(), tiny(tied=False)
    assert not hasattr(tied, "head")
    expected = tied.norm(x) @ tied.tokens.weight.T
    agree("Llama.predict, tied", "by hand", tied.predict(x), expected)
    expected = free.norm(x) @ free.head.weight.T
    agree("Llama.predict, untied", "by hand", free.predict(x), expected)
    agree("Llama.embed", "a table", tied.embed(ids(2, 3)), tied.tokens.weight[ids(2, 3)])


def test_a_relative_may_have_another_feed_forward_layer():
    class Wide(Llama):
        def _feed_forward(self):
            return SwiGLU(self.config.d_model, 2 * self.config.d_hidden)

    assert Wide(TINY).blocks[2].feed_forward.layer.w_gate.weight.shape == (48, 16)


# -- masks and caches ----------------------------------------------------------------------------


@torch.no_grad()
def test_no_token_sees_a_later_one():
    model, some = tiny(), ids(1, 7)
    before = model(some)
    changed = some.clone()
    changed[0, 4] = (changed[0, 4] + 1) % 20
    after = model(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().amax(dim=(0, 2)).min() > 1e-6


def padded(texts, left):
    """Return texts of several lengths in one batch, and where they are."""
    longest = max(map(len, texts))
    batch, real = torch.zeros(len(texts), longest, dtype=torch.int64), []
    for row, text in zip(batch, texts, strict=True):
        place = slice(longest - len(text), None) if left else slice(len(text))
        row[place] = text
        real.append(place)
    mask = torch.zeros_like(batch, dtype=torch.bool)
    for row, place in zip(mask, real, strict=True):
        row[place] = True
    return batch, real, mask[:, None]


TEXTS = [ids(5, seed=1), ids(9, seed=2), ids(2, seed=3)]


@torch.no_grad()
@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
def test_padding_changes_nothing(left):
    """On the left every later token stands further on, and only distances count."""
    model = tiny(scaling=Llama3Scaling(trained_length=16))
    batch, real, mask = padded(TEXTS, left)
    logits = model(batch, mask)
    for i, text in enumerate(TEXTS):
        alone = model(text[None])[0]
        agree("Llama, padded", "itself, alone", logits[i, real[i]], alone)
        without = (model(batch)[i, real[i]] - alone).abs().max()
        assert (without > 1e-3) == (left and len(text) < 9)
    assert logits.isfinite().all()
    if not left:
        lengths = torch.tensor([len(text) for text in TEXTS])
        same("padding_mask", "Llama's mask", padding_mask(lengths), mask)


@torch.no_grad()
@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_padding_against_transformers(tmp_path, left, dtype):
    _, ours = pair(tmp_path, dtype=dtype)
    # Their eager attention gives NaN for padding on the left in float64: it adds the lowest number
    # of that format to the scores, and computes the softmax in float32, where it is infinite.
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, dtype=dtype, attn_implementation="sdpa")
    batch, real, mask = padded(TEXTS, left)
    expected = theirs(batch, attention_mask=mask[:, 0].long()).logits
    logits = ours(batch, mask)
    for i, place in enumerate(real):
        agree("Llama, padded", THEIRS, logits[i, place], expected[i, place], **THEIR_LIMIT)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["grouped", "llama3"])
def test_caches_give_what_one_call_gives(tmp_path, kind):
    theirs, ours = pair(tmp_path, kind)
    some = ids(2, 40)
    caches, past, parts, expected = ours.new_caches(), None, [], []
    for a, b in ((0, 20), (20, 21), (21, 40)):
        parts.append(ours(some[:, a:b], caches=caches))
        done = theirs(some[:, a:b], past_key_values=past, use_cache=True)
        past, expected = done.past_key_values, [*expected, done.logits]
    agree("Llama, caches", "in one piece", torch.cat(parts, 1), ours(some))
    agree("Llama, caches", THEIRS, torch.cat(parts, 1), torch.cat(expected, 1), **THEIR_LIMIT)
    assert [cache.seen for cache in caches] == [40, 40, 40]
    held = caches[0].keys.shape  # 2 heads for keys, not 4
    assert held == (2, 2, 40, 4)


@torch.no_grad()
def test_caches_with_padding_on_the_left():
    """As when several texts are continued at once."""
    model = tiny()
    batch, _, mask = padded(TEXTS, left=True)
    new = ids(3, 4, seed=5)
    whole = torch.cat((mask, torch.ones(3, 1, 4, dtype=torch.bool)), dim=-1)
    caches = model.new_caches()
    model(batch, mask, caches=caches)
    continued = model(new, whole, caches=caches)
    for i, text in enumerate(TEXTS):
        alone = model(torch.cat((text, new[i]))[None])[0, len(text) :]
        agree("Llama, padded, caches", "itself, alone", continued[i], alone)


def test_the_fused_kernel_is_used(monkeypatch):
    model, calls = tiny(), []
    plain = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **options: calls.append(1) or plain(*args, **options),
    )
    model(ids(2, 5))
    assert len(calls) == 3
    model.trace(ids(2, 5))
    assert len(calls) == 3


def test_reads_beyond_the_length_of_training():
    assert tiny(max_length=4)(ids(1, 12)).shape == (1, 12, 20)


def test_the_first_loss_is_that_of_a_model_that_knows_nothing():
    torch.manual_seed(0)
    model = Llama(dataclasses.replace(TINY, vocab_size=500, d_model=64))
    loss = cross_entropy(model(ids(8, 9, n=500)).flatten(0, 1), ids(72, n=500, seed=1))
    assert abs(loss.item() - math.log(500)) < 0.05
    for name, weight in model.named_parameters():
        expected = torch.ones(64) if weight.ndim == 1 else None
        assert expected is None or torch.equal(weight, expected), name
        assert weight.ndim == 1 or abs(weight.std().item() / 0.02 - 1) < 0.1, name


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        (
            # Llama 2 7B, whose configuration they have by default.
            {
                "vocab_size": 32_000,
                "d_model": 4_096,
                "n_layers": 32,
                "n_heads": 32,
                "n_kv_heads": None,
                "d_hidden": 11_008,
                "tied": False,
            },
            None,
        ),
    ],
    ids=["SmolLM2-135M", "Llama 2 7B"],
)
def test_number_of_weights(ours, theirs):
    smollm2 = {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1_536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    }
    with torch.device("meta"):
        mine = Llama(LlamaConfig(**ours))
        other = LlamaForCausalLM(TheirConfig(**smollm2 if theirs is not None else {}))
    counts = [sum(p.numel() for p in model.parameters()) for model in (mine, other)]
    same("LlamaConfig, number of weights", "transformers.LlamaConfig", *counts)
    assert counts[0] == (134_515_008 if theirs is not None else 6_738_415_616)


# -- checkpoints ---------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("dtype", [*FLOATS, torch.bfloat16])
def test_transformers_opens_what_was_saved(tmp_path, kind, dtype):
    theirs, ours = pair(tmp_path / "theirs", kind, dtype)
    ours.save_hf(tmp_path / "ours")
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", dtype="auto", attn_implementation="eager"
    )
    assert isinstance(again, LlamaForCausalLM)
    assert again.dtype == dtype
    some = ids(2, 40)
    with torch.no_grad():
        same("Llama.save_hf", THEIRS, again(some).logits, theirs(some).logits)
    assert isinstance(AutoModel.from_pretrained(tmp_path / "ours"), LlamaModel)
    back = Llama.from_hf(tmp_path / "ours", dtype=dtype)
    assert back.config == ours.config
    for name, tensor in ours.state_dict().items():
        same("Llama.save_hf", "from_hf", back.state_dict()[name], tensor)


@pytest.mark.parametrize(
    "changes",
    [{}, {"n_kv_heads": None, "tied": False}, {"scaling": Llama3Scaling(2.0, 1.5, 5.0, 24)}],
    ids=str,
)
def test_a_model_of_ours_is_theirs_too(tmp_path, changes):
    ours = tiny(torch.float32, **changes)
    ours.save_hf(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert Llama.from_hf(tmp_path).config == ours.config
    agree("Llama.save_hf", THEIRS, ours(ids(2, 40)), theirs(ids(2, 40)).logits)


def test_every_layer_agrees_with_theirs(tmp_path):
    theirs, ours = pair(tmp_path)
    found = diff(ours, theirs, ids(2, 9), tolerance=1e-6)
    assert found.culprit is None
    assert len(found.layers) == 3 * (4 + 3 + 3 + 2) + 3  # 12 a block; table, norm, the whole
    with torch.no_grad():
        theirs.model.layers[1].mlp.up_proj.weight[0, 0] += 1
    found = diff(ours, theirs, ids(2, 9), tolerance=1e-6)
    assert found.culprit == "blocks.1.feed_forward.layer.w_up"


def test_reads_several_files_and_a_model_without_its_head(tmp_path):
    theirs, _ = pair(tmp_path / "whole", dtype=torch.float32)
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="3KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    theirs.model.save_pretrained(tmp_path / "headless")
    expected = theirs(ids(2, 9)).logits
    for name in ("parts", "headless"):
        agree(f"Llama.from_hf, {name}", THEIRS, Llama.from_hf(tmp_path / name)(ids(2, 9)), expected)


def reconfigure(folder, **fields):
    config = json.loads((folder / hub.CONFIG).read_text()) | fields
    kept = {name: value for name, value in config.items() if value != "absent"}
    (folder / hub.CONFIG).write_text(json.dumps(kept))


@pytest.mark.parametrize("kind", ["type", "rope_type"])
def test_the_older_way_to_write_the_rotation(tmp_path, kind):
    _, ours = pair(tmp_path, "llama3")
    scaling = {kind if name == "rope_type" else name: x for name, x in LLAMA3.items()}
    theta = scaling.pop("rope_theta")
    reconfigure(tmp_path, rope_parameters="absent", rope_theta=theta, rope_scaling=scaling)
    again = Llama.from_hf(tmp_path, dtype=torch.float64)
    assert again.config == ours.config
    reconfigure(tmp_path, rope_scaling=None)
    assert Llama.from_hf(tmp_path).config == dataclasses.replace(ours.config, scaling=None)
    reconfigure(tmp_path, rope_theta="absent")
    rotation = AutoModelForCausalLM.from_pretrained(tmp_path).config.rope_parameters
    found = Llama.from_hf(tmp_path).config.base
    same("LlamaConfig, base left out", "transformers", found, rotation["rope_theta"])


def test_angles_that_were_stored_are_passed_over(tmp_path):
    """As checkpoints of older versions have them."""
    _, ours = pair(tmp_path)
    state = load_file(tmp_path / hub.WEIGHTS)
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    save_file(state, tmp_path / hub.WEIGHTS)
    again = Llama.from_hf(tmp_path, dtype=torch.float64)
    same("Llama.from_hf, stored angles", "without", again(ids(1, 5)), ours(ids(1, 5)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention_bias": True}, "attention_bias = True"),
        ({"mlp_bias": True}, "mlp_bias = True"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"pretraining_tp": 2}, "pretraining_tp = 2"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "rope_type = 'yarn'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type = 'linear'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
        (
            {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
            "partial_rotary_factor = 0.5",
        ),
        ({"rope_parameters": {"rope_type": "llama3"}}, "lacks 'factor'"),
        ({"rms_norm_eps": "absent"}, "lacks 'rms_norm_eps'"),
        ({"model_type": "qwen2"}, "of type 'qwen2', and this class reads 'llama'"),
        ({"tie_word_embeddings": False}, r"missing tensors \(1\): lm_head.weight"),
        ({"num_hidden_layers": 2}, r"unexpected tensors \(9\): model.layers.2"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, fields, message):
    pair(tmp_path)
    reconfigure(tmp_path, **fields)
    with pytest.raises(ValueError, match=message):
        Llama.from_hf(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": "neighbours"}, "whose pairs are halves, this model has 'neighbours'"),
        ({"n_heads": 3, "n_kv_heads": 3, "d_head": 4}, "n_heads divides d_model, got 3 and 16"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes).save_hf(tmp_path)
    assert not list(tmp_path.iterdir())


# -- errors --------------------------------------------------------------------------------------

MASK = torch.ones(2, 1, 5, dtype=torch.bool)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"ids must be \(batch, length\)", lambda: tiny()(ids(5))),
        (r"ids must be \(batch, length\)", lambda: tiny()(ids(5), MASK)),
        (r"ids must be \(batch, length\)", lambda: tiny()(ids(2, 0))),
        (r"ids must be \(batch, length\)", lambda: tiny().trace(ids(5))),
        ("ids must be from 0 to 19, got 25", lambda: tiny()(torch.tensor([[1, 25]]))),
        ("ids must hold whole numbers", lambda: tiny()(torch.zeros(1, 2))),
        ("caches must be one for each of 3 blocks", lambda: tiny()(ids(1, 2), caches=[])),
        ("mask must be a torch tensor, got list", lambda: tiny()(ids(2, 5), [[[True]]])),
        ("mask must be boolean, got torch.int64", lambda: tiny()(ids(2, 5), MASK.long())),
        (
            r"mask must have shape \(2, 1, 5\), got \(2, 5\)",
            lambda: tiny()(ids(2, 5), MASK[:, 0]),
        ),
        (
            r"mask must have shape \(2, 1, 10\), got \(2, 1, 5\)",
            lambda: (
                (caches := (m := tiny()).new_caches())
                and [m(ids(2, 5), MASK, caches=caches) for _ in range(2)]
            ),
        ),
        ("vocab_size must be at least 1", lambda: LlamaConfig(vocab_size=0)),
        ("max_length must be at least 1", lambda: LlamaConfig(max_length=0)),
        ("n_layers must be at least 1", lambda: LlamaConfig(n_layers=0)),
        ("d_hidden must be at least 1", lambda: LlamaConfig(d_hidden=0)),
        ("n_heads must divide d_model, got 7 and 576", lambda: LlamaConfig(n_heads=7)),
        ("n_kv_heads must divide n_heads, got 2 and 9", lambda: LlamaConfig(n_kv_heads=2)),
        ("d_head must be at least 1", lambda: LlamaConfig(d_head=0)),
        ("d_head must be even, to form pairs; got 3", lambda: LlamaConfig(d_head=3)),
        ("eps must be finite and not negative, got -1", lambda: LlamaConfig(eps=-1.0)),
        ("base must be above 0, got 0", lambda: LlamaConfig(base=0.0)),
        ("pairs must be one of", lambda: LlamaConfig(pairs="thirds")),
        ("tied must be True or False", lambda: LlamaConfig(tied="no")),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()


def test_positions_of_llama_are_those_of_transformers(tmp_path):
    """A text that begins at 5; and two in one row, which they tell by the positions alone."""
    theirs, ours = pair(tmp_path)
    some, own = ids(2, 7), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    cases = {
        "positions": (None, torch.arange(5, 12)),
        "two texts": ((own[:, None] == own).expand(2, 7, 7), torch.tensor([0, 1, 2, 0, 1, 2, 3])),
    }
    for name, (mask, positions) in cases.items():
        expected = theirs(some, position_ids=positions.expand(2, 7), use_cache=False).logits
        for at in (positions, positions.expand(2, 7)):
            agree(f"Llama, {name}", THEIRS, ours(some, mask, at), expected, **THEIR_LIMIT)


def test_llama_sees_what_a_mask_of_each_query_shows():
    ours, some = tiny(), ids(2, 7)
    mask = torch.ones(2, 7, 7, dtype=torch.bool)
    agree("Llama, mask of all", "no mask", ours(some, mask), ours(some))
    mask[1, 5:, :5] = False
    alone = ours(some[1:, 5:])
    agree("Llama, mask of each query", "the text alone", ours(some, mask)[1:, 5:], alone)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"mask must have shape \(2, 5, 5\), got", lambda: tiny()(ids(2, 5), MASK.expand(2, 3, 5))),
        ("positions must hold whole", lambda: tiny()(ids(2, 5), None, torch.zeros(5))),
        (r"positions must have shape \(2, 5\)", lambda: tiny()(ids(2, 5), None, torch.arange(4))),
        (
            "positions must be at least 0, got -1",
            lambda: tiny()(ids(1, 2), None, torch.arange(-1, 1)),
        ),
    ],
)
def test_errors_of_masks_and_positions(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()
