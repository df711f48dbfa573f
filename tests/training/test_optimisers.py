"""Which parameter gets what, and the schedules against PyTorch's own."""

import pytest
import torch
from torch import nn

from companion import models
from companion.training import TrainConfig, lr_share, make_optimizers, optimisers, parameter_groups
from tests.training.support import gpt, noisy, settings
from tests.verification import agree, same

SCHEDULES = torch.optim.lr_scheduler


def named(model, parameters):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)] for parameter in parameters}


def test_only_matrices_decay_and_no_embeddings():
    model = gpt()
    groups = {name: named(model, group) for name, group in parameter_groups(model).items()}
    assert groups["decayed"] == set()
    assert len(groups["matrices"]) == 6
    assert all(n.startswith("blocks.0") and n.endswith("weight") for n in groups["matrices"])
    assert {"tokens.weight", "positions.weight", "norm.weight"} <= groups["plain"]
    same(
        "parameter_groups",
        "model.named_parameters",
        sorted(n for group in groups.values() for n in group),
        sorted(name for name, _ in model.named_parameters()),
    )


def test_what_is_looked_up_in_other_models_does_not_decay():
    config = models.ViTConfig(image_size=4, patch_size=2, d_model=8, n_layers=1, n_heads=2)
    model = models.ViT(config)
    plain = named(model, parameter_groups(model)["plain"])
    assert {"positions", "class_token"} <= plain


def test_frozen_parameters_are_left_out_and_shared_ones_counted_once():
    model = noisy()
    model.head.requires_grad_(False)
    model.blocks[1].weight = model.blocks[0].weight
    groups = parameter_groups(model)
    assert named(model, groups["matrices"]) == {"blocks.0.weight"}
    assert named(model, groups["plain"]) == {"blocks.0.bias", "blocks.1.bias"}


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_the_optimisers(kind):
    model = noisy()
    config = settings(optimizer=kind, lr=0.1, muon_lr=0.2, weight_decay=0.3, betas=(0.5, 0.6))
    made = make_optimizers(model, config)
    found = [
        (type(o).__name__, g["lr"], g["weight_decay"], sorted(named(model, g["params"])))
        for o in made
        for g in o.param_groups
    ]
    matrices = ["blocks.0.weight", "blocks.1.weight"]
    biases = ["blocks.0.bias", "blocks.1.bias", "head.bias"]
    decayed = ["head.weight"] if kind == "muon" else [*matrices, "head.weight"]
    expected = [("AdamW", 0.1, 0.3, decayed), ("AdamW", 0.1, 0.0, biases)]
    expected += [("Muon", 0.2, 0.3, matrices)] if kind == "muon" else []
    same("make_optimizers", "by hand", found, expected)
    assert made[0].param_groups[0]["betas"] == (0.5, 0.6)


def test_what_cannot_be_trained():
    frozen = noisy().requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        make_optimizers(frozen, settings())
    with pytest.raises(ValueError, match=r"optimizer='muon' .* no nn.ModuleList"):
        make_optimizers(nn.Linear(2, 2), settings(optimizer="muon"))


def rates(scheduler, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, found = scheduler(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize("final", [0.0, 0.25])
def test_the_schedules_against_pytorch(warmup, final):
    """PyTorch's begin at the peak, which is ours at the end of the warm-up."""
    steps = 20
    falls = steps - warmup
    theirs = {
        "cosine": lambda o: SCHEDULES.CosineAnnealingLR(o, falls, eta_min=final),
        "linear": lambda o: SCHEDULES.LinearLR(o, 1.0, final, falls),
        "constant": lambda o: SCHEDULES.ConstantLR(o, 1.0),
    }
    for name, scheduler in theirs.items():
        config = TrainConfig(steps=steps, warmup=warmup, schedule=name, final_share=final)
        ours = [lr_share(step, config) for step in range(1, steps + 1)]
        agree("lr_share", "torch", ours[warmup:], rates(scheduler, falls + 1)[1:])
        agree("lr_share, warm-up", "by hand", ours[:warmup], [t / 4 for t in range(1, warmup + 1)])
        assert lr_share(steps + 5, config) == pytest.approx(ours[-1])


def test_wsd_falls_over_the_last_fifth():
    config = TrainConfig(steps=10, warmup=2, schedule="wsd", final_share=0.5)
    ours = [lr_share(step, config) for step in range(1, 11)]
    agree("lr_share, wsd", "by hand", ours, [0.5, *[1.0] * 7, 0.75, 0.5])


def test_groups_keep_their_own_highest_rates():
    a, b = (torch.zeros(1, requires_grad=True) for _ in "ab")
    optimizer = torch.optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b], "lr": 0.5}])
    for share in (0.5, 0.2):
        optimisers.set_learning_rates([optimizer], share)
        found = [group["lr"] for group in optimizer.param_groups]
        agree("set_learning_rates", "by hand", found, [share, 0.5 * share])
    with pytest.raises(ValueError, match="step must be at least 1, got 0"):
        lr_share(0, settings())
