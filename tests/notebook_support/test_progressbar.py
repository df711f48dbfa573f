"""companion.notebook.progress: one line on standard output."""

import time

import pytest

from companion.notebook import progress, progressbar
from tools.chapters.execute import last_drawn


@pytest.fixture
def eager(monkeypatch):
    monkeypatch.setattr(progressbar, "SECONDS_BETWEEN_DRAWINGS", 0)
    monkeypatch.setenv("COMPANION_QUIET", "")


@pytest.mark.verifies("progress", "the text written, by hand")
def test_items_pass_through_and_the_last_line_stays(eager, capsys):
    bar = progress(["a", "b", "c", "d"], description="training")
    seen = []
    for item in bar:
        seen.append(item)
        bar.set(loss=1 / len(seen), step=len(seen))
    out, err = capsys.readouterr()
    assert (seen, err) == (["a", "b", "c", "d"], "")
    assert out.count("\r") == 4
    last = "training  ████████████████████ 100% 4/4  loss 0.2500  step 4"
    assert last_drawn(out) == last + "\n"


def test_quiet_where_chapters_are_run_for_keeps(monkeypatch, capsys):
    monkeypatch.setattr(progressbar, "SECONDS_BETWEEN_DRAWINGS", 0)
    monkeypatch.setenv("COMPANION_QUIET", "1")
    assert list(progress(range(3))) == [0, 1, 2]
    assert capsys.readouterr().out == "████████████████████ 100% 3/3\n"


def test_drawing_does_not_cost_more_than_the_work(capsys):
    for _ in progress(range(10_000)):
        pass
    assert capsys.readouterr().out.count("\r") <= 3


def test_a_loop_that_is_left_early_keeps_what_it_has(eager, capsys):
    for item in progress(range(10)):
        if item == 5:
            break
    line = last_drawn(capsys.readouterr().out)
    assert line == "██████████░░░░░░░░░░  50% 5/10\n"


def test_an_interrupted_loop_ends_its_line(eager, capsys):
    def stopped():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(progress(stopped(), total=4))
    assert last_drawn(capsys.readouterr().out).endswith(" 25% 1/4\n")


def test_elapsed_time_only_when_asked_for(eager, capsys):
    for _ in progress(range(1), elapsed=True):
        time.sleep(0.06)
    assert last_drawn(capsys.readouterr().out).endswith("1/1  0.1 s\n")


def test_a_generator_needs_a_total(capsys):
    assert list(progress((i for i in range(2)), total=2)) == [0, 1]
    assert len(progress(range(7))) == 7
    assert list(progress([])) == []
    with pytest.raises(ValueError, match="total must be given for a generator"):
        progress(i for i in range(2))
    with pytest.raises(ValueError, match="total must be 0 or more, got -1"):
        progress([], total=-1)


@pytest.mark.parametrize("total", [2.5, True, "3"], ids=str)
def test_the_total_is_a_whole_number(total):
    with pytest.raises(TypeError, match="total must be a whole number, got"):
        progress(range(3), total)


def test_a_number_of_steps_is_no_list_of_them():
    with pytest.raises(TypeError, match="iterable must be a list, got int"):
        progress(5)
