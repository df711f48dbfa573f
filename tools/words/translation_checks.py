r"""What must hold of one translated message.

Numbers, formulas, code and references are the original's; punctuation is Chinese; between Chinese
characters and Latin letters, digits, formulas or code stands one space. A translator who means to
depart from a rule says so in a comment above the message: ``# allow: numbers, spacing``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

import polib
from markdown_it import MarkdownIt

HAN = "\u3400-\u9fff"
ROLE = re.compile(r"\{([\w:+-]+)\}`([^`]+)`")
MATH = re.compile(r"(?<![\\$])\$(?!\$)((?:[^$\\]|\\.)+)\$")
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]*)\)")
PART = re.compile(r"\{\{\w+\}\}|(?<!\{)\{[^{}]*\}(?!\})")  # what is filled in later
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
TARGET = re.compile(r"<([^<>]+)>$")
SHOWN = re.compile(r"\{[\w:+-]+\}`([^`<]*?)\s*<[^`<>]+>`")  # a reference with words of its own
ALLOW = re.compile(r"allow:\s*([\w, -]+)")
WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
WORD_NUMBERS = {word: str(number) for number, word in enumerate(WORDS)} | {
    "first": "1", "second": "2", "third": "3", "once": "1", "twice": "2", "half": "1",
    "twenty": "20", "hundred": "100", "thousand": "1000",
}  # fmt: skip
FORMULA, NEUTRAL = "\ue000", "\ue001"  # what stands for masked pieces
LATIN = f"A-Za-z0-9{FORMULA}"
HALF_WIDTH = re.compile(rf"[{HAN}][*]*\s?[,;:?!]|[{HAN}][*]*\.(?!\w)|[{HAN}]\s?\(|\)\s?[{HAN}]")
GLUED = re.compile(rf"[{HAN}][*]*[{LATIN}]|[{LATIN}%][*]*[{HAN}]")
LOOSE = re.compile(rf"[{HAN}] +[{HAN}]|[，。；：？！、）」] | [，。；：？！、）」]")
# Markdown ends bold type after a full stop only where a space follows.
BOLD_STOP = re.compile(r"([，。；：？！])\*+ ")
MARKDOWN = MarkdownIt("commonmark")


def needs_translation(message: str) -> bool:
    """Tell whether a message says anything in words.

    >>> needs_translation("c 7, a 3 → **3**"), needs_translation("$x$ and {eq}`eq-y`")
    (False, True)
    >>> needs_translation("{ref}`computed <case-one>`")
    True
    """
    if is_display_math(message):
        return False
    return bool(re.search(r"[A-Za-z]{2}", masked(SHOWN.sub(r"\1", message))))


def is_display_math(message: str) -> bool:
    """Tell whether a message is a formula of its own, which is the same in every language."""
    return message.startswith("\n") or message.lstrip().startswith(r"\begin{")


def masked(message: str) -> str:
    """Return the message with formulas, code, roles and addresses replaced by a mark each."""
    message = ROLE.sub(NEUTRAL, message)
    message = CODE.sub(FORMULA, message)
    message = MATH.sub(FORMULA, message)
    message = LINK.sub(r"\1", message)
    message = PART.sub(NEUTRAL, message)
    return re.sub(r"<https?://[^>]+>|https?://\S+", NEUTRAL, message)


def roles(message: str) -> Iterable[str]:
    """Return what roles refer to, without the words they show."""
    for name, content in ROLE.findall(message):
        shown = TARGET.search(content)
        yield f"{{{name}}}`{shown[1] if shown else content}`"


def formulas(message: str) -> Iterable[str]:
    """Return the formulas in a line of text."""
    return MATH.findall(CODE.sub(FORMULA, ROLE.sub(NEUTRAL, message)))


def codes(message: str) -> Iterable[str]:
    """Return the code in a line of text."""
    return [code for _, code in CODE.findall(ROLE.sub(NEUTRAL, message))]


def links(message: str) -> Iterable[str]:
    """Return the addresses of links."""
    return [address for _, address in LINK.findall(message)]


def numbers(message: str) -> list[str]:
    """Return the numbers outside of formulas and code."""
    return NUMBER.findall(masked(message))


def difference(original: Iterable[str], translation: Iterable[str]) -> str:
    """Say what one has and the other has not."""
    left, right = Counter(original), Counter(translation)
    lost, new = sorted((left - right).elements()), sorted((right - left).elements())
    parts = [f"lost {', '.join(lost)}"] if lost else []
    return "; ".join(parts + ([f"new {', '.join(new)}"] if new else []))


def number_difference(original: str, translation: str) -> str:
    """Compare numbers; a number that English has in words may stand in digits."""
    words = Counter(re.findall(r"[a-z]+", masked(original).lower()))
    spoken = Counter({WORD_NUMBERS[w]: count for w, count in words.items() if w in WORD_NUMBERS})
    new = Counter(numbers(translation)) - Counter(numbers(original))
    return difference([*numbers(original), *(new & spoken).elements()], numbers(translation))


def leftover_marks(translation: str) -> str:
    """Return marks of emphasis or code that Markdown did not take for such."""
    masks = MATH.sub(FORMULA, ROLE.sub(NEUTRAL, translation))
    (inline,) = MARKDOWN.parseInline(masks)
    texts = [token.content for token in inline.children or [] if token.type == "text"]
    return ", ".join(text for text in texts if re.search(r"[*`]", text))


def found(pattern: re.Pattern, translation: str) -> str:
    """Return the places where a pattern is found, each with a little of what is around it."""
    text = masked(translation)
    spots = [text[max(0, m.start() - 3) : m.end() + 3] for m in pattern.finditer(text)]
    return " | ".join(spot.replace(FORMULA, "…").replace(NEUTRAL, "…") for spot in spots)


Rule = Callable[[str, str], str]
RULES: dict[str, Rule] = {
    "references": lambda o, t: difference(roles(o), roles(t)),
    "math": lambda o, t: difference(formulas(o), formulas(t)),
    "code": lambda o, t: difference(codes(o), codes(t)),
    "links": lambda o, t: difference(links(o), links(t)),
    "parts": lambda o, t: difference(*(PART.findall(ROLE.sub("", m)) for m in (o, t))),
    "numbers": number_difference,
    "marks": lambda _, t: leftover_marks(t),
    "punctuation": lambda _, t: found(HALF_WIDTH, t),
    "spacing": lambda _, t: (
        found(GLUED, t) or found(LOOSE, BOLD_STOP.sub(r"\1", t).replace("*", ""))
    ),
    "same": lambda o, t: "nothing was translated" if o == t else "",
}


def allowed(entry: polib.POEntry) -> set[str]:
    """Return the rules that a translator has set aside for a message."""
    match = ALLOW.search(entry.tcomment or "")
    return {name.strip() for name in match[1].split(",")} if match else set()


def problems(entry: polib.POEntry) -> list[str]:
    """Return what is wrong with a translated message."""
    judged = {
        name: rule(entry.msgid, entry.msgstr)
        for name, rule in RULES.items()
        if name not in allowed(entry)
    }
    return [f"{name}: {text}" for name, text in judged.items() if text]


def missing_terms(entry: polib.POEntry, terms: dict[str, str]) -> list[str]:
    """Return the terms of the table that the original uses and the translation does not."""
    if "terms" in allowed(entry):
        return []
    text = masked(entry.msgid).lower()
    used = [t for t in terms if re.search(rf"\b{re.escape(t)}s?\b", text)]
    # "attention" says nothing where "attention weight" is what stands there.
    longest = [t for t in used if not any(t != other and t in other for other in used)]
    said = entry.msgstr.lower()
    return [
        f"{term} ({terms[term]})"
        for term in longest
        if not any(word.lower() in said for word in re.split(r"[/；;、]", terms[term]))
    ]
