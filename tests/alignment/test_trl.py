"""The losses of trl, on the same numbers."""

from types import SimpleNamespace

import pytest
import torch
from trl import DPOTrainer, RewardTrainer

from companion.alignment import dpo_loss, ipo_loss, preference_loss
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
