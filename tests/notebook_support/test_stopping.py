"""companion.notebook.stoppable: an estimate first, and a stop button that keeps what there is."""

import os
import queue
import signal
import threading
import time

import pytest
from jupyter_client.manager import start_new_kernel

from companion.notebook import stoppable, stopping
from tools.execute import last_drawn

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
