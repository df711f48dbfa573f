r"""Alignment by its formulas: one sample, one pair, one token at a time."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from companion.reference.activations import softmax

__all__ = [
    "best_of_n_policy",
    "dpo_gradient",
    "dpo_loss",
    "group_advantages",
    "grpo_loss",
    "ipo_loss",
    "kl_estimates",
    "minimax_value",
    "policy_gradient",
    "preference_entropy",
    "preference_loss",
    "preference_probability",
    "puct_scores",
    "reinforce_gradient",
    "sequence_log_prob",
    "tilted",
    "trade_off",
    "vote_accuracy",
]


def policy_gradient(logits: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    r"""Return :math:`\sum_i \pi_i r_i (e_i - \pi)`, arm by arm."""
    p, total = softmax(logits), np.zeros(len(logits))
    for i in range(len(p)):
        total += p[i] * rewards[i] * (np.eye(len(p))[i] - p)
    return total


def reinforce_gradient(
    logits: np.ndarray, arms: np.ndarray, rewards: np.ndarray, baseline: str
) -> np.ndarray:
    r"""Return the mean of :math:`(r_i - b_i) (e_{a_i} - \pi)` over the samples."""
    p, total, n = softmax(logits), np.zeros(len(logits)), len(arms)
    for i in range(n):
        others = [rewards[j] for j in range(n) if j != i]
        b = {"none": 0.0, "mean": np.mean(rewards)}.get(baseline)
        b = np.mean(others) if b is None else b
        total += (rewards[i] - b) * (np.eye(len(p))[arms[i]] - p)
    return total / n


def preference_probability(first: float, second: float) -> float:
    r"""Return :math:`e^{r_1} / (e^{r_1} + e^{r_2})`, as Bradley and Terry wrote it."""
    return math.exp(first) / (math.exp(first) + math.exp(second))


def preference_loss(
    chosen: Sequence[float], rejected: Sequence[float], margins: Sequence[float]
) -> float:
    r"""Return the mean of :math:`-\ln` of the probability that was found, pair by pair."""
    pairs = zip(chosen, rejected, margins, strict=True)
    return sum(-math.log(preference_probability(a - m, b)) for a, b, m in pairs) / len(chosen)


def preference_entropy(first: Sequence[float], second: Sequence[float]) -> float:
    r"""Return what both outcomes cost, each as often as it comes."""
    total = 0.0
    for a, b in zip(first, second, strict=True):
        p, q = preference_probability(a, b), preference_probability(b, a)
        total -= p * math.log(p) + q * math.log(q)
    return total / len(first)


def sequence_log_prob(logits: np.ndarray, ids: Sequence[int], answer: Sequence[bool]) -> float:
    r"""Return the sum of :math:`\ln \pi(y_t)` over the answer, from the logits one place before."""
    total = 0.0
    for t in range(1, len(ids)):
        if answer[t]:
            total += math.log(softmax(logits[t - 1])[ids[t]])
    return total


def dpo_loss(
    policy: np.ndarray, reference: np.ndarray, beta: float, smoothing: float = 0.0
) -> float:
    r"""Return the loss of pairs: rows of the log-probabilities of (chosen, rejected)."""
    total = 0.0
    for (a, b), (ref_a, ref_b) in zip(policy, reference, strict=True):
        p = preference_probability(beta * (a - ref_a), beta * (b - ref_b))
        total -= (1 - smoothing) * math.log(p) + smoothing * math.log(1 - p)
    return total / len(policy)


def dpo_gradient(policy: np.ndarray, reference: np.ndarray, beta: float) -> np.ndarray:
    r"""Return :math:`\mp \beta \, \sigma(\hat r_l - \hat r_w) / n` for each log-probability."""
    rows = []
    for (a, b), (ref_a, ref_b) in zip(policy, reference, strict=True):
        error = preference_probability(beta * (b - ref_b), beta * (a - ref_a))
        rows.append([-beta * error / len(policy), beta * error / len(policy)])
    return np.array(rows)


def ipo_loss(policy: np.ndarray, reference: np.ndarray, beta: float) -> float:
    r"""Return the mean of :math:`(h - 1/(2\beta))^2`."""
    h = [a - b - (c - d) for (a, b), (c, d) in zip(policy, reference, strict=True)]
    return sum((each - 1 / (2 * beta)) ** 2 for each in h) / len(h)


def tilted(reference: np.ndarray, rewards: np.ndarray, beta: float) -> np.ndarray:
    r"""Return :math:`p_i e^{r_i/\beta}` over their sum, of probabilities."""
    weights = [p * math.exp(r / beta) for p, r in zip(reference, rewards, strict=True)]
    return np.array([weight / sum(weights) for weight in weights])


def trade_off(
    policy: np.ndarray, reference: np.ndarray, rewards: np.ndarray
) -> tuple[float, float]:
    r"""Return expected reward and divergence, outcome by outcome, of probabilities."""
    reward = kl = 0.0
    for p, q, r in zip(policy, reference, rewards, strict=True):
        reward += p * r
        kl += p * math.log(p / q) if p else 0.0
    return reward, kl


def group_advantages(rewards: np.ndarray, eps: float | None) -> np.ndarray:
    r"""Return differences from the mean of each group, over its standard deviation plus eps."""
    rows = []
    for group in rewards:
        mean = sum(group) / len(group)
        s = math.sqrt(sum((r - mean) ** 2 for r in group) / (len(group) - 1))
        rows.append([(r - mean) / (1 if eps is None else s + eps) for r in group])
    return np.array(rows)


def kl_estimates(policy: float, reference: float) -> tuple[float, float, float]:
    r"""Return the three estimates from one sample with these probabilities."""
    ratio = reference / policy
    return -math.log(ratio), math.log(ratio) ** 2 / 2, ratio - 1 - math.log(ratio)


def grpo_loss(
    answers: Sequence[Sequence[tuple[float, float, float]]],
    advantages: Sequence[float],
    *,
    beta: float,
    clip: tuple[float, float],
    sequence: bool,
    by_tokens: bool,
) -> float:
    r"""Return the loss of answers, each a list of probabilities (policy, old, reference)."""
    sums = []
    for tokens, advantage in zip(answers, advantages, strict=True):
        whole = math.prod(p / old for p, old, _ in tokens) ** (1 / len(tokens))
        total = 0.0
        for p, old, reference in tokens:
            ratio = whole if sequence else p / old
            kept = min(max(ratio, 1 - clip[0]), 1 + clip[1])
            total -= min(ratio * advantage, kept * advantage)
            total += beta * kl_estimates(p, reference)[2]
        sums.append(total)
    if by_tokens:
        return sum(sums) / sum(map(len, answers))
    return sum(s / len(tokens) for s, tokens in zip(sums, answers, strict=True)) / len(sums)


def best_of_n_policy(p: np.ndarray, scores: np.ndarray, n: int) -> np.ndarray:
    r"""Return how often each outcome is the first best, over all rows of n draws."""
    found = np.zeros(len(p))
    for drawn in itertools.product(range(len(p)), repeat=n):
        best = max(drawn, key=lambda i: scores[i])  # of equals, the first one drawn
        found[best] += math.prod(p[i] for i in drawn)
    return found


def vote_accuracy(p: Sequence[float], n: int) -> float:
    r"""Return how often the first answer wins, over all rows of n answers."""
    total = 0.0
    for drawn in itertools.product(range(len(p)), repeat=n):
        winner = max(drawn, key=drawn.count)  # of equals, the first one drawn
        total += math.prod(p[i] for i in drawn) if winner == 0 else 0.0
    return total


def minimax_value(board: np.ndarray) -> int:
    r"""Return how tic-tac-toe ends for the player of the ones on a board (3, 3), who is to move."""
    sums = [*board.sum(axis=0), *board.sum(axis=1), np.trace(board), np.trace(board[::-1])]
    if -3 in sums or board.all():
        return -1 if -3 in sums else 0
    values = []
    for field in np.argwhere(board == 0):
        after = board.copy()
        after[tuple(field)] = 1
        values.append(-minimax_value(-after))
    return max(values)


def puct_scores(prior: np.ndarray, visits: np.ndarray, totals: np.ndarray, c: float) -> np.ndarray:
    r"""Return :math:`Q_a + c P_a \sqrt{N} / (1 + N_a)`, move by move."""
    n, scores = max(sum(visits), 1), []
    for p, tried, total in zip(prior, visits, totals, strict=True):
        scores.append((total / tried if tried else 0.0) + c * p * math.sqrt(n) / (1 + tried))
    return np.array(scores)
