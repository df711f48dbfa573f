r"""Alignment: from what is likely to what is wanted.

Learning from rewards, in its smallest case: a `Bandit` or a `BernoulliBandit`, the estimate of
REINFORCE as the gradient of `reinforce_loss` with its `baselines`, and what is known of it exactly:
`policy_gradient`, `estimator_variance` and `best_baseline`.

Preferences: `preference_probability` says how two rewards are compared; a `RewardModel` learns them
by `preference_loss`, which has `preference_entropy` as its floor; `fit_preferences` finds a reward
that is a sum of features. `answer_batch` makes an `AnswerBatch`, of which `token_log_probs` and
`sequence_log_probs` say how probable a model finds each answer. `dpo_loss` and `ipo_loss` train a
policy on them directly, and `implicit_rewards` says for which reward it is then the best one.

The best that can be had: `tilted` is the best policy for a reward at a price of leaving the
reference, with the value `best_value`; `trade_off` says where any policy stands, as a `TradeOff`;
`frontier` and `best_reward` are the curve above all of them. `world_outcomes` lists the `Outcomes`
of a beginning of Tiny World.

Policies that write several answers to a prompt: `group_advantages` judges each beside the others,
and `silent_groups` says where nothing is learnt. `importance_ratios` compare the policy with the
one that wrote; `ppo_clip_loss` clips them, `grpo_loss` adds the divergence from the reference, and
`aggregate` says how tokens become one number. `kl_estimates` gives `KLEstimates`, of three kinds.

Answers that can be checked: `verify_task` is a `Verifier` of Tiny World's instructions;
`FaultyVerifier` and `NoisyVerifier` make mistakes. `majority_vote` and `best_of_n` choose among
several answers; `vote_accuracy`, `best_of_n_policy` and `best_of_n_kl_bound` say exactly what that
brings.

The loop: `optimise_policy` trains a model by its own answers, as a `PolicyConfig` says, and reports
each `PolicyStep`. `write_rollout` lets it answer and asks a `Reward`; the loss of that `Rollout` is
a `ReinforceLoss`, a `PPOLoss` or a `GRPOLoss`.
"""

from companion.alignment.bandits import Bandit, BernoulliBandit
from companion.alignment.clipping import (
    aggregate,
    grpo_loss,
    importance_ratios,
    ppo_clip_loss,
)
from companion.alignment.direct import dpo_loss, implicit_rewards, ipo_loss
from companion.alignment.divergences import KLEstimates, kl_estimates
from companion.alignment.frontier import (
    TradeOff,
    best_reward,
    best_value,
    frontier,
    tilted,
    trade_off,
)
from companion.alignment.gradients import (
    baselines,
    best_baseline,
    estimator_variance,
    policy_gradient,
    reinforce_loss,
)
from companion.alignment.groups import group_advantages, silent_groups
from companion.alignment.log_probs import (
    AnswerBatch,
    answer_batch,
    sequence_log_probs,
    token_log_probs,
)
from companion.alignment.objectives import GRPOLoss, PPOLoss, ReinforceLoss
from companion.alignment.optimising import PolicyConfig, PolicyStep, optimise_policy
from companion.alignment.outcomes import Outcomes, world_outcomes
from companion.alignment.preferences import (
    fit_preferences,
    preference_entropy,
    preference_loss,
    preference_probability,
)
from companion.alignment.rewards import RewardModel
from companion.alignment.rollouts import Reward, Rollout, write_rollout
from companion.alignment.selection import (
    best_of_n,
    best_of_n_kl_bound,
    best_of_n_policy,
    majority_vote,
    vote_accuracy,
)
from companion.alignment.verifiers import FaultyVerifier, NoisyVerifier, Verifier, verify_task

__all__ = [
    "Bandit",
    "BernoulliBandit",
    "baselines",
    "reinforce_loss",
    "policy_gradient",
    "estimator_variance",
    "best_baseline",
    "preference_probability",
    "preference_loss",
    "preference_entropy",
    "fit_preferences",
    "RewardModel",
    "AnswerBatch",
    "answer_batch",
    "token_log_probs",
    "sequence_log_probs",
    "dpo_loss",
    "ipo_loss",
    "implicit_rewards",
    "TradeOff",
    "tilted",
    "best_value",
    "trade_off",
    "frontier",
    "best_reward",
    "Outcomes",
    "world_outcomes",
    "group_advantages",
    "silent_groups",
    "KLEstimates",
    "kl_estimates",
    "importance_ratios",
    "aggregate",
    "ppo_clip_loss",
    "grpo_loss",
    "Verifier",
    "verify_task",
    "FaultyVerifier",
    "NoisyVerifier",
    "majority_vote",
    "vote_accuracy",
    "best_of_n",
    "best_of_n_policy",
    "best_of_n_kl_bound",
    "Reward",
    "Rollout",
    "write_rollout",
    "ReinforceLoss",
    "PPOLoss",
    "GRPOLoss",
    "PolicyConfig",
    "PolicyStep",
    "optimise_policy",
]
