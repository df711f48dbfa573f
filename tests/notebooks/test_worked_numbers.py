"""Every decimal of a worked example was printed by its code; and the test for that bites."""

import copy
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.book import contents
from tools.chapters import worked_numbers
from tools.chapters.worked_numbers import DECIMAL, Example, check, decimals, problems

NOTEBOOKS = contents.notebooks()

MARKDOWN = r"""
:::{admonition} Worked example: two rows
:class: worked-example
% given: 0.5
The scale is $0.5$, the mean is $-0.0625$, said in code `mean = -0.0625`, and

$$
S = \begin{bmatrix} 0.50 & -1.25 \\ 1.00 & 0.75 \end{bmatrix}
$$
:::
"""
PRINTED = "S  (2 x 2)\n   0.50  -1.25\n   1.00   0.75\nmean = -0.0625\n"


def notebook(markdown=MARKDOWN, printed=PRINTED, tags=("worked-example",)):
    output = new_output("stream", name="stdout", text=printed)
    code = new_code_cell("report(2, S=S)", metadata={"tags": list(tags)}, outputs=[output])
    return new_notebook(cells=[new_markdown_cell(markdown), code])


def read(path):
    return nbformat.read(path, as_version=4)


def mutations(markdown):
    """Yield copies of a text in which one digit of one decimal is another one."""
    for number in DECIMAL.finditer(worked_numbers.COMMENT.sub(_blank, markdown)):
        for place in range(number.start(), number.end()):
            if markdown[place].isdigit():
                digit = str((int(markdown[place]) + 1) % 10)
                yield markdown[:place] + digit + markdown[place + 1 :]


def _blank(match):
    return " " * len(match[0])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=contents.label)
def test_numbers_of_the_book_were_printed(path):
    assert problems(read(path)) == []


@pytest.mark.parametrize("chapter", contents.chapters(), ids=lambda chapter: chapter.name)
def test_each_chapter_has_worked_examples_with_numbers(chapter):
    examples = [e for path in chapter.notebooks for e in worked_numbers.examples(read(path))]
    assert sum(len(decimals(example.text)) for example in examples) >= 10


@pytest.mark.parametrize("path", NOTEBOOKS, ids=contents.label)
def test_a_changed_digit_is_noticed_in_every_notebook(path):
    """Change each digit of each decimal in turn, in a copy."""
    tried, missed = 0, []
    for example in worked_numbers.examples(read(path)):
        for changed in mutations(example.markdown):
            tried += 1
            if not list(check(Example(example.number, changed, example.code))):
                missed.append(changed)
    # A lone number in a sentence may turn into another one that was printed as well.
    assert len(missed) <= 0.02 * tried, f"{len(missed)} of {tried} changes went unnoticed"


def test_a_changed_digit_is_noticed_in_a_copy_of_a_file(tmp_path):
    path = tmp_path / "copy.ipynb"
    changed = list(mutations(MARKDOWN))
    assert len(changed) == 2 + 5 + 5 + 4 * 3
    for markdown in changed:
        nbformat.write(notebook(markdown), path)
        assert worked_numbers.main([str(path)]) == 1
    nbformat.write(notebook(), path)
    assert worked_numbers.main([str(path)]) == 0


def test_a_changed_output_is_noticed():
    for place in (m.start() for m in re.finditer(r"\d(?=\d*\.)|(?<=\.)\d", PRINTED)):
        digit = str((int(PRINTED[place]) + 1) % 10)
        assert problems(notebook(printed=PRINTED[:place] + digit + PRINTED[place + 1 :]))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (":class: worked-example\n", "", "must have `:class: worked-example`"),
        ("% given: 0.5\n", "", "0.5 was not printed and is not declared as given"),
        ("given: 0.5", "given: 0.5, 0.7", "0.7 is declared as given, but is not in the text"),
        ("$-0.0625$", "$0.0625$", "0.0625 was not printed"),
        ("$-0.0625$", "$-0.062$", "-0.062 was not printed"),
        ("`mean = -0.0625`", "`median = -0.0625`", "`median = -0.0625` was not printed"),
        (r"0.50 & -1.25 \\ 1.00 & 0.75", r"0.50 & 1.00 \\ -1.25 & 0.75", "shape and order"),
        (r"0.50 & -1.25 \\ 1.00 & 0.75", r"0.50 & -1.25 & 1.00 & 0.75", "shape and order"),
        (r"0.50 & -1.25 \\ 1.00 & 0.75", r"0.50 & -1.25", "shape and order"),
        (r"0.50 & -1.25 \\ 1.00 & 0.75", r"0.50 & -1.25 \\ 2 & 0.75", "shape and order"),
    ],
)
def test_each_rule_bites(old, new, says):
    assert old in MARKDOWN
    found = problems(notebook(MARKDOWN.replace(old, new)))
    assert any(says in problem for problem in found), found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-1.25", "−1.25"),
        ("1.00 & 0.75", "1 & 0.75"),
        ("-1.25", r"\mathbf{-1.25}"),
        ("-1.25", r"\cdots"),
        ("bmatrix", "pmatrix"),
        ("the mean", "the mean of $0.75 - 0.50$"),
    ],
)
def test_the_same_numbers_in_other_dress_pass(old, new):
    assert problems(notebook(MARKDOWN.replace(old, new))) == []


def test_a_column_may_have_been_printed_as_a_row():
    box = ":::{admonition} Worked example\n:class: worked-example\n"
    column = box + r"\begin{bmatrix} 0.10 \\ 0.20 \end{bmatrix}" + "\n:::"
    assert problems(notebook(column, "v  (2)\n  0.10  0.20\n")) == []
    assert problems(notebook(column, "v  (2)\n  0.20  0.10\n"))


def test_a_given_matrix_needs_no_output():
    box = ":::{admonition} Worked example\n:class: worked-example\n% given: 0.1, 0.2\n"
    assert problems(notebook(box + r"\begin{bmatrix} 0.1 & 0.2 \end{bmatrix}", "")) == []


def test_tags_of_the_code_cell():
    assert "must be tagged worked-example" in problems(notebook(tags=()))[0]
    ignored = problems(notebook(tags=("worked-example", "nbval-ignore-output")))
    assert ignored == ["cell 0: the code cell after it must not be tagged nbval-ignore-output"]


def test_code_without_text_and_text_without_code():
    whole = notebook()
    alone = copy.deepcopy(whole)
    alone.cells = [new_markdown_cell("Text."), whole.cells[1]]
    assert problems(alone) == [
        "cell 1: tagged worked-example, but no worked example stands before it"
    ]
    alone.cells = [whole.cells[0]]
    assert "no code cell follows" in problems(alone)[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a - 0.5 and b-0.5 and (c)-0.5", ["0.5", "0.5", "0.5"]),
        ("= -0.5, ( −0.5 ), & - 0.5", ["-0.5", "-0.5", "-0.5"]),
        ("1.5e-05 and 3.0.1 and v1.2", ["1.5e-05"]),
        (r"0.5\cdot 0.25x^{0.1}", ["0.5", "0.25", "0.1"]),
        ("It is 0.5.", ["0.5"]),
        ("0.75 - 0.50 but 0.75 -0.50", ["0.75", "0.50", "0.75", "-0.50"]),
    ],
)
def test_decimals(text, found):
    assert decimals(text) == found
