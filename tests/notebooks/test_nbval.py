"""Each chapter is run again, and every text output compared with the one stored.

nbval compares standard output, plain text, HTML and Markdown exactly; it leaves out pictures,
and the names of widgets. Cells tagged ``nbval-ignore-output`` are run but not compared.
"""

import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import contents


def nbval(*paths, cwd):
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "--color=no", "-c", os.devnull]
    command += ["--rootdir", str(cwd), "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--nbval-cell-timeout", "900", *map(str, paths)]
    environment = {**os.environ, "COMPANION_QUIET": "1"}
    # Pictures are shown in the notebook, as a reader has them.
    environment.pop("MPLBACKEND", None)
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.chapters
@pytest.mark.parametrize("path", contents.notebooks(), ids=lambda path: path.stem)
def test_outputs_are_as_stored(path):
    result = nbval(path, cwd=path.parent)
    assert result.returncode == 0, result.stdout + result.stderr


def result(**data):
    return new_output("execute_result", data=data, execution_count=1)


def stream(text):
    return new_output("stream", name="stdout", text=text)


# Code, what is stored as its output, its tags, and whether that must pass.
TRIALS = [
    ("1", result(**{"text/plain": "1"}), [], True),
    ("1", result(**{"text/plain": "2"}), [], False),
    ("1", result(**{"text/plain": "1", "text/markdown": "**1**"}), [], False),
    ("1", result(**{"text/plain": "1", "text/html": "<b>1</b>"}), [], False),
    ("1", result(**{"text/plain": "1", "image/png": "iVBORw0KGgo="}), [], True),
    ("print(0.25)", stream("0.25\n"), [], True),
    ("print(0.25)", stream("0.24\n"), [], False),
    ("print(0.25)", stream("0.24\n"), ["nbval-ignore-output"], True),
    ("1 / 0", stream(""), ["nbval-ignore-output"], False),
]


def test_what_is_compared(tmp_path):
    """A text that differs is a failure, and so is one more or one less."""
    cells = [
        new_code_cell(code, outputs=[output], execution_count=1, metadata={"tags": tags})
        for code, output, tags, _ in TRIALS
    ]
    path = tmp_path / "trial.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    said = nbval(path, cwd=tmp_path).stdout
    failed = {int(number) for number in re.findall(r"^FAILED .*::Cell (\d+)", said, re.MULTILINE)}
    assert failed == {number for number, trial in enumerate(TRIALS) if not trial[-1]}, said
