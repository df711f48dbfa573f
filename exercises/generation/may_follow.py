"""Find the tokens that may follow, if a text has to keep to a pattern and come to an end."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
A **finite automaton** says which texts are allowed. It begins in state 0 and reads one character after the other. `moves` is a dictionary: `moves[state, character]` is the next state, and a text for which there is none is not allowed. A text may end in the states of the set `final`, and only there. A model writes such a text in tokens, each a string of one or more characters; `tokens` is the list of them.

Write `may_follow(moves, final, tokens, written, room)`. `written` is the text so far, which keeps to the automaton, and ROOM. Return a list of the numbers of all tokens that may come next, in ascending order: those after which the text can still be brought to an end within the room, with these tokens. A token that brings it to an end itself is one of them. A character that no token has cannot be written, so what the automaton allows may still be out of reach.
"""
# What takes the place of ROOM, and of COST in the solution.
ROOMS = {
    "tokens": "`room` is how many more tokens may be written, the next one included",
    "characters": "`room` is how many more characters may be written, those of the next token included",
}
COSTS = {"tokens": "1", "characters": "len(token)"}
STARTER = '''
def may_follow(moves, final, tokens, written, room):
    """{(state, character): state}, a set, a list, a string, a number -> a list of numbers"""
    ...
'''
TWISTS = {
    "end": Twist(
        "Return a second result: whether the text may end where it is.",
        {
            "may_follow": (
                "",
                """
                here = 0
                for character in written:
                    here = moves[here, character]
                result = result, here in final
                """,
            )
        },
        {"-> a list of numbers": "-> a list of numbers, True or False"},
    ),
    "mask": Twist(
        "Return a list of truth values, one for each token, in place of the numbers: `True` for those that may come next.",
        {"may_follow": ("", "result = [i in result for i in range(len(tokens))]")},
        {"a list of numbers": "a list of truth values"},
    ),
    "nested": Twist(
        "Here `moves` is a dictionary of dictionaries: the next state is `moves[state][character]`, and a state from which nothing goes on may be missing.",
        {
            "may_follow": (
                "moves = {(a, c): b for a, row in moves.items() for c, b in row.items()}",
                "",
            )
        },
        {"{(state, character): state}": "{state: {character: state}}"},
    ),
    "numbers": Twist(
        "Here `written` is the list of the numbers of the tokens so far, in place of the text.",
        {"may_follow": ('written = "".join(tokens[i] for i in written)', "")},
        {"a list, a string": "a list, a list of numbers"},
    ),
}
HINT = "Write a function that says whether the text can be brought to an end from some state with some room. It may call itself: a text can be brought to an end if it may end here, or if there is a token after which it can be brought to an end with less room. `functools.cache` remembers what has been asked before."
# In these answers COST stands for the room that a token takes.
SOLUTION = """
def may_follow(moves, final, tokens, written, room):
    def after(state, text):
        for character in text:
            state = moves.get((state, character))
        return state

    @functools.cache
    def can_end(state, room):
        if state is None or room < 0:
            return False
        return state in final or any(
            can_end(after(state, token), room - COST) for token in tokens
        )

    here = after(0, written)
    return [
        i
        for i, token in enumerate(tokens)
        if can_end(after(here, token), room - COST)
    ]
"""
EXPLANATION = """
It is not enough to ask whether the automaton has a move for each character of a token. The text may then be led to a place from which it cannot come to an end: because the room is used up, or because the tokens have no way out. A constraint that looks only one token ahead lets a model write a JSON object that is cut off in the middle. There are as many questions as states times room, and each is answered once, so the search takes little time although there are very many texts.
"""
TRIAL = """
moves = {(0, "["): 1, (1, "7"): 2, (2, "7"): 2, (2, ","): 1, (2, "]"): 3}
tokens = ["[", "7", ",", "7,", "]", "77", "7]", "[["]
for written, room, expected in CASES:
    found = may_follow(moves, {3}, tokens, written, room)
    check(f"{room} more after {written!r}", list(found), expected, 0)
open_end = {(0, "a"): 1, (1, "b"): 2, (0, "c"): 2}
found = may_follow(open_end, {2}, ["a", "c", "ca"], "", 5)
check("no token has a b", list(found), [1], 0)
"""
# On the page: what is written, the room, and what may follow.
CASES = '(("", 9, [0]), ("[", 1, [6]), ("[", 2, [1, 3, 5, 6]), ("[7", 1, [4, 6]), ("[7", 2, [1, 2, 3, 4, 5, 6]))'


def exercise(unit: str = "tokens", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise, in which the room is counted in tokens or in characters."""
    given = {"unit": unit, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str, cost: str = COSTS[unit]) -> str:
        parameters = "moves, final, tokens, written, room"
        return wrapped(code, {"may_follow": parameters}, twisted).replace("COST", cost)

    other = next(cost for name, cost in COSTS.items() if name != unit)
    return Exercise(
        id="generation-may-follow",
        title="What may come next?",
        kind="code",
        difficulty=3,
        minutes=30,
        points=5,
        question=asked(QUESTION.replace("ROOM", ROOMS[unit]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(one_word_is_spelt, given),),
        hidden=(
            Check(there_is_a_way_out, given),
            Check(room_is_enough, given),
            Check(any_automaton_will_do, given),
        ),
        wrong_answers={
            **{mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
            "the room counted in the other way": filled(SOLUTION, other),
        },
        trial="" if twists or unit != "tokens" else TRIAL.replace("CASES", CASES),
    )


WRONG_ANSWERS = {
    "one token ahead": SOLUTION.replace(
        "if can_end(after(here, token), room - COST)",
        "if after(here, token) is not None and room >= COST",
    ),
    "the room is never used up": SOLUTION.replace(
        "    @functools.cache", "    room = len(moves) + 50\n\n    @functools.cache"
    ),
    "one more than there is room for": SOLUTION.replace("room < 0", "room < -1"),
    "the next token has to be the last": SOLUTION.replace(
        "return state in final or any(\n"
        "            can_end(after(state, token), room - COST) for token in tokens\n"
        "        )",
        "return state in final",
    ),
    "what is written does not count": SOLUTION.replace("after(0, written)", "0"),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw how room is counted, automata, and twists."""
    chosen = drawn(rng, ("characters", *TWISTS))
    return {
        "unit": "characters" if "characters" in chosen else "tokens",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def state_after(moves, written):
    """Return the state after a text, or None if it is not allowed."""
    now = 0
    for letter in written:
        now = moves.get((now, letter))
    return now


def by_trying(moves, final, tokens, written, room, unit):
    """Try all texts that there is room for, and return the tokens with which one begins."""
    found = set()
    for n in range(1, room + 1):
        for numbers in itertools.product(range(len(tokens)), repeat=n):
            more = "".join(tokens[i] for i in numbers)
            fits = unit == "tokens" or len(more) <= room
            if fits and state_after(moves, written + more) in final:
                found.add(numbers[0])
    return sorted(found)


def asked_for(may_follow, moves, final, tokens, numbers, room, twists):
    """Return the numbers of the tokens that may follow some others."""
    written = "".join(tokens[i] for i in numbers)
    given = dict(moves)
    if "nested" in twists:
        given = {}
        for (state, character), following in moves.items():
            given.setdefault(state, {})[character] = following
    so_far = list(numbers) if "numbers" in twists else written
    result = may_follow(given, set(final), list(tokens), so_far, room)
    if "end" in twists:
        result, ends = parts(result, 2)
        assert bool(ends) == (state_after(moves, written) in final), (
            f"The second result is not right: may the text end after {written!r}?"
        )
    found = array(list(result)).ravel().tolist()
    if "mask" in twists:
        assert len(found) == len(tokens), (
            f"{len(tokens)} tokens should give as many truth values, got {len(found)}"
        )
        found = [i for i, value in enumerate(found) if value]
    return [int(i) for i in found]


def one_word_is_spelt(may_follow, *, unit, seed, twists):
    """Check an automaton that allows one word only."""
    moves = {(0, "s"): 1, (1, "e"): 2, (2, "e"): 3}
    tokens = ["s", "e", "se", "see", "es"]
    found = asked_for(may_follow, moves, {3}, tokens, [], 9, twists)
    assert found == [0, 2, 3], (
        f"If only the word see is allowed, of the tokens {tokens} the text may begin with "
        f"other ones than those of the numbers {found}"
    )
    found = asked_for(may_follow, moves, {3}, tokens, [2], 9, twists)
    assert found == [1], (
        f"After se only one more letter can come, but the tokens of the numbers {found} are allowed"
    )


def there_is_a_way_out(may_follow, *, unit, seed, twists):
    """Check automata that can be entered, but not left with these tokens."""
    moves = {(0, "a"): 1, (1, "a"): 1, (1, "b"): 2, (0, "c"): 2, (0, "d"): 3, (3, "d"): 3}
    found = asked_for(may_follow, moves, {2}, ["a", "c", "d", "dd", "ca"], [], 5, twists)
    assert found == [1], (
        "A token was allowed after which the text can never be brought to an end with these "
        "tokens, or one was refused after which it is at an end"
    )
    found = asked_for(may_follow, moves, {2}, ["a", "c", "d", "ab"], [0, 0], 5, twists)
    assert found == [0, 3], (
        "Between a and b any number of a may come, but other tokens were allowed, or too few"
    )


def room_is_enough(may_follow, *, unit, seed, twists):
    """Check a list of digits, which must be closed while there is room."""
    moves = {(0, "["): 1, (1, "7"): 2, (2, "7"): 2, (2, ","): 1, (2, "]"): 3}
    tokens = ["[", "7", ",7", "]", "7]", "77"]
    for numbers in ([], [0], [0, 1], [0, 5], [0, 4]):
        for room in range(1, 4):
            found = asked_for(may_follow, moves, {3}, tokens, numbers, room, twists)
            right = by_trying(moves, {3}, tokens, "".join(tokens[i] for i in numbers), room, unit)
            extra, lacking = set(found) - set(right), set(right) - set(found)
            assert not extra, (
                f"With room = {room}, a token was allowed after which the list cannot be closed in "
                "time"
            )
            assert not lacking, (
                f"With room = {room}, a token was refused after which the list can still be closed"
            )


def any_automaton_will_do(may_follow, *, unit, seed, twists):
    """Compare automata drawn at random with all texts that there is room for."""
    rng = random.Random(seed)
    for _ in range(6):
        states = rng.randrange(3, 6)
        moves = {(a, c): rng.randrange(states) for a in range(states) for c in "xyz"}
        for key in rng.sample(sorted(moves), len(moves) // 2):
            del moves[key]
        final = {rng.randrange(1, states)}
        tokens = ["x", "y", "xy", "zx", "yz"]
        numbers = [i for i in range(5) if state_after(moves, tokens[i]) is not None][:1]
        for room in (1, 2, 4):
            found = asked_for(may_follow, moves, final, tokens, numbers, room, twists)
            written = "".join(tokens[i] for i in numbers)
            right = by_trying(moves, final, tokens, written, room, unit)
            assert found == right, (
                f"With moves = {moves}, final = {final}, tokens = {tokens}, written = {written!r} "
                f"and room = {room}, other tokens may follow than those of the numbers {found}"
            )
