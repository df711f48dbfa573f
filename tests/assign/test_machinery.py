"""What students' notebooks import from the package to check an answer."""

import string

import numpy as np
import pytest
import torch

from companion.notebook import _assignments as machinery

CHECKS = """
from companion.notebook._assignments import close, parts

def is_right(total, *, right):
    assert close(total, right, "total"), f"total is not {right}"

def has_parts(both):
    parts(both, 2)

CHECKS = [("Look at it.", is_right, {"right": 0.1234}), ("Count.", has_parts, {})]
"""
SAID = {
    "passed": ({"total": 0.123, "both": (1, 2)}, "✓ Look at it.\n✓ Count.\n{passed}\n"),
    "wrong": ({"total": 2, "both": (1, 2)}, "✗ Look at it.\n  total is not 0.1234\n✓ Count.\n"),
    "coarse": ({"total": 0.12, "both": 1}, "✗ Look at it.\n  {rounded}\n✗ Count.\n  {results}\n"),
    "begun": ({"total": ...}, "✗ Look at it.\n  {total}\n✗ Count.\n  {both}\n"),
    "unfit": ({"total": 0.123, "both": Ellipsis}, "✓ Look at it.\n✗ Count.\n  {both}\n"),
}
WORDS = {
    "en": {
        "passed": "These checks pass. Others follow when your work is graded.",
        "rounded": "total is rounded too far: give at least 3 decimals",
        "results": "2 results should be returned, one after the other, not 1",
        "total": "The answer must define total, and leave no ... in place of an answer.",
        "both": "The answer must define both, and leave no ... in place of an answer.",
    },
    "zh": {
        "passed": "这些检查都通过了。评分时还有别的检查。",
        "rounded": "total 取的小数位太少：至少保留 3 位小数",
        "results": "应依次返回 2 个结果，现在是 1 个",
        "total": "答案里还缺 total：要先定义好，该作答的地方也不能还留着 ...",
        "both": "答案里还缺 both：要先定义好，该作答的地方也不能还留着 ...",
    },
}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("answer", "said"), SAID.values(), ids=SAID)
def test_it_says_what_is_not_right_yet_in_the_notebooks_language(answer, said, language, capsys):
    machinery.report(CHECKS, answer, language)
    assert capsys.readouterr().out == said.format(**WORDS[language])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("1 / 0", "The answer could not be used: ZeroDivisionError: division by zero"),
        ("raise SystemExit(2)", "The answer could not be used: SystemExit: 2"),
        ("assert False", "An assert in the answer itself fails."),
        ("assert False, 'so'", "so"),
    ],
)
def test_what_an_answer_raises_is_told(answer, said, capsys):
    names = {}
    exec(f"def f():\n    {answer}", names)
    machinery.report("def runs(f):\n    f()\n\nCHECKS = [('Run it.', runs, {})]", names)
    assert capsys.readouterr().out == f"✗ Run it.\n  {said}\n"


@pytest.mark.parametrize(("language", "why"), [("en", "is too old for these"), ("zh", "版本太旧")])
def test_checks_of_a_newer_notebook_are_told_apart_from_a_wrong_answer(language, why, capsys):
    newer = CHECKS.replace("import close", "import nearer, close")
    machinery.report(newer, {"total": 0.1234}, language)
    said = capsys.readouterr().out
    assert why in said
    assert "nearer" in said
    assert "✗" not in said


def test_what_a_check_defines_stays_inside_of_it():
    answer = {"total": 0.1234, "both": [1, 2]}
    machinery.report(CHECKS, answer)
    assert set(answer) == {"total", "both"}


def test_no_name_is_taken_away_that_a_notebook_imports():
    for name in ("array", "close", "parts", "report", "text"):  # this list may only grow
        assert callable(getattr(machinery, name))


def test_tensors_of_every_kind_are_read():
    values = torch.tensor([1.0, 2.5], requires_grad=True)
    for kind in (torch.float64, torch.float32, torch.bfloat16):
        read = machinery.array([values.to(kind), (3, np.float32(4))])
        assert read.tolist() == [[1.0, 2.5], [3.0, 4.0]]
        assert read.dtype == np.float64


def test_every_sentence_says_the_same_in_both_languages():
    for name, sentence in machinery.SENTENCES.items():
        fields = [
            sorted(f for _, f, *_ in string.Formatter().parse(s) if f) for s in sentence.values()
        ]
        assert list(sentence) == ["en", "zh"], name
        assert fields[0] == fields[1], name
