r"""Generation in plain Python and NumPy: one row of logits, one token at a time.

Logits are arrays (V,); what was written before is a list of ids. A token that may not be drawn has
the logit minus infinity.
"""

from collections.abc import Callable

import numpy as np

from companion.reference.activations import softmax

__all__ = [
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "no_repeat_ngram",
    "bad_words",
    "inverse_cdf",
    "greedy",
    "beam_search",
    "exhaustive_search",
    "acceptance",
    "speculative_token",
    "speculative_distribution",
    "expected_tokens",
]


def temperature(logits: np.ndarray, tau: float) -> np.ndarray:
    r""":math:`z / \tau`."""
    return logits / tau


def top_k(logits: np.ndarray, k: int) -> np.ndarray:
    r"""Keep the k largest, and those as large as the last of them."""
    last = sorted(logits, reverse=True)[k - 1]
    return np.array([z if z >= last else -np.inf for z in logits])


def top_p(logits: np.ndarray, p: float) -> np.ndarray:
    r"""Take the most probable tokens, one by one, until together they have p."""
    shares = softmax(logits)
    kept = np.full(len(logits), -np.inf)
    total = 0.0
    for i in np.argsort(-shares, kind="stable"):
        if total >= p:
            break
        kept[i] = logits[i]
        total += shares[i]
    return kept


def min_p(logits: np.ndarray, p: float) -> np.ndarray:
    r"""Keep what is at least p times as probable as the most probable token."""
    shares = softmax(logits)
    return np.array(
        [z if x >= p * shares.max() else -np.inf for z, x in zip(logits, shares, strict=True)]
    )


def repetition_penalty(logits: np.ndarray, past: list[int], theta: float) -> np.ndarray:
    r"""Divide positive logits of tokens that occurred by theta, multiply negative ones."""
    out = logits.copy()
    for i in set(past):
        out[i] = logits[i] / theta if logits[i] >= 0 else logits[i] * theta
    return out


def frequency_penalty(
    logits: np.ndarray, written: list[int], frequency: float, presence: float
) -> np.ndarray:
    r""":math:`z_i - \alpha n_i - \beta [n_i > 0]`."""
    out = logits.copy()
    for i in range(len(logits)):
        n = written.count(i)
        out[i] -= frequency * n + presence * (n > 0)
    return out


def no_repeat_ngram(logits: np.ndarray, past: list[int], n: int) -> np.ndarray:
    r"""Forbid each token that would make the last n tokens a sequence that occurred."""
    occurred = [past[i : i + n] for i in range(len(past) - n + 1)]
    out = logits.copy()
    for i in range(len(logits)):
        if [*past, i][-n:] in occurred and len(past) >= n - 1:
            out[i] = -np.inf
    return out


def bad_words(logits: np.ndarray, past: list[int], sequences: list[list[int]]) -> np.ndarray:
    r"""Forbid each token with which the text would end in one of the sequences."""
    out = logits.copy()
    for i in range(len(logits)):
        text = [*past, i]
        if any(text[-len(ids) :] == ids for ids in sequences):
            out[i] = -np.inf
    return out


def inverse_cdf(p: np.ndarray, u: float) -> int:
    r"""Walk along the probabilities until more than u of their sum lies behind."""
    behind = 0.0
    for i, share in enumerate(p):
        behind += share
        if behind > u * p.sum():
            return i
    raise ValueError(f"u must be below 1, got {u}")


def greedy(model: Callable, prompt: list[int], n: int, end: int | None = None) -> list[int]:
    r"""Take the likeliest token n times, or until the end; a model maps ids to logits."""
    written: list[int] = []
    while len(written) < n and (not written or written[-1] != end):
        written.append(int(np.argmax(model([*prompt, *written]))))
    return written


def beam_search(
    model: Callable, prompt: list[int], k: int, n: int, end: int | None = None, alpha: float = 1.0
) -> list[tuple[list[int], float]]:
    r"""Let the k most probable beginnings go on; return the k best texts with their scores.

    No search is ended early: all n steps are made.
    """
    running: list[tuple[list[int], float]] = [([], 0.0)]
    finished: list[tuple[list[int], float]] = []
    for step in range(1, n + 1):
        children = [
            ([*ids, i], total + log_p)
            for ids, total in running
            for i, log_p in enumerate(model([*prompt, *ids]))
        ]
        children.sort(key=lambda child: -child[1])
        over = [child for child in children[:k] if child[0][-1] == end or step == n]
        finished += [(ids, total / len(ids) ** alpha) for ids, total in over]
        running = [child for child in children if child[0][-1] != end][:k]
    return sorted(finished, key=lambda text: -text[1])[:k]


def exhaustive_search(
    model: Callable, prompt: list[int], n: int, end: int | None = None, alpha: float = 1.0
) -> list[tuple[list[int], float]]:
    r"""Walk through the whole tree of texts of up to n tokens; all of them, the best first."""
    found: list[tuple[list[int], float]] = []

    def walk(ids: list[int], total: float) -> None:
        if ids and (ids[-1] == end or len(ids) == n):
            found.append((ids, total / len(ids) ** alpha))
            return
        for i, log_p in enumerate(model([*prompt, *ids])):
            walk([*ids, i], total + log_p)

    walk([], 0.0)
    return sorted(found, key=lambda text: -text[1])


def acceptance(p: np.ndarray, q: np.ndarray) -> float:
    r""":math:`\sum_x \min(p(x), q(x))`."""
    return float(sum(min(a, b) for a, b in zip(p, q, strict=True)))


def speculative_token(
    p: np.ndarray, q: np.ndarray, guess: int, u: float, v: float
) -> tuple[int, bool]:
    r"""Accept a guess if u is below p/q, or else draw by v from what q gave too little of."""
    if u < p[guess] / q[guess]:
        return guess, True
    missing = np.maximum(0, p - q)
    return inverse_cdf(missing / missing.sum(), v), False


def speculative_distribution(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    r"""Sum up all ways to each token: guessed and accepted, or drawn after a rejection."""
    out = np.zeros_like(p)
    for guess in range(len(p)):
        accepted = min(1.0, p[guess] / q[guess]) if q[guess] > 0 else 0.0
        out[guess] += q[guess] * accepted
        missing = np.maximum(0, p - q)
        if missing.sum() > 0:
            out += q[guess] * (1 - accepted) * missing / missing.sum()
    return out


def expected_tokens(alpha: float, n_guesses: int) -> float:
    r"""Sum over all numbers of accepted guesses: its probability, times tokens that are written."""
    total = (n_guesses + 1) * alpha**n_guesses
    for n in range(n_guesses):
        total += (n + 1) * alpha**n * (1 - alpha)
    return total
