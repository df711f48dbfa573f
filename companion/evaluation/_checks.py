"""What measures ask of labels, scores and probabilities, said in one way.

Modules of this folder share this file, and nobody else needs it. Each function returns its
argument in the form that is worked with, or refuses it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from companion._arguments import _hint, _require_number
from companion.data.keys import Labels, keys

#: A list of numbers, a list of such lists, or an array or a tensor.
Numbers = Iterable[Any]
Number = int | float


def _require_same_length(**things: Any) -> int:
    """Return the length that all have; 0 is none."""
    lengths = {name: len(thing) for name, thing in things.items()}
    names = " and ".join(lengths)
    if len(set(lengths.values())) > 1:
        said = " and ".join(map(str, lengths.values()))
        raise ValueError(f"{names} must have the same length, got {said}")
    n = next(iter(lengths.values()))
    if not n:
        raise ValueError(f"{names} must not be empty")
    return n


def _pairs(
    y_true: Labels, y_pred: Labels, names: tuple[str, str] = ("y_true", "y_pred")
) -> tuple[list[Any], list[Any]]:
    """Return two lists of labels, as long as one another."""
    first, second = list(keys(y_true, names[0])), list(keys(y_pred, names[1]))
    _require_same_length(**{names[0]: first, names[1]: second})
    return first, second


def _label_set(labels: Labels | None, **used: Sequence[Any]) -> list[Any]:
    """Return the labels in order: those given, or those used, sorted."""
    if labels is None:
        return _sorted({label for some in used.values() for label in some}, " and ".join(used))
    given = list(keys(labels, "labels"))
    if len(set(given)) < len(given) or not given:
        raise ValueError(f"labels must be different and at least one, got {given}")
    known = set(given)
    for name, some in used.items():
        for label in some:
            if label not in known:
                raise ValueError(f"{name} must hold only {given}, got {label!r}")
    return given


def _sorted(values: Iterable[Any], names: str) -> list[Any]:
    try:
        return sorted(values)
    except TypeError as error:
        raise TypeError(f"{names} must hold labels of one kind: {error}") from None


def _numbers(name: str, values: Numbers, *, ndim: int = 1) -> np.ndarray:
    """Return finite numbers in float64."""
    array = _array(name, values)
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if not array.size:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if np.isnan(array).any():
        place = np.argwhere(np.isnan(array))[0].tolist()
        raise ValueError(f"{name} must not be NaN, got one at {place[0] if ndim == 1 else place}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array


def _array(name: str, values: Any) -> np.ndarray:
    """Return real numbers as an array in float64, of tensors too, wherever they are."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double()  # in this order: not every device has float64
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must have rows of the same length") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {array.dtype} such as {values!r:.40}")
    return array.astype(np.float64)


def _rows(name: str, values: Any) -> np.ndarray:
    """Return an array whose first dimension is that of rows; they may be texts, but not NaN."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        rows = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must have rows of the same length") from None
    if not rows.ndim:
        raise TypeError(f"{name} must be a list or an array, got {type(values).__name__}")
    if not len(rows):
        raise ValueError(f"{name} must not be empty")
    if rows.dtype.kind == "f" and np.isnan(rows).any():
        raise ValueError(
            f"{name} must not be NaN, got one in row {np.argwhere(np.isnan(rows))[0][0]}"
        )
    return rows


def _is_positive(y_true: Labels, pos_label: Any) -> np.ndarray:
    """Return which labels are the positive one; of the others there may be one kind."""
    labels = list(keys(y_true, "y_true"))
    kinds = set(labels)
    if len(kinds | {pos_label}) > 2:
        raise ValueError(
            f"y_true must hold pos_label={pos_label!r} and one other label, got "
            f"{sorted(kinds, key=repr)[:4]}"
        )
    if not kinds and not labels:
        raise ValueError("y_true must not be empty")
    return np.array([label == pos_label for label in labels])


def _scored(y_true: Labels, y_score: Numbers, pos_label: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows are positive, and their scores."""
    positive, scores = _is_positive(y_true, pos_label), _numbers("y_score", y_score)
    _require_same_length(y_true=positive, y_score=scores)
    return positive, scores


def _chances(name: str, values: Numbers, *, ndim: int = 1) -> np.ndarray:
    """Return probabilities; those in rows sum to 1."""
    p = _numbers(name, values, ndim=ndim)
    if (p < 0).any() or (p > 1).any():
        raise ValueError(
            f"{name} must be probabilities from 0 to 1, got {p[(p < 0) | (p > 1)][0]:.4g}"
        )
    if ndim == 2 and (off := np.abs(p.sum(axis=1) - 1) > 1e-4).any():  # of float16, softly
        i = int(off.argmax())
        raise ValueError(f"{name} must sum to 1 in each row, got {p[i].sum():.6g} in row {i}")
    return p


def _columns(y_true: Labels, labels: Labels | None, n_classes: int) -> np.ndarray:
    """Return the column of each row's label, where columns are labels in sorted order."""
    found = list(keys(y_true, "y_true"))
    order = _label_set(labels, y_true=found)
    if len(order) != n_classes:
        hint = "" if labels is not None else "; labels= names them all, in the order of the columns"
        raise ValueError(
            f"y_prob must have one column for each label, got {n_classes} for {order}{hint}"
        )
    place = {label: i for i, label in enumerate(order)}
    return np.array([place[label] for label in found], dtype=np.int64)


def _require_share(name: str, value: Any) -> float:
    """Return a number between 0 and 1, neither of which is meant."""
    if not 0 < _require_number(name, value) < 1:
        raise ValueError(f"{name} must be above 0 and below 1, got {value}")
    return float(value)


def _require_choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return one of the words that are known."""
    if value not in known:
        raise ValueError(f"{name} must be one of {list(known)}, got {value!r}{_hint(value, known)}")
    return str(value)


def _require_function(name: str, value: Any) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")
