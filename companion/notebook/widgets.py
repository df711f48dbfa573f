"""Figures with controls: drawn by the kernel when a control moves, or all of them ahead.

In Jupyter and on Colab a kernel runs, so only the state in view is drawn. The pages of the book
have none. When they are made, tools/chapters/execute.py sets ``COMPANION_WIDGETS`` to ``stored``:
then every state is drawn ahead, and the controls choose among the pictures in the browser.

For axes a, b, c these pictures stand in stacks within stacks: a stack over the values of a, each
of its entries a stack over b, each of those a stack over c. The index of a control (a slider over
quantities, buttons for kinds) is linked, in the browser, to the index of each stack of its level.
The built site makes plain controls and pictures of what is stored (tools/pages/widgets.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from companion.notebook.pictures import SHARPNESS, address, layers, of_one_size, pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["explore"]

MOST_AXES = 3
MOST_BYTES = 400_000

VIEW = "application/vnd.jupyter.widget-view+json"
STILL = "The controls work while the notebook runs, in Jupyter or on Colab."

Axes = dict[str, dict[str, Any]]


def explore(
    function: Callable[..., Figure],
    *,
    alt: str | Callable[..., str],
    begin: Mapping[str, Any] | None = None,
    **axes: Sequence[Any] | Mapping[str, Any],
) -> None:
    r"""Show a figure with controls, which also work in the built page, where no kernel runs.

    An axis whose labels are all numbers gets a slider, any other axis a button for each label.
    `function` is called for the value at which each axis begins, and again when a control has
    moved. An error on the way is shown in place of the figure. Where no controls can be shown, the
    first figure is.

    If the environment variable ``COMPANION_WIDGETS`` is ``stored``, as when chapters are run for
    the book's pages, `function` is called ahead for every combination of values instead.

    Parameters
    ----------
    function : callable
        Takes one keyword argument an axis and returns a matplotlib figure.
    alt : str or callable
        Text for those who do not see the picture: a format string such as
        ``"temperature {temperature}"``, or a function of the same arguments.
    begin : mapping, optional
        The value, or its label, that an axis shows at first. The others show their first one.
    **axes : sequence or mapping
        Values of each argument, or a mapping from the label shown to the value. At most three.

    Raises
    ------
    ValueError
        If there is no axis or more than three, an axis is empty, two labels are the same,
        `begin` names no axis or no value of one, or the pictures that a page is to store exceed
        400 kB together.
    TypeError
        If the values of an axis are one text, or a set.
    """
    from IPython.display import display

    named = _named(axes)
    stored = os.environ.get("COMPANION_WIDGETS") == "stored"
    display((_stacked if stored else _Live)(function, alt, named, _begin(begin or {}, named)))


def _named(axes: Mapping[str, Sequence[Any] | Mapping[str, Any]]) -> Axes:
    """Return each axis as a mapping from label to value, having checked them all."""
    if not 1 <= len(axes) <= MOST_AXES:
        raise ValueError(f"axes must be 1 to {MOST_AXES}, got {len(axes)}: {list(axes)}")
    named: Axes = {}
    for name, values in axes.items():
        letters_or_no_order = isinstance(values, str | bytes | set | frozenset)
        if letters_or_no_order or not isinstance(values, Iterable):
            raise TypeError(f"axis {name} must be a list of values, got {values!r}")
        pairs = values.items() if isinstance(values, Mapping) else ((_label(v), v) for v in values)
        items = [(str(label), value) for label, value in pairs]
        named[name] = dict(items)
        if not items:
            raise ValueError(f"axis {name} must have at least one value, got none")
        if len(named[name]) < len(items):
            raise ValueError(f"axis {name} must have distinct labels, got {[x for x, _ in items]}")
    return named


def _begin(begin: Mapping[str, Any], axes: Axes) -> dict[str, str]:
    """Return the label that each axis shows at first."""
    wanted = {name: _label(value) for name, value in begin.items()}
    for name, label in wanted.items():
        if label not in axes.get(name, {}):
            raise ValueError(f"begin must be values of the axes, got {name}={label}")
    return {name: next(iter(labels)) for name, labels in axes.items()} | wanted


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _describe(alt: str | Callable[..., str], state: Mapping[str, Any]) -> str:
    return alt.format(**state) if isinstance(alt, str) else alt(**state)


def _image(text: str, source: str, size: tuple[int, ...], ground: str = "") -> str:
    """Return an HTML image; `size` is that of the picture, height first."""
    height, width = (round(pixels / SHARPNESS) for pixels in size[:2])
    return (
        f'<img class="companion-explore {ground}" alt="{html.escape(text, quote=True)}" '
        f'width="{width}" height="{height}" style="max-width:100%;height:auto" src="{source}">'
    )


def _images(function: Callable[..., Figure], alt: Any, axes: Axes) -> tuple[str, list[str]]:
    """Draw all states; return a style sheet with what they share, and their images."""
    texts = [_describe(alt, state) for state in _states(axes)]
    drawn = of_one_size([pixels(function(**state)) for state in _states(axes)])
    ground, parts = layers(drawn)
    name = f"companion-{hashlib.sha256(ground.encode()).hexdigest()[:12]}"
    images = [
        _image(text, part, drawn[0].shape, name) for text, part in zip(texts, parts, strict=True)
    ]
    return f"<style>.{name} {{ background: url({ground}) 0 0 / 100% 100% }}</style>", images


def _controls(axes: Axes, begin: Mapping[str, str]) -> dict[str, Any]:
    """Return a control for each axis."""
    from ipywidgets import Layout, SelectionSlider, ToggleButtons

    return {
        name: (SelectionSlider if all(map(_is_number, labels)) else ToggleButtons)(
            options=list(labels),
            value=begin[name],
            description=_title(name),
            style={"description_width": "9em"},
            layout=Layout(width="auto", max_width="34em"),
        )
        for name, labels in axes.items()
    }


def _is_number(label: str) -> bool:
    return re.fullmatch(r"[-−+]?\d+(\.\d+)?(e[-+]?\d+)?", label) is not None


def _title(name: str) -> str:
    """Return an axis's name with spaces between its words; a symbol such as d_k stays whole."""
    return re.sub(r"(?<=\w\w)_", " ", name)


def _stacked(
    function: Callable[..., Figure], alt: Any, axes: Axes, begin: Mapping[str, str]
) -> Any:
    """Draw every state, stack the pictures, and link the controls in the browser."""
    from ipywidgets import HTML, Layout, VBox

    sheet, images = _images(function, alt, axes)
    first = HTML(images[0])
    # One layout and one style serve all pictures: each of its own would add 3 kB.
    frames: list[Any] = [first]
    frames += [HTML(image, layout=first.layout, style=first.style) for image in images[1:]]
    controls = _controls(axes, begin)
    shared = Layout(width="100%")
    for control, labels in reversed(list(zip(controls.values(), axes.values(), strict=True))):
        frames = _stack_level(frames, control, len(labels), shared)
    ground = HTML(sheet, layout=Layout(display="none"))
    box = VBox([ground, *controls.values(), *frames])
    _check_size(box, len(images), axes)
    return box


def _states(axes: Axes) -> list[dict[str, Any]]:
    combinations = itertools.product(*(labels.values() for labels in axes.values()))
    return [dict(zip(axes, values, strict=True)) for values in combinations]


def _stack_level(frames: list[Any], control: Any, size: int, layout: Any) -> list[Any]:
    """Put each run of `size` frames into a stack that follows the control."""
    from ipywidgets import Stack, jslink

    stacks = []
    for start in range(0, len(frames), size):
        stack = Stack(frames[start : start + size], selected_index=control.index, layout=layout)
        jslink((control, "index"), (stack, "selected_index"))
        stacks.append(stack)
    return stacks


def _check_size(box: Any, pictures: int, axes: Axes) -> None:
    """Refuse a widget that would make the page heavy."""
    from ipywidgets.embed import dependency_state

    size = len(json.dumps(dependency_state([box], drop_defaults=True)))
    if size > MOST_BYTES:
        counts = " x ".join(f"{len(labels)} {name}" for name, labels in axes.items())
        raise ValueError(
            f"the widget must stay under {MOST_BYTES // 1000} kB, got {size // 1000} kB for "
            f"{pictures} pictures ({counts}), {size // pictures // 1000} kB each; use fewer "
            f"values, a smaller figure, or fewer colours and details"
        )


@contextlib.contextmanager
def _none_left_open() -> Iterator[None]:
    """Close what an error left half drawn: Jupyter would show it below the next cell."""
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    try:
        yield
    except BaseException:
        for number in set(plt.get_fignums()).difference(before):
            plt.close(number)
        raise


class _Live:
    """Controls above the picture of the state that they point at, drawn in the running kernel."""

    def __init__(
        self, function: Callable[..., Figure], alt: Any, axes: Axes, begin: Mapping[str, str]
    ) -> None:
        from ipywidgets import Output, VBox

        self.function, self.alt, self.axes = function, alt, axes
        self.controls = _controls(axes, begin)
        self.first = self._draw()  # if this fails, so does the cell
        self.place = Output()
        self.box = VBox([*self.controls.values(), self.place])
        for control in self.controls.values():
            control.continuous_update = False  # a slider is drawn for where it stops
            control.observe(self._redraw, "value")

    def _state(self) -> dict[str, Any]:
        return {name: self.axes[name][control.value] for name, control in self.controls.items()}

    def _draw(self) -> str:
        """Return the picture as HTML."""
        with _none_left_open():
            drawn = pixels(self.function(**self._state()))
        return _image(_describe(self.alt, self._state()), address(drawn), drawn.shape)

    def _redraw(self, _change: Any) -> None:
        """Draw anew; an error, or what `function` prints, is shown in the picture's place."""
        from IPython.display import HTML, display

        with self.place:
            self.place.clear_output(wait=True)
            display(HTML(self._draw()))

    def __repr__(self) -> str:
        return f"{_describe(self.alt, self._state())}\n{STILL}"

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        """Return the controls, and for where there can be none, the first picture."""
        from IPython.display import HTML, display

        with self.place:
            display(HTML(self.first))
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"text/plain": repr(self), "text/html": f"{self.first}<p>{STILL}</p>", VIEW: view}
