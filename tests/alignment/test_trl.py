"""The losses of trl, on the same numbers."""

from types import SimpleNamespace

import pytest
import torch
from trl import DPOTrainer, GRPOTrainer, RewardTrainer, RLOOTrainer

from companion.alignment import (
    baselines,
    dpo_loss,
    grpo_loss,
    ipo_loss,
    kl_estimates,
    ppo_clip_loss,
    preference_loss,
    reinforce_loss,
)
from tests.alignment.support import pairs, their_trainer
from tests.support import normal
from tests.verification import agree

TRL = "trl 1.16"
LENGTHS = torch.tensor([3, 5, 2, 4, 3, 4, 1, 5, 2, 2])  # of 5 chosen, then 5 rejected answers


def spread(log_probs, mask):
    """Return log-probabilities of tokens (B, T) whose sum over the answer is what is given."""
    share = normal(*mask.shape, seed=9).masked_fill(~mask, 0)
    share[:, 0] += log_probs - share.sum(dim=1)
    return share


def their_dpo(some, loss_type, **options):
    """Return the loss of trl for the log-probabilities of whole answers."""
    chosen, rejected, ref_chosen, ref_rejected = some
    n = len(chosen)
    lengths = torch.cat([LENGTHS[:5][:n], LENGTHS[5:][:n]])
    mask = torch.arange(5) < lengths[:, None]  # (2n, 5), after the prompt's one token
    tokens = spread(torch.cat([chosen, rejected]), mask)
    extras = dict.fromkeys(("entropy", "mean_logits"), tokens.detach())
    outputs = SimpleNamespace(log_probs=tokens, is_top1=mask, **extras)
    settings = {"beta": 0.3, "label_smoothing": 0.0, "f_divergence_type": "reverse_kl"}
    trainer = their_trainer(
        loss_types=[loss_type],
        loss_weights=[1.0],
        ld_alpha=None,
        use_weighting=False,
        precompute_ref_logps=True,
        **settings | options,
    )
    completion = torch.cat([torch.zeros(2 * n, 1, dtype=torch.bool), mask], dim=1).long()
    inputs = {
        "input_ids": completion,
        "attention_mask": torch.ones_like(completion),
        "completion_mask": completion,
        "ref_chosen_logps": ref_chosen,
        "ref_rejected_logps": ref_rejected,
    }
    return DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False), lengths


def both(loss_type, ours, **options):
    """Return our loss and theirs, each with its gradient for the policy's log-probabilities."""
    found = []
    for theirs in (False, True):
        some = pairs()
        some[0].requires_grad_(), some[1].requires_grad_()
        loss = their_dpo(some, loss_type, **options)[0] if theirs else ours(*some)
        loss.backward()
        found.append((loss.detach(), torch.cat([some[0].grad, some[1].grad])))
    return found


def test_dpo():
    (ours, gradient), (theirs, expected) = both("sigmoid", lambda *x: dpo_loss(*x, beta=0.3))
    agree("dpo_loss", TRL, ours, theirs)
    agree("dpo_loss, gradient", TRL, gradient, expected)


def test_dpo_with_label_smoothing():
    """Of one pair, trl's "aot" is DPO with smoothed labels: it sorts, and one needs no order."""
    for i in range(5):
        some = [x[[i]] for x in pairs()]
        theirs, _ = their_dpo(some, "aot", label_smoothing=0.1)
        agree("dpo_loss, smoothing 0.1", TRL, dpo_loss(*some, 0.3, 0.1), theirs)


def test_ipo():
    """Theirs divides by the number of tokens of each answer."""
    some = pairs()
    theirs, lengths = their_dpo(some, "ipo")
    chosen, rejected = lengths.chunk(2)
    means = [x / n for x, n in zip(some, (chosen, rejected) * 2, strict=True)]
    agree("ipo_loss", TRL, ipo_loss(*means, beta=0.3), theirs)


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_reward_models(margin):
    chosen, rejected = normal(6), normal(6, seed=1)
    outputs = SimpleNamespace(logits=torch.cat([chosen, rejected])[:, None])
    trainer = their_trainer(args=SimpleNamespace(center_rewards_coefficient=None))
    inputs = {"attention_mask": torch.ones(12, 1), "margin": torch.full((6,), margin)}
    theirs = RewardTrainer.compute_loss(trainer, lambda **_: outputs, inputs)
    agree("preference_loss", TRL, preference_loss(chosen, rejected, margin), theirs)


# -- policies that write -------------------------------------------------------------------------


def answers(seed=0):
    """Return log-probabilities by a policy, an older one and a reference, advantages, a mask."""
    policy = -normal(4, 5, seed=seed).abs() - 0.1
    old, reference = (policy - 0.3 * normal(4, 5, seed=seed + i) for i in (1, 2))
    mask = torch.arange(5) < torch.tensor([5, 2, 3, 1])[:, None]
    return policy, old, reference, normal(4, seed=seed + 3), mask


def their_inputs(some):
    _, old, reference, advantages, mask = some
    prompt = torch.ones(4, 2).long()
    return {
        "prompt_ids": prompt,
        "prompt_mask": prompt,
        "completion_ids": mask.long(),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "old_logps": (old * mask).sum(dim=1),
        "num_items_in_batch": mask.sum(),
    }


def their_grpo(some, kind, level, beta):
    policy = some[0]
    trainer = their_trainer(
        _get_per_token_logps_and_entropies=lambda *_, **__: (policy, policy.detach(), None),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        importance_sampling_level=level,
        beta=beta,
        loss_type=kind,
        epsilon_low=0.1,
        epsilon_high=0.3,
        max_completion_length=7,
        current_gradient_accumulation_steps=1,
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        _entropy_bonus_enabled=False,
    )
    return GRPOTrainer._compute_loss(trainer, None, their_inputs(some))


KINDS = {
    "grpo": {},
    "bnpo": {"reduction": "token_mean"},
    "dapo": {"reduction": "token_mean"},
    "dr_grpo": {"reduction": "fixed_length", "length": 7},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_grpo(kind, level, beta):
    found = []
    for theirs in (False, True):
        some = answers()
        some[0].requires_grad_()
        options = {"beta": beta, "clip_low": 0.1, "clip_high": 0.3, "level": level}
        if theirs:
            loss = their_grpo(some, kind, level, beta)
        else:
            loss = grpo_loss(*some, **options, **KINDS[kind])
        loss.backward()
        found.append((loss.detach(), some[0].grad))
    agree(f"grpo_loss, {kind}, {level}", TRL, found[0][0], found[1][0])
    agree(f"grpo_loss, {kind}, {level}, gradient", TRL, found[0][1], found[1][1])
    if not beta:
        policy, old, _, advantages, mask = answers()
        del options["beta"]
        ours = ppo_clip_loss(policy, old, advantages, mask, **options, **KINDS[kind])
        agree(f"ppo_clip_loss, {kind}, {level}", TRL, ours, found[1][0])


def test_divergences():
    """With advantages of 0 what is left of its loss is k3."""
    policy, old, reference, advantages, mask = answers()
    theirs = their_grpo((policy, old, reference, advantages * 0, mask), "bnpo", "token", 1.0)
    agree("kl_estimates, k3", TRL, kl_estimates(policy, reference).k3[mask].mean(), theirs)


def their_rloo(policy, rewards, mask):
    advantages = rewards - baselines(rewards, "leave_one_out")
    trainer = their_trainer(
        _get_per_token_logps_and_entropies=lambda *_, **__: (policy, policy.detach(), None),
        epsilon_low=0.2,
        epsilon_high=0.2,
    )
    some = policy, policy.detach(), policy.detach(), advantages, mask
    return RLOOTrainer._compute_loss(trainer, None, their_inputs(some))


def our_rloo(policy, rewards, mask):
    return reinforce_loss((policy * mask).sum(dim=1), rewards, "leave_one_out")


def test_reinforce_leave_one_out():
    """On the policy that wrote, their clipped loss has the same gradient."""
    found = []
    for loss in (our_rloo, their_rloo):
        policy, _, _, rewards, mask = answers()
        policy.requires_grad_()
        loss(policy, rewards, mask).backward()
        found.append(policy.grad)
    agree("reinforce_loss, leave_one_out, gradient", TRL, *found)
