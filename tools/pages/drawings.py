"""The words in schematic drawings, which are text in SVG: messages like all others on a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from nbformat import NotebookNode
from sphinx.environment import BuildEnvironment

from companion.notebook import lettering

SVG = "image/svg+xml"


def words(document: nodes.document, env: BuildEnvironment) -> list[str]:
    """Return what is written on a page's drawings."""
    texts = (path.read_text(encoding="utf-8") for _, path in _drawings(document, env))
    return [word for text in texts for word in lettering.words_of(text)]


def translate(document: nodes.document, env: BuildEnvironment, said: dict[str, str]) -> None:
    """Show translated drawings instead of the page's own, where something on them was translated.

    Parameters
    ----------
    document : docutils document
    env : Sphinx environment
    said : dict
        The translation of each message.
    """
    for image, path in list(_drawings(document, env)):
        text = path.read_text(encoding="utf-8")
        translated = lettering.translated(text, lambda word: said.get(word, word))
        if translated != text:
            name = f"{path.stem}.{env.config.language}{path.suffix}"
            path.with_name(name).write_text(translated, encoding="utf-8")
            image["uri"] = image["uri"].removesuffix(path.name) + name


def translate_outputs(notebook: NotebookNode, said: dict[str, str]) -> None:
    """Translate the drawings among the outputs of a notebook, for where it is opened itself."""
    for output in (o for cell in notebook.cells for o in cell.get("outputs", [])):
        svg = output.get("data", {}).get(SVG)
        if svg:
            output.data[SVG] = lettering.translated(svg, lambda word: said.get(word, word))


def _drawings(
    document: nodes.document, env: BuildEnvironment
) -> Iterator[tuple[nodes.image, Path]]:
    for image in document.findall(nodes.image):
        if image["uri"].endswith(".svg"):
            _, path = env.relfn2path(image["uri"], env.docname)
            yield image, Path(path)
