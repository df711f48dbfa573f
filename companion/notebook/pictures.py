"""Turn figures into small pictures that an HTML page can hold.

The states of a widget share most of what they show: axes, labels, white. That is stored once, as
a common ground; each state is then a picture that is transparent wherever it equals the ground.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.notebook.style import PIXELS_PER_INCH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SHARPNESS", "address", "layers", "of_one_size", "pixels"]

SHARPNESS = 1.5
COLOURS = 48


def pixels(figure: Figure) -> np.ndarray:
    """Draw a figure, 1.5 pixels for each of the page's, and close it.

    Parameters
    ----------
    figure : matplotlib Figure
        What to draw. It is closed afterwards.

    Returns
    -------
    numpy.ndarray
        Shape (height, width, 3), whole numbers from 0 to 255.

    Raises
    ------
    TypeError
        If `figure` is not a matplotlib figure.
    """
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure):
        raise TypeError(f"function must return a matplotlib figure, got {type(figure).__name__}")
    figure.set_dpi(SHARPNESS * PIXELS_PER_INCH)
    figure.set_facecolor("white")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    plt.close(figure)
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def of_one_size(drawn: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Add white at the right and below, so that nothing moves when one replaces another.

    Parameters
    ----------
    drawn : sequence of numpy.ndarray
        Pictures, each of shape (height, width, 3).

    Returns
    -------
    list of numpy.ndarray
        The pictures, as high as the highest and as wide as the widest.
    """
    height, width, _ = np.max([one.shape for one in drawn], axis=0)
    rooms = [((0, height - h), (0, width - w), (0, 0)) for h, w, _ in (one.shape for one in drawn)]
    return [np.pad(one, room, constant_values=255) for one, room in zip(drawn, rooms, strict=True)]


def layers(drawn: Sequence[np.ndarray]) -> tuple[str, list[str]]:
    """Divide pictures of one size into a common ground and what each puts over it.

    The ground has in each place the brightest that any picture has there.

    Parameters
    ----------
    drawn : sequence of numpy.ndarray
        Pictures of one shape (height, width, 3).

    Returns
    -------
    tuple of (str, list of str)
        Data addresses of the ground and of each picture's own part.
    """
    ground = np.maximum.reduce(list(drawn))
    return address(ground), [address(one, _differs(one, ground)) for one in drawn]


def _differs(one: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Mark where a picture differs from the ground, and two pixels around.

    Without that seam the ground would shine through along edges when a browser scales both.
    """
    marked = (one != ground).any(axis=2)
    return _spread(_spread(marked).T).T


def _spread(marked: np.ndarray) -> np.ndarray:
    """Mark the two rows above and below of what is marked, too."""
    spread = marked.copy()
    for rows in (1, 2):
        spread[rows:] |= marked[:-rows]
        spread[:-rows] |= marked[rows:]
    return spread


def address(picture: np.ndarray, visible: np.ndarray | None = None) -> str:
    """Return a picture in few colours as a data address.

    Parameters
    ----------
    picture : numpy.ndarray
        Shape (height, width, 3).
    visible : numpy.ndarray of bool, optional
        Shape (height, width): where the picture is not transparent. Everywhere by default.

    Returns
    -------
    str
        ``data:image/webp;base64,…``, without loss but for the number of colours.
    """
    from PIL import Image

    if visible is not None:
        picture = np.where(visible[..., None], picture, 255).astype(np.uint8)
    image: Any = Image.fromarray(picture)
    image = image.quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB")
    if visible is not None:
        image.putalpha(Image.fromarray(np.where(visible, 255, 0).astype(np.uint8)))
    buffer = io.BytesIO()
    image.save(buffer, format="webp", lossless=True, quality=100, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
