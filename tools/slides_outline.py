"""A chapter's doctree cut into slides: one idea each, in the order of the text.

What the text is made of decides what a slide shows: headings open parts, marked sentences become
points, a formula stands large, a figure takes a slide with its caption as headline, a worked
example goes step by step, a question waits for its answer. The full text goes into the notes.

A cell's metadata can overrule this as it does in Jupyter: ``slideshow.slide_type`` is ``slide`` or
``subslide`` (begin a slide, show the cell's code however long), ``fragment``, ``skip`` or
``notes``.
"""

from __future__ import annotations

import re
import textwrap

from docutils import nodes

from tools import slides_text
from tools.slides_parts import (
    LINE,
    Block,
    Slide,
    ancestors,
    defined_in,
    is_element,
    is_exercises,
    is_printed,
    math_lines,
    math_width,
    only_checks,
    only_prints,
    parts_of_cell,
    text_lines,
    without_docstring,
)
from tools.slides_text import as_paragraph, joined, sentences, statements, width

CAPACITY = 11.5  # lines of text on a slide below its headline
CODE_LINES = 10  # longer code is read on the page
DEFINING_LINES = 6  # so is code that shows nothing, unless it is this short
FRAME = 74  # characters of formulas side by side
EXERCISES = 8  # on one slide
STEP = 13  # lines on a step of a worked example, whose formulas are set smaller
SOURCE_LINES = 14  # the same for the package's code, its docstring left out
OUTPUT_LINES = 9
CODE_HEIGHT = 0.78  # of a line of code, in lines of text
CELL = 10_000  # myst-nb counts lines by cells: the third line of cell 7 is 80003
BEGINS = {"slide", "subslide"}
VIEW = "application/vnd.jupyter.widget-view+json"


class Outline:
    """Walks a chapter and cuts it into slides."""

    def __init__(self, steering: dict[int, str] | None = None):
        self.steering = steering or {}
        self.slides: list[Slide] = []
        self.headline = self.part = None
        self.anchor, self.question = "", None

    # -- slides ----------------------------------------------------------------------------------

    def begin(self, kind: str, headline: nodes.Node | None = None, closed: bool = False) -> Slide:
        """Begin a slide under the heading that stands, or under another headline."""
        part = self.part if headline or self.headline is not self.part else None
        slide = Slide(kind, headline or self.headline, part, self.anchor, closed=closed)
        self.slides.append(slide)
        return slide

    def place(self, block: Block) -> Slide:
        """Put a block on the current slide, or on a new one where there is no room."""
        current = self.slides[-1]
        if not current.closed and current.lines + block.lines <= CAPACITY:
            current.blocks.append(block)
            return current
        slide = self.begin("points")
        self.take_lead(current, slide)
        slide.blocks.append(block)
        return slide

    def take_lead(self, before: Slide, slide: Slide) -> None:
        """Move a sentence that leads on to the slide where it leads."""
        if len(before.blocks) > 1 and before.blocks[-1].leads and not before.closed:
            slide.blocks.append(before.blocks.pop())

    def drop_lead(self) -> list[nodes.Node]:
        """Remove a slide that only leads to the next one; return what the speaker says there."""
        last = self.slides[-1]
        leads = last.kind == "points" and last.blocks and last.blocks[-1].leads
        if leads and len(last.blocks) <= 2:
            self.slides.pop()
            return last.notes
        return []

    def note(self, *spoken: nodes.Node) -> None:
        """Give the speaker the full text."""
        self.slides[-1].notes += spoken

    # -- walking ---------------------------------------------------------------------------------

    def steer(self, node: nodes.Node) -> str:
        """Return the slide type that the cell of a node asks for."""
        return self.steering.get((node.line or 0) // CELL - 1, "")

    def walk(self, parent: nodes.Element) -> Outline:
        """Visit the children of a node, each as its kind asks."""
        previous = None
        for node in parent.children:
            wish = self.steer(node)
            cell = (node.line or 0) // CELL
            if wish in BEGINS and cell != previous and not isinstance(node, nodes.section):
                self.begin("points")
            previous = cell
            if wish == "notes":
                self.note(node)
            elif wish != "skip" or isinstance(node, nodes.section):
                self.visit(node, wish)
        return self

    def visit(self, node: nodes.Node, wish: str = "") -> None:
        """Cut one node."""
        before = [len(slide.blocks) for slide in self.slides]
        name = node.get("design_component") or node.__class__.__name__ if is_element(node) else ""
        getattr(self, f"visit_{name}", self.visit_other)(node)
        if wish == "fragment":
            for slide, known in zip(self.slides, before + [0] * len(self.slides), strict=False):
                for block in slide.blocks[known:]:
                    block.fragment = True

    def visit_other(self, node: nodes.Node) -> None:
        """Leave out what has no place on a slide."""

    def visit_document(self, node: nodes.Element) -> None:
        """Visit the chapter."""
        self.walk(node)

    def visit_section(self, node: nodes.Element) -> None:
        """Open a part of the chapter, or change the headline within one."""
        title = node.next_node(nodes.title)
        kept = self.headline, self.part, self.anchor
        depth = sum(isinstance(above, nodes.section) for above in ancestors(node))
        self.headline, self.anchor = title, node["ids"][0]
        self.part = title if depth < 2 else self.part
        self.question = None
        if depth == 0:
            self.begin("title")
            self.headline = self.part = title
        elif depth == 1:
            self.begin("exercises" if is_exercises(node) else "section")
        else:
            self.begin("points")
        self.walk(node)
        if depth:
            self.headline, self.part, self.anchor = kept
        self.drop_empty()

    def drop_empty(self) -> None:
        """Leave out slides on which nothing came to stand."""
        self.slides = [s for s in self.slides if s.blocks or s.kind in ("title", "section")]

    # -- text ------------------------------------------------------------------------------------

    def visit_paragraph(self, node: nodes.Element) -> None:
        """Show what a paragraph says in a sentence or two; give the speaker all of it."""
        slide = self.slides[-1]
        if slide.kind == "exercises":
            self.note(node)
            return
        opening = slide.kind in ("title", "section") and not slide.blocks
        heading = slides_text.run_in(node)
        if heading is not None and slides_text.is_heading(heading):
            self.headline = as_paragraph(heading.children)
            self.begin("points")
            self.points(sentences(slides_text.after_run_in(node)))
        else:
            self.points(statements(node))
        self.note(node)
        if opening:
            slide.closed = True

    def points(self, chosen: list[list[nodes.Node]]) -> None:
        """Place sentences, each as a point."""
        for sentence in chosen:
            point = as_paragraph(sentence)
            leads = slides_text.leads_on(sentence)
            self.place(Block(point, text_lines(point), "point", leads=leads))

    def visit_math_block(self, node: nodes.Element) -> None:
        """Show a formula large."""
        self.place(Block(node, math_lines(node), "formula"))

    def visit_bullet_list(self, node: nodes.Element) -> None:
        """Show each item as a point."""
        if self.slides[-1].kind == "section" and not self.slides[-1].blocks:
            self.slides[-1].kind = "points"  # a part that is nothing but a list
        for item in node.children:
            for paragraph in item.findall(nodes.paragraph):
                chosen = as_paragraph(joined(statements(paragraph)))
                self.place(Block(chosen, text_lines(chosen), "point"))
                self.note(paragraph)

    visit_enumerated_list = visit_bullet_list

    def visit_block_quote(self, node: nodes.Element) -> None:
        """Show a quotation as it stands."""
        self.place(Block(node, text_lines(node), "quote"))

    def visit_table(self, node: nodes.Element) -> None:
        """Show a table as it stands."""
        rows = len(list(node.findall(nodes.row)))
        self.place(Block(node, rows * 1.1 + 1, "table"))

    def visit_figure(self, node: nodes.Element) -> None:
        """Give a figure a slide; its caption says what to see."""
        caption = node.next_node(nodes.caption)
        said = sentences(caption) if caption else [[]]
        headline = as_paragraph(said[0]) if said[0] else None
        spoken = self.drop_lead()
        slide = self.begin("figure", headline, closed=True)
        slide.notes += spoken
        slide.blocks.append(Block(node, CAPACITY, "picture"))
        if said[1:]:
            slide.blocks.append(Block(as_paragraph(joined(said[1:])), 2, "caption"))
        if caption:
            self.note(as_paragraph(caption.children))
        slide.anchor = (node["ids"] or [slide.anchor])[0]

    visit_image = visit_figure

    # -- boxes -----------------------------------------------------------------------------------

    def visit_admonition(self, node: nodes.Element) -> None:
        """Show a box on slides of its own."""
        kinds = {"worked-example": self.steps, "predict": self.ask}
        kind = next((kinds[name] for name in node["classes"] if name in kinds), self.box)
        kind(node, node.next_node(nodes.title))
        self.slides[-1].closed = True

    visit_note = visit_tip = visit_warning = visit_important = visit_admonition

    def box(self, node: nodes.Element, title: nodes.Node | None) -> None:
        """Show each sentence of a box as a point."""
        kind = next(iter(node["classes"]), "points")
        slide = self.begin(f"box {kind}", title)
        for paragraph in node.findall(nodes.paragraph):
            slide.blocks += [
                Block(point, text_lines(point), "point")
                for point in map(as_paragraph, sentences(paragraph))
            ]
            self.note(paragraph)

    def ask(self, node: nodes.Element, title: nodes.Node | None) -> None:
        """Put a question; what is printed next will answer it, on the same slide."""
        slide = self.begin("question", title)
        for paragraph in node.findall(nodes.paragraph):
            slide.blocks.append(Block(paragraph, text_lines(paragraph)))
            self.note(paragraph)
        self.question = slide

    def steps(self, node: nodes.Element, title: nodes.Node) -> None:
        """Show a worked example step by step: each begins with a paragraph of its own."""
        slide = None
        for child in node.children:
            if isinstance(child, nodes.paragraph):
                slide = self.step(child, title)
            elif isinstance(child, nodes.math_block):
                slide = slide or self.begin("step", title)
                if slide.lines + self.side_by_side(slide, child) > STEP:
                    slide = self.continued(slide)
                waits = len(slide.blocks) > 0 and len(slide.notes) > 0
                lines = self.side_by_side(slide, child)
                slide.blocks.append(Block(child, lines, "formula", fragment=waits))

    def step(self, paragraph: nodes.Element, title: nodes.Node) -> Slide:
        """Begin a step: its bold words are its headline, the example's title stands above."""
        slide = self.begin("step", title)
        said, heading = paragraph, slides_text.run_in(paragraph)
        if heading is not None:
            name = nodes.strong("", heading.astext().rstrip(".,:。，：、"))
            slide.part, slide.headline = title, as_paragraph([name])
            said = slides_text.after_run_in(paragraph)
        chosen = sentences(said) if width(said.astext()) < 4 * LINE else statements(said)
        for sentence in chosen[:3]:
            point = as_paragraph(sentence)
            slide.blocks.append(Block(point, text_lines(point)))
        slide.notes.append(paragraph)
        return slide

    def continued(self, slide: Slide) -> Slide:
        """Go on with a step on another slide."""
        following = self.begin("step", slide.headline)
        following.part = slide.part
        following.notes = slide.notes[:1]
        return following

    def side_by_side(self, slide: Slide, formula: nodes.Node) -> float:
        """Return how many more lines a formula takes; two narrow ones stand side by side."""
        shown = [block for block in slide.blocks if block.kind == "formula"]
        beside = len(shown) % 2 == 1 and math_width(shown[-1].node) + math_width(formula) < FRAME
        return (
            max(0.0, math_lines(formula) - math_lines(shown[-1].node))
            if beside
            else math_lines(formula)
        )

    # -- cells -----------------------------------------------------------------------------------

    def visit_container(self, node: nodes.Element) -> None:
        """Show a cell's code where it is short, and what it gave."""
        if node.get("nb_element") != "cell_code":
            if "margin" not in node.get("classes", []):
                self.walk(node)
            return
        tags = set((node.get("cell_metadata") or {}).get("tags", []))
        source, outputs = parts_of_cell(node)
        if source is not None and self.slides[-1].closed and only_checks(source.astext(), outputs):
            self.note(*outputs)  # what a picture or a box has just said, verified
            return
        blocks = self.code(source, outputs, tags) if source is not None else []
        printed = [] if "hide-output" in tags else self.printed(outputs, after=bool(blocks))
        if self.question is not None and printed:
            self.question.blocks += printed
            self.question, printed = None, []
        self.place_together([*blocks, *printed])
        for output in outputs:
            self.output(output)

    def place_together(self, blocks: list[Block]) -> None:
        """Place code with what it prints, on one slide where that is possible."""
        current, lines = self.slides[-1], sum(block.lines for block in blocks)
        if blocks and current.lines and current.lines + lines > CAPACITY >= lines:
            self.take_lead(current, self.begin("points"))
        for block in blocks:
            self.place(block)

    def code(self, source: nodes.Element, outputs: list[nodes.Element], tags: set) -> list[Block]:
        """Return short code to be shown; name longer code, to be read on the page."""
        text = source.astext().strip()
        count = len(text.splitlines())
        wanted = self.steer(source) in BEGINS | {"fragment"}
        hidden = tags & {"hide-input", "worked-example"} or text.startswith(("show(", "explore("))
        telling = not (only_prints(text) or only_checks(text, outputs))
        short = count <= (CODE_LINES if outputs else DEFINING_LINES)
        if wanted or (short and telling and not hidden):
            tight = re.sub(r"\n\n+", "\n\n", text)
            shown = nodes.literal_block(tight, tight, language=source.get("language", "python"))
            return [Block(shown, (tight.count("\n") + 1) * CODE_HEIGHT + 0.9, "code")]
        if "hide-input" not in tags:
            self.slides[-1].more += defined_in(text)
        return []

    def printed(self, outputs: list[nodes.Element], after: bool) -> list[Block]:
        """Return printed text to be shown: after its code or a question, as what comes next."""
        texts = [node for node in outputs if is_printed(node)]
        counts = [len(node.astext().strip().splitlines()) for node in texts]
        waits = after or self.question is not None
        return [
            Block(node, count * CODE_HEIGHT + 0.7, "output", waits)
            for node, count in zip(texts, counts, strict=True)
            if count <= OUTPUT_LINES
        ]

    def output(self, node: nodes.Element) -> None:
        """Show what a cell gave besides text: a figure, a widget, the package's code."""
        figures = list(node.findall(nodes.figure)) or list(node.findall(nodes.image))
        if any(VIEW in raw.astext() for raw in node.findall(nodes.raw)):
            self.widget(node)
        elif figures:
            self.visit_figure(figures[0])
        elif isinstance(node, nodes.literal_block) and not is_printed(node):
            self.package_code(node)

    def widget(self, node: nodes.Element) -> None:
        """Give a widget's still picture a slide, with the sentence that leads to it."""
        before = self.slides[-1]
        slide = self.begin("widget", closed=True)
        self.take_lead(before, slide)
        slide.blocks.append(Block(node, CAPACITY, "picture"))

    def package_code(self, node: nodes.Element) -> None:
        """Show the package's code without its docstring, or name it where it is long."""
        text = without_docstring(node.astext())
        if len(text.splitlines()) > SOURCE_LINES:
            self.slides[-1].more += defined_in(textwrap.dedent(text))
            return
        shorter = nodes.literal_block(text, text, language=node.get("language", "python"))
        self.place(Block(shorter, len(text.splitlines()) * CODE_HEIGHT + 0.8, "code"))

    # -- exercises -------------------------------------------------------------------------------

    def visit_exercise_enumerable_node(self, node: nodes.Element) -> None:
        """List an exercise with the others."""
        if self.slides[-1].kind != "exercises" or len(self.slides[-1].blocks) == EXERCISES:
            self.begin("exercises")
        self.slides[-1].blocks.append(Block(node, 1, "exercise"))

    visit_exercise_node = visit_exercise_enumerable_node

    def visit_dropdown(self, _node: nodes.Element) -> None:
        """Leave hints and solutions to the page."""
