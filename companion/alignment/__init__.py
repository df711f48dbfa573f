r"""Alignment: from what is likely to what is wanted.

Learning from rewards, in its smallest case: a `Bandit` or a `BernoulliBandit`, the estimate of
REINFORCE as the gradient of `reinforce_loss` with its `baselines`, and what is known of it exactly:
`policy_gradient`, `estimator_variance` and `best_baseline`.

Preferences: `preference_probability` says how two rewards are compared; a `RewardModel` learns them
by `preference_loss`, which has `preference_entropy` as its floor; `fit_preferences` finds a reward
that is a sum of features. `answer_batch` makes an `AnswerBatch`, of which `token_log_probs` and
`sequence_log_probs` say how probable a model finds each answer. `dpo_loss` and `ipo_loss` train a
policy on them directly, and `implicit_rewards` says for which reward it is then the best one.
"""

from companion.alignment.bandits import Bandit, BernoulliBandit
from companion.alignment.direct import dpo_loss, implicit_rewards, ipo_loss
from companion.alignment.gradients import (
    baselines,
    best_baseline,
    estimator_variance,
    policy_gradient,
    reinforce_loss,
)
from companion.alignment.log_probs import (
    AnswerBatch,
    answer_batch,
    sequence_log_probs,
    token_log_probs,
)
from companion.alignment.preferences import (
    fit_preferences,
    preference_entropy,
    preference_loss,
    preference_probability,
)
from companion.alignment.rewards import RewardModel

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
]
