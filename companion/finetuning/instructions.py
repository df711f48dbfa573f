r"""Examples of instruction tuning: inputs, and targets that are the answer alone.

This file adds: ``Example``, one conversation ready to learn from; ``make_examples``, which makes
them with a template and says what happens to those that are too long; ``pad_examples``, which makes
a batch of them; ``world_tasks``, instructions of Tiny World whose answers can be checked.

Shape letters: ``B`` batch, ``T`` tokens.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from companion._arguments import _require_flag, _require_int, _require_ordered
from companion.finetuning.templates import Rendered, Template
from companion.losses import IGNORE
from companion.tinyworld import TinyWorld, tasks

__all__ = ["Example", "make_example", "make_examples", "pad_examples", "world_tasks"]

SIDES = ("left", "right")
TOO_LONG = ("refuse", "drop", "cut_start", "cut_end")
#: What can be asked of a story of Tiny World, by name; the answer of a "tell" is free.
WORLD_TASKS = {
    "ask": tasks._ask,
    "count": tasks._count,
    "translate": tasks._translate,
    "tell": tasks._tell,
}


class Example(NamedTuple):
    """Inputs of one conversation, and what is to follow each of them, or −100."""

    inputs: list[int]
    targets: list[int]


def make_example(rendered: Rendered, *, answer_only: bool = True) -> Example:
    r"""Return inputs and targets: the ids, and the ids moved by one.

    Parameters
    ----------
    rendered : Rendered
        As a template's ``render`` gives it.
    answer_only : bool
        Whether targets that are no part of an answer are −100, so that they do not count.

    Returns
    -------
    Example
        Of one token less than the conversation has.

    Raises
    ------
    ValueError
        If there are fewer than two ids, or the answer is not told for each of them.
    TypeError
        If ``answer_only`` is no truth value.

    Examples
    --------
    >>> make_example(Rendered([5, 6, 7, 8], [False, False, True, True]))
    Example(inputs=[5, 6, 7], targets=[-100, 7, 8])
    """
    ids, answer = rendered
    _require_flag("answer_only", answer_only)
    if len(ids) < 2 or len(ids) != len(answer):
        raise ValueError(
            "rendered must have at least 2 ids, and say of each whether it is an answer; "
            f"got {len(ids)} and {len(answer)}"
        )
    targets = [i if own or not answer_only else IGNORE for i, own in zip(ids, answer, strict=True)]
    return Example(list(ids[:-1]), targets[1:])


def make_examples(
    tasks: Iterable[Any],
    template: Template,
    *,
    max_length: int | None = None,
    too_long: str = "refuse",
    answer_only: bool = True,
) -> list[Example]:
    r"""Make examples of tasks or conversations.

    Parameters
    ----------
    tasks : iterable
        Each is a list of messages, or something with ``instruction``, ``input`` and ``output``.
    template : Template
    max_length : int, optional
        Inputs that an example may have.
    too_long : {"refuse", "drop", "cut_start", "cut_end"}
        What happens to a longer one. ``"drop"`` leaves it out. ``"cut_start"`` keeps its last
        tokens, so the answer and its end stay, but the instruction may be lost. ``"cut_end"``
        keeps its first tokens: the model then sees answers that do not end. An example of which no
        target is left teaches nothing, and is left out.
    answer_only : bool
        As for `make_example`.

    Returns
    -------
    list of Example
        In order.

    Raises
    ------
    ValueError
        If an example is too long and ``too_long`` is ``"refuse"``, nothing is left, or an argument
        is out of range.
    TypeError
        If ``template`` is none, or an argument is of another kind.

    Examples
    --------
    >>> from companion.finetuning.templates import Plain
    >>> from companion.tokenizers import Words
    >>> words = Words(["Who", " ran", "?", "Ben"], ["<|answer|>", "<|end|>"])
    >>> make_examples([{"instruction": "Who ran?", "input": "", "output": "Ben"}], Plain(words))
    [Example(inputs=[0, 1, 2, 4, 3], targets=[-100, -100, -100, 3, 5])]
    """
    _require_options(template, max_length, too_long)
    found = []
    for task in _require_ordered(tasks, "tasks"):
        messages = task if isinstance(task, list) else template.messages(task)
        example = make_example(template.render(messages), answer_only=answer_only)
        found.append(_cut(example, max_length, too_long))
    kept = [example for example in found if any(i != IGNORE for i in example.targets)]
    if not kept:
        raise ValueError(f"tasks must give an example with a target, got none of {len(found)}")
    return kept


def _cut(example: Example, max_length: int | None, too_long: str) -> Example:
    """Return an example of the length that is allowed; one that is to be dropped, empty."""
    n = len(example.inputs)
    if max_length is None or n <= max_length:
        return example
    if too_long == "refuse":
        raise ValueError(
            f"tasks must give examples of at most max_length {max_length} tokens, got one of {n}; "
            'too_long="drop" leaves it out, "cut_start" and "cut_end" keep a part'
        )
    start, end = {"drop": (0, 0), "cut_start": (n - max_length, n), "cut_end": (0, max_length)}[
        too_long
    ]
    return Example(example.inputs[start:end], example.targets[start:end])


def _require_options(template: Any, max_length: int | None, too_long: str) -> None:
    if not isinstance(template, Template):
        raise TypeError(f"template must be a Template, got {type(template).__name__}")
    if max_length is not None:
        _require_int("max_length", max_length, least=1)
    if too_long not in TOO_LONG:
        raise ValueError(f"too_long must be one of {TOO_LONG}, got {too_long!r}")


def pad_examples(
    examples: Sequence[Example], pad_id: int, side: str = "right"
) -> tuple[
    Int64[Tensor, "batch length"],
    Bool[Tensor, "batch 1 length"],
    Int64[Tensor, "batch length"],
    Int64[Tensor, "batch length"],
]:
    r"""Make a batch of examples, one in a row.

    The order is that in which `companion.models.GPT` and `companion.models.Llama` take them, the
    targets last, as `companion.training.TokenLoss` does.

    Parameters
    ----------
    examples : list of Example
    pad_id : int
        What shorter rows are filled up with. Any token will do, even one that means something:
        nobody sees it, and its target is −100.
    side : {"right", "left"}
        Where the filling stands. On the right, a token's place in its row is its position. A
        batch of prompts to be continued is filled on the left, so that all end at one place.

    Returns
    -------
    ids : Tensor of int64, shape (B, T)
    mask : Tensor of bool, shape (B, 1, T)
        False for padding.
    positions : Tensor of int64, shape (B, T)
        From 0 at the first token of each example; 0 for padding.
    targets : Tensor of int64, shape (B, T)

    Raises
    ------
    ValueError
        If there is no example, one is empty or has another number of targets, or ``side`` is
        neither of the two.
    TypeError
        If ``pad_id`` is no whole number.

    Examples
    --------
    >>> rows = [Example([5, 6, 7], [-100, 7, 8]), Example([9], [3])]
    >>> ids, mask, positions, targets = pad_examples(rows, pad_id=0, side="left")
    >>> ids, positions
    (tensor([[5, 6, 7],
            [0, 0, 9]]), tensor([[0, 1, 2],
            [0, 0, 0]]))
    """
    rows = _require_examples(examples)
    pad_id = _require_int("pad_id", pad_id, least=0)
    if side not in SIDES:
        raise ValueError(f"side must be one of {SIDES}, got {side!r}")
    shape = (len(rows), max(len(inputs) for inputs, _ in rows))
    ids, targets = torch.full(shape, pad_id), torch.full(shape, IGNORE)
    real, positions = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.int64)
    for i, (inputs, wanted) in enumerate(rows):
        n = len(inputs)
        place = slice(0, n) if side == "right" else slice(shape[1] - n, shape[1])
        ids[i, place], targets[i, place] = torch.tensor(inputs), torch.tensor(wanted)
        real[i, place], positions[i, place] = True, torch.arange(n)
    return ids, real[:, None], positions, targets


def _require_examples(examples: Any) -> list[Example]:
    rows = list(_require_ordered(examples, "examples"))
    if not rows:
        raise ValueError("examples must hold at least one example, got none")
    for inputs, targets in rows:
        if not inputs or len(inputs) != len(targets):
            raise ValueError(
                "each of examples must have at least one input and as many targets, "
                f"got {len(inputs)} and {len(targets)}"
            )
    return rows


# -- Tiny World ----------------------------------------------------------------------------------


def world_tasks(
    n_train: int,
    n_test: int,
    *,
    kinds: Sequence[str] = ("ask", "count"),
    seed: int = 0,
    language: str = "en",
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    r"""Draw instructions of Tiny World for training and for testing, of which no story is in both.

    Parameters
    ----------
    n_train, n_test : int
        At least 1 each.
    kinds : sequence of {"ask", "count", "translate", "tell"}
        What may be asked of a story, each as often as the others: something that stands in it, how
        many sentences it has, the story in the other language. These have one right answer;
        ``"tell"``, to write a story about somebody, has many.
    seed : int
    language : {"en", "zh"}
        Both languages draw the same stories and questions for a seed.

    Returns
    -------
    train, test : list of dict
        With ``instruction``, ``input`` and ``output``. No story occurs twice in any of them.

    Raises
    ------
    ValueError
        If a number is too small, or a kind or the language is unknown.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> train, test = world_tasks(2, 1, kinds=["count"])
    >>> train[0]["instruction"], train[0]["output"]
    ('How many sentences has the story?', '4')
    """
    wanted = [_require_int("n_train", n_train, 1), _require_int("n_test", n_test, 1)]
    names = list(_require_ordered(kinds, "kinds"))
    if not names or (unknown := [name for name in names if name not in WORLD_TASKS]):
        got = unknown[0] if names else names
        raise ValueError(f"kinds must be among {[*WORLD_TASKS]}, got {got!r}")
    world, rng = TinyWorld(seed, language), random.Random(seed)
    found: dict[Any, dict[str, str]] = {}
    while len(found) < sum(wanted):
        story = world.draw()
        if story not in found:
            found[story] = WORLD_TASKS[rng.choice(names)](story, language, rng)
    rows = list(found.values())
    return rows[: wanted[0]], rows[wanted[0] :]
