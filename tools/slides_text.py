"""What a paragraph says in a sentence or two: text for slides, taken from text for reading.

Nothing is written anew. A sentence is taken whole, with the math, terms and links inside it, and
the signs by which sentences are chosen are those of the text itself: bold, a term set apart at
the start, the first place in a paragraph. So the choice is the same in every language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from docutils import nodes

END = re.compile(r"[.!?][”’\")\]]*(?=\s)|[。！？][”’」』）]*")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|cf|vs|Fig|Eq|al|resp|approx|[A-Z])\.$")
SHORT = 130  # a paragraph this long is shown whole
MOST = 3  # statements from one paragraph
OPENING = 6  # where a sentence may name its term: after so many letters, an article's
BRIEF = 48  # a first sentence this short needs the next one
ENOUGH = 240  # how the paragraph ends is added where both stay within so many letters


def width(text: str) -> int:
    """Return how wide a text is set, a Chinese character counting as two letters."""
    return sum(2 if ord(letter) > 0x2E7F else 1 for letter in text)


def ends(text: str) -> Iterator[int]:
    """Yield the places in a text at which a sentence has just ended.

    >>> list(ends("One, e.g. this. Two! Three"))
    [15, 20]
    """
    for match in END.finditer(text + " "):
        if not ABBREVIATION.search(text[: match.start() + 1]):
            yield match.end()


def sentences(paragraph: nodes.Element) -> list[list[nodes.Node]]:
    """Return the sentences of a paragraph, each as the inline nodes that it consists of."""
    found: list[list[nodes.Node]] = [[]]
    for child in paragraph.children:
        if not isinstance(child, nodes.Text):
            found[-1].append(child.deepcopy())
            if closes(child, paragraph):
                found.append([])
            continue
        start = 0
        for stop in ends(str(child)):
            found[-1].append(nodes.Text(str(child)[start:stop].lstrip() if start else child[:stop]))
            found.append([])
            start = stop
        rest = str(child)[start:]
        if found[-1] or rest.strip():
            found[-1].append(nodes.Text(rest if found[-1] else rest.lstrip()))
    return [sentence for sentence in found if any(node.astext().strip() for node in sentence)]


def closes(node: nodes.Node, parent: nodes.Element) -> bool:
    """Tell whether an inline node ends a sentence by itself, as emphasis around it all does."""
    after = parent.children[parent.index(node) + 1 :]
    if isinstance(node, nodes.math | nodes.literal) or not after:
        return False
    return bool(re.search(r"[.!?。！？]$", node.astext())) and after[0].astext()[:1] in (" ", "")


def is_marked(sentence: list[nodes.Node]) -> bool:
    """Tell whether a sentence is set apart: bold in it, or a term named at its start."""
    before = 0
    for node in sentence:
        if isinstance(node, nodes.strong):
            return True
        if isinstance(node, nodes.emphasis) and before <= OPENING and len(sentence) > 1:
            return True
        before += width(node.astext())
    return False


def statements(paragraph: nodes.Element) -> list[list[nodes.Node]]:
    """Return the sentences of a paragraph that a slide shows.

    A short paragraph is shown whole. Of a longer one, what is marked is shown, or else how it
    begins and how it ends; how it ends always where that leads over to what comes next.
    """
    everything = sentences(paragraph)
    if width(paragraph.astext()) <= SHORT:
        return everything
    chosen = [sentence for sentence in everything if is_marked(sentence)][:MOST]
    last = everything[-1]
    if not chosen:
        chosen = everything[: 2 if length(everything[0]) < BRIEF else 1]
        if last not in chosen and sum(map(length, [*chosen, last])) <= ENOUGH:
            chosen.append(last)
    if leads_on(last) and last not in chosen:
        chosen.append(last)
    return chosen


def length(sentence: list[nodes.Node]) -> int:
    """Return how wide a sentence is set."""
    return sum(width(node.astext()) for node in sentence)


def run_in(paragraph: nodes.Element) -> nodes.Element | None:
    """Return the bold words with which a paragraph begins, as a heading within the line."""
    first = next((node for node in paragraph.children if node.astext().strip()), None)
    return first if isinstance(first, nodes.strong) else None


def is_heading(words: nodes.Element) -> bool:
    """Tell whether the bold words at a paragraph's start are a sentence of their own."""
    after = words.next_node(descend=False, siblings=True)
    follows = after.astext().lstrip()[:1] if after is not None else "."
    return words.astext().endswith(tuple(".。?？!！")) or follows in tuple(".。?？!！")


def after_run_in(paragraph: nodes.Element) -> nodes.paragraph:
    """Return a paragraph without the bold words at its start, where they stand by themselves.

    They do when a full stop or a colon ends them; "**Scores**, 5 x 5" is a sentence that needs
    its first word.
    """
    heading = run_in(paragraph)
    rest = [node.deepcopy() for node in paragraph.children[paragraph.index(heading) + 1 :]]
    text = rest[0].astext() if rest and isinstance(rest[0], nodes.Text) else ""
    if is_heading(heading) or heading.astext()[-1:] in ":：" or text[:1] in (":", "："):
        if text:
            text = text.lstrip(":：.。 ")
            rest[0] = nodes.Text(text[:1].upper() + text[1:])
        return as_paragraph(rest)
    return as_paragraph(list(paragraph.children))


def leads_on(sentence: list[nodes.Node]) -> bool:
    """Tell whether a sentence ends in a colon, and so belongs to what comes after it."""
    return "".join(node.astext() for node in sentence).rstrip().endswith((":", "：", ","))


def as_paragraph(sentence: list[nodes.Node], classes: tuple[str, ...] = ()) -> nodes.paragraph:
    """Return a sentence as a paragraph of its own."""
    return nodes.paragraph("", "", *[node.deepcopy() for node in sentence], classes=list(classes))


def joined(parts: list[list[nodes.Node]]) -> list[nodes.Node]:
    """Return sentences one after the other, spaced as their script asks."""
    together: list[nodes.Node] = []
    for part in parts:
        if together and not together[-1].astext().endswith(tuple("。！？”」")):
            together.append(nodes.Text(" "))
        together += part
    return together
