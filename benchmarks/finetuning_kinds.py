"""Score translations, summaries and programs of SmolLM2-135M-Instruct, before and after LoRA.

Lengths, loss and training are the cells of *Instruction tuning* (tagged ``smollm``); the model
learns from `instruction_en` without the 30 translations that are then scored by BLEU and chrF. The
summaries are those of `instruction_en_alpaca` whose text is given and short enough; ROUGE scores
them. The programs are run with tests. Finished runs are kept in ``_build/benchmarks``. Run from
the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_kinds [--seeds 3]
"""

import re
import statistics
from functools import cache
from typing import Any

import torch

from benchmarks import records
from benchmarks.finetuning_smollm import Task, answered, chapter_code
from companion import data, evaluation
from companion.finetuning import ChatML
from companion.models import load_pretrained

CHAPTER = records.chapter("fine-tuning/instructions")
RESULT = records.RESULTS / "finetuning_kinds.json"
SIZES = {"steps": 48, "batch": 8, "max_length": 96}
TRANSLATIONS = 30
#: Tokens that a text with its summary may have.
LONGEST = 300
#: Some references are English sentences that hold the translation.
FRAME = "translation of"
#: What is asked for, and what the program must do.
PROGRAMS = {
    "Write a Python function double(x) that returns twice x.": "assert double(4) == 8",
    "Write a Python function is_even(n) that says whether n is even.": (
        "assert is_even(4) and not is_even(7)"
    ),
    "Write a Python function last(items) that returns the last item of a list.": (
        "assert last([3, 1, 2]) == 2"
    ),
    "Write a Python function area(a, b) that returns the area of a rectangle.": (
        "assert area(3, 5) == 15"
    ),
    "Write a Python function shout(text) that returns a text in capital letters.": (
        "assert shout('yes') == 'YES'"
    ),
    "Write a Python function count_a(text) that counts the letter a in a text.": (
        "assert count_a('banana') == 3"
    ),
    "Write a Python function backwards(text) that returns a text reversed.": (
        "assert backwards('abc') == 'cba'"
    ),
    "Write a Python function mean(numbers) that returns the mean of a list.": (
        "assert mean([1, 2, 6]) == 3"
    ),
    "Write a Python function largest(a, b, c) that returns the largest of three numbers.": (
        "assert largest(2, 9, 4) == 9"
    ),
    "Write a Python function factorial(n) that returns n factorial.": "assert factorial(5) == 120",
    "Write a Python function evens(numbers) that returns the even numbers of a list.": (
        "assert evens([1, 2, 3, 4]) == [2, 4]"
    ),
    "Write a Python function words(text) that returns how many words a text has.": (
        "assert words('one two three') == 3"
    ),
}

Code = dict[str, Any]


@cache
def rows(name: str) -> list[Task]:
    """Return the tasks of a set."""
    return [row._asdict() for row in data.load(name)["train"]]


def asked(template: ChatML) -> dict[str, list[Task]]:
    """Return the tasks of each kind."""
    short = chapter_code()["short_enough"]
    translate = [
        row for row in rows("instruction_en") if row["instruction"].startswith("Translate")
    ]
    summarise = [
        row
        for row in rows("instruction_en_alpaca")
        if re.search("(?i)summar", row["instruction"]) and len(row["input"].split()) > 8
    ]
    return {
        "translation": translate[:TRANSLATIONS],
        "summary": short(summarise, template, LONGEST),
        "code": [{"instruction": text, "input": "", "output": ""} for text in PROGRAMS],
    }


def judged(model: Any, template: ChatML) -> Code:
    """Return the scores of each kind, and the first answers."""
    tasks = asked(template)
    said = {kind: answered(model, template, tasks[kind]) for kind in tasks}
    texts = {kind: [text.strip() for text in said[kind].texts or []] for kind in tasks}
    wanted = {kind: [task["output"] for task in tasks[kind]] for kind in tasks}
    pairs = list(zip(wanted["summary"], texts["summary"], strict=True))
    passes = chapter_code()["passes"]
    runs = [passes(*pair) for pair in zip(texts["code"], PROGRAMS.values(), strict=True)]
    both = texts["translation"], wanted["translation"]
    return {
        "bleu": evaluation.corpus_bleu(*both).score,
        "chrf": evaluation.corpus_chrf(*both),
        "rouge_1": statistics.fmean([evaluation.rouge_n(*pair, 1).fmeasure for pair in pairs]),
        "rouge_l": statistics.fmean([evaluation.rouge_l(*pair).fmeasure for pair in pairs]),
        "passed": sum(runs),
        "said": {kind: texts[kind][:3] for kind in texts},
    }


def measured(seed: int, when: str) -> Code:
    """Judge the model before it is tuned, or after."""
    model: Any = load_pretrained("SmolLM2-135M-Instruct").eval()
    template, code = ChatML(model.tokenizer), chapter_code()
    if when == "after":
        held = asked(template)["translation"]
        kept = code["short_enough"](rows("instruction_en"), template, SIZES["max_length"])
        train = [row for row in kept if row not in held]
        settings = code["RealSettings"](**SIZES)
        code["tune_real"](model, template, train, settings, seed, torch.device("cpu"))
    return judged(model, template)


def main() -> None:
    """Judge before and after with every seed, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    torch.set_num_threads(1)
    cases = [{"when": "before", "seed": 0}] + [{"when": "after", "seed": s} for s in seeds]
    found = records.kept_runs(RESULT.stem, cases, measured)
    model: Any = load_pretrained("SmolLM2-135M-Instruct")
    kinds = asked(ChatML(model.tokenizer))
    records.write(
        RESULT,
        seeds,
        settings=SIZES,
        tasks={kind: len(kinds[kind]) for kind in kinds},
        sentences=sum(FRAME in row["output"] for row in kinds["translation"]),
        asked={kind: [each["instruction"] for each in kinds[kind][:3]] for kind in kinds},
        runs=[{**row["case"], **_rounded(row["measured"])} for row in found],
    )


def _rounded(run: Code) -> Code:
    numbers = {k: round(v, 4) if isinstance(v, float) else v for k, v in run.items()}
    return {**numbers, "cpu_seconds": round(run["cpu_seconds"], 1)}


if __name__ == "__main__":
    main()
