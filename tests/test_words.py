"""One token a word: where texts are cut, as the library tokenizers does it, and what is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from companion.tinyworld import TinyWorld
from companion.tokenizers import WORDS_PATTERN, Characters, ClosedVocabulary, Words
from companion.tokenizers.wordpiece import CJK_BLOCKS
from tests.plugins.shapes import unchecked
from tests.support import shapes_vary
from tests.verification import same

CUT = {
    "": [],
    "One morning Anna": ["One", " morning", " Anna"],
    " went. It": [" went", ".", " It"],
    "a  b": ["a", " ", " b"],
    "a . ": ["a", " ", ".", " "],
    "don't, x_1": ["don", "'", "t", ",", " x_1"],
    "安娜去了。Anna": ["安", "娜", "去", "了", "。", "Anna"],
    "a中 中b": ["a", "中", " ", "中", "b"],
    "e\u0301 \u00e9": ["e\u0301", " \u00e9"],
    "a\n\tb\u00a0c": ["a", "\n", "\t", "b", "\u00a0", "c"],
}


@pytest.mark.parametrize("text", CUT)
def test_words_by_hand(text):
    words = Words.train(text)
    same("Words.cut", "by hand", Words.cut(text), CUT[text])
    same("Words.train", "by hand", words.entries, sorted(set(CUT[text])))
    same("Words.encode", "by hand", words.encode(text), [words.ids[word] for word in CUT[text]])


# -- the library tokenizers ----------------------------------------------------------------------

HAN = "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in CJK_BLOCKS)
SPLIT = Regex(rf"[{HAN}]| ?[[\p{{L}}\p{{M}}\p{{N}}_]&&[^{HAN}]]+|[\s\S]")
LATIN = ["the", "One", " day", "Ü", "ß1", "_", "e\u0301", "ﬁ", "²", "<|end|>", "<|", "."]
OTHER = [
    "中",
    "文",
    "\U00020000",
    "カ",
    "。",
    "😀",
    "٣",
    "\u0301",
    "'",
    "!?",
    "  ",
    " ",
    "\n",
    "\u3000",
]
pieces = st.sampled_from([*LATIN, *OTHER])
texts = st.lists(pieces, max_size=30).map("".join)


def theirs(text, special):
    """Return the library's tokenizer of the words of a text, and these words in order."""
    splitter = pre_tokenizers.Split(SPLIT, "isolated")
    words = sorted({word for part in text for word, _ in splitter.pre_tokenize_str(part)})
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}))
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(special)
    return tokenizer, words


@shapes_vary
@given(text=texts, special=st.booleans())
@example(text="One day, a中  文 b.\n\n", special=False)
@example(text="the<|end|> day<|end|>", special=True)
def test_words_as_the_library_has_them(text, special):
    names = ["<|end|>"] if special else []
    ours = Words.train(text, names)
    other, words = theirs(text.split("<|end|>") if special else [text], names)
    oracle = "tokenizers.models.WordLevel"
    same("Words.train", oracle, ours.entries, words)
    ids = other.encode(text).ids
    same("Words.encode", oracle, ours.encode(text, allow_special=special), ids)
    same("Words.decode", "the text", ours.decode(ids), text)


# -- a closed vocabulary -------------------------------------------------------------------------


@pytest.mark.verifies("ClosedVocabulary", "characters as words that are one character long")
def test_characters_and_words_differ_only_in_where_they_cut():
    text = "中文，好。"
    words, characters = Words.train(text, ["<|end|>"]), Characters.train(text, ["<|end|>"])
    assert words.encode(text) == characters.encode(text)
    assert words.special_ids == characters.special_ids == {"<|end|>": 5}
    with pytest.raises(NotImplementedError):
        ClosedVocabulary.cut(text)


def test_every_word_of_tiny_world_is_a_token():
    for language, mark in (("en", "."), ("zh", "。")):
        text = TinyWorld(seed=2, language=language).story()
        words = Words.train(text)
        assert words.tokens[words.encode(text)[-1]] == mark
        assert " " not in words.ids
        assert words.decode(words.encode(text)) == text


def test_a_word_that_is_not_there_is_named():
    words = Words(["One", " day", "."], ["<|end|>"])
    known = "is not in the vocabulary of 3 words"
    with pytest.raises(ValueError, match=f"' night' at position 7 {known}"):
        words.encode("One day night.")
    with pytest.raises(ValueError, match=f"'day' at position 10 {known}"):
        words.encode("One<|end|>day", allow_special=True)
    with pytest.raises(ValueError, match=rf"' ' \(U\+0020\) at position 4 {known}"):
        list(words.encode_iterable(["One", ". "]))
    with pytest.raises(ValueError, match=rf"'<' \(U\+003C\) at position 0 {known}"):
        words.encode("<|end|>")


WRONG = {
    "words must not hold a word twice": ["a", "b", "a"],
    "words must be single words, got 'a b'": ["a b"],
    "words must be single words, got ''": [""],
    "words must be single words, got '中文'": ["中文"],
    "words must be single words, got ' \\.'": [" ."],
}
WRONG_KINDS = {
    "words must be a list of texts, got one text: 'abc'": "abc",
    "words must have an order, got a set": {"a"},
    "each of words must be a str, got int": [1],
    "words must be a list, got int": 5,
}


@pytest.mark.parametrize("message", [*WRONG, *WRONG_KINDS])
def test_vocabularies_that_are_none(message):
    with (
        unchecked(),
        pytest.raises(TypeError if message in WRONG_KINDS else ValueError, match=message),
    ):
        Words((WRONG | WRONG_KINDS)[message])


def test_what_is_trained_on_is_text():
    assert Words.train(["a b", "b"]).entries == [" b", "a", "b"]
    assert Words.train([]).vocab_size == 0
    with unchecked():
        for texts in (b"ab", [b"ab"], 5, None):
            with pytest.raises(TypeError, match="text must be a"):
                Words.train(texts)


def test_the_pattern_leaves_nothing_out():
    text = "".join(map(chr, range(0x250))) + " 中\u3000。\n"
    assert "".join(Words.cut(text)) == text
    assert WORDS_PATTERN.endswith("(?s:.)")
