"""What the package offers by name: whole lists, and modules that are imported when needed."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import companion

PACKAGE = Path(companion.__file__).parent


def names(start=companion):
    """Return the full names of all modules of a package that can be imported to be used."""
    found = pkgutil.walk_packages(start.__path__, f"{start.__name__}.")
    return [info.name for info in found if not info.name.endswith("__main__")]


MODULES = names()
PACKAGES = [name for name in MODULES if (PACKAGE.parent / name.replace(".", "/")).is_dir()]
each_module = pytest.mark.parametrize("name", MODULES)


def is_private(name):
    return any(part.startswith("_") for part in name.split("."))


def defined_in(module):
    """Yield the public functions and classes of a module that are its own."""
    for name, thing in vars(module).items():
        own = getattr(thing, "__module__", None) == module.__name__
        if (
            own
            and not name.startswith("_")
            and (inspect.isroutine(thing) or inspect.isclass(thing))
        ):
            yield name


def asked_for():
    """Return what modules of the package import from one another, by the module it comes from."""
    found = {name: set() for name in MODULES}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in found:
                found[node.module] |= {alias.name for alias in node.names}
    return found


ASKED_FOR = asked_for()


@each_module
def test_every_list_is_whole(name):
    """All that a module defines for others, or that others take from it, and nothing twice."""
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    missing = [each for each in listed if not hasattr(module, each)]
    assert missing == []
    assert len(listed) == len(set(listed))
    if not is_private(name):
        wanted = {each for each in ASKED_FOR[name] if not each.startswith("_")} - {
            each.rpartition(".")[2] for each in MODULES if each.startswith(f"{name}.")
        }
        assert sorted({*defined_in(module), *wanted} - set(listed)) == []
        assert [each for each in listed if each.startswith("_")] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_offers_what_its_docstring_names(name):
    """Names in single backticks; those with a dot, and in two, lead elsewhere."""
    package = importlib.import_module(name)
    said = set(re.findall(r"(?<!`)`(\w+)`(?!`)", package.__doc__))
    assert said <= set(package.__all__)


def test_the_package_names_its_modules():
    public = [name for name in MODULES if not is_private(name)]
    top = [name.partition(".")[2] for name in public if name.count(".") == 1]
    assert sorted(companion.__all__) == sorted(top)
    assert set(top) <= set(dir(companion))


def test_type_checkers_see_the_modules():
    """And nothing else: a function ``__getattr__`` would tell them that every name is there."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (choice,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(choice.test) == "TYPE_CHECKING"
    (seen,) = choice.body
    assert (seen.module, [alias.name for alias in seen.names]) == ("companion", companion.__all__)
    (unseen,) = choice.orelse
    assert unseen.name == "__getattr__"
    assert "__getattr__" not in [getattr(node, "name", "") for node in tree.body]


def test_the_package_of_the_twins_names_them():
    from companion import reference

    twins = [name for name in MODULES if name.startswith("companion.reference.")]
    assert sorted(reference.__all__) == sorted(name.rpartition(".")[2] for name in twins)


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_module_is_imported_when_it_is_asked_for():
    done = run(
        "import sys, companion\n"
        "heavy = {'torch', 'numpy', 'matplotlib'}\n"
        "print(heavy & set(sys.modules), 'companion.losses' in sys.modules)\n"
        "print(companion.reference.losses.__name__, companion.losses.__name__)\n"
        "print(companion.losses is sys.modules['companion.losses'], 'torch' in sys.modules)\n"
        "print(companion.losses is companion.losses, companion.__getattr__('data').__name__)"
    )
    assert done.stdout.splitlines() == [
        "set() False",
        "companion.reference.losses companion.losses",
        "True True",
        "True companion.data",
    ], done.stderr


def test_all_modules_can_be_imported_by_star():
    done = run("from companion import *; print(layers.Linear.__name__, losses.__name__)")
    assert done.stdout == "Linear companion.losses\n", done.stderr


@pytest.mark.parametrize("name", ["atention", "__wrapped__", "os", "importlib_"])
def test_an_unknown_name_is_refused_as_python_does(name):
    assert not hasattr(companion, name)
    with pytest.raises(AttributeError, match=f"module 'companion' has no attribute '{name}'") as e:
        getattr(companion, name)
    assert (e.value.name, e.value.obj) == (name, companion)
    with pytest.raises(ImportError):
        exec(f"from companion import {name}")
