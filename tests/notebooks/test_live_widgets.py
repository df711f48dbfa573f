"""Widgets in a real kernel: a page's messages move the controls, and the kernel draws."""

import re

import pytest
from jupyter_client.manager import KernelManager

from tests.notebooks.talking import VIEW, Talk, controls, errors, pictures, streams

EXPLORE = """
import matplotlib.pyplot as plt
from companion.notebook import explore

drawn = []

def draw(height, colour):
    drawn.append((height, colour))
    print("drawing", height, colour)
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.bar([0], [1 / height], color=colour)
    return figure

colours = {"A": "red", "B": "blue"}
explore(draw, alt="{colour} bar of height {height}", height=[1, 2, 0], colour=colours)
"""
BROKEN = EXPLORE.replace("height=[1, 2, 0]", "height=[0, 1]")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with Talk(KernelManager(kernel_name="python3"), tmp_path_factory.mktemp("kernel")) as talk:
        yield talk


@pytest.fixture(scope="module")
def shown(kernel):
    return kernel.run(EXPLORE)


def alts(messages):
    return [re.search('alt="(.*?)"', picture)[1] for picture in pictures(messages)]


def view(messages):
    """Return what the cell displays: the controls, and what stands in for them."""
    (data,) = (
        m["content"]["data"]
        for m in messages
        if m["msg_type"] == "display_data" and VIEW in m["content"]["data"]
    )
    return data


def test_it_is_there_after_one_drawing(shown):
    assert errors(shown) == []
    assert streams(shown) == "drawing 1 red\n"
    assert alts(shown) == ["red bar of height 1"]
    assert 'alt="red bar of height 1"' in view(shown)["text/html"]


def test_what_is_moved_is_drawn(kernel, shown):
    height, colour = controls(shown)
    assert alts(kernel.move(height, 1)) == ["red bar of height 2"]
    moved = kernel.move(colour, 1)
    assert alts(moved) == ["blue bar of height 2"]
    assert streams(moved) == "drawing 2 blue\n"
    assert alts(kernel.move(height, 0)) == ["blue bar of height 1"]


def test_an_error_is_shown_and_forgotten_when_the_control_moves_on(kernel, shown):
    height, _ = controls(shown)
    failed = kernel.move(height, 2)
    assert errors(failed) == ["ZeroDivisionError: division by zero"]
    assert pictures(failed) == []
    cleared = [m["content"] for m in failed if m["msg_type"] == "clear_output"]
    assert cleared[-1:] == [{"wait": True}]
    left = kernel.run("plt.get_fignums()")  # nothing half drawn comes with the next cell
    assert "".join(str(m["content"].get("data")) for m in left).count("'[]'") == 1
    assert not any(m["msg_type"] == "display_data" for m in left)
    mended = kernel.move(height, 0)
    assert errors(mended) == []
    assert len(pictures(mended)) == 1


def test_what_is_drawn_later_is_shown_in_the_place_of_the_first(kernel, shown):
    """The page puts what comes into the output whose `msg_id` is that of the message it sent."""
    height, _ = controls(shown)
    moved = kernel.move(height, 1)
    (picture,) = (m for m in moved if m["msg_type"] == "display_data")
    taken = [
        m["content"]["data"]["state"]["msg_id"]
        for m in moved[: moved.index(picture)]
        if m["msg_type"] == "comm_msg" and "msg_id" in m["content"]["data"].get("state", {})
    ]
    assert picture["parent_header"]["msg_id"] == taken[-1]


def test_an_error_in_the_first_state_is_the_cells(kernel):
    failed = kernel.run(BROKEN)
    assert errors(failed) == ["ZeroDivisionError: division by zero"]
    assert not any(m["msg_type"] == "display_data" for m in failed)


def test_for_the_pages_every_state_is_drawn_ahead(tmp_path):
    code = EXPLORE.replace("[1, 2, 0]", "[1, 2]") + "\nprint(len(drawn), 'states')"
    with Talk(KernelManager(kernel_name="python3"), tmp_path, COMPANION_WIDGETS="stored") as talk:
        messages = talk.run(code)
    assert streams(messages).endswith("4 states\n")
    assert "text/html" not in view(messages)
