import numpy as np
import peft
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft.tuners.lora import Linear as TheirLinear
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from companion.finetuning import (
    LoRALinear,
    MergeError,
    NF4Linear,
    RSLoRALinear,
    add_lora,
    count_trainable,
    load_lora,
    load_lora_state,
    lora_state,
    merge_error,
    merge_lora,
    quantise_linears,
    remove_lora,
    save_lora,
    unmerge_lora,
)
from companion.generation import generate
from companion.layers import MLP, Linear
from companion.models import T5, BertConfig, BertEncoder, Llama, LlamaConfig, T5Config
from companion.models.layouts import LLAMA
from companion.reference import finetuning as twin
from tests.finetuning.support import (
    LIMITS,
    copy_of,
    ids,
    model,
    theirs,
    trained,
    unchanged,
    with_peft,
)
from tests.plugins import shapes
from tests.support import fill, normal, seeds, shapes_vary, sizes
from tests.verification import agree, same

TARGETS = ["w_q", "w_v"]
PEFT = "peft 0.21"
KINDS = {LoRALinear: False, RSLoRALinear: True}


def layer(d_in=6, d_out=4, rank=2, alpha=3.0, dropout=0.0, seed=0, kind=LoRALinear, **options):
    """Return a layer in which B is no longer 0."""
    made = kind(Linear(d_in, d_out, **options), rank, alpha, dropout)
    return fill(made, seed=seed)


def with_lora(kind="Llama", rank=3, alpha=5.0, targets=TARGETS, seed=1, **options):
    """Return a model whose changes are no longer 0."""
    found = add_lora(model(kind), targets, rank, alpha, **options)
    with torch.no_grad():
        for i, (name, each) in enumerate(found.named_parameters()):
            if "lora_" in name:
                each.copy_(normal(*each.shape, seed=seed + i, scale=0.3))
    return found


# -- one layer -----------------------------------------------------------------------------------


@shapes_vary
@given(n=sizes, d_in=sizes, d_out=sizes, data=st.data(), seed=seeds)
def test_a_layer_against_its_twin(n, d_in, d_out, data, seed):
    rank = data.draw(st.integers(1, min(d_in, d_out)))
    ours, x = layer(d_in, d_out, rank, 3.0, seed=seed), normal(n, d_in, seed=seed)
    w, bias, a, b = (
        p.detach().numpy() for p in (ours.base.weight, ours.base.bias, ours.lora_A, ours.lora_B)
    )
    agree("LoRALinear", "NumPy twin", ours(x), twin.lora(x.numpy(), w, bias, a, b, 3.0 / rank))
    agree("LoRALinear.delta", "NumPy twin", ours.delta, twin.lora_delta(a, b, 3.0 / rank))
    agree("twin: lora_delta", "NumPy", twin.lora_delta(a, b, 0.5), 0.5 * b @ a)


def their_layer(ours, rslora=False, dropout=0.0):
    """Return peft's layer with the same matrices."""
    d_out, d_in = ours.base.weight.shape
    base = nn.Linear(d_in, d_out, bias=ours.base.bias is not None, dtype=torch.float64)
    base.load_state_dict(ours.base.state_dict())
    config = peft.LoraConfig(
        r=ours.rank, lora_alpha=ours.alpha, lora_dropout=dropout, use_rslora=rslora
    )
    found = TheirLinear(base, "default", config=config, r=ours.rank, lora_alpha=ours.alpha)
    with torch.no_grad():
        found.lora_A["default"].weight.copy_(ours.lora_A)
        found.lora_B["default"].weight.copy_(ours.lora_B)
    return found.double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_against_peft(kind, bias):
    ours = layer(kind=kind, bias=bias)
    other = their_layer(ours, KINDS[kind])
    name, x, y = kind.__name__, normal(3, 5, 6), normal(3, 5, 6)
    x.requires_grad_(), y.requires_grad_()
    with torch.no_grad():
        y.copy_(x)
    agree(name, PEFT, ours(x), other(y))
    ours(x).square().sum().backward()
    other(y).square().sum().backward()
    agree(f"{name}, gradient", PEFT, x.grad, y.grad)
    agree(f"{name}, gradient", PEFT, ours.lora_A.grad, other.lora_A["default"].weight.grad)
    agree(f"{name}, gradient", PEFT, ours.lora_B.grad, other.lora_B["default"].weight.grad)
    assert ours.base.weight.grad is None
    agree(f"{name}.delta", PEFT, ours.delta, other.get_delta_weight("default"))
    ours.merge(), other.merge()
    agree(f"{name}.merge", PEFT, ours.base.weight, other.base_layer.weight)
    agree(f"{name}.merge", PEFT, ours(x), other(y))
    ours.unmerge(), other.unmerge()
    agree(f"{name}.unmerge", PEFT, ours.base.weight, other.base_layer.weight)


def test_the_twin_against_peft():
    ours = layer()
    other, x = their_layer(ours), normal(3, 6)
    w, bias = other.base_layer.weight.detach().numpy(), other.base_layer.bias.detach().numpy()
    a, b = (getattr(other, f"lora_{n}")["default"].weight.detach().numpy() for n in "AB")
    agree("twin: lora", PEFT, twin.lora(x.numpy(), w, bias, a, b, 1.5), other(x))


def test_gradients_by_differences():
    ours = layer()
    assert torch.autograd.gradcheck(ours, normal(2, 6).requires_grad_())

    def of_matrices(a, b):
        return torch.func.functional_call(ours, {"lora_A": a, "lora_B": b}, normal(2, 6))

    assert torch.autograd.gradcheck(of_matrices, (ours.lora_A, ours.lora_B))


def test_a_layer_starts_as_the_one_it_was_made_from():
    base, x = Linear(6, 4), torch.randn(3, 6)
    expected = base(x)
    ours = LoRALinear(base, rank=2)
    same("LoRALinear, at the start", "its linear layer", ours(x), expected)
    assert ours.base is base
    assert trained(ours) == ["lora_A", "lora_B"]


def test_a_starts_uniform_as_in_peft():
    drawn = LoRALinear(Linear(100, 300), 100).lora_A
    assert drawn.abs().max() <= 0.1
    agree("LoRALinear, how A starts", "uniform", drawn.std(), 0.1 / 3**0.5, 0.01, limit="1/√n")
    other = their_layer(LoRALinear(Linear(100, 300), 100).double())
    other.reset_lora_parameters("default", True)
    spread = other.lora_A["default"].weight.std()
    agree("LoRALinear, how A starts", PEFT, drawn.std(), spread, 0.01, limit="1/√n")


def test_the_same_generator_gives_the_same_start():
    a, b, c = (
        LoRALinear(Linear(6, 4), 2, generator=torch.Generator().manual_seed(seed)).lora_A
        for seed in (1, 1, 2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("p", [0.25, 0.5])
def test_dropout_acts_on_what_a_sees_and_in_training_alone(p):
    ours, x = layer(dropout=p), normal(3, 6)
    plain = layer()
    same("LoRALinear, dropout in evaluation", "no dropout", ours.eval()(x), plain(x))
    torch.manual_seed(0)
    found = ours.train()(x)
    torch.manual_seed(0)
    kept = torch.rand(x.shape) >= p
    expected = plain.base(x) + F.linear(x * kept / (1 - p), plain.delta)
    agree("LoRALinear, dropout", "by hand", found, expected)


def test_what_scales_the_change():
    same("LoRALinear.scale", "by hand", layer(rank=4, alpha=2.0).scale, 0.5)
    same("RSLoRALinear.scale", "by hand", layer(rank=4, alpha=2.0, kind=RSLoRALinear).scale, 1.0)


def test_alpha_and_the_matrices_change_the_result():
    ours, x = layer(), normal(3, 6)
    base = ours.base(x)
    assert not torch.allclose(ours(x), base)
    ours.alpha *= 2
    agree("LoRALinear, alpha", "by hand", ours(x) - base, 2 * (layer()(x) - base))


# -- merging -------------------------------------------------------------------------------------


def test_merged_is_unmerged():
    ours, x = layer(), normal(3, 6)
    before, weight = ours(x), ours.base.weight.clone()
    for _ in range(2):  # the second time nothing is left to do
        ours.merge()
    agree("LoRALinear.merge", "itself before", ours(x), before)
    agree("LoRALinear.merge", "W + delta", ours.base.weight, weight + ours.delta)
    for _ in range(2):
        ours.unmerge()
    agree("LoRALinear.unmerge", "itself before", ours.base.weight, weight)


def test_merge_errors_by_format():
    """Each beside half a step of the format; those of 4 bits by the twin."""
    ours, x = layer(64, 32, 4, 8.0), normal(5, 64)
    errors = {
        form: merge_error(ours, x, form) for form in (torch.float64, torch.float32, torch.bfloat16)
    }
    for form, steps in ((torch.float64, 8), (torch.float32, 8), (torch.bfloat16, 4)):
        eps = torch.finfo(form).eps
        agree("merge_error", "0", errors[form].output, 0.0, steps * eps, limit=str(form)[6:])
        agree("MergeError, weight", "0", errors[form].weight, 0.0, steps * eps, limit=str(form)[6:])
    assert errors[torch.bfloat16].output > 1000 * errors[torch.float32].output > 0
    assert not ours.merged


@torch.no_grad()
def test_merging_into_4_bits_by_hand():
    ours, x = layer(64, 8, 2, 4.0).float(), normal(3, 64, dtype=torch.float32)
    found = merge_error(ours, x, "nf4")
    rounded = NF4Linear(ours.base)
    before = rounded(x) + F.linear(x, ours.delta)
    merged = rounded.weight + ours.delta
    other = Linear(64, 8)
    with torch.no_grad():
        other.weight.copy_(merged), other.bias.copy_(ours.base.bias)
    after = NF4Linear(other)(x)
    expected = float((after - before).abs().max() / before.abs().max())
    agree("merge_error, 4 bits", "by hand", found.output, expected, 1e-6, limit="float32")
    assert found.output > merge_error(ours, x, torch.bfloat16).output
    assert found.weight > 0


def test_a_change_below_the_step_of_the_format_is_lost():
    """In bfloat16 the numbers next to 1 are 2⁻⁷ away; of a change by 2⁻¹⁰ nothing is left."""
    base = Linear(1, 1, bias=False)
    nn.init.ones_(base.weight)
    ours = LoRALinear(base, 1, 1.0)
    with torch.no_grad():
        ours.lora_A.fill_(1.0), ours.lora_B.fill_(2.0**-10)
    x = torch.full((1, 1), 2.0**-9)
    assert merge_error(ours, x, torch.float32) == MergeError(0.0, 0.0)
    ours.to(torch.bfloat16).merge()
    assert ours.base.weight.item() == 1.0


# -- whole models --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_against_peft(tmp_path, kind):
    plain = model("Llama")
    other = theirs(plain, tmp_path)
    config = peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], use_rslora=KINDS[kind]
    )
    other = with_peft(other, config).eval()
    ours = with_lora(layer=kind)
    for name, tensor in lora_state(ours).items():
        path, _, part = name.rpartition(".")
        at = LLAMA.place(f"{path}.weight").name.removesuffix(".weight")
        other.get_parameter(f"base_model.model.{at}.{part}.default.weight").data.copy_(tensor)
    some = ids(2, 9)
    agree("add_lora", PEFT, ours(some), other(some).logits, **LIMITS["Llama"])
    counts = other.get_nb_trainable_parameters()
    count = count_trainable(ours)
    same("count_trainable", PEFT, (count.trainable, count.total), counts)
    ours(some).square().mean().backward()
    other(some).logits.square().mean().backward()
    for name, parameter in ours.named_parameters():
        if parameter.requires_grad:
            path, _, part = name.rpartition(".")
            at = LLAMA.place(f"{path}.weight").name.removesuffix(".weight")
            given = other.get_parameter(f"base_model.model.{at}.{part}.default.weight").grad
            agree("add_lora, gradient", PEFT, parameter.grad, given, **LIMITS["Llama"])
    merge_lora(ours)
    merged = other.merge_and_unload()
    remove_lora(ours)
    for name, weight in ours.named_parameters():
        agree("merge_lora", PEFT, weight, merged.get_parameter(LLAMA.place(name).name))
    agree("remove_lora", PEFT, ours(some), merged(some).logits, **LIMITS["Llama"])


def others():
    sizes = {"vocab_size": 17, "d_model": 16, "n_layers": 2, "n_heads": 4}
    bert = BertEncoder(BertConfig(**sizes, d_hidden=24))
    t5 = T5(T5Config(**sizes, d_head=4, d_hidden=24))
    return {
        "GPT": (model("GPT"), (ids(2, 5),)),
        "Llama": (model("Llama"), (ids(2, 5),)),
        "BertEncoder": (fill(bert, scale=0.3).eval(), (ids(2, 5),)),
        "T5": (fill(t5, scale=0.3).eval(), (ids(2, 5), ids(2, 4))),
        "MLP": (fill(MLP((6, 5, 4))), (normal(3, 6),)),
    }


@pytest.mark.parametrize("name", others())
def test_every_kind_of_model_takes_it(name):
    """Nothing changes at the start; what is learnt can be merged, taken out and put back."""
    one, inputs = others()[name]
    expected = one(*inputs)
    assert add_lora(one, rank=2) is one
    agree("add_lora, at the start", "the model before", one(*inputs), expected)
    assert trained(one)
    assert all("lora_" in each for each in trained(one))
    with torch.no_grad():
        for each in (p for p in one.parameters() if p.requires_grad):
            each.copy_(normal(*each.shape, scale=0.3))
    changed = one(*inputs)
    assert not torch.allclose(changed, expected, atol=1e-3)
    merge_lora(one)
    agree("merge_lora", "the model before", one(*inputs), changed)
    unmerge_lora(one)
    agree("unmerge_lora", "the model before", one(*inputs), changed)
    merge_lora(one)
    names = [each for each, _ in others()[name][0].named_parameters()]
    same("remove_lora", "names before", [n for n, _ in remove_lora(one).named_parameters()], names)
    agree("remove_lora", "the model before", one(*inputs), changed)


def test_without_merging_removal_gives_the_first_model():
    plain, some = model(), ids(2, 5)
    same("remove_lora, unmerged", "the first model", remove_lora(with_lora())(some), plain(some))


@pytest.mark.parametrize("kind", ["GPT", "Llama"])
def test_texts_are_written_with_the_changes(kind):
    """Writing has ways of its own through a model's blocks; none may go past the changes."""
    prompts, plain = [[1, 2, 3], [4]], model(kind)
    tuned = with_lora(kind, targets="all-linear")
    options = {"max_new_tokens": 40, "cache": True}
    written = generate(tuned, prompts, **options)
    merge_lora(tuned)
    merged = generate(remove_lora(tuned), prompts, **options)
    same("add_lora, generate", "merged and taken out", written.ids, merged.ids)
    assert written.ids != generate(plain, prompts, **options).ids


def names_with_lora(one):
    return [name for name, m in one.named_modules() if isinstance(m, LoRALinear)]


def test_targets_are_ends_of_names():
    at = "blocks.1.attention.layer."
    assert names_with_lora(with_lora(targets=[f"{at}w_q"])) == [f"{at}w_q"]
    assert len(names_with_lora(with_lora(targets=("w_q",)))) == 2
    assert len(names_with_lora(with_lora(targets="all-linear"))) == 14
    untied = Llama(LlamaConfig(17, 48, 16, 2, 4, 2, d_hidden=24, tied=False))
    assert "head" not in names_with_lora(add_lora(untied))


def test_a_layer_in_two_places_gets_one_change():
    shared = Linear(3, 3)
    one = nn.ModuleList([shared, nn.ModuleList([shared])])
    add_lora(one, rank=1)
    assert one[0] is one[1][0]
    assert isinstance(one[0], LoRALinear)


def test_a_model_of_torch():
    one = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    add_lora(one, ["0"], 2)
    assert isinstance(one[0], LoRALinear)
    assert one(torch.zeros(1, 4)).shape == (1, 2)


def test_a_change_of_known_rank_is_found():
    """Of a shift of rank 2, rank 2 finds all, and rank 1 leaves the second singular value."""
    x, w, shift = normal(64, 8), normal(6, 8, seed=1), normal(6, 2, seed=2) @ normal(2, 8, seed=3)
    q, _ = torch.linalg.qr(x)
    x = q * 8  # rows that are orthogonal, so that all directions count alike
    best = torch.linalg.svdvals(shift)[1] ** 2  # Eckart and Young 1936
    found = {}
    for rank in (1, 2):
        base = Linear(8, 6, bias=False).double()
        with torch.no_grad():
            base.weight.copy_(w)
        ours = LoRALinear(base, rank, rank, generator=torch.Generator().manual_seed(0))
        options = {"tolerance_grad": 1e-12, "tolerance_change": 1e-16}
        options |= {"max_iter": 500, "line_search_fn": "strong_wolfe"}
        optimizer = torch.optim.LBFGS([ours.lora_A, ours.lora_B], **options)

        def closure(ours=ours, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (ours(x) - x @ (w + shift).T).square().sum() / 64
            loss.backward()
            return loss

        optimizer.step(closure)
        found[rank] = closure().detach()
    agree("LoRALinear, rank 1 of 2", "Eckart–Young", found[1], best, 1e-6, limit="LBFGS")
    agree("LoRALinear, rank 2 of 2", "0", found[2], 0.0, 1e-6, limit="LBFGS")


def test_4_bits_below():
    """QLoRA: the rounded matrix gets no gradient, what is before it and beside it does."""
    one = model().float()
    quantise_linears(one, TARGETS)
    some, expected = ids(2, 5), one(ids(2, 5))
    add_lora(one, TARGETS, 2)
    same("add_lora, on 4 bits", "the model before", one(some), expected)
    one(some).square().mean().backward()
    assert all((p.grad is not None) == p.requires_grad for p in one.parameters())
    layers = [m for m in one.modules() if isinstance(m, LoRALinear)]
    assert all(isinstance(each.base, NF4Linear) for each in layers)
    assert all(float(each.lora_B.grad.abs().max()) > 0 for each in layers)
    merge_lora(one)
    assert all(isinstance(m, NF4Linear) for m in (each.base for each in layers))
    unmerge_lora(one)


# -- files ---------------------------------------------------------------------------------------


def test_state_and_files(tmp_path):
    one, other = with_lora(seed=1), with_lora(seed=50)
    state = lora_state(one)
    same(
        "lora_state",
        "by hand",
        sorted(state),
        [n for n in sorted(one.state_dict()) if "lora_" in n],
    )
    load_lora_state(other, state)
    same("load_lora_state", "the model it came from", other(ids(2, 5)), one(ids(2, 5)))
    save_lora(one, tmp_path / "changes.safetensors")
    third = with_lora(seed=99)
    load_lora(third, tmp_path / "changes.safetensors")
    same("load_lora", "the model it came from", third(ids(2, 5)), one(ids(2, 5)))
    stored = load_file(tmp_path / "changes.safetensors")
    same("save_lora", "safetensors", sorted(stored), sorted(state))
    assert all(torch.equal(stored[name], state[name]) for name in state)
    state["blocks.0.attention.layer.w_q.lora_A"].zero_()
    assert not torch.equal(
        lora_state(one)["blocks.0.attention.layer.w_q.lora_A"], torch.zeros(3, 16)
    )


FILES = [
    ("another rank", {"rank": 2}, r"must have the rank of model, 2, got 3 in blocks.0"),
    (
        "other layers",
        {"targets": ["w_k"]},
        r"must have the layers of model, and it lacks .*w_k.lor",
    ),
    ("fewer layers", {"targets": ["w_q"]}, r"and it has blocks.0.attention.layer.w_v.lora_A"),
    ("another alpha", {"alpha": 6.0}, r"by 2.0 in .*, got 1.66"),
    ("another kind", {"layer": RSLoRALinear}, r"by 2.88.* in .*, got 1.66"),
]


@pytest.mark.parametrize(("case", "options", "message"), FILES, ids=[f[0] for f in FILES])
def test_changes_of_another_model_are_refused(tmp_path, case, options, message):
    save_lora(with_lora(), tmp_path / "a.safetensors")
    other = with_lora(seed=9, **options)
    before = copy_of(other)
    with pytest.raises(ValueError, match=message):
        load_lora(other, tmp_path / "a.safetensors")
    if case not in ("another alpha", "another kind"):
        with pytest.raises(ValueError, match=message):
            load_lora_state(other, lora_state(with_lora()))
    assert unchanged(other, before)


def test_a_wider_model_and_a_merged_one_are_refused():
    one = with_lora()
    state = lora_state(one)
    before = copy_of(one)
    name = "blocks.1.attention.layer.w_v.lora_B"  # the last: all others would have been copied
    with pytest.raises(ValueError, match=rf"must have {name} of shape \(8, 3\), got \(9, 4\)"):
        load_lora_state(one, state | {name: torch.zeros(9, 4)})
    with pytest.raises(TypeError, match="must hold tensors, got list"):
        load_lora_state(one, state | {name: [1.0]})
    with shapes.unchecked(), pytest.raises(TypeError, match="state must be a dict of tensors, got"):
        load_lora_state(one, [1])
    assert unchanged(one, before)
    merge_lora(one)
    with pytest.raises(ValueError, match="model must not have its changes merged"):
        load_lora_state(one, state)


def test_weights_of_a_merged_model_are_neither_written_nor_read():
    """They would hold the change in W and in A and B, and whoever reads them applies both."""
    one, some = with_lora(), ids(2, 5)
    state, expected = one.state_dict(), one(some)
    merge_lora(one)
    for call in (one.state_dict, lambda: one.load_state_dict(state)):
        with pytest.raises(
            ValueError, match=r"must not be merged when .* unmerge_lora\(model\) first"
        ):
            call()
    agree("LoRALinear.merge", "itself, after refusing", one(some), expected)
    unmerge_lora(one)
    other = with_lora(seed=50)
    other.load_state_dict(one.state_dict())
    agree("LoRALinear, read again", "the model it came from", other(some), expected)


def test_changes_of_a_merged_model_are_applied_once(tmp_path):
    one, some = with_lora(), ids(2, 5)
    expected = one(some)
    merge_lora(one)
    save_lora(one, tmp_path / "changes.safetensors")
    other = with_lora(seed=50)
    load_lora(other, tmp_path / "changes.safetensors")
    agree("save_lora, merged", "the model before", other(some), expected)


def test_files_that_are_none(tmp_path):
    one = with_lora()
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_lora(one, tmp_path / "nothing")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ValueError, match="is damaged, or no file of safetensors"):
        load_lora(one, tmp_path / "text")
    save_file({"x": torch.zeros(1)}, tmp_path / "x")
    with pytest.raises(ValueError, match="was not written by save_lora"):
        load_lora(one, tmp_path / "x")


# -- wrong calls ---------------------------------------------------------------------------------

WRONG = [
    (ValueError, r"which has no 'w_g'; its linear layers are called \['contract', ", ["w_g"]),
    (ValueError, r"did you mean 'w_q'\?", ["w_qq"]),
    (ValueError, "must name Linear or .* layers, and tokens is Embedding", ["tokens"]),
    (ValueError, "must be 'all-linear' or a list of names", "w_q"),
    (ValueError, "must name at least one layer", []),
    (ValueError, "must name at least one layer", ["w_q", ""]),
    (TypeError, "targets must have an order, got a set", {"w_q"}),
    (TypeError, "each of targets must be a str", [3]),
]


@pytest.mark.parametrize(("error", "message", "targets"), WRONG)
def test_targets_that_are_none(error, message, targets):
    one = model("GPT")
    before = trained(one)
    with shapes.unchecked(), pytest.raises(error, match=message):
        add_lora(one, targets)
    assert trained(one) == before
    assert names_with_lora(one) == []


def test_wrong_calls():
    one = model()
    before = trained(one)
    for error, message, options in (
        (ValueError, "rank must be at most 8 for blocks.0.attention.layer.w_v, got 9", {"rank": 9}),
        (ValueError, "rank must be at least 1", {"rank": 0}),
        (ValueError, "alpha must be finite and above 0, got 0", {"alpha": 0}),
        (ValueError, "dropout must be at least 0 and below 1", {"dropout": 1.0}),
        (TypeError, "layer must be LoRALinear or RSLoRALinear", {"layer": Linear}),
        (TypeError, "generator must be a torch.Generator", {"generator": 3}),
    ):
        with shapes.unchecked(), pytest.raises(error, match=message):
            add_lora(one, TARGETS, **options)
    assert trained(one) == before
    assert names_with_lora(one) == []
    add_lora(one, TARGETS)
    with pytest.raises(ValueError, match=r"model has LoRALinear already, at .*: remove_lora\(mod"):
        add_lora(one, ["w_o"])
    with pytest.raises(ValueError, match="no Linear and Linear and"), shapes.unchecked():
        add_lora(nn.Sequential(nn.Linear(2, 2)))
    for call in (merge_lora, unmerge_lora, remove_lora, lora_state):
        with pytest.raises(ValueError, match=r"model has no LoRALinear: add_lora\(model, ...\) p"):
            call(model())
        with shapes.unchecked(), pytest.raises(TypeError, match=r"model must be a torch.nn.Module"):
            call(3)


def test_wrong_layers():
    with shapes.unchecked():
        with pytest.raises(TypeError, match="base must be a Linear or an NF4Linear, got ReLU"):
            LoRALinear(nn.ReLU())
        with pytest.raises(ValueError, match="rank must be at most 2 here, got 3"):
            LoRALinear(Linear(2, 5), 3)
        with pytest.raises(ValueError, match="x must have 6 features"):
            layer()(normal(3, 5))
        ours, x = layer(), normal(3, 6)
        with pytest.raises(ValueError, match="form must be a floating-point dtype or 'nf4'"):
            merge_error(ours, x, torch.int8)
        with pytest.raises(ValueError, match="form must be a floating-point dtype or 'nf4'"):
            merge_error(ours, x, "int4")
        with pytest.raises(TypeError, match="layer must be a LoRALinear, got Linear"):
            merge_error(Linear(2, 2), x, "nf4")
        with pytest.raises(TypeError, match="got one of 4 bits"):
            merge_error(LoRALinear(NF4Linear(Linear(6, 4)), 1), x, "nf4")
        ours.merge()
        with pytest.raises(ValueError, match="layer must not be merged"):
            merge_error(ours, x, torch.float32)


def test_print_shows_the_options():
    assert "rank=2, alpha=3.0, merged=False" in repr(layer())
    assert np.isfinite(layer().scale)
