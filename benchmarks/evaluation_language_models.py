"""Score SmolLM2 on easy questions in five ways, and see what a prompt and a batch do to the score.

The model gives each choice a log-probability as the continuation of a prompt; the scores by
likelihood are made of these sums. Besides, it chooses a letter, writes an answer, and judges what
it wrote. The same questions are asked in three forms, after 0, 1 or 4 examples (drawn anew for
each seed), and in batches of several sizes. At last the model compares two answers, in both orders.
Run from the repository's root, in about ten minutes; finished parts are kept in
``_build/benchmarks``:

    OMP_NUM_THREADS=1 python -m benchmarks.evaluation_language_models [--seeds 3]
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks import records
from benchmarks.evaluation_questions import EXAMPLES, QUESTIONS, Question
from companion.attention import KVCache
from companion.evaluation import exact_match, normalize_answer
from companion.generation import generate
from companion.models import Llama, load_pretrained
from companion.tokenizers import ChatBPE

CHAPTER = records.chapter("evaluation/benchmarks")
RESULT = records.RESULTS / "evaluation_language_models.json"
NAME = "SmolLM2-135M-Instruct"  # as the record names it
LETTERS = "ABCD"
SHOTS, BATCHES, BATCH = (0, 1, 4), (4, 16, 64), 32
IN_BATCHES = 16  # questions that are asked in batches of several sizes
NEW_TOKENS = 24
MORE = " This is well known, and one can read it in many books, where it is explained at length."

Row = tuple[list[int], list[int]]
Found = dict[str, Any]


@cache
def model() -> Llama:
    """Return the model."""
    return load_pretrained("SmolLM2-135M-Instruct")


def tokens(text: str) -> list[int]:
    """Return the ids of a text."""
    return cast(ChatBPE, model().tokenizer).encode(text)


# -- prompts -------------------------------------------------------------------------------------


def bare(question: str) -> tuple[list[int], str]:
    """Return a question alone, and what stands before an answer."""
    return tokens(question), " "


def headed(question: str) -> tuple[list[int], str]:
    """Return a question between two headings."""
    return tokens(f"Question: {question}\nAnswer:"), " "


def later(question: str) -> tuple[list[int], str]:
    """Return the same after examples, from which an empty line parts it."""
    return tokens(f"\n\nQuestion: {question}\nAnswer:"), " "


def blank(question: str) -> tuple[list[int], str]:
    """Return the same, with the blank at the end of the prompt and not before the answer."""
    return tokens(f"Question: {question}\nAnswer: "), ""


def chat(question: str) -> tuple[list[int], str]:
    """Return a question as a user's turn."""
    tokenizer = cast(ChatBPE, model().tokenizer)
    return tokenizer.chat_prompt([{"role": "user", "content": question}]), ""


FORMS: dict[str, Callable[[str], tuple[list[int], str]]] = {
    "bare": bare,
    "headed": headed,
    "chat": chat,
    "blank": blank,
}
AFTER = {**FORMS, "later": later}


def examples(k: int, seed: int) -> str:
    """Return k questions with their answers, drawn and ordered by a seed."""
    shown = random.Random(seed).sample(EXAMPLES, k)
    return "\n\n".join(f"Question: {q.text}\nAnswer: {q.choices[0]}" for q in shown)


def rows_of(form: str, questions: Sequence[Question] = QUESTIONS) -> list[Row]:
    """Return prompt and continuation of every choice."""
    rows = []
    for question in questions:
        prompt, before = AFTER[form](question.text)
        rows += [(prompt, tokens(before + choice)) for choice in question.choices]
    return rows


def listed(question: Question, number: int) -> tuple[str, str]:
    """Return a question with a list of its choices, the right one at each letter in turn."""
    turn = number % len(LETTERS)
    choices = question.choices[-turn:] + question.choices[:-turn] if turn else question.choices
    lines = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=True))
    return f"Question: {question.text}\n{lines}\nAnswer:", LETTERS[turn]


# -- likelihoods ---------------------------------------------------------------------------------


@torch.no_grad()
def prefix_of(ids: list[int]) -> list[KVCache]:
    """Return the keys and values of a text that all prompts begin with."""
    caches = model().new_caches()
    model()(torch.tensor([ids]), caches=caches)
    return caches


def repeated(caches: list[KVCache], n: int) -> list[KVCache]:
    """Return caches for n rows that begin alike."""
    copies = model().new_caches()
    for copy, cache_ in zip(copies, caches, strict=True):
        assert cache_.keys is not None
        assert cache_.values is not None
        copy.append(cache_.keys.repeat(n, 1, 1, 1), cache_.values.repeat(n, 1, 1, 1))
    return copies


@torch.no_grad()
def log_probs(rows: list[Row], batch: int, before: list[int] | None = None) -> Iterator[Tensor]:
    """Yield the log-probability of each continuation's tokens, in batches padded on the right."""
    prefix = prefix_of(before) if before else None
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        longest = max(len(prompt) + len(more) for prompt, more in part)
        ids = [[*p, *m, *[0] * (longest - len(p) - len(m))] for p, m in part]
        caches = repeated(prefix, len(part)) if prefix else None
        logits = model()(torch.tensor(ids), caches=caches)
        for (prompt, more), row in zip(part, logits, strict=True):
            at = row[len(prompt) - 1 :][: len(more)].float().log_softmax(dim=-1)
            yield at.gather(1, torch.tensor(more)[:, None])[:, 0]


def sums(rows: list[Row], batch: int = BATCH, before: list[int] | None = None) -> Tensor:
    """Return the log-probability of each choice, one row for each question."""
    return torch.stack([each.sum() for each in log_probs(rows, batch, before)]).view(-1, 4)


def lengths(rows: list[Row]) -> Tensor:
    """Return how many tokens each choice has."""
    return torch.tensor([len(more) for _, more in rows]).view(-1, 4)


def characters() -> Tensor:
    """Return how many characters each choice has."""
    return torch.tensor([[len(choice) for choice in q.choices] for q in QUESTIONS])


def marks(right: Any) -> str:
    """Return 1 for each right answer, and 0 for each wrong one."""
    return "".join("01"[int(each)] for each in right)


def by_likelihood(found: Tensor, rows: list[Row]) -> dict[str, str]:
    """Return which questions are answered rightly by each of three scores."""
    scores = {"sum": found, "token": found / lengths(rows), "character": found / characters()}
    return {name: marks(score.argmax(dim=1) == 0) for name, score in scores.items()}


# -- letters, texts, judges ----------------------------------------------------------------------


@torch.no_grad()
def next_among(
    prompts: list[list[int]], words: Sequence[str], before: list[int] | None = None
) -> Tensor:
    """Return the log-probability of some first tokens after each prompt."""
    first = torch.tensor([tokens(word)[0] for word in words])
    prefix, found = prefix_of(before) if before else None, []
    for prompt in prompts:
        caches = repeated(prefix, 1) if prefix else None
        logits = model()(torch.tensor([prompt]), caches=caches)[0, -1]
        found.append(logits.log_softmax(dim=-1)[first])
    return torch.stack(found)


def by_letter(before: str = "") -> Found:
    """Return which questions are answered rightly by letter, and how often each letter is said."""
    asked = [listed(question, i) for i, question in enumerate(QUESTIONS)]
    lead = "\n\n" if before else ""  # tokenised with what follows it
    prompts, words = [tokens(lead + text) for text, _ in asked], [f" {x}" for x in LETTERS]
    scores = next_among(prompts, words, tokens(before))
    said = [LETTERS[i] for i in scores.argmax(dim=1).tolist()]
    right = marks(a == b for a, (_, b) in zip(said, asked, strict=True))
    return {"right": right, "said": {x: said.count(x) for x in LETTERS}, "scores": scores}


def written(form: str, before: str = "") -> list[str]:
    """Return what the model writes, up to the end of the line."""
    tokenizer = cast(ChatBPE, model().tokenizer)
    prompts = [tokens(before) + AFTER[form](q.text)[0] for q in QUESTIONS]
    stop: list[int | str | Callable[[list[int]], bool]] = [
        tokenizer.special_ids["<|im_end|>"],
        "\n",
    ]
    found = []
    for start in range(0, len(prompts), 16):
        some = prompts[start : start + 16]
        done = generate(model(), some, max_new_tokens=NEW_TOKENS, stop=stop, tokenizer=tokenizer)
        found += done.texts or []
    return [re.split(r"<\|im_end\|>|\n", text)[0].strip() for text in found]


def contains(question: Question, text: str) -> bool:
    """Tell whether a text names the right answer and none of the wrong ones."""
    words = f" {normalize_answer(text)} "
    named = [f" {normalize_answer(choice)} " in words for choice in question.choices]
    return named[0] and not any(named[1:])


def turn(text: str) -> list[int]:
    """Return the ids of a conversation that begins with a text."""
    return chat(text)[0]


def judged(texts: list[str]) -> Tensor:
    """Return how much more probable the model finds Yes than No, asked whether a text is right."""
    prompts = [
        turn(
            f"Question: {q.text}\nReference answer: {q.choices[0]}\nStudent's answer: {text}\n"
            "Is the student's answer right? Say Yes or No."
        )
        for q, text in zip(QUESTIONS, texts, strict=True)
    ]
    scores = next_among(prompts, ["Yes", "No"])
    return scores[:, 0] - scores[:, 1]


def compared(pairs: list[tuple[str, str]]) -> Tensor:
    """Return how much more probable the model finds A than B, asked which text is better."""
    prompts = [
        turn(
            f"Question: {q.text}\nAnswer A: {a}\nAnswer B: {b}\nWhich answer is better? Say A or B."
        )
        for q, (a, b) in zip(QUESTIONS, pairs, strict=True)
    ]
    scores = next_among(prompts, ["A", "B"])
    return scores[:, 0] - scores[:, 1]


# -- what is measured ----------------------------------------------------------------------------


def scored_five_ways(k: int) -> Found:
    """Return every number behind the five scores of the form with headings, after k examples."""
    before, form = examples(k, seed=0), "later" if k else "headed"
    rows, texts = rows_of(form), written(form, before)
    found = sums(rows, before=tokens(before))
    letters, verdicts = by_letter(lettered(k, seed=0)), judged(texts)
    answered = list(zip(QUESTIONS, texts, strict=True))
    right = {
        **by_likelihood(found, rows),
        "letter": letters["right"],
        "exact": marks(exact_match(q.choices[0], text) for q, text in answered),
        "judge": marks(verdicts > 0),
        "contains": marks(contains(q, text) for q, text in answered),
    }
    items = [
        {
            "sums": rounded(found[i]),
            "tokens": lengths(rows)[i].tolist(),
            "letters": rounded(letters["scores"][i]),
            "text": texts[i],
            "judge": round(verdicts[i].item(), 3),
        }
        for i in range(len(QUESTIONS))
    ]
    return {"shots": k, "right": right, "letters_said": letters["said"], "items": items}


def rounded(values: Tensor) -> list[float]:
    """Return numbers with three digits behind the point."""
    return [round(value, 3) for value in values.tolist()]


def in_form(form: str) -> Found:
    """Return which questions are answered rightly in one form of the prompt."""
    rows = rows_of(form)
    found = by_likelihood(sums(rows), rows)
    if form != "headed":  # that is asked for the five scores, too
        answered = list(zip(QUESTIONS, written(form), strict=True))
        found["exact"] = marks(exact_match(q.choices[0], text) for q, text in answered)
        found["contains"] = marks(contains(q, text) for q, text in answered)
    return {"form": form, "right": found}


def with_examples(k: int, seed: int) -> Found:
    """Return which questions are answered rightly after k examples that a seed draws."""
    rows = rows_of("later")
    right = by_likelihood(sums(rows, before=tokens(examples(k, seed))), rows)
    return {"shots": k, "seed": seed, "right": right}


def lettered(k: int, seed: int) -> str:
    """Return k questions with a list and the right letter, drawn and ordered by a seed."""
    shown = random.Random(seed).sample(list(enumerate(EXAMPLES)), k)
    asked = [listed(question, i) for i, question in shown]
    return "\n\n".join(f"{text} {letter}" for text, letter in asked)


def in_batches(dtype: str) -> Found:
    """Return how far scores are from those of single rows, in batches of several sizes."""
    rows, runs = rows_of("headed", QUESTIONS[:IN_BATCHES]), []
    model().to(getattr(torch, dtype))
    alone = sums(rows, 1)
    for size in BATCHES:
        found = sums(rows, size)
        run = {
            "batch": size,
            "largest": float(f"{(found - alone).abs().max().item():.3g}"),
            "equal": round((found == alone).float().mean().item(), 4),
            "decisions": int((found.argmax(1) != alone.argmax(1)).sum()),
        }
        runs.append(run)
    model().float()
    return {"dtype": dtype, "runs": runs}


def judge_of_pairs(kind: str) -> Found:
    """Return what the judge prefers, with the answers in either order."""
    right = [f"The answer is: {q.choices[0]}." for q in QUESTIONS]
    wrong = [f"The answer is: {q.choices[1]}." for q in QUESTIONS]
    others = {"wrong": wrong, "long": [text + MORE for text in wrong], "the same": right}
    found = {"first": rounded(compared(list(zip(right, others[kind], strict=True))))}
    if kind != "the same":
        found["second"] = rounded(compared(list(zip(others[kind], right, strict=True))))
    return {"right and": kind, **found}


PARTS: dict[str, Callable[..., Found]] = {
    "five": scored_five_ways,
    "form": in_form,
    "examples": with_examples,
    "pairs": judge_of_pairs,
    "batches": in_batches,
}


def cases(seeds: range) -> list[Found]:
    """Return all that is to be measured; the five scores are those of the first seed."""
    return [
        *({"part": "five", "k": k} for k in SHOTS),
        *({"part": "form", "form": form} for form in FORMS),
        *({"part": "pairs", "kind": kind} for kind in ("wrong", "long", "the same")),
        *({"part": "batches", "dtype": dtype} for dtype in ("float32", "bfloat16")),
        *({"part": "examples", "k": k, "seed": seed} for k in SHOTS[1:] for seed in seeds[1:]),
    ]


def one(part: str, **case: Any) -> Found:
    """Measure one case."""
    print(part, case, flush=True)
    return PARTS[part](**case)


def main() -> None:
    """Measure, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    torch.set_num_threads(1)
    rows = records.kept_runs(RESULT.stem, cases(seeds), one)
    found: dict[str, list[Found]] = {part: [] for part in PARTS}
    for row in rows:
        found[row["case"]["part"]].append(row["measured"])
    records.write(
        RESULT,
        seeds,
        model=NAME,
        questions=len(QUESTIONS),
        in_batches=IN_BATCHES,
        **found,
    )


if __name__ == "__main__":
    main()
