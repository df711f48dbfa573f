"""The words in code: found by Python's own tokens and tree, and put into another language."""

from __future__ import annotations

import contextlib
import io
import re

import numpy as np
import pytest
from docutils import nodes
from docutils.utils import new_document
from nbformat.v4 import new_code_cell, new_notebook, new_output

from companion.notebook import check
from tests.site.conftest import ROOT
from tools.book import columns, phrases
from tools.words import check_words, code_words, page_code

HAN = re.compile("[\u3400-\u9fff]")

FOUND = {
    "at a line's end": ("x = 1  # one thing", ["one thing"]),
    "on its own line": ("# one thing\nx = 1", ["one thing"]),
    "several lines are one": ("# one thing\n# and another\nx = 1", ["one thing and another"]),
    "an empty line cuts": ("# one thing\n#\n# another\nx = 1", ["one thing", "another"]),
    "another column cuts": (
        "if y:\n    # one thing\n    x = 1\n# another",
        ["one thing", "another"],
    ),
    "below the end of a line": ("x = 1  # one thing\n# another\n", ["one thing", "another"]),
    "beside a decorator": ("@wraps(f)  # keep its name\ndef g(): pass", ["keep its name"]),
    "inside brackets": ("x = [\n    1,  # one thing\n]", ["one thing"]),
    "in a string": ("x = '# no comment'", []),
    "in a string of several lines": ("x = '''\n# no comment\n'''", []),
    "in an f-string": ("x = f'{y} # no comment'", []),
    "beside an f-string": ("x = f'# {y!r:>{n}}'  # one thing", ["one thing"]),
    "for tools": (
        "import x  # noqa: F401\ny = 1  # type: ignore[x]\n# fmt: off\nz = 2  # pragma: no cover",
        [],
    ),
    "between tools and readers": ("# one thing\n# noqa: E501\n# another", ["one thing", "another"]),
    "a shape": ("x = f(y)  # (batch, T, d_k)\nz = x  # (n, D) @ (D,) -> (n,)", []),
    "a shape with words": ("x = f(y)  # (n, D): a row each", ["(n, D): a row each"]),
    "numbers": ("x = 3  # 1.5, 2", []),
    "a docstring": ('def f():\n    """Do one thing."""', ["Do one thing."]),
    "a docstring in paragraphs": (
        'class A:\n    """One thing.\n\n    Another,\n    and more.\n    """',
        ["One thing.", "Another, and more."],
    ),
    "a long docstring": ('def f():\n    """One.\n\n    x\n    -\n    Two.\n    Three."""', []),
    "a string that is no docstring": ("x = 'one thing'\n'another'", []),
    "a check": ("check('one thing', x, 1)", ["one thing"]),
    "a check in parts": ("check(f'size of {x:g}', y, 1)", ["size of {x:g}"]),
    "a check in two strings": ("check('one '\n      'thing', x)", ["one thing"]),
    "a check by a variable": ("name = 'one thing'\ncheck(name, x)\nother = 'x y'", ["one thing"]),
    "a variable that does more": ("name = 'one thing'\ncheck(name, x[name])", []),
    "a check or a helper": ("(check if x else print)('one thing', y)", ["one thing"]),
    "a helper by a variable": ("test = check if x else f\ntest('one thing', y)", ["one thing"]),
    "one of two names": ("check('one thing' if x else 'another', y)", ["one thing", "another"]),
    "a method of that name": ("x.check('one thing')", []),
    "what is printed": ("print('one thing')\nprint('✗ one thing')", ["✗ one thing"]),
    "escaped": (r"check('one\tthing', x)", []),
    "magics": ("%pip install x  # a package\n!ls  # a folder\nx = 1  # one thing", ["one thing"]),
    "a timed cell": ("%%time\nx = 1  # one thing", ["one thing"]),
    "another language": ("%%bash\nls  # one thing", []),
    "no Python": ("x = = 1  # one thing", []),
    "a remainder": ("x = (y\n     % z)  # one thing", ["one thing"]),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_is_a_message(case):
    source, messages = FOUND[case]
    assert code_words.words(source) == messages


PUT = {
    "one thing": "一件事",
    "another": "另一件",
    "keep its name": "保留名称",
    "Do one thing.": "做一件事。",
    "size of {x:g}": "{x:g} 的大小",
    "as {a} and {b}": "{b} 和 {a}",
    "one thing and another": "一件事，还有另一件",
    "One thing.": "一件事。",
    "Another, and more.": "另一件，还有更多。",
    "says": 'say "说"',
}
TRANSLATED = {
    "a comment": ("x = 1    # one thing", "x = 1    # 一件事"),
    "marks stay": ("#: one thing\n## another", "#: 一件事\n## 另一件"),
    "after wide letters": ("x = '词元'  # one thing", "x = '词元'  # 一件事"),
    "beside what looks like it": (
        "x = '# one thing'  # one thing",
        "x = '# one thing'  # 一件事",
    ),
    "in as many lines": ("    # one thing\n    # and another", "    # 一件事，还\n    # 有另一件"),
    "a docstring": ('def f():\n    """Do one thing."""', 'def f():\n    """做一件事。"""'),
    "a docstring in paragraphs": (
        'class A:\n    """One thing.\n\n    Another,\n    and more.\n    """',
        'class A:\n    """一件事。\n\n    另一件，还\n    有更多。\n    """',
    ),
    "a check": ("check('one thing', f('词元'), 1)", "check(\"一件事\", f('词元'), 1)"),
    "a check in parts": ("check(f'size of {x:g}', y)", 'check(f"{x:g} 的大小", y)'),
    "parts in another order": ('check(f"as {a} and {b}", y)', 'check(f"{b} 和 {a}", y)'),
    "quotes in a translation": ("check('says', y)", "check('say \"说\"', y)"),
    "magics": ("%time x\ny = 1  # one thing", "%time x\ny = 1  # 一件事"),
    "no translation": ("x = 1  # something else", "x = 1  # something else"),
}


@pytest.mark.parametrize("case", TRANSLATED)
def test_code_with_its_words_translated(case):
    source, wanted = TRANSLATED[case]
    made = code_words.translated(source, lambda message: PUT.get(message, message))
    assert made == wanted
    assert made.count("\n") == source.count("\n")


UNFIT = {
    "a part is lost": ("check(f'size of {x:g}', y)", "大小"),
    "a part is new": ("check(f'size of {x:g}', y)", "{x:g} 的 {y}"),
    "a part does more": ("check(f'size of {x:g}', y)", "{exit()} 的大小"),
    "both quotes": ("check('one thing', y)", "'\""),
    "a docstring ends early": ('def f():\n    """Do one thing."""', '""" + exit() + """'),
    "a further line": ("x = 1  # one thing", "一\nexit()"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_translation_never_changes_what_the_code_does(case):
    source, translation = UNFIT[case]
    assert code_words.translated(source, lambda _message: translation) == source


def test_helpers_that_hand_their_name_to_check_are_found():
    helper = (
        "def catches(test, value):\n    try:\n        check(test, value)\n    finally:\n        f()"
    )
    second = "def both(name, x, y):\n    catches(name, x)\n    check(name, y)"
    other = "def unlike(x, name):\n    check(name, x)"
    assert code_words.sayers([second, "%%bash\nls", helper, other]) == {"check", "catches", "both"}


def test_lines_are_equal_and_lose_nothing():
    text = "每个词元一行，共 12 行（length, width），然后是每一列的均值。"
    for count in range(1, 6):
        lines = columns.in_lines(text, count)
        assert "".join(lines) == text
        assert len(lines) == count
        assert not any(line[0] in "，。）" for line in lines)
        assert max(map(columns.columns_of, lines)) <= columns.columns_of(text) / count + 12


# -- what checks print ---------------------------------------------------------------------------

CHECKS = [
    (True, {}),
    (0.99, {"at_least": 0.9}),
    (0.2, {"at_most": 0.9}),
    (0.5, {"at_least": 0.1, "at_most": 0.9}),
    (0.497, {"expected": 0.5, "tolerance": 0.02}),
    ([1.1, 1.2999999], {"expected": [1.1, 1.3]}),
    (17, {"expected": 17}),
    ("a word", {"expected": "a word"}),
    ([1.0, -2.0], {"at_least": -3}),
    (np.ones((3, 4)), {"at_least": 0}),
    (np.ones((3, 4)), {"at_most": 2}),
    (np.ones(12), {"at_least": 0, "at_most": 2}),
    (np.ones((2, 3, 4)), {"expected": np.ones((2, 3, 4))}),
    (np.arange(12), {"expected": np.arange(12)}),
]


def printed(name: str, value, bounds: dict) -> str:
    """Return what a check of the package really prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        check(name, value, **bounds)
    return out.getvalue()


def in_chinese(text: str, source: str, said: dict[str, str]) -> str:
    pieces = code_words.pieces(source)
    say = phrases.speaker(ROOT, "zh_CN")
    return check_words.translated(text, pieces, lambda words: said.get(words, words), say)


@pytest.mark.parametrize("case", range(len(CHECKS)))
def test_all_that_a_check_can_say_is_said_in_chinese(case):
    value, bounds = CHECKS[case]
    line = printed("two: one thing", value, bounds)
    made = in_chinese(line, "check('two: one thing', x)", {"two: one thing": "二：一件事"})
    assert made.startswith("✓ 二：一件事：" if bounds else "✓ 二：一件事")
    rest = made.replace('"a word"', "").replace("e-", "")
    assert not re.search(r"[A-Za-z]{2}|: |, [a-z]", rest)
    assert re.findall(r"\d+(?:\.\d+)?", made) == re.findall(r"\d+(?:\.\d+)?", line) or (
        sorted(re.findall(r"[\d.]+", made)) == sorted(re.findall(r"[\d.]+", line))
    )


def test_a_name_in_parts_is_filled_with_what_was_printed():
    source = 'check("one thing", y)\ncheck(f"as {a} and {b}", y)\nprint(f"✗ {test}: no")'
    said = PUT | {"✗ {test}: no": "✗ {test}：不成立"}
    text = "✓ as first and second: 2, as expected\n✗ one thing: no\n✗ as 1 and 2: no\nas 1 and 2\n"
    assert in_chinese(text, source, said) == (
        "✓ second 和 first：2，与预期相符\n✗ 一件事：不成立\n✗ 2 和 1：不成立\nas 1 and 2\n"
    )


def test_a_name_that_begins_with_another_is_taken_as_a_whole():
    source = 'check("one thing", y)\ncheck(f"{name}: size of it", y)'
    said = PUT | {"{name}: size of it": "{name}的大小"}
    text = "✓ one thing: 2, as expected\n✓ one thing: size of it: 2, as expected\n"
    made = in_chinese(text, source, said)
    assert made == "✓ 一件事：2，与预期相符\n✓ 一件事的大小：2，与预期相符\n"


def test_names_that_nobody_knows_stay():
    assert in_chinese("✓ new: 2, as expected\n✓ other\n✓ a: b\n", "", {}) == (
        "✓ new：2，与预期相符\n✓ other\n✓ a: b\n"
    )


# -- pages and notebooks -------------------------------------------------------------------------

SOURCE = 'check("one thing", 2, 2)  # another'
PRINTED = "✓ one thing: 2, as expected\n"
SAID = {"one thing": "一件事", "another": "另一件"}


@pytest.fixture
def page():
    """Return a page with a cell, what it has printed, and package code that it has shown."""
    document = new_document("page")
    shown = nodes.container(classes=["cell_output"])
    shown += nodes.literal_block(PRINTED, PRINTED, language="myst-ansi")
    shown += nodes.literal_block("x = 1  # another", "x = 1  # another", language="python")
    document += nodes.literal_block(SOURCE, SOURCE, language="ipython3")
    document += shown
    document += nodes.literal_block("# one thing", "# one thing", language="bash")
    return document


def test_words_of_a_pages_code_are_messages(page):
    assert page_code.words(page) == ["one thing", "another"]


def test_a_pages_code_and_output_are_translated_and_shown_code_is_not(page):
    page_code.translate(page, SAID, phrases.speaker(ROOT, "zh_CN"))
    cell, printed, shown, other = page.findall(nodes.literal_block)
    assert cell.astext() == cell.rawsource == 'check("一件事", 2, 2)  # 另一件'
    assert printed.astext() == printed.rawsource == "✓ 一件事：2，与预期相符\n"
    assert (shown.astext(), other.astext()) == ("x = 1  # another", "# one thing")


def test_a_page_without_translations_stays(page):
    before = page.pformat()
    page_code.translate(page, {}, phrases.speaker(ROOT, "zh_CN"))
    assert page.pformat() == before


def test_cells_of_a_notebook_are_translated_where_they_stand():
    plain = new_output("execute_result", data={"text/plain": PRINTED})
    outputs = [new_output("stream", text=PRINTED), plain]
    notebook = new_notebook(cells=[new_code_cell(SOURCE, outputs=outputs)])
    page_code.translate_cells(notebook, SAID, phrases.speaker(ROOT, "zh_CN"))
    (cell,) = notebook.cells
    assert cell.source == 'check("一件事", 2, 2)  # 另一件'
    assert [cell.outputs[0].text, plain.data["text/plain"]] == [
        "✓ 一件事：2，与预期相符\n",
        PRINTED,
    ]
