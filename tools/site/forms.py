"""The role ``form``: a link to a chapter in another form: {form}`Open in Colab <colab attention>`.

Without a chapter it leads to the list of all that have this form: {form}`The slides <slides>`.
Slides and notebooks are made from chapters and have no source of their own that a document could
link to. On the site's pages the link is relative; everywhere else it names the published site.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from tools.book import addresses
from tools.site.page_context import made_links

LOGGER = logging.getLogger(__name__)
CONTENT = re.compile(r"(?P<words>.+?)\s*<(?P<kind>\w+)(?: (?P<chapter>[\w/-]+))?>", re.DOTALL)
LISTS = {"slides": "slides/index.html"}


class form_link(nodes.Inline, nodes.TextElement):
    """A link whose address depends on what is being built."""


def form(_name, rawtext, text, lineno, inliner, _options=None, _content=None):
    """Return the link that the role stands for."""
    match = CONTENT.fullmatch(text)
    if not match:
        message = "form takes words and, in angle brackets, a kind and perhaps a chapter"
        error = inliner.reporter.error(message, line=lineno)
        return [inliner.problematic(rawtext, rawtext, error)], [error]
    return [form_link(rawtext, match["words"], kind=match["kind"], chapter=match["chapter"])], []


class Resolve(SphinxPostTransform):
    """Give links to other forms their addresses."""

    default_priority = 10

    def run(self, **_kwargs) -> None:
        """Replace each link; a form that is not made is a warning."""
        for node in list(self.document.findall(form_link)):
            address = self.address(node)
            if address is None:
                LOGGER.warning("form: no %(kind)s of %(chapter)s", node.attributes, location=node)
            node.replace_self(nodes.reference("", node.astext(), refuri=address or ""))

    def address(self, node: form_link) -> str | None:
        """Return where a form is, or nothing."""
        repository, root = self.config.repository, Path(self.app.srcdir)
        if node["chapter"] is None:
            place = LISTS.get(node["kind"])
        else:
            path = f"chapters/{node['chapter']}.ipynb"
            known = (root / path).is_file()
            place = made_links(root, repository, path).get(node["kind"]) if known else None
        if place is None or place.startswith("https:"):
            return place
        if self.app.builder.name == "html":
            return "../" * self.env.docname.count("/") + place
        return f"{addresses.site(root)}/{repository['edition']}/{place}"


def setup(app) -> dict:
    """Register the role with Sphinx."""
    app.add_node(form_link)
    app.add_role("form", form, override=True)
    app.add_post_transform(Resolve)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
