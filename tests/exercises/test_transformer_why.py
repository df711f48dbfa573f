"""The answers of the exercises of *Why it is built so*, held against what must come out."""

import numpy as np
import pytest

from exercises import run
from exercises import transformer as master
from exercises.transformer import same_words_later, scaled_stream
from tests.exercises.quick import quick  # noqa: F401

pytestmark = pytest.mark.chapter("transformer")


@pytest.mark.parametrize(("start", "places"), [(100, 64), (40, 48), (40, 47)])
def test_only_relative_positions_do_not_notice_the_move(start, places):
    kinds = ("ALiBi", "sinusoidal", "learned", "none", "rotary")
    exercise = same_words_later.exercise(8, start, places, kinds, seed=3)
    found = run(master.SETUP, exercise.solution)["shift_predictions"]
    learned = "error" if start + 8 > places else "different"
    assert list(found.values()) == ["same", "different", learned, "same", "same"]
    assert exercise.failures({"shift_predictions": found}) == []


@pytest.mark.parametrize(("alpha", "n_layers"), [(1, 3), (1, 8), (2.5, 5)])
def test_the_share_that_is_left_is_that_of_two_averaged_positions(alpha, n_layers):
    answer = run(master.SETUP, scaled_stream.exercise().solution)
    x = np.eye(2)
    for _ in range(n_layers):
        x = alpha * x + x.mean(axis=0)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    ratio = answer["difference_left"](alpha, n_layers)
    assert x[0] @ x[1] == pytest.approx((1 - ratio**2) / (1 + ratio**2), abs=1e-12)
