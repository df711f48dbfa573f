"""companion.notebook.explore: drawn live, or every state ahead for sliders that need no kernel.

How it behaves in a real kernel is tested in tests/notebooks/test_live_widgets.py.
"""

import base64
import io
import json
import re

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from ipywidgets.embed import dependency_state
from PIL import Image

from companion.notebook import attention_map, explore, use_style, widgets
from companion.notebook.pictures import pixels


def draw(a=0, b=0, c=0):
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.plot([a, b, c])
    return figure


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setenv("COMPANION_WIDGETS", "stored")
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def text_of(html):
    return re.search(r'alt="([^"]*)"', html.value)[1]


def visible(box):
    """Return the picture that a page shows for the present selection."""
    widget = box.children[-1]
    while isinstance(widget, ipywidgets.Stack):
        widget = widget.children[widget.selected_index]
    return text_of(widget)


def links(box):
    """Return the browser's links as (slider, stack) pairs, from what a page would hold."""
    state = dependency_state([box])
    models = {m: s for m, s in state.items() if s["model_name"] == "LinkModel"}
    ends = []
    for model in models.values():
        (source, name), (target, attribute) = model["state"]["source"], model["state"]["target"]
        assert (name, attribute) == ("index", "selected_index")
        ends.append((source.removeprefix("IPY_MODEL_"), target.removeprefix("IPY_MODEL_")))
    return ends


def follow(box, sliders):
    """Do what the browser does when sliders stand at the given indices."""
    by_id = {}

    def collect(widget):
        by_id[widget.model_id] = widget
        for child in getattr(widget, "children", ()):
            collect(child)

    collect(box)
    for slider, index in zip(box.children[1:-1], sliders, strict=True):
        for source, target in links(box):
            if source == slider.model_id:
                by_id[target].selected_index = index


@pytest.mark.verifies("explore", "every setting of the sliders")
def test_each_position_of_the_sliders_shows_its_own_picture(displayed):
    explore(draw, alt="a={a} b={b} c={c}", a=[1, 2], b={"low": 3, "mid": 4, "high": 5}, c=[0.5, 6])
    (box,) = displayed
    assert [list(s.options) for s in box.children[1:-1]] == [
        ["1", "2"],
        ["low", "mid", "high"],
        ["0.5", "6"],
    ]
    for i, a in enumerate([1, 2]):
        for j, b in enumerate([3, 4, 5]):
            for k, c in enumerate([0.5, 6]):
                follow(box, (i, j, k))
                assert visible(box) == f"a={a} b={b} c={c}"


def test_a_widget_begins_where_it_is_told_to(displayed):
    kinds = {"low": 3, "high": 4}
    explore(
        draw, alt="{a} {b} {c}", begin={"a": 0.5, "b": "high"}, a=[0, 0.5, 1], b=kinds, c=[7, 8]
    )
    (box,) = displayed
    assert [control.index for control in box.children[1:-1]] == [1, 1, 0]
    assert visible(box) == "0.5 4 7"
    follow(box, (2, 0, 1))
    assert visible(box) == "1 3 8"


@pytest.mark.parametrize("begin", [{"a": 3}, {"b": 1}])
def test_a_widget_cannot_begin_at_what_it_does_not_have(begin):
    with pytest.raises(ValueError, match="begin must be values of the axes, got "):
        explore(draw, alt="", begin=begin, a=[1, 2])


@pytest.mark.parametrize("values", ["abc", b"abc", {1, 2}], ids=str)
def test_the_values_of_an_axis_are_a_list(values):
    """A text would be taken for its letters, and a set has no order."""
    with pytest.raises(TypeError, match="axis a must be a list of values, got"):
        explore(draw, alt="", a=values)


def test_one_axis_and_a_function_for_the_text(displayed):
    explore(draw, alt=lambda a: f'"{a}" <b>', a=[1, 2, 3])
    (box,) = displayed
    follow(box, (2,))
    assert visible(box) == "&quot;3&quot; &lt;b&gt;"
    assert box.children[1].description == "a"


def test_quantities_have_sliders_and_kinds_have_buttons(displayed):
    explore(draw, alt="", a=[-1, 1e-3, 2.5], b={"none": 0, "4": 4}, c={"−2": -2, "3": 3})
    kinds = [type(control).__name__ for control in displayed[0].children[1:-1]]
    assert kinds == ["SelectionSlider", "ToggleButtons", "SelectionSlider"]


def test_a_control_is_called_by_words_or_by_its_symbol(displayed):
    def three(warm_up, d_k, n_heads):
        return draw(warm_up, d_k, n_heads)

    explore(three, alt="", warm_up=[1, 2], d_k=[1, 2], n_heads=[1, 2])
    names = [control.description for control in displayed[0].children[1:-1]]
    assert names == ["warm up", "d_k", "n_heads"]


def decoded(text):
    kind, data = re.search(r"data:image/(\w+);base64,([^\")]+)", text).groups()
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format.lower() == kind
    return image


@pytest.mark.verifies("explore", "the figure, pixel by pixel")
def test_ground_and_picture_together_are_the_figure(displayed):
    """What the browser lays over one another is what matplotlib drew, but for few colours."""
    plt.close("all")
    explore(draw, alt="{a}", a=[1, 2])
    assert plt.get_fignums() == []
    sheet, stack = displayed[0].children[0], displayed[0].children[-1]
    name = re.search(r"\.([\w-]+) \{ background", sheet.value)[1]
    for value, html in zip([1, 2], stack.children, strict=True):
        assert f'class="companion-explore {name}"' in html.value
        assert 'width="300" height="200"' in html.value
        seen = decoded(sheet.value).convert("RGBA")
        seen.alpha_composite(decoded(html.value).convert("RGBA"))
        drawn = pixels(draw(value))
        assert drawn.shape == (300, 450, 3)
        assert np.abs(np.asarray(seen)[..., :3].astype(int) - drawn).mean() < 1
        assert np.asarray(seen)[..., 3].min() == 255


def test_figures_of_different_sizes_take_the_same_room(displayed):
    """Nothing may move when one replaces another."""

    def black(a):
        figure = plt.figure(figsize=(a, 3 - a))
        figure.add_axes((0, 0, 1, 1), facecolor="black", xticks=[], yticks=[])
        return figure

    explore(black, alt="", a=[1, 2])
    sheet, stack = displayed[0].children[0], displayed[0].children[-1]
    for html, (width, height) in zip(stack.children, [(150, 300), (300, 150)], strict=True):
        assert 'width="200" height="200"' in html.value
        seen = decoded(sheet.value).convert("RGBA")
        seen.alpha_composite(decoded(html.value).convert("RGBA"))
        assert seen.size == (300, 300)
        dark = np.asarray(seen.convert("L")) < 128
        assert dark[:height, :width].mean() > 0.95
        assert dark.sum() == dark[:height, :width].sum()


def test_maps_of_attention_are_small(displayed):
    """At this size, all 72 heads of MiniLM fit into one widget."""
    tokens = [
        "[CLS]",
        "the",
        "animal",
        "did",
        "not",
        "cross",
        "the",
        "street",
        "because",
        "it",
        "was",
        "too",
        "tired",
        ".",
        "[SEP]",
    ]
    generator = np.random.default_rng(0)

    def head(layer, head):
        _, ax = plt.subplots(figsize=(5, 5))
        weights = generator.dirichlet(np.full(len(tokens), 0.1), size=len(tokens))
        return attention_map(weights, tokens, ax=ax).figure

    use_style()
    explore(head, alt="layer {layer}, head {head}", layer=range(2), head=range(3))
    sheet, *_, stack = displayed[0].children
    each = max(len(html.value) for inner in stack.children for html in inner.children)
    assert len(sheet.value) + 72 * (each + 1_000) < 400_000


def test_all_pictures_share_one_layout_and_one_style(displayed):
    explore(draw, alt="{a}", a=range(5))
    frames = displayed[0].children[-1].children
    assert len({id(frame.layout) for frame in frames}) == 1
    assert len({id(frame.style) for frame in frames}) == 1


def test_the_same_figures_give_the_same_bytes(displayed):
    for _ in range(2):
        explore(draw, alt="{a}", a=[1, 2])
    first, second = ([html.value for html in box.children[-1].children] for box in displayed)
    assert first == second
    assert displayed[0].children[0].value == displayed[1].children[0].value


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({}, "axes must be 1 to 3, got 0"),
        ({"a": [1], "b": [1], "c": [1], "d": [1]}, "axes must be 1 to 3, got 4"),
        ({"a": []}, "axis a must have at least one value"),
        ({"a": [1, 1]}, "axis a must have distinct labels"),
    ],
)
def test_bad_axes(axes, says):
    with pytest.raises(ValueError, match=says):
        explore(draw, alt="", **axes)


@pytest.mark.usefixtures("displayed")
def test_too_large_a_widget_says_how_large_and_what_to_do(monkeypatch):
    monkeypatch.setattr(widgets, "MOST_BYTES", 10_000)
    with pytest.raises(ValueError, match=r"under 10 kB, got \d+ kB for 8 pictures \(4 a x 2 b\)"):
        explore(draw, alt="", a=range(4), b=range(2))


def test_the_limit_counts_all_that_a_page_holds(displayed, monkeypatch):
    explore(draw, alt="{a}", a=range(4), b=range(2))
    stored = len(json.dumps(dependency_state(displayed, drop_defaults=True)))
    monkeypatch.setattr(widgets, "MOST_BYTES", stored)
    explore(draw, alt="{a}", a=range(4), b=range(2))
    monkeypatch.setattr(widgets, "MOST_BYTES", stored - 1)
    with pytest.raises(ValueError, match="must stay under"):
        explore(draw, alt="{a}", a=range(4), b=range(2))


@pytest.mark.parametrize("where", ["stored", ""])
def test_something_else_than_a_figure_is_refused(monkeypatch, where):
    monkeypatch.setenv("COMPANION_WIDGETS", where)
    with pytest.raises(TypeError, match="must return a matplotlib figure, got str"):
        explore(lambda a: "figure", alt="", a=[1])


class TestLive:
    """Where nothing else is asked for, a figure is drawn when a control has moved."""

    @pytest.fixture
    def explorer(self, monkeypatch):
        """Return the calls of the function, and what `explore` displays."""
        calls, shown = [], []

        def record(a, b):
            calls.append((a, b))
            return draw(a, b)

        monkeypatch.delenv("COMPANION_WIDGETS", raising=False)
        monkeypatch.setattr("IPython.display.display", shown.append)
        explore(record, alt="{a} {b}", a={"one": 1, "two": 2}, b=[3, 4])
        (explorer,) = shown
        return calls, explorer, shown

    def test_only_the_state_in_view_is_drawn(self, explorer):
        calls, _, _ = explorer
        assert calls == [(1, 3)]

    def test_what_it_begins_with_is_drawn(self, explorer):
        _, _, shown = explorer
        explore(draw, alt="{a}", begin={"a": 2}, a=[1, 2])
        assert shown[-1].controls["a"].value == "2"
        assert 'alt="2"' in shown[-1].first

    def test_a_control_draws_anew_with_the_values_behind_the_labels(self, explorer):
        calls, live, shown = explorer
        live.controls["a"].value = "two"
        live.controls["b"].index = 1
        assert calls[1:] == [(2, 3), (2, 4)]
        assert 'alt="2 4"' in shown[-1].data

    def test_a_slider_that_is_dragged_draws_where_it_stops(self, explorer):
        assert not explorer[1].controls["b"].continuous_update

    def test_where_there_are_no_controls_the_first_state_is_shown_and_why(self, explorer):
        """Pages and programs that know nothing of widgets take HTML or text instead."""
        calls, live, _ = explorer
        bundle = live._repr_mimebundle_()
        view = bundle["application/vnd.jupyter.widget-view+json"]
        assert 'alt="1 3"' in bundle["text/html"]
        assert bundle["text/html"].endswith(f"<p>{widgets.STILL}</p>")
        assert bundle["text/plain"] == f"1 3\n{widgets.STILL}"
        assert view["model_id"] == live.box.model_id
        assert list(live.box.children) == [*live.controls.values(), live.place]
        assert calls == [(1, 3)]
