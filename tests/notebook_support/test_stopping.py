"""companion.notebook.stoppable: an estimate first, and a stop button that keeps what there is."""

import os
import queue
import signal
import threading
import time

import pytest
from jupyter_client.manager import start_new_kernel

from companion.notebook import CheckFailed, catches, check, stop_button, stoppable, stopping
from tools.chapters.execute import last_drawn

CELL = """
import time
from companion.notebook import stoppable

history = []
for step in (bar := stoppable(range(10_000), description="training")):
    time.sleep(0.01)
    history.append(step)
print("after the loop:", len(history) == bar.done, bar.stopped)
"""


def press():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def clock(monkeypatch):
    """Let time stand still but for what a step takes."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("first", "each", "says"),
    [
        (5.0, 0.1, "training: 100 steps, about 9 s to go"),
        (0.1, 1.0, "training: 100 steps, about 96 s to go".replace("96 s", "2 min")),
        (1.0, 200, "training: 100 steps, about 5.3 h to go"),
        (0.0, 0.0, "training: 100 steps, about 1 s to go"),
    ],
)
@pytest.mark.verifies("stoppable", "a clock moved by hand")
def test_the_estimate_leaves_the_first_step_out(clock, capsys, first, each, says):
    for step in stoppable(range(100), description="training"):
        clock[0] += each if step else first
    assert capsys.readouterr().out.splitlines()[0] == says


def test_the_estimate_comes_before_the_bar(clock, capsys):
    for _ in stoppable(range(10)):
        clock[0] += 1.0
    first, rest = capsys.readouterr().out.split("\n", 1)
    assert first == "10 steps, about 6 s to go"
    assert last_drawn(rest) == "████████████████████ 100% 10/10  10.0 s\n"


def test_a_short_loop_needs_no_estimate(capsys):
    assert list(stoppable(range(3))) == [0, 1, 2]
    assert "to go" not in capsys.readouterr().out


def test_the_step_at_hand_is_finished_and_nothing_is_raised(capsys):
    before = signal.getsignal(signal.SIGINT)
    done = []
    for step in (bar := stoppable(range(100))):
        if step == 5:
            press()
        done.append(step)
    assert (done, bar.stopped, bar.done) == ([0, 1, 2, 3, 4, 5], True, 6)
    assert "stopped after 6 of 100; what was done so far is kept" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


def test_pressed_again_it_interrupts_at_once(capsys):
    before = signal.getsignal(signal.SIGINT)
    done = []

    def train():
        for step in stoppable(range(100)):
            press()
            press()
            done.append(step)

    with pytest.raises(KeyboardInterrupt):
        train()
    assert done == []
    assert signal.getsignal(signal.SIGINT) is before


def test_a_failing_step_leaves_the_stop_button_as_it_was():
    before = signal.getsignal(signal.SIGINT)

    def fail():
        for _ in stoppable(range(10)):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert signal.getsignal(signal.SIGINT) is before


def test_in_a_thread_it_is_a_plain_bar(capsys):
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(stoppable(range(5))))
    thread.start()
    thread.join()
    assert seen == [0, 1, 2, 3, 4]


def test_totals_are_checked_as_those_of_a_bar():
    with pytest.raises(ValueError, match="total must be given for a generator"):
        stoppable(i for i in range(2))
    with pytest.raises(ValueError, match="total must be 0 or more, got -1"):
        stoppable([], total=-1)
    assert stopping.Stoppable([], 0, "").total == 0


def test_the_stop_button_of_a_notebook():
    """A real kernel is interrupted as a notebook does it; the cell goes on after its loop."""
    manager, client = start_new_kernel(extra_arguments=["--log-level=40"])
    try:
        client.execute(CELL)
        said, pressed = "", False
        while True:
            message = client.get_iopub_msg(timeout=60)
            kind, content = message["msg_type"], message["content"]
            assert kind != "error", content
            said += content.get("text", "") if kind == "stream" else ""
            if "to go" in said and not pressed:
                manager.interrupt_kernel()
                pressed = True
            if kind == "status" and content["execution_state"] == "idle" and pressed:
                break
    except queue.Empty:
        pytest.fail(f"the kernel says nothing more; so far: {said}")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "training: 10000 steps, about" in said
    assert "what was done so far is kept" in said
    assert said.endswith("after the loop: True True\n")


# -- several trainings ---------------------------------------------------------------------------


def train(steps=10, press_at=None, quiet=False):
    """Return the steps that one training makes."""
    done = []
    for step in stoppable(range(steps), description="one", quiet=quiet):
        if step == press_at:
            press()
        done.append(step)
    return done


@pytest.mark.verifies("stop_button", "trainings of a few steps, by hand")
def test_the_button_ends_all_trainings_of_a_block(capsys):
    before = signal.getsignal(signal.SIGINT)
    with stop_button("three"):
        runs = [train(), train(press_at=4), train()]
    assert runs == [list(range(10)), [0, 1, 2, 3, 4], [0]]
    assert capsys.readouterr().out.endswith("what was to come made one step\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_pressed_before_the_first_training_each_makes_one_step():
    with stop_button("two"):
        press()
        assert (train(), train()) == ([0], [0])


def test_pressed_twice_in_a_block_it_interrupts():
    def twice():
        with stop_button("two"):
            press()
            press()

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert train() == list(range(10))  # the next one begins anew


def test_a_loop_over_trainings_goes_on_and_hides_their_bars(capsys):
    runs = {name: train(press_at=2 if name == "b" else None) for name in stoppable("abc", 3)}
    assert runs == {"a": list(range(10)), "b": [0, 1, 2], "c": [0]}
    said = capsys.readouterr().out
    assert "one  " not in said  # no bar of that name
    assert "3/3" in said


def test_a_quiet_loop_draws_nothing_and_stops_all_the_same(capsys):
    assert train(quiet=True) == list(range(10))
    assert capsys.readouterr().out == ""
    assert train(quiet=True, press_at=3) == [0, 1, 2, 3]


def test_the_last_step_is_known_while_it_is_made():
    last = []
    for step in (bar := stoppable(range(9))):
        if step == 2:
            press()
        last.append(bar.last)
    assert last == [False, False, True]
    bar = stoppable(range(3))
    assert [bar.last for _ in bar] == [False, False, True]


def test_what_was_stopped_is_remembered_until_it_runs_to_its_end(capsys):
    with stop_button("recall"):
        train(press_at=0)
    check("two layers recall", 0.1, at_least=0.9)
    catches("rows sum to one", 1.0, 1.0)
    check("what holds", 1, 1)
    first, second, third = capsys.readouterr().out.splitlines()[-3:]
    again = "you stopped “recall”: run that cell again, to its end"
    assert first == f"– two layers recall: found 0.1, expected at least 0.90; {again}"
    assert second.endswith(again)
    assert third == "✓ what holds: 1, as expected"
    with stop_button("copying"):
        train(press_at=0)
    check("two layers recall", 0.1, at_least=0.9)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith("“recall”, “copying”: run those cells again, to their ends")
    with stop_button("copying"):
        train()
    with stop_button("recall"):
        train()
    with pytest.raises(CheckFailed):
        check("two layers recall", 0.1, at_least=0.9)
