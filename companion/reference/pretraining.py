r"""The objectives of pretraining in plain Python and NumPy: one token at a time.

Nothing is drawn here: whatever chance decides is given.
"""

import numpy as np

__all__ = [
    "causal_lm",
    "mask_tokens",
    "cut_spans",
    "join_spans",
    "masked_lm",
    "contrastive",
]

IGNORE = -100


def causal_lm(ids: np.ndarray, pad_id: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    r"""Return inputs and targets (B, T − 1) of rows (B, T)."""
    inputs, targets = [], []
    for row in ids.tolist():
        inputs.append(row[:-1])
        targets.append([IGNORE if token == pad_id else token for token in row[1:]])
    return np.array(inputs), np.array(targets)


def mask_tokens(
    ids: np.ndarray,
    mask_id: int,
    picked: np.ndarray,
    masked: np.ndarray,
    replaced: np.ndarray,
    drawn: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return inputs and targets (T,) of a row.

    Given is which tokens are picked, and of these, which are masked and which are replaced by the
    one drawn for them.
    """
    inputs, targets = [], []
    for i, token in enumerate(ids.tolist()):
        if not picked[i]:
            inputs.append(token)
            targets.append(IGNORE)
            continue
        targets.append(token)
        if masked[i]:
            inputs.append(mask_id)
        elif replaced[i]:
            inputs.append(int(drawn[i]))
        else:
            inputs.append(token)
    return np.array(inputs), np.array(targets)


def cut_spans(
    ids: np.ndarray, hidden: np.ndarray, sentinels: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    r"""Cut out the tokens that are hidden; neighbours make one span."""
    inputs: list[int] = []
    targets: list[int] = []
    n_gaps = 0
    for i, token in enumerate(ids.tolist()):
        begins = hidden[i] and (i == 0 or not hidden[i - 1])
        if begins:
            inputs.append(sentinels[n_gaps])
            targets.append(sentinels[n_gaps])
            n_gaps += 1
        (targets if hidden[i] else inputs).append(token)
    return np.array(inputs), np.array([*targets, sentinels[n_gaps]])


def join_spans(inputs: np.ndarray, targets: np.ndarray, sentinels: list[int]) -> np.ndarray:
    r"""Put the spans back, one gap after the other."""
    row = inputs.tolist()
    told = targets.tolist()
    for n, sentinel in enumerate(sentinels[:-1]):
        if sentinel not in row:
            break
        start, end = told.index(sentinel) + 1, told.index(sentinels[n + 1])
        at = row.index(sentinel)
        row[at : at + 1] = told[start:end]
    return np.array(row)


def masked_lm(log_p: np.ndarray, targets: np.ndarray) -> tuple[float, int]:
    r"""Return the sum of :math:`-\log p` of the targets (B, T), and how many there are."""
    total, n = 0.0, 0
    for place in np.ndindex(*targets.shape):
        if targets[place] != IGNORE:
            total -= log_p[(*place, targets[place])]
            n += 1
    return total, n


def contrastive(a: np.ndarray, b: np.ndarray, temperature: float) -> float:
    r"""Return the sum over the rows of a of :math:`-\log` of the share of their own row of b."""
    total = 0.0
    for i, query in enumerate(a):
        scores = [query @ k / np.linalg.norm(query) / np.linalg.norm(k) / temperature for k in b]
        powers = np.exp(np.array(scores) - max(scores))
        total -= np.log(powers[i] / powers.sum())
    return float(total)
