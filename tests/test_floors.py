"""The packages, and the folders of ``tools/``, stand on floors: none imports what is above it."""

import ast
import re
from pathlib import Path

import pytest

import tools

FOLDER = Path(tools.__file__).parent
# From the ground up. The command of `assign` hands this book over to it, and nothing imports it.
PACKAGES = ("companion", "assign", "exercises", "tools")
COMMAND = FOLDER.parent / "assign" / "__main__.py"
FILES = [path for name in tools.FLOORS for path in sorted((FOLDER / name).glob("*.py"))]


def folders(source: str) -> set[str]:
    """Return the folders of ``tools`` that a module imports from."""
    imports = [n.module or "" for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    return {each.split(".")[1] for each in imports if each.startswith("tools.")}


def test_every_folder_has_a_floor():
    """What Sphinx loads has one, too."""
    there = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert there == set(tools.FLOORS)
    assert [f"tools.{name}" for name in tools.FLOORS if has_extensions(name)] == list(
        tools.EXTENDING
    )


def has_extensions(name: str) -> bool:
    """Tell whether a folder has extensions of Sphinx."""
    return "EXTENSIONS" in (FOLDER / name / "__init__.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_nothing_imports_what_stands_above(path):
    """An import from a floor above would be a circle, or soon lead to one."""
    floor = tools.FLOORS.index(path.parent.name)
    found = folders(path.read_text(encoding="utf-8"))
    assert found <= set(tools.FLOORS[: floor + 1])


def test_an_import_from_above_is_seen():
    """Imports within functions count."""
    source = "def f():\n    from tools.site import whole_site\n"
    assert folders(source) == {"site"}


def packages(source: str) -> set[str]:
    """Return which of the repository's packages a module imports from, or loads by name."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names += re.findall(r"\w+", ast.unparse(node.args[0]))
    return {name.split(".")[0] for name in names} & set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_package_imports_one_that_stands_above(name):
    """Not by its name in a string either."""
    above = set(PACKAGES[PACKAGES.index(name) + 1 :])
    paths = sorted((FOLDER.parent / name).rglob("*.py"))
    sources = {path: path.read_text(encoding="utf-8") for path in paths if path != COMMAND}
    assert {path for path, source in sources.items() if packages(source) & above} == set()


@pytest.mark.parametrize(
    "source",
    [
        "import tools.book",
        "from tools.book import contents",
        "import_module('tools.book')",
        "importlib.import_module(f'tools.{name}')",
    ],
)
def test_an_import_of_a_package_is_seen(source):
    """Whichever way it is written."""
    assert packages(source) == {"tools"}
