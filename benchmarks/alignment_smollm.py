"""Tune SmolLM2-135M-Instruct by LoRA on real preference pairs, English and Chinese, on a CPU.

Settings, pairs, log-probabilities and the training by DPO are the cells of *What people prefer*
(tagged ``dpo``), run for longer than a page may. The first pairs that are short enough are held
out. Before and after are measured on them: the loss, the share of pairs in which the policy has
moved more towards the preferred answer, and by how many nats each side has moved. On the English
set the same number of steps is also made on the preferred answers alone (``chosen``), which is
instruction tuning. Three answers are kept to be read. Finished runs are kept in
``_build/benchmarks``. Run from the repository's root; what is interrupted goes on:

    OMP_NUM_THREADS=1 python -m benchmarks.alignment_smollm [--seeds 1]
"""

import contextlib
import io
from functools import cache
from typing import Any

import torch
from torch import Tensor

from benchmarks import records
from companion import data
from companion.data import Preference
from companion.finetuning import ChatML, count_trainable
from companion.generation import generate
from companion.models import load_pretrained

CHAPTER = records.chapter("alignment/preferences")
RESULT = records.RESULTS / "alignment_smollm.json"
SIZES = {
    "preference_en": {"steps": 12, "batch": 4, "held_out": 24},
    "preference_zh": {
        "steps": 6,
        "batch": 2,
        "held_out": 8,
        "most_prompt": 96,
    },
}
CASES = [("preference_en", "dpo"), ("preference_zh", "dpo"), ("preference_en", "chosen")]
#: Tokens of a written answer at most, and answers that are kept.
MOST, SAMPLES = 28, 2
CPU = torch.device("cpu")

Code = dict[str, Any]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "preferences-imports", "dpo")


def settings(name: str) -> Any:
    """Return the settings of the chapter with the sizes of a set."""
    return chapter_code()["RealSettings"](**SIZES[name])


def chosen_only(logs: Tensor, _reference: Tensor, _settings: Any) -> Tensor:
    """Return the loss of instruction tuning: the preferred answers must become more probable."""
    return -logs[0].mean()


def answered(model: Any, template: ChatML, prompts: list[list[int]]) -> list[str]:
    """Let the model answer, taking the likeliest token each time."""
    end, tokenizer = template.end_id, template.tokenizer
    found = generate(model, prompts, max_new_tokens=MOST, stop=end, tokenizer=tokenizer)
    return [text.strip() for text in found.texts or []]


def speakers(row: Preference) -> list[str]:
    """Return who speaks before the answer, turn by turn."""
    return [turn.speaker for turn in row.turns]


def of_the_set(rows: list[Preference], pairs: list[Any]) -> Code:
    """Return what the set is like, before anything is trained."""
    lengths = [(len(row.chosen), len(row.rejected)) for row in rows]
    return {
        "rows": len(rows),
        "equal": sum(row.chosen == row.rejected for row in rows),
        "several_turns": sum(len(row.turns) > 1 for row in rows),
        "system_and_human": sum(speakers(row) == ["system", "human"] for row in rows),
        "longer_chosen": sum(a > b for a, b in lengths),
        "shorter_chosen": sum(a < b for a, b in lengths),
        "kept": len(pairs),
    }


def likelier(logs: Tensor) -> float:
    """Return the share of pairs whose preferred answer the model finds more probable."""
    ahead = (logs[0] > logs[1]).double() + (logs[0] == logs[1]).double() / 2
    return ahead.mean().item()


def measured(name: str, way: str, seed: int) -> Code:
    """Tune the model on a set, and return how it has moved on the pairs that were held out."""
    code, s, rows = chapter_code(), settings(name), data.load(name)["train"]
    model: Any = load_pretrained("SmolLM2-135M-Instruct").eval()
    template = ChatML(model.tokenizer)
    pairs = code["real_pairs"](rows, template, s)
    held, learnt = pairs[: s.held_out], pairs[s.held_out :]
    prompts = [prompt for prompt, _, _ in held[:SAMPLES]]
    before, said = logs_of(model, held, s), answered(model, template, prompts)
    kinds = {"dpo": code["dpo"], "chosen": chosen_only}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        history = code["tune_pairs"](model, learnt, s, seed, CPU, kinds[way])
    after = logs_of(model.eval(), held, s)
    moved = code["movement"](before, after, s.beta)
    return {
        "settings": vars(s),
        "set": of_the_set(rows, pairs),
        "trainable": count_trainable(model).trainable,
        "first_loss": round(history[0], 4),
        "likelier_before": likelier(before),
        "likelier_after": likelier(after),
        **{key: round(value, 4) for key, value in moved.items()},
        "asked": [" ".join(row.turns[-1].text.split()) for row in shown(rows, template, s)],
        "before": said,
        "after": answered(model, template, prompts),
    }


def shown(rows: list[Preference], template: ChatML, s: Any) -> list[Preference]:
    """Return the rows of the first pairs that were kept."""
    real_pairs = chapter_code()["real_pairs"]
    kept = (row for row in rows if real_pairs([row], template, s))
    return [next(kept) for _ in range(SAMPLES)]


@torch.no_grad()
def logs_of(model: Any, pairs: list[Any], s: Any) -> Tensor:
    """Return the log-probabilities of both answers of each pair, (2, n)."""
    parts = [pairs[i : i + s.batch] for i in range(0, len(pairs), s.batch)]
    return torch.cat([chapter_code()["answer_logs"](model, part, CPU) for part in parts], dim=1)


def main() -> None:
    """Tune on every set with every seed, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=1)
    torch.set_num_threads(1)
    cases = [{"name": n, "way": way, "seed": seed} for n, way in CASES for seed in seeds]
    rows = records.kept_runs(RESULT.stem, cases, measured)
    runs = [{**row["case"], **row["measured"]} for row in rows]
    for run in runs:
        run["cpu_seconds"] = round(run["cpu_seconds"], 1)
    records.write(RESULT, seeds, most=MOST, runs=runs)


if __name__ == "__main__":
    main()
