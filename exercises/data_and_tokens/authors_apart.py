"""A split in which no author stands on both sides."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
`authors[i]` wrote row $i$. Write a split into a training and a test part in which no author stands on both sides and no row is lost. Take authors in random order into the test part until it holds at least {{share}} % of the *rows*, and stop there; the other authors are for training. The same seed gives the same split, another seed another one.
"""
STARTER = '''
def split_authors(authors, seed):
    """authors a list of names, one a row; SHARE of the rows are for testing

    Return two lists of row numbers: training, test."""
    ...
'''
TWISTS = {
    "names": Twist(
        "Return one more list, last: the authors of the test part, in alphabetical order.",
        {
            "split_authors": (
                "",
                """
                test = plain_split_authors(authors, seed)[1]
                names = sorted({authors[i] for i in test})
                result = (result, names) if isinstance(result, list) else (*result, names)
                """,
            )
        },
        {"    Return": "    Return the authors of the test part, too, last.\n\n    Return"},
    ),
    "marks": Twist(
        "In place of two lists of rows, return one list with `True` for each row that is for testing and `False` for each other one.",
        {"split_authors": ("", "result = [i in result[1] for i in range(len(authors))]")},
        {
            "Return two lists of row numbers: training, test.": "Return a list of True and False, one a row."
        },
    ),
    "records": Twist(
        'The rows are dictionaries such as `{"author": "Ann", "text": "..."}`, so `authors` is a list of these.',
        {"split_authors": ('authors = [row["author"] for row in authors]', "")},
        {
            "authors a list of names, one a row": 'authors a list of rows, {"author": name, "text": text}'
        },
    ),
}
HINT = "Shuffle the *authors*, not the rows: `random.Random(seed).shuffle(names)`. Sort the names first, since the order of a set differs from run to run."
SOLUTION = """
def split_authors(authors, seed):
    names = sorted(set(authors))
    random.Random(seed).shuffle(names)
    chosen, rows = set(), 0
    for name in names:
        if rows >= SHARE * len(authors):
            break
        chosen.add(name)
        rows += authors.count(name)
    test = [i for i, name in enumerate(authors) if name in chosen]
    train = [i for i, name in enumerate(authors) if name not in chosen]
    return train, test
"""
TRIAL = """
authors = [name for i, name in enumerate("abcdefghijkl") for _ in range(1 + i * i % 7)]
random.Random(0).shuffle(authors)
splits, again = ([split_authors(authors, seed) for seed in range(40)] for _ in range(2))
every = [*range(len(authors))]
check("each row once, in 40 splits", all(sorted([*a, *b]) == every for a, b in splits))
shared = [{authors[i] for i in a} & {authors[i] for i in b} for a, b in splits]
check("authors on both sides, in 40 splits", sum(map(len, shared)), 0)
rows = [Counter(authors[i] for i in test).values() for _, test in splits]
wanted = SHARE * len(authors)
check("rows for testing", [sum(r) for r in rows], at_least=wanted)
check("rows without the largest author", [sum(r) - max(r) for r in rows], at_most=wanted - 0.01)
check("the same seeds split alike", splits == again)
check("different splits by 40 seeds", len({str(split) for split in splits}), at_least=10)
"""
EXPLANATION = """
Rows of one author are alike, so a model that has seen some of them is judged too kindly by the others. What is drawn is therefore authors; what is counted is rows, since authors write unequally much. The test part is as large as asked for, or larger by less than its last author.
"""
WRONG_ANSWERS = {
    "rows drawn": """
        def split_authors(authors, seed):
            rows = list(range(len(authors)))
            random.Random(seed).shuffle(rows)
            cut = math.ceil(SHARE * len(rows))
            return sorted(rows[cut:]), sorted(rows[:cut])
        """,
    "a share of the authors": """
        def split_authors(authors, seed):
            names = sorted(set(authors))
            random.Random(seed).shuffle(names)
            chosen = names[: math.ceil(SHARE * len(names))]
            test = [i for i, name in enumerate(authors) if name in chosen]
            train = [i for i, name in enumerate(authors) if name not in chosen]
            return train, test
        """,
    "the seed is not used": """
        def split_authors(authors, seed):
            chosen, rows = set(), 0
            for name in sorted(set(authors)):
                if rows >= SHARE * len(authors):
                    break
                chosen.add(name)
                rows += authors.count(name)
            test = [i for i, name in enumerate(authors) if name in chosen]
            return [i for i in range(len(authors)) if i not in test], test
        """,
    "the order of a set": """
        def split_authors(authors, seed):
            names = list(set(authors))
            random.Random(seed).shuffle(names)
            chosen, rows = set(), 0
            for name in names:
                if rows >= SHARE * len(authors):
                    break
                chosen.add(name)
                rows += authors.count(name)
            test = [i for i, name in enumerate(authors) if name in chosen]
            return [i for i in range(len(authors)) if i not in test], test
        """,
    "rows of authors on both sides dropped": """
        def split_authors(authors, seed):
            rows = list(range(len(authors)))
            random.Random(seed).shuffle(rows)
            test = rows[: math.ceil(SHARE * len(rows))]
            known = {authors[i] for i in test}
            train = [i for i in rows if i not in test and authors[i] not in known]
            return sorted(train), sorted(test)
        """,
}


def exercise(percent: int = 25, seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise in which `percent` of the rows are for testing, with `twists`."""
    given = {"percent": percent, "seed": seed, "twists": twists}
    share = str(percent / 100)
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code.replace("SHARE", share), {"split_authors": "authors, seed"}, twisted)

    return Exercise(
        id="data-and-tokens-authors-apart",
        title="Authors apart",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER.replace("SHARE", share), twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"share": percent},
        visible=(Check(authors_are_apart, {"seed": seed, "twists": twists}),),
        hidden=(
            Check(size_is_as_asked, given),
            Check(authors_are_drawn_by_seed, {"seed": seed + 1, "twists": twists}),
            Check(another_run_splits_alike, {"seed": seed + 2, "twists": twists}),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("SHARE", share),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw how much is for testing, the rows it is tried on, and twists."""
    return {
        "percent": rng.choice((20, 30, 35, 40)),
        "seed": rng.randrange(10_000),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def unequal_authors(seed: int, n: int = 24) -> list[str]:
    """Draw rows of authors of whom some write much and most write little."""
    rng = random.Random(seed)
    amounts = [1, 1, 1, 1, 1, 2, 2, 3, 5, 8, 13, 21][: n // 2] + [1] * (n - n // 2)
    rows = [f"author {i}" for i, amount in enumerate(amounts) for _ in range(amount)]
    rng.shuffle(rows)
    return rows


def split_of(split_authors, authors, seed, twists):
    """Return both parts as lists of numbers, however they come."""
    rows = [{"author": name, "text": "..."} for name in authors]
    result = split_authors(rows if "records" in twists else list(authors), seed)
    if "names" in twists:
        number = 2 if "marks" in twists else 3
        *result, names = parts(result, number)
    if "marks" in twists:
        marks = result[0] if "names" in twists else result
        assert len(marks) == len(rows), f"there should be {len(rows)} marks, one a row"
        result = [
            [i for i, mark in enumerate(marks) if bool(mark) is test] for test in (False, True)
        ]
    train, test = ([int(i) for i in part] for part in parts(result, 2))
    if "names" in twists:
        expected = sorted({str(authors[i]) for i in test})
        assert [str(name) for name in names] == expected, (
            "the last list should hold the authors of the test part, each once, in order"
        )
    return train, test


def authors_are_apart(split_authors, *, seed, twists):
    """Check that no row is lost and no author stands on both sides."""
    authors = unequal_authors(seed)
    train, test = split_of(split_authors, authors, seed, twists)
    assert sorted(train + test) == list(range(len(authors))), (
        f"each of the {len(authors)} rows should stand in one of the two parts, once"
    )
    both = {authors[i] for i in train} & {authors[i] for i in test}
    assert not both, f"{len(both)} authors stand on both sides, among them {min(both)}"


def size_is_as_asked(split_authors, *, percent, seed, twists):
    """Check the size of the test part, for many seeds."""
    authors = unequal_authors(seed)
    wanted = percent / 100 * len(authors)
    for i in range(20):
        _, test = split_of(split_authors, authors, seed + i, twists)
        assert len(test) >= wanted, (
            f"The test part holds {len(test)} of {len(authors)} rows, fewer than {percent} %: "
            "count rows, not authors"
        )
        amounts = [sum(authors[i] == name for i in test) for name in {authors[i] for i in test}]
        assert len(test) - max(amounts) < wanted, (
            f"The test part holds {len(test)} of {len(authors)} rows; it was large enough before "
            "its last author came in"
        )


def authors_are_drawn_by_seed(split_authors, *, seed, twists):
    """Check that the same seed draws the same, and that every author has a chance."""
    authors = unequal_authors(seed)
    first, again = (split_of(split_authors, authors, 7, twists)[1] for _ in range(2))
    assert sorted(first) == sorted(again), "the same seed should give the same split each time"
    drawn = {authors[i] for s in range(60) for i in split_of(split_authors, authors, s, twists)[1]}
    assert len(drawn) > 0.8 * len(set(authors)), (
        f"With 60 seeds only {len(drawn)} of {len(set(authors))} authors ever come into the test "
        "part; which authors are taken should depend on the seed"
    )


def another_run_splits_alike(split_authors, *, seed, twists):
    """Check that the split does not change with the order of a set, which each run draws anew."""
    authors = unequal_authors(seed)

    def in_a_run(salt):
        class Name(str):  # Python hashes text differently in each run; so does this
            def __hash__(self):
                return hash((salt, str(self)))

        return split_of(split_authors, [Name(name) for name in authors], 7, twists)

    splits = [sorted(in_a_run(salt)[1]) for salt in range(6)]
    assert all(split == splits[0] for split in splits), (
        "the same seed should give the same split in each run of Python, but the order of a set "
        "differs from run to run: sort the names"
    )
