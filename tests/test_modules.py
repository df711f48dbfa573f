"""What belongs to a chapter, and which tests concern it."""

import subprocess
import sys

import pytest

from exercises import losses
from tests.plugins import chapter as plugin
from tools.book import contents, modules

ROOT = contents.ROOT


@pytest.fixture
def book(tmp_path):
    """Return a book of a page, a folder of notebooks that say what they teach, and an appendix."""
    pages = {
        "chapters/one.ipynb": '{"metadata": {}}',
        "chapters/two-parts/index.md": "# Two parts",
        "chapters/two-parts/a.ipynb": '{"metadata": {"companion": {"modules": ["x", "y"]}}}',
        "chapters/two-parts/b.ipynb": '{"metadata": {"companion": {"modules": ["y", "x.z"]}}}',
        "chapters/appendix/notation.md": "# Notation",
    }
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "_toc.yml").write_text("""\
root: index
parts:
  - numbered: true
    chapters:
      - file: chapters/one
      - file: chapters/not-written-yet
      - file: chapters/two-parts/index
        sections:
          - file: chapters/two-parts/a
          - file: chapters/two-parts/b
  - chapters:
      - file: chapters/appendix/notation
""")
    return tmp_path


def test_chapters_and_their_modules(book):
    one, two = contents.chapters(book)
    assert modules.of(one) == ["one"]
    assert modules.of(two) == ["x", "y", "x.z"]
    assert modules.taught_in(book) == dict.fromkeys(("x", "y", "x.z"), two.name) | {"one": "one"}


def test_the_order_of_the_modules_is_that_of_the_book(book):
    assert modules.order(book) == ["one", "x", "y"]


def test_a_chapter_is_found_by_its_name(book):
    assert contents.chapter("two-parts", book) == contents.chapters(book)[1]
    with pytest.raises(contents.ContentsError, match="no chapter 'three'; there are one, two-pa"):
        contents.chapter("three", book)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("companion/losses.py", "losses"),
        ("companion/reference/losses.py", "losses"),
        ("companion/models/cnn.py", "neural-networks"),
        ("companion/models/bert.py", "model-families"),
        ("companion/notebook/style.py", ""),
        ("tests/test_losses.py", "losses"),
        ("tests/test_cnn.py", "neural-networks"),
        ("tests/test_bpe.py", "data-and-tokens"),
        ("tests/test_data_and_tokens.py", "data-and-tokens"),
        ("tests/data/test_registry.py", "data-and-tokens"),
        ("tests/exercises/test_losses.py", "losses"),
        ("tests/exercises/test_masters.py", None),
        ("tests/notebooks/test_nbval.py", None),
        ("tests/site/test_pages.py", None),
        ("tests/test_repository.py", None),
        ("tests/data/server.py", None),
    ],
)
def test_whose_a_file_is(path, name):
    assert (ROOT / path).exists()
    assert plugin.owner(ROOT / path) == name


@pytest.mark.parametrize(
    ("value", "concerned"),
    [
        (ROOT / "chapters" / "losses.ipynb", True),
        (ROOT / "chapters" / "attention.ipynb", False),
        (ROOT / "companion" / "losses.py", True),
        ("losses", True),
        ("chapters/losses", True),
        ("zh/chapters/losses", True),
        ("en/chapters/appendix/glossary", False),
        (losses.MASTERS[0].page, True),
        (losses.MASTERS[0], True),
        (7, False),
        (None, False),
    ],
)
def test_what_speaks_of_a_chapter(value, concerned):
    assert plugin.speaks_of(value, contents.chapter("losses")) is concerned
    assert not plugin.speaks_of(value, contents.chapter("optimisation"))


def test_a_chapter_that_is_not_there_stops_the_run():
    """Said by the plugin alone, without what the other tests share and import."""
    command = [sys.executable, "-m", "pytest", "--noconftest", "-p", plugin.__name__]
    command += ["--chapter", "nothing", "tests/test_modules.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no chapter 'nothing'; there are neural-networks, losses" in done.stderr
