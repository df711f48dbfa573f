"""Run what concerns one chapter: ``pytest --chapter losses``, as in ``make check CHAPTER=losses``.

Nothing is tested here that is not tested otherwise; what does not concern the chapter is left out:

- Files that belong to a module or to a chapter count if it is the chapter's own: its modules with
  their examples and twins, ``tests/test_losses.py``, ``tests/exercises/test_losses.py``.
- Of all other tests those count that are given the chapter: its page, its notebook, an exercise.
- A test that is given nothing says by a mark that it counts: ``@pytest.mark.chapter("losses")``;
  without a name, for every chapter.
"""

import functools
import importlib
from pathlib import Path

import pytest

from tools.book import contents, modules
from tools.chapters import anatomy

ROOT = contents.ROOT
PACKAGE = ROOT / "companion"
# What each kind of test looks at; the first that a test's name begins with counts.
KINDS = {
    "tests/notebooks/test_nbval.py": "the notebook, run again",
    "tests/notebooks/test_worked_numbers.py": "worked numbers",
    "tests/notebooks/": "the notebook's parts",
    "tests/exercises/": "exercises",
    "tests/assign/": "assignments",
    "tests/site/": "the page",
    "": "modules, twins and records",
}


def pytest_addoption(parser):
    """Let a run be about one chapter."""
    parser.addoption("--chapter", help="run what concerns this chapter alone")


def pytest_configure(config):
    """Find the chapter, and say what the mark means."""
    mark = "chapter(name): concerns this chapter; without a name, each of them (see --chapter)"
    config.addinivalue_line("markers", mark)
    if config.getoption("chapter") is not None:
        try:
            contents.chapter(config.getoption("chapter"))
        except contents.ContentsError as error:
            raise pytest.UsageError(str(error)) from error


# -- files ---------------------------------------------------------------------------------------


def module_of(path: Path) -> str:
    """Return the module of a file of the package; of a twin, the module that it states again.

    >>> module_of(PACKAGE / "reference" / "losses.py"), module_of(PACKAGE / "models" / "cnn.py")
    ('losses', 'models.cnn')
    """
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "reference" else parts).removesuffix(".__init__")


@functools.cache
def owners() -> dict[str, str]:
    """Return by the names that files of tests have after ``test_`` whose chapter each is."""
    files = [module_of(path) for path in sorted(PACKAGE.rglob("*.py"))]
    found = {module.rpartition(".")[2]: chapter_of(module) for module in files}
    parts = {name: chapter for name, chapter in found.items() if chapter}
    return parts | taught() | {chapter.module: chapter.name for chapter in contents.chapters()}


@functools.cache
def taught() -> dict[str, str]:
    """Return the chapter of each module."""
    return modules.taught_in()


def chapter_of(module: str) -> str:
    """Return the chapter that teaches a module."""
    return modules.chapter_of(module, taught())


@functools.cache
def owner(path: Path) -> str | None:
    """Return the chapter that a file belongs to; nothing if it may concern any of them."""
    if path.is_relative_to(PACKAGE):
        return chapter_of(module_of(path))
    if not path.name.startswith("test_") or path.parent == ROOT / "tests" / "notebooks":
        return None
    folder = owners().get(path.parent.name)
    if folder:
        return folder
    alone = path.parent in {ROOT / "tests", ROOT / "tests" / "exercises"}
    return owners().get(path.stem.removeprefix("test_")) if alone else None


def pytest_ignore_collect(collection_path, config):
    """Leave out, before it is imported, what belongs to another chapter, or to none."""
    name = config.getoption("chapter")
    if not name or collection_path.is_dir() or collection_path.suffix != ".py":
        return None
    return True if owner(collection_path) not in {name, None} else None


# -- tests ---------------------------------------------------------------------------------------


def pytest_collection_modifyitems(config, items):
    """Leave out the tests that do not concern the chapter."""
    name = config.getoption("chapter")
    if name:
        chapter = contents.chapter(name)
        concerned = [concerns(item, chapter) for item in items]
        others = [item for item, counts in zip(items, concerned, strict=True) if not counts]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item, counts in zip(items, concerned, strict=True) if counts]


def concerns(item, chapter) -> bool:
    """Tell whether a test concerns the chapter."""
    if owner(item.path) == chapter.name:
        return True
    mark = item.get_closest_marker("chapter")
    if mark:
        return not mark.args or chapter.name in mark.args
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(speaks_of(value, chapter) for value in given)


def speaks_of(value, chapter) -> bool:
    """Tell whether what a test is given is the chapter, one of its pages, or an exercise of it."""
    if isinstance(value, contents.Chapter):
        return value == chapter
    if isinstance(value, Path):
        return value in chapter.notebooks or (
            value.is_relative_to(PACKAGE) and owner(value) == chapter.name
        )
    if isinstance(value, str):
        return value in names(chapter)
    module, ids = exercises(chapter)
    source = getattr(getattr(value, "exercise", None), "__module__", "")
    return source.startswith(f"{module}.") or getattr(value, "id", None) in ids


@functools.cache
def names(chapter) -> set[str]:
    """Return what tests call a chapter: its name and its pages, alone and in an edition."""
    short = {contents.short(page) for page in chapter.pages}
    products = {contents.product_name(page) for page in chapter.pages}
    editions = {f"{edition}/{page}" for edition in ("en", "zh") for page in chapter.pages}
    return {chapter.name, chapter.module, *chapter.pages, *short, *products, *editions}


@functools.cache
def exercises(chapter) -> tuple[str, set[str]]:
    """Return the module of a chapter's exercises, and their ids."""
    module = f"exercises.{chapter.module}"
    if not (ROOT / "exercises" / chapter.module).is_dir():
        return module, set()
    return module, {master.page.id for master in importlib.import_module(module).MASTERS}


# -- what came of it -----------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter, config):
    """Say of each kind of test what passed and what failed, and what is to be considered."""
    name = config.getoption("chapter")
    if not name:
        return
    terminalreporter.section(f"the chapter {name}", bold=True)
    counts = counted(terminalreporter.stats)
    for kind in KINDS.values():
        terminalreporter.write_line(line(kind, counts.get(kind, {})))
    report = anatomy.examine(contents.chapter(name))
    for warning in report.warnings:
        terminalreporter.write_line(f"! {warning}", yellow=True)
    terminalreporter.write_line(f"{len(report.warnings)} warnings: they fail nothing")


def counted(stats) -> dict[str, dict[str, int]]:
    """Return how many tests of each kind passed, failed and were skipped."""
    counts: dict[str, dict[str, int]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for test in stats.get(outcome, []):
            of_its_kind = counts.setdefault(kind_of(test.nodeid), {})
            of_its_kind[outcome] = of_its_kind.get(outcome, 0) + 1
    return counts


def kind_of(test: str) -> str:
    """Return what a test looks at.

    >>> kind_of("tests/site/test_pages.py::test_x"), kind_of("companion/losses.py::losses.mse")
    ('the page', 'modules, twins and records')
    """
    return next(kind for start, kind in KINDS.items() if test.startswith(start))


def line(kind: str, counts: dict[str, int]) -> str:
    """Return the line of the summary about one kind of test.

    >>> line("exercises", {"passed": 80, "failed": 1})
    '✗ exercises: 80 passed, 1 failed'
    """
    sign = "✗" if counts.keys() & {"failed", "error"} else "✓" if "passed" in counts else "–"
    said = ", ".join(f"{number} {outcome}" for outcome, number in counts.items())
    return f"{sign} {kind}: {said or 'nothing to test'}"
