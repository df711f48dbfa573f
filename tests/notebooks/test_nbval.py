"""Each chapter is run again by itself, and every text output compared with the one stored.

Each cell is run twice in a row, and both outputs are compared, since readers do that: a cell that
goes on drawing, or uses up a graph, is found. Training and widgets take long, and are run once.

It is run as on Colab: in an empty folder, with the package from its wheel. nbval compares standard
output, plain text, HTML and Markdown exactly; it leaves out pictures, the names of widgets, and
what ``tools/chapters/sanitize.cfg`` masks: numbers that checks have measured, and links to lines of
source. Cells tagged ``nbval-ignore-output`` are run but not compared.
"""

import copy
import os
import re
import subprocess
import sys
from functools import partial

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.notebooks.conftest import clean_environment
from tools.book import contents, notebooks
from tools.book.notebooks import tags
from tools.chapters import execute, masks

IGNORED = "nbval-ignore-output"
DIED = "Kernel died before replying to kernel_info"
ORIGIN = "import companion\nprint(companion.__file__)"
NO_REPOSITORY = "import importlib.util\nprint(importlib.util.find_spec('tools'))"
# Linux counts in units of 1024 bytes, macOS in bytes.
MEMORY = """\
import resource, sys
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
print("under 4 GB:", True if peak < 4e9 else peak)"""


def nbval(path, packages=None):
    """Run a notebook in its folder; `packages` is a folder that comes before all others."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "--color=no", "-c", os.devnull]
    command += ["--rootdir", str(path.parent), "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--nbval-sanitize-with", str(masks.PATH), "--nbval-cell-timeout", "900", path.name]
    # Pictures are shown in the notebook, as a reader has them.
    environment = clean_environment(**execute.FOR_KEEPS)
    if packages:
        environment["PYTHONPATH"] = str(packages)
    run = partial(subprocess.run, capture_output=True, text=True, check=False)
    done = run(command, cwd=path.parent, env=environment)
    if DIED in done.stdout:  # another program took the port that was free a moment ago
        done = run(command, cwd=path.parent, env=environment)
    return done


def with_checks(notebook, packages):
    """Add cells whose stored output says where the package is from, and how much memory it took."""
    expected = {
        ORIGIN: f"{packages / 'companion' / '__init__.py'}\n",
        NO_REPOSITORY: "None\n",
        MEMORY: "under 4 GB: True\n",
    }
    for code, said in expected.items():
        notebook.cells.append(new_code_cell(code, outputs=[stream(said)], execution_count=1))
    return notebook


def twice(notebook, everything=False):
    """Let each cell be followed by itself, but for those that take long, if not everything."""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        long = IGNORED in tags(cell) or "explore(" in cell.source
        if cell.cell_type == "code" and "setup" not in tags(cell) and (everything or not long):
            cells.append(copy.deepcopy(cell))
            cells[-1].id = f"{cell.id[:58]}-again"
    notebook.cells = cells
    return notebook


def compare(notebook, name, packages, folder):
    """Run a notebook in an empty folder, with the package alone, and compare its outputs."""
    alone = folder / name
    alone.write_text(notebooks.write(with_checks(notebook, packages)))
    done = nbval(alone, packages)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.chapters
@pytest.mark.parametrize("path", contents.notebooks(), ids=contents.label)
def test_a_chapter_alone_gives_what_is_stored(path, installed, tmp_path):
    compare(twice(notebooks.read(path)), path.name, installed, tmp_path)


def test_the_repository_is_out_of_reach_and_noticed_if_not(installed, tmp_path):
    path = tmp_path / "trial.ipynb"
    nbformat.write(with_checks(new_notebook(), installed), path)
    assert nbval(path, installed).returncode == 0
    said = nbval(path, contents.ROOT).stdout
    assert len(re.findall(r"^FAILED ", said, re.MULTILINE)) == 2, said


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
CHECK = "from companion.notebook import check; "
SHOW = "from companion.notebook import show, CheckFailed; show(CheckFailed)"
SHOWN = '''class CheckFailed(AssertionError):
    """A value is not what the text says it is."""'''


def checked(arguments, line, passes):
    return (f"{CHECK}check({arguments})", stream(f"✓ {line}\n"), [], passes)


def shown(heading, code=SHOWN, passes=True):
    markdown = f"{heading}\n\n```python\n{code}\n```"
    output = new_output("display_data", data={"text/markdown": markdown, "text/plain": code})
    return (SHOW, output, [], passes)


# What a check has measured may differ; its name, its words and its bound may not.
TRIALS += [
    checked("'two heads know', 0.99, at_least=0.9", "two heads know: 0.97, at least 0.90", True),
    checked("'two heads know', 0.99, at_least=0.9", "two heads know: 0.99, at least 0.80", False),
    checked("'two heads know', 0.99, at_least=0.9", "two heads see: 0.99, at least 0.90", False),
    checked("'two heads know', 0.99, at_least=0.9", "two heads know: 0.99, at most 0.90", False),
    checked("'two: heads', 0.99, at_least=0.9", "two: words: 0.99, at least 0.90", False),
    checked("'x', 1.32, at_least=0.2, at_most=5", "x: 4.1, between 0.20 and 5", True),
    checked("'x', 1.32, at_least=0.2, at_most=5", "x: 1.3, between 0.20 and 6", False),
    checked("'x', [1.1, 1.3], [1.1, 1.3]", "x: [1.2, -1e-05], as expected within 1e-06", True),
    checked("'x', [1.1, 1.3], [1.1, 1.3]", "x: [1.1, 1.3], as expected within 1e-05", False),
    checked("'x', 3.98, 4, 0.3", "x: 4.1, within 0.3 of 4", True),
    checked("'x', 3.98, 4, 0.3", "x: 3.98, within 0.3 of 5", False),
    checked(
        "'x', [.5] * 6, [.5] * 6", "x: 6 entries, largest difference 2e-9, at most 1e-06", True
    ),
    checked("'x', [.5] * 6, [.5] * 6", "x: 7 entries, largest difference 0, at most 1e-06", False),
    checked("'x', [.5] * 6, at_least=0", "x: 6 entries, smallest 0.31, at least 0", True),
    checked("'x', [.5] * 6, at_least=0", "x: 6 entries, largest 0.50, at least 0", False),
    # Equality is compared in full.
    checked("'tokens', 17, 17", "tokens: 17, as expected", True),
    checked("'tokens', 17, 17", "tokens: 18, as expected", False),
    checked("'word', 'a', 'a'", 'word: "b", as expected', False),
    checked("'it holds', True", "it holds", True),
    checked("'it holds', True", "it held", False),
    # And so is every other line.
    ("print('loss: 0.99, at least 0.90')", stream("loss: 0.97, at least 0.90\n"), [], False),
    (
        f"{CHECK}check('x', 2.0, 2.0); print('loss: 0.5')",
        stream("✓ x: 2, as expected within 1e-06\nloss: 0.6\n"),
        [],
        False,
    ),
    # A link above code that is shown is left out, with its lines; name and code are compared.
    shown("`companion.notebook.checks.CheckFailed`"),
    shown("`companion.notebook.checks.CheckFailed` · [source, lines 1 to 2](https://x.y/z#L1-L2)"),
    shown("`companion.notebook.checks.CheckPassed`", passes=False),
    shown("`companion.notebook.checks.CheckFailed` · argument checks left out", passes=False),
    shown("`companion.notebook.checks.CheckFailed`", "class CheckFailed:", passes=False),
]


def test_what_is_compared(tmp_path):
    """A text that differs is a failure, and so is one more or one less."""
    cells = [
        new_code_cell(code, outputs=[output], execution_count=1, metadata={"tags": tags})
        for code, output, tags, _ in TRIALS
    ]
    path = tmp_path / "trial.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    said = nbval(path).stdout
    failed = {int(number) for number in re.findall(r"^FAILED .*::Cell (\d+)", said, re.MULTILINE)}
    assert failed == {number for number, trial in enumerate(TRIALS) if not trial[-1]}, said
