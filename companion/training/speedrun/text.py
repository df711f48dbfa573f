r"""The text of the speedrun, and the loss by which all of its recipes are measured.

This file adds: ``Text`` and ``load_text``; ``held_out_loss``, over all of the validation split.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn import functional as F

from companion import data
from companion._arguments import _require_text
from companion.data.windows import Windows

__all__ = ["CONTEXT", "Text", "held_out_loss", "load_text"]

CONTEXT = 64  # characters of a window in which a loss is measured
SHARE = 0.9  # of the text is trained on, as in nanoGPT


@dataclass(frozen=True)
class Text:
    """Ids to train on, ids that are held out, and the characters that they stand for."""

    train: Int64[Tensor, " train"]
    held_out: Int64[Tensor, " held"]
    characters: str


def load_text(text: str | None = None) -> Text:
    r"""Return tiny Shakespeare in characters, the last tenth held out, or another text.

    Parameters
    ----------
    text : str, optional

    Returns
    -------
    Text

    Raises
    ------
    TypeError
        If ``text`` is none.
    companion.data.Unavailable
        If tiny Shakespeare is neither here nor can be downloaded.

    Examples
    --------
    >>> load_text("abcabcabca").held_out
    tensor([0])
    """
    text = data.load("tinyshakespeare")["train"] if text is None else _require_text(text)
    characters = "".join(sorted(set(text)))
    number = {character: i for i, character in enumerate(characters)}
    ids = torch.tensor([number[character] for character in text])
    cut = int(SHARE * len(ids))
    return Text(ids[:cut], ids[cut:], characters)


@torch.no_grad()
def held_out_loss(model: nn.Module, ids: Int64[Tensor, " held"], context: int = CONTEXT) -> float:
    r"""Return the mean loss in nats a character over windows that do not overlap.

    A window begins where the one before it ends, so each character but the first is predicted
    once (at the end, less than a window is left out), from those of its window alone.

    Parameters
    ----------
    model : nn.Module
        Maps ids (B, T) to logits (B, T, V).
    ids : Tensor of int64, shape (n,)
    context : int
        Length of a window.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``ids`` is no longer than a window.

    Examples
    --------
    >>> uniform = torch.nn.Embedding.from_pretrained(torch.zeros(4, 4))
    >>> round(held_out_loss(uniform, torch.arange(4).repeat(9), context=8), 4)
    1.3863
    """
    n = len(Windows(ids, context))
    inputs, targets = (ids[i : i + n * context].view(n, context) for i in (0, 1))
    total = 0.0
    for x, y in zip(inputs.split(128), targets.split(128), strict=True):
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
    return total / targets.numel()
