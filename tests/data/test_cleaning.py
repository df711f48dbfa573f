"""Duplicates, encodings and agreement: against brute force, codecs and scikit-learn."""

import hashlib
import math
import random
import unicodedata
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from companion import data
from companion.data import minhashing
from companion.reference import data as twin
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

texts = st.text(alphabet="ab c", max_size=12)


# -- exact ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Hello,\t\n World ", "hello, world"),
        ("ＡＢＣ　１２", "abc 12"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("e\u0301", "é"),
        ("ﬁne", "fine"),
        ("", ""),
    ],
)
def test_normalise_text(text, expected):
    same("normalise_text", "by hand", data.normalise_text(text), expected)


@shapes_vary
@given(text=st.text(max_size=20))
def test_normalising_twice_changes_nothing(text):
    once = data.normalise_text(text)
    assert data.normalise_text(once) == once
    assert unicodedata.is_normalized("NFKC", once)


# -- shingles and signatures ---------------------------------------------------------------------


@shapes_vary
@given(a=texts.filter(bool), b=texts.filter(bool), k=st.integers(1, 5))
def test_jaccard(a, b, k):
    ours = np.float64(data.jaccard(data.shingles(a, k), data.shingles(b, k)))
    agree("jaccard", "NumPy twin", ours, twin.jaccard(a, b, k))
    by_twin = np.float64(twin.jaccard(a, b, k))
    agree("twin: jaccard", "scikit-learn", by_twin, _share(a, b, k))


def _share(a, b, k):
    """Compare as arrays of 0 and 1, as scikit-learn does."""
    from sklearn.metrics import jaccard_score

    sets = [data.shingles(a, k), data.shingles(b, k)]
    every = sorted(sets[0] | sets[1])
    return jaccard_score(*([piece in some for piece in every] for some in sets))


@pytest.mark.parametrize(
    ("text", "k", "expected"),
    [
        ("banana", 3, {"ban", "ana", "nan"}),
        ("ab", 5, {"ab"}),
        ("", 5, set()),
        ("你好吗", 2, {"你好", "好吗"}),
    ],
)
def test_shingles(text, k, expected):
    same("shingles", "by hand", data.shingles(text, k), expected)


def test_jaccard_of_nothing():
    assert data.jaccard(set(), set()) == 1
    assert data.jaccard(set(), {"a"}) == 0
    same("jaccard", "by hand", data.jaccard("banana", "bandana"), 3 / 4)  # of letters


@shapes_vary
@given(text=texts.filter(bool), seed=seeds, n=st.integers(1, 20))
def test_minhash(text, seed, n):
    pieces = data.shingles(text, 2)
    prime, rng = minhashing.PRIME, np.random.default_rng(seed)
    a, b = rng.integers(1, prime, size=n).tolist(), rng.integers(prime, size=n).tolist()
    digests = [hashlib.blake2b(piece.encode(), digest_size=8).digest() for piece in pieces]
    numbers = [int.from_bytes(digest, "big") % prime for digest in digests]
    ours = data.minhash(pieces, n, seed)
    same("minhash", "NumPy twin", ours, twin.minhash(numbers, a, b, prime))
    assert ours.dtype == np.int64


def test_minhash_by_hand():
    # 3x + 1 and 2x + 6 modulo 7, of 1, 2 and 4: {4, 0, 6} and {1, 3, 0}
    same("twin: minhash", "by hand", twin.minhash([1, 2, 4], [3, 2], [1, 6], 7), [0, 0])


@pytest.mark.parametrize("common", [0, 20, 60, 100])
def test_signatures_agree_as_often_as_sets_do(common):
    a = {f"a{i}" for i in range(100 - common)} | {f"c{i}" for i in range(common)}
    b = {f"b{i}" for i in range(100 - common)} | {f"c{i}" for i in range(common)}
    n, expected = 4096, data.jaccard(a, b)
    found = np.float64(data.estimate_jaccard(data.minhash(a, n), data.minhash(b, n)))
    error = math.sqrt(expected * (1 - expected) / n)
    agree("estimate_jaccard", "jaccard", found, expected, 4 * error + 1e-12, limit="1/√n")


def test_signatures_that_do_not_compare():
    with (
        unchecked(),
        pytest.raises(ValueError, match="same length above 0, got shapes \\(2,\\) and \\(3,\\)"),
    ):
        data.estimate_jaccard(data.minhash(["a"], 2), data.minhash(["a"], 3))
    with pytest.raises(ValueError, match="pieces must hold at least one"):
        data.minhash([])
    with pytest.raises(ValueError, match="n_hashes must be at least 1, got 0"):
        data.minhash(["a"], 0)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        data.shingles("a", 0)


def test_collision_probability():
    for similarity in (0.0, 0.3, 0.8, 1.0):
        # The opposite, in exact fractions: no band is equal.
        none = math.prod([1 - Fraction(str(similarity)) ** 4] * 32)
        ours = np.float64(data.collision_probability(similarity))
        agree("collision_probability", "exact fractions", ours, float(1 - none))
    with pytest.raises(ValueError, match=r"similarity must be from 0 to 1, got 1\.5"):
        data.collision_probability(1.5)


def test_collisions_are_as_frequent_as_they_should_be():
    """Sets with similarity 1/2, in bands of 2 rows: 1 − (1 − 1/4)² of 2000 pairs."""
    met = 0
    for i in range(2000):
        a, b = {f"{i}a", f"{i}b", f"{i}c"}, {f"{i}b", f"{i}c", f"{i}d"}
        signs = np.array([data.minhash(x, 4, seed=i) for x in (a, b)]).reshape(2, 2, 2)
        met += bool((signs[0] == signs[1]).all(axis=1).any())
    expected = data.collision_probability(0.5, bands=2, rows=2)
    error = math.sqrt(expected * (1 - expected) / 2000)
    agree(
        "collision_probability",
        "random pairs",
        np.float64(met / 2000),
        expected,
        4 * error,
        limit="1/√n",
    )


# -- near ----------------------------------------------------------------------------------------


def notices(n=120):
    """Return short notices of which many differ in a word or two."""
    rng = random.Random(0)
    words = [f"word{i}" for i in range(16)]
    found = []
    for i in range(n):
        text = list(words) if i % 2 else rng.sample(words, 9)
        text[rng.randrange(len(text))] = f"w{rng.randrange(20)}"
        found.append(" ".join(text))
    return [*found, found[3], ""]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_near_duplicates(threshold):
    some = notices()
    expected = twin.near_duplicates(some[:-1], threshold, 5)
    assert len(expected) >= {0.5: 100, 0.7: 100, 0.8: 20}.get(threshold, 1)
    bands = {"bands": 64, "rows": 2} if threshold == 0.5 else {}
    found = data.near_duplicates(some, threshold, **bands)
    same("near_duplicates", "NumPy twin", found, expected)
    same("twin: near_duplicates", "near_duplicates", expected, found)


def test_copies_are_reported_without_being_compared(monkeypatch):
    """A thousand equal messages are half a million pairs; none of them needs a comparison."""
    from companion.data import duplicates

    compared = []
    monkeypatch.setattr(duplicates, "jaccard", lambda *pair: compared.append(pair) or 0.9)
    texts = ["call me when you are home"] * 1000 + ["call me when you are at home"]
    found = data.near_duplicates(texts, 0.5)
    assert len(found) == 1000 * 999 // 2 + 1000
    assert len(compared) == 1
    assert found[0] == (0, 1, 1.0)
    assert found[999] == (0, 1000, 0.9)


@pytest.mark.parametrize(
    "use",
    [data.near_duplicates, lambda text: data.leakage(text, ["a"]), data.minhash],
    ids=["near", "leakage", "minhash"],
)
def test_one_text_is_not_a_list_of_texts(use):
    with unchecked(), pytest.raises(TypeError, match="be a list of texts, got one text: 'abc'"):
        use("abc")


def test_near_duplicates_compares_few_pairs(monkeypatch):
    from companion.data import duplicates

    rng = random.Random(0)
    some = ["".join(rng.choices("abcdefghij", k=60)) for _ in range(300)]
    some.append(some[0] + "!")
    compared = []
    monkeypatch.setattr(
        duplicates, "jaccard", lambda a, b: compared.append(1) or data.jaccard(a, b)
    )
    assert [pair[:2] for pair in data.near_duplicates(some, 0.9)] == [(0, 300)]
    assert len(compared) < 50  # of 45,150


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_a_threshold_out_of_range(threshold):
    with pytest.raises(
        ValueError, match=f"threshold must be above 0 and at most 1, got {threshold}"
    ):
        data.near_duplicates(["a"], threshold)
    if threshold:
        with pytest.raises(ValueError, match="threshold must be above 0 and at most 1"):
            data.leakage(["a"], ["a"], threshold)


def test_leakage():
    train = ["The film is good.", "So so.", "THE FILM  IS GOOD."]
    test = ["the film is good.", "the film is good!", "Bad."]
    same("leakage", "by hand", data.leakage(train, test), [(0, 0, 1.0), (2, 0, 1.0)])
    near = data.leakage(train, test, threshold=0.8)
    alike = twin.jaccard("the film is good.", "the film is good!", 5)
    assert alike > 0.8
    same("leakage", "by hand", near, [(0, 0, 1.0), (0, 1, alike), (2, 0, 1.0), (2, 1, alike)])
    assert data.leakage(train, ["Nothing of the kind."], 0.5) == []


# -- encodings -----------------------------------------------------------------------------------


@shapes_vary
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=20))
def test_what_was_garbled_can_be_mended(text):
    garbled = data.garble(text)
    same("mend_mojibake", "the text before", data.mend_mojibake(garbled), text)
    assert (garbled == text) is text.isascii()


@pytest.mark.parametrize(
    ("text", "wrong", "garbled"),
    [
        ("café", "cp1252", "cafÃ©"),
        ("don’t", "cp1252", "donâ€™t"),
        ("你好", "gbk", "浣犲ソ"),
        ("é", "latin-1", "Ã©"),
    ],
)
def test_garble(text, wrong, garbled):
    same("garble", "by hand", data.garble(text, wrong), garbled)
    same("garble", "codecs", data.garble(text, wrong), text.encode().decode(wrong))
    same("mend_mojibake", "codecs", data.mend_mojibake(garbled, wrong), text)


def test_what_was_not_garbled_cannot_be_mended():
    for text, wrong in (("café", "cp1252"), ("你好", "cp1252"), ("你好", "gbk")):
        with pytest.raises(ValueError, match=f"'{text}' is not UTF-8 read as {wrong}"):
            data.mend_mojibake(text, wrong)
    with pytest.raises(ValueError, match="in UTF-8 cannot be read as gbk"):
        data.garble("€", "gbk")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text,\n with lines\tand tabs", []),
        ("naïve café, 你好, 😂, Straße", []),
        ("a\ufffd", ["replacement character U+FFFD at 1"]),
        ("\x00\x85", ["control character U+0000 at 0", "control character U+0085 at 1"]),
        ("a\ud83d", ["lone surrogate U+D83D at 1"]),
        ("\ue000", ["private character U+E000 at 0"]),
        ("\uffff", ["unassigned character U+FFFF at 0"]),
        ("\ufeffa\ufeff", ["byte order mark U+FEFF at 2"]),
        ("cafÃ©", ["mojibake of UTF-8 read as cp1252, for 'café'"]),
        ("浣犲ソ", ["mojibake of UTF-8 read as gbk, for '你好'"]),
    ],
)
def test_suspicious_characters(text, expected):
    same("suspicious_characters", "by hand", data.suspicious_characters(text), expected)


def frequent_characters():
    """Yield the 3,755 characters of the first level of GB 2312."""
    for lead in range(0xB0, 0xD8):
        for trail in range(0xA1, 0xFF):
            try:
                yield bytes([lead, trail]).decode("gb2312")
            except UnicodeDecodeError:
                continue


def test_no_common_character_is_taken_for_mojibake():
    """Many can be read as UTF-8, alone or doubled: 毛毛 has the bytes of ëë."""
    found = list(frequent_characters())
    assert len(found) == 3755
    for text in [*found, *(2 * character for character in found)]:
        assert data.suspicious_characters(text) == [], text


@pytest.mark.parametrize(
    "text", ["見", "規則", "計", "記", "褲", "號", "処", "浣熊", "Ó°", "CAFÉ®", "«É»"]
)
def test_what_can_be_read_in_another_way_is_not_mojibake_for_that(text):
    assert data.suspicious_characters(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *("中文编码", "“quoted” — naïve", "Привет", "日本語", "10 €", "Đà Nẵng"),
        *("שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "سلام دنیا", "नमस्ते दुनिया", "สวัสดีชาวโลก"),
        *("გამარჯობა", "Բարեւ աշխարհ", "வணக்கம் உலகம்", "ሰላም ልዑል", "good 👍🏽", "안녕하세요"),
    ],
)
def test_mojibake_is_noticed(text):
    assert data.suspicious_characters(data.garble(text))[-1].endswith(f"for {text!r}")


@pytest.mark.parametrize("text", ["שלום עולם", "مرحبا بالعالم", "Բարեւ աշխարհ", "Привет, мир"])
def test_mojibake_in_chinese_characters_is_noticed(text):
    found = data.suspicious_characters(data.garble(text, "gbk"))
    assert found[-1] == f"mojibake of UTF-8 read as gbk, for {text!r}"


@pytest.mark.parametrize("text", ["Spaß”", "TSCHÜSS, Ü“", "OÙ…", "5×‘", "谫谫", "囟囟囟", "Ø¶"])
def test_a_letter_of_a_rare_script_is_no_evidence(text):
    """Read as UTF-8 each of these gives one letter of Arabic, Hebrew, Syriac, or a few of them."""
    assert data.suspicious_characters(text) == []


def test_garbled_chinese_is_noticed():
    found = data.suspicious_characters(data.garble("你好"))
    assert found[-1] == "mojibake of UTF-8 read as cp1252, for '你好'"


# -- agreement -----------------------------------------------------------------------------------

labels = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from("xyz")), min_size=2, max_size=30
)


@shapes_vary
@given(pairs=labels.filter(lambda pairs: len({label for pair in pairs for label in pair}) > 1))
def test_cohens_kappa(pairs):
    a, b = map(list, zip(*pairs, strict=True))
    ours = np.float64(data.cohens_kappa(a, b))
    agree("cohens_kappa", "scikit-learn", ours, cohen_kappa_score(a, b))
    agree("cohens_kappa", "NumPy twin", ours, float(twin.cohens_kappa(a, b)))
    by_twin = np.float64(twin.cohens_kappa(a, b))
    agree("twin: cohens_kappa", "scikit-learn", by_twin, cohen_kappa_score(a, b))
    same("confusion", "scikit-learn", data.confusion(a, b), confusion_matrix(a, b))


def test_cohens_kappa_by_hand():
    # of 50 rows, 20 twice yes, 15 twice no, 5 and 10 mixed: 0.7 agree, 0.5 by chance
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    agree("cohens_kappa", "by hand", np.float64(data.cohens_kappa(a, b)), 0.4)
    agree("cohens_kappa", "by hand", np.float64(data.cohens_kappa(a, a)), 1.0)
    agree(
        "cohens_kappa", "by hand", np.float64(data.cohens_kappa([0, 1, 0, 1], [1, 0, 1, 0])), -1.0
    )


def test_kappa_of_one_label():
    with pytest.raises(ValueError, match="at least two labels between them: kappa is 0 / 0"):
        data.cohens_kappa([1, 1], [1, 1])


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 2])])
def test_labels_of_other_rows(a, b):
    with pytest.raises(ValueError, match="a and b must be of the same length above 0, got"):
        data.confusion(a, b)


def test_texts_have_an_order():
    """The rows of a set are others in each process."""
    for use in (data.near_duplicates, lambda texts: data.leakage(texts, ["a"])):
        with unchecked(), pytest.raises(TypeError, match="must have an order, got a set"):
            use({"a", "b"})


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, math.nan])
def test_threshold_of_leakage(threshold):
    with pytest.raises(ValueError, match="threshold must be above 0 and at most 1"):
        data.leakage(["a"], ["a"], threshold)
    with unchecked(), pytest.raises(TypeError, match=r"k must be a whole number, got 2\.5"):
        data.leakage(["a"], ["a"], 1.0, 2.5)


@pytest.mark.parametrize("seed", [None, 1.5, [1, 2], "a", True])
def test_seed_of_signatures(seed):
    """None would give signatures that do not compare."""
    for use in (
        lambda: data.minhash(["a"], seed=seed),
        lambda: data.near_duplicates(["abcdef", "abcdeg"], seed=seed),
    ):
        with unchecked(), pytest.raises(TypeError, match="seed must be a whole number, got"):
            use()
