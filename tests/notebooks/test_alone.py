"""Each chapter runs by itself in an empty folder, as on Colab, with the package from its wheel."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest

import companion
from tools import contents

RUN = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
where = nbformat.v4.new_code_cell("import companion; print(companion.__file__)")
notebook.cells.append(where)
client = NotebookClient(notebook, timeout=900, kernel_name="python3",
                        extra_arguments=["--log-level=40"])
client.execute()
print(where.outputs[0].text.strip())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy, so that nothing is left in the working tree."""
    copy = tmp_path_factory.mktemp("source")
    shutil.copytree(
        contents.ROOT / "companion",
        copy / "companion",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (contents.ROOT / name).exists():
            shutil.copy(contents.ROOT / name, copy)
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, copy)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--target", site, wheel)
    return site


def pip(*arguments):
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--no-index"]
    subprocess.run(command, check=True, capture_output=True)


def run_alone(path, site, folder):
    """Run a copy of a notebook in an empty folder, and return where `companion` came from."""
    shutil.copy(path, folder / path.name)
    environment = {**os.environ, "PYTHONPATH": str(site), "COMPANION_QUIET": "1"}
    environment.pop("MPLBACKEND", None)
    result = subprocess.run(
        [sys.executable, "-c", RUN, path.name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = contents.ROOT / "companion"
    modules = {f"companion/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.py")}
    packaged = {name for name in names if ".dist-info/" not in name}
    assert packaged == modules | {"companion/py.typed"}
    assert wheel.name.split("-")[1] == companion.__version__


@pytest.mark.chapters
@pytest.mark.parametrize("path", contents.notebooks(), ids=lambda path: path.stem)
def test_a_chapter_needs_nothing_but_the_package(path, installed, tmp_path):
    origin = run_alone(path, installed, tmp_path)
    assert origin == str(installed / "companion" / "__init__.py")


def test_the_package_is_really_taken_from_the_wheel(installed, tmp_path):
    """A file that only the checkout holds cannot be imported there."""
    path = tmp_path / "elsewhere" / "trial.ipynb"
    path.parent.mkdir()
    cell = nbformat.v4.new_code_cell(
        "import importlib.util\nassert importlib.util.find_spec('tools') is None"
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    assert json.loads(path.read_text())["cells"]
    assert run_alone(path, installed, tmp_path).startswith(str(installed))
