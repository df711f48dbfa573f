"""Let the GPT of *What a model says* write in many ways, and hold what it writes against the truth.

Tokens, settings, training, judge and search are the notebook's own cells (tagged ``truth``), so
that what is measured is what is printed there. For each seed a model is trained. It writes stories
by every sampler; the grammar says which of them are possible. The entropy of what a sampler writes
is estimated by the stories themselves: the mean of minus the logarithm of the probability that
each had. On true stories it is measured how far the sampler's distribution is from the language's,
and how many of them it can still write. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.generation_truth [--seeds 5]
"""

import math
import statistics
from collections import Counter
from typing import Any

import torch

from benchmarks import records
from companion import device
from companion.generation import MinP, Temperature, TopK, TopP
from companion.tinyworld import TinyWorld, grammar

CHAPTER = records.chapter("generation/sampling")
RESULT = records.RESULTS / "generation_truth.json"
STORIES, HELD_OUT = 400, 1000
GRID: dict[str, tuple[type, tuple[float, ...]]] = {
    "temperature": (Temperature, (0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5)),
    "top-p": (TopP, (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)),
    "min-p": (MinP, (0.02, 0.05, 0.1, 0.2, 0.4)),
    "top-k": (TopK, (2, 5, 10, 20, 50)),
}
BEAMS, PENALTIES = (1, 2, 4, 8, 16), (0.0, 1.0)
FIRST_SCREEN = "One evening Sam went to the lake. He met Mia. He"

Code = dict[str, Any]
Measured = dict[str, float]


def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "sampling-imports", "truth")


def written(code: Code, gpt: Any, samplers: list[Any], seed: int) -> Measured:
    """Let it write, and return what the grammar says of it."""
    rows = code["written_by"](gpt, STORIES, samplers, seed)
    texts = [code["text_of"](ids) for ids in rows]
    said = Counter(map(code["verdict"], texts))
    possible = [text for text in texts if code["verdict"](text) == "possible"]
    log_q = code["log_q"](gpt, [[code["START"], *ids] for ids in rows], samplers)
    return {
        **{name: said[name] / STORIES for name in ("possible", "meaning", "grammar")},
        "entropy": -log_q.mean().item(),
        "distinct": len(set(texts)) / STORIES,
        **told(possible),
    }


def told(stories: list[str]) -> Measured:
    """Return how probable possible stories are in truth, and how long."""
    logs = [TinyWorld().log_prob(story) for story in stories]
    return {"log_p": statistics.mean(logs), "sentences": mean_sentences(stories)}


def mean_sentences(stories: list[str]) -> float:
    """Return how many sentences stories have on average."""
    return statistics.mean(story.count(".") for story in stories)


def distance(code: Code, gpt: Any, samplers: list[Any], true: list[str]) -> Measured:
    """Return the share of true stories that can still be written, and KL(p || q) if all can."""
    log_q = code["log_q"](gpt, [code["encode"](story) for story in true], samplers)
    log_p = torch.tensor([TinyWorld().log_prob(story) for story in true])
    can = log_q > -math.inf
    kl = (log_p - log_q).mean().item() if bool(can.all()) else -1.0  # -1: infinite
    return {"writable": can.float().mean().item(), "kl": kl}


def searched(code: Code, gpt: Any, k: int, penalty: float) -> Measured:
    """Search from the openings, and return what was found."""
    stories = code["beams_of"](gpt, k, penalty)
    possible = [story for story in stories if code["verdict"](story) == "possible"]
    log_q = code["log_q"](gpt, [code["encode"](story) for story in stories])
    return {
        "possible": len(possible) / len(stories),
        "log_q": log_q.mean().item(),
        **told(possible),
        "share_of_shortest": statistics.mean(s.count(".") == min_sentences() for s in stories),
    }


def min_sentences() -> int:
    """Return how many sentences the shortest story has."""
    return min(grammar.N_EVENTS) + 2


def from_openings(code: Code) -> Measured:
    """Return how probable true stories with the same openings are."""
    world = TinyWorld(seed=5)
    return told([world.story() for _ in code["openings"]])


def measure(seed: int, code: Code) -> list[tuple[dict[str, Any], Measured]]:
    """Train with a seed, and return every case with what was measured."""
    settings = code["Settings"]()
    gpt, _ = code["train"](settings, seed, device.pick_device())
    world = TinyWorld(seed=3)
    true = [world.story() for _ in range(HELD_OUT)]
    plain = distance(code, gpt, [], true)
    rows: list[tuple[dict[str, Any], Measured]] = [({"method": "model"}, plain)]
    for name, (kind, values) in GRID.items():
        for value in values:
            samplers = [kind(value)]
            found = {**written(code, gpt, samplers, seed), **distance(code, gpt, samplers, true)}
            rows.append(({"method": name, "value": value}, found))
    for penalty in PENALTIES:
        for k in BEAMS:
            case = {"method": "beams", "value": k, "length_penalty": penalty}
            rows.append((case, searched(code, gpt, k, penalty)))
    if seed == 0:
        first_screen(code, gpt)
    return rows


SCREEN: list[float] = []


def first_screen(code: Code, gpt: Any) -> None:
    """Keep the logits of the first screen, in tenths."""
    ids = [code["START"], *code["tokenizer"].encode(FIRST_SCREEN)]
    with torch.no_grad():
        logits = gpt(torch.tensor([ids]))[0, -1]
    SCREEN[:] = [round(value, 1) for value in (logits - logits.max()).tolist()]


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    rows = []
    for seed in seeds:
        for case, measured in measure(seed, code):
            rows.append({"case": {**case, "seed": seed}, "measured": measured})
        print(f"seed {seed} done", flush=True)
    world = TinyWorld(seed=3)
    records.write(
        RESULT,
        seeds,
        settings=vars(code["Settings"]()),
        stories=STORIES,
        held_out=HELD_OUT,
        true=told([world.story() for _ in range(HELD_OUT)]),
        true_from_openings=from_openings(code),
        first_screen={"text": FIRST_SCREEN, "logits": SCREEN},
        runs=records.by_seed(rows),
    )


if __name__ == "__main__":
    main()
