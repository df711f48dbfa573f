"""The answers of the exercises of *Model families*, held against the package and PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion import models
from companion.layers import FeedForward
from exercises import model_families as master
from exercises import run
from exercises.model_families import (
    buckets,
    culprits,
    experts_by_hand,
    fewer_keys,
    reorder_rows,
    to_patches,
    two_thirds,
    who_notices,
)
from tests.exercises.quick import plainly, quick  # noqa: F401

pytestmark = pytest.mark.chapter("model-families")


def drawn(module, count=5):
    """Return the arguments of the page's exercise and of some that are drawn."""
    return [{}, *(plainly(module, seed) for seed in range(count))]


def answer(exercise):
    return run(master.SETUP, exercise.solution)


@pytest.mark.parametrize(
    ("changed", "seen", "causal"), [(5, 2, "stay"), (2, 5, "move"), (3, 3, "move")]
)
def test_encoders_always_notice(changed, seen, causal):
    found = answer(who_notices.exercise(8, changed, seen))["family_predictions"]
    assert list(found.values()) == [causal, "move", "move", causal, causal]


@pytest.mark.parametrize("given", drawn(fewer_keys))
def test_a_cache_holds_as_many_bytes(given):
    sizes = {"L": 32, "H": 32, "G": 8, "d": 128, "b": 2, "gib": 4} | given
    found = answer(fewer_keys.exercise(**given))

    def held(n_kv_heads):
        config = models.LlamaConfig(
            vocab_size=4,
            d_model=8,
            n_layers=2,
            n_heads=sizes["H"],
            n_kv_heads=n_kv_heads,
            d_head=sizes["d"],
            d_hidden=8,
        )
        model = models.Llama(config)
        caches = model.new_caches()
        model(torch.zeros(1, 1, dtype=torch.int64), caches=caches)
        numbers = sum(part.numel() for cache in caches for part in (cache.keys, cache.values))
        return numbers * sizes["L"] // 2 * sizes["b"]

    assert found["bytes_a_token"] == held(sizes["G"])
    assert found["bytes_without_groups"] == held(sizes["H"])
    rest = sizes["gib"] * 2**30 - found["tokens_that_fit"] * found["bytes_a_token"]
    assert 0 <= rest < found["bytes_a_token"]


@pytest.mark.parametrize("given", drawn(two_thirds))
def test_the_layers_have_as_many_weights(given):
    sizes = {"D": 576, "H": 9, "G": 3} | given
    found = answer(two_thirds.exercise(**given))
    with torch.device("meta"):
        config = models.LlamaConfig(
            vocab_size=4,
            d_model=sizes["D"],
            n_layers=1,
            n_heads=sizes["H"],
            n_kv_heads=sizes["G"],
            d_hidden=found["swiglu_hidden"],
        )
        (block,) = models.Llama(config).blocks
        feed_forward = FeedForward(sizes["D"], bias=False)

    def count(layer: nn.Module) -> int:
        return sum(p.numel() for p in layer.parameters() if p.ndim == 2)

    assert found["feed_forward_weights"] == count(feed_forward)
    assert found["feed_forward_weights"] == count(block.feed_forward)
    assert found["grouped_attention_weights"] == count(block.attention)
    assert found["llama_block_weights"] == count(block)


@pytest.mark.parametrize("given", drawn(buckets))
def test_the_buckets_are_those_of_t5(given):
    sizes = {"n": 16, "most": 64, "times": 2} | given
    if sizes["times"] != 2:  # another rule than T5's
        return
    bucket_of = answer(buckets.exercise(**given))["bucket_of"]
    back = torch.arange(3 * sizes["most"])
    expected = models.relative_buckets(
        -back, n_buckets=sizes["n"], max_distance=sizes["most"], causal=True
    )
    found = [bucket_of(t, sizes["n"], sizes["most"]) for t in back.tolist()]
    different = [t for t in back.tolist() if found[t] != expected[t]]
    # Where a bucket begins at a whole number, the last digit of a logarithm decides.
    assert len(different) <= 2
    assert all(abs(found[t] - expected[t]) <= 1 for t in different)


@pytest.mark.parametrize("given", drawn(reorder_rows))
def test_the_reordering_is_that_of_llama_cpp_or_undoes_it(given):
    sizes = {"heads": 3, "width": 8, "after": "neighbours"} | given
    moved = answer(reorder_rows.exercise(**given))["reorder_rows"]
    weight, d = torch.randn(sizes["heads"] * sizes["width"], 5), sizes["width"]
    if sizes["after"] == "halves":
        assert torch.equal(moved(weight, d), models.as_halves(weight, d))
    else:
        assert torch.equal(models.as_halves(moved(weight, d), d), weight)


@pytest.mark.parametrize("given", drawn(culprits, 3))
def test_every_planted_error_is_found_and_diff_finds_the_first(given):
    exercise = culprits.exercise(**given)
    planted = list(given.get("planted", (1, 4)))
    a, b, ids = culprits.two_models(given.get("blocks", 6), given.get("seed", 0))
    with torch.no_grad():
        for i in planted:
            b.blocks[i].feed_forward.layer.expand.weight += 0.1
    found = answer(exercise)["compare_blocks"](a, b, ids)
    right = [i for i in range(len(a.blocks)) if i not in planted]
    assert found == (right if given.get("asked") == "right" else planted)
    culprit = models.diff(a, b, ids).culprit
    assert culprit == f"blocks.{planted[0]}.feed_forward.layer.expand"


@pytest.mark.parametrize("given", drawn(experts_by_hand))
def test_a_layer_of_experts_returns_as_much(given):
    sizes = {
        "row_1": (3, 1, 4, 2),
        "row_2": (5, 1, 1, 3),
        "outputs": (10, 20, -10, 30),
    } | given
    found = answer(experts_by_hand.exercise(**given))

    class Says(nn.Module):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x):
            return torch.full_like(x, self.number)

    numbers = iter(sizes["outputs"])
    moe = models.MoE(2, 1, 4, 2, expert=lambda *_: Says(float(next(numbers)))).double()
    logits = torch.tensor([sizes["row_1"], sizes["row_2"]], dtype=torch.float64).log()
    with torch.no_grad():
        moe.router.weight.copy_(logits.T)  # the tokens are the two unit vectors
        returned = moe(torch.eye(2, dtype=torch.float64))[:, 0]
        balance = models.balance_loss(moe.routing)
    chosen, order = moe.routing.chosen[0].sort()
    assert found["returned"] == pytest.approx(returned.tolist(), abs=1e-4)
    assert found["first_gates"] == pytest.approx(moe.routing.gates[0][order].tolist(), abs=1e-4)
    assert found["shares"] == models.expert_load(moe.routing).tolist()
    assert found["balance"] == pytest.approx(balance.item(), abs=1e-4)
    assert len(chosen) == 2


@pytest.mark.parametrize("given", drawn(to_patches))
def test_patches_are_those_of_unfold(given):
    side = given.get("P", 4)
    names = answer(to_patches.exercise(**given))
    images = torch.randn(2, 3, 3 * side, 2 * side)
    rows = names["to_patches"](images, side)
    expected = F.unfold(images, side, stride=side).transpose(1, 2)
    if given.get("order") == "pixels":
        expected = expected.unflatten(-1, (3, -1)).mT.flatten(-2)
    assert torch.equal(rows, expected)
    assert torch.equal(names["to_images"](rows, side, 3, 3 * side, 2 * side), images)
