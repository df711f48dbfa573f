"""A conversation as tokens and targets: the answers count, and their ends."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `answer_targets(turns, end_id)`, which makes an example of instruction tuning from a conversation. `turns` is a list of pairs, in order: who speaks (`"system"`, `"user"` or `"assistant"`) and the token ids of what is said. Each turn is followed by the token `end_id`. Return two lists of the same length: the ids of the whole conversation, and the targets. A target is the id of its *own* token, since the loss moves the targets by one place itself, as models of Hugging Face do. Only tokens that the assistant has to write count: what it says and the end of its turns, in *every* answer of the conversation. All other targets are $-100$.OPENED
"""
# What takes the place of OPENED, and of OPENING in the solution.
OPENED = {
    False: "",
    True: """

Before each turn stands one token more, which says who speaks: 1 for `"system"`, 2 for `"user"`, 3 for `"assistant"`. The program that asks the model writes it, not the model.""",
}
OPENING = {
    False: "",
    True: """\
        ids.append({"system": 1, "user": 2, "assistant": 3}[who])
        targets.append(-100)
""",
}
STARTER = '''
def answer_targets(turns, end_id):
    """pairs of who and ids -> ids, targets"""
    ...
'''
LAST = """
newest = max(i for i, (who, _) in enumerate(turns) if who == "assistant")
before = sum(len(said) + EXTRA for _, said in turns[:newest])
ids, targets = result
result = ids, [-100] * before + targets[before:]
"""
TWISTS = {
    "shifted": Twist(
        "Here the loss moves nothing. Return inputs and targets, both one token shorter than the conversation: the target of an input is what *follows* it.",
        {
            "answer_targets": (
                "",
                "ids, targets = result\nresult = ids[:-1], targets[1:]",
            )
        },
        {"-> ids, targets": "-> inputs, targets"},
    ),
    "truth": Twist(
        "In place of targets, return truth values: whether the target in this place counts.",
        {"answer_targets": ("", "result = result[0], [t != -100 for t in result[1]]")},
        {', targets"""': ', whether each counts"""'},
    ),
    "cut": Twist(
        "Of a conversation with more than 12 tokens only the *last* 12 are kept, before anything else is done with them.",
        {"answer_targets": ("", "result = result[0][-12:], result[1][-12:]")},
    ),
    "last": Twist(
        "Only the *last* answer of the conversation counts, even if something of the user follows it. Answers before it are context.",
        {"answer_targets": ("", LAST)},
    ),
}
HINT = "Go through the turns and make both lists longer with each of them, by as many entries. Which tokens does a model that answers have to write itself, and which does the program around it write?"
SOLUTION = """
def answer_targets(turns, end_id):
    ids, targets = [], []
    for who, said in turns:
OPENING        spoken = [*said, end_id]
        ids += spoken
        targets += spoken if who == "assistant" else [-100] * len(spoken)
    return ids, targets
"""
EXPLANATION = """
The end of an answer is the token that people forget most often. A model that never learns it answers and then goes on, with a question that it puts to itself. This also happens if the padding token is the same as the end token and all targets with this *value* are masked: mask by place, and not by value. The end of what the user says is not the model's to write. Whether targets are moved in the data or in the loss is a convention; moved in both places, the model learns to predict the token after the next one, and its loss falls nevertheless.
"""
TRIAL = """
turns = [("system", [11]), ("user", [12, 13]), ("assistant", [14, 15]),
         ("user", [16]), ("assistant", [17])]
_ = -100
for part, right_ids, right_targets in (
    (turns[1:3], [12, 13, 9, 14, 15, 9], [_, _, _, 14, 15, 9]),
    (turns[:3], [11, 9, 12, 13, 9, 14, 15, 9], [_, _, _, _, _, 14, 15, 9]),
    (turns[2:], [14, 15, 9, 16, 9, 17, 9], [14, 15, 9, _, _, 17, 9]),
):
    ids, targets = answer_targets(part, 9)
    check("ids", list(ids), right_ids, 0)
    check("targets", list(targets), right_targets, 0)
"""


def exercise(opened: bool = False, seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; a turn may begin with a token that says who speaks."""
    given = {"opened": opened, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"answer_targets": "turns, end_id"}, twisted)
        return answer.replace("OPENING", OPENING[opened]).replace("EXTRA", "2" if opened else "1")

    return Exercise(
        id="fine-tuning-answer-targets",
        title="What the assistant has to write",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("OPENED", OPENED[opened]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(both_lists_are_as_long, given),),
        hidden=(Check(small_talks_are_right, given), Check(long_talks_are_right, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(opened, twists).items()},
        public_solution=True,
        trial="" if twists or opened else TRIAL,
    )


def wrong_answers(opened: bool, twists: tuple[str, ...]) -> dict[str, str]:
    """Return mistakes, each where it can be made."""
    assistant = 'who == "assistant"'
    found = {
        "everything counts": SOLUTION.replace(assistant, "True"),
        "the end of an answer does not count": SOLUTION.replace(
            "targets += spoken if", "targets += [*said, -100] if"
        ),
        "the ends of all turns count": SOLUTION.replace(
            "else [-100] * len(spoken)", "else [-100] * len(said) + [end_id]"
        ),
        "all but the user's turns count": SOLUTION.replace(assistant, 'who != "user"'),
        "the turns have no end": SOLUTION.replace("[*said, end_id]", "[*said]"),
        "every token with the value of the end is masked": SOLUTION.replace(
            "targets += spoken if", "targets += [-100 if i == end_id else i for i in spoken] if"
        ),
    }
    if "shifted" in twists:
        found["nothing is moved"] = SOLUTION.replace(
            "return ids, targets", "return [*ids, ids[-1]], [targets[0], *targets]"
        )
    else:
        found["moved by one place"] = SOLUTION.replace(
            "return ids, targets", "return ids, [*targets[1:], -100]"
        )
    if "last" in twists:  # there, what stands before the last answer is wiped out
        del found["all but the user's turns count"]
    else:
        found["only the first answer counts"] = SOLUTION.replace(
            assistant, f"{assistant} and all(t == -100 for t in targets)"
        )
    if opened:
        found["the token that says who speaks counts"] = SOLUTION.replace(
            "OPENING", OPENING[True].replace("-100", 'ids[-1] if who == "assistant" else -100')
        )
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw whether turns are opened, conversations, and twists."""
    chosen = drawn(rng, ("opened", *TWISTS))
    return {
        "opened": "opened" in chosen,
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def both_of_answer(answer_targets, turns, end_id, twists):
    """Return both lists of an answer, as whole numbers."""
    given = [(who, list(said)) for who, said in turns]
    first, second = parts(answer_targets([(who, list(ids)) for who, ids in given], end_id), 2)
    ids, targets = (array(part).ravel() for part in (first, second))
    for number, numbers in enumerate((ids, targets), start=1):
        whole = (numbers == numbers.round()).all()
        assert whole, f"Result {number} of the two should hold whole numbers"
    return ids.astype(int).tolist(), targets.astype(int).tolist()


def both_lists_are_as_long(answer_targets, *, opened, seed, twists):
    """Check how many tokens a question and an answer of two tokens each give."""
    turns = [("user", [21, 22]), ("assistant", [23, 24])]
    ids, targets = both_of_answer(answer_targets, turns, 9, twists)
    many = 4 + 2 + (2 if opened else 0) - (1 if "shifted" in twists else 0)
    assert len(ids) == len(targets), (
        f"Both lists should be equally long, got {len(ids)} and {len(targets)} entries"
    )
    assert len(ids) == many, f"This conversation should give {many} ids, got {len(ids)}"
    at = 1 if opened else 0
    assert ids[at : at + 2] == [21, 22], "What the user says should stand first in the ids"
    assert targets[at] in (-100, 0), "What the user says is not for the model to write"


def marked(turns, end_id, opened, twists):
    """Return what is asked for, token by token, each with whether it counts."""
    speaks = {"system": 1, "user": 2, "assistant": 3}
    answers = [i for i, (who, _) in enumerate(turns) if who == "assistant"]
    answers = answers[-1:] if "last" in twists else answers
    row = []
    for i, (who, said) in enumerate(turns):
        if opened:
            row.append((speaks[who], False))
        row += [(token, i in answers) for token in (*said, end_id)]
    if "cut" in twists:
        row = row[-12:]
    ids, after = row, row
    if "shifted" in twists:
        ids, after = row[:-1], row[1:]
    if "truth" in twists:
        return [token for token, _ in ids], [int(counts) for _, counts in after]
    return [token for token, _ in ids], [token if counts else -100 for token, counts in after]


def compared_talk(answer_targets, turns, end_id, opened, twists):
    """Compare an answer's lists with what is asked for."""
    ids, targets = both_of_answer(answer_targets, turns, end_id, twists)
    right_ids, right_targets = marked(turns, end_id, opened, twists)
    assert ids == right_ids, (
        f"For {turns} and the end {end_id} the ids are not {ids}: is each turn there, in order, "
        "with all that belongs to it?"
    )
    assert len(targets) == len(right_targets), (
        f"{len(right_targets)} targets are needed here, got {len(targets)}"
    )
    wrong = [i for i in range(len(targets)) if targets[i] != right_targets[i]]
    assert not wrong, (
        f"For {turns} and the end {end_id} the second list is not right at place {wrong[0]}: who "
        "writes the token that is meant there, the assistant or the program around it?"
    )


def small_talks_are_right(answer_targets, *, opened, seed, twists):
    """Check small conversations, each with one difficulty."""
    for turns in (
        [("user", [21, 22]), ("assistant", [23])],
        [("system", [20]), ("user", [21]), ("assistant", [23, 24])],
        [("user", [21]), ("assistant", [22]), ("user", [23]), ("assistant", [24])],
        [("user", [21]), ("assistant", [22, 9, 23])],
        [("assistant", [25]), ("user", [21])],
    ):
        compared_talk(answer_targets, turns, 9, opened, twists)


def long_talks_are_right(answer_targets, *, opened, seed, twists):
    """Compare drawn conversations of several turns."""
    for each in range(seed, seed + 10):
        rng = random.Random(each)

        def said(rng=rng):
            return [rng.randrange(10, 40) for _ in range(rng.randint(1, 4))]

        turns = [("system", said())] if rng.random() < 0.5 else []
        for _ in range(rng.randint(1, 4)):
            turns += [("user", said()), ("assistant", said())]
        compared_talk(answer_targets, turns, rng.randrange(5, 10), opened, twists)
