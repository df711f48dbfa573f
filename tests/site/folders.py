"""A trial book: a chapter that is a folder of two notebooks, between two that are one each.

The exercises are those of the real chapter *Optimisation*, since masters are a Python package.
"""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path

import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tools.book import contents, notebooks
from tools.chapters import exercises, setup_cell
from tools.chapters.execute import LANGUAGE

SITE = "https://book.example"
FOLDER = "chapters/optimisation"
TABLE = {
    "format": "jb-book",
    "root": "index",
    "parts": [
        {
            "caption": "Chapters",
            "numbered": True,
            "chapters": [
                {"file": "chapters/before"},
                {
                    "file": f"{FOLDER}/index",
                    "sections": [{"file": f"{FOLDER}/down"}, {"file": f"{FOLDER}/further"}],
                },
                {"file": "chapters/after"},
            ],
        },
        {"caption": "Appendices", "chapters": [{"file": "chapters/appendix/notes"}]},
    ],
}
TEXTS = {
    "index": "# Tiny\n\nA book of {doc}`a chapter in parts <chapters/optimisation/index>`, which "
    "opens there: {form}`Run the first part <colab optimisation/down>`.",
    FOLDER + "/index": "# Into the valley\n\nHow does one get down a hill in the dark? In "
    "{doc}`down` we take one step, in {doc}`further` many. The end is {numref}`fig-further`.",
    "chapters/appendix/notes": "# Notes\n\nThese belong to no chapter, and lead to "
    "{place}`chapters/optimisation/down#a-place`.\n\n```{book-index} figures\n```\n\n"
    "```{book-index} exercises\n```",
}
# The text of each notebook: its title, and what its sections say.
NOTEBOOKS = {
    "chapters/before": (
        "Before",
        "It comes first, and names what comes later: {numref}`fig-further` and {eq}`eq-further`.",
    ),
    FOLDER + "/down": (
        "Down the valley",
        "One step downhill, from here: {ref}`the place <further-place>`, {eq}`eq-further`.",
    ),
    FOLDER + "/further": (
        "Further down",
        "Many steps after {numref}`fig-down`, and {eq}`eq-down`, lead to {ref}`down-place`.",
    ),
    "chapters/after": (
        "After",
        "It comes last, and names {numref}`fig-down`, {eq}`eq-down` and {ref}`further-place`.",
    ),
}
CHINESE = {
    "Into the valley": "走进山谷",
    "Down the valley": "下到谷底",
    "Further down": "再往下走",
}
SAID = {f"{FOLDER}/index": ["Into the valley"], f"{FOLDER}/down": ["Down the valley"]}
SAID[f"{FOLDER}/further"] = ["Further down"]


def write(root: Path) -> Path:
    """Write the trial book into a folder, and return it."""
    (root / "_config.yml").write_text(yaml.safe_dump(settings()), encoding="utf-8")
    (root / "_toc.yml").write_text(yaml.safe_dump(TABLE), encoding="utf-8")
    (root / "references.bib").touch()
    for page, text in TEXTS.items():
        store(root / f"{page}.md", f"{text}\n")
    for page, (title, text) in NOTEBOOKS.items():
        store(root / f"{page}.ipynb", notebooks.write(notebook(page, title, text)))
    store(root / "exercises" / "optimisation" / "__init__.py", "")
    place_exercises(root)
    write_chinese(root)
    return root


def settings() -> dict:
    """Return the real book's settings under another name and address."""
    return contents.settings() | {"title": "Tiny", "html": {"baseurl": SITE}}


def store(path: Path, text: str) -> None:
    """Write a file, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def notebook(page: str, title: str, text: str) -> NotebookNode:
    """Return a notebook with a section, an equation and a figure, which are named by its page."""
    name = page.rpartition("/")[2]
    cells = [
        new_markdown_cell(f"# {title}\n\n{text}", id="title"),
        new_markdown_cell(f"({name}-place)=\n## A place\n\n$$ x = 1 $$ (eq-{name})", id="place"),
        figure(f"fig-{name}"),
    ]
    if name == "further":
        cells.append(new_markdown_cell("## Exercises\n\nTry these.", id="exercises"))
        cells.append(new_markdown_cell("## Summary\n\nThat is all.", id="summary"))
    made = new_notebook(cells=cells, metadata={"language_info": LANGUAGE})
    setup_cell.place(made)
    return made


def figure(name: str) -> NotebookNode:
    """Return a cell whose output is a figure with a caption."""
    dot = io.BytesIO()
    Image.new("L", (8, 8)).save(dot, format="png")
    data = {"image/png": base64.b64encode(dot.getvalue()).decode()}
    output = new_output("display_data", data=data, metadata={"image/png": {"width": 80}})
    mystnb = {
        "figure": {"caption": "A dot, which is all that there is to be seen.", "name": name},
        "image": {"alt": "A black dot."},
    }
    return new_code_cell("draw()", id="figure", outputs=[output], metadata={"mystnb": mystnb})


def place_exercises(root: Path) -> None:
    """Put the exercises where the tool puts them."""
    for path in contents.notebooks(root):
        read = notebooks.read(path)
        exercises.place(read, exercises.masters(path, root))
        notebooks.store(path, notebooks.write(read))


def write_chinese(root: Path) -> None:
    """Write the catalogs of the chapter in parts, and the list of what is translated."""
    folder = root / "locale" / "zh_CN"
    messages = folder / "LC_MESSAGES"
    for name in ("book", "exercises/assignments", "exercises/optimisation"):
        (messages / name).parent.mkdir(parents=True, exist_ok=True)
        real = contents.ROOT / messages.relative_to(root) / f"{name}.po"
        shutil.copy(real, messages / f"{name}.po")
    for page, said in SAID.items():
        lines = [f'msgid "{text}"\nmsgstr "{CHINESE[text]}"\n' for text in said]
        header = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'
        store(messages / f"{page}.po", "\n".join([header, *lines]))
    store(folder / "pages.txt", "\n".join(SAID) + "\n")
