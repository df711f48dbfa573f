r"""Supervised fine-tuning: which mean of the losses is minimised, and whether answers are right.

This file adds: ``ExampleLoss``, in which every example counts the same, beside
`companion.training.TokenLoss`, in which every token of an answer does; ``write_answers``, what a
model answers; and ``share_exact``, how many answers are right.

Shape letters: ``B`` batch, ``T`` tokens, ``V`` vocabulary.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from companion._arguments import _require_int, _require_ordered, _require_ordered_texts
from companion.finetuning.templates import Template
from companion.generation import generate
from companion.losses import IGNORE, cross_entropy

__all__ = ["ExampleLoss", "write_answers", "share_exact"]


class ExampleLoss:
    r"""The mean over examples of the mean over the answer tokens of each: ``{"loss": sum}``.

    .. math:: L = \frac{1}{N} \sum_{n=1}^{N} \frac{1}{T_n} \sum_{t=1}^{T_n} \ell_{n,t}

    In the mean over all tokens, :math:`\sum_n \sum_t \ell_{n,t} / \sum_n T_n`, which
    `companion.training.TokenLoss` gives, a long answer counts for more than a short one.

    A batch is ``(ids, mask, positions, targets)``, as `pad_examples` and `pack_examples` make it.
    An example begins where a position is 0. One without a target does not count.

    Examples
    --------
    >>> positions = torch.tensor([[0, 1, 2, 0, 1]])
    >>> targets = torch.tensor([[-100, 1, 1, -100, 2]])
    >>> batch = torch.zeros(1, 5).long(), torch.ones(1, 5, 5).bool(), positions, targets
    >>> ExampleLoss().count(batch)
    {'loss': 2}
    >>> ExampleLoss()(lambda ids, mask, positions: torch.zeros(1, 5, 4), batch)  # 2 ln 4
    {'loss': tensor(2.7726)}
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def count(self, batch: tuple[Tensor, ...]) -> dict[str, int]:
        r"""Return how many examples have a target.

        Parameters
        ----------
        batch : tuple of Tensor

        Returns
        -------
        dict from str to int

        Raises
        ------
        TypeError
            If the batch has other parts.
        """
        _, _, positions, targets = _require_batch(batch)
        return {"loss": int((_per_example(_numbers(positions), targets) > 0).sum())}

    def __call__(
        self, model: Callable[..., Tensor], batch: tuple[Tensor, ...]
    ) -> dict[str, Tensor]:
        r"""Return the sum over the examples.

        Parameters
        ----------
        model : Module
            ``model(ids, mask, positions)`` gives logits (B, T, V).
        batch : tuple of Tensor

        Returns
        -------
        dict from str to Tensor
            In nats.
        """
        ids, mask, positions, targets = _require_batch(batch)
        losses = cross_entropy(model(ids, mask, positions), targets, reduction="none")  # (B, T)
        numbers = _numbers(positions)
        counts = _per_example(numbers, targets)
        share = counts.gather(0, numbers).clamp(min=1)  # (B·T,)
        return {"loss": (losses.flatten() / share).sum()}


def _numbers(positions: Tensor) -> Tensor:
    """Return to which example, of all rows, each token belongs, (B·T,)."""
    begins = positions == 0
    begins[:, 0] = True
    return begins.flatten().cumsum(0) - 1


def _per_example(numbers: Tensor, targets: Tensor) -> Tensor:
    """Return how many targets each example has."""
    counted = (targets != IGNORE).flatten().long()
    return torch.zeros_like(numbers).index_add(0, numbers, counted)


def _require_batch(batch: Any) -> tuple[Tensor, ...]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 4:
        raise TypeError(
            "batch must be (ids, mask, positions, targets), as pad_examples and pack_examples "
            f"make it, got {type(batch).__name__}"
        )
    return tuple(batch)


def write_answers(
    model: Any,
    template: Template,
    conversations: Iterable[Iterable[Mapping[str, str]]],
    *,
    max_new_tokens: int,
    batch_size: int = 64,
) -> list[str]:
    r"""Let a model answer, taking the likeliest token each time.

    Parameters
    ----------
    model : GPT, Llama or Mixtral
    template : Template
        The one that the model was trained with.
    conversations : iterable of lists of messages
        Each ends before the answer.
    max_new_tokens : int
        Tokens of an answer at most, its end included.
    batch_size : int
        Conversations that are answered side by side.

    Returns
    -------
    list of str
        Without the token that ends an answer.

    Raises
    ------
    ValueError, TypeError
        As for `Template.prompt` and `companion.generation.generate`.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> from companion.finetuning.templates import Plain
    >>> from companion.tokenizers import Words
    >>> words = Words(["Who", " ran", "?", "Ben"], ["<|answer|>", "<|end|>"])
    >>> gpt = GPT(GPTConfig(vocab_size=6, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> asked = [[{"role": "user", "content": "Who ran?"}]]
    >>> len(write_answers(gpt, Plain(words), asked, max_new_tokens=2))
    1
    """
    size = _require_int("batch_size", batch_size, least=1)
    prompts = [template.prompt(each) for each in _require_ordered(conversations, "conversations")]
    texts: list[str] = []
    for i in range(0, len(prompts), size):
        written = generate(
            model,
            prompts[i : i + size],
            max_new_tokens=max_new_tokens,
            stop=template.end_id,
            tokenizer=template.tokenizer,
        )
        texts += written.texts or []
    return texts


def share_exact(answers: Iterable[str], references: Iterable[str]) -> float:
    r"""Return the share of answers that are the reference, letter by letter.

    Blanks and line breaks around them do not count.

    Parameters
    ----------
    answers, references : list of str
        One reference for each answer, at least one.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If their numbers differ, or there are none.
    TypeError
        If one of them is no text.

    Examples
    --------
    >>> share_exact(["5", " forest", "lake"], ["5", "forest", "sea"])
    0.6666666666666666
    """
    given = _require_ordered_texts(answers, "answers")
    wanted = _require_ordered_texts(references, "references")
    if len(given) != len(wanted) or not given:
        raise ValueError(
            f"answers must be as many as references, at least 1; got {len(given)} and {len(wanted)}"
        )
    return sum(a.strip() == b.strip() for a, b in zip(given, wanted, strict=True)) / len(given)
