"""Train the GPT that lives in the page, write its files, and record how close it comes.

It tells stories in English and in Chinese, half of them each, with one vocabulary. Optimisers and
rates are those of the chapter's own cells (tagged ``writes``); the model is a little larger and is
trained for longer. The page has its weights in 8 bits, so the record has the loss before and after
rounding. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.transformer_live
"""

import time
from typing import Any

import torch
from torch import Tensor

from benchmarks import records, transformer_writes
from companion import device, losses, optim
from companion.models import GPT, GPTConfig
from companion.tinyworld import TinyWorld
from companion.tokenizers import Words
from tools.models import live_export

RESULT = records.RESULTS / "transformer_live.json"
NAME = "tiny-world"
SIZES = {"max_length": 128, "d_model": 96, "n_layers": 4, "n_heads": 4}
STEPS, BATCH = 4000, 32  # a batch has as many stories of each language
STORIES = 1000  # of each language, on which the loss is measured
IGNORE = -100


def story_tokenizer() -> Words:
    """Return one vocabulary for both languages."""
    worlds = [TinyWorld(language=language) for language in live_export.BEGINNINGS]
    special = [live_export.BEGIN, live_export.END]
    return Words.train([text for world in worlds for text in world.sentences()], special)


def batch_of(stories: list[str], tokenizer: Words) -> Tensor:
    """Return ids of shape (B, T), filled up on the right with `IGNORE`."""
    around = (live_export.BEGIN + story + live_export.END for story in stories)
    rows = [torch.tensor(tokenizer.encode(story, allow_special=True)) for story in around]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORE)


def train(gpt: GPT, tokenizer: Words, code: dict[str, Any], seed: int) -> None:
    """Train on stories that are drawn anew at every step."""
    worlds = [TinyWorld(1000 + seed, language=language) for language in live_export.BEGINNINGS]
    muon, adamw = code["optimizers_for"](gpt)
    rates = code["Settings"]()
    for step in range(STEPS):
        share = optim.warmup_cosine(step, 1.0, STEPS // 10, STEPS)
        muon.param_groups[0]["lr"] = share * rates.muon_rate
        adamw.param_groups[0]["lr"] = share * rates.adamw_rate
        ids = batch_of(
            [world.story() for world in worlds for _ in range(BATCH // len(worlds))], tokenizer
        )
        logits = gpt(ids[:, :-1].clamp(min=0))
        loss = losses.cross_entropy(logits, ids[:, 1:])
        gpt.zero_grad()
        loss.backward()
        optim.clip_grad_norm(gpt.parameters(), 1.0)
        muon.step()
        adamw.step()
        if step % 100 == 0:
            print(f"{step:5} {loss.item():.3f}", flush=True)


def above_floor(gpt: GPT, tokenizer: Words, language: str) -> float:
    """Return the mean loss above the exact surprise of the same stories, in nats a token."""
    world = TinyWorld(seed=3, language=language)
    stories = [world.story() for _ in range(STORIES)]
    exact = -sum(world.log_prob(story) for story in stories)
    n_tokens = sum(len(tokenizer.encode(story)) + 1 for story in stories)
    return live_export.loss(gpt, tokenizer, stories) - exact / n_tokens


def main() -> None:
    """Train, write the files of the page, and write the record."""
    code = transformer_writes.chapter_code()
    tokenizer = story_tokenizer()
    device.seed_everything(0)
    gpt = GPT(GPTConfig(tokenizer.vocab_size, **SIZES))
    start = time.process_time()
    train(gpt, tokenizer, code, seed=0)
    seconds = time.process_time() - start
    in_page = live_export.write(gpt.eval(), tokenizer, NAME)
    measured = {
        language: {
            "above_floor": round(above_floor(gpt, tokenizer, language), 4),
            "in_8_bits": round(above_floor(in_page, tokenizer, language), 4),
        }
        for language in live_export.BEGINNINGS
    }
    sizes = {"vocab_size": tokenizer.vocab_size, **SIZES, "steps": STEPS, "batch": BATCH}
    records.write(RESULT, range(1), sizes=sizes, cpu_seconds=round(seconds), measured=measured)


if __name__ == "__main__":
    main()
