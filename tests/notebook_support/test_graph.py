"""companion.notebook: the picture of a computation."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Annotation

from companion.autograd import Tensor
from companion.notebook import draw_graph, use_style


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        use_style()
        yield
    plt.close("all")


def neuron():
    """Return the loss of one neuron: relu(w x + b) against 1."""
    w, b = Tensor(0.5, requires_grad=True, name="w"), Tensor(-1.0, requires_grad=True, name="b")
    z = w * Tensor(3.0, name="x") + b
    z.name = "z"
    loss = (z.relu() - 1.0) ** 2
    loss.name = "loss"
    return loss


def texts(ax):
    return [t for t in ax.texts if not isinstance(t, Annotation)]


def boxes(ax):
    """Return what is written in each box, from the top down, and where the box stands."""
    found = {}
    for patch in (p for p in ax.patches if isinstance(p, FancyBboxPatch)):
        x, y = patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2
        inside = [t for t in texts(ax) if np.allclose(t.get_position()[0], x, atol=0.01)]
        inside = [t for t in inside if abs(t.get_position()[1] - y) < 0.4]
        lines = [t.get_text() for t in sorted(inside, key=lambda t: t.get_position()[1])]
        found[lines[0]] = (lines[1:], (x, y), patch)
    return found


@pytest.mark.verifies("draw_graph", "every box of one neuron, read back")
def test_each_box_says_what_it_is():
    loss = neuron()
    loss.backward()
    said = {head: lines for head, (lines, _, _) in boxes(draw_graph(loss)).items()}
    # z = 0.5, and 0.5 less 1 squared; the slope 2 · (−0.5) = −1 goes back unchanged, w gets it · 3.
    assert said == {
        "w": ["0.500", "∇ −3.000"],
        "x": ["3.000"],
        "b": ["−1.000", "∇ −1.000"],
        "×": ["1.500", "∇ −1.000"],
        "z = +": ["0.500", "∇ −1.000"],
        "relu": ["0.500", "∇ −1.000"],
        "+ −1": ["−0.500", "∇ −1.000"],
        "loss = ^2": ["0.250", "∇ 1.000"],
    }


def test_without_a_backward_pass_there_are_no_gradients():
    assert not any("∇" in text.get_text() for text in draw_graph(neuron()).texts)


def test_every_input_stands_left_of_its_use():
    x = {head: place[0] for head, (_, place, _) in boxes(draw_graph(neuron())).items()}
    chain = ["×", "z = +", "relu", "+ −1", "loss = ^2"]
    assert [round(x[head]) for head in chain] == [1, 2, 3, 4, 5]
    assert [round(x[head]) for head in ("w", "x", "b")] == [0, 0, 1]  # just before their use


def test_lines_join_the_boxes_they_should():
    ax = draw_graph(neuron())
    places = {head: place for head, (_, place, _) in boxes(ax).items()}
    ends = [(line.get_xdata()[[0, -1]], line.get_ydata()[[0, -1]]) for line in ax.lines]

    def box_at(x, y):
        return min(places, key=lambda head: np.hypot(places[head][0] - x, places[head][1] - y))

    joined = {(box_at(x[0], y[0]), box_at(x[1], y[1])) for x, y in ends}
    pairs = [("w", "×"), ("x", "×"), ("×", "z = +"), ("b", "z = +")]
    pairs += [("z = +", "relu"), ("relu", "+ −1"), ("+ −1", "loss = ^2")]
    assert joined == set(pairs)


def test_what_needs_no_gradient_is_dashed():
    found = boxes(draw_graph(neuron()))
    assert {h for h, (_, _, box) in found.items() if box.get_linestyle() == "--"} == {"x"}


def test_no_box_covers_another_or_a_line():
    """A graph with long lines: every leaf is used near the start and near the end."""
    leaves = [Tensor(float(i), requires_grad=True, name=f"x{i}") for i in range(4)]
    out = leaves[0] * leaves[1]
    for leaf in [*leaves, *leaves]:
        out = (out * leaf).tanh() + leaf
    ax = draw_graph(out)
    places = [(p.get_x() + 0.3, p.get_y() + 0.34) for p in ax.patches if hasattr(p, "get_x")]
    assert len(places) == 4 + 1 + 8 * 3
    for (x, y), (u, v) in itertools.combinations(places, 2):
        assert round(x) != round(u) or abs(y - v) > 0.99
    for line in ax.lines:
        xs, ys = line.get_xdata(), line.get_ydata()
        middle = slice(1, -1)  # where it begins and ends it touches its boxes
        for x, y in places:
            inside = (abs(xs - x) < 0.3) & (abs(ys - y) < 0.34)
            assert not inside[middle].any()


def test_of_a_large_array_the_shape_is_written():
    x = Tensor(np.ones((5, 4)), name="X")
    w = Tensor(np.ones((4, 3)), requires_grad=True, name="W")
    b = Tensor([0.0, 0.5, 1.0], requires_grad=True, name="b")
    pair = Tensor([0.25, 0.5], requires_grad=True, name="pair")
    loss = ((x @ w) + b).mean() * pair
    said = {head: lines for head, (lines, _, _) in boxes(draw_graph(loss, decimals=2)).items()}
    assert said["X"] == ["5 × 4"]
    assert said["b"] == ["3 numbers"]
    assert said["pair"] == ["0.25, 0.50"]
    assert "× 0.0667" in said  # of the mean


def test_a_value_used_twice_is_drawn_once():
    x = Tensor(2.0, requires_grad=True, name="x")
    assert len(boxes(draw_graph(x * x + x))) == 3


def test_a_long_computation_needs_no_recursion():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(1500):
        y = y.tanh()
    _, ax = plt.subplots()
    assert draw_graph(y, ax=ax) is ax


def test_a_single_leaf_and_a_title():
    ax = draw_graph(Tensor(1.0, requires_grad=True, name="w"), title="Alone")
    assert list(boxes(ax)) == ["w"]
    assert ax.get_title(loc="left") == "Alone"


def test_anything_else_is_refused():
    with pytest.raises(TypeError, match=r"result must be a companion.autograd.Tensor, got ndarray"):
        draw_graph(np.ones(2))
