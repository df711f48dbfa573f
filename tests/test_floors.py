"""The folders of ``tools/`` stand on floors: none imports what stands above it."""

import ast
from pathlib import Path

import pytest

import tools

FOLDER = Path(tools.__file__).parent
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
