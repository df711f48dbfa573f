"""What other packages do over and over while a book is built, done once.

Each of these functions gives what the one it replaces gives, in the versions that the book is
built with: Sphinx's parser of translated messages, which is asked twice for each message and sets
up all of MyST every time; MyST's settings of a document, made anew even where they are not used;
the page that a numbered reference leads to, read from the disk for each reference; the search for
a plugin among all installed packages, which comes with each citation; numpydoc's template, compiled
anew for each docstring; and the search for one of Sphinx's collectors among all objects in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pybtex.plugin
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.io import StringInput
from docutils.parsers.rst import Parser as RstParser
from docutils.utils import new_document
from myst_parser.mdit_to_docutils import base
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from myst_parser.parsers.mdit import create_md_parser
from myst_parser.parsers.sphinx_ import MystParser
from numpydoc import docscrape_sphinx
from sphinx.domains.std import StandardDomain
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.io import SphinxI18nReader
from sphinx.transforms import i18n
from sphinx_external_toc import collectors


class MessageParser(MystParser):
    """MyST's parser, set up once and then used for all messages."""

    def __init__(self, config):
        super().__init__()
        self.markdown = create_md_parser(config, SphinxRenderer)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse a message into a document."""
        self.markdown.options["document"] = document
        self.markdown.render(inputstring)


class Messages:
    """The translated messages of a page, each parsed once."""

    def __init__(self) -> None:
        self.parser: MessageParser | None = None
        self.page = ""
        self.known: dict[tuple[str, int], nodes.Element] = {}

    def start(self, app) -> None:
        """Set the parser up as a build wants it."""
        self.parser = MessageParser(app.env.myst_config)
        self.page, self.known = "", {}

    def __call__(
        self, app: Any, text: str, page: str, line: int, _config: Any, settings: Any
    ) -> nodes.Element:
        """Return what a message says, each time in nodes of its own."""
        if page != self.page:
            self.page, self.known = page, {}
        if (text, line) not in self.known:
            self.known[text, line] = self.parse(app, text, f"{page}:{line}:<translated>", settings)
        return alone(self.known[text, line].deepcopy())

    def parse(self, app: Any, text: str, place: str, settings: Any) -> nodes.Element:
        """Parse a message; return its first block."""
        reader = SphinxI18nReader()
        reader.setup(app)
        source = StringInput(source=text, source_path=place)
        document = reader.read(source=source, parser=self.parser, settings=settings)
        return document[0] if document.children else document


def alone(node: nodes.Element) -> nodes.Element:
    """Return a node that knows no document, so that it can be part of any.

    A page that knew the documents of its messages would be stored with all of Sphinx's memory.
    """
    for each in node.findall():
        each._document = None
    return node


def document_once(make: Callable[..., nodes.document]) -> Callable[..., nodes.document]:
    """Return a function that makes documents and looks up what docutils' settings are only once."""
    settings = get_default_settings(RstParser)

    @functools.wraps(make)
    def made(source_path: str = "notset", parser_cls: type = RstParser) -> nodes.document:
        if parser_cls is not RstParser:
            return make(source_path, parser_cls)
        return new_document(source_path, settings=settings.copy())

    return made


class Pages:
    """Sphinx's environment for who only looks at other pages: each is read from the disk once."""

    def __init__(self) -> None:
        self.environment: Any = None
        self.known: dict[str, nodes.document] = {}

    def start(self, app, *_) -> None:
        """Forget the pages as they were before."""
        self.environment, self.known = app.env, {}

    def get_doctree(self, page: str) -> nodes.document:
        """Return a page as it was read; it must not be changed."""
        if page not in self.known:
            self.known[page] = self.environment.get_doctree(page)
        return self.known[page]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.environment, name)


def looking_only(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Return Sphinx's function for numbered references, which then looks at pages in memory."""

    @functools.wraps(resolve)
    def resolved(domain: StandardDomain, _environment: Any, *rest: Any) -> Any:
        return resolve(domain, PAGES, *rest)

    return resolved


def template_once(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes one environment of templates, which keeps what it compiles."""
    known: list[Any] = []

    @functools.wraps(make)
    def made(loader: Any) -> Any:
        if not known:
            known.append(make(loader=loader))
        return known[0]

    return made


def disable_collector(app) -> None:
    """Disable Sphinx's own collector of tables of contents, found by what it listens to."""
    listeners = [one for event in app.events.listeners.values() for one in event]
    owners = {getattr(one.handler, "__self__", None) for one in listeners}
    for owner in owners:
        if isinstance(owner, TocTreeCollector):
            owner.disable(app)


MESSAGES = Messages()
PAGES = Pages()
i18n.publish_msgstr = MESSAGES  # type: ignore[assignment]
docscrape_sphinx.SandboxedEnvironment = template_once(docscrape_sphinx.SandboxedEnvironment)
base.make_document = document_once(base.make_document)
NUMREF = looking_only(StandardDomain._resolve_numref_xref)
StandardDomain._resolve_numref_xref = NUMREF  # type: ignore[method-assign]
collectors.disable_builtin_toctree_collector = disable_collector
pybtex.plugin._load_entry_point = functools.cache(pybtex.plugin._load_entry_point)


def setup(app) -> dict:
    """Set the parser of messages up before anything is read, and the pages once all has been."""
    app.connect("builder-inited", MESSAGES.start, priority=900)
    for event in ("builder-inited", "env-check-consistency"):
        app.connect(event, PAGES.start)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
