"""Tune SmolLM2-135M-Instruct by LoRA on real instructions, English and Chinese, on a CPU.

Settings, lengths, loss and training are the cells of *Instruction tuning* (tagged ``smollm``), run
for longer than a page may. For each set the first tasks that are short enough are held out. Before
and after are measured: the loss on their answers in nats a token, how many of them the model
answers to the letter, how many of its answers end within the tokens that it may write, and how long
they are. Three answers of each set are kept, and one each to translate, to summarise and to program
by the model of the English set. Finished runs are kept in ``_build/benchmarks``. Run from the
repository's root; what is interrupted goes on with the next set:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_smollm [--seeds 1]
"""

import statistics
import time
from functools import cache
from typing import Any

import torch

from benchmarks import records
from companion import data
from companion.finetuning import ChatML, count_trainable, share_exact
from companion.generation import Generated, generate
from companion.models import load_pretrained

CHAPTER = records.chapter("fine-tuning/instructions")
RESULT = records.RESULTS / "finetuning_smollm.json"
SIZES = {
    "instruction_en": {"steps": 24, "batch": 8, "max_length": 96, "held_out": 32},
    "instruction_zh": {"steps": 16, "batch": 4, "max_length": 128, "held_out": 16},
}
WHEN = ("before", "after")
#: Tokens of an answer at most.
MOST = 40
#: Answers that are kept to be read.
SAMPLES = 3
#: Tasks of which one is translated, one summarised and one programmed: set and instruction.
TASKS = {
    "translation": ("instruction_en", "Translate the following sentence into French."),
    "summary": ("instruction_en_alpaca", "Summarize this piece of information:"),
}
PROGRAM = {
    "instruction": "Write a Python function add(a, b) that returns the sum of a and b.",
    "input": "",
    "output": "def add(a, b):\n    return a + b",
}
TESTS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"

Code = dict[str, Any]
Task = dict[str, str]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "instructions-imports", "smollm")


def settings(name: str) -> Any:
    """Return the settings of the chapter with the sizes of a set."""
    return chapter_code()["RealSettings"](**SIZES[name])


def split(name: str, template: ChatML) -> tuple[list[Task], list[Task]]:
    """Return tasks to train on, and tasks that are held out, none of them in both."""
    sizes = settings(name)
    rows = [row._asdict() for row in data.load(name)["train"]]
    kept = chapter_code()["short_enough"](rows, template, sizes.max_length)
    held = kept[: sizes.held_out]
    return [row for row in kept[sizes.held_out :] if row not in held], held


def other_tasks() -> dict[str, Task]:
    """Return one task each to translate, to summarise and to program."""
    found = {}
    for kind, (name, instruction) in TASKS.items():
        rows = data.load(name)["train"]
        found[kind] = next(row._asdict() for row in rows if row.instruction == instruction)
    return {**found, "code": PROGRAM}


def answered(model: Any, template: ChatML, tasks: list[Task]) -> Generated:
    """Let the model answer, taking the likeliest token each time."""
    asked = [template.prompt(template.messages(task)[:1]) for task in tasks]
    end, tokenizer = template.end_id, template.tokenizer
    return generate(model, asked, max_new_tokens=MOST, stop=end, tokenizer=tokenizer)


def judged(model: Any, template: ChatML, held: list[Task], english: bool) -> Code:
    """Return what a model knows of tasks that were held out, and what it says."""
    written = answered(model, template, held)
    texts = [text.strip() for text in written.texts or []]
    others = other_tasks() if english else {}
    said = answered(model, template, [*others.values()]).texts if others else []
    return {
        "loss": round(chapter_code()["answer_loss"](model, template, held), 4),
        "exact": share_exact(texts, [task["output"] for task in held]),
        "ended": statistics.mean(ids[-1] == template.end_id for ids in written.ids),
        "tokens": statistics.mean(map(len, written.ids)),
        "samples": texts[:SAMPLES],
        "others": {kind: text.strip() for kind, text in zip(others, said or [], strict=True)},
    }


def measured(name: str, seed: int, when: str) -> Code:
    """Judge the model on what is held out of a set, before it is tuned on the rest, or after."""
    model: Any = load_pretrained("SmolLM2-135M-Instruct")
    template, sizes = ChatML(model.tokenizer), settings(name)
    train, held = split(name, template)
    facts = {"settings": vars(sizes), "trained_on": len(train), "asked": held[:SAMPLES]}
    if when == "after":
        start = time.process_time()
        chapter_code()["tune_real"](model, template, train, sizes, seed, torch.device("cpu"))
        facts["tuning_seconds"] = round(time.process_time() - start, 1)
        facts["trainable"] = count_trainable(model).trainable
    return {**facts, **judged(model, template, held, name == "instruction_en")}


def main() -> None:
    """Judge before and after on every set with every seed, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=1)
    torch.set_num_threads(1)
    cases = [{"name": n, "seed": seed, "when": w} for n in SIZES for w in WHEN for seed in seeds]
    rows = records.kept_runs(RESULT.stem, cases, measured)
    runs = [{**row["case"], **with_tests(row["measured"])} for row in rows]
    records.write(RESULT, seeds, most=MOST, tests=TESTS, asked=other_tasks(), runs=runs)


def with_tests(run: Code) -> Code:
    """Return what was measured, with whether the program passes its tests."""
    if not run["others"]:
        return run
    return {**run, "passes": chapter_code()["passes"](run["others"]["code"], TESTS)}


if __name__ == "__main__":
    main()
