"""Messages that Sphinx does not see, and addresses that translations must not change.

Sphinx translates paragraphs, titles and captions. A page says more: its description for search
engines, what stands for a picture among a cell's outputs, the titles of exercises, the labels of
sliders, what is written on slides, comments in code. Each becomes a message here, and what the
catalog says for it goes where it belongs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes, locale
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.i18n import docname_to_domain
from sphinx_exercise.directive import ExerciseDirective
from sphinx_exercise.nodes import exercise_subtitle

from tools.book import phrases
from tools.pages import drawings
from tools.pages.widgets import page_state, words_of_widgets
from tools.slides import marks
from tools.words import page_code


class Words(nodes.Invisible, nodes.Element, addnodes.translatable):
    """A message that stands in no paragraph; `said` is its translation, once there is one."""

    def preserve_original_messages(self) -> None:
        """Do nothing: the words are kept as they are."""

    def extract_original_messages(self) -> list[str]:
        """Return the message."""
        return [self["words"]]

    def apply_translated_message(self, _original: str, translated: str) -> None:
        """Keep the translation."""
        self["said"] = translated


class Exercise(ExerciseDirective):
    """An exercise whose title is a message, as every other title is."""

    def run(self) -> list[nodes.Node]:
        """Note where the title stands, which is what makes it a message."""
        made = super().run()
        for subtitle in (s for node in made for s in node.findall(exercise_subtitle)):
            subtitle.rawsource = self.arguments[0]
            subtitle.source, subtitle.line = self.state_machine.get_source_and_line(self.lineno)
        return made


class Collect(SphinxTransform):
    """Add a page's further messages to it, before they are translated."""

    default_priority = 5

    def apply(self, **_kwargs: Any) -> None:
        """Gather descriptions, and the words of pictures, drawings, code, widgets and slides."""
        messages = list(self._descriptions())
        messages += [picture.get("alt") for picture in self.document.findall(nodes.image)]
        messages += drawings.words(self.document, self.env)
        messages += page_code.words(self.document)
        messages += words_of_widgets(page_state(self.env, self.env.docname))
        messages += marks.words(Path(self.env.doc2path(self.env.docname)))
        for line, message in enumerate(dict.fromkeys(filter(None, messages)), start=1):
            node = Words(words=" ".join(message.split()))
            node.source, node.line, node.uid = self.document["source"], line, ""
            self.document += node

    def _descriptions(self) -> Iterator[str]:
        for field in self.document.findall(nodes.field):
            if field[0].astext() == "description":
                yield field[1].astext()


class Spread(SphinxTransform):
    """Put what was said where it belongs, and restore what translating has disturbed."""

    default_priority = 21  # right after Sphinx has translated the page

    def apply(self, **_kwargs: Any) -> None:
        """Keep the page's words; let headings be found under the names they have in English."""
        page = self.env.metadata[self.env.docname]
        found = list(self.document.findall(Words))
        said = {node["words"]: node["said"] for node in found if "said" in node}
        page["words"] = said
        drawings.translate(self.document, self.env, said)
        say = phrases.speaker(Path(self.app.srcdir), self.config.language)
        page_code.translate(self.document, said, say)
        if self.app.builder.name != "gettext":
            for node in found:
                node.parent.remove(node)
        self._restore_slugs(page)

    def _restore_slugs(self, page: dict) -> None:
        """Undo that each translated heading was taken for the page's only one."""
        slugs = getattr(self.document, "myst_slugs", {})
        if slugs:
            page["myst_slugs"] = {
                slug: (line, section, self._title(section, text))
                for slug, (line, section, text) in slugs.items()
            }

    def _title(self, section: str, otherwise: str) -> str:
        node = self.document.ids.get(section)
        title = node.next_node(nodes.title) if node is not None else None
        return title.astext() if title is not None else otherwise


class Captions(SphinxTransform):
    """Translate the captions of the table of contents.

    They come from a file of their own, and into the page only when it has been translated.
    """

    default_priority = 101  # right after they have come

    def apply(self, **_kwargs: Any) -> None:
        """Replace each caption by what the page's catalog says for it."""
        if self.app.builder.name == "gettext":
            return
        folders = [str(self.app.srcdir / folder) for folder in self.config.locale_dirs]
        domain = docname_to_domain(self.env.docname, self.config.gettext_compact)
        catalog, _ = locale.init(folders, self.config.language, domain)
        for node in self.document.findall(addnodes.toctree):
            if node.get("caption"):
                node["caption"] = catalog.gettext(node["caption"])


BRACKETS = {" (": "（", ")": "）"}


class Brackets(SphinxPostTransform):
    """Set the titles of exercises in the brackets of the language."""

    default_priority = 1000

    def run(self, **_kwargs: Any) -> None:
        """Replace brackets that sphinx-exercise has put round titles."""
        if not (self.config.language or "").startswith("zh"):
            return
        for title in self.document.findall(nodes.title):
            if "exercise" in title.parent.get("classes", []):
                for text in [t for t in title.children if t.astext() in BRACKETS]:
                    title.replace(text, nodes.Text(BRACKETS[text.astext()]))


def setup(app) -> dict:
    """Register nodes, directive and transforms with Sphinx."""
    app.setup_extension("sphinx_exercise")
    app.add_node(Words)
    app.add_directive("exercise", Exercise, override=True)
    app.add_transform(Collect)
    app.add_transform(Spread)
    app.add_transform(Captions)
    app.add_post_transform(Brackets)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
