"""Turn a figure into a small picture that an HTML page can hold."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from companion.notebook.style import PIXELS_PER_INCH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["picture"]

SHARPNESS = 1.5
COLOURS = 48


def picture(figure: Figure) -> tuple[str, int, int]:
    """Draw and close a figure; return a data address, and the width and height on the page.

    The picture has 1.5 pixels for each of the page's, few colours, and no loss beyond that.

    Parameters
    ----------
    figure : matplotlib Figure
        What to draw. It is closed afterwards.

    Returns
    -------
    tuple of (str, int, int)
        ``data:image/…;base64,…``, and width and height in CSS pixels.

    Raises
    ------
    TypeError
        If `figure` is not a matplotlib figure.
    """
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from PIL import Image

    if not isinstance(figure, Figure):
        raise TypeError(f"function must return a matplotlib figure, got {type(figure).__name__}")
    width, height = (round(inches * PIXELS_PER_INCH) for inches in figure.get_size_inches())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=SHARPNESS * PIXELS_PER_INCH, facecolor="white")
    plt.close(figure)
    few = Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    kind, data = min((_png(few), _webp(few)), key=lambda candidate: len(candidate[1]))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", width, height


def _png(image: Any) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return "png", buffer.getvalue()


def _webp(image: Any) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="webp", lossless=True, quality=100, method=4)
    return "webp", buffer.getvalue()
