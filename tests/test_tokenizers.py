import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import BertTokenizerFast

from companion.models.loading import _find_files
from companion.tokenizers import WordPiece
from tests.support import shapes_vary
from tests.verification import same as equal

ORACLE = "transformers.BertTokenizerFast"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(scope="module")
def vocabulary():
    return _find_files("all-MiniLM-L6-v2")["vocab.txt"]


@pytest.fixture(scope="module")
def ours(vocabulary):
    return WordPiece.from_file(vocabulary)


@pytest.fixture(scope="module")
def theirs(vocabulary):
    # A text that spells out "[SEP]" is plain text to WordPiece, not a special token.
    return BertTokenizerFast(str(vocabulary), do_lower_case=True, split_special_tokens=True)


def same(ours, theirs, text):
    ids = theirs(text).input_ids
    equal("WordPiece.encode", ORACLE, ours.encode(text), ids)
    equal("WordPiece.tokenize", ORACLE, ours.tokenize(text), theirs.convert_ids_to_tokens(ids))


TEXTS = {
    "empty": "",
    "blanks": " \t\n\r  ",
    "plain": "How can each word look at every other?",
    "case": "McDonald's HTTPServer iPhone",
    "accents": "Éric naïve façade Ångström Zoë coöperate São",
    "combining": "e\u0301 a\u030a n\u0303o",
    "vietnamese": "Tiếng Việt Hồ Chí Minh",
    "german": "Straße GROẞ Fußgängerübergänge",
    "turkish": "İstanbul ıI",
    "greek": "ΟΔΟΣ Οδός ΣΑΣ",
    "russian": "Ёлка и ёж",
    "chinese": "自注意力模型attention机制,很好。",
    "chinese, rare": "\u3400\U00020000\U0002a700\U0002b740\uf900\U0002f800x",
    "japanese": "東京タワー がぎぐ ﾊﾛｰ",
    "korean": "한국어 단어",
    "arabic": "مَرْحَبًا بالعالم",
    "hindi": "नमस्ते दुनिया",
    "emoji": "ok 👍🏽 family 👨‍👩‍👧 flag 🇩🇪 ❤️done",
    "ligatures": "ﬁnd ½ ② ™ Ⅳ",
    "punctuation": "!!!??...---###$$$%%%^^^```~~~+++<<<>>>===|||",
    "quotes": "“It’s—well…” «so» 'tis",
    "underscores": "snake_case __init__ a@b.c http://x.y/z?q=1&r=2",
    "numbers": "3.14159 1,000,000 0x1F 1e-10 2024-02-30",
    "special tokens": "[CLS] [SEP] [MASK] [UNK] ##ing",
    "controls": "a\x00b\x01c\x07d\x7fe\x80f\x9fg",
    "odd blanks": "a\x0bb\x0cc\x1cd\x1fe\x85f\u00a0g\u2003h\u3000i\u2028j\u2029k",
    "invisible": "a\u200bb\u200dc\ufeffd\u00ade\u2060f\ue000g\ufffdh",
    "longest word": "a" * 100,
    "too long a word": "a" * 101,
    "too long with accents": "é" * 101,
    "long run of marks": "x" + "\u0301" * 200 + "y",
    "unknown": "\u16a0\u16a1 known",
    "code": "for i in range(10):\n\tprint(f'{i:>3}')  # done",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_agrees_with_transformers(ours, theirs, kind):
    same(ours, theirs, TEXTS[kind])


def settled(character):
    """Exclude what Unicode has added or moved since 3.2: the oracle carries tables of 8.0.

    The oracle also lacks U+2B820 to U+2B91F among the Chinese characters of the original.
    """
    then = unicodedata.ucd_3_2_0.category(character)
    return then == unicodedata.category(character) != "Cs" and then != "Cn"


characters = st.characters(exclude_categories=["Cs"]).filter(settled)
pieces = st.one_of(
    st.text(characters, max_size=6),
    st.text(st.sampled_from("aeiounst AZ.,'-_é\u0301ß中文Σς\t\n\x0b\x85\u200b"), max_size=12),
    st.sampled_from(["un", "want", "ed", "ing", "attention", "ization", " "]),
)


@shapes_vary
@given(text=st.lists(pieces, max_size=12).map("".join))
@example(text="unwanteding")
def test_agrees_with_transformers_on_any_text(ours, theirs, text):
    same(ours, theirs, text)


def alphabets():
    """Every settled character of the basic plane, but of the two huge blocks only some."""
    for point in range(0x10000):
        huge = 0x3400 <= point < 0xA000 or 0xAC00 <= point < 0xD7A4
        if settled(chr(point)) and (not huge or point % 199 == 0):
            yield chr(point)


def test_every_alphabet(ours, theirs):
    """Each between two letters: does it vanish, split, stand alone, or belong to the word?"""
    texts = [f"a{character}b" for character in alphabets()]
    assert len(texts) > 8_000
    ids = theirs(texts).input_ids
    wrong = [t for t, i in zip(texts, ids, strict=True) if ours.encode(t) != i]
    equal("WordPiece.encode, every alphabet", ORACLE, wrong, [])


TOY = [*SPECIAL, "un", "##want", "##wanted", "##ed", "u", "##n", "!", "want"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("unwanted", ["un", "##wanted"]),  # the longest piece first, not ##want ##ed
        ("UNWANT", ["un", "##want"]),
        ("wanted", ["want", "##ed"]),
        ("uned!", ["un", "##ed", "!"]),
        ("unx", ["[UNK]"]),  # a word with an unknown end is unknown altogether
        ("un x want", ["un", "[UNK]", "want"]),
        ("un\x00want", ["un", "##want"]),
        ("un\x0bwant", ["un", "##want"]),
        ("un\twant", ["un", "want"]),
    ],
)
def test_pieces_by_hand(text, pieces):
    toy = WordPiece(TOY)
    equal("WordPiece.tokenize", "by hand", toy.tokenize(text), ["[CLS]", *pieces, "[SEP]"])
    assert toy.encode(text) == [TOY.index(piece) for piece in toy.tokenize(text)]


def test_reads_a_file_line_by_line(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, "é", "a b"]) + "\n", encoding="utf-8")
    assert WordPiece.from_file(path).pieces == [*SPECIAL, "é", "a b"]
    with pytest.raises(FileNotFoundError):
        WordPiece.from_file(tmp_path / "nothing.txt")


@pytest.mark.parametrize("missing", SPECIAL)
def test_refuses_a_vocabulary_without_special_tokens(missing):
    with pytest.raises(ValueError, match=rf"vocabulary .*\['\{missing[:-1]}\]'\]"):
        WordPiece([piece for piece in TOY if piece != missing])


def test_refuses_a_piece_that_stands_twice():
    with pytest.raises(ValueError, match="vocabulary must not hold a piece twice"):
        WordPiece([*TOY, "un"])
