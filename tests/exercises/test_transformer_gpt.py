"""The answers of the exercises on GPT, held against models that are built and counted."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from companion.models import GPT, GPTConfig
from exercises import run
from exercises import transformer as master
from exercises.transformer import count_gpt, who_sees_whom
from tests.exercises.quick import plainly

pytestmark = pytest.mark.chapter("transformer")


def solved(module, **given):
    return run(master.SETUP, module.exercise(**given).solution)


def drawn(module, count):
    return [plainly(module, seed) for seed in range(count)]


PAGE = {"V": 100, "T_max": 50, "D": 10, "L": 2, "H": 2, "T": 20, "b": 2}


@pytest.mark.parametrize("sizes", [PAGE, *drawn(count_gpt, 5)])
def test_the_costs_are_those_of_a_model_that_is_built(sizes):
    found = solved(count_gpt, **sizes)
    model = GPT(GPTConfig(*(sizes[name] for name in ("V", "T_max", "D", "L", "H"))))
    count = sum(p.numel() for p in model.parameters())
    assert found["parameters"] == count
    assert found["block_parameters"] == sum(p.numel() for p in model.blocks[0].parameters())
    caches, ids = model.new_caches(), torch.zeros(1, sizes["T"], dtype=torch.long)
    model.to(torch.float32 if sizes["b"] == 4 else torch.bfloat16)(ids, caches=caches)
    assert found["cache_bytes"] == sum(cache.nbytes for cache in caches)
    with FlopCounterMode(display=False) as counter:
        model.float().trace(ids)  # whose attention is no fused kernel, which goes uncounted
    assert found["flops_a_token"] * sizes["T"] == counter.get_total_flops()


@pytest.mark.parametrize("given", [{}, *drawn(who_sees_whom, 5)])
def test_who_sees_whom_finds_the_mask_of_gpt(given):
    model = GPT(GPTConfig(20, 9, d_model=8, n_layers=2, n_heads=2)).double()
    ids = torch.randint(20, (1, 7), generator=torch.Generator().manual_seed(1))
    causal = torch.ones(7, 7).tril().bool()
    found = solved(who_sees_whom, **given)["who_sees_whom"](model, ids, 20)
    assert torch.equal(found, causal.T if given.get("by_token") else causal)
