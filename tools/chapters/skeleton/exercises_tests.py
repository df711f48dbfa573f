"""The answers of the exercises on *Chapter name*, against oracles that the masters do not use."""

import random

import numpy as np
import pytest

from exercises import chapter_name as master
from exercises import run
from exercises.chapter_name import by_hand, predicted


def drawn(module, count=5):
    return [module.draw(random.Random(seed)) for seed in range(count)]


@pytest.mark.parametrize("given", [{}, *drawn(by_hand)])
def test_the_height_is_that_of_a_polynomial(given):
    exercise = by_hand.exercise(**given)
    height = run(master.SETUP, exercise.solution)["chapter_name_height"]
    numbers = exercise.values
    assert height == pytest.approx(np.polyval([numbers["slope"], 0.0], numbers["x"]))


@pytest.mark.parametrize("given", [{}, *drawn(predicted)])
def test_the_prediction_is_what_a_line_does(given):
    exercise = predicted.exercise(**given)
    times, parts = exercise.values["times"], exercise.values["parts"]
    before, after = np.polyval([1.0, 0.0], 60), np.polyval([float(times), 0.0], 60 / parts)
    truth = ["smaller", "same", "larger"][int(np.sign(after - before)) + 1]
    assert run(master.SETUP, exercise.solution)["chapter_name_prediction"] == truth
