"""What all tokenizers keep: one test for all of them."""

import copy
import pickle
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders

from companion.tokenizers import BPE, Characters, ChatBPE, Tokenizer, WordPiece, Words
from tests.plugins.shapes import unchecked
from tests.support import shapes_vary
from tests.verification import same

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##want", "##ed", *"abcé中.,", "##b"]
WORDS = ["abc", " abc", " cab", "ab", " ab", "c", " ", *".,中", "a" * 5_000]
MAKERS = {
    "Characters": lambda: Characters("abcdé中 .,", ["<|end|>", "<|pad|>"]),
    "Words": lambda: Words(WORDS, ["<|end|>", "<|pad|>"]),
    "BPE": lambda: BPE.train("abc abc cab", 265, ["<|end|>", "<|pad|>"]),
    "ChatBPE": lambda: ChatBPE([(b"a", b"b"), (b"ab", b"c")]),
    "WordPiece": lambda: WordPiece(PIECES),
}


@pytest.fixture(scope="module", params=MAKERS)
def tokenizer(request):
    return MAKERS[request.param]()


@pytest.mark.verifies("Tokenizer", "kept by all of them, and not by a text")
def test_all_keep_the_protocol(tokenizer):
    assert isinstance(tokenizer, Tokenizer)
    assert not isinstance("abc", Tokenizer)


@shapes_vary
@given(text=st.text("abcé中 .,", max_size=30))
def test_a_text_comes_back(tokenizer, text):
    if isinstance(tokenizer, Words):  # which knows no others than those it was made of
        tokenizer = Words.train(text)
    back = tokenizer.decode(tokenizer.encode(text))
    if isinstance(tokenizer, WordPiece):  # which forgets blanks, accents and what it does not know
        known = [c for c in unicodedata.normalize("NFD", text) if not c.isspace()]
        found = back.removeprefix("[CLS]").removesuffix("[SEP]").replace("[UNK]", "")
        assert set(found) - set(" ") <= set(known)
        same("WordPiece.decode", "its pieces", tokenizer.encode(text), ids_of(tokenizer, text))
    else:
        same(f"{type(tokenizer).__name__}.decode", "the text", back, text)


def ids_of(wordpiece, text):
    return [wordpiece.pieces.index(piece) for piece in wordpiece.tokenize(text)]


def test_pieces_are_joined_as_transformers_does(tmp_path):
    from transformers import BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    ours = WordPiece(PIECES)
    theirs = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    theirs.backend_tokenizer.decoder = decoders.WordPiece(cleanup=False)
    for text in ("Unwanted, b. unb 中é", "", "unwantedwanted abab"):
        ids = ours.encode(text)
        expected = theirs.decode(ids)
        same("WordPiece.decode", "transformers.BertTokenizerFast", ours.decode(ids), expected)


def test_every_id_is_below_the_size(tokenizer):
    ids = tokenizer.encode("abc abc. 中")
    assert all(type(i) is int and 0 <= i < tokenizer.vocab_size for i in ids)
    assert set(tokenizer.special_ids.values()) <= set(range(tokenizer.vocab_size))
    back = tokenizer.decode(ids)
    with unchecked():
        for form in (tuple(ids), iter(ids), np.array(ids, np.uint16), torch.tensor(ids)):
            assert tokenizer.decode(form) == back
        assert tokenizer.decode([torch.tensor(ids[0]), *map(np.uint16, ids[1:])]) == back
    assert tokenizer.decode([]) == ""


def test_special_tokens_are_text_unless_allowed(tokenizer):
    name, number = next(reversed(tokenizer.special_ids.items()))
    assert number in tokenizer.encode(f"ab{name}c", allow_special=True)
    assert tokenizer.decode([number]) == name
    if not isinstance(tokenizer, Characters | Words):  # which have no such letters
        assert number not in tokenizer.encode(f"ab{name}c")


@pytest.mark.parametrize("text", [b"abc", None, ["a", "b"], 5, bytearray(b"a"), ("a",)])
def test_what_is_no_text_is_refused(tokenizer, text):
    with unchecked(), pytest.raises(TypeError, match="text must be a str, got"):
        tokenizer.encode(text)


def test_texts_of_other_makers(tokenizer):
    assert tokenizer.encode(np.str_("abc")) == tokenizer.encode("abc")


def test_half_a_surrogate_pair_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"U\+D83D\)?,? at position 2"):
        tokenizer.encode("ab\ud83d")


NO_IDS = {
    "a truth value": [True],
    "truth values": torch.tensor([True]),
    "a float": [1.0],
    "floats": np.array([1.0]),
    "texts": ["1"],
    "a text": "12",
    "bytes": b"12",
    "rows": [[1, 2]],
    "a number": 5,
    "nothing": None,
    "a hole": [None],
}


@pytest.mark.parametrize("ids", NO_IDS.values(), ids=NO_IDS)
def test_what_is_no_id_is_refused(tokenizer, ids):
    with unchecked(), pytest.raises(TypeError, match=r"ids must be (a list of )?whole numbers"):
        tokenizer.decode(ids)


@pytest.mark.parametrize("wanted", ["none", "all", {"<|end|>"}, 1, None], ids=str)
def test_special_tokens_are_allowed_or_not(tokenizer, wanted):
    """Other libraries take a word or a set here; any of them counts as true in Python."""
    with unchecked():
        for call in (tokenizer.encode, lambda *args: list(tokenizer.encode_iterable(*args))):
            with pytest.raises(TypeError, match="allow_special must be True or False, got"):
                call("abc", wanted)


def test_ids_have_an_order(tokenizer):
    with unchecked(), pytest.raises(TypeError, match="ids must have an order, got a set"):
        tokenizer.decode({5, 6})


@pytest.mark.parametrize("kind", [WordPiece, Characters], ids=["WordPiece", "Characters"])
def test_a_vocabulary_stands_in_the_order_of_its_ids(kind):
    """The ids of a dict would be passed over, and those of a set are others in each process."""
    with unchecked():
        with pytest.raises(TypeError, match="in the order of their ids"):
            kind({"[PAD]": 3, "[UNK]": 2, "[CLS]": 1, "[SEP]": 0})
        with pytest.raises(TypeError, match="must have an order, got a set"):
            kind({"[PAD]", "[UNK]", "[CLS]", "[SEP]"})


@pytest.mark.parametrize("form", [np.array, torch.tensor], ids=["array", "tensor"])
def test_ids_stand_in_one_row(tokenizer, form):
    with unchecked(), pytest.raises(ValueError, match=r"one dimension, got shape \(1, 2\)"):
        tokenizer.decode(form([[1, 2]]))


@pytest.mark.parametrize("number", [-1, 10**9, 2**70])
def test_ids_that_are_not_there_are_named(tokenizer, number):
    with pytest.raises(ValueError, match=rf"ids must be .*, got {number}"):
        tokenizer.decode([0, number])


def test_a_very_long_text(tokenizer):
    for text in ("a" * 5_000, "ab. " * 1_000):
        ids = tokenizer.encode(text)
        if not isinstance(tokenizer, WordPiece):
            assert tokenizer.decode(ids) == text


def test_copies_are_alike(tokenizer):
    tokenizer.encode("abc")  # what it remembers does not come along
    for again in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        assert again.special_ids == tokenizer.special_ids
        assert again.encode("abc, cab") == tokenizer.encode("abc, cab")


def test_what_it_is_called_shows_its_size(tokenizer):
    name = type(tokenizer).__name__
    special = list(tokenizer.special_ids)
    assert repr(tokenizer) == f"{name}(vocab_size={tokenizer.vocab_size}, special_tokens={special})"


# -- special tokens ------------------------------------------------------------------------------

OPEN = {
    "Characters": lambda s=(): Characters("ab", s),
    "Words": lambda s=(): Words(["a", "ab"], s),
    "BPE": lambda s=(): BPE([], s),
}


@pytest.fixture(params=OPEN)
def make(request):
    return OPEN[request.param]


def test_ids_are_chosen_or_added_later(make):
    chosen = make({"<a>": 900, "<b>": 700})
    assert chosen.special_ids == {"<a>": 900, "<b>": 700}
    assert chosen.vocab_size == 901  # as many rows as a table of embeddings needs
    assert chosen.encode("<b>a<a>", allow_special=True)[::2] == [700, 900]
    with pytest.raises(ValueError, match="got 800"):
        chosen.decode([800])
    before, later = make(), make()
    later.add_special_tokens(["<a>", "<b>"])
    same(
        f"{type(later).__name__}.add_special_tokens",
        "from the first",
        later.special_ids,
        make(["<a>", "<b>"]).special_ids,
    )
    assert later.encode("ab") == before.encode("ab")
    later.add_special_tokens({"<c>": 999})
    again = pickle.loads(pickle.dumps(later))
    assert again.special_ids == later.special_ids
    assert again.decode([999]) == "<c>"


WRONG = {
    "special_tokens must be a list of names, got one: '<a>'": "<a>",
    "each of special_tokens must be a str, got NoneType": [None],
    "special_tokens must have an order, got a set": {"<a>"},
    "the id of '<a>' must be a whole number, got True": {"<a>": True},
    "the id of '<a>' must be a whole number, got 2.0": {"<a>": 2.0},
}
WRONG_VALUES = {
    "different and not empty": ["<a>", "<a>"],
    "different and not empty, got": [""],
    "must have ids of their own": {"<a>": 0},
    "must have ids of their own, got": {"<a>": 400, "<b>": 400},
    "must be at least 0, got -1": {"<a>": -1},
    "text that can be written": ["\ud83d"],
    "'<old>' is there already": ["<new>", "<old>"],
}


@pytest.mark.parametrize("message", [*WRONG, *WRONG_VALUES])
def test_special_tokens_that_are_none(make, message):
    tokens = (WRONG | WRONG_VALUES)[message]
    tokenizer = make(["<old>"])
    before = dict(tokenizer.special_ids)
    with unchecked():
        with pytest.raises(TypeError if message in WRONG else ValueError, match=message):
            tokenizer.add_special_tokens(tokens)
        if "already" not in message:
            with pytest.raises((TypeError, ValueError), match=message):
                make(tokens)
    assert tokenizer.special_ids == before  # nothing was added by halves
    assert tokenizer.vocab_size == max(before.values()) + 1
