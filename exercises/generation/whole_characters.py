"""Show whole characters while tokens come that are pieces of bytes."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import parts, text
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `whole_characters(tokens)` for a program that shows a text while it is being written. `tokens` is a list of `bytes`, one for each token, and all of them together are UTF-8, which may be cut off at the end. Return a list of strings, one for each token: what can be shown as soon as the token has come. A character is shown once its last byte is there, never earlier and never later, and nothing that was shown is taken back. END
"""
# What takes the place of END, and of REST in the solution.
ENDS = {
    "left out": "Bytes of a character that is still unfinished after the last token are never shown.",
    "shown": "If a character is still unfinished after the last token, its bytes are shown as one � at the end of the last string.",
}
RESTS = {"left out": "", "shown": '\n    if held:\n        shown[-1] += "�"'}
STARTER = '''
def whole_characters(tokens):
    """tokens: a list of bytes -> as many strings"""
    ...
'''
TWISTS = {
    "counts": Twist(
        "Return a second list: after each token, how many characters have been shown so far.",
        {
            "whole_characters": (
                "",
                "so_far = plain_whole_characters(tokens)\nresult = result, [sum(map(len, so_far[: i + 1])) for i in range(len(so_far))]",
            )
        },
        {"strings": "strings, and a number for each token"},
    ),
    "pairs": Twist(
        "Leave out the tokens after which nothing new can be shown: return a list of pairs, each of the number of a token, counted from 0, and the string that is shown after it.",
        {
            "whole_characters": (
                "",
                "result = [(i, piece) for i, piece in enumerate(result) if piece]",
            )
        },
        {"as many strings": "pairs of a number and a string"},
    ),
    "numbers": Twist(
        "Each token is a list of whole numbers from 0 to 255, one for each byte, in place of `bytes`.",
        {"whole_characters": ("tokens = [bytes(token) for token in tokens]", "")},
        {"a list of bytes": "a list of lists of numbers"},
    ),
}
HINT = 'Keep the bytes that have not been shown, and add each token to them. `decode(errors="ignore")` leaves out what is no character. How many bytes has the text that it gives?'
# In these answers REST stands for what is done with an unfinished character at the end.
SOLUTION = """
def whole_characters(tokens):
    shown, held = [], b""
    for token in tokens:
        held += token
        piece = held.decode(errors="ignore")
        shown.append(piece)
        held = held[len(piece.encode()) :]REST
    return shown
"""
EXPLANATION = """
What is held back is always the beginning of one character, three bytes at most, so the work for each token does not grow with the text. To decode the whole text again after each token, and to show what is new, takes longer and longer, and it is wrong as well: an unfinished character is decoded as �, which has the same length as the character that replaces it, so the character is never shown. A model may also write bytes that are no UTF-8 at all. Then this function would cut off the wrong bytes and show some characters twice. So a program uses the incremental decoder of Python's module `codecs`, as the package does.
"""
TRIAL = """
for said, size in (("né 日!", 1), ("Zoë: 好的 🙂", 2), ("日本語", 4)):
    whole = said.encode()
    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    found = whole_characters(pieces)
    check("a string for each token", len(found), len(pieces), 0)
    check("all together", "".join(found), said)
    for i in range(1, len(pieces)):
        so_far = b"".join(pieces[:i]).decode(errors="ignore")
        check(f"after {i} tokens", "".join(found[:i]), so_far)
check("cut off", "".join(whole_characters([b"a", "é".encode()[:1]])), "a")
"""


def exercise(end: str = "left out", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; an unfinished character at the end is left out or shown as one �."""
    given = {"end": end, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str, rest: str = RESTS[end]) -> str:
        code = code.replace("REST", rest)
        return wrapped(code, {"whole_characters": "tokens"}, twisted)

    other = next(rest for name, rest in RESTS.items() if name != end)
    return Exercise(
        id="generation-whole-characters",
        title="No half characters",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("END", ENDS[end]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(letters_come_at_once, given),),
        hidden=(Check(any_cut_will_do, given), Check(end_is_right, given)),
        wrong_answers={
            **{mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
            "the other rule for the end": filled(SOLUTION, other),
        },
        trial="" if twists or end != "left out" else TRIAL,
    )


WRONG_ANSWERS = {
    "each token by itself": """
def whole_characters(tokens):
    return [token.decode(errors="replace") for token in tokens]
""",
    "halves are thrown away": """
def whole_characters(tokens):
    return [token.decode(errors="ignore") for token in tokens]
""",
    "decoded again, and what is longer": """
def whole_characters(tokens):
    shown, length, whole = [], 0, b""
    for token in tokens:
        whole += token
        everything = whole.decode(errors="replace")
        shown.append(everything[length:])
        length = len(everything)
    return shown
""",
    "a whole token is held back": """
def whole_characters(tokens):
    shown, held = [], b""
    for token in tokens:
        held += token
        try:
            shown.append(held.decode())
            held = b""
        except UnicodeDecodeError:
            shown.append("")REST
    return shown
""",
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw what happens at the end, texts, and twists."""
    chosen = drawn(rng, ("shown", *TWISTS))
    return {
        "end": "shown" if "shown" in chosen else "left out",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def expected(tokens, end):
    """Return what can be shown after each token, by the borders of the characters."""
    whole, shown, before, reached = b"".join(tokens), [], 0, 0
    borders = [0]
    for i in range(1, len(whole) + 1):
        try:
            whole[borders[-1] : i].decode()
            borders.append(i)
        except UnicodeDecodeError:
            continue
    for token in tokens:
        reached += len(token)
        border = max(b for b in borders if b <= reached)
        shown.append(whole[before:border].decode())
        before = border
    if before < len(whole) and end == "shown":
        shown[-1] += "�"
    return shown


def read(whole_characters, tokens, twists):
    """Return the strings of an answer, one for each token."""
    given = [list(token) for token in tokens] if "numbers" in twists else list(tokens)
    result = whole_characters(given)
    counts = None
    if "counts" in twists:
        result, counts = parts(result, 2)
    shown = list(result)
    if "pairs" in twists:
        shown = [""] * len(tokens)
        for pair in result:
            number, piece = parts(pair, 2)
            assert piece, "A token after which nothing can be shown should be left out"
            assert 0 <= int(number) < len(tokens), f"There is no token {number}"
            shown[int(number)] += text(piece)
    assert len(shown) == len(tokens), (
        f"{len(tokens)} tokens should give as many strings, got {len(shown)}"
    )
    shown = [text(piece) for piece in shown]
    if counts is not None:
        lengths = [sum(map(len, shown[: i + 1])) for i in range(len(shown))]
        assert list(counts) == lengths, (
            "The second list is not right: count the characters of all strings up to each token"
        )
    return shown


def some_tokens(seed, cut=0):
    """Draw a text of characters of one to four bytes, cut into tokens anywhere."""
    rng = random.Random(seed)
    said = "".join(rng.choice("aé日🙂 好ß.ж") for _ in range(14)) + "🙂"
    whole = said.encode()[: -cut or None]
    cuts = sorted(rng.sample(range(1, len(whole)), len(whole) // 3))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def letters_come_at_once(whole_characters, *, end, seed, twists):
    """Check a text in which every byte is a character."""
    tokens = [b"On", b"e ", b"day", b"."]
    found = read(whole_characters, tokens, twists)
    assert found == ["On", "e ", "day", "."], (
        f"The tokens {tokens} can be shown at once, but come out as {found}"
    )


def any_cut_will_do(whole_characters, *, end, seed, twists):
    """Check texts of many languages that are cut anywhere."""
    for each in range(seed, seed + 5):
        tokens = some_tokens(each)
        found = read(whole_characters, tokens, twists)
        assert "".join(found) == b"".join(tokens).decode(), (
            f"All strings together should be the text, but {tokens} come out as {found}"
        )
        right = expected(tokens, end)
        wrong = [i for i in range(len(tokens)) if found[i] != right[i]]
        assert not wrong, (
            f"With the tokens {tokens}, other characters should be shown after token {wrong[0]}: "
            "which of them are complete then?"
        )


def end_is_right(whole_characters, *, end, seed, twists):
    """Check texts whose last character is unfinished."""
    for cut in (1, 2, 3):
        tokens = some_tokens(seed, cut)
        found = read(whole_characters, tokens, twists)
        assert found[:-1] == expected(tokens, end)[:-1], (
            "In a text that is cut off, what comes before the last token should be shown as ever"
        )
        assert found == expected(tokens, end), (
            "The last character is unfinished: look again at what should be shown of it"
        )
