"""Chinese letters in a PDF, put right for whoever searches it or copies from it.

A font draws 大 and the radical ⼤ with one shape. Chromium then notes the radical as what the shape
stands for, so that a search for 大 finds nothing. Here each radical becomes the letter again.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# Radicals that Unicode does not itself equate with a letter, each before the letter of its shape.
SIMPLIFIED = (
    "⺁厂⺇几⺌小⺎兀⺏尢⺐尢⺑尢⺓幺⺔彑⺖忄⺗小⺘扌⺙攵⺛旡⺝月⺟母⺠民⺡氵⺢水⺣灬⺤爫⺥爫⺦丬⺨犭⺩王"
    "⺫目⺬示⺭礻⺮竹⺯糸⺰纟⺱罓⺲罒⺴冈⺵网⺶羊⺷羊⺸羊⺹耂⺺肀⺻聿⺼月⺽臼⺾艹⺿艹⻀艹⻁虎⻂衤⻃覀"
    "⻄西⻅见⻆角⻇角⻈讠⻉贝⻊足⻋车⻌辶⻍辶⻎辶⻏阝⻐钅⻑長⻒镸⻓长⻔门⻕阜⻖阝⻗雨⻘青⻙韦⻚页⻛风⻜飞⻝食"
    "⻞食⻟食⻠饣⻡首⻢马⻣骨⻤鬼⻥鱼⻦鸟⻧卤⻨麦⻩黄⻪黾⻫斉⻬齐⻭歯⻮齿⻯竜⻰龙⻱龜⻲亀⻳龟"
)
LETTERS = dict(zip(SIMPLIFIED[::2], SIMPLIFIED[1::2], strict=True))
CODE = re.compile(rb"<(2[EF][0-9A-Fa-f]{2})>(?=\s*(?:\]|\n|\r|$|<))")


def letter(radical: str) -> str:
    """Return the letter that looks like a radical.

    >>> letter("⼤"), letter("⻓"), letter("x")
    ('大', '长', 'x')
    """
    return LETTERS.get(radical, unicodedata.normalize("NFKC", radical))


def without_radicals(table: bytes) -> bytes:
    """Return a font's table from shapes to letters, with letters in place of radicals.

    >>> without_radicals(b"<0001> <2F24>")
    b'<0001> <5927>'
    """
    return CODE.sub(lambda match: b"<%04X>" % ord(letter(chr(int(match[1], 16)))), table)


def mend(writer) -> None:
    """Put the tables of all fonts of a PDF right."""
    from pypdf.generic import DictionaryObject, NameObject, StreamObject

    for found in list(writer._objects):
        if not isinstance(found, DictionaryObject) or "/ToUnicode" not in found:
            continue
        table: Any = found["/ToUnicode"].get_object()
        data = table.get_data()
        right = without_radicals(data)
        if right != data:
            new = StreamObject()
            new.set_data(right)
            found[NameObject("/ToUnicode")] = writer._add_object(new.flate_encode())
