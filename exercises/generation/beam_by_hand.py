"""Search with two beams by hand, and compare texts of different lengths."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close, text

QUESTION = r"""
A model knows three tokens, `a`, `b` and `.`, and the full stop ends a text. What comes next depends on the last token alone:

- A text begins with `a` with probability {{s_a}}, with `b` with {{s_b}}, and with `.` with {{s_e}}.
- After `a` comes `a` with {{a_a}}, `b` with {{a_b}}, and `.` with {{a_e}}.
- After `b` comes `a` with {{b_a}}, `b` with {{b_b}}, and `.` with {{b_e}}.

Search for the most probable text of at most three tokens with two beams. In each step, look at all texts that continue the two beams by one token, and sort them. A text among the best two that ends is finished. The best two of those that do not end go on. After the third step the best two are finished in any case.

Which two beams go on after the second step, the better one first? What does greedy decoding write? Which finished text wins by the sum of its log-probabilities, and which one by their mean (the sum divided by the number of tokens, the full stop included)? How large is this mean? Write texts like `"ab."`, and three digits after the point.
"""
STARTER = """
running_texts = [..., ...]
greedy_text = ...
winner_by_sum = ...
winner_by_mean = ...
winner_mean = ...
"""
HINT = "Work with products of probabilities: the order is the same as that of the sums of logarithms. In the second step there are up to six texts to compare. Logarithms are only needed where lengths differ."
EXPLANATION = r"""
After the first step the beams are {{first}}. After the second step {{running_1}} has the probability {{p_1}} and {{running_2}} has {{p_2}}. In the end these texts are finished: {{finished}}. By the sum `{{sum}}` wins. By the mean `{{mean}}` wins, with ${{mean_value}}$ for each token. Each token makes a text less probable, so the sum favours short texts; the mean makes up for it. Greedy decoding writes `{{greedy}}`, because it looks at one step at a time and keeps nothing else.
"""
TOKENS = "ab."
Table = dict[str, tuple[int, int, int]]  # percent of each token, after "", "a" and "b"


def exercise(
    begin: tuple[int, int, int] = (60, 40, 0),
    after_a: tuple[int, int, int] = (5, 45, 50),
    after_b: tuple[int, int, int] = (15, 5, 80),
) -> Exercise:
    """Return the exercise for these probabilities, in percent."""
    table = {"": begin, "a": after_a, "b": after_b}
    beams, finished = search(table)
    right = answers(table)
    return Exercise(
        id="generation-beam-by-hand",
        title="Two beams, three steps",
        kind="by hand",
        difficulty=1,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values={
            **{
                f"{name or 's'}_{'e' if token == '.' else token}": f"{share / 100:g}"
                for name, row in table.items()
                for token, share in zip(TOKENS, row, strict=True)
            },
            "first": ", ".join(f"`{beam}`" for beam in beams[0]),
            "running_1": f"`{beams[1][0]}`",
            "running_2": f"`{beams[1][1]}`",
            "p_1": f"{probability(table, beams[1][0]):g}",
            "p_2": f"{probability(table, beams[1][1]):g}",
            "finished": ", ".join(f"`{t}` ({probability(table, t):g})" for t in finished),
            "sum": right["winner_by_sum"],
            "mean": right["winner_by_mean"],
            "mean_value": f"{right['winner_mean']:.3f}",
            "greedy": right["greedy_text"],
        },
        visible=(Check(texts_are_texts),),
        hidden=(
            Check(beams_are_right, {"right": right}),
            Check(winners_are_right, {"right": right}),
        ),
        wrong_answers=_wrong_answers(table, right),
        public_solution=True,
    )


def probability(table: Table, written: str) -> float:
    """Return how probable a text is."""
    before = ["", *written[:-1]]
    steps = [table[a][TOKENS.index(b)] / 100 for a, b in zip(before, written, strict=True)]
    return round(math.prod(steps), 9)


def search(table: Table, n_beams: int = 2) -> tuple[list[list[str]], list[str]]:
    """Return the beams that go on after each step, and the texts that are finished."""
    beams, steps, finished = [(1, "")], [], []
    for step in range(3):
        found = [
            (product * share, beam + token)
            for product, beam in beams
            for token, share in zip(TOKENS, table[beam[-1:]], strict=True)
        ]
        found.sort(reverse=True)
        finished += [t for _, t in found[:n_beams] if t[-1] == "." or step == 2]
        beams = [(product, t) for product, t in found if t[-1] != "."][:n_beams]
        steps.append([t for _, t in beams])
    return steps, finished


def mean(table: Table, written: str) -> float:
    """Return the mean log-probability of a text's tokens."""
    return math.log(probability(table, written)) / len(written)


def answers(table: Table) -> dict[str, Any]:
    """Return what is asked for."""
    beams, finished = search(table)
    by_mean = max(finished, key=lambda t: mean(table, t))
    return {
        "running_texts": beams[1],
        "greedy_text": search(table, 1)[1][0],
        "winner_by_sum": max(finished, key=lambda t: probability(table, t)),
        "winner_by_mean": by_mean,
        "winner_mean": mean(table, by_mean),
    }


def _answer(values: dict[str, Any]) -> str:
    shown = {n: round(v, 6) if isinstance(v, float) else v for n, v in values.items()}
    return "\n".join(f"{name} = {value!r}" for name, value in shown.items())


def _wrong_answers(table: Table, right: dict[str, Any]) -> dict[str, str]:
    by_sum, by_mean = right["winner_by_sum"], right["winner_by_mean"]
    return {
        "the beams in the other order": _answer(
            right | {"running_texts": right["running_texts"][::-1]}
        ),
        "lengths are not made up for": _answer(
            right | {"winner_by_mean": by_sum, "winner_mean": mean(table, by_sum)}
        ),
        "the sum in place of the mean": _answer(
            right | {"winner_mean": math.log(probability(table, by_mean))}
        ),
        "the mean of a probability": _answer(
            right | {"winner_mean": probability(table, by_mean) / len(by_mean)}
        ),
        "greedy decoding wins": _answer(right | {"winner_by_sum": right["greedy_text"]}),
        "the search taken for greedy": _answer(right | {"greedy_text": by_sum}),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw one of the clear tables, half of them with `a` and `b` exchanged."""
    begin, after_a, after_b = rng.choice(clear_tables())
    if rng.random() < 0.5:
        begin, after_a, after_b = ((b, a, end) for a, b, end in (begin, after_b, after_a))
    return {"begin": begin, "after_a": after_a, "after_b": after_b}


@cache
def clear_tables() -> list[tuple[tuple[int, int, int], ...]]:
    """List tables in which the sum and the mean disagree and no two texts are alike.

    They are rare, so some are found once and kept.
    """
    rng, found = random.Random(0), []
    while len(found) < 40:
        share = rng.randrange(20, 85, 5)
        rows = [(share, 100 - share, 0)]
        for _ in range(2):
            one, two = sorted(rng.sample(range(5, 100, 5), 2))
            rows.append((one, two - one, 100 - two))
        if _is_clear(dict(zip(("", "a", "b"), rows, strict=True))):
            found.append(tuple(rows))
    return found


def _is_clear(table: Table) -> bool:
    beams, finished = search(table)
    if search(table, 1)[1][0] == finished[0]:  # most tables fail here, so it is asked first
        return False
    right = answers(table)
    if len({right[n] for n in ("winner_by_sum", "winner_by_mean", "greedy_text")}) < 3:
        return False
    found = [b + t for step in ([""], *beams[:2]) for b in step for t in TOKENS]
    by_length = [[probability(table, t) for t in found if len(t) == n] for n in (1, 2, 3)]
    means = sorted((mean(table, t) for t in finished), reverse=True)
    sums = [probability(table, t) for t in finished]
    no_ties = all(len(set(p)) == len(p) for p in (*by_length, sums))
    return no_ties and means[0] - means[1] > 0.01


# -- checks --------------------------------------------------------------------------------------


def texts_are_texts(running_texts, greedy_text, winner_by_sum, winner_by_mean):
    """Check that all texts are made of the three tokens."""
    assert len(running_texts) == 2, f"Two beams go on, not {len(running_texts)}"
    for found in map(text, running_texts):
        assert len(found) == 2 == sum(map(found.count, "ab")), (
            "A beam that goes on after the second step has two tokens and no full stop, got "
            f"{found!r}"
        )
    for found in map(text, (greedy_text, winner_by_sum, winner_by_mean)):
        body, last = found[:-1], found[-1:]
        made_of_tokens = last in ("a", "b", ".") and set(body) <= set("ab")
        ended = len(found) == 3 or (last == "." and len(found) < 3)
        assert made_of_tokens * ended, (
            f"A finished text has three tokens or ends with a full stop, got {found!r}"
        )


def beams_are_right(running_texts, greedy_text, *, right):
    """Check the two beams after the second step, and the greedy text."""
    found = list(map(text, running_texts))
    assert sorted(found) == sorted(right["running_texts"]), (
        "running_texts are not the best two: compare all texts that continue either of the beams, "
        "and leave out those that end"
    )
    assert found == right["running_texts"], "running_texts: put the more probable one first"
    assert text(greedy_text) == right["greedy_text"], (
        "greedy_text is not right: take the most probable token in each step, and stop after a "
        "full stop"
    )


def winners_are_right(winner_by_sum, winner_by_mean, winner_mean, *, right):
    """Check which texts win, and the mean."""
    assert text(winner_by_sum) == right["winner_by_sum"], (
        "winner_by_sum is not right: which of the finished texts has the largest product of "
        "probabilities?"
    )
    assert text(winner_by_mean) == right["winner_by_mean"], (
        "winner_by_mean is not right: divide each sum of logarithms by the number of tokens, the "
        "full stop included"
    )
    assert close(winner_mean, right["winner_mean"], "winner_mean"), (
        "winner_mean is not right: it is the sum of the natural logarithms divided by the number "
        "of tokens"
    )
