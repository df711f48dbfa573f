"""Teach a small GPT, pretrained on Tiny World's stories, to answer questions about stories.

One model is pretrained and kept. For each seed it is then tuned on instructions, with the loss on
the answers alone or on all tokens: the seed says in which order it sees them. Measured are the
share of answers that are right to the letter on stories that occur in no training example, before
and after, and how many nats a token the model is above Tiny World's floor on plain stories: what it
has forgotten. Packed and padded batches of the same examples take turns. Finished runs are kept in
``_build/benchmarks``. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_instructions [--seeds 3]
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any, cast

import torch

from benchmarks import pairs, records
from companion import data, training
from companion.finetuning import (
    ChatML,
    Example,
    Plain,
    first_fit,
    make_examples,
    pack_examples,
    pad_examples,
    share_exact,
    world_tasks,
    write_answers,
)
from companion.models import GPT, GPTConfig, load_pretrained
from companion.tinyworld import TinyWorld
from companion.tokenizers import ChatBPE, Words
from companion.training import Epochs, TokenLoss, TrainConfig

RESULT = records.RESULTS / "finetuning_instructions.json"
LOSSES = ("answer only", "everything")
REAL = "instruction_en_alpaca"
TURNS, WARM_UP = 21, 2

Measured = dict[str, float]
Task = dict[str, str]


@dataclass(frozen=True)
class Settings:
    """Sizes of the model, the data and the two trainings."""

    d_model: int = 64
    n_layers: int = 3
    n_heads: int = 4
    max_length: int = 128
    warmup: int = 50
    stories: int = 20_000
    pretraining_steps: int = 1_200
    pretraining_batch: int = 32
    pretraining_lr: float = 3e-3
    tasks: int = 20_000
    steps: int = 2_500
    batch: int = 16
    lr: float = 1.5e-3
    test_tasks: int = 300
    held_out: int = 300
    mixed: int = 64
    real: int = 512


SETTINGS = Settings()


class Quiet:
    """A progress bar that shows nothing."""

    def __init__(self, steps: Any, description: str = ""):
        self.steps, self.last = steps, False

    def __iter__(self) -> Iterator[int]:
        """Go through the steps."""
        return iter(self.steps)

    def set(self, **shown: float) -> None:
        """Show nothing."""


# -- data ----------------------------------------------------------------------------------------


@cache
def tasks() -> tuple[list[Task], list[Task]]:
    """Return tasks for training and for testing."""
    train, test = world_tasks(SETTINGS.tasks, SETTINGS.test_tasks, seed=2)
    return with_blanks(train), with_blanks(test)


@cache
def mixed_tasks() -> list[Task]:
    """Return tasks of very different lengths: to tell a story, too, of which nothing is given."""
    train, _ = world_tasks(SETTINGS.mixed, 1, kinds=("ask", "count", "tell"), seed=4)
    return with_blanks(train)


def with_blanks(tasks: list[Task]) -> list[Task]:
    """Let answers begin with a blank, so that their words are the tokens that stand in stories."""
    return [{**task, "output": f" {task['output']}"} for task in tasks]


@cache
def template() -> Plain:
    """Return the template, with a tokenizer that knows each word of stories and questions."""
    train, test = tasks()
    known = train + test + mixed_tasks()
    texts = [text for task in known for text in (" ".join(task.values()), task["output"])]
    texts += TinyWorld().sentences()
    return Plain(Words.train(texts, ["<|answer|>", "<|end|>"]))


def story_examples(n: int, seed: int) -> tuple[list[Example], float]:
    """Return stories between two ends, every token a target, and the least loss that is possible.

    It is minus the mean logarithm of the probability that these stories have, for each token.
    """
    world, words, end = TinyWorld(seed=seed), template().tokenizer, template().end_id
    stories = [world.story() for _ in range(n)]
    rows = [words.encode(story) for story in stories]
    examples = [Example([end, *row], [*row, end]) for row in rows]
    nats = -sum(world.log_prob(story) for story in stories)
    return examples, nats / sum(len(row) + 1 for row in rows)


@cache
def held_out() -> tuple[list[Any], float]:
    """Return batches of stories that were not trained on, and the least loss on them."""
    examples, floor = story_examples(SETTINGS.held_out, seed=3)
    starts = range(0, len(examples), 100)
    return [pad_examples(examples[i : i + 100], template().end_id) for i in starts], floor


# -- training ------------------------------------------------------------------------------------


def train(
    model: GPT, examples: list[Example], batch: int, steps: int, lr: float, seed: int
) -> None:
    """Train on examples in an order that the seed draws."""
    collate = partial(pad_examples, pad_id=template().end_id)
    epochs = Epochs(examples, batch, seed=seed, collate=collate)
    config = TrainConfig(
        steps, lr=lr, warmup=SETTINGS.warmup, seed=seed, device="cpu", precision="float32"
    )
    history = training.train(model, epochs, config, bar=Quiet)
    if history.stopped:  # what is half trained is no result
        raise KeyboardInterrupt


def new_model() -> GPT:
    """Return the model before any training; it is the same in each call."""
    torch.manual_seed(0)
    s, n = SETTINGS, template().tokenizer.vocab_size
    return GPT(GPTConfig(n, s.max_length, s.d_model, s.n_layers, s.n_heads, positions="rotary"))


def pretrained() -> GPT:
    """Return the model that knows stories: read, if it was trained before, or trained."""
    path, model = records.KEPT / f"{RESULT.stem}.pt", new_model()
    if path.exists():
        kept = torch.load(path)
        if kept["settings"] == asdict(SETTINGS):
            model.load_state_dict(kept["weights"])
            return model
    examples, _ = story_examples(SETTINGS.stories, seed=1)
    s = SETTINGS
    train(model, examples, s.pretraining_batch, s.pretraining_steps, s.pretraining_lr, seed=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"settings": asdict(SETTINGS), "weights": model.state_dict()}, path)
    return model


# -- measuring -----------------------------------------------------------------------------------


def judged(model: GPT) -> Measured:
    """Return how many answers are right, and how far stories are above the floor."""
    _, test = tasks()
    asked = [template().messages(task)[:1] for task in test]
    answers = write_answers(model, template(), asked, max_new_tokens=8, batch_size=100)
    counts = [task["output"].strip().isdigit() for task in test]
    batches, floor = held_out()
    return {
        "exact": share_exact(answers, [task["output"] for task in test]),
        "exact_count": share_of(answers, test, counts, True),
        "exact_ask": share_of(answers, test, counts, False),
        "above_floor": training.evaluate(model, batches)["loss"] - floor,
    }


def share_of(answers: list[str], test: list[Task], counts: list[bool], kind: bool) -> float:
    """Return the share of right answers among the tasks of a kind."""
    chosen = [i for i, each in enumerate(counts) if each is kind]
    return share_exact([answers[i] for i in chosen], [test[i]["output"] for i in chosen])


def tuned(loss: str, seed: int) -> Measured:
    """Tune the pretrained model with a loss, and judge it."""
    model = pretrained()
    examples = make_examples(
        tasks()[0],
        template(),
        max_length=SETTINGS.max_length,
        answer_only=loss == "answer only",
    )
    start = time.process_time()
    train(model, examples, SETTINGS.batch, SETTINGS.steps, SETTINGS.lr, seed)
    seconds = time.process_time() - start
    return {**judged(model), "tuning_seconds": seconds}


def real_examples() -> list[Example]:
    """Return as many examples of a real set, as long as SmolLM2's tokenizer makes them.

    Only lengths count for the time, so the ids are drawn from the small vocabulary.
    """
    tokenizer = cast(ChatBPE, load_pretrained("SmolLM2-135M-Instruct").tokenizer)
    rows = data.load(REAL)["train"][: SETTINGS.mixed]
    found = make_examples(rows, ChatML(tokenizer), max_length=SETTINGS.real, too_long="drop")
    n = template().tokenizer.vocab_size
    return [
        Example([i % n for i in e.inputs], [i % n if i >= 0 else i for i in e.targets])
        for e in found
    ]


def packed_and_padded(examples: list[Example], capacity: int) -> dict[str, Any]:
    """Compare the time of a step on the same examples, packed and padded."""
    lengths = [len(example.inputs) for example in examples]
    rows = [[examples[i] for i in row] for row in first_fit(lengths, capacity)]
    end = template().end_id
    batches = {"packed": pack_examples(rows, end), "padded": pad_examples(examples, end)}
    model = new_model()
    contenders = {name: partial(step, model, batch) for name, batch in batches.items()}
    times = pairs.alternating(contenders, TURNS, warm_up=WARM_UP, clock=time.process_time)
    medians = {name: statistics.median(found) for name, found in times.items()}
    tokens = sum(lengths)
    return {
        "examples": len(examples),
        "capacity": capacity,
        "tokens": tokens,
        "rows": {name: len(batch[0]) for name, batch in batches.items()},
        "places": {name: batch[0].numel() for name, batch in batches.items()},
        "microseconds_per_token": {n: round(1e6 * s / tokens, 2) for n, s in medians.items()},
        **pairs.compared(times),
    }


def step(model: GPT, batch: Any) -> None:
    """Compute loss and gradients."""
    model.zero_grad()
    TokenLoss()(model, batch)["loss"].backward()


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    torch.set_num_threads(1)
    before = {name: round(value, 4) for name, value in judged(pretrained()).items()}
    print(before, flush=True)
    cases = [{"loss": loss, "seed": seed} for loss in LOSSES for seed in seeds]
    runs = records.by_seed(records.kept_runs(RESULT.stem, cases, tuned))
    records.write(
        RESULT,
        seeds,
        settings=asdict(SETTINGS),
        vocabulary=template().tokenizer.vocab_size,
        floor=round(held_out()[1], 4),
        before=before,
        runs=runs,
        packing={
            "Tiny World": packed_and_padded(
                make_examples(mixed_tasks(), template()), SETTINGS.max_length
            ),
            REAL: packed_and_padded(real_examples(), SETTINGS.real),
        },
    )


if __name__ == "__main__":
    main()
