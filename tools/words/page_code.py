"""The words in a page's code, and what its checks have printed: messages like all others.

`tools.words.code_words` finds them. What `show` displays is the package's, and stays in English.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from docutils import nodes
from nbformat import NotebookNode

from tools.words import check_words, code_words
from tools.words.code_words import Piece

Say = Callable[[str], str]
PYTHON = ("python", "ipython3", "ipython")
PRINTED = "myst-ansi"  # the language that myst-nb gives to what a cell has printed


def words(document: nodes.document) -> list[str]:
    """Return the messages in a page's code."""
    sources = [block.astext() for block in _blocks(document)]
    return [piece.words for piece in _pieces(sources)]


def translate(document: nodes.document, said: Mapping[str, str], say: Say) -> None:
    """Put a page's code, and what its checks have printed, into another language.

    Parameters
    ----------
    document : docutils document
    said : mapping
        The translation of each message of the page.
    say : callable
        What the book's own catalog has for a message.
    """
    page = Page([block.astext() for block in _blocks(document)], said, say)
    for block in _blocks(document):
        _rewrite(block, page.code(block.astext()))
    for block in document.findall(_is_printed):
        _rewrite(block, page.output(block.astext()))


def translate_cells(notebook: NotebookNode, said: Mapping[str, str], say: Say) -> None:
    """Do the same in a notebook, for where it is opened itself."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    page = Page([cell.source for cell in cells], said, say)
    for cell in cells:
        cell.source = page.code(cell.source)
        for output in cell.outputs:
            if output.output_type == "stream":
                output.text = page.output(output.text)


class Page:
    """The code of a page, and its words in another language; without any, all stays as it is."""

    def __init__(self, sources: list[str], said: Mapping[str, str], say: Say):
        self.said, self.say = said, say
        self.sayers = code_words.sayers(sources) if said else set()
        self.pieces = _pieces(sources) if said else []

    def code(self, source: str) -> str:
        """Return code with its words translated."""
        return code_words.translated(source, self._in_words, self.sayers) if self.said else source

    def output(self, text: str) -> str:
        """Return what was printed with the lines of checks translated."""
        if not self.said or not any(mark in text for mark in code_words.MARKS):
            return text
        return check_words.translated(text, self.pieces, self._in_words, self.say)

    def _in_words(self, message: str) -> str:
        return self.said.get(" ".join(message.split()), message)


def _pieces(sources: list[str]) -> list[Piece]:
    sayers = code_words.sayers(sources)
    return [piece for source in sources for piece in code_words.pieces(source, sayers)]


def _blocks(document: nodes.document) -> Iterator[nodes.literal_block]:
    for block in document.findall(nodes.literal_block):
        if block.get("language") in PYTHON and not _is_output(block):
            yield block


def _is_printed(node: nodes.Node) -> bool:
    return isinstance(node, nodes.literal_block) and node.get("language") == PRINTED


def _is_output(node: nodes.Node) -> bool:
    while node is not None:
        if "cell_output" in node.get("classes", []):
            return True
        node = node.parent
    return False


def _rewrite(block: nodes.literal_block, text: str) -> None:
    if text != block.astext():
        block.rawsource = text  # by which Sphinx knows that it is to be coloured
        block.children = []
        block += nodes.Text(text)
