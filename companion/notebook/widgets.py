"""Widgets that move without a kernel: every state is drawn ahead, controls choose in the browser.

For axes a, b, c the pictures stand in stacks within stacks: a stack over the values of a, each
of its entries a stack over b, each of those a stack over c. The index of a control (a slider over
quantities, buttons for kinds) is linked, in the browser, to the index of each stack of its level.
The built site makes plain controls and pictures of what is stored (tools/extensions/widgets.py).
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from companion.notebook.pictures import SHARPNESS, address, layers, of_one_size, pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["explore"]

MOST_AXES = 3
MOST_BYTES = 400_000

Axes = dict[str, dict[str, Any]]


def explore(
    function: Callable[..., Figure],
    *,
    alt: str | Callable[..., str],
    **axes: Sequence[Any] | Mapping[str, Any],
) -> None:
    r"""Show a figure with controls that work in the built page, where no kernel runs.

    An axis whose labels are all numbers gets a slider, any other axis a button for each label.
    `function` is called once for every combination of values. Where the widgets library has
    no `Stack` (version 7, as on Colab), figures are drawn when a control moves instead.

    Parameters
    ----------
    function : callable
        Takes one keyword argument an axis and returns a matplotlib figure.
    alt : str or callable
        Text for those who do not see the picture: a format string such as
        ``"temperature {temperature}"``, or a function of the same arguments.
    **axes : sequence or mapping
        Values of each argument, or a mapping from the label shown to the value. At most three.

    Raises
    ------
    ValueError
        If there is no axis or more than three, an axis is empty, two labels are the same, or
        the pictures together exceed 400 kB.
    """
    import ipywidgets
    from IPython.display import display

    named = _named(axes)
    build = _stacked if hasattr(ipywidgets, "Stack") else _live
    display(build(function, alt, named))


def _named(axes: Mapping[str, Sequence[Any] | Mapping[str, Any]]) -> Axes:
    """Return each axis as a mapping from label to value, having checked them all."""
    if not 1 <= len(axes) <= MOST_AXES:
        raise ValueError(f"axes must be 1 to {MOST_AXES}, got {len(axes)}: {list(axes)}")
    named: Axes = {}
    for name, values in axes.items():
        pairs = values.items() if isinstance(values, Mapping) else ((_label(v), v) for v in values)
        items = [(str(label), value) for label, value in pairs]
        named[name] = dict(items)
        if not items:
            raise ValueError(f"axis {name} must have at least one value, got none")
        if len(named[name]) < len(items):
            raise ValueError(f"axis {name} must have distinct labels, got {[x for x, _ in items]}")
    return named


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


def _controls(axes: Axes) -> dict[str, Any]:
    """Return a control for each axis."""
    from ipywidgets import Layout, SelectionSlider, ToggleButtons

    return {
        name: (SelectionSlider if all(map(_is_number, labels)) else ToggleButtons)(
            options=list(labels),
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


def _stacked(function: Callable[..., Figure], alt: Any, axes: Axes) -> Any:
    """Draw every state, stack the pictures, and link the controls in the browser."""
    from ipywidgets import HTML, Layout, VBox

    sheet, images = _images(function, alt, axes)
    first = HTML(images[0])
    # One layout and one style serve all pictures: each of its own would add 3 kB.
    frames: list[Any] = [first]
    frames += [HTML(image, layout=first.layout, style=first.style) for image in images[1:]]
    controls = _controls(axes)
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
        stack = Stack(frames[start : start + size], selected_index=0, layout=layout)
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


def _live(function: Callable[..., Figure], alt: Any, axes: Axes) -> Any:
    """Draw the state that the controls point at, in the running kernel."""
    from IPython.display import HTML, display
    from ipywidgets import VBox, interactive_output

    def draw(**labels: str) -> None:
        state = {name: axes[name][label] for name, label in labels.items()}
        drawn = pixels(function(**state))
        display(HTML(_image(_describe(alt, state), address(drawn), drawn.shape)))

    controls = _controls(axes)
    return VBox([*controls.values(), interactive_output(draw, controls)])
