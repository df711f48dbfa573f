r"""Encodings: text that was read as something it is not, and how one sees it.

UTF-8 read as Windows-1252 or GBK gives *mojibake*: ``é`` becomes ``Ã©``, ``你好`` becomes
``浣犲ソ``. As long as no byte was lost, the way back is open: write it as it was wrongly read, and
read it rightly. A replacement character U+FFFD says that bytes were lost.
"""

import sys
import unicodedata
from itertools import groupby

from companion._arguments import _require_text

__all__ = ["garble", "mend_mojibake", "suspicious_characters"]

#: What the general categories of Unicode that never belong into clean text are called.
STRANGE = {
    "Cc": "control character",
    "Cs": "lone surrogate",
    "Co": "private character",
    "Cn": "unassigned character",
}
HARMLESS = "\t\n\r"
#: What UTF-8 is taken for most often, and how many letters of one script in a row chance does not
#: make out of something else. (In GBK each letter of Arabic is one rare Chinese character.)
WRONG = {"cp1252": 2, "gbk": 4}
#: Blocks of Unicode whose characters texts are full of. Left out are those into which the second
#: and third letters of a genuine word fall when they are read as bytes: IPA, Arabic, Syriac ...
#: They count where a whole word is written in them.
COMMON = [
    (0x0000, 0x024F),  # Latin
    (0x0370, 0x045F),  # Greek, Cyrillic
    (0x1E00, 0x1EFF),  # Latin, as in Vietnamese
    (0x2010, 0x2044),  # dashes, quotation marks, ellipsis
    (0x20A0, 0x20BF),  # currencies
    (0x2100, 0x22FF),  # letterlike symbols, arrows, mathematics
    (0x3000, 0x30FF),  # Chinese punctuation, kana
    (0xAC00, 0xD7A3),  # Hangul
    (0xFF01, 0xFF5E),  # full width
    (0x1F300, 0x1FAFF),  # emoji
]
#: Where three standards keep the Chinese characters that are used most: the code, and the first
#: bytes between which they stand. (GB 2312, simplified; Big5, traditional; JIS X 0208, Japanese.)
FREQUENT = [("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6), ("euc_jp", 0xB0, 0xCF)]


def suspicious_characters(text: str) -> list[str]:
    r"""Say what is strange about the characters of a text.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        One line for each finding, with the place; empty if there is none. Mojibake is reported
        where it can be mended.

    Examples
    --------
    >>> suspicious_characters("naïve 你好")
    []
    >>> suspicious_characters("cafÃ©")
    ["mojibake of UTF-8 read as cp1252, for 'café'"]
    >>> suspicious_characters("a\x00b\ufffd")
    ['control character U+0000 at 1', 'replacement character U+FFFD at 3']
    """
    _require_text(text)
    found = [_finding(character, i) for i, character in enumerate(text)]
    return [*(each for each in found if each), *_mojibake(text)]


def _finding(character: str, i: int) -> str:
    """Say what is wrong with one character; nothing, if nothing is."""
    kind = STRANGE.get(unicodedata.category(character), "")
    if character == "\ufffd":
        kind = "replacement character"
    elif character == "\ufeff" and i:
        kind = "byte order mark"
    elif character in HARMLESS:
        kind = ""
    return f"{kind} U+{ord(character):04X} at {i}" if kind else ""


def _mojibake(text: str) -> list[str]:
    for wrong in WRONG:
        try:
            mended = mend_mojibake(text, wrong)
        except ValueError:
            continue
        if _is_better(mended, text, wrong):
            return [f"mojibake of UTF-8 read as {wrong}, for {mended[:40]!r}"]
    return []


def _is_better(mended: str, text: str, wrong: str) -> bool:
    """Tell whether a text was mended, and not just read in another way.

    That it can be read in another way proves nothing: the bytes of 毛毛 in GBK are ëë in UTF-8.
    The other reading must have fewer rare characters. In Windows-1252 the wrong reading of a
    letter looks common, Ã and ©, but two such signs in a row are not: each counts as one.
    """
    if any(unicodedata.category(character) in STRANGE for character in mended.strip(HARMLESS)):
        return False
    odd_pairs = sum(not character.isascii() for character in mended) if wrong == "cp1252" else 0
    return _count_rare(mended, WRONG[wrong]) < _count_rare(text) + odd_pairs


def _count_rare(text: str, word: int = sys.maxsize) -> int:
    """Count rare characters; those of a script are not, if so many follow one another somewhere."""
    runs = [(script, len(list(run))) for script, run in groupby(text, _rare_script)]
    written = {script for script, length in runs if length >= word} - {"CJK"}
    return sum(length for script, length in runs if script and script not in written)


def _rare_script(character: str) -> str:
    """Return what script a rare character belongs to; nothing for one that is not rare."""
    if _is_common(character) or _is_frequent(character):
        return ""
    return unicodedata.name(character, "UNNAMED").partition(" ")[0]


def _is_common(character: str) -> bool:
    """Tell whether a character is in one of the blocks that texts are full of."""
    return any(first <= ord(character) <= last for first, last in COMMON)


def _is_frequent(character: str) -> bool:
    """Tell whether a Chinese character is one of those that are used most."""
    for code, first, last in FREQUENT:
        try:
            lead, _ = character.encode(code)
        except (UnicodeEncodeError, ValueError):
            continue  # not in this standard, or not in two bytes
        if first <= lead <= last:
            return True
    return False


def garble(text: str, wrong: str = "cp1252") -> str:
    r"""Write a text in UTF-8 and read it as something else, as a careless program does.

    Parameters
    ----------
    text : str
    wrong : str
        The encoding that it is taken for.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If that encoding has no such bytes, so that reading would fail, or if it is unknown.

    Examples
    --------
    >>> garble("café")
    'cafÃ©'
    """
    _require_text(text)
    _require_encoding(wrong)
    try:
        return "".join(_read(byte, wrong) for byte in _pieces(text.encode("utf-8"), wrong))
    except UnicodeError:
        raise ValueError(f"{text[:40]!r} in UTF-8 cannot be read as {wrong}") from None


def mend_mojibake(text: str, wrong: str = "cp1252") -> str:
    r"""Undo `garble`: write a text as it was wrongly read, and read it as UTF-8.

    Parameters
    ----------
    text : str
    wrong : str
        The encoding that UTF-8 was taken for.

    Returns
    -------
    str
        A text of ASCII characters stays as it is.

    Raises
    ------
    ValueError
        If the text is no mojibake of that kind, or the encoding is unknown.

    Examples
    --------
    >>> mend_mojibake("cafÃ©")
    'café'
    """
    _require_text(text)
    _require_encoding(wrong)
    try:
        return b"".join(_write(character, wrong) for character in text).decode("utf-8")
    except UnicodeError:
        raise ValueError(f"{text[:40]!r} is not UTF-8 read as {wrong}") from None


def _require_encoding(name: str) -> None:
    try:
        "".encode(name)
    except (LookupError, TypeError):
        raise ValueError(f"wrong must be an encoding that Python knows, got {name!r}") from None


def _pieces(content: bytes, wrong: str) -> list[bytes]:
    """Cut where the wrong encoding may be read byte by byte; others are read in one piece."""
    single = wrong in ("cp1252", "latin-1")
    return [content[i : i + 1] for i in range(len(content))] if single else [content]


def _read(piece: bytes, wrong: str) -> str:
    """Read bytes; the five that Windows-1252 lacks, as browsers do."""
    try:
        return piece.decode(wrong)
    except UnicodeDecodeError:
        if wrong != "cp1252":
            raise
        return piece.decode("latin-1")


def _write(character: str, wrong: str) -> bytes:
    try:
        return character.encode(wrong)
    except UnicodeEncodeError:
        if wrong != "cp1252":
            raise
        return character.encode("latin-1")
