"""What the book consists of: chapters of one notebook and of several, and names made from them."""

import re

import pytest
import yaml

from tools.book import contents
from tools.book.contents import ContentsError
from tools.chapters import execute

FOLDER = "chapters/transformer"
TRANSFORMER = {"file": f"{FOLDER}/index", "sections": [{"file": f"{FOLDER}/block"}]}
TRANSFORMER["sections"].append({"file": f"{FOLDER}/translate"})


def book(root, *entries):
    """Write a book with these chapters, then an appendix that is a notebook."""
    parts = [
        {"caption": "Chapters", "numbered": True, "chapters": list(entries)},
        {"caption": "Appendices", "chapters": [{"file": "chapters/appendix/speed"}]},
    ]
    table = {"format": "jb-book", "root": "index", "parts": parts}
    (root / "_toc.yml").write_text(yaml.safe_dump(table))
    for page in contents.pages(root):
        (root / page).parent.mkdir(parents=True, exist_ok=True)
        is_text = page.rpartition("/")[2] in ("index", "preface")
        (root / page).with_suffix(".md" if is_text else ".ipynb").touch()
    return root


@pytest.fixture
def root(tmp_path):
    plain = {"file": "chapters/word-vectors.ipynb"}
    return book(tmp_path, {"file": "chapters/preface"}, plain, TRANSFORMER)


def test_a_folder_is_one_chapter(root):
    vectors, transformer = contents.chapters(root)
    assert (vectors.name, vectors.module) == ("word-vectors", "word_vectors")
    assert vectors.pages == ("chapters/word-vectors",)
    assert (transformer.name, transformer.module) == ("transformer", "transformer")
    assert transformer.pages == tuple(f"{FOLDER}/{n}" for n in ("index", "block", "translate"))
    assert [path.name for path in transformer.notebooks] == ["block.ipynb", "translate.ipynb"]
    assert transformer.last.name == "translate.ipynb"


def test_numbers_count_every_numbered_page(root):
    assert [chapter.number for chapter in contents.chapters(root)] == [2, 3]


def test_an_appendix_is_no_chapter(root):
    pages = [contents.page_of(path, root) for path in contents.notebooks(root)]
    assert pages[-2:] == ["chapters/transformer/translate", "chapters/appendix/speed"]
    assert contents.chapter_notebooks(root) == contents.notebooks(root)[:-1]


def test_exercises_belong_to_the_last_notebook_of_a_chapter(root):
    found = {path.stem: contents.ending_with(path, root) for path in contents.notebooks(root)}
    names = {stem: chapter and chapter.name for stem, chapter in found.items()}
    assert names == {
        "word-vectors": "word-vectors",
        "block": None,
        "translate": "transformer",
        "speed": None,
    }


def test_a_name_means_a_whole_chapter_or_one_notebook(root):
    def named(name):
        return [path.stem for path in execute.find([name], root)]

    assert named("transformer") == ["block", "translate"]
    assert named("transformer/block") == ["block"]
    assert named("word-vectors") == ["word-vectors"]
    assert named(str(root / FOLDER / "block.ipynb")) == ["block"]
    with pytest.raises(execute.ExecutionFailed, match="No chapter block; there are word-vectors,"):
        named("block")


def test_files_made_from_parts_of_the_same_name_do_not_meet():
    pages = ["chapters/transformer/training", "chapters/vision/training", "chapters/training"]
    names = [contents.product_name(page) for page in pages]
    assert names == ["transformer-training", "vision-training", "training"]


SECTION = {"file": f"{FOLDER}/block"}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (
            {"file": f"{FOLDER}/attention", "sections": [SECTION]},
            f"{FOLDER}/attention has sections, so it must be .*: {FOLDER}/index",
        ),
        (
            {"file": f"{FOLDER}/index", "sections": [SECTION, {"file": "chapters/losses"}]},
            f"chapters/losses is a section of {FOLDER}/index, but not in its folder",
        ),
        (
            {"file": f"{FOLDER}/index", "sections": [SECTION | {"sections": [TRANSFORMER]}]},
            f"{FOLDER}/block is a section and can have none",
        ),
    ],
)
def test_a_chapter_that_is_no_folder_is_refused(tmp_path, entry, says):
    with pytest.raises(ContentsError, match=says):
        contents.chapters(book(tmp_path, entry))


# -- the book ------------------------------------------------------------------------------------


def test_chapters_of_the_book_are_one_notebook_or_two_to_four():
    chapters = contents.chapters()
    assert [chapter.number for chapter in chapters] == list(range(1, len(chapters) + 1))
    for chapter in chapters:
        assert len(chapter.notebooks) in ((1,) if len(chapter.pages) == 1 else (2, 3, 4))


def test_files_made_from_the_notebooks_of_the_book_do_not_meet():
    names = [contents.product_name(contents.page_of(path)) for path in contents.notebooks()]
    assert len(names) == len(set(names))


def test_exercises_stand_in_the_last_notebook_only():
    heading = re.compile(r"## Exercises\b")
    for chapter in contents.chapters():
        holding = [path for path in chapter.notebooks if heading.search(path.read_text())]
        assert holding == [chapter.last]
