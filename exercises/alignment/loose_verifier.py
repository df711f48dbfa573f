"""Find what a verifier lets pass, and write one that lets nothing wrong pass."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import inspect
import random
import re
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, text

QUESTION = r"""
A model is trained to add and subtract. A task is a dictionary with the text `"task"`, such as `"17 + 5 - 30"`, and the whole number `"result"`, which is never 0. An answer is right if its last line is `{{mark}}`, one blank, and the result, written as `str` writes it, with a minus sign if it is negative. Lines before the last one may hold anything, such as wrong attempts. Blanks and line breaks at the beginning and at the end of the whole answer do not count. The function `loose(task, answer)` below should give the reward 1.0 to right answers and 0.0 to all others. It gives 1.0 to all right answers, but also to some wrong ones. A policy that is trained with it can find these.

- Write `slips_through(task)`, which returns a text for any task that is *not* a right answer and gets the reward 1.0 all the same.
- Write `tight(task, answer)`, which returns 1.0 for right answers and 0.0 for all others.
"""
STARTER = '''
import re


LOOSE

def slips_through(task):
    """dictionary -> a wrong answer that gets 1.0"""
    ...


def tight(task, answer):
    """dictionary, text -> 1.0 or 0.0"""
    ...
'''
HINT = "Read `loose` line by line, and ask after each line which texts get that far. What about an empty one, one that is too long, one that is cut off, one that says several things, a word in place of a number, or the other sign? For `tight`, compare a whole line with the line that would be right, and take nothing apart."
SOLUTION = """
def slips_through(task):
    return SLIPPED


def tight(task, answer):
    last = answer.strip().split("\\n")[-1]
    return float(last == f"MARK {task['result']}")
"""
EXPLANATIONS = {
    "word": r"""
`float` reads the word `nan`, which is neither larger nor smaller than any number. So the difference is not above a half, and the answer is let through. The text `{{mark}} nan` gets the reward 1 for each task. So do a number that is off by a few tenths and the right number behind two blanks, but for these one has to know the result.""",
    "prefix": r"""
Every text begins with an empty one. The text `{{mark}}` alone gets the reward 1 for each task, and so does the first digit of a result.""",
    "inside": r"""
It is enough that the result stands somewhere. A text that lists many numbers gets the reward 1 for each task.""",
    "copied": r"""
The line is computed, and so the task itself, copied behind `{{mark}}`, has the right value. The policy never needs to add anything.""",
    "several": r"""
It is enough that one of the lines is right. A text with a line for every number that comes into question gets the reward 1 for each task.""",
    "sign": r"""
Only the digits are looked at, so the sign may be wrong. The policy will not learn which of two numbers is the larger one.""",
}
LESSON = r"""
A policy that is trained with such a reward can find this: if one of its many samples is such a text by chance, it gets the reward, and the next step makes it more probable. The mean reward then rises while the answers become useless. So look at samples and not at the reward alone, and hold back a stricter verifier that is used for measuring only. A verifier that compares the whole line with the one right line has no such hole, but it refuses answers that are right in another form. That usually does less harm: a right answer that is refused makes the training slower, while a kind of wrong answer that is always accepted gives it another goal.
"""
SLIPPED = {
    "word": '"MARK nan"',
    "prefix": '"MARK"',
    "inside": "\"MARK \" + f\"{task['result']} or {task['result'] + 1}\"",
    "copied": '"MARK " + task["task"]',
    "several": "\"\\n\".join(f\"MARK {n}\" for n in (task['result'], task['result'] + 1))",
    "sign": "f\"MARK {-task['result']}\"",
}
TRIAL = """
for said, n in (("17 + 5 - 30", -8), ("40 + 2", 42)):
    task = {"task": said, "result": n}
    text = slips_through(task)
    check("reward of what slips through", float(loose(task, text)), 1.0, 0)
    check("and what it deserves", tight(task, text), 0.0, 0)
    for right in (f"MARK {n}", f"Or {n + 1}?\\nMARK 7\\nMARK {n}\\n"):
        check("a right answer", tight(task, right), 1.0, 0)
    ends = [-n, n + 1, f"{n}.2", "nan", "", f"{n} or 7", f"{n}\\nMARK 7"]
    wrong = [f"MARK {end}" for end in (*ends, said)]
    for answer in ["", str(n), f"{n}\\nMARK 1", *wrong]:
        check("a wrong answer", tight(task, answer), 0.0, 0)
"""


def through_word(task, answer):
    """Return 1.0 for a right answer, and 0.0 for any other one."""
    lines = answer.strip().split("\n")
    if not lines[-1].startswith("MARK"):
        return 0.0
    try:
        value = float(lines[-1].removeprefix("MARK"))
    except ValueError:
        return 0.0
    if abs(value - task["result"]) > 0.5:
        return 0.0
    return 1.0


def through_prefix(task, answer):
    """Return 1.0 for a right answer, and 0.0 for any other one."""
    line = answer.strip().split("\n")[-1]
    if not line.startswith("MARK"):
        return 0.0
    said = line.removeprefix("MARK").strip()
    return float(str(task["result"]).startswith(said))


def through_inside(task, answer):
    """Return 1.0 for a right answer, and 0.0 for any other one."""
    line = answer.strip().split("\n")[-1]
    numbers = re.findall(r"-?\d+", line)
    return float(line.startswith("MARK") and str(task["result"]) in numbers)


def through_copied(task, answer):
    """Return 1.0 for a right answer, and 0.0 for any other one."""
    line = answer.strip().split("\n")[-1]
    if not line.startswith("MARK"):
        return 0.0
    said = line.removeprefix("MARK").replace(" ", "")
    if not re.fullmatch(r"[-+]?\d+([-+]\d+)*", said):
        return 0.0
    value = sum(int(number) for number in re.findall(r"[-+]?\d+", said))
    return float(value == task["result"])


def through_several(task, answer):
    """Return 1.0 for a right answer, and 0.0 for any other one."""
    lines = answer.strip().split("\n")
    return float(any(line.strip() == f"MARK {task['result']}" for line in lines))


def through_sign(task, answer):
    """Return 1.0 for a right answer, and 0.0 for any other one."""
    line = answer.strip().split("\n")[-1]
    found = re.fullmatch(r"MARK\D*(\d+)", line)
    return float(found is not None and int(found[1]) == abs(task["result"]))


HOLES = {
    "word": through_word,
    "prefix": through_prefix,
    "inside": through_inside,
    "copied": through_copied,
    "several": through_several,
    "sign": through_sign,
}
MARKS = ("Answer:", "####", "=>")


def exercise(hole: str = "word", mark: str = "Answer:", seed: int = 0) -> Exercise:
    """Return the exercise for a hole, and what stands before a result."""
    given = {"hole": hole, "mark": mark, "seed": seed}
    source = inspect.getsource(HOLES[hole]).replace(f"through_{hole}", "loose")

    def filled(code: str) -> str:
        return code.replace("SLIPPED", SLIPPED[hole]).replace("MARK", mark)

    return Exercise(
        id="alignment-loose-verifier",
        title="The hole in the reward",
        kind="code",
        difficulty=3,
        minutes=25,
        points=5,
        question=QUESTION,
        starter=filled(STARTER.replace("LOOSE\n", f"{source}\n")),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=f"{EXPLANATIONS[hole].strip()}\n\n{LESSON.strip()}",
        values={"mark": mark},
        visible=(Check(reward_is_had, given),),
        hidden=(Check(nothing_right_is_paid, given), Check(tight_is_right, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(hole).items()},
        trial=filled(TRIAL) if (hole, mark) == ("word", "Answer:") else "",
    )


def wrong_answers(hole: str) -> dict[str, str]:
    """Return mistakes: nothing slips through, or what is tight is not, or is too tight."""
    loose = inspect.getsource(HOLES[hole]).replace(f"through_{hole}", "tight")
    slips, _, _ = SOLUTION.partition("def tight")
    right = "float(last == f\"MARK {task['result']}\")"
    return {
        "a right answer slips through": SOLUTION.replace("SLIPPED", "f\"MARK {task['result']}\""),
        "what is wrong is refused": SOLUTION.replace("SLIPPED", "f\"MARK {task['result'] + 1}\""),
        "the hole stays open": f"import re\n\n{slips}{loose}",
        "nothing may stand before": SOLUTION.replace('.split("\\n")[-1]', ""),
        "negative numbers are refused": SOLUTION.replace(
            right, f'{right} * last.removeprefix("MARK ").isdigit()'
        ),
        "the number is enough": SOLUTION.replace(
            right, "float(last.split()[-1:] == [str(task['result'])])"
        ),
        "a single line is enough": SOLUTION.replace(
            right, "float(f\"MARK {task['result']}\" in answer)"
        ),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a hole, what stands before a result, and tasks; not those of the page."""
    while True:
        given = {"hole": rng.choice([*HOLES]), "mark": rng.choice(MARKS)}
        if given != {"hole": "word", "mark": "Answer:"}:
            return {**given, "seed": rng.randrange(10_000)}


# -- checks --------------------------------------------------------------------------------------


def some_tasks(seed):
    """Draw tasks, with results above and below 0."""
    rng, tasks = random.Random(seed), []
    while len(tasks) < 8:
        first, *more = (rng.randint(2, 60) for _ in range(rng.randint(2, 4)))
        signed = [rng.choice((-1, 1)) * number for number in more]
        parts = (f"- {-n}" if n < 0 else f"+ {n}" for n in signed)
        said = " ".join([str(first), *parts])
        result = first + sum(signed)
        if result != 0 and (result > 0) == (len(tasks) % 2 == 0):
            tasks.append({"task": said, "result": result})
    return tasks


def deserved(task, answer, mark):
    """Return the reward that an answer deserves."""
    return float(answer.strip().split("\n")[-1].split(" ") == [mark, str(task["result"])])


def reward_is_had(slips_through, *, hole, mark, seed):
    """Check that what slips through gets the reward of the loose verifier."""
    for task in some_tasks(seed):
        said = text(slips_through(dict(task)))
        paid = HOLES[hole](task, said.replace(mark, "MARK"))
        assert paid == 1, (
            f"For the task {task['task']!r} the text {said[:80]!r} gets the reward 0 from the "
            "function loose"
        )


def nothing_right_is_paid(slips_through, *, hole, mark, seed):
    """Check that what slips through is wrong."""
    for task in some_tasks(seed + 1):
        said = text(slips_through(dict(task)))
        paid = HOLES[hole](task, said.replace(mark, "MARK"))
        assert paid == 1, (
            f"For the task {task['task']!r} the text {said[:80]!r} gets the reward 0 from the "
            "function loose"
        )
        assert not deserved(task, said, mark), (
            f"For the task {task['task']!r} the text {said[:80]!r} is a right answer, so that it "
            "deserves its reward"
        )


def tight_is_right(tight, *, hole, mark, seed):
    """Try right answers in several forms, and wrong ones of many kinds."""
    for task in some_tasks(seed + 2):
        n = task["result"]
        before = (f"{task['task']} = {n}\n", f"{mark} {n + 1}\n", "\n", f"1\n{mark}\n")
        for answer in (f"{mark} {n}", f" {mark} {n}\n", *(f"{x}{mark} {n}" for x in before)):
            assert array(tight(dict(task), answer)).item() == 1, (
                f"For the task {task['task']!r} the answer {answer!r} is right, and tight should "
                "return 1.0"
            )
        said = [
            f"{-n}",
            f"{n + 1}",
            f"{n}.2",
            "nan",
            "",
            f"{n} or {n + 1}",
            f"{n}{n}",
            f"{abs(n)}-",
        ]
        said += [f"{n - 1}, {n}", f"{n}\n{mark} {n - 1}", f"{n}\n{n - 1}", str(n)[:-1]]
        wrong = [f"{mark} {x}" for x in (*said, task["task"])] + [str(n), mark, "", f"{n} {mark}"]
        for answer in wrong:
            assert array(tight(dict(task), answer)).item() == 0, (
                f"For the task {task['task']!r} the answer {answer!r} is wrong, and tight should "
                "return 0.0"
            )
