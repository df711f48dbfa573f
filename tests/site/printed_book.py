"""Books to print and to pack: the whole one, and a small one that holds one thing of each kind."""

from __future__ import annotations

import functools
import multiprocessing
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import polib
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.notebooks.conftest import clean_environment
from tools.book import contents
from tools.pages import editions
from tools.paper import epub
from tools.paper import pdf as printed
from tools.paper.print_builder import slug
from tools.words import catalogs
from tools.words import translation_checks as checks

BUILT = {"_build", "build", "dist"}
EQUATION = re.compile(r"\$\$ ?\(([\w-]+)\)")
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@dataclass
class Source:
    """A notebook of a book, as it is written: what must be found in print."""

    number: int  # of the chapter
    path: Path
    name: str  # of the page
    before: tuple[int, int] = (0, 0)  # equations and figures in earlier parts of the chapter

    def __post_init__(self) -> None:
        """Read the notebook."""
        self.cells = nbformat.read(self.path, as_version=4).cells
        texts = [cell.source for cell in self.cells if cell.cell_type == "markdown"]
        self.text = FENCED.sub("", "\n\n".join(texts))
        self.sections = [title for level, title in HEADING.findall(self.text) if level == "##"]

    def numbered(self) -> Iterator[tuple[str, str]]:
        """Yield the place of each labelled equation and of each figure, and its number."""
        equations, figures = self.before
        for count, label in enumerate(EQUATION.findall(self.text), equations + 1):
            yield f"{slug(self.name)}--equation-{label}", f"({self.number}.{count})"
        for count, name in enumerate(self.figures(), figures + 1):
            yield f"{slug(self.name)}--{name}", f"{self.number}.{count}"

    def figures(self) -> list[str]:
        """Return the names of the figures that have a caption."""
        figures = (cell.metadata.get("mystnb", {}).get("figure", {}) for cell in self.cells)
        return [figure["name"] for figure in figures if "name" in figure]

    def pictures(self) -> int:
        """Return how many figures with a caption, and widgets, are shown."""
        widgets = self.path.read_text(encoding="utf-8").count(
            '"application/vnd.jupyter.widget-view+json"'
        )
        return len(self.figures()) + widgets

    def formulas(self) -> set[str]:
        """Return the different formulas in lines of text."""
        return set(checks.formulas(self.text))


@dataclass
class Book:
    """A book's sources, and its files, each made when it is first asked for."""

    root: Path
    solution: tuple[str, str]  # a chapter, and words that stand only in a solution of it
    made: dict[tuple[str, str], Path] = field(default_factory=dict)

    def sources(self) -> list[Source]:
        """Return the notebooks of all chapters."""
        found = []
        for chapter in contents.chapters(self.root):
            equations = figures = 0
            for path in chapter.notebooks:
                page = contents.page_of(path, self.root)
                source = Source(chapter.number, path, page, (equations, figures))
                equations += len(EQUATION.findall(source.text))
                figures += len(source.figures())
                found.append(source)
        return found

    def titles(self) -> list[str]:
        """Return the titles of all printed pages but the landing page, in English."""
        found = []
        for page in contents.pages(self.root)[1:]:
            path = contents.file_of(page, self.root)
            text = Source(0, path, page).text if path.suffix == ".ipynb" else path.read_text()
            if "\nprinted: false\n" not in text:
                found.append(HEADING.search(text)[2])
        return found

    def chinese_titles(self) -> list[str]:
        """Return the titles of the translated chapters, in Chinese."""
        found = []
        for source in self.sources():
            if source.name in catalogs.translated(self.root, "zh_CN"):
                path = catalogs.folder(self.root, "zh_CN") / f"{source.name}.po"
                title = HEADING.search(source.text)[2]
                found += [e.msgstr for e in polib.pofile(str(path)) if e.msgid == title]
        return found

    def place(self, builder: str, folder: str) -> Path:
        """Return what a builder has left of an edition."""
        return editions.place(builder, self.root, editions.edition(folder))

    def pdf(self, folder: str) -> Path:
        """Return an edition as PDF."""
        return self.get("pdf", folder, printed_aside)

    def ebook(self, folder: str) -> Path:
        """Return an edition as EPUB."""
        return self.get("epub", folder, epub.make)

    def get(self, kind: str, folder: str, make: Callable) -> Path:
        """Return a file; what was read for one kind is not read again for the other."""
        if (kind, folder) not in self.made:
            read = self.place(".doctrees", folder).exists()
            path = make(self.root, editions.edition(folder), fresh=not read)
            self.made[kind, folder] = path
        return self.made[kind, folder]


@functools.cache
def aside() -> ProcessPoolExecutor:
    """Return a process beside this one, which lasts as long: it imports for seconds."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def printed_aside(root: Path, edition: editions.Edition, fresh: bool) -> Path:
    """Print in another process: a process can drive only one browser at a time."""
    return aside().submit(printed.make, root, edition, fresh).result()


def whole(root: Path) -> Book:
    """Return the book itself, in a folder that shares its sources and nothing that is built."""
    for path in contents.ROOT.iterdir():
        if path.name not in BUILT and not path.name.startswith("."):
            (root / path.name).symlink_to(path)
    return Book(root, ("attention", "Doubling a score squares its"))


# -- the small book ------------------------------------------------------------------------------

TEXT_CELLS = [
    "# A small chapter\n\nIt has one thing of each kind, and *nothing* in vain: $a^2 \\ge 0$.",
    """\
## By hand

A square is a product, as {cite:t}`vaswani2017attention` know, and equation {eq}`eq-small` says:

$$
a^2 = a \\cdot a
$$ (eq-small)

| number | its square |
|---|---|
| 2 | 4 |
| 3 | 9 |
""",
    """\
## In code

Figure {numref}`fig-small` shows it, and the {doc}`notes <appendix/notes>` say more.
""",
]
CODE_CELLS = [
    """\
import matplotlib.pyplot as plt

from companion.notebook import explore

print(3**2)
""",
    "_ = plt.plot([0, 1, 2, 3], [0, 1, 4, 9])",
    """\
def bar(height):
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.bar([0], [height])
    return figure


explore(bar, alt="A bar of height {height}.", height=[1, 2, 3])
""",
]
EXERCISES = """\
## Exercises

::::{exercise} A square
:label: small-square
:class: difficulty-1

What is $4^2$?
::::

:::{dropdown} Hint
:class: hint

Multiply.
:::

:::{dropdown} Solution
:class: solution

Four times four makes sixteen.
:::
"""
READING = "## Further reading\n\nAll that {cite:p}`vaswani2017attention` cite."
FIGURE = {
    "figure": {"caption": "Squares grow faster than $a$ itself does.", "name": "fig-small"},
    "image": {"alt": "A curve that rises from 0 to 9, ever more steeply."},
}
NOTES = """\
# Notes

Seen in {eq}`eq-small` of the {doc}`small chapter <../small>`, with `code` and $b$.

| sign | meaning |
|---|---|
| $a$ | a number |

```{bibliography}
```
"""
CONTENTS = """\
format: jb-book
root: index
parts:
  - caption: Chapters
    numbered: true
    chapters:
      - file: chapters/small
  - caption: Appendices
    chapters:
      - file: chapters/appendix/notes
"""
CHINESE = {
    "A small chapter": "一个小章节",
    "By hand": "手算",
    "In code": "用代码",
    "Exercises": "练习",
    "Further reading": "延伸阅读",
    "It has one thing of each kind, and *nothing* in vain: $a^2 \\ge 0$.": (
        "这里每样东西各有一件，**没有**一件多余：$a^2 \\ge 0$。"
    ),
    "Squares grow faster than $a$ itself does.": "平方比 $a$ 本身增长得更快。",
    "Four times four makes sixteen.": "四乘四得十六。",
}


def small(root: Path) -> Book:
    """Write a book of one chapter and one appendix, partly in Chinese."""
    for name in ("_config.yml", "references.bib"):
        shutil.copy(contents.ROOT / name, root)
    (root / "chapters" / "appendix").mkdir(parents=True)
    (root / "_toc.yml").write_text(CONTENTS)
    (root / "index.md").write_text("# Small\n\nA book to be printed in a moment.\n")
    (root / "chapters" / "appendix" / "notes.md").write_text(NOTES)
    write_chapter(root / "chapters" / "small.ipynb")
    write_chinese(root)
    return Book(root, ("small", "Four times four makes sixteen."))


def write_chapter(path: Path) -> None:
    """Write the notebook and run it, so that it has pictures and a widget that are real."""
    code = [new_code_cell(text.strip()) for text in CODE_CELLS]
    code[1].metadata = {"mystnb": FIGURE, "tags": ["hide-input"]}
    texts = [new_markdown_cell(text) for text in (*TEXT_CELLS, EXERCISES, READING)]
    cells = [*texts[:3], *code, *texts[3:]]
    nbformat.write(new_notebook(cells=cells), path)
    command = [sys.executable, "-m", "tools.chapters.execute", path]
    subprocess.run(command, cwd=contents.ROOT, env=clean_environment(), check=True)


def write_chinese(root: Path) -> None:
    """Write the catalog of the chapter, beside that of what the book's tools say."""
    folder = catalogs.folder(root, "zh_CN")
    (folder / "chapters").mkdir(parents=True)
    shutil.copy(catalogs.folder(contents.ROOT, "zh_CN") / "book.po", folder)
    (root / catalogs.LOCALE / "zh_CN" / "pages.txt").write_text("chapters/small\n")
    catalog = polib.POFile()
    catalog.metadata = {"Content-Type": "text/plain; charset=UTF-8"}
    catalog.extend(polib.POEntry(msgid=m, msgstr=said) for m, said in CHINESE.items())
    catalog.save(str(folder / "chapters" / "small.po"))
