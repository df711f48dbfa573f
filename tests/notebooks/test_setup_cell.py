"""The first cell where a package is on the path twice, or too old, with pip and no network."""

import importlib
import os
import subprocess
import sys
import venv
import zipfile
from importlib import util
from pathlib import Path

import pytest
from nbformat.v4 import new_notebook

from tools import setup_cell, wheel

# What the cell asks of the package that it installs.
COMPANION = {
    "companion/__init__.py": f"__version__ = {wheel.version()!r}",
    "companion/notebook.py": "def hardware():\n    pass",
}


@pytest.fixture
def python(tmp_path):
    """Return an environment without packages, in which a second folder is on the path."""
    venv.create(tmp_path / "env", symlinks=True)
    (site,) = (tmp_path / "env" / "lib").glob("*/site-packages")
    (site / "second.pth").write_text(str(tmp_path / "second"))
    (site / "pip").symlink_to(Path(util.find_spec("pip").origin).parent)
    return tmp_path / "env" / "bin" / "python", site, tmp_path / "second"


def package(folder, name, version, *requires, files=None):
    """Write a wheel, and return its path."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    head += ["Provides-Extra: chapters", *(f"Requires-Dist: {each}" for each in requires)]
    content = {
        **(files or {f"{module}.py": f"__version__ = {version!r}"}),
        f"{info}/METADATA": "\n".join(head) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*content, f"{info}/RECORD"))
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in content.items():
            archive.writestr(place, text)
    return path


def install(path, *wheels):
    """Unpack wheels where a folder on the path is."""
    for each in wheels:
        zipfile.ZipFile(each).extractall(path)


def run_cell(executable, tmp_path, *requires):
    """Run the cell where an index has some wheels; return what it printed."""
    needs = [f"{each}; extra == 'chapters'" for each in requires]
    name = "large-models-companion"
    package(tmp_path / "wheels", name, wheel.version(), *needs, files=COMPANION)
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    done = subprocess.run(
        [executable, "-c", setup_cell.source(new_notebook())],
        env={**os.environ, **index, "COMPANION_SITE": tmp_path.as_uri(), "PYTHONPATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def versions(site):
    found = (
        path.name.removesuffix(".dist-info").rsplit("-", 1) for path in site.glob("*.dist-info")
    )
    return {name: version for name, version in found if name != "large_models_companion"}


def test_of_a_package_that_is_there_twice_the_first_is_kept(python, tmp_path):
    executable, site, second = python
    index = tmp_path / "index"
    new, newest = (package(index, "Markup.Safe", version) for version in ("2.0", "3.0"))
    install(site, new)
    install(second, package(tmp_path / "old", "markup_safe", "1.0"), newest)
    said = run_cell(executable, tmp_path, "markup-safe")
    assert "does not fit" not in said
    assert versions(site) == {"Markup.Safe": "2.0"}


def test_what_cannot_be_kept_is_replaced_and_nothing_else(python, tmp_path):
    """One is too old for the package, a second works only with that, a third need not change."""
    executable, site, _ = python
    index = tmp_path / "index"
    old = [
        package(index, "aged", "1.0"),
        package(index, "bound", "1.0", "aged<2"),
        package(index, "calm", "1.0"),
    ]
    install(site, *old)
    package(index, "aged", "2.0")
    package(index, "bound", "2.0", "aged>=2")
    package(index, "calm", "2.0")
    said = run_cell(executable, tmp_path, "aged>=2", "bound", "calm")
    told = [line for line in said.splitlines() if "does not fit" in line]
    assert [line.split(" does")[0] for line in told] == ["aged 1.0", "bound 1.0"]
    assert versions(site) == {"aged": "2.0", "bound": "2.0", "calm": "1.0"}


def test_what_cannot_be_installed_at_all_is_an_error(python, tmp_path):
    executable, site, _ = python
    install(site, package(tmp_path / "index", "aged", "1.0"))
    with pytest.raises(AssertionError, match="could not be installed; what pip said stands above"):
        run_cell(executable, tmp_path, "aged>=2")


def test_names_are_compared_as_pip_compares_them(monkeypatch, tmp_path):
    """The folders on this process's own path are read, the first one first."""
    for folder, name, version in (("a", "Some.Name", "2.0"), ("b", "some_name", "1.0")):
        install(tmp_path / folder, package(tmp_path, name, version))
    kept = {}

    def run(command, **_options):
        kept[order] = Path(command[command.index("--constraint") + 1]).read_text().splitlines()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", run)
    for order in ("ab", "ba"):
        monkeypatch.setattr(sys, "path", [*(str(tmp_path / name) for name in order), *sys.path])
        importlib.invalidate_caches()
        exec(setup_cell.source(new_notebook()), {})
    first = {order: [line for line in lines if "some" in line] for order, lines in kept.items()}
    assert first == {"ab": ["some-name==2.0"], "ba": ["some-name==1.0"]}
