"""What the tests of alignment share: pairs of answers, and trl without its trainers' machinery."""

from collections import defaultdict
from types import SimpleNamespace

import torch

from tests.support import normal

PAIRS = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")


def pairs(n=5, seed=0):
    """Return log-probabilities of answers, by a policy and by a reference."""
    return [-5 + normal(n, seed=seed + i, scale=2.0) for i in range(4)]


def rows(policy_chosen, policy_rejected, reference_chosen, reference_rejected):
    """Return them as the twins take them: a row for each pair."""
    stack = torch.stack([policy_chosen, policy_rejected, reference_chosen, reference_rejected], 1)
    return stack[:, :2].numpy(), stack[:, 2:].numpy()


def their_trainer(**options):
    """Return what a loss of trl asks of its trainer, on one process, in evaluation."""
    alone = SimpleNamespace(
        device=torch.device("cpu"),
        num_processes=1,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction: x,
    )
    made = {
        "accelerator": alone,
        "model": SimpleNamespace(training=False),
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "_total_train_tokens": 0,
        "aux_loss_enabled": False,
    }
    return SimpleNamespace(**made | options)
