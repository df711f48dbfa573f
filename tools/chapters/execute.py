"""Run the chapters and store their outputs: ``python -m tools.chapters.execute [CHAPTER ...]``.

``transformer`` names all notebooks of a chapter, ``transformer/block`` one of several.

A notebook stays the same byte for byte when nothing that it computes has changed. Cells tagged
``nbval-ignore-output`` (timings, training) give something else every time; their stored outputs
are kept as long as the code up to them and all other outputs are the same, unless ``--fresh``
asks for new ones. So is what checks have measured, as long as all code is the same, since it may
differ from machine to machine. (Fingerprints of the code are kept in the metadata as ``ran``.) A
cell that fails or writes to standard error stops the run, and the file is left alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools.book import contents, notebooks, shown_code, widget_state
from tools.book.contents import ContentsError
from tools.book.notebooks import NotebookError, tags
from tools.chapters import exercises, masks, setup_cell

IGNORED = "nbval-ignore-output"
SECONDS_A_CELL = 900
# Nothing is said that differs from machine to machine, and widgets are drawn ahead for the pages.
FOR_KEEPS = {"COMPANION_QUIET": "1", "COMPANION_WIDGETS": "stored"}
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}


class ExecutionFailed(NotebookError):
    """A chapter cannot be run to its end; the message says why."""


# -- one notebook --------------------------------------------------------------------------------


def renew(path: Path, fresh: bool = False, root: Path = contents.ROOT) -> str:
    """Return the text the notebook should have: run, with its outputs in normal form."""
    stored = read(path)
    notebook = read(path)
    setup_cell.place(notebook, root)
    exercises.place(notebook, exercises.masters(path, root))
    execute(notebook, path)
    normalise(notebook)
    sign(notebook)
    if not fresh:
        keep_stored_outputs(notebook, stored)
    widget_state.rename(notebook)
    return notebooks.write(notebook)


def read(path: Path) -> NotebookNode:
    """Read a notebook that has something to run."""
    notebook = notebooks.read(path)
    if not code_cells(notebook):
        raise ExecutionFailed(f"{path.name} has no code to run")
    return notebook


def execute(notebook: NotebookNode, path: Path) -> None:
    """Run all cells in a new kernel, from the notebook's own folder."""
    # Widgets of an earlier run would be kept beside the new ones.
    notebook.metadata.pop("widgets", None)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name=KERNELSPEC["name"],
        record_timing=False,
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute(env={**os.environ, **FOR_KEEPS})
    except CellExecutionError as error:
        raise ExecutionFailed(_failure(notebook, path, plain(str(error)))) from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise ExecutionFailed(f"{path.name}: {error}") from error
    _refuse_stderr(notebook, path)


def _failure(notebook: NotebookNode, path: Path, message: str) -> str:
    failed = (
        number
        for number, cell in enumerate(notebook.cells)
        if any(output.output_type == "error" for output in cell.get("outputs", []))
    )
    return f"{path.name}, cell {next(failed, '?')} failed:\n{message}"


def _refuse_stderr(notebook: NotebookNode, path: Path) -> None:
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                raise ExecutionFailed(
                    f"{path.name}, cell {number} writes to standard error:\n"
                    f"{plain(output.text)}\nThe cell is:\n{cell.source}"
                )


def plain(text: str) -> str:
    """Remove the colours a terminal would show."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# -- normal form ---------------------------------------------------------------------------------


def normalise(notebook: NotebookNode) -> None:
    """Remove what differs from run to run or from machine to machine without meaning anything."""
    shown_code.without_links(notebook)
    notebook.metadata["kernelspec"] = dict(KERNELSPEC)
    notebook.metadata["language_info"] = dict(LANGUAGE)
    count = 0
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = merge_streams(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream, and keep of each redrawn line its last state."""
    merged: list[NotebookNode] = []
    for output in outputs:
        before = merged[-1] if merged else None
        if (
            before
            and output.output_type == before.output_type == "stream"
            and (output.name == before.name)
        ):
            before.text += output.text
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            output.text = last_drawn(output.text)
    return [o for o in merged if o.output_type != "stream" or o.text]


def last_drawn(text: str) -> str:
    """Carry out carriage returns: later text stands over earlier text of the same line."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for piece in line.split("\r"):
            shown = piece + shown[len(piece) :]
        lines.append(shown.rstrip() if "\r" in line else shown)
    return "\n".join(lines)


def keep_stored_outputs(notebook: NotebookNode, stored: NotebookNode) -> None:
    """Put back what was stored of all that may differ, if everything else is as it was."""
    pairs = list(zip(code_cells(notebook), code_cells(stored), strict=True))
    if any(IGNORED not in tags(cell) and shown(cell) != shown(old) for cell, old in pairs):
        return
    same_notebook = notebook.metadata.ran == stored.metadata.get("ran")
    for cell, old in pairs:
        if IGNORED in tags(cell):
            if cell.metadata.ran == old.metadata.get("ran") and not shows_widget(cell):
                cell.outputs = old.outputs
        elif same_notebook:
            keep_measured(cell, old)


def keep_measured(cell: NotebookNode, old: NotebookNode) -> None:
    """Put back the printed lines, which are the same but for what checks have measured."""
    for output, before in zip(cell.outputs, old.outputs, strict=True):
        if output.output_type == "stream":
            output.text = before.text


def sign(notebook: NotebookNode) -> None:
    """Write a fingerprint of the code into the notebook, and into each ignored cell up to there."""
    digest = hashlib.sha256()
    for cell in code_cells(notebook):
        digest.update(cell.source.encode() + b"\0")
        cell.metadata.pop("ran", None)
        if IGNORED in tags(cell):
            cell.metadata["ran"] = digest.hexdigest()[:16]
    notebook.metadata["ran"] = digest.hexdigest()[:16]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells but for the one that sets up."""
    start = 1 if setup_cell.is_placed(notebook) else 0
    return [cell for cell in notebook.cells[start:] if cell.cell_type == "code"]


def shown(cell: NotebookNode) -> list[NotebookNode]:
    """Return the outputs as they are compared: no counters, names of widgets, measured values."""
    outputs = []
    for output in cell.outputs:
        output = nbformat.from_dict({k: v for k, v in output.items() if k != "execution_count"})
        output.get("data", {}).pop(widget_state.VIEW, None)
        if output.output_type == "stream":
            output.text = masks.masked(output.text)
        outputs.append(output)
    return outputs


def shows_widget(cell: NotebookNode) -> bool:
    """Tell whether a cell's output refers to a widget."""
    return any(widget_state.VIEW in output.get("data", {}) for output in cell.outputs)


# -- the command ---------------------------------------------------------------------------------


def find(names: list[str], root: Path = contents.ROOT) -> list[Path]:
    """Return the notebooks named: a chapter's, one of them, or a path; all if none is named."""
    found = [path for name in names for path in _named(name, root)]
    return [path.resolve() for path in found] if names else contents.notebooks(root)


def _named(name: str, root: Path) -> list[Path]:
    path = Path(name)
    found = [path] if path.suffix == ".ipynb" and path.exists() else contents.find(name, root)
    if not found:
        known = ", ".join(chapter.name for chapter in contents.chapters(root))
        raise ExecutionFailed(f"No chapter {name}; there are {known or 'none'}")
    return found


def run(path: Path, fresh: bool, check: bool) -> bool:
    """Renew one notebook and say what came of it; return whether it was up to date."""
    start = time.monotonic()
    text = renew(path, fresh)
    same = text == path.read_text(encoding="utf-8")
    if not same and not check:
        notebooks.store(path, text)
    outcome = "unchanged" if same else "would change" if check else "changed"
    print(f"{path.name}: {outcome} ({time.monotonic() - start:.0f} s)", flush=True)
    return same


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.chapters.execute", description=__doc__)
    parser.add_argument("chapter", nargs="*", help="a chapter's name, or a path; default: all")
    parser.add_argument("--fresh", action="store_true", help="renew timings and training, too")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of date")
    options = parser.parse_args(arguments)
    try:
        current = [run(path, options.fresh, options.check) for path in find(options.chapter)]
    except (NotebookError, ContentsError) as error:
        print(f"{error}\nThe file was left as it is.", file=sys.stderr)
        return 1
    return 1 if options.check and not all(current) else 0


if __name__ == "__main__":
    sys.exit(main())
