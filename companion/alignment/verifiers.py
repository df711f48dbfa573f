r"""Verifiers: rewards that need no judge, because an answer can be checked.

This file adds: ``verify_task``, which checks the answers to Tiny World's instructions; and two
verifiers that are wrong with known probabilities, ``FaultyVerifier``, which stays with what it has
said, and ``NoisyVerifier``, which draws anew each time.
"""

import random
from collections.abc import Callable, Mapping
from hashlib import blake2b

from companion._arguments import _require_int, _require_text
from companion.alignment._checks import _require_from
from companion.tinyworld import grammar

__all__ = ["Verifier", "verify_task", "FaultyVerifier", "NoisyVerifier"]

#: From a task and an answer to a reward.
Verifier = Callable[[Mapping[str, str], str], float]
PARTS = ("instruction", "input", "output")


def verify_task(task: Mapping[str, str], answer: str) -> float:
    r"""Return 1 for a right answer to an instruction of Tiny World, and 0 for a wrong one.

    Where there is one right answer, it must be given letter by letter; blanks and line breaks
    around it do not count. A story to be told is right if it is one, and has the hero and the place
    that were asked for.

    Parameters
    ----------
    task : dict
        With ``instruction``, ``input`` and ``output``, as `companion.finetuning.world_tasks` and
        `TinyWorld.instruction` make it.
    answer : str

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the task lacks a part.
    TypeError
        If the task is no dict, or a part or the answer is no text.

    Examples
    --------
    >>> task = {"instruction": "How many sentences has the story?", "input": "…", "output": "4"}
    >>> verify_task(task, " 4"), verify_task(task, "four")
    (1.0, 0.0)
    """
    task, given = _require_task(task), _require_text(answer, "answer").strip()
    if task["input"]:
        return float(given == task["output"].strip())
    return float(_is_asked_for(given, task["output"].strip()))


def _is_asked_for(given: str, example: str) -> bool:
    """Tell whether a story has hero, place and language of one that would be right."""
    wanted, told = grammar.read(example), grammar.read(given)
    if wanted is None or told is None:
        return given == example
    language = ["。" in text for text in (given, example)]
    return (told.hero, told.place) == (wanted.hero, wanted.place) and language[0] == language[1]


class FaultyVerifier:
    r"""A verifier that lets some wrong answers pass, and refuses some right ones.

    Which ones depends on nothing but the seed, the task and the answer: the same answer always
    gets the same verdict. So a policy can find what passes, and write that.

    Parameters
    ----------
    false_positive, false_negative : float
        The shares of wrong answers that pass, and of right ones that are refused, from 0 to 1.
    seed : int
        Which ones.
    verify : function
        What is right: from a task and an answer to 1 or 0.

    Raises
    ------
    ValueError
        If a share or the seed is out of range.
    TypeError
        If ``verify`` is no function, or another argument of another kind.

    Examples
    --------
    >>> task = {"instruction": "How many sentences has the story?", "input": "…", "output": "4"}
    >>> verify = FaultyVerifier(false_positive=0.5, false_negative=0.0)
    >>> [verify(task, str(i)) for i in range(8)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    """

    def __init__(
        self,
        false_positive: float = 0.0,
        false_negative: float = 0.0,
        seed: int = 0,
        verify: Verifier = verify_task,
    ) -> None:
        self.false_positive = _require_from("false_positive", false_positive, 0.0, 1.0)
        self.false_negative = _require_from("false_negative", false_negative, 0.0, 1.0)
        self.seed = _require_int("seed", seed, least=0)
        if not callable(verify):
            raise TypeError(f"verify must be a function of a task and an answer, got {verify!r}")
        self.verify = verify

    def __repr__(self) -> str:
        rates = f"false_positive={self.false_positive}, false_negative={self.false_negative}"
        return f"{type(self).__name__}({rates}, seed={self.seed})"

    def __call__(self, task: Mapping[str, str], answer: str) -> float:
        r"""Return the verdict.

        Parameters
        ----------
        task : dict
        answer : str

        Returns
        -------
        float
            1 or 0.

        Raises
        ------
        ValueError, TypeError
            As for the verifier behind it.
        """
        right = self.verify(task, answer) > 0
        wrong = self._draw(task, answer) < (self.false_negative if right else self.false_positive)
        return float(right != wrong)

    def _draw(self, task: Mapping[str, str], answer: str) -> float:
        """Return a number from 0 to 1 that only these texts settle."""
        texts = [str(self.seed), *(task[part] for part in PARTS[:2]), answer.strip()]
        digest = blake2b("\0".join(texts).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


class NoisyVerifier(FaultyVerifier):
    r"""A verifier whose mistakes are drawn anew each time.

    The expected verdict is :math:`p_\text{fp} + (1 - p_\text{fp} - p_\text{fn})\, r`, which rises
    with the true reward r while the two shares are below 1 together. So the best answers stay the
    best; they are ahead by less, and a single verdict says less.

    Parameters
    ----------
    false_positive, false_negative, seed, verify
        As for `FaultyVerifier`.

    Raises
    ------
    ValueError, TypeError
        As for `FaultyVerifier`.

    Examples
    --------
    >>> task = {"instruction": "How many sentences has the story?", "input": "…", "output": "4"}
    >>> verify = NoisyVerifier(false_positive=0.5)
    >>> [verify(task, "3") for _ in range(8)]
    [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        false_positive: float = 0.0,
        false_negative: float = 0.0,
        seed: int = 0,
        verify: Verifier = verify_task,
    ) -> None:
        super().__init__(false_positive, false_negative, seed, verify)
        self.random = random.Random(self.seed)

    def _draw(self, task: Mapping[str, str], answer: str) -> float:
        return self.random.random()


def _require_task(task: object) -> Mapping[str, str]:
    if not isinstance(task, Mapping):
        raise TypeError(f"task must be a dict, got {type(task).__name__}")
    for part in PARTS:
        if part not in task:
            raise ValueError(f"task must have {PARTS}, got {[*task]}")
        _require_text(task[part], f"task[{part!r}]")
    return task
