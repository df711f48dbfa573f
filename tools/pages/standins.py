"""Make the faces that stand in for the text face until it has come.

A reader sees a page first in a face of the machine and then in the book's own. Nothing may move
in between, so each face of the machine is scaled until plain English is as wide in it as in the
book's face, and its lines are made as high. The scales are computed from the fonts themselves;
for Georgia and Times, which nobody may copy, from free fonts with the same widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
from fontTools.ttLib import TTFont

SAMPLE = (
    "The loss says how far the answers of a model are from those we want. Its gradient says, for "
    "every weight, how the loss would change if that weight were a little larger. Each step goes "
    "against the gradient, and a number that we choose, the learning rate, says how far. Why not "
    "a larger one? Because the gradient is true only here: a few inches on, the ground may rise."
)
TEXT = "@fontsource/source-serif-4/files/source-serif-4-latin-{weight}-{slant}.woff2"
DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@dataclass(frozen=True)
class Style:
    """Upright or italic, light or bold: bold text has the weights 600 to 700."""

    slant: str
    weight: int  # at which the text face is measured
    range: str  # the weights of text for which a face stands in
    words: str  # what follows a family's name

    @property
    def dashed(self) -> str:
        """Return the words as PostScript names have them."""
        return self.words.replace(" ", "-", 1).replace(" ", "")

    @property
    def full(self) -> str:
        """Return the words as those families have them that also name what is regular."""
        return self.words or " Regular"


UPRIGHT = (Style("normal", 400, "200 599", ""), Style("normal", 600, "600 900", " Bold"))
ITALIC = (
    Style("italic", 400, "200 599", " Italic"),
    Style("italic", 600, "600 900", " Bold Italic"),
)


@dataclass(frozen=True)
class StandIn:
    """A family of the machine: its name on the page, the machine's names, and its files.

    The files are in npm's packages or matplotlib's folder: two upright, then two italic ones.
    """

    name: str
    local: tuple[str, ...]
    files: tuple[str, ...]


STAND_INS = (
    StandIn(
        "Georgia in waiting",
        ("Georgia{words}", "Georgia{dashed}"),
        (
            "@fontsource/gelasio/files/gelasio-latin-400-normal.woff2",
            "@fontsource/gelasio/files/gelasio-latin-700-normal.woff2",
            "@fontsource/gelasio/files/gelasio-latin-400-italic.woff2",
            "@fontsource/gelasio/files/gelasio-latin-700-italic.woff2",
        ),
    ),
    StandIn(
        "Times in waiting",
        (
            *("Times New Roman{words}", "TimesNewRomanPS{dashed}MT", "Liberation Serif{words}"),
            *("Tinos{words}", "Tinos{full}"),
        ),
        (
            "@expo-google-fonts/tinos/400Regular/Tinos_400Regular.ttf",
            "@expo-google-fonts/tinos/700Bold/Tinos_700Bold.ttf",
            "@expo-google-fonts/tinos/400Regular_Italic/Tinos_400Regular_Italic.ttf",
            "@expo-google-fonts/tinos/700Bold_Italic/Tinos_700Bold_Italic.ttf",
        ),
    ),
    StandIn(
        "Noto in waiting",
        ("Noto Serif{words}", "Noto Serif{full}", "NotoSerif{dashed}"),
        (
            "@fontsource/noto-serif/files/noto-serif-latin-400-normal.woff2",
            "@fontsource/noto-serif/files/noto-serif-latin-700-normal.woff2",
            "@fontsource/noto-serif/files/noto-serif-latin-400-italic.woff2",
            "@fontsource/noto-serif/files/noto-serif-latin-700-italic.woff2",
        ),
    ),
    StandIn(
        "DejaVu in waiting",
        ("DejaVu Serif{words}", "DejaVuSerif{dashed}"),
        (
            *("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
            *("DejaVuSerif-Italic.ttf", "DejaVuSerif-BoldItalic.ttf"),
        ),
    ),
)
# Debian brings DejaVu Serif without its italics: browsers slant the upright faces instead.
SLANTED = StandIn("DejaVu slanted", STAND_INS[-1].local, STAND_INS[-1].files[:2])


def width(font: TTFont) -> float:
    """Return how wide the sample is, in ems."""
    glyphs, advances = font.getBestCmap(), font["hmtx"]
    return sum(advances[glyphs[ord(letter)]][0] for letter in SAMPLE) / font["head"].unitsPerEm


def face(name: str, local: tuple[str, ...], style: Style, own: TTFont, other: TTFont) -> str:
    """Return the rule for one face: the other font, as wide and as high as our own."""
    scale = width(own) / width(other)
    high = own["hhea"].ascent / own["head"].unitsPerEm
    deep = -own["hhea"].descent / own["head"].unitsPerEm
    words = {"words": style.words, "dashed": style.dashed, "full": style.full}
    names = [each.format(**words) for each in local]
    sources = ", ".join(f'local("{each}")' for each in dict.fromkeys(names))
    return (
        f'@font-face {{ font-family: "{name}"; font-style: {style.slant}; '
        f"font-weight: {style.range}; src: {sources}; size-adjust: {scale:.1%}; "
        f"ascent-override: {high / scale:.1%}; descent-override: {deep / scale:.1%}; "
        "line-gap-override: 0%; }"
    )


def sheet(modules: Path) -> str:
    """Return the style sheet of all stand-ins, computed from the fonts in npm's packages."""

    @cache
    def own(style: Style) -> TTFont:
        return TTFont(modules / TEXT.format(weight=style.weight, slant=style.slant))

    @cache
    def other(name: str) -> TTFont:
        return TTFont(modules / name if name.startswith("@") else DEJAVU / name)

    rules = [
        face(each.name, each.local, style, own(style), other(name))
        for each in STAND_INS
        for style, name in zip((*UPRIGHT, *ITALIC), each.files, strict=True)
    ]
    rules += [
        face(SLANTED.name, SLANTED.local, upright, own(italic), other(name))
        for upright, italic, name in zip(UPRIGHT, ITALIC, SLANTED.files, strict=True)
    ]
    return "\n".join(rules) + "\n"
