"""What a run has written down."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from companion.training import History

RECORDS = [
    {"step": 1, "loss": 3.0, "skipped": False},
    {"step": 2, "loss": 2.0, "held_out": 2.5},
    {"step": 3, "loss": math.nan, "skipped": True, "held_out": 1.5},
    {"step": 4, "loss": 1.0, "held_out": 1.75},
]


@pytest.mark.verifies("History", "columns, the best record, saving and drawing")
def test_columns_and_the_best():
    history = History(RECORDS)
    np.testing.assert_array_equal(history.column("loss"), [3.0, 2.0, np.nan, 1.0])
    np.testing.assert_array_equal(history.column("held_out"), [np.nan, 2.5, 1.5, 1.75])
    assert history.best["step"] == 3
    assert history.evaluations_since_best == 1
    assert (len(history), history[-1]["step"], [r["step"] for r in history]) == (4, 4, [1, 2, 3, 4])
    assert repr(history) == "History(4 steps, loss 1.0000)"


def test_a_held_out_loss_that_is_no_number_is_not_the_best():
    history = History([{"held_out": math.nan, "step": 1}, {"held_out": 2.0, "step": 2}])
    assert history.best["step"] == 2
    assert History().best is None
    assert History([{"held_out": math.nan, "step": 1}]).evaluations_since_best == 1


def test_saved_and_loaded_it_is_the_same(tmp_path):
    History(RECORDS, stopped=True).save(tmp_path / "h.json")
    loaded = History.load(tmp_path / "h.json")
    assert repr(loaded.records) == repr(RECORDS)  # NaN is not equal to itself
    assert loaded.stopped
    assert [path.name for path in tmp_path.iterdir()] == ["h.json"]
    for text in ("", "[]", '{"records": 3, "stopped": false}', '{"records": []}'):
        (tmp_path / "h.json").write_text(text)
        with pytest.raises(ValueError, match=r"h.json holds no history"):
            History.load(tmp_path / "h.json")


def test_the_plot_shows_both_losses_and_the_floor():
    axes = History(RECORDS).plot(floor=0.5)
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {"training", "held out", "floor"}
    np.testing.assert_array_equal(lines["held out"].get_ydata(), [2.5, 1.5, 1.75])
    assert list(lines["floor"].get_ydata()) == [0.5, 0.5]
    own = plt.figure().subplots()
    assert History(RECORDS[:1]).plot(own) is own
    assert [line.get_label() for line in own.get_lines()] == ["training"]
    plt.close("all")


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of .*'loss'.*, got 'los'"):
        History(RECORDS).column("los")
    with pytest.raises(TypeError, match="name must be a str"):
        History(RECORDS).column(3)
    with pytest.raises(ValueError, match="nothing to draw"):
        History().plot()
    assert History().column("loss").tolist() == []
