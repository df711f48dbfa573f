"""The packages, and the folders of ``tools/``, stand on floors: none imports what is above it."""

import ast
import re
from pathlib import Path

import pytest

import tools
from tools.book import contents, house

FOLDER = Path(tools.__file__).parent
# From the ground up. The command of `assign` hands this book over to it, and nothing imports it.
PACKAGES = ("companion", "assign", "exercises", "tools")
COMMAND = FOLDER.parent / "assign" / "__main__.py"
FILES = [path for name in tools.FLOORS for path in sorted((FOLDER / name).glob("*.py"))]


def folders(source: str) -> set[str]:
    """Return the folders of ``tools`` that a module imports from."""
    return {each.split(".")[1] for each in house.imported(source) if each.startswith("tools.")}


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
    names = list(house.imported(source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
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


# -- the picture of it ---------------------------------------------------------------------------


def test_the_picture_is_that_of_the_code():
    """After a change, ``python -m tools.book.house`` draws it anew."""
    path = contents.ROOT / house.PICTURE
    assert path.read_text(encoding="utf-8") == house.draw(house.rests_on())


def test_every_folder_is_in_the_picture():
    """Those of the tools, and the packages below them."""
    boxes = {f"tools/{name}" for name in tools.FLOORS} | set(PACKAGES[:-1])
    assert set(house.rests_on()) == boxes


def test_readers_and_writers_see_the_picture():
    """README and CONTRIBUTING show it."""
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (contents.ROOT / name).read_text(encoding="utf-8")
        assert f"]({house.PICTURE.as_posix()})" in text


def test_an_import_moves_a_box(tmp_path):
    """The picture is made from what files import, functions included, and not from a list."""
    for name in ("companion", "assign", "exercises", "tools/site"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text(f'"""What {name} is."""')
    (tmp_path / "tools" / "site" / "one.py").write_text("def f():\n    import assign.book\n")
    (tmp_path / "assign" / "__main__.py").write_text("from tools import site\n")
    found = house.rests_on(tmp_path)
    empty = {name: set() for name in ("companion", "assign", "exercises")}
    assert found == {**empty, "tools/site": {"assign"}}
    assert house.places(found)["tools/site"][1] < house.places(found)["assign"][1]
    assert "What tools/site is" in house.draw(found, tmp_path)
