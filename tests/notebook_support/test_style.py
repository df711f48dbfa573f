"""companion.notebook: the look of figures, and maps of attention."""

import colorsys
import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from companion.notebook import attention_map, use_style
from companion.notebook.style import COLOURS, WEIGHTS_MAP


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        use_style()
        yield
    plt.close("all")


def luminance(colour):
    channels = np.asarray(mpl.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_figures_are_sharp_and_on_solid_white():
    figure, ax = plt.subplots()
    ax.plot([1, 2])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    image = Image.open(buffer)
    assert image.size == (1400, 720)
    assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


@pytest.mark.verifies("use_style", "contrast of the colours, computed")
def test_the_colours_of_lines_stand_out_from_white():
    assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(COLOURS)
    contrast = {colour: 1.05 / (luminance(colour) + 0.05) for colour in COLOURS}
    assert min(contrast.values()) > 2
    assert all(contrast[colour] > 3 for colour in COLOURS[:3])


@pytest.mark.parametrize("inverted", [False, True])
def test_more_weight_is_always_further_from_the_page(inverted):
    """Also when a dark page turns black to white and keeps the hue."""
    colours = mpl.colormaps[WEIGHTS_MAP](np.linspace(0, 1, 64))[:, :3]
    if inverted:
        turned = [colorsys.rgb_to_hls(*(1 - colour)) for colour in colours]
        colours = [colorsys.hls_to_rgb((h + 0.5) % 1, light, s) for h, light, s in turned]
    steps = np.diff([luminance(colour) for colour in colours])
    assert (steps > 0).all() if inverted else (steps < 0).all()


@pytest.mark.verifies("attention_map", "the colours drawn, read back")
def test_rows_are_queries_and_columns_are_keys():
    weights = np.array([[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]])
    ax = attention_map(torch.tensor(weights), ["q1", "q2"], ["k1", "k2", "k3"], title="Head 1")
    assert np.array_equal(ax.images[0].get_array(), weights)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["k1", "k2", "k3"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["q1", "q2"]
    assert "key" in ax.get_xlabel()
    assert "query" in ax.get_ylabel()
    assert ax.get_title(loc="left") == "Head 1"
    cells = {t.get_position(): t.get_text() for t in ax.texts}
    assert cells[(1, 0)] == "0.75"


def test_numbers_are_written_only_into_small_maps():
    tokens = list("attention")
    assert len(attention_map(np.eye(9), tokens).texts) == 0
    assert len(attention_map(np.eye(9), tokens, values=True).texts) == 81
    assert len(attention_map(np.eye(2), ["a", "b"], values=False).texts) == 0


def test_the_given_axes_are_used():
    _, ax = plt.subplots()
    assert attention_map(np.eye(2), ["a", "b"], ax=ax) is ax


def test_a_row_that_sees_nothing_may_be_all_zero():
    attention_map(np.array([[1.0, 0.0], [0.0, 0.0]]), ["a", "b"])


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (np.eye(3), r"must have shape \(2, 2\).*got \(3, 3\)"),
        (np.array([[0.5, 0.5], [0.5, 0.6]]), "row 1 sums to 1.1"),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), "row 1 sums to 1 with smallest entry -0.5"),
        (np.array([[0.5, 0.5], [np.nan, 1.0]]), "row 1 sums to nan"),
    ],
)
def test_what_is_no_attention_is_refused(weights, says):
    with pytest.raises(ValueError, match=says):
        attention_map(weights, ["a", "b"])
