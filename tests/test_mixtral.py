import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, MixtralForCausalLM
from transformers import MixtralConfig as TheirConfig
from transformers.models.mixtral import modeling_mixtral as theirs_file

from companion.attention import padding_mask
from companion.losses import cross_entropy
from companion.models import Mixtral, MixtralConfig, MoE, balance_loss, diff
from companion.models.undrawn import undrawn
from tests.plugins import shapes
from tests.support import fill
from tests.verification import agree, same

ORACLE = "transformers.MixtralForCausalLM"
TINY = MixtralConfig(
    vocab_size=20,
    max_length=32,
    d_model=8,
    n_layers=3,
    n_heads=4,
    n_kv_heads=2,
    d_hidden=12,
    base=100.0,
    n_experts=4,
    n_active=2,
)


def tiny(dtype=torch.float64, **changes):
    return fill(Mixtral(dataclasses.replace(TINY, **changes)), dtype=dtype).eval()


def ids(*shape, seed=0, n=20):
    return torch.randint(n, shape, generator=torch.Generator().manual_seed(seed))


def save_theirs(folder, shard="1GB", **changes):
    """Write a checkpoint of ``transformers``, and return the folder."""
    config = TheirConfig(
        **{
            "vocab_size": 20,
            "max_position_embeddings": 32,
            "hidden_size": 8,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 12,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
            "bos_token_id": None,
            "eos_token_id": None,
            **changes,
        }
    )
    fill(MixtralForCausalLM(config), dtype=torch.float32).save_pretrained(
        folder, max_shard_size=shard
    )
    return folder


def open_theirs(folder, dtype):
    model = MixtralForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    # Their grouped product of matrices wants other formats and larger sizes.
    model.set_experts_implementation("eager")
    return model


@pytest.fixture
def widened(monkeypatch):
    """Let ``transformers`` compute in float64 where it turns to float32 in all models."""

    def norm(self, x):
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(mean_square + self.variance_epsilon))

    def angles(self, x, position_ids):
        halves = torch.arange(0, 8 // 4, 2, dtype=torch.float64) / (8 // 4)
        frequencies = self.config.rope_parameters["rope_theta"] ** -halves
        turned = position_ids[..., None].double() * frequencies
        turned = torch.cat((turned, turned), dim=-1)
        return turned.cos(), turned.sin()

    def route(self, x):
        logits = x.reshape(-1, self.hidden_dim) @ self.weight.T
        best, chosen = torch.softmax(logits, dim=-1).topk(self.top_k, dim=-1)
        return logits, best / best.sum(dim=-1, keepdim=True), chosen

    monkeypatch.setattr(theirs_file.MixtralRMSNorm, "forward", norm)
    monkeypatch.setattr(theirs_file.MixtralRotaryEmbedding, "forward", angles)
    monkeypatch.setattr(theirs_file.MixtralTopKRouter, "forward", route)


def compare(folder, dtype, *tolerance, **limit):
    """Compare logits, the residual stream, and batches padded on either side."""
    ours, theirs = Mixtral.from_hf(folder, dtype=dtype), open_theirs(folder, dtype)
    some = ids(3, 7)
    expected = theirs(some, output_hidden_states=True)
    agree("Mixtral", ORACLE, ours(some), expected.logits, *tolerance, **limit)
    trace = ours.trace(some)
    before = torch.stack(expected.hidden_states[:-1])
    agree("Mixtral.trace, stream", ORACLE, trace.stream[:-1], before, *tolerance, **limit)
    last = ours.norm(trace.stream[-1]), expected.hidden_states[-1]
    agree("Mixtral.trace, last state", ORACLE, *last, *tolerance, **limit)
    right = padding_mask(torch.tensor([7, 4, 2]))
    for mask in (right, right.flip(-1)):
        expected = theirs(some, attention_mask=mask[:, 0].long()).logits[mask[:, 0]]
        agree(
            "Mixtral, padded", ORACLE, ours(some, mask)[mask[:, 0]], expected, *tolerance, **limit
        )


def test_against_transformers_in_float32(tmp_path):
    compare(save_theirs(tmp_path), torch.float32)


def test_against_transformers_in_float64(tmp_path):
    compare(save_theirs(tmp_path), torch.float64, 1e-5, limit="float32")


def test_against_transformers_with_all_of_it_in_float64(tmp_path, widened):
    compare(save_theirs(tmp_path), torch.float64)


def test_against_transformers_in_bfloat16(tmp_path):
    ours = Mixtral.from_hf(save_theirs(tmp_path), dtype=torch.bfloat16)
    theirs, some = open_theirs(tmp_path, torch.bfloat16), ids(3, 7)
    value, expected = ours(some).float(), theirs(some).logits.float()
    # Theirs is off by up to 0.16 from the same in float32, ours by 0.08.
    agree("Mixtral, 16 bits", ORACLE, value, expected, 0.2, limit="bfloat16")


@pytest.mark.parametrize(
    "changes", [{"head_dim": 6}, {"tie_word_embeddings": True}, {"num_experts_per_tok": 3}]
)
def test_against_transformers_with_other_options(tmp_path, changes):
    ours = Mixtral.from_hf(save_theirs(tmp_path, **changes))
    theirs, some = open_theirs(tmp_path, torch.float32), ids(3, 7)
    agree(f"Mixtral, {next(iter(changes))}", ORACLE, ours(some), theirs(some).logits)


@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_with_that_of_the_routers(tmp_path, masked):
    ours = Mixtral.from_hf(save_theirs(tmp_path, router_aux_loss_coef=0.5))
    theirs, some = open_theirs(tmp_path, torch.float32), ids(3, 7)
    mask = padding_mask(torch.tensor([7, 4, 2])) if masked else None
    labels = some if mask is None else some.masked_fill(~mask[:, 0], -100)
    there = None if mask is None else mask[:, 0]
    options = {"attention_mask": None if there is None else there.long(), "labels": labels}
    expected = theirs(some, **options, output_router_logits=True)
    logits = ours(some, mask)
    balance = balance_loss(*ours.routings, mask=there)
    agree("Mixtral.routings, balance loss", ORACLE, balance, expected.aux_loss)
    loss = cross_entropy(logits[:, :-1], labels[:, 1:]) + 0.5 * balance
    agree("Mixtral, loss", ORACLE, loss, expected.loss)
    for routing, theirs_logits in zip(ours.routings, expected.router_logits, strict=True):
        value = routing.probabilities.flatten(0, 1)
        agree("Mixtral.routings", ORACLE, value, torch.softmax(theirs_logits, dim=-1))


def test_gradients_against_transformers(tmp_path):
    """Through the experts as well as through the gates."""
    ours = Mixtral.from_hf(save_theirs(tmp_path))
    theirs, some = open_theirs(tmp_path, torch.float32), ids(3, 7)
    (ours(some).square().mean() + balance_loss(*ours.routings)).backward()
    expected = theirs(some, output_router_logits=True)
    (expected.logits.square().mean() + expected.aux_loss).backward()
    layer, other = ours.blocks[1].feed_forward.layer, theirs.model.layers[1].mlp
    up = torch.stack([expert.w_up.weight.grad for expert in layer.experts])
    down = torch.stack([expert.w_down.weight.grad for expert in layer.experts])
    pairs = {
        "router": (layer.router.weight.grad, other.gate.weight.grad),
        "up": (up, other.experts.gate_up_proj.grad[:, 12:]),
        "down": (down, other.experts.down_proj.grad),
        "tokens": (ours.tokens.weight.grad, theirs.model.embed_tokens.weight.grad),
    }
    for name, (mine, others) in pairs.items():
        agree(f"Mixtral, gradient, {name}", ORACLE, mine, others)


def test_written_checkpoints_are_opened_by_both(tmp_path):
    ours, some = tiny(torch.float32), ids(2, 7)
    ours.save_hf(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(theirs, MixtralForCausalLM)
    agree("Mixtral.save_hf", ORACLE, ours(some), theirs(some).logits)
    again = Mixtral.from_hf(tmp_path)
    assert again.config == ours.config
    state, other = ours.state_dict(), again.state_dict()
    assert list(state) == list(other)
    assert all(torch.equal(state[name], other[name]) for name in state)
    names = load_file(tmp_path / "model.safetensors")
    assert "model.layers.2.block_sparse_moe.experts.3.w2.weight" in names
    assert "model.layers.2.block_sparse_moe.gate.weight" in names


def test_what_transformers_wrote_is_written_alike(tmp_path):
    save_theirs(tmp_path / "theirs")
    Mixtral.from_hf(tmp_path / "theirs").save_hf(tmp_path / "ours")
    theirs, ours = (load_file(tmp_path / who / "model.safetensors") for who in ("theirs", "ours"))
    assert sorted(theirs) == sorted(ours)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_several_files(tmp_path):
    whole = Mixtral.from_hf(save_theirs(tmp_path / "one"))
    parts = Mixtral.from_hf(save_theirs(tmp_path / "many", shard="4KB"))
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    same("Mixtral.from_hf, shards", "in one file", parts(ids(2, 5)), whole(ids(2, 5)))


def test_caches_give_what_one_call_gives():
    model, some = tiny(), ids(2, 7)
    caches = model.new_caches()
    parts = [model(some[:, a:b], caches=caches) for a, b in ((0, 3), (3, 4), (4, 7))]
    agree("Mixtral, caches", "in one piece", torch.cat(parts, dim=1), model(some))


def test_no_token_sees_a_later_one():
    model, some = tiny(), ids(1, 7)
    changed = some.clone()
    changed[0, 4] = (changed[0, 4] + 1) % 20
    before, after = model(some), model(changed)
    # Other tokens may share an expert with the changed one: a product of more rows rounds anew.
    assert (before[:, :4] - after[:, :4]).abs().max() < 1e-13
    assert (before[:, 4:] - after[:, 4:]).abs().amax(dim=(0, 2)).min() > 1e-6


def test_the_number_of_active_experts_is_read(tmp_path):
    save_theirs(tmp_path)
    some = ids(2, 5)
    outputs = [Mixtral.from_hf(tmp_path, n_active=k)(some) for k in (1, 2, 3)]
    assert torch.equal(outputs[1], Mixtral.from_hf(tmp_path)(some))
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3
    assert (outputs[2] - outputs[1]).abs().max() > 1e-3


def test_diff_finds_a_changed_expert(tmp_path):
    ours = Mixtral.from_hf(save_theirs(tmp_path))
    theirs, some = open_theirs(tmp_path, torch.float32), ids(2, 9)
    found = diff(ours, theirs, some)
    assert found.culprit is None
    assert "blocks.1.feed_forward.layer" in [layer.name for layer in found.layers]
    with torch.no_grad():
        theirs.model.layers[1].mlp.experts.down_proj[2] += 1
    culprit = diff(ours, theirs, some).culprit
    same("diff, Mixtral", "by hand", culprit, "blocks.1.feed_forward.layer")


def test_the_feed_forward_layers_are_experts():
    model = tiny()
    layers = [block.feed_forward.layer for block in model.blocks]
    assert all(isinstance(layer, MoE) and len(layer.experts) == 4 for layer in layers)
    model(ids(2, 5))
    assert all(r is layer.routing for r, layer in zip(model.routings, layers, strict=True))
    assert model.routings[0].chosen.shape == (2, 5, 2)


def test_mixtral_8x7b_has_46_702_792_704_parameters():
    with undrawn():
        model = Mixtral(MixtralConfig())
    with torch.device("meta"):
        theirs = MixtralForCausalLM(TheirConfig())
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = sum(parameter.numel() for parameter in theirs.parameters())
    same("MixtralConfig, number of weights", "transformers.MixtralConfig", count, expected)
    assert count == 46_702_792_704


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sliding_window": 4096}, "sliding_window = 4096, and here it must be None"),
        ({"router_jitter_noise": 0.1}, "router_jitter_noise = 0.1, and here it must be 0.0"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"attention_bias": True}, "attention_bias = True"),
        (
            {"num_local_experts": 5},
            r"missing tensors \(9\): model.layers.0.block_sparse_moe.experts.4",
        ),
        ({"num_experts_per_tok": 9}, "n_active must be at most n_experts, 4, got 9"),
    ],
)
def test_other_models_are_refused(tmp_path, changes, message):
    save_theirs(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ValueError, match=message):
        Mixtral.from_hf(tmp_path)


def test_the_rotation_that_a_configuration_leaves_out_is_mixtrals(tmp_path):
    save_theirs(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["rope_parameters"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    ours, theirs = Mixtral.from_hf(tmp_path), open_theirs(tmp_path, torch.float32)
    assert ours.config.base == 1e6
    agree("Mixtral, base by default", ORACLE, ours(ids(2, 7)), theirs(ids(2, 7)).logits)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("routed nothing so far", lambda: tiny().routings),
        ("n_active must be at most n_experts", lambda: MixtralConfig(n_active=9)),
        ("n_experts must be at least 1", lambda: MixtralConfig(n_experts=0)),
        ("n_heads must divide d_model", lambda: MixtralConfig(n_heads=3)),
        ("ids must be from 0 to 19, got 25", lambda: tiny()(torch.tensor([[1, 25]]))),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()
