"""The loop: what is written and judged, what each loss expects, and how near the best it comes."""

import itertools
import math

import numpy as np
import pytest
import torch

from companion.alignment import (
    GRPOLoss,
    PolicyConfig,
    PolicyStep,
    PPOLoss,
    ReinforceLoss,
    Rollout,
    answer_batch,
    best_value,
    group_advantages,
    grpo_loss,
    optimise_policy,
    sequence_log_probs,
    tilted,
    token_log_probs,
    trade_off,
    write_rollout,
)
from companion.generation import generate
from companion.models import GPT, GPTConfig
from companion.optim import SGD, AdamW
from tests.plugins import shapes
from tests.support import fill, normal
from tests.verification import agree, same

V = 3
EVERY = [list(pair) for pair in itertools.product(range(V), repeat=2)]
REWARDS = normal(len(EVERY), seed=4, scale=2.0)
BETA = 0.7


def gpt(seed=0, dtype=torch.float64, vocab_size=V):
    sizes = {"max_length": 5, "d_model": 16, "n_layers": 1, "n_heads": 2}
    return fill(GPT(GPTConfig(vocab_size=vocab_size, **sizes)), seed=seed, dtype=dtype, scale=0.3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def reward(_, ids):
    return float(REWARDS[EVERY.index(ids)])


def of_all(model, answers=EVERY):
    """Return the log-probabilities of all answers to one prompt."""
    ids, answer, mask = answer_batch([[0]] * len(answers), answers)
    return sequence_log_probs(model, ids, answer, mask)


def rollout(policy, reference, places):
    """Return a rollout of one prompt, with answers of our own choice."""
    ids, answer, mask = answer_batch([[0]] * len(places), [EVERY[i] for i in places])
    own = answer[:, 1:]
    old, other = (
        token_log_probs(m, ids, mask).detach().masked_fill(~own, 0) for m in (policy, reference)
    )
    return Rollout(ids, mask, own, old, other, REWARDS[places][None])


def gradients(value, model):
    found = torch.autograd.grad(value, list(model.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


def expected(loss, n):
    """Return the mean gradient of a loss over all rows of n answers there can be, and its model."""
    policy, reference = gpt(0), gpt(1)
    p = of_all(policy).detach().exp()
    total = 0.0
    for places in itertools.product(range(len(EVERY)), repeat=n):
        some = rollout(policy, reference, list(places))
        value = loss(token_log_probs(policy, some.ids, some.mask), some)
        total = total + p[list(places)].prod() * gradients(value, policy)
    return total, policy, reference


def exact(policy, reference, beta):
    """Return the gradient of E[r] − β KL, over all answers."""
    log_p, log_q = of_all(policy), of_all(reference).detach()
    return gradients((log_p.exp() * (REWARDS - beta * (log_p - log_q))).sum(), policy)


# -- losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("baseline", "n"), [("none", 1), ("leave_one_out", 2)])
def test_reinforce_climbs_what_it_should(baseline, n):
    found, policy, reference = expected(ReinforceLoss(BETA, baseline), n)
    wanted = exact(policy, reference, BETA)
    agree(f"ReinforceLoss, {baseline}", "every possible rollout", -found, wanted)


def test_ppo_climbs_the_same_at_first():
    """All answers have two tokens, over which it takes the mean."""
    found, policy, reference = expected(PPOLoss(BETA), 2)
    wanted = exact(policy, reference, BETA) / 2
    agree("PPOLoss", "every possible rollout", -found, wanted)


def test_grpo_climbs_another_hill():
    """Its rewards are those of REINFORCE; its divergence is that to the other side, by token."""
    found, policy, reference = expected(GRPOLoss(BETA, scale="none"), 2)
    climbed = gradients((of_all(policy).exp() * REWARDS).sum(), policy)
    divergence = 0.0
    for i, p in enumerate(of_all(policy).detach().exp()):
        some = rollout(policy, reference, [i])
        ratios = (some.reference - some.old).exp() * some.answer
        divergence = divergence - p * (ratios * token_log_probs(policy, some.ids)).sum()
    # Of two answers the mean is one of them by half; and each has two tokens.
    wanted = (climbed / 2 - BETA * gradients(divergence, policy)) / 2
    agree("GRPOLoss", "every possible rollout", -found, wanted)
    assert (found + exact(policy, reference, BETA) / 2).abs().max() > 1e-3


def test_options_of_grpo_are_handed_on():
    policy, reference = gpt(0), gpt(1)
    some = rollout(policy, reference, [0, 3, 5, 7])
    moved = token_log_probs(gpt(2), some.ids, some.mask)
    options = {"clip_low": 0.05, "clip_high": 0.3, "level": "sequence"}
    options |= {"reduction": "fixed_length", "length": 5}
    found = GRPOLoss(0.3, "none", **options)(moved, some)
    advantages = group_advantages(some.rewards, "none")[0]
    wanted = grpo_loss(
        moved, some.old, some.reference, advantages, some.answer, beta=0.3, **options
    )
    agree("GRPOLoss, options", "grpo_loss", found, wanted)


def test_without_a_reference():
    some = rollout(gpt(0), gpt(1), [0, 3])._replace(reference=None)
    policy = token_log_probs(gpt(2), some.ids)
    for kind in (ReinforceLoss, PPOLoss, GRPOLoss):
        assert kind(0.0)(policy, some).isfinite()
        with pytest.raises(ValueError, match=r"beta above 0 needs a reference, .* got 0\.5"):
            kind(0.5)(policy, some)


# -- what is written -----------------------------------------------------------------------------


def test_a_rollout():
    policy, reference = gpt(0), gpt(1)
    asked, options = [], {"group_size": 3, "max_new_tokens": 3, "stop": 2}

    def judge(place, ids):
        asked.append((place, ids))
        return len(ids) + 10 * place

    prompts = [[0, 1], [1]]
    found = write_rollout(
        policy, prompts, judge, generator=generator(), reference=reference, **options
    )
    rows = [prompt for prompt in prompts for _ in range(3)]
    written = generate(policy, rows, max_new_tokens=3, stop=2, generator=generator())
    same("write_rollout, answers", "generate", [ids for _, ids in asked], written.ids)
    same("write_rollout, prompts", "by hand", [place for place, _ in asked], [0, 0, 0, 1, 1, 1])
    lengths = torch.tensor([len(ids) for ids in written.ids])
    same("Rollout.lengths", "generate", found.lengths, lengths)
    same(
        "write_rollout, rewards",
        "by hand",
        found.rewards,
        (lengths + torch.tensor([0, 0, 0, 10, 10, 10])).double().view(2, 3),
    )
    logs = torch.tensor([sum(row) for row in written.log_probs]).double()
    agree("write_rollout, old", "generate", found.old.sum(dim=1), logs, 1e-6, limit="float32")
    by_reference = sequence_log_probs(
        reference, found.ids, torch.cat([found.mask[:, 0, :1] & False, found.answer], 1), found.mask
    )
    agree("write_rollout, reference", "sequence_log_probs", found.reference.sum(1), by_reference)
    agree("Rollout.kl", "by hand", found.kl, found.old.sum(1) - by_reference)
    alone = write_rollout(policy, prompts, judge, generator=generator(), **options)
    assert alone.reference is None
    assert alone.kl.isnan().all()


def test_a_rollout_leaves_the_model_as_it_was():
    policy = gpt().train()
    write_rollout(policy, [[0]], reward, group_size=2, max_new_tokens=2, generator=generator())
    assert policy.training
    assert all(p.grad is None for p in policy.parameters())


# -- the loop ------------------------------------------------------------------------------------

LONG = {"prompts_per_step": 1, "group_size": 32, "max_new_tokens": 2}


def run(loss, steps=4, lr=0.01, seed=1, **options):
    policy, reference = gpt(0, torch.float32), gpt(0, torch.float32)
    optimizer = AdamW(policy.parameters(), lr=lr)
    config = PolicyConfig(steps, **LONG | options)
    found = optimise_policy(
        policy,
        [[0]],
        reward,
        loss,
        optimizer,
        config,
        generator=generator(seed),
        reference=reference,
    )
    return list(found), policy, reference


def test_the_best_trade_is_reached():
    """Of what can be gained over the reference, 95 % and more; the value is known exactly."""
    for loss, least in ((ReinforceLoss(1.0), 0.95), (PPOLoss(1.0), 0.9)):
        _, policy, reference = run(loss, 100, updates=2 if isinstance(loss, PPOLoss) else 1)
        with torch.no_grad():
            logs, start = (of_all(m).double().log_softmax(0) for m in (policy, reference))
        best = float(best_value(start, REWARDS, 1.0))
        before, after = (trade_off(x, start, REWARDS, 1.0).value for x in (start, logs))
        assert (after - before) / (best - before) > least
        assert after > 0.95 * best
        agree("optimise_policy", "best_value", after / best, 1.0, 0.05, limit="1/√n")
        wanted = tilted(start, REWARDS, 1.0).exp()
        agree("optimise_policy, probabilities", "tilted", logs.exp(), wanted, 0.1, limit="1/√n")


def test_group_relative_rewards_rise():
    history, _, _ = run(GRPOLoss(0.01), 30)
    assert np.mean([s.reward for s in history[-5:]]) > 1 + np.mean([s.reward for s in history[:5]])
    assert history[0].kl == pytest.approx(0, abs=1e-5)
    assert history[-1].kl > 0.1


def test_what_is_reported():
    policy = gpt(0)
    optimizer, config = SGD(policy.parameters(), lr=1e-12), PolicyConfig(2, **LONG)
    steps = optimise_policy(
        policy,
        [[0]],
        lambda i, ids: float(ids == [0, 0]),
        GRPOLoss(0.0),
        optimizer,
        config,
        generator=generator(3),
        reference=gpt(1),
    )
    draws = generator(3)
    for number, step in enumerate(steps):
        torch.randperm(1, generator=draws)
        options = {"group_size": 32, "max_new_tokens": 2, "reference": gpt(1)}
        some = write_rollout(
            gpt(0), [[0]], lambda i, ids: float(ids == [0, 0]), generator=draws, **options
        )
        wanted = [number, some.rewards.mean(), some.kl.mean(), 0.0, 2.0]
        agree("PolicyStep", "write_rollout", step[:5], wanted)
    steps = optimise_policy(
        policy, [[0]], lambda *_: 1.0, GRPOLoss(0.0), optimizer, config, generator=generator()
    )
    step = next(steps)
    same("PolicyStep, silent", "by hand", step.silent, 1.0)
    assert math.isnan(step.kl)
    same("PolicyStep, no signal", "0", abs(step.loss), 0.0)
    same("PolicyConfig", "by hand", PolicyConfig(1, 2), PolicyConfig(1, 2, 8, 8, 1, 1.0, None))
    same(
        "PolicyStep, its parts",
        "by hand",
        PolicyStep._fields,
        ("step", "reward", "kl", "silent", "length", "loss"),
    )


def test_the_same_seed_gives_the_same_run_and_the_reference_stays():
    first, policy, reference = run(PPOLoss(0.1), updates=2)
    second, again, _ = run(PPOLoss(0.1), updates=2)
    same("optimise_policy, twice", "itself", first, second)
    assert all(
        torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True)
    )
    before = gpt(0, torch.float32)
    assert all(
        torch.equal(a, b) for a, b in zip(reference.parameters(), before.parameters(), strict=True)
    )


def test_prompts_are_told_apart():
    """Rewards come by the number of the prompt in the whole list."""
    policy, asked = gpt(), set()

    def judge(place, ids):
        asked.add(place)
        return 0.0

    config = PolicyConfig(6, 1, prompts_per_step=2, group_size=2)
    optimizer = SGD(policy.parameters(), lr=0.1)
    prompts = [[0], [1], [2], [0, 1]]
    list(
        optimise_policy(
            policy, prompts, judge, GRPOLoss(0.0), optimizer, config, generator=generator()
        )
    )
    same("optimise_policy, prompts", "by hand", sorted(asked), [0, 1, 2, 3])


# -- wrong calls ---------------------------------------------------------------------------------

MODEL = gpt()
OPTIMIZER = SGD(MODEL.parameters(), lr=0.1)
CONFIG = PolicyConfig(1, 2, prompts_per_step=1, group_size=2)


def loop(**changed):
    given = {
        "model": MODEL,
        "prompts": [[0]],
        "reward": reward,
        "loss": GRPOLoss(0.0),
        "optimizer": OPTIMIZER,
        "config": CONFIG,
        "generator": generator(),
    }
    return optimise_policy(**given | changed)


def write(**changed):
    given = {
        "model": MODEL,
        "prompts": [[0]],
        "reward": reward,
        "group_size": 2,
        "max_new_tokens": 2,
        "generator": generator(),
    }
    return write_rollout(**given | changed)


WRONG = [
    (ValueError, "prompts must be at least prompts_per_step, 1; got 0", lambda: loop(prompts=[])),
    (TypeError, "config must be a PolicyConfig, got dict", lambda: loop(config={})),
    (TypeError, "reward must be a function, got 3", lambda: loop(reward=3)),
    (TypeError, "loss must be a function, got <class", lambda: loop(loss=GRPOLoss)),
    (TypeError, "generator must be a torch.Generator", lambda: loop(generator=0)),
    (TypeError, "optimizer must be an Optimizer", lambda: loop(optimizer=0.1)),
    (TypeError, "reference must be a model", lambda: loop(reference=3)),
    (ValueError, "reference must stay as it is, and optim", lambda: loop(reference=MODEL)),
    (TypeError, "reward must be a function of a prompt", lambda: write(reward=3)),
    (
        ValueError,
        "what reward returns must be finite, got nan for prompt 0",
        lambda: write(reward=lambda *_: math.nan),
    ),
    (TypeError, "what reward returns must be a number", lambda: write(reward=lambda *_: True)),
    (ValueError, "group_size must be at least 1", lambda: write(group_size=0)),
    (TypeError, "generator must be a torch.Generator", lambda: write(generator=0)),
    (TypeError, "reference must be a model", lambda: write(reference=3)),
    (ValueError, "prompts must hold at least one", lambda: write(prompts=[])),
    (ValueError, "steps must be at least 1", lambda: PolicyConfig(0, 1)),
    (ValueError, "group_size must be at least 2", lambda: PolicyConfig(1, 1, group_size=1)),
    (ValueError, "max_norm must be finite and above 0", lambda: PolicyConfig(1, 1, max_norm=0)),
    (ValueError, "stop must be at least 0", lambda: PolicyConfig(1, 1, stop=-1)),
    (ValueError, "beta must be from 0", lambda: ReinforceLoss(-1.0)),
    (ValueError, "baseline must be one of", lambda: ReinforceLoss(baseline="critic")),
    (ValueError, "clip must be from 0 to 1", lambda: PPOLoss(clip=2.0)),
    (ValueError, "length must be given for", lambda: PPOLoss(reduction="fixed_length")),
    (ValueError, "scale must be one of", lambda: GRPOLoss(scale="max")),
    (ValueError, "length must be given for", lambda: GRPOLoss(length=3)),
]


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
