"""Each rule about how a chapter teaches: a notebook that breaks it, and one that does not."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.book import contents, notebooks
from tools.chapters import anatomy

BOX = ":::{admonition} Before you train\n:class: before-training\n\nThe loss begins at 0.69.\n:::"
SETTINGS = "class Settings:\n    steps: int = 100"


def text(source):
    return new_markdown_cell(source)


def code(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


def found(rule, *cells):
    """Return the numbers of the cells in which a rule finds something."""
    return [finding.cell for finding in rule(new_notebook(cells=list(cells)))]


# -- cells ---------------------------------------------------------------------------------------


def test_long_cells():
    assert found(anatomy.long_cells, text("Text."), code("x = 1\n\n" * 26)) == [1]
    assert found(anatomy.long_cells, code("x = 1\n\n" * 25), code("y = 1\n" * 99, "setup")) == []


def test_long_median():
    def cells(*lengths):
        return [code("x = 1\n" * length) for length in lengths]

    assert found(anatomy.long_median, *cells(8, 10)) == [None]
    assert found(anatomy.long_median, *cells(8, 8, 10)) == []
    assert found(anatomy.long_median, text("Text.")) == []


def test_placeholders():
    picture = code("plot()")
    picture.metadata["mystnb"] = {"figure": {"caption": "Placeholder: what to see."}}
    cells = text("Placeholder: why."), text("A place holder."), picture
    assert found(anatomy.placeholders, *cells) == [0, 2]


def test_code_runs():
    def cells(letters):
        return [code("1") if letter == "c" else text("Text.") for letter in letters]

    assert found(anatomy.code_runs, *cells("ccctcccc")) == [2, 6]
    assert found(anatomy.code_runs, *cells("cctcc")) == []
    assert found(anatomy.code_runs, code("1", "setup", "remove-cell"), *cells("cc")) == []


# -- code ----------------------------------------------------------------------------------------


def test_tables_in_boxes():
    table = "| a | b |\n|---|:--|\n| 1 | 2 |\n"
    box = ":::{admonition} Title\n:class: expect\n\n"
    assert found(anatomy.boxed_tables, text(table), text(box + table + ":::")) == [1]
    assert found(anatomy.boxed_tables, text(box + "Words.\n:::\n\n" + table)) == []
    nested = box.replace(":::", "::::") + ":::{list-table}\n* - 1\n:::\n"
    assert found(anatomy.boxed_tables, text(nested + "::::\n" + table)) == []
    assert found(anatomy.boxed_tables, text(nested + table + "::::")) == [0]


@pytest.mark.parametrize("tag", ["hide-input", "hide-cell", "remove-input", "remove-cell"])
def test_folded_definitions(tag):
    folded = code("import math\n\ndef half(x):\n    return x / 2\n\ntotal = 0", tag)
    assert found(anatomy.folded_definitions, folded, code("print(half(2))")) == [1]
    assert found(anatomy.folded_definitions, folded, code("def f():\n    return half(2)")) == [1]
    assert found(anatomy.folded_definitions, folded, code("print(math.pi)")) == []


def test_definitions_that_may_be_folded():
    """What only folded cells use, what a visible cell defines anew, and names of their own."""
    folded = code("def draw(x):\n    return x", "hide-input")
    visible = code("def draw(x):\n    return -x", "hide-output")
    assert found(anatomy.folded_definitions, folded, code("draw(1)", "hide-input")) == []
    assert found(anatomy.folded_definitions, folded, visible, code("draw(1)")) == []
    assert found(anatomy.folded_definitions, folded, code("def f(draw):\n    return draw")) == []


@pytest.mark.parametrize(
    "training",
    [SETTINGS, "for batch in stoppable(batches):\n    step(batch)"],
)
def test_before_training(training):
    assert found(anatomy.before_training, text("We train."), code(training)) == [1]
    assert found(anatomy.before_training, code(training), text(BOX)) == [0]
    assert found(anatomy.before_training, text(BOX), code(training)) == []
    assert found(anatomy.before_training, code("for x in range(3):\n    print(x)")) == []


# -- exercises -----------------------------------------------------------------------------------


def exercise(kind="Code", level=1, public=True):
    solution = "\n\n:::{dropdown} Solution\nIt is 1.\n:::" if public else ""
    return text(
        f"::::{{exercise}} One\n:label: one\n:class: difficulty-{level}\n\n"
        f"*{kind}, about 5 minutes.*\n\nWhat is it?\n::::{solution}"
    )


EIGHT = [exercise("Predict")] + [exercise(level=1 + n % 3, public=n < 4) for n in range(1, 8)]


def test_exercises():
    def says(cells):
        return [f.says for f in anatomy.exercises(new_notebook(cells=cells))]

    assert says(EIGHT) == []
    assert says(EIGHT[:7])[0] == "7 exercises; there should be 8"
    assert says([exercise(level=2), *EIGHT[1:]]) == ["no exercise asks to predict"]
    easy = [exercise("Predict", public=n < 4) for n in range(8)]
    assert says(easy) == ["there should be exercises of all three difficulties"]
    few = [exercise("Predict", level=1 + n % 3, public=n < 3) for n in range(8)]
    assert says(few) == ["3 of 8 solutions are public; it should be half of them or more, not all"]
    told = [exercise("Predict", level=1 + n % 3) for n in range(8)]
    assert says(told) == ["8 of 8 solutions are public; it should be half of them or more, not all"]


# -- terms ---------------------------------------------------------------------------------------

ORDER = ["index", "chapters/one", "chapters/two", "chapters/appendix/glossary"]
TERMS = [
    anatomy.Term("neuron", "chapters/one", "a-neuron"),
    anatomy.Term("loss", "chapters/two", "the-loss"),
    anatomy.Term("hidden loss", "chapters/two", "hidden"),
    anatomy.Term("Adam", "chapters/two", "adam"),
    anatomy.Term("map", "chapters/two", "maps"),
]


def unexplained(*sources, page="chapters/two", kind=text):
    cells = [kind(source) for source in sources]
    notebook = new_notebook(cells=cells)
    return [
        (finding.cell, finding.says.split("”")[0].removeprefix("“"))
        for finding in anatomy.unexplained_terms(notebook, page, TERMS, ORDER)
    ]


def test_a_term_of_a_later_chapter():
    assert unexplained("The losses fall.", page="chapters/one") == [(0, "loss")]
    assert unexplained("A neuron fires.", page="chapters/two") == []


def test_a_term_of_the_same_chapter():
    assert unexplained("The loss falls.", "## The loss\n\nThe **loss** is ...") == [(0, "loss")]
    assert unexplained("Words.\n\n## The loss\n\nThe **loss** is ...", "The loss falls.") == []
    assert unexplained("The loss.\n\n(hidden)=\nText, the hidden loss.") == []
    assert unexplained("A hidden loss.\n\n(hidden)=\nText.") == [(0, "hidden loss")]


@pytest.mark.parametrize(
    "source",
    [
        "The {term}`loss` falls, and the loss is small.",
        "The {doc}`loss <two>` falls.",
        "The [loss](two.md) falls.",
        "# The loss",
        "A lossy code: `loss`, $loss$.",
        "```python\nloss = 1\n```",
        ":::{admonition} In this chapter\n:class: objectives\n\nYou will compute a loss.\n:::",
        "::::{exercise} A loss\n:label: a-loss\n\nWhat is the loss?\n::::",
        "adam was the first man, and mapping is another word.",
    ],
)
def test_what_is_no_use_of_a_term(source):
    assert unexplained(source, page="chapters/one") == []


def test_a_name_with_a_capital_and_one_without():
    assert unexplained("Adam and Maps.", page="chapters/one") == [(0, "Adam"), (0, "map")]


def test_code_is_not_text():
    assert unexplained("loss = 1", page="chapters/one", kind=code) == []


def test_terms_come_from_the_glossary(tmp_path):
    table = tmp_path / "locale" / "zh_CN" / "terms.csv"
    table.parent.mkdir(parents=True)
    table.write_text(
        "term,chinese,definition,target\n"
        "loss,损失,A number.,chapters/two#late chapters/one#early eq-loss\n"
        "later,以后,Nothing yet.,\n"
        "elsewhere,别处,On no page.,eq-nowhere\n",
        encoding="utf-8",
    )
    assert anatomy.terms(ORDER, tmp_path) == [anatomy.Term("loss", "chapters/one", "early")]


# -- a chapter -----------------------------------------------------------------------------------


@pytest.fixture
def chapter(tmp_path):
    """Return a function that writes a chapter of one notebook, and returns it."""
    toc = "root: index\nparts:\n- numbered: true\n  chapters:\n  - file: chapters/x\n"
    (tmp_path / "_toc.yml").write_text(toc)
    table = tmp_path / "locale" / "zh_CN" / "terms.csv"
    table.parent.mkdir(parents=True)
    table.write_text("term,chinese,definition,target\n")
    (tmp_path / "chapters").mkdir()

    def write(*cells):
        path = tmp_path / "chapters" / "x.ipynb"
        notebooks.store(path, notebooks.write(new_notebook(cells=list(cells))))
        return contents.chapter("x", tmp_path)

    return write


def test_what_a_new_chapter_breaks_is_an_error(chapter, tmp_path, monkeypatch):
    made = chapter(code(SETTINGS), *EIGHT)
    says = "trains a model, and no box of class before-training stands before it"
    broken = f"x.ipynb, cell 0: {says}"
    assert anatomy.examine(made, tmp_path) == anatomy.Report([broken], [])
    monkeypatch.setattr(anatomy, "EARLIER", ("x",))
    assert anatomy.examine(made, tmp_path) == anatomy.Report([], [broken])


def test_a_draft_may_have_few_exercises(chapter, tmp_path):
    whole = anatomy.examine(chapter(text("Text."), *EIGHT[:4]), tmp_path)
    assert "x.ipynb: 4 exercises; there should be 8" in whole.errors
    draft = anatomy.examine(chapter(text("Placeholder: why."), *EIGHT[:4]), tmp_path)
    assert draft.errors == []
    assert draft.warnings[0] == "x.ipynb, cell 0: this is still the skeleton's text"
    assert "x.ipynb: 4 exercises; there should be 8" in draft.warnings
