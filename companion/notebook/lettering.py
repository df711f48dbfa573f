r"""What is written on a drawing: text with simple formulas, as SVG, and its translation.

Between dollars stand formulas: letters, which are slanted, numbers, Greek letters and signs by
their LaTeX names (`SIGNS`), sub- and superscripts, and hats.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape

__all__ = ["as_svg", "has_words", "length", "translated", "words_of"]

NAMES = """
    alpha beta gamma delta epsilon eta theta lambda mu pi sigma phi Phi Sigma ell partial
    nabla top cdot times odot oplus to sum dots
"""
SIGNS = dict(zip(NAMES.split(), "αβγδεηθλμπσφΦΣℓ∂∇⊤·×⊙⊕→∑…", strict=True))
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
MATH = re.compile(r"\$([^$]+)\$")
PIECE = re.compile(
    r"(?P<level>[_^])?(?:\{(?P<group>[^{}]*)\}|\\(?P<name>[A-Za-z]+)|(?P<sign>.))", re.DOTALL
)
WORD = re.compile(r"[^\W\d_]{2}")
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
TEXT = re.compile(r'(<text\b[^>]*\bdata-words="([^"]*)"[^>]*>).*?(</text>)', re.DOTALL)


def length(text: str, size: float) -> float:
    """Return about how wide a text is, in units.

    Parameters
    ----------
    text : str
        One line, perhaps with formulas.
    size : float
        Of its letters, in units.

    Returns
    -------
    float
    """
    pieces = [piece for piece, _, _ in _pieces(text)]
    return size * sum(1.0 if ord(sign) > 0x2E80 else 0.58 for piece in pieces for sign in piece)


def as_svg(text: str, x: float, size: float) -> str:
    """Return the lines of a text as SVG, centred upright on the text's point.

    Parameters
    ----------
    text : str
    x : float
        Where its lines are centred, begin or end, in units.
    size : float
        Of its letters, in units.

    Returns
    -------
    str
    """
    split = text.split("\n")
    first = 0.35 * size - (len(split) - 1) * 0.6 * size
    return "".join(
        f'<tspan x="{x:g}" dy="{first if i == 0 else 1.2 * size:.4g}">{_markup(line, size)}</tspan>'
        for i, line in enumerate(split)
    )


def _markup(line: str, size: float) -> str:
    """Return one line as SVG: letters of formulas slanted, indices small and lower or higher."""
    out, level = [], 0.0
    for piece, formula, script in _pieces(line):
        wanted = {"_": 0.25, "^": -0.4, "": 0.0}[script] * size
        style = f' dy="{wanted - level:.3g}"' if wanted != level else ""
        style += f' font-size="{0.75 * size:.3g}"' if script else ""
        style += ' font-style="italic"' if formula and piece[0].isalpha() else ""
        out.append(f"<tspan{style}>{escape(piece)}</tspan>" if style else escape(piece))
        level = wanted
    return "".join(out)


def _pieces(line: str) -> list[tuple[str, bool, str]]:
    """Split a line: each piece, whether it belongs to a formula, and ``_`` or ``^`` if raised."""
    found: list[tuple[str, bool, str]] = []
    for index, part in enumerate(MATH.split(line)):
        found += [(part, False, "")] * (index % 2 == 0 and bool(part))
        found += _formula(part) if index % 2 else []
    return found


def _formula(formula: str, script: str = "") -> list[tuple[str, bool, str]]:
    found: list[tuple[str, bool, str]] = []
    mark = ""  # a hat for the next letter
    for match in PIECE.finditer(formula):
        level = match["level"] or script
        if match["group"] is not None:
            found += _formula(match["group"], level)
        elif (name := match["name"]) in ACCENTS:
            mark = ACCENTS[name]
        elif name and name not in SIGNS:
            raise ValueError(f"\\{name} is not known in a drawing's formulas")
        elif name or not match["sign"].isspace():
            sign = SIGNS[name] if name else match["sign"].replace("-", "−").replace("'", "′")
            found.append((sign + mark, True, level))
            mark = ""
        elif not mark:
            found.append((" ", True, level))
    return found


# -- translation ---------------------------------------------------------------------------------


def has_words(text: str) -> bool:
    """Tell whether a text holds more than numbers, signs and single letters.

    Parameters
    ----------
    text : str

    Returns
    -------
    bool
    """
    return bool(WORD.search(MATH.sub("", text)))


def words_of(svg: str) -> list[str]:
    """Return the texts of a drawing that have words in them, line breaks made spaces.

    Parameters
    ----------
    svg : str

    Returns
    -------
    list of str
    """
    return [" ".join(unescape(words).split()) for _, words, _ in TEXT.findall(svg)]


def translated(svg: str, translate: Callable[[str], str]) -> str:
    """Return a drawing with its words translated; what `translate` returns unchanged stays.

    Parameters
    ----------
    svg : str
    translate : callable
        Takes one of `words_of` and returns what to write instead.

    Returns
    -------
    str
    """

    def replace(match: re.Match[str]) -> str:
        words = " ".join(unescape(match[2]).split())
        said = translate(words)
        if said == words:
            return match[0]
        given = dict(ATTRIBUTE.findall(match[1]))
        x, size = float(given["x"]), float(given["font-size"])
        return f"{match[1]}{as_svg(said, x, size)}{match[3]}"

    return TEXT.sub(replace, svg)
