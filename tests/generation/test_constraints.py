"""Constraints: patterns against regular expressions, and JSON whatever the logits say."""

import itertools
import json
import random
import re

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from companion import generation as gen
from companion.generation.derivatives import _restricted, _shortest
from companion.tokenizers import BPE, Characters, WordPiece, Words
from tests.generation.support import PROMPTS, generator, noise
from tests.plugins import shapes
from tests.support import seeds, shapes_vary
from tests.verification import same

# -- patterns ------------------------------------------------------------------------------------

LETTERS = "abc"


def trees():
    """Return what random patterns over three letters are made of."""
    leaf = st.one_of(
        st.tuples(st.just("literal"), st.text(LETTERS, max_size=2)),
        st.tuples(st.just("one_of"), st.sets(st.sampled_from(LETTERS), min_size=1)),
    )

    def larger(parts):
        two = st.tuples(st.sampled_from(["then", "either"]), parts, parts)
        return two | st.tuples(st.just("repeat"), parts, st.integers(0, 2), st.integers(0, 2))

    return st.recursive(leaf, larger, max_leaves=6)


def built(tree):
    """Return the pattern, and the same as a regular expression."""
    kind, *parts = tree
    if kind == "literal":
        return gen.literal(*parts), re.escape(*parts)
    if kind == "one_of":
        letters = "".join(sorted(*parts))
        return gen.one_of(letters.encode()), f"[{letters}]"
    if kind == "repeat":
        part, least, more = parts
        pattern, written = built(part)
        return gen.repeat(pattern, least, least + more), f"(?:{written}){{{least},{least + more}}}"
    (a, first), (b, second) = map(built, parts)
    if kind == "then":
        return gen.then(a, b), f"(?:{first})(?:{second})"
    return gen.either(a, b), f"(?:{first}|{second})"


def words(n):
    return [
        "".join(word) for size in range(n + 1) for word in itertools.product(LETTERS, repeat=size)
    ]


@shapes_vary
@given(tree=trees())
def test_patterns_hold_the_texts_of_regular_expressions(tree):
    pattern, written = built(tree)
    expression = re.compile(written)
    found = [word for word in words(4) if gen.is_complete(gen.derivative(pattern, word.encode()))]
    expected = [word for word in words(4) if expression.fullmatch(word)]
    for name in ("derivative", "is_complete", "then", "either", "repeat", "literal", "one_of"):
        same(name, "re", found, expected)
    same("Pattern", "re", found, expected)


@shapes_vary
@given(tree=trees())
def test_what_may_follow_and_how_long_it_gets(tree):
    pattern, _ = built(tree)
    texts = texts_of(pattern)
    same("longest", "all texts", gen.longest(pattern), max(map(len, texts)))
    same("first_bytes", "all texts", gen.first_bytes(pattern), {t[0] for t in texts if t})
    assert _shortest(pattern) == min(map(len, texts))
    kept = _restricted(pattern, frozenset(b"ab"))
    expected = {text for text in texts if b"c" not in text}
    assert (set() if kept is gen.NOTHING else texts_of(kept)) == expected


def texts_of(pattern):
    """Return all texts of a pattern, found byte by byte."""
    found, ways = set(), [(b"", pattern)]
    while ways:
        text, rest = ways.pop()
        if gen.is_complete(rest):
            found.add(text)
        ways += [
            (text + bytes([b]), gen.derivative(rest, bytes([b]))) for b in gen.first_bytes(rest)
        ]
    return found


def test_equal_patterns_are_one_object():
    a, b, c = (gen.literal(letter) for letter in "abc")
    assert gen.then(gen.then(a, b), c) is gen.then(a, gen.then(b, c)) is gen.literal("abc")
    assert gen.either(a, gen.either(b, a)) is gen.either(b, a)
    assert gen.derivative(gen.repeat(a, 1, 3), b"a") is gen.repeat(a, 0, 2)
    assert gen.derivative(a, b"b") is gen.NOTHING
    assert gen.repeat(a, 0, 0) is gen.then() is gen.END
    assert gen.either() is gen.then(a, gen.NOTHING) is gen.NOTHING


def test_a_long_text_is_no_deep_tree():
    text = "x" * 3_000
    assert gen.derivative(gen.literal(text), text.encode()) is gen.END


# -- forms ---------------------------------------------------------------------------------------

FORM = {
    "name": gen.String(6),
    "age": gen.Integer(3, negative=False),
    "mood": gen.Choice(["glad", "sad", None, 7]),
    "awake": gen.Boolean(),
    "scores": gen.ListOf(gen.Integer(2), 3, 1),
    "home": {"town": gen.String(3, 1)},
}


def fits(value):
    """Tell whether what was read is an object of the form."""
    return (
        list(value) == list(FORM)
        and isinstance(value["name"], str)
        and len(value["name"]) <= 6
        and type(value["age"]) is int
        and 0 <= value["age"] < 1000
        and value["mood"] in ("glad", "sad", None, 7)
        and type(value["awake"]) is bool
        and 1 <= len(value["scores"]) <= 3
        and all(type(score) is int and abs(score) < 100 for score in value["scores"])
        and list(value["home"]) == ["town"]
        and 1 <= len(value["home"]["town"]) <= 3
    )


def text_of(character, random_):
    return "".join(random_.choice(character) for _ in range(random_.randint(1, 3)))


def test_what_json_writes_has_the_form():
    random_ = random.Random(0)
    letters = 'aé猫🙂 "\\/\n\t\u0800\ud7ff\uffff\U0010ffff{}'
    pattern = gen.json_pattern(FORM)
    for _ in range(200):
        value = {
            "name": text_of(letters, random_),
            "age": random_.randrange(1000),
            "mood": random_.choice(["glad", "sad", None, 7]),
            "awake": random_.random() < 0.5,
            "scores": [random_.randint(-99, 99) for _ in range(random_.randint(1, 3))],
            "home": {"town": text_of(letters, random_)},
        }
        text = json.dumps(value, ensure_ascii=False)
        same("json_pattern", "json.dumps", gen.derivative(pattern, text.encode()) is gen.END, True)


@pytest.mark.parametrize(
    ("name", "form", "good", "bad"),
    [
        (
            "String",
            gen.String(2),
            ['""', '"a"', '"\\""', '"猫猫"'],
            ['"abc"', '"\n"', '"\\x"', "a"],
        ),
        ("String", gen.String(3, 2), ['"ab"'], ['"a"']),
        ("Integer", gen.Integer(2), ["0", "-7", "42"], ["100", "07", "+1", "1.0", "-", ""]),
        ("Integer", gen.Integer(1, negative=False), ["0", "9"], ["-1", "10"]),
        ("Boolean", gen.Boolean(), ["true", "false"], ["True", "1", "null"]),
        ("Choice", gen.Choice(["a", 1, None]), ['"a"', "1", "null"], ["a", "2", '"b"']),
        ("ListOf", gen.ListOf(gen.Integer(1), 2), ["[]", "[1]", "[1, 2]"], ["[1,2]", "[1, 2, 3]"]),
        ("ListOf", gen.ListOf(gen.Boolean(), 2, 1), ["[true]"], ["[]"]),
        ("ListOf", gen.ListOf(gen.Boolean(), 0), ["[]"], ["[true]"]),
        ("Object", gen.Object({"a": gen.Boolean()}), ['{"a": true}'], ["{}", '{"a":true}']),
        ("Object", gen.Object({}), ["{}"], ["[]", "{ }"]),
    ],
)
def test_what_each_form_allows(name, form, good, bad):
    pattern = gen.json_pattern(form)
    found = [gen.is_complete(gen.derivative(pattern, text.encode())) for text in good + bad]
    same(name, "by hand", found, [True] * len(good) + [False] * len(bad))


@pytest.mark.parametrize(
    "wrong", [b"\xff", b"\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)
def test_no_bytes_that_are_not_utf_8_stand_in_a_string(wrong):
    pattern = gen.json_pattern(gen.String(9))
    assert gen.derivative(pattern, b'"' + wrong + b'"') is gen.NOTHING
    with pytest.raises(UnicodeDecodeError):
        wrong.decode()


# -- constraints ---------------------------------------------------------------------------------

SAMPLE = json.dumps({"name": "Ann", "age": 31, "mood": "glad", "awake": True}) * 4 + "näh 猫 🙂"
CHARACTERS = Characters(
    sorted(
        set(
            json.dumps(FORM, default=lambda f: "gladsturefn0123456789-[]", ensure_ascii=False)
            + "é猫kx"
        )
    )
)
TOKENIZERS = {
    "bytes": BPE([]),
    "BPE": BPE.train(SAMPLE, 330, ["<|end|>"]),
    "Characters": CHARACTERS,
}


def noisy(n, seed, scale=4.0):
    """A model that says anything: other logits each time that it is asked."""
    draws = generator(seed)
    return lambda ids: scale * torch.randn(1, ids.shape[1], n, generator=draws)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("most", [None, 110])
def test_json_of_a_form_comes_out_whatever_the_logits_are(name, most):
    tokenizer = TOKENIZERS[name]
    only = gen.Constraint(gen.json_pattern(FORM), tokenizer, most=most)
    n_tokens = tokenizer.vocab_size + 3  # a model may know more tokens than its tokenizer
    for seed in range(4):
        draws = generator(seed) if seed % 2 else None
        done = gen.generate(
            noisy(n_tokens, seed, scale=10.0 ** (seed % 3)),
            [[0]],
            [only],
            max_new_tokens=only.most,
            tokenizer=tokenizer,
            generator=draws,
        )
        assert done.reasons == ["complete"]
        value = json.loads(done.texts[0])
        same("Constraint", "json.loads", fits(value), True)
        assert len(done.ids[0]) <= only.most


@pytest.mark.parametrize(("seed", "most"), [*enumerate(range(20, 26)), (6, 40)])
def test_a_text_ends_in_time_however_little_time_there_is(seed, most):
    form = {"a": gen.String(20), "b": gen.Integer(9)}
    tokenizer = TOKENIZERS["BPE"]
    only = gen.Constraint(gen.json_pattern(form), tokenizer, most=most)
    done = gen.generate(
        noisy(tokenizer.vocab_size, seed),
        [[0], [1]],
        [only],
        max_new_tokens=most,
        tokenizer=tokenizer,
    )
    for text, ids in zip(done.texts, done.ids, strict=True):
        assert set(json.loads(text)) == {"a", "b"}
        assert len(ids) <= most


@shapes_vary
@given(tree=trees(), seed=seeds)
def test_exactly_the_texts_of_a_pattern_are_written(tree, seed):
    """By tokens of one, two and three letters; what is allowed is found by trying each token."""
    pattern, _ = built(tree)
    tokenizer = Words(["a", "b", "c", "ab", "cab", "bb", "."])
    texts = texts_of(pattern)
    assume(texts != {b""})  # refused
    only = gen.Constraint(pattern, tokenizer)
    text, ids = "", []
    draws = random.Random(seed)
    while not only.complete(ids):
        logits = only(noise(1, 7, dtype=torch.float32), [[0]], [ids])[0]
        allowed = [i for i, z in enumerate(logits.tolist()) if z > -torch.inf]
        expected = [
            i
            for i, entry in enumerate(tokenizer.entries)
            if any(each.startswith((text + entry).encode()) for each in texts)
        ]
        same("Constraint, tokens", "each token tried", allowed, expected)
        if not allowed:
            break
        ids.append(draws.choice(allowed))
        text = tokenizer.decode(ids)
    assert text.encode() in texts


def test_dead_ends_of_a_closed_vocabulary_are_avoided():
    """After c nothing could follow, since there is no token for d."""
    tokenizer = Words(["ab", "c", "e"])
    pattern = gen.either(gen.literal("ab"), gen.literal("cd"), gen.literal("ce"))
    only = gen.Constraint(pattern, tokenizer)
    assert only(torch.zeros(1, 3), [[0]], [[]]).isfinite().tolist() == [[True, True, False]]
    assert only(torch.zeros(1, 3), [[0]], [[1]]).isfinite().tolist() == [[False, False, True]]
    narrow = gen.Constraint(gen.either(gen.literal("ab"), gen.literal("cd")), tokenizer)
    assert narrow(torch.zeros(1, 3), [[0]], [[]]).isfinite().tolist() == [[True, False, False]]


def test_a_vocabulary_without_some_bytes_writes_without_them():
    ids = {bytes([byte]): byte for byte in range(0x20, 0x7F)}
    tokenizer = BPE([], ids=ids)
    only = gen.Constraint(gen.json_pattern(gen.String(9)), tokenizer)
    allowed = only(torch.zeros(1, 0x7F), [[0]], [[ord('"')]])[0].isfinite().nonzero()[:, 0].tolist()
    assert allowed == list(range(0x20, 0x7F))
    assert only.most == 2 + 9 * 2, "each character is escaped, or has one byte"


def test_tokens_that_end_a_text_where_it_may_end():
    tokenizer = BPE([], ["<|end|>"])
    digits = gen.json_pattern(gen.Integer(3, negative=False))
    only = gen.Constraint(digits, tokenizer, end_id=256)

    def allowed(text):
        logits = only(torch.zeros(1, 257), [[0]], [[*text]])[0]
        return {chr(i) if i < 256 else "end" for i in logits.isfinite().nonzero()[:, 0].tolist()}

    assert allowed(b"") == set("0123456789")
    assert allowed(b"0") == {"end"}
    assert allowed(b"12") == {*"0123456789", "end"}
    assert not only.complete([*b"12"])
    assert only.complete([*b"12", 256])
    assert only.complete([*b"123"])
    wish = torch.zeros(257)
    wish[[256, ord("1")]] = torch.tensor([2.0, 1.0])  # to end, and otherwise a 1
    options = {"max_new_tokens": 4, "tokenizer": tokenizer}
    done = gen.generate(lambda ids: wish.expand(1, ids.shape[1], -1), [[0]], [only], **options)
    assert (done.ids, done.reasons) == ([[ord("1"), 256]], ["complete"])


def test_what_the_model_finds_impossible_is_written_where_nothing_else_is_allowed():
    only = gen.Constraint(gen.literal("abc"), Characters("abc"))

    def never_b(ids):
        return torch.tensor([0.0, -torch.inf, 0.0]).expand(1, ids.shape[1], 3)

    for draws in (None, generator()):
        done = gen.generate(never_b, [[0]], [only], max_new_tokens=3, generator=draws)
        assert done.ids == [[0, 1, 2]]
        assert done.log_probs[0][1] == -torch.inf
    logits = only(torch.tensor([[1.0, 2.0, 3.0]] * 2), [[0]] * 2, [[], [0]])
    assert logits.tolist() == [[1.0, -torch.inf, -torch.inf], [-torch.inf, 2.0, -torch.inf]]


def test_rows_follow_the_pattern_each_at_its_own_place():
    only = gen.Constraint(gen.literal("abcde"), Characters("abcde"))
    logits = only(torch.zeros(3, 5), PROMPTS, [[], [0, 1], [0, 1, 2, 3]])
    assert logits.isfinite().nonzero().tolist() == [[0, 0], [1, 2], [2, 4]]


# -- what cannot work ----------------------------------------------------------------------------

AB = Characters("ab")
REFUSED = {
    "text must be a str, got bytes": lambda: gen.literal(b"a"),
    "allowed must hold at least one byte": lambda: gen.one_of(b""),
    "each of allowed must be at most 255": lambda: gen.one_of([256]),
    "each part must be a Pattern, such as literal('a'), got 'a'": lambda: gen.then("a"),
    "each part must be a Pattern, such as literal('a'), got 'b'": lambda: gen.either("b"),
    "least must be at least 0, got -1": lambda: gen.repeat(gen.END, -1, 2),
    "most must be at least 3, got 2": lambda: gen.repeat(gen.literal("a"), 3, 2),
    "text must be bytes, got str": lambda: gen.derivative(gen.END, "a"),
    "form must be String, Integer, Boolean": lambda: gen.json_pattern(str),
    "form must be String, Integer, Boolean, Choice, ListOf, Object or a dict, got 5": (
        lambda: gen.json_pattern({"a": 5})
    ),
    "most must be at least 2, got 1": lambda: gen.String(1, 2),
    "digits must be at least 1, got 0": lambda: gen.Integer(0),
    "negative must be True or False, got 1": lambda: gen.Integer(3, 1),
    "values must hold at least one value": lambda: gen.Choice([]),
    "values must be a list, got one text: 'ab'": lambda: gen.Choice("ab"),
    "least must be at least 0, got -2": lambda: gen.ListOf(gen.Boolean(), 3, -2),
    "fields must be a dict of forms, got ['a']": lambda: gen.Object(["a"]),
    "each key must be a str, got int": lambda: gen.Object({1: gen.Boolean()}),
    "pattern must have a text that the tokenizer can write, and has none": (
        lambda: gen.Constraint(gen.literal("abc"), AB)
    ),
    "most must be at least 4, got 2": lambda: gen.Constraint(gen.literal("abab"), AB, most=2),
    "each part must be a Pattern": lambda: gen.Constraint("aba", AB),
    "tokenizer must be one of companion.tokenizers, got 'ab'": (
        lambda: gen.Constraint(gen.literal("ab"), "ab")
    ),
    "tokenizer must join its tokens without anything between them": (
        lambda: gen.Constraint(
            gen.literal("ab"), WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ab"])
        )
    ),
    "the model must know all 2 tokens of the constraint's tokenizer, and knows 1": (
        lambda: gen.Constraint(gen.literal("ab"), AB)(torch.zeros(1, 1), [[0]], [[]])
    ),
    "there must be room for 3 new tokens, so that no text is cut off, and there is for 2": (
        lambda: gen.generate(
            noisy(2, 0), [[0]], [gen.Constraint(gen.literal("aba"), AB)], max_new_tokens=2
        )
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_work_is_refused(message):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError)) as error:
        REFUSED[message]()
    assert message in str(error.value)
