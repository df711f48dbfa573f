import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from companion.attention import padding_mask
from companion.models import GPT, BertConfig, BertEncoder, GPTConfig, diff
from tests.plugins import shapes
from tests.support import fill, normal
from tests.verification import agree, same

TINY = GPTConfig(vocab_size=20, max_length=9, d_model=8, n_layers=3, n_heads=2)
CONFIG = GPT2Config(vocab_size=20, n_positions=9, n_embd=8, n_layer=3, n_head=2)
IDS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


def tiny():
    return fill(GPT(TINY)).eval()


@torch.no_grad()
def other_weight(model, layer):
    model.get_submodule(layer).weight.add_(1e-2)


def other_scale(model, layer):
    model.get_submodule(layer).scale = 0.3


def other_eps(model, layer):
    model.get_submodule(layer).eps = 1e-2


def other_activation(model, layer):
    model.get_submodule(layer).activation = nn.GELU()


@pytest.mark.parametrize(
    ("plant", "layer"),
    [
        (other_weight, "tokens"),
        (other_weight, "blocks.0.attention.layer.w_k"),
        (other_weight, "blocks.1.feed_forward.layer.contract"),
        (other_weight, "norm"),
        (other_scale, "blocks.2.attention.layer"),
        (other_eps, "blocks.1.feed_forward.norm"),
        (other_activation, "blocks.1.feed_forward.layer"),
    ],
)
def test_a_planted_error_is_found(plant, layer):
    a, b = tiny(), tiny()
    assert diff(a, b, IDS).culprit is None
    plant(b, layer)
    found = diff(a, b, IDS, tolerance=1e-9)
    if plant is other_activation:  # what was exchanged is a layer, and is named
        layer = f"{layer}.activation"
    same("diff", "a planted error", found.culprit, layer)
    assert str(found).endswith("<- parts here")
    assert layer in str(found).splitlines()[-1]
    back = diff(b, a, IDS, tolerance=1e-9).culprit
    same("Difference.culprit", "a planted error", back, layer)


def test_what_happens_outside_of_all_layers_is_the_models_own():
    a, b = tiny(), tiny()
    with torch.no_grad():
        b.positions.weight[2, :3] += 1
    found = diff(a, b, IDS)
    assert found.culprit == ""
    assert "(the model itself)" in str(found)


def test_the_differences_are_those_of_the_outputs():
    a, b = tiny(), tiny()
    other_weight(b, "blocks.1.feed_forward.layer.contract")
    found = {layer.name: layer for layer in diff(a, b, IDS).layers}
    for name, module in a.named_modules():
        assert not module._forward_hooks
        assert not name or name in found or name.endswith("blocks") or "positions" in name
    outputs = [model.trace(IDS).stream[2] for model in (a, b)]
    expected = (outputs[0] - outputs[1]).abs().max() / outputs[0].abs().max()
    agree("Comparison.output", "the residual stream", found["blocks.1"].output, float(expected))
    assert found["blocks.1"].inputs == found["blocks.0"].output == 0
    agree("Comparison.inputs", "the residual stream", found["blocks.2"].inputs, float(expected))


def test_an_error_of_two_calls_is_seen_in_both():
    shared = nn.Linear(4, 4)
    a = nn.Sequential(shared, nn.Tanh(), shared).eval()
    b = nn.Sequential(shared, nn.Sigmoid(), shared).eval()
    found = diff(a, b, normal(2, 4, dtype=torch.float32))
    assert found.culprit == "1"
    assert [layer.name for layer in found.layers] == ["0", "0", "1", ""]


def test_against_transformers(tmp_path):
    theirs = fill(GPT2LMHeadModel(CONFIG)).eval()
    theirs.save_pretrained(tmp_path)
    ours = GPT.from_hf(tmp_path, dtype=torch.float64)
    found = diff(ours, theirs, IDS)
    assert found.culprit is None
    assert len(found.layers) == 3 * 8 + 3
    assert max(max(layer.inputs, layer.output) for layer in found.layers) < 1e-10
    assert diff(ours, theirs, IDS, tolerance=0.0).culprit is not None
    with torch.no_grad():
        theirs.transformer.h[1].ln_2.bias += 1
    assert diff(ours, theirs, IDS).culprit == "blocks.1.feed_forward.norm"
    with torch.no_grad():
        theirs.transformer.h[0].attn.c_attn.weight[0] += 1
    assert diff(ours, theirs, IDS).culprit == "blocks.0.attention.layer"


def test_a_model_without_its_head_is_compared_too():
    theirs = GPT2LMHeadModel(CONFIG).eval()
    ours = tiny()
    assert set(ours.layout.layers(dict(theirs.named_modules()))) == set(
        ours.layout.layers(dict(theirs.transformer.named_modules()))
    )
    assert diff(ours, theirs.transformer, IDS).culprit == "tokens"


def test_another_mask_is_blamed_on_whoever_makes_it():
    """What the blocks compute from their inputs is right."""

    class Deaf(BertEncoder):
        def forward(self, ids, mask=None):
            return super().forward(ids, None)

    class Hearing(BertEncoder):
        pass

    config = BertConfig(vocab_size=20, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    a, b = (fill(kind(config), dtype=torch.float32).eval() for kind in (Hearing, Hearing))
    mask = padding_mask(torch.tensor([5, 2]), 5)
    assert diff(a, b, IDS, mask).culprit is None
    b.__class__ = Deaf
    assert diff(a, b, IDS, mask).culprit == "blocks.0.attention.layer"
    deaf = fill(Deaf(config), dtype=torch.float32).eval()
    blind = fill(Deaf(config), dtype=torch.float32).eval()
    blind.forward = lambda ids, mask: BertEncoder.forward(blind, ids, mask)
    assert diff(deaf, blind, IDS, mask).culprit == ""


def test_names_may_be_given():
    a = nn.Sequential()
    a.add_module("first", nn.Linear(4, 4))
    b = nn.Sequential(nn.Linear(4, 4))
    b.eval(), a.eval()
    assert diff(a, b, torch.ones(1, 4), names={"first": "0"}).culprit == "first"
    with pytest.raises(ValueError, match="no layer of a was found in b; say in names"):
        diff(a, b, torch.ones(1, 4))


def test_other_shapes_and_layers_that_were_not_called():
    a, b = nn.Sequential(nn.Linear(4, 4)).eval(), nn.Sequential(nn.Linear(4, 3)).eval()
    assert diff(a, b, torch.ones(1, 4)).layers[0].output == float("inf")
    b = nn.Sequential(nn.Linear(4, 4)).eval()
    b.forward = lambda x: x
    assert diff(a, b, torch.ones(1, 4)).layers[0].output == float("inf")


def test_infinities_and_nan():
    class Fixed(nn.Sequential):
        def forward(self, x):
            return super().forward(x) * torch.tensor(self.numbers)

    a, b = (Fixed(nn.Identity()).eval() for _ in range(2))
    a.numbers, b.numbers = (float("-inf"), 1.0), (float("-inf"), 1.0)
    assert diff(a, b, torch.ones(1, 2)).culprit is None
    b.numbers = (float("nan"), 1.0)
    assert diff(a, b, torch.ones(1, 2)).culprit == ""


def test_a_model_in_training_mode_is_refused():
    a, b = tiny(), tiny()
    with pytest.raises(ValueError, match=r"b must be in evaluation mode: call b.eval\(\) first"):
        diff(a, b.train(), IDS)
    with shapes.unchecked(), pytest.raises(TypeError, match="tolerance must be a number"):
        diff(a, b.eval(), IDS, tolerance="small")
