"""companion.notebook: schematic drawings, read back as the SVG that they are."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from companion.notebook import Drawing, lettering
from companion.notebook.drawing import SCALE

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing):
    return ET.fromstring(drawing._repr_svg_())


def found(drawing, tag):
    return list(parsed(drawing).iter(f"{SVG}{tag}"))


def texts(drawing):
    return ["".join(text.itertext()) for text in found(drawing, "text")]


def points(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def test_the_size_on_the_page_is_that_of_the_drawing_times_a_scale():
    svg = parsed(Drawing(200, 100))
    assert svg.get("viewBox").split() == ["0", "0", f"{200 * SCALE:g}", f"{100 * SCALE:g}"]
    assert (float(svg.get("width")), float(svg.get("height"))) == (200 * SCALE, 100 * SCALE)


def test_a_box_is_where_and_as_large_as_asked():
    d = Drawing(200, 100)
    d.box(60, 40, "linear", width=80, height=20)
    box = found(d, "rect")[1]  # the first is the ground
    assert [float(box.get(name)) for name in ("x", "y", "width", "height")] == [20, 30, 80, 20]
    assert texts(d) == ["linear"]


def test_a_box_without_a_width_holds_its_text():
    d = Drawing(300, 100)
    short, long = d.box(50, 50, "a"), d.box(180, 50, "weighted sum")
    assert short.width < long.width
    assert long.width > 12 * 6  # letters of 13 are some 6 to 8 wide


def test_an_arrow_runs_from_border_to_border():
    d = Drawing(300, 100)
    left, right = d.box(50, 50, width=40), d.circle(200, 50, radius=10)
    d.arrow(left, right)
    (line,), (head,) = found(d, "polyline"), found(d, "polygon")
    assert points(line)[0] == (70, 50)
    assert max(points(head)) == (190, 50)  # its point touches the circle


def test_a_slanting_arrow_meets_a_box_at_its_border():
    d = Drawing(300, 300)
    d.arrow((150, 10), d.box(50, 210, width=40, height=40))
    (head,) = found(d, "polygon")
    x, y = points(head)[0]
    assert y == pytest.approx(190)
    assert (x - 50) / (y - 210) == pytest.approx((150 - 50) / (10 - 210), abs=1e-3)


def test_an_arrow_goes_by_its_corners():
    d = Drawing(300, 100)
    d.arrow((10, 90), (200, 90), via=[(10, 20), (200, 20)], head=False)
    assert points(*found(d, "polyline")) == [(10, 90), (10, 20), (200, 20), (200, 90)]


def test_a_gradient_on_its_way_back_is_dashed_and_of_another_colour():
    d = Drawing(300, 100)
    d.arrow((10, 10), (100, 10))
    d.arrow((100, 50), (10, 50), back=True)
    there, back = found(d, "polyline")
    assert there.get("stroke-dasharray") is None
    assert back.get("stroke-dasharray")
    assert there.get("stroke") != back.get("stroke")


@pytest.mark.parametrize(("side", "above"), [(1, True), (-1, False)])
def test_a_label_stands_beside_the_longest_part_of_its_arrow(side, above):
    d = Drawing(300, 100)
    d.arrow((10, 20), (290, 60), "(2, 3)", via=[(10, 60)], side=side)
    (label,) = found(d, "text")
    assert float(label.get("x")) == 150
    assert (float(label.get("y")) < 60) == above


def test_a_grid_has_its_numbers_in_rows_and_marks_some():
    d = Drawing(300, 100)
    d.grid(150, 50, np.array([[1, -2.5], [0, 3]]), cell=30, marked=[(0, 1)])
    assert sorted(texts(d)) == sorted(["1", "−2.50", "0", "3"])
    cells = found(d, "rect")[1:]
    fills = [cell.get("fill") for cell in cells]
    assert len(cells) == 4
    assert fills.count(fills[-1]) == 1  # the marked one is drawn last
    assert (float(cells[-1].get("x")), float(cells[-1].get("y"))) == (150, 20)


def test_letters_of_formulas_are_slanted_and_indices_small_and_low():
    d = Drawing(300, 100)
    d.text(100, 50, r"loss $\hat y_{11}^2$")
    spans = [span for span in found(d, "tspan") if span.get("x") is None]
    slanted = [span.text for span in spans if span.get("font-style") == "italic"]
    small = [(span.text, float(span.get("dy", 0)) > 0) for span in spans if span.get("font-size")]
    assert slanted == ["y\u0302"]
    assert small == [("1", True), ("1", False), ("2", False)]  # down, on, and up again
    assert texts(d) == ["loss y\u0302112"]


def test_lines_of_a_text_stand_below_one_another_around_its_point():
    d = Drawing(300, 100)
    d.text(100, 50, "two\nlines")
    first, second = (float(span.get("dy")) for span in found(d, "tspan"))
    assert second > 0
    assert first < 0 < first + second


def test_a_drawing_is_the_same_every_time():
    def made():
        d = Drawing(300, 100)
        d.arrow(d.box(50, 50, "a"), d.circle(200, 50, "$x_1$"), "(2)")
        return d._repr_svg_()

    assert made() == made()


# -- translation ---------------------------------------------------------------------------------


def test_words_are_messages_and_symbols_are_not():
    d = Drawing(300, 120)
    d.box(100, 30, "weighted\nsum")
    d.box(200, 30, "$W_{11}$")
    d.text(100, 80, "(2, 3)", mono=True)
    d.text(100, 100, r"derivative of $\ell$")
    d.text(250, 100, "a & b are")
    assert lettering.words_of(d._repr_svg_()) == [
        "weighted sum",
        r"derivative of $\ell$",
        "a & b are",
    ]


def test_translated_words_stand_where_the_others_stood():
    d = Drawing(300, 100)
    d.text(100, 50, r"derivative of $\ell$", size=11, align="left")
    d.text(100, 80, "inputs")
    said = {r"derivative of $\ell$": r"$\ell$ 的导数"}
    svg = ET.fromstring(lettering.translated(d._repr_svg_(), lambda word: said.get(word, word)))
    first, second = svg.iter(f"{SVG}text")
    assert "".join(first.itertext()) == "ℓ 的导数"
    assert "".join(second.itertext()) == "inputs"
    assert [first.get(name) for name in ("x", "y", "text-anchor")] == ["100", "50", "start"]


def test_nothing_changes_without_a_translation():
    d = Drawing(300, 100)
    d.text(100, 50, "inputs <&>")
    assert lettering.translated(d._repr_svg_(), str) == d._repr_svg_()


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda d: Drawing(341, 10), "at most 340, and height above 0, got 341 and 10"),
        (lambda d: d.box(10, 50, width=40), r"the box at \(10, 50\), 40 by 30, reaches beyond"),
        (lambda d: d.circle(100, 95, radius=10), "the circle .* reaches beyond"),
        (lambda d: d.grid(100, 50, [[1, 2], [3]]), "rows of one length, got .2, 1."),
        (lambda d: d.grid(100, 50, [[0] * 9], cell=24), "the grid .* reaches beyond"),
        (lambda d: d.text(190, 50, "a long text at the edge"), "the text .* reaches beyond"),
        (lambda d: d.text(50, 101, "below"), "the text 'below' .* reaches beyond"),
        (lambda d: d.box(100, 50, "x", kind="input"), "kind must be one of data, .*'input'"),
        (lambda d: d.text(100, 50, "x", align="top"), "align must be one of left, .*'top'"),
        (lambda d: d.text(100, 50, r"$\frac$"), r"\\frac is not known"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, says):
    with pytest.raises(ValueError, match=says):
        draw(Drawing(200, 100))


def test_a_drawing_says_what_it_is_where_it_cannot_be_shown():
    assert repr(Drawing(340, 60)) == "Drawing of 340 by 60"
    assert re.match(r"<svg\b", Drawing(340, 60)._repr_svg_())
