"""The book's pictures of itself, drawn from attention weights that are computed here.

Each letter of the title is a vector: a random direction of its own (the same for the same
letter), plus its position. The arcs are the weights softmax(0.6 q k^T / sqrt(d)) between the
letters: equal letters find each other, and neighbours see a little of each other.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Arc, FancyBboxPatch

TITLE = "large models from scratch"
SUBTITLE = "every number computed, every implementation checked"
INK, PAPER, FAINT = "#14202e", "#f4efe4", "#8fa3b8"
CARD_SIZE = (1200, 630)
BANNER_SIZE = (1440, 560)
FACE = "cmr10"


def positions(count: int, d: int) -> np.ndarray:
    """Return sinusoidal positions, (count, d)."""
    angle = np.arange(count)[:, None] / 40 ** (np.arange(0, d, 2) / d)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def title_attention(text: str = TITLE, d: int = 64, seed: int = 7) -> np.ndarray:
    """Return the self-attention weights of the letters of `text`, (T, T), with spaces left out.

    Each row sums to one; a space neither asks nor answers.
    """
    rng = np.random.default_rng(seed)
    letters = sorted(set(text))
    direction = dict(zip(letters, rng.standard_normal((len(letters), d)), strict=True))
    x = np.stack([direction[letter] for letter in text]) + 0.9 * positions(len(text), d)
    scores = 0.6 * x @ x.T / np.sqrt(d)
    spaces = np.array([letter == " " for letter in text])
    scores[:, spaces] = -np.inf
    np.fill_diagonal(scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    weights[spaces] = 0
    return weights


def draw_arcs(axes, centres: np.ndarray, base: float, height: float, weights: np.ndarray) -> None:
    """Draw an arc over each pair of letters, as strong as the weight between them."""
    colours = colormaps["plasma"].resampled(256)
    reach = centres[-1] - centres[0]
    for i, j in np.argwhere(np.triu(weights + weights.T, 1) > 0.004):
        strength = max(weights[i, j], weights[j, i])
        span = centres[j] - centres[i]
        arc = Arc(
            ((centres[i] + centres[j]) / 2, base),
            span,
            2 * height * (0.12 + 0.88 * (span / reach) ** 0.8),
            theta1=0,
            theta2=180,
            color=colours(0.86 - 0.5 * (span / reach) ** 0.7),
            alpha=0.22 + 0.74 * min(1.0, strength * 1.3),
            linewidth=0.6 + 4.6 * strength,
            capstyle="round",
        )
        axes.add_patch(arc)


def blank(size: tuple[int, int]):
    """Return a figure of `size` pixels, in the book's ink, and axes counted in pixels."""
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, facecolor=INK)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(0, size[1]))
    axes.axis("off")
    return figure, axes


def draw_title(axes, size: tuple[int, int], base: float, letter: float) -> None:
    """Draw the title's letters at even distances, with the arcs of attention above them."""
    centres = np.linspace(0.07 * size[0], 0.93 * size[0], len(TITLE))
    draw_arcs(
        axes,
        centres,
        base + 1.35 * letter,
        0.93 * size[1] - base - 1.35 * letter,
        title_attention(),
    )
    for centre, character in zip(centres, TITLE, strict=True):
        axes.text(centre, base, character, color=PAPER, family=FACE, fontsize=letter, ha="center")


def banner() -> Figure:
    """Return the picture at the top of the first page."""
    figure, axes = blank(BANNER_SIZE)
    draw_title(axes, BANNER_SIZE, base=56, letter=44)
    return figure


def card() -> Figure:
    """Return the picture that stands for the book where a link to it is shared."""
    figure, axes = blank(CARD_SIZE)
    draw_title(axes, CARD_SIZE, base=170, letter=38)
    middle = CARD_SIZE[0] / 2
    axes.text(middle, 84, SUBTITLE, color=FAINT, family=FACE, fontsize=22, ha="center")
    return figure


ICON = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<rect width="64" height="64" rx="13" fill="{INK}"/>
<g fill="none" stroke-linecap="round">
<path d="M12 45a20 27 0 0 1 40 0" stroke="#f9a03f" stroke-width="5"/>
<path d="M12 45a10 12 0 0 1 20 0" stroke="#e8647c" stroke-width="4"/>
<path d="M32 45a10 12 0 0 1 20 0" stroke="#b58bf0" stroke-width="4"/>
</g>
<g fill="{PAPER}"><circle cx="12" cy="49" r="4.5"/><circle cx="32" cy="49" r="4.5"/>
<circle cx="52" cy="49" r="4.5"/></g>
</svg>
"""


def icon(pixels: int = 180) -> Figure:
    """Return the favicon for places that take no SVG: the same three letters and arcs."""
    figure = Figure(figsize=(pixels / 100, pixels / 100), dpi=100)
    figure.patch.set_alpha(0)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 64), ylim=(0, 64))
    axes.axis("off")
    ground = FancyBboxPatch((13, 13), 38, 38, boxstyle="round,pad=13", color=INK, linewidth=0)
    axes.add_patch(ground)
    unit = pixels / 64 * 0.72
    for centre, width, height, colour, line in (
        (32, 40, 54, "#f9a03f", 5),
        (22, 20, 24, "#e8647c", 4),
        (42, 20, 24, "#b58bf0", 4),
    ):
        arc = Arc((centre, 19), width, height, theta1=0, theta2=180, color=colour)
        arc.set(linewidth=line * unit, capstyle="round")
        axes.add_patch(arc)
    axes.plot([12, 32, 52], [15, 15, 15], "o", color=PAPER, markersize=9 * unit)
    return figure


def write_all(folder: Path) -> None:
    """Write the icon, the title picture and the card into `folder`."""
    (folder / "favicon.svg").write_text(ICON, encoding="utf-8")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever style the rest of the process draws in
        icon().savefig(folder / "favicon.png", transparent=True)
        card().savefig(folder / "card.png")
        banner().savefig(folder / "title.webp", pil_kwargs={"quality": 86, "method": 6})


if __name__ == "__main__":
    write_all(Path("."))
