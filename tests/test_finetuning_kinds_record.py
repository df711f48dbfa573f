"""What *Instruction tuning* says of translations, summaries and code is what the record says."""

import pytest

from benchmarks import finetuning_kinds
from tests import recorded

pytestmark = pytest.mark.chapter("fine-tuning")
ROWS = {
    "BLEU of translations": ("bleu", ".1f"),
    "{term}`chrF` of translations": ("chrf", ".1f"),
    "{term}`ROUGE-1 <ROUGE>` of summaries": ("rouge_1", ".2f"),
    "ROUGE-L of summaries": ("rouge_l", ".2f"),
    "programs that pass": ("passed", "d"),
}


def record():
    return recorded.record(finetuning_kinds)


def runs():
    before, *after = record()["runs"]
    assert [run["when"] for run in (before, *after)] == ["before", *["after"] * 3]
    return before, after


def said():
    return recorded.sources(finetuning_kinds.CHAPTER, "instructions-")["kinds-after"]


def test_how_many_were_asked():
    tasks, code = record()["tasks"], len(finetuning_kinds.PROGRAMS)
    assert tasks["translation"] == finetuning_kinds.TRANSLATIONS
    assert tasks["code"] == code
    texts = f"{tasks['translation']} translations, {tasks['summary']} summaries"
    assert f"{texts} and {code} small programs" in said()
    assert record()["settings"] == finetuning_kinds.SIZES
    assert f"after {record()['settings']['steps']} steps of it" in said()


@pytest.mark.parametrize("row", ROWS)
def test_the_table_is_the_record(row):
    key, form = ROWS[row]
    before, after = runs()
    cells = said().partition(f"* - {row}\n")[2].split("\n* - ")[0].split("\n:::")[0]
    assert [line.removeprefix("  - ") for line in cells.splitlines()] == [
        f"{before[key]:{form}}",
        ", ".join(f"{run[key]:{form}}" for run in after),
    ]


def test_what_is_said_of_summaries_and_programs():
    before, after = runs()
    assert all(run[key] > before[key] for run in after for key in ("rouge_1", "rouge_l"))
    assert {run["passed"] - before["passed"] for run in after} == {2, 3}


def test_what_is_said_of_translations():
    _, after = runs()
    first, best, third = (run["bleu"] for run in after)
    assert max(first, third) < 4
    assert f"with one it is {best:.1f}" in said()
    answer = after[1]["said"]["translation"][1]
    assert record()["asked"]["translation"][1] == "Translate 'family' into Italian."
    assert f"*{answer}*" in said()
    assert finetuning_kinds.FRAME in answer
    assert f"{record()['sentences']} of the {record()['tasks']['translation']} references" in said()
