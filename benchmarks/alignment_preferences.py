"""Measure how many comparisons a reward needs, by what is known of it beforehand.

Pairs, settings, pretraining and the training of the reward model are the cells of *What people
prefer* (tagged ``rewards``), so that what is measured is what is printed there. Four ways learn
from the same comparisons of Tiny World, and are judged by the same held-out pairs: three features
whose weights are to be found (``features``), a weight for each word (``words``), a reward model
made of a pretrained GPT (``pretrained``), and one with random weights (``scratch``). A seed is
another draw of the comparisons and of the first weights. Finished runs are kept in
``_build/benchmarks``. Run from the repository's root; what is interrupted goes on:

    OMP_NUM_THREADS=1 python -m benchmarks.alignment_preferences [--seeds 3]
"""

import contextlib
import io
from copy import deepcopy
from functools import cache
from typing import Any

import torch

from benchmarks import records
from companion import alignment, device
from companion.finetuning import Trunk
from companion.tinyworld import grammar

CHAPTER = records.chapter("alignment/preferences")
RESULT = records.RESULTS / "alignment_preferences.json"
WAYS = ("features", "words", "pretrained", "scratch")
#: Comparisons, and how often each is seen in training.
EPOCHS = {100: 6, 300: 3, 1000: 2, 3000: 1, 10_000: 1}
#: The most comparisons from which random weights learn.
LARGEST = 3000
#: Of the squared weights, so that few comparisons give finite ones.
PENALTY = {"features": 0.1, "words": 10.0}
HELD_OUT, HELD_SEED = 3000, 77
CPU = torch.device("cpu")

Code = dict[str, Any]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "preferences-imports", "rewards")


@cache
def held_out() -> list[list[str]]:
    """Return the texts of the pairs that judge, the preferred ones first."""
    return chapter_code()["drawn_pairs"](HELD_OUT, HELD_SEED)


@cache
def known() -> dict[str, float]:
    """Return what can be reached on the held-out pairs."""
    rewards = [chapter_code()["true_rewards"](texts) for texts in held_out()]
    lengths = [torch.tensor([len(text) for text in texts]) for texts in held_out()]
    share = chapter_code()["share_right"]
    return {
        "floor": round(alignment.preference_entropy(*rewards).item(), 4),
        "loss_of_true_reward": round(alignment.preference_loss(*rewards).item(), 4),
        "right_of_true_reward": round(share(*rewards), 4),
        "right_of_longer": round(share(*lengths), 4),
    }


def settings(n: int) -> Any:
    """Return the chapter's settings for so many comparisons."""
    return chapter_code()["Settings"](n_pairs=n, epochs=EPOCHS[n])


@cache
def language_model(seed: int) -> Any:
    """Return the pretrained GPT of a seed."""
    return chapter_code()["pretrained_gpt"](settings(3000), seed, CPU)


def events(text: str) -> list[float]:
    """Return good events, bad events, and whether the end is good."""
    story: Any = grammar.read(text)
    moods = [grammar.KINDS[event.kind].mood for event in story.events]
    end = chapter_code()["WORLD"].reward(text) - sum(moods)
    return [moods.count(1), moods.count(-1), end]


def words(text: str) -> list[float]:
    """Return how often each word of the vocabulary occurs."""
    lexicon = chapter_code()["LEXICON"]
    counts = [0.0] * lexicon.vocab_size
    for i in lexicon.encode(text):
        counts[i] += 1
    return counts


def by_features(way: str, texts: list[list[str]]) -> dict[str, float]:
    """Fit a weighted sum of features, and judge it."""
    of = {"features": events, "words": words}[way]
    train, test = (
        [torch.tensor([of(t) for t in side], dtype=torch.float64) for side in pairs]
        for pairs in (texts, held_out())
    )
    weights = alignment.fit_preferences(train[0], train[1], penalty=PENALTY[way])
    found = [side @ weights for side in test]
    loss = alignment.preference_loss(*found).item()
    return {"loss": loss, "right": chapter_code()["share_right"](*found)}


def by_network(way: str, n: int, seed: int, texts: list[list[str]]) -> dict[str, float]:
    """Train a reward model, and judge it."""
    code, s = chapter_code(), settings(n)
    gpt = deepcopy(language_model(seed))
    if way == "scratch":
        device.seed_everything(seed)
        gpt = type(gpt)(gpt.config)
    model = alignment.RewardModel(Trunk(gpt))
    code["train_reward"](model, texts, s, seed, CPU)
    return code["judged"](model, held_out())


def measured(way: str, n: int, seed: int) -> dict[str, float]:
    """Return loss and share of the right order of one way, on the held-out pairs."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        texts = chapter_code()["drawn_pairs"](n, 1 + seed)
        if way in PENALTY:
            return by_features(way, texts)
        return by_network(way, n, seed, texts)


def main() -> None:
    """Measure, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    torch.set_num_threads(1)
    kinds = [(way, n) for way in WAYS for n in EPOCHS if way != "scratch" or n <= LARGEST]
    cases = [{"way": way, "n": n, "seed": seed} for way, n in kinds for seed in seeds]
    runs = records.untimed(records.kept_runs(RESULT.stem, cases, measured))
    records.write(
        RESULT,
        seeds,
        settings=vars(settings(3000)),
        epochs={str(n): epochs for n, epochs in EPOCHS.items()},
        penalty=PENALTY,
        held_out=HELD_OUT,
        known=known(),
        runs=records.by_seed(runs),
    )


if __name__ == "__main__":
    main()
