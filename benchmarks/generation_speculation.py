"""When speculative decoding pays: SmolLM2 with guesses that are looked up in the text itself.

The draft is `lookup_draft` of the chapter: it finds where the last two tokens occurred before, and
guesses that the text goes on as it did there. It costs next to nothing, and is often right where a
text repeats itself. Both ways write the same text by greedy decoding, and take turns. A turn is
counted by the time for which the processor works, in one thread; the ratio of a pair is the time of
plain decoding by that of speculation. Besides, it is measured how much longer one call takes that
reads several tokens. From the repository's root, on an idle machine:

    python -m benchmarks.generation_speculation
"""

import statistics
import time
from typing import Any

import torch

from benchmarks import pairs, records
from benchmarks.generation_speed import seconds_of
from companion import generation, models

CHAPTER = records.chapter("generation/decoding")
RESULT = records.RESULTS / "generation_speculation.json"
PARAGRAPH = (
    "The old lighthouse keeper walked down to the harbour every morning. He counted the boats, "
    "greeted the fishermen and bought a loaf of bread. Then he climbed the stairs and cleaned the "
    "lamp."
)
QUESTION = "Tell me a story about the sea."
GUESSES = (2, 4, 8)
N_NEW, PAIRS, AT_ONCE, CALLS = 48, 3, (1, 2, 3, 5, 9, 17), 9


def prompts(tokenizer: Any) -> dict[str, list[int]]:
    """Return a text that is about to repeat a paragraph, and a question that asks for a story."""
    again = f"{PARAGRAPH}\n\nThe same text again:\n\nThe old lighthouse"
    return {
        "copy": tokenizer.encode(again),
        "open": tokenizer.chat_prompt([{"role": "user", "content": QUESTION}]),
    }


def compared(model: Any, lookup: Any, name: str, n_guesses: int) -> dict[str, Any]:
    """Write one text in both ways, again and again."""
    tokenizer = model.tokenizer
    prompt = prompts(tokenizer)[name]
    stop = tokenizer.special_ids["<|im_end|>"]
    settings = {"max_new_tokens": N_NEW, "stop": stop}
    turns: dict[str, Any] = {
        "plain": lambda: generation.generate(model, [prompt], **settings).ids[0],
        "guessing": lambda: generation.speculate(
            model, lookup, prompt, n_guesses=n_guesses, **settings
        ),
    }
    alone, both = turns["plain"](), turns["guessing"]()
    times = pairs.alternating(turns, PAIRS, warm_up=0, clock=time.process_time)
    ratios = [plain / faster for plain, faster in zip(*times.values(), strict=True)]
    return {
        "prompt": name,
        "guesses": n_guesses,
        "same_text": alone == both.ids,
        "tokens": len(both.ids),
        "calls": both.calls,
        "accepted": round(both.accepted / max(both.proposed, 1), 3),
        "times_as_fast": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


@torch.inference_mode()
def cost_of_calls(model: Any) -> dict[int, float]:
    """Return how many times as long as one token it takes to read several at once."""
    draws = torch.Generator().manual_seed(0)
    text = torch.randint(1000, 20_000, (1, 100), generator=draws)
    seconds: dict[int, list[float]] = {n: [] for n in AT_ONCE}
    for _ in range(CALLS):
        for n in AT_ONCE:
            caches = model.new_caches()
            model(text, caches=caches)
            seconds[n].append(seconds_of(lambda n=n, c=caches: model(text[:, :n], caches=c)))
    medians = {n: statistics.median(values) for n, values in seconds.items()}
    return {n: round(medians[n] / medians[1], 2) for n in AT_ONCE}


def main() -> None:
    """Measure, and write the record."""
    torch.set_num_threads(1)
    code = records.chapter_code(CHAPTER, "decoding-imports", "lookup")
    model = models.load_pretrained("SmolLM2-135M-Instruct")
    calls = cost_of_calls(model)
    print(calls, flush=True)
    runs = []
    for name in prompts(model.tokenizer):
        for n_guesses in GUESSES:
            lookup = code["lookup_draft"](model.config.vocab_size)
            runs.append(compared(model, lookup, name, n_guesses))
            print(runs[-1], flush=True)
    records.write(RESULT, range(1), pairs=PAIRS, new_tokens=N_NEW, calls=calls, runs=runs)


if __name__ == "__main__":
    main()
