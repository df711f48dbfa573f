"""A text that comes in pieces has the ids of the whole, wherever it is cut."""

import random
import tracemalloc

import pytest
import regex
import tiktoken
from hypothesis import example, given
from hypothesis import strategies as st
from tiktoken_ext import openai_public

from companion.tokenizers import (
    BPE,
    GPT2_PATTERN,
    GPT4_PATTERN,
    SMOLLM_PATTERN,
    Characters,
    WordPiece,
    Words,
    streaming,
)
from tests.plugins.shapes import unchecked
from tests.support import shapes_vary
from tests.verification import same

NAMES = ["<|end|>", "<|end|>+", "<|", "the end"]
LETTERS = "aé中ß1²  \n\r\t\u3000\xa0'’.,!<|end|>+sltd\u0301😀"
WORDS = [
    *NAMES,
    "don't",
    "We'LL",
    "  ",
    "\r\n",
    "1234",
    "中文，好",
    "!!\n\n",
    " \n ",
    "the",
    " the",
]
texts = st.lists(st.sampled_from([*WORDS, *LETTERS]), max_size=40).map("".join)
TRAINED = "the cat's hat, don't! 中文，好 1234\n\n the the end\n" * 3
MAKERS = {
    "GPT-2's pattern": lambda: BPE.train(TRAINED, 300, NAMES),
    "GPT-4's pattern": lambda: BPE.train(TRAINED, 300, NAMES, GPT4_PATTERN),
    "SmolLM's pattern": lambda: BPE.train(TRAINED, 300, NAMES, SMOLLM_PATTERN),
    "another pattern": lambda: BPE.train(TRAINED, 300, NAMES, r"\w+(?= )|.*?\n"),
    "characters": lambda: Characters(sorted({*LETTERS, *"".join(WORDS), *"[CLSEP]bxy"}), NAMES),
    "words": lambda: Words([], NAMES),
    "WordPiece": lambda: WordPiece(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"aes1中文.,!<|>+'", "##n", "##d", "end", "th", "##e"]
    ),
}


@pytest.fixture(scope="module", params=MAKERS)
def tokenizer(request):
    return MAKERS[request.param]()


def cut(text, places):
    ends = sorted(place % (len(text) + 1) for place in places)
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@shapes_vary
@given(text=texts, places=st.lists(st.integers(0, 200), max_size=9), special=st.booleans())
@example(text="a<|end|>+b", places=[2, 5, 8, 9], special=True)
@example(text="x  \n\n  y'll", places=[1, 2, 3, 4, 5, 6, 7, 8], special=False)
@example(text="[CLS]a[SEP]", places=[2, 8], special=True)
@pytest.mark.parametrize("block", [1, 3, 1 << 12])
def test_the_ids_are_those_of_the_whole(monkeypatch, tokenizer, text, places, special, block):
    monkeypatch.setattr(streaming, "BLOCK", block)
    if isinstance(tokenizer, Words):  # of which it must know every one
        tokenizer = Words(Words.train([text, *streaming.split_at(NAMES, text)]).entries, NAMES)
    name = f"{type(tokenizer).__name__}.encode_iterable"
    whole = tokenizer.encode(text, special)
    for pieces in (cut(text, places), list(text), [text], iter([text, ""])):
        same(name, "the whole text", list(tokenizer.encode_iterable(pieces, special)), whole)


@pytest.mark.verifies("parts", "names, and texts between them that lose nothing")
def test_parts_are_the_text(tokenizer, monkeypatch):
    monkeypatch.setattr(streaming, "BLOCK", 1)
    rng = random.Random(0)
    for _ in range(200):
        text = "".join(rng.choices(WORDS, k=20))
        for pattern in (streaming.AFTER_WORDS, streaming.ANYWHERE, streaming.NOWHERE):
            found = list(streaming.parts(list(text), NAMES, pattern))
            assert "".join(found) == text
            expected = streaming.split_at(NAMES, text)[1::2]
            same("split_at", "parts", [part for part in found if part in NAMES], expected)


@pytest.mark.parametrize(
    "pattern",
    [GPT2_PATTERN, GPT4_PATTERN, SMOLLM_PATTERN],
    ids=["GPT-2", "GPT-4", "SmolLM"],
)
@shapes_vary
@given(before=texts, after=texts)
def test_where_it_is_cut_every_word_ends_whatever_follows(pattern, before, after):
    """Of each of the patterns, by the words of regex itself."""
    places = [m.start() for m in regex.finditer(streaming.AFTER_WORDS[4:], before + after)]
    words = [m.end() for m in regex.finditer(pattern, before + after)]
    assert set(places) <= set(words)
    for place in places:
        head = regex.findall(pattern, (before + after)[:place])
        assert head == regex.findall(pattern, before + after)[: len(head)]


def test_a_large_file_takes_little_memory():
    tokenizer = BPE.train(TRAINED, 300, NAMES)
    line = "the cat's hat and 中文，好。没有空格的一行文字\n"

    def largest(n):
        tracemalloc.start()
        count = sum(1 for _ in tokenizer.encode_iterable((line for _ in range(n)), True))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == n * len(tokenizer.encode(line))
        return peak

    largest(100)
    assert largest(1000) < 1.5 * largest(200) + 50_000  # the file is 5 times as long


def test_a_piece_is_a_text(tokenizer):
    with unchecked():
        for pieces in ([b"ab"], ["a", None], 5, None, [["a"]]):
            with pytest.raises(TypeError, match="texts must be a"):
                list(tokenizer.encode_iterable(pieces))


def test_half_a_surrogate_pair_is_found_in_its_place():
    with pytest.raises(ValueError, match=r"U\+D83D, at position 7"):
        list(BPE.train("", 256).encode_iterable(["ab cd ", "e\ud83d"]))
    with pytest.raises(ValueError, match="at position 9"):
        BPE.train("", 263, ["<|end|>"]).encode("a<|end|>b\ud83d", True)


# -- GPT-4's pattern -----------------------------------------------------------------------------


def published():
    """Return the pattern that tiktoken has for GPT-4, without its ranks, which it downloads."""
    facts = {}
    load = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        facts = openai_public.cl100k_base()
    finally:
        openai_public.load_tiktoken_bpe = load
    return facts["pat_str"]


def test_the_pattern_is_the_published_one():
    assert published() == GPT4_PATTERN


@pytest.fixture(scope="module")
def pair():
    """The same merges here and in tiktoken."""
    ours = BPE.train(TRAINED, 320, ["<|end|>"], GPT4_PATTERN)
    theirs = tiktoken.Encoding(
        "ours", pat_str=GPT4_PATTERN, mergeable_ranks=ours.ids, special_tokens=ours.special_ids
    )
    return ours, theirs


@shapes_vary
@given(texts)
@example("I'LL don't 12345 \r\n\r\n  x\t\ty!\n")
def test_gpt4_s_pattern_as_tiktoken_has_it(pair, text):
    ours, theirs = pair
    same("BPE.encode, GPT-4's pattern", "tiktoken", ours.encode(text), theirs.encode_ordinary(text))
