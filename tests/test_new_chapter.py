"""A new chapter: written whole or not at all, and right as it stands."""

import os
import shutil
import subprocess
import sys

import pytest

from tools.book import contents, modules
from tools.book.notebooks import read
from tools.chapters import anatomy, new_chapter, worked_numbers

ROOT = contents.ROOT
NAME = "scaling-laws"
TOC = """\
root: index
parts:
  - caption: Chapters
    numbered: true
    chapters:
      - file: chapters/one
      - file: chapters/two/index
        sections:
          - file: chapters/two/a
  - caption: Appendices
    chapters:
      - file: chapters/appendix/notation
"""


@pytest.fixture
def small(tmp_path):
    """Return a repository with nothing but a table of contents and the folders of a chapter."""
    (tmp_path / "_toc.yml").write_text(TOC, encoding="utf-8")
    for folder in ("chapters", "companion/reference", "tests/exercises", "exercises"):
        (tmp_path / folder).mkdir(parents=True)
    for path in new_chapter.PACKAGES:
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def files(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


# -- the name ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "Losses", "scaling_laws", "scaling--laws", "-x", "3d", "class", "../x", "a" * 25, "é"],
)
def test_what_is_no_name_is_refused(small, name):
    before = files(small)
    with pytest.raises(new_chapter.Refused, match="a chapter's name is made of small letters"):
        new_chapter.begin(name, small)
    assert files(small) == before


@pytest.mark.parametrize(
    "path",
    [
        "companion/scaling_laws.py",
        "companion/scaling_laws/bpe.py",
        "chapters/scaling-laws/index.md",
        "tests/exercises/test_scaling_laws.py",
    ],
)
def test_a_name_that_is_taken_is_refused(small, path):
    (small / path).parent.mkdir(exist_ok=True)
    (small / path).touch()
    with pytest.raises(new_chapter.Refused, match="scaling-laws is there already"):
        new_chapter.begin(NAME, small)


def test_a_chapter_that_was_deleted_can_be_begun_again(small, monkeypatch):
    monkeypatch.setattr(new_chapter, "finish", lambda *_: None)
    left = small / "exercises" / "scaling_laws" / "__pycache__"
    left.mkdir(parents=True)
    new_chapter.begin(NAME, small)
    assert (left.parent / "by_hand.py").exists()


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_chapter_of_the_contents_is_refused(small, name):
    with pytest.raises(new_chapter.Refused, match=f"{name} is there already: _toc.yml"):
        new_chapter.begin(name, small)


# -- what is written -----------------------------------------------------------------------------


def test_the_chapter_is_the_last_of_the_numbered_ones(small):
    (small / "_toc.yml").write_text(new_chapter.listed(TOC, NAME), encoding="utf-8")
    assert contents.pages(small)[-3:] == [
        "chapters/two/a",
        "chapters/scaling-laws",
        "chapters/appendix/notation",
    ]
    assert new_chapter.listed(TOC, NAME).replace("      - file: chapters/scaling-laws\n", "") == TOC


@pytest.mark.parametrize(
    ("old", "new"), [("    numbered: true\n", ""), ("      - file", "    - file")]
)
def test_contents_that_are_laid_out_otherwise_are_refused(old, new):
    with pytest.raises(new_chapter.Refused, match=r"_toc\.yml"):
        new_chapter.listed(TOC.replace(old, new), NAME)


@pytest.mark.parametrize("path", new_chapter.PACKAGES)
def test_the_package_names_the_new_module(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    longer = new_chapter.exported(text, "scaling_laws")
    if path == new_chapter.PACKAGES[0]:
        assert '    "reference",\n    "scaling_laws",\n    "tinyworld",\n' in longer
    new = [line for line in longer.splitlines() if "scaling_laws" in line]
    assert [line.strip(' ",') for line in new] == ["scaling_laws"] * 2
    left = [line for line in longer.splitlines(keepends=True) if "scaling_laws" not in line]
    assert "".join(left) == text


@pytest.mark.parametrize("error", [new_chapter.Refused, KeyboardInterrupt])
def test_what_cannot_be_finished_is_taken_back(small, monkeypatch, error):
    def fail(name, paths, root):
        assert all((root / path).exists() for path in paths)
        raise error("the notebook fails")

    monkeypatch.setattr(new_chapter, "finish", fail)
    before, folders = files(small), sorted(small.rglob("*"))
    with pytest.raises(error):
        new_chapter.begin(NAME, small)
    assert files(small) == before
    assert sorted(small.rglob("*")) == folders


# -- a trial in a copy of the repository ---------------------------------------------------------


def run(root, *command):
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """Return a copy of the repository in which a chapter was begun."""
    root = tmp_path_factory.mktemp("trial") / "book"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    done = run(root, "tools.chapters.new_chapter", NAME)
    assert done.returncode == 0, done.stderr
    return root


def test_the_new_chapter_teaches_as_it_should(trial):
    chapter = contents.chapter(NAME, trial)
    assert contents.chapters(trial)[-1] == chapter
    assert modules.order(trial)[-1] == "scaling_laws"
    notebook = read(chapter.last)
    assert worked_numbers.problems(notebook) == []
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    found = anatomy.examine(chapter, trial)
    assert found.errors == []
    told = {warning.partition(": ")[2] for warning in found.warnings}
    assert "this is still the skeleton's text" in told
    assert "2 exercises; there should be 8" in told
    assert len(told) == 3  # and not all three difficulties occur


def test_every_file_of_the_new_chapter_says_that_it_is_a_placeholder(trial):
    told = ["module.py", "twin.py", "chapter.ipynb", "exercise_by_hand.py", "exercise_predicted.py"]
    for path, template in new_chapter.FILES.items():
        written = trial / path.format(page=NAME, module="scaling_laws")
        text = written.read_text(encoding="utf-8")
        assert ("Placeholder:" in text) == (template in told), path
        assert "chapter_name" not in text
        assert "chapter-name" not in text


def test_the_package_has_the_new_module(trial):
    code = "import companion; print(companion.scaling_laws.line, companion.reference.scaling_laws)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=trial,
        env=os.environ | {"PYTHONPATH": str(trial)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(trial) in done.stdout


def test_the_new_code_keeps_the_style_of_the_book(trial):
    for check in (["check"], ["format", "--check"]):
        done = run(trial, "ruff", *check, ".")
        assert done.returncode == 0, done.stdout


def test_a_second_run_refuses(trial):
    done = run(trial, "tools.chapters.new_chapter", NAME)
    assert done.returncode == 1
    assert "scaling-laws is there already" in done.stderr


def test_the_new_chapter_passes_the_quick_parts_of_its_check(trial):
    left_out = ["--ignore=tests/site", "--ignore=tests/assign", "-m", "not chapters"]
    done = run(trial, "pytest", "--chapter", NAME, "-p", "no:cacheprovider", *left_out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ exercises: " in done.stdout
    assert "✓ modules, twins and records: " in done.stdout


@pytest.mark.release
@pytest.mark.browser
def test_the_new_chapter_passes_its_check(trial):
    (trial / ".cache").symlink_to(ROOT / ".cache")  # the packages of npm
    done = run(trial, "pytest", "--chapter", NAME, "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ the page: " in done.stdout
    assert "✓ the notebook, run again: " in done.stdout
