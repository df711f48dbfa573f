"""Signals are wishes, and the bar is a bar."""

import multiprocessing
import os
import signal

import pytest
from tqdm import tqdm

from companion.training import stopping

FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


@pytest.mark.verifies("heeding", "the first signal is a wish, the second what it always is")
@pytest.mark.verifies("Wish", "says whether the run was asked to stop")
@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_the_first_signal_is_a_wish_and_the_handler_is_as_before(number):
    before = signal.getsignal(number)
    with stopping.heeding() as wish:
        assert not wish.stop
        assert signal.getsignal(number) != before
        signal.raise_signal(number)
        assert wish.stop
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_a_handler_that_was_there_is_there_again_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), stopping.heeding():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.verifies("bar", "shows values, and knows the last step")
@pytest.mark.verifies("Bar", "shows values, and knows the last step")
def test_the_bar_shows_values_and_knows_the_last_step(monkeypatch, capsys):
    monkeypatch.delenv("COMPANION_QUIET", raising=False)
    seen = []
    for step in (bar := stopping.bar(range(3, 6), description="training")):
        seen.append((step, bar.last))
        bar.set(loss=0.5)
        bar.set(lr=step)
    assert seen == [(3, False), (4, False), (5, True)]
    shown = capsys.readouterr().err
    assert "training: 100%" in shown
    assert "loss=0.5, lr=5" in shown


def test_the_bar_can_be_silent(monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_QUIET", "")
    for _ in (bar := stopping.bar(range(2))):
        bar.set(loss=0.5)
    assert capsys.readouterr() == ("", "")


def goes_on_after_its_child_was_killed():
    """Draw a bar after a forked process was killed while it drew one."""
    child = FORK.Process(target=killed_while_it_draws)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert list(stopping.bar(range(3))) == [0, 1, 2]


def killed_while_it_draws():
    tqdm.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(FORK is None, reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_is_killed_while_it_draws_holds_nobody_up():
    process = FORK.Process(target=goes_on_after_its_child_was_killed)
    process.start()
    try:
        process.join(30)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
