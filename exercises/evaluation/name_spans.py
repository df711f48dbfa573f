"""Precision, recall and F1 of the names that tags mark in texts."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `name_scores(true, found)`, which compares the names in some texts. Both arguments are lists with one list of tags for each text, as many tags in both. A tag is `"O"`, or `"B-"` or `"I-"` and a kind, such as `"B-PER"`. A name begins with `B-` and goes on with each `I-` of the same kind that follows directly. An `I-` that does not go on with a name counts as `"O"`. Two names are the same if they have the same kind, the same first token and the same last token, in the same text. Return three numbers over all texts together: precision, recall and F1 of names. A score that is 0/0 counts as 0.
"""
STARTER = '''
def name_scores(true, found):
    """lists of lists of tags -> precision, recall, F1"""
    ...
'''
LENIENT = """
def mended(tags):
    kinds = ["", *(tag[2:] for tag in tags)]
    return ["B" + tag[1:] if tag[0] == "I" and tag[2:] != kind else tag for tag, kind in zip(tags, kinds)]
true, found = ([mended(tags) for tags in texts] for texts in (true, found))
"""
TWISTS = {
    "lines": Twist(
        'Each text is one string, with a space between the tags: `"B-PER I-PER O"`.',
        {
            "name_scores": (
                "true, found = ([line.split() for line in texts] for texts in (true, found))",
                "",
            )
        },
        {"lists of lists of tags": "lists of strings"},
    ),
    "alike": Twist(
        "Every text counts the same: take the three numbers of each text by itself, and return their means over the texts.",
        {
            "name_scores": (
                "",
                "alone = [plain_name_scores([a], [b]) for a, b in zip(true, found)]\nresult = tuple(np.mean(alone, axis=0))",
            )
        },
    ),
    "lenient": Twist(
        "Tags are read as the script of CoNLL-2003 reads them: an `I-` that does not go on with a name *begins* one.",
        {"name_scores": (LENIENT, "")},
    ),
    "people": Twist(
        'Only names of the kind `"PER"` count, in both arguments. All others are as if they were not there.',
        {
            "name_scores": (
                'true, found = ([[tag if tag[2:] == "PER" else "O" for tag in tags] for tags in texts] for texts in (true, found))',
                "",
            )
        },
        {"precision, recall, F1": "precision, recall, F1 of PER"},
    ),
}
HINT = "Write a function that makes a set of names of one list of tags: a name is a triple of its kind, its first token and the token after its last one. When does an `I-` make the newest name longer? The names that both sets have are right."
SOLUTION = """
def name_scores(true, found):
    def names(tags):
        spans = []
        for i, tag in enumerate(tags):
            if tag[0] == "B":
                spans.append((tag[2:], i, i + 1))
            elif tag[0] == "I" and spans and spans[-1][::2] == (tag[2:], i):
                spans[-1] = (tag[2:], spans[-1][1], i + 1)
        return set(spans)

    pairs = [(names(a), names(b)) for a, b in zip(true, found)]
    right = sum(len(a & b) for a, b in pairs)
    n_true, n_found = (sum(map(len, sets)) for sets in zip(*pairs))
    return (
        right / max(n_found, 1),
        right / max(n_true, 1),
        2 * right / max(n_found + n_true, 1),
    )
"""
EXPLANATION = r"""
The place of a name belongs to the triple, so a name that is found one token too short is wrong twice: it is a false positive, and the true name is a false negative. That is strict, but the accuracy of the tags would be worse in another way: most tags are `O`, and a model that finds no names at all gets all of those right. The counts are added up before anything is divided, so long texts count for more. What an `I-` without a beginning means is a convention. Programs differ in it, and so do scores of the same output; state which reading you have used.
"""
TRIAL = """
true = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC", "I-LOC", "O"]]
found = [["B-PER", "O", "O", "B-LOC"], ["I-PER", "B-LOC", "I-LOC", "B-PER"]]
for a, b in (
    (true[:1], found[:1]),  # half of a name
    (true[1:], found[1:]),  # an I- without a beginning
    (true, found),
    ([["B-PER", "I-PER"]], [["B-LOC", "I-LOC"]]),  # another kind
    ([["B-PER", "I-PER"]], [["B-PER", "I-LOC"]]),
    ([["B-PER", "B-PER"]], [["B-PER", "I-PER"]]),  # two names side by side
    ([["B-PER", "O", "O"]], [["B-PER", "O", "I-PER"]]),  # after a gap
    ([["B-PER"], ["O"]], [["O"], ["B-PER"]]),  # in another text
    (true, [4 * ["O"], 4 * ["O"]]),
):
    right = evaluation.span_scores(a, b, zero_division=0)
    check(f"{b} where {a} is true", list(name_scores(a, b)), list(right), 1e-3)
"""


def exercise(seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise."""
    given = {"seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"name_scores": "true, found"}, twisted)

    return Exercise(
        id="evaluation-name-spans",
        title="Half a name is no name",
        kind="code",
        difficulty=2,
        minutes=25,
        points=5,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(same_tags_are_right, given),),
        hidden=(Check(names_are_compared_whole, given), Check(many_texts_are_right, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(twists).items()},
        public_solution=True,
        trial="" if twists else TRIAL,
    )


def wrong_answers(twists: tuple[str, ...]) -> dict[str, str]:
    """Return mistakes, those with kinds only where kinds can be mistaken."""
    found = {
        "tokens in place of names": SOLUTION.replace('if tag[0] == "B":', 'if tag[0] in "BI":'),
        "the beginning is enough": SOLUTION.replace(
            "return set(spans)", "return {span[:2] for span in spans}"
        ),
        "precision and recall exchanged": SOLUTION.replace(
            "        right / max(n_found, 1),\n        right / max(n_true, 1),\n",
            "        right / max(n_true, 1),\n        right / max(n_found, 1),\n",
        ),
        "the arithmetic mean for F1": SOLUTION.replace(
            "2 * right / max(n_found + n_true, 1)",
            "(right / max(n_found, 1) + right / max(n_true, 1)) / 2",
        ),
        "names of all texts in one set": SOLUTION.replace(
            "pairs = [(names(a), names(b)) for a, b in zip(true, found)]",
            "pairs = [tuple({n for tags in x for n in names(tags)} for x in (true, found))]",
        ),
        "an I- goes on after a gap": SOLUTION.replace(
            "spans[-1][::2] == (tag[2:], i)", "spans[-1][0] == tag[2:]"
        ),
    }
    if "alike" in twists:  # there, each text has a set of its own
        del found["names of all texts in one set"]
    if "lenient" in twists:  # there, what comes after a gap has been given a beginning
        del found["an I- goes on after a gap"]
    if "people" not in twists:
        found["the kind does not matter"] = SOLUTION.replace(
            "return set(spans)", "return {span[1:] for span in spans}"
        )
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw texts, and twists."""
    chosen = drawn(rng, TWISTS)
    return {
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_tags(seed):
    """Draw texts with true tags, and tags in which some have changed."""
    rng = random.Random(seed)
    true, found = [], []
    for length in rng.sample(range(6, 16), 4):
        tags = []
        while len(tags) < length:
            kind = rng.choice(("PER", "LOC"))
            more = [f"I-{kind}"] * rng.choice((0, 1, 2))
            tags += rng.choice((["O"], ["O", "O"], [f"B-{kind}", *more]))
        true.append(tags[:length])
        changed = ("O", "I-PER", "B-PER", "I-LOC", "B-LOC")
        found.append([rng.choice(changed) if rng.random() < 0.25 else t for t in tags[:length]])
    return true, found


def names_of(tags, twists):
    """Return the names of a text, each found from its first token on."""
    kinds = [tag[2:] for tag in tags]
    starts = []
    for i, tag in enumerate(tags):
        goes_on = tag[0] == "I" and i > 0 and kinds[i - 1] == kinds[i]
        if tag[0] == "B" or ("lenient" in twists and tag[0] == "I" and not goes_on):
            starts.append(i)
    found = set()
    for start in starts:
        stop = start + 1
        while stop < len(tags) and tags[stop] == f"I-{kinds[start]}":
            stop += 1
        found.add((kinds[start], start, stop))
    return {name for name in found if "people" not in twists or name[0] == "PER"}


def scored(true, found, twists):
    """Return precision, recall and F1 by the rule of the variant."""
    if "alike" in twists:
        rest = tuple(name for name in twists if name != "alike")
        alone = [scored([a], [b], rest) for a, b in zip(true, found, strict=True)]
        return [sum(values) / len(values) for values in zip(*alone, strict=True)]
    sets = [[names_of(tags, twists) for tags in texts] for texts in (true, found)]
    tp = sum(len(a & b) for a, b in zip(*sets, strict=True))
    fn, fp = (sum(map(len, own)) - tp for own in sets)
    return [tp / n if n else 0.0 for n in (tp + fp, tp + fn, tp + (fp + fn) / 2)]


def three_scores(name_scores, true, found, twists):
    """Return what an answer says of texts, which are handed over as the question says."""
    given = [[list(tags) for tags in texts] for texts in (true, found)]
    if "lines" in twists:
        given = [[" ".join(tags) for tags in texts] for texts in given]
    result = array(name_scores(*given)).ravel()
    assert len(result) == 3, (
        f"name_scores should return three numbers, one after the other, got {len(result)}"
    )
    return result


def same_tags_are_right(name_scores, *, seed, twists):
    """Check that the same tags get 1 in all three numbers, and no names get 0."""
    true = [["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O"]]
    nothing = [["O"] * len(tags) for tags in true]
    assert close(three_scores(name_scores, true, true, twists), [1, 1, 1], "name_scores"), (
        "If all names are found and nothing else is, the three numbers should be 1"
    )
    assert close(three_scores(name_scores, true, nothing, twists), [0, 0, 0], "name_scores"), (
        "If no name is found, the three numbers should be 0, and nothing is divided by 0"
    )


def names_are_compared_whole(name_scores, *, seed, twists):
    """Check small texts, each with one kind of difference."""
    cases = (
        (["B-PER", "I-PER", "O"], ["B-PER", "O", "O"]),
        (["B-PER", "B-PER"], ["B-LOC", "B-PER"]),
        (["B-PER", "B-PER"], ["B-PER", "I-PER"]),
        (["B-PER", "O", "O"], ["B-PER", "O", "I-PER"]),
        (["O", "B-PER", "O"], ["I-PER", "I-PER", "O"]),
        (["O", "O"], ["B-PER", "O"]),
    )
    for true, found in cases:
        given = [true, ["B-PER", "O"]], [found, ["B-PER", "O"]]
        assert close(three_scores(name_scores, *given, twists), scored(*given, twists), "F1"), (
            f"Where {true} is true and {found} was found, beside a text in which all is right, the "
            "numbers are not right: when are two names the same, and where does a name end?"
        )


def many_texts_are_right(name_scores, *, seed, twists):
    """Compare several drawn sets of texts with a count of names."""
    for each in range(seed, seed + 12):
        true, found = some_tags(each)
        result, right = three_scores(name_scores, true, found, twists), scored(true, found, twists)
        for number, name in enumerate(("precision", "recall", "F1")):
            assert close(result[number], right[number], name), (
                f"In texts with many names, {name} is not right: which names count as right, and "
                "by which number is theirs divided?"
            )
