"""The encoder of byte-pair encoding: which pair is joined next."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from exercises import Check, Exercise
from exercises.answers import parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write the encoder of byte-level BPE: cut a word into single bytes, then join, again and again, the neighbours whose merge was learnt *first*, everywhere in the word, until no merge is left that applies. `merges` is a list of pairs of `bytes`, in the order in which they were learnt. Here a token has at most {{longest}} bytes: a merge that would make a longer one is passed over.
"""
STARTER = '''
def bpe_tokens(word, merges):
    """word bytes; merges a list of (bytes, bytes)

    Return a list of bytes, which together are the word."""
    ...
'''
TWISTS = {
    "joins": Twist(
        "Return two things: the list of tokens, and how many times two neighbours were joined.",
        {"bpe_tokens": ("", "result = result, len(word) - len(result)")},
        {"which together are the word": "which together are the word, and the number of joins"},
    ),
    "places": Twist(
        "In place of the tokens themselves, list for each where it begins and where it ends in the word, counted in bytes: `banana` cut into `ban` and `ana` is `[(0, 3), (3, 6)]`.",
        {
            "bpe_tokens": (
                "",
                """
                ends = np.cumsum([len(part) for part in result], dtype=int).tolist()
                result = list(zip([0, *ends], ends))
                """,
            )
        },
        {"a list of bytes": "a list of (start, end)"},
    ),
    "ranks": Twist(
        "`merges` is a dictionary from a pair to its rank, the smaller the earlier it was learnt; it is in no particular order.",
        {"bpe_tokens": ("merges = sorted(merges, key=merges.get)", "")},
        {"merges a list of (bytes, bytes)": "merges {(bytes, bytes): rank}"},
    ),
}
HINT = "Not the longest token wins, and not the leftmost pair: of all pairs that stand side by side now, the one with the smallest number in the list."
SOLUTION = """
def bpe_tokens(word, merges):
    ranks = {pair: i for i, pair in enumerate(merges) if len(b"".join(pair)) <= LONGEST}
    parts = [word[i : i + 1] for i in range(len(word))]
    while True:
        known = [pair for pair in zip(parts, parts[1:]) if pair in ranks]
        if not known:
            return parts
        best, joined = min(known, key=ranks.get), []
        for part in parts:
            if joined and (joined[-1], part) == best:
                joined[-1] = joined[-1] + part
            else:
                joined.append(part)
        parts = joined
"""
TRIAL = """
random.seed(0)
words = ["".join(random.choices("abc", k=12)) for _ in range(40)]
learnt = reference.learn(dict.fromkeys(words, 1), 25)
short = [pair for pair in learnt if sum(map(len, pair)) <= LONGEST]
for given in (short, learnt):
    found = [bpe_tokens(word.encode(), given) for word in [*words, "cabac", "b"]]
    right = [reference.encode(word, short) for word in [*words, "cabac", "b"]]
    check(f"40 words cut as on paper, {len(given)} merges", found == right)
bytes_of_cat = [bytes([value]) for value in "猫".encode()]
check("a word that no merge knows", bpe_tokens("猫".encode(), learnt) == bytes_of_cat)
"""
EXPLANATION = """
Ranks say which merge was learnt when. In each round the smallest rank among the neighbours wins and is joined wherever it stands, from the left, so that three equal parts in a row become one pair and a rest. The result is what training itself would have made of the word, and it need not be the cut with the fewest tokens.
"""
WRONG_ANSWERS = {
    "the longest token first": """
        def bpe_tokens(word, merges):
            known = {b"".join(pair) for pair in merges if len(b"".join(pair)) <= LONGEST}
            parts, i = [], 0
            while i < len(word):
                ends = [j for j in range(i + 2, len(word) + 1) if word[i:j] in known]
                end = max(ends, default=i + 1)
                parts.append(word[i:end])
                i = end
            return parts
        """,
    "the leftmost pair first": """
        def bpe_tokens(word, merges):
            known = {pair for pair in merges if len(b"".join(pair)) <= LONGEST}
            parts = [word[i : i + 1] for i in range(len(word))]
            while True:
                places = [i for i in range(len(parts) - 1) if (parts[i], parts[i + 1]) in known]
                if not places:
                    return parts
                i = places[0]
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
        """,
    "only one round": """
        def bpe_tokens(word, merges):
            parts = [word[i : i + 1] for i in range(len(word))]
            for pair in merges:
                for i in range(len(parts) - 1):
                    if (parts[i], parts[i + 1]) == pair and len(b"".join(pair)) <= LONGEST:
                        parts[i : i + 2] = [parts[i] + parts[i + 1]]
                        break
            return parts
        """,
    "no longest token": """
        def bpe_tokens(word, merges):
            ranks = {pair: i for i, pair in enumerate(merges)}
            parts = [word[i : i + 1] for i in range(len(word))]
            while True:
                known = [pair for pair in zip(parts, parts[1:]) if pair in ranks]
                if not known:
                    return parts
                best, joined = min(known, key=ranks.get), []
                for part in parts:
                    if joined and (joined[-1], part) == best:
                        joined[-1] = joined[-1] + part
                    else:
                        joined.append(part)
                parts = joined
        """,
}


def exercise(longest: int = 4, seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise in which a token has at most `longest` bytes, with `twists`."""
    given = [{"longest": longest, "seed": seed + i, "twists": twists} for i in range(3)]
    number = str(longest)
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code.replace("LONGEST", number), {"bpe_tokens": "word, merges"}, twisted)

    return Exercise(
        id="data-and-tokens-encode-word",
        title="The smallest rank wins",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"longest": number},
        visible=(Check(nothing_is_lost, given[0]), Check(one_merge_is_applied, {"twists": twists})),
        hidden=(
            Check(ranks_decide, {"twists": twists}),
            Check(random_words_are_cut_right, given[1]),
            Check(long_tokens_are_passed_over, {"longest": longest, "twists": twists}),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        trial="" if twists else TRIAL.replace("LONGEST", number),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the longest token, the words it is tried on, and twists."""
    return {
        "longest": rng.choice((3, 5, 6)),
        "seed": rng.randrange(10_000),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def random_merges(seed: int, n: int = 14):
    """Draw merges that build on one another, and words of their letters."""
    rng = random.Random(seed)
    tokens, merges = [b"a", b"b", b"c"], []
    while len(merges) < n:
        pair = (rng.choice(tokens), rng.choice(tokens))
        if pair not in merges and len(pair[0] + pair[1]) <= 8:
            merges.append(pair)
            tokens.append(pair[0] + pair[1])
    words = [bytes(rng.choices(b"abc", k=rng.randrange(2, 15))) for _ in range(60)]
    return merges, words


def cut_by_ranks(word, merges, longest):
    """Cut a word as training would have, one merge after the other."""
    allowed = [pair for pair in merges if len(pair[0] + pair[1]) <= longest]
    parts = [bytes([value]) for value in word]
    while True:
        found = [allowed.index(p) for p in pairwise(parts) if p in allowed]
        if not found:
            return parts
        left, right = allowed[min(found)]
        i = 0
        while i < len(parts) - 1:
            if (parts[i], parts[i + 1]) == (left, right):
                parts[i : i + 2] = [left + right]
            i += 1


def cut_as_lists(bpe_tokens, word, merges, twists):
    """Return what the answer gives, as a list of bytes, however it comes."""
    ranks = dict(sorted((pair, 7 * i) for i, pair in enumerate(merges)))
    found = bpe_tokens(word, ranks if "ranks" in twists else list(merges))
    if "joins" in twists:
        found, joins = parts(found, 2)
        assert joins == len(word) - len(found), (
            f"{word!r} comes out as {len(found)} parts, so the number of joins cannot be {joins}"
        )
    if "places" in twists:
        return [word[start:end] for start, end in found]
    return [bytes(part) for part in found]


def nothing_is_lost(bpe_tokens, *, longest, seed, twists):
    """Check that the tokens together are the word, also where nothing can be joined."""
    merges, words = random_merges(seed)
    for word in [*words[:20], b"", b"x", "猫".encode()]:
        joined = b"".join(cut_as_lists(bpe_tokens, word, merges, twists))
        assert joined == word, f"the tokens of {word!r} should spell it when joined, not {joined!r}"
    parts = cut_as_lists(bpe_tokens, "猫".encode(), merges, twists)
    assert len(parts) == 3, (
        f"a character that no merge knows should fall back to bytes, got {parts}"
    )


def one_merge_is_applied(bpe_tokens, *, twists):
    """Check a single merge that occurs several times, and overlaps with itself."""
    got = cut_as_lists(bpe_tokens, b"banana", [(b"a", b"n")], twists)
    assert got == [b"b", b"an", b"an", b"a"], (
        f"With the one merge a + n, banana should become b, an, an, a; got {got}"
    )
    got = cut_as_lists(bpe_tokens, b"aaa", [(b"a", b"a")], twists)
    assert got == [b"aa", b"a"], f"With the one merge a + a, aaa should become aa, a; got {got}"


def ranks_decide(bpe_tokens, *, twists):
    """Check words in which the leftmost pair or the longest token would mislead."""
    cases = [
        (b"abc", [(b"b", b"c"), (b"a", b"b")], [b"a", b"bc"]),
        (b"abc", [(b"b", b"c"), (b"a", b"b"), (b"ab", b"c")], [b"a", b"bc"]),
        (b"abab", [(b"a", b"b"), (b"ab", b"a")], [b"ab", b"ab"]),
    ]
    for word, merges, right in cases:
        got = cut_as_lists(bpe_tokens, word, merges, twists)
        assert got == right, (
            f"For {word!r} with the merges {merges} the tokens should be {right}, got {got}: which "
            "of the neighbours was learnt first?"
        )


def random_words_are_cut_right(bpe_tokens, *, longest, seed, twists):
    """Compare with an encoder that replays training, on random words."""
    merges, words = random_merges(seed)
    for word in words:
        got, right = (
            cut_as_lists(bpe_tokens, word, merges, twists),
            cut_by_ranks(word, merges, longest),
        )
        assert got == right, (
            f"With the merges {merges[:6]} and others, {word!r} is cut into {len(right)} tokens by "
            f"their ranks, but into {len(got)} by the answer, or elsewhere"
        )


def long_tokens_are_passed_over(bpe_tokens, *, longest, twists):
    """Check that no token becomes longer than allowed."""
    merges = [(b"a", b"a"), (b"aa", b"aa"), (b"aaaa", b"aaaa"), (b"aaaa", b"a")]
    word = b"a" * 13
    longest_got = max(len(part) for part in cut_as_lists(bpe_tokens, word, merges, twists))
    assert longest_got <= longest, (
        f"A token of {longest_got} bytes came out, where {longest} are the most that is allowed"
    )
    wanted = [len(part) for part in cut_by_ranks(word, merges, longest)]
    got = [len(part) for part in cut_as_lists(bpe_tokens, word, merges, twists)]
    assert got == wanted, f"13 times the letter a should be cut into lengths {wanted}, got {got}"
