r"""From a recipe to what `train` takes: texts, tokens, batches, a model.

This file adds: `Corpus`, a text in tokens, and `corpus`, which makes it; `held_out_batches`;
`build`, which makes the model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from companion import data
from companion.data.windows import Windows
from companion.tinyworld import TinyWorld
from companion.tokenizers import BPE, Characters, Tokenizer, Words
from companion.training.batches import Epochs
from companion.training.recipe import MODELS, DataSettings, Recipe, TokenizerSettings

__all__ = ["Corpus", "build", "corpus", "held_out_batches"]

END = "<|end|>"


@dataclass(frozen=True)
class Corpus:
    """A text in tokens, in two parts."""

    tokenizer: Tokenizer
    train: np.ndarray
    """Ids of the part that the model is trained on."""
    held_out: np.ndarray
    """Ids of the part that it is only evaluated on."""
    floor: float | None
    """The lowest loss that is possible, in nats a token, where it is known."""


def corpus(recipe: Recipe) -> Corpus:
    """Read or generate the text of a recipe, and turn it into tokens.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    Corpus

    Raises
    ------
    OSError
        If the text cannot be read, or downloaded (``companion.data.Unavailable``).
    ValueError
        If it is too short, or not in UTF-8.

    Examples
    --------
    >>> recipe = '{"train": {"steps": 1}, "model": {}, "data": {"stories": 50}}'
    >>> text = corpus(Recipe.from_json(recipe))
    >>> len(text.train) > 5 * len(text.held_out), round(text.floor, 2)
    (True, 0.21)
    """
    if recipe.data.source == "tinyworld":
        return _of_stories(recipe)
    whole = _text(recipe.data)
    cut = len(whole) - round(recipe.data.held_out * len(whole))
    parts = [whole[:cut], whole[cut:]]
    return _in_tokens(_tokenizer(recipe.tokenizer, parts[0], [whole]), parts, recipe.data, None)


def _of_stories(recipe: Recipe) -> Corpus:
    """Draw stories to train on, and others that are held out, each with a mark at its end."""
    world = TinyWorld(recipe.data.seed, recipe.data.language)
    stories = [world.story() + END for _ in range(recipe.data.stories)]
    n = len(stories) - max(1, round(recipe.data.held_out * len(stories)))
    parts = ["".join(stories[:n]), "".join(stories[n:])]
    tokenizer = _tokenizer(recipe.tokenizer, parts[0], world.sentences())
    floor = world.entropy(lambda text: len(tokenizer.encode(text)), with_end=True)
    return _in_tokens(tokenizer, parts, recipe.data, floor)


def _text(settings: DataSettings) -> str:
    return data.load("tinyshakespeare")["train"] if settings.path is None else _read(settings.path)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"data.path must be a text in UTF-8: {path}: {error}") from None


def _tokenizer(settings: TokenizerSettings, text: str, everything: Iterable[str]) -> Tokenizer:
    """Learn one from the text to train on; a closed vocabulary must hold what is held out, too."""
    if settings.kind == "bpe":
        assert settings.vocab_size is not None
        return BPE.train(text, settings.vocab_size, [END])
    return {"characters": Characters, "words": Words}[settings.kind].train(everything, [END])


def _in_tokens(
    tokenizer: Tokenizer, parts: list[str], settings: DataSettings, floor: float | None
) -> Corpus:
    ids = [np.array(tokenizer.encode(part, allow_special=True)) for part in parts]
    for name, found in zip(("to train on", "that is held out"), ids, strict=True):
        if len(found) <= settings.length:
            raise ValueError(
                f"the text {name} has {len(found)} tokens, and a window of data.length "
                f"{settings.length} needs one more than that: take a longer text, or less length"
            )
    return Corpus(tokenizer, ids[0], ids[1], floor)


def held_out_batches(text: Corpus, settings: DataSettings) -> Epochs:
    """Return all windows of the text that is held out, one after the other, in batches.

    Parameters
    ----------
    text : Corpus
    settings : DataSettings

    Returns
    -------
    Epochs

    Examples
    --------
    >>> text = Corpus(Characters("ab"), np.zeros(9), np.arange(9), None)
    >>> len(held_out_batches(text, DataSettings(length=2, batch_size=3)))  # 4 windows
    2
    """
    windows = Windows(text.held_out, settings.length)
    return Epochs(windows, min(settings.batch_size, len(windows)))


def build(recipe: Recipe, vocab_size: int) -> nn.Module:
    """Return the model of a recipe, with weights that its seed draws.

    Parameters
    ----------
    recipe : Recipe
    vocab_size : int
        That of the tokenizer.

    Returns
    -------
    nn.Module

    Raises
    ------
    TypeError, ValueError
        If the sizes do not fit one another.

    Examples
    --------
    >>> recipe = Recipe.from_json('{"train": {"steps": 1}, "model": {"d_model": 12}}')
    >>> build(recipe, vocab_size=9)(torch.zeros(1, 2, dtype=torch.long)).shape
    torch.Size([1, 2, 9])
    """
    model, config = MODELS[recipe.model.name]
    sizes = {"max_length": recipe.data.length, **recipe.model.sizes}
    torch.manual_seed(recipe.train.seed)
    return model(config(vocab_size=vocab_size, **sizes))
