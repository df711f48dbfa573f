"""What every chapter has in common: its parts, their order, and what its cells hold.

How a chapter teaches is looked at by `tools.chapters.anatomy`, whose rules are held here, too.
"""

import itertools
import re

import nbformat
import pytest

from tools.book import contents
from tools.chapters import anatomy, setup_cell
from tools.chapters.anatomy import CODE_BLOCK, MATH

CHAPTERS = contents.chapters()
CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
# Headings of the second level that every chapter has, in this order; each by what it must say.
SECTIONS = [r"goes? wrong", r"summary", r"exercises", r"further reading"]
STRUCTURAL = re.compile(r"\s*([-*+>|#%:(]|\d+[.)]|\$\$|\[\^|`{3}|<|\\)|\s{2,}")


def load(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module", params=contents.chapter_notebooks(), ids=contents.label)
def notebook(request):
    return load(request.param)


@pytest.fixture(scope="module")
def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def markdown(notebook):
    return text_of_cells(notebook)


@pytest.fixture(scope="module", params=CHAPTERS, ids=lambda chapter: chapter.name)
def chapter(request):
    """Return the chapter; it may be several notebooks."""
    return request.param


@pytest.fixture(scope="module")
def whole_text(chapter):
    """Return the text of all the chapter's pages."""
    return "\n\n".join(map(text_of_page, chapter.pages))


def text_of_page(page):
    path = contents.file_of(page)
    return text_of_cells(load(path)) if path.suffix == ".ipynb" else path.read_text("utf-8")


def text_of_cells(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def tags(cell):
    return cell.metadata.get("tags", [])


def outputs(cells):
    """Yield each output with the cell it belongs to."""
    for number, cell in enumerate(cells, start=1):
        for output in cell.outputs:
            yield number, cell, output


def text_of(output):
    data = output.get("data", {})
    return output.get("text", "") + data.get("text/plain", "") + data.get("text/markdown", "")


# -- cells ---------------------------------------------------------------------------------------


def test_the_first_cell_sets_up(notebook, code):
    assert setup_cell.is_placed(notebook)
    assert [n for n, cell in enumerate(code) if "setup" in tags(cell)] == [0]
    assert notebook.cells[0].source == setup_cell.source(notebook)
    assert notebook.cells[0].outputs == []


def test_data_out_of_reach_are_told_in_a_sentence_of_the_chapters_own(code):
    """What the exception says is ten lines of addresses, for those who asked for a set."""
    named = re.compile(r"except .*\bUnavailable\b.* as ")
    assert [n for n, cell in enumerate(code, 1) if named.search(cell.source)] == []


def test_all_cells_were_run_in_order(code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


def test_no_cell_ends_with_a_semicolon(code):
    """It hides a result in the notebook, but not where nbval runs it; assign to a name instead."""
    assert [n for n, cell in enumerate(code, 1) if cell.source.rstrip().endswith(";")] == []


def test_nothing_was_written_to_standard_error_and_nothing_failed(code):
    bad = [(n, o.output_type) for n, _, o in outputs(code) if o.get("name") == "stderr"]
    assert bad + [(n, "error") for n, _, o in outputs(code) if o.output_type == "error"] == []


@pytest.mark.parametrize(
    "pattern", [r"grad_fn", r"-0\.0*(?![\d.])", r"\bat 0x[0-9a-f]{4,}", r"\d+\.\d+\.\d+"]
)
def test_no_output_differs_from_machine_to_machine(code, pattern):
    """No autograd node, negative zero, address or version is printed."""
    compared = [t for t in outputs(code) if "nbval-ignore-output" not in tags(t[1])]
    found = {n: m[0] for n, _, o in compared if (m := re.search(pattern, text_of(o)))}
    assert found == {}


def test_a_bound_is_checked_after_cells_whose_output_differs(code):
    for number, cell in enumerate(code):
        if "nbval-ignore-output" in tags(cell):
            following = code[number + 1 : number + 3]
            assert any("check(" in after.source for after in following), f"code cell {number + 1}"


# -- figures and widgets -------------------------------------------------------------------------


def test_every_picture_has_a_caption_and_says_what_it_shows(code):
    missing = []
    for number, cell, output in outputs(code):
        if any(kind.startswith("image/") for kind in output.get("data", {})):
            settings = cell.metadata.get("mystnb", {})
            alt = settings.get("image", {}).get("alt", "")
            figure = settings.get("figure", {})
            if len(alt) < 20 or len(figure.get("caption", "")) < 40:
                missing.append(number)
            if not figure.get("name", "").startswith("fig-"):
                missing.append(number)
    assert missing == []


def test_there_is_a_widget(chapter):
    view = "application/vnd.jupyter.widget-view+json"
    cells = [cell for path in chapter.notebooks for cell in load(path).cells]
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert any(view in output.get("data", {}) for _, _, output in outputs(code))
    assert any("explore(" in cell.source for cell in code)


def test_figures_have_names_of_their_own(code):
    names = [cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in code]
    named = [name for name in names if name]
    assert len(named) == len(set(named))


# -- text ----------------------------------------------------------------------------------------


def test_sections_come_in_order(whole_text):
    headings = re.findall(r"^## (.+)$", CODE_BLOCK.sub("", whole_text), re.MULTILINE)
    places = []
    for pattern in SECTIONS:
        hits = [n for n, text in enumerate(headings) if re.search(pattern, text, re.IGNORECASE)]
        assert hits, f"no section that says {pattern} among {headings}"
        places.append(hits[0])
    assert places == sorted(places), headings


def test_there_is_one_title(markdown):
    assert len(re.findall(r"^# \S", CODE_BLOCK.sub("", markdown), re.MULTILINE)) == 1


@pytest.mark.parametrize("kind", ["objectives", "worked-example", "predict", "expect"])
def test_boxes_of_each_kind(whole_text, kind):
    assert anatomy.has_box(whole_text, kind)


def test_the_objectives_stand_in_the_first_screen(chapter):
    text = CODE_BLOCK.sub("", text_of_page(chapter.pages[0]))
    before_the_first_section = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    assert anatomy.has_box(before_the_first_section, "objectives")


def test_exercises_have_names_and_hints(whole_text):
    opening = r"^:{3,}\{exercise\}.*\n(?:\s*:\w+:.*\n)*?\s*:label: (\S+)"
    labels = re.findall(opening, whole_text, re.M)
    assert labels
    assert len(set(labels)) == len(labels)
    assert len(re.findall(r"^\s*:class:.*\bhint\b", whole_text, re.MULTILINE)) >= len(labels)


def test_a_paragraph_is_one_line(notebook):
    broken = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            broken += list(broken_paragraphs(cell.source))
    assert broken == []


def broken_paragraphs(markdown):
    """Yield lines of prose that the line before runs on into."""
    text = MATH.sub(lambda m: "$$" * ("\n" in m[0]) or m[0], CODE_BLOCK.sub("```", markdown))
    lines = text.splitlines()
    for before, line in itertools.pairwise(lines):
        if prose(before) and prose(line):
            yield line


def prose(line):
    return bool(line.strip()) and not STRUCTURAL.match(line)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("One line.\n\nAnother.", []),
        ("One line\nthat goes on.", ["that goes on."]),
        ("- an item\n- another", []),
        (":::{note}\nText.\n:::", []),
        ("Text:\n\n$$\na\nb\n$$\n\nMore.", []),
        ("```python\na = 1\nb = 2\n```", []),
    ],
)
def test_broken_paragraphs_are_found(text, broken):
    assert list(broken_paragraphs(text)) == broken


@pytest.mark.chapter
def test_what_is_cited_exists():
    known = re.findall(r"^@\w+\{([^,\s]+),", (contents.ROOT / "references.bib").read_text(), re.M)
    assert known
    for path in contents.notebooks():
        text = "\n".join(cell.source for cell in load(path).cells if cell.cell_type == "markdown")
        cited = {key.strip() for keys in CITATION.findall(text) for key in keys.split(",")}
        assert cited <= set(known), path.name


def test_further_reading_cites(whole_text):
    section = re.split(r"^## .*further reading.*$", whole_text, flags=re.M | re.I)[-1]
    assert len(CITATION.findall(section)) >= 3


# -- how it teaches ------------------------------------------------------------------------------


def test_the_chapter_teaches_as_it_should(chapter):
    assert anatomy.examine(chapter).errors == []


def test_the_list_of_earlier_chapters_names_chapters():
    assert set(anatomy.EARLIER) <= {chapter.name for chapter in CHAPTERS}


@pytest.mark.release
def test_nothing_is_left_of_the_skeleton():
    assert anatomy.drafts() == []
