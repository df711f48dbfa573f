"""Text while it is being written: whole characters, nothing of a stop string, and at once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import generation as gen
from companion.generation.pieces import _held_back
from companion.tokenizers import BPE, Characters, WordPiece, Words
from tests.generation.support import MAKERS, PROMPTS, generator, model, table
from tests.plugins import shapes
from tests.support import shapes_vary
from tests.verification import same

TEXT = "the cat 猫 sat on the näive mat 🙂. "
TOKENIZERS = {
    "bytes": BPE([]),
    "BPE": BPE.train(TEXT * 3, 280, ["<|end|>"]),
    "Characters": Characters(sorted(set(TEXT))),
    "Words": Words.train([TEXT]),
}


def scripted(ids):
    """A model that writes these ids after a prompt of one token."""

    def model(read):
        following = torch.tensor([*ids, 0])[: read.shape[1]]
        return 50 * torch.nn.functional.one_hot(following, max(300, *ids) + 1)[None].double()

    return model


def streamed(ids, tokenizer, **options):
    """Return the pieces of a text, and what the stream returns at its end."""
    options = {"max_new_tokens": len(ids), **options}
    stream, pieces = gen.stream(scripted(ids), [0], tokenizer=tokenizer, **options), []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return pieces, end.value


# -- the detokenizer -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOKENIZERS)
def test_pieces_make_up_the_text(name):
    tokenizer = TOKENIZERS[name]
    reads = gen.Detokenizer(tokenizer)
    pieces = [reads.push(index) for index in tokenizer.encode(TEXT)]
    same(f"Detokenizer, {name}", "the text", "".join(pieces), TEXT)
    assert reads.text == TEXT
    assert "�" not in "".join(pieces)


def test_a_character_waits_for_its_last_byte():
    reads = gen.Detokenizer(BPE([]))
    pieces = [reads.push(byte) for byte in "a猫🙂".encode()]
    same("Detokenizer, bytes", "by hand", pieces, ["a", "", "", "猫", "", "", "", "🙂"])


@shapes_vary
@given(text=st.binary(max_size=12))
def test_bytes_that_are_no_text_become_what_decode_makes_of_them(text):
    reads = gen.Detokenizer(BPE([]))
    found = "".join(reads.push(byte) for byte in text)
    whole = BPE([]).decode([*text])
    assert whole.startswith(found)
    assert set(whole[len(found) :]) <= {"�"}, "the beginning of a character may be left over"
    ended = "".join(map(reads.push, b"!"))
    same("Detokenizer, any bytes", "BPE.decode", found + ended, BPE([]).decode([*text, 33]))


def test_a_tokenizer_that_joins_in_its_own_way():
    tokenizer = WordPiece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b", "c"])
    reads = gen.Detokenizer(tokenizer)
    ids = [4, 5, 6]
    found = "".join(map(reads.push, ids))
    same("Detokenizer, WordPiece", "WordPiece.decode", found, tokenizer.decode(ids))


# -- streaming -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_stream_is_the_text_that_generate_returns(name):
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(TEXT)
    pieces, result = streamed(ids, tokenizer)
    same(f"stream, {name}", "the text", "".join(pieces), TEXT)
    assert len(pieces) > 5
    assert "" not in pieces
    again = gen.generate(scripted(ids), [[0]], max_new_tokens=len(ids), tokenizer=tokenizer)
    assert result == again
    assert again.texts == [TEXT]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("stop", ["sat", "näi", "🙂", "t on the", "never"])
def test_nothing_of_a_stop_string_is_handed_over(name, stop):
    tokenizer = TOKENIZERS[name]
    pieces, result = streamed(tokenizer.encode(TEXT), tokenizer, stop=[stop, "absent"])
    expected = TEXT.partition(stop)[0]
    same(f"stream, {name}, stop string", "the text before it", "".join(pieces), expected)
    assert result.reasons == ["stop_string" if stop in TEXT else "max_new_tokens"]
    assert result.texts == [expected]


def test_the_first_of_several_stop_strings_counts():
    pieces, _ = streamed(TOKENIZERS["BPE"].encode(TEXT), TOKENIZERS["BPE"], stop=["mat", "cat"])
    assert "".join(pieces) == "the "


def test_what_might_become_a_stop_string_waits_no_longer_than_needed():
    pieces, _ = streamed(list(b"abaabab!"), BPE([]), stop="abab")
    same("stream, held back", "by hand", pieces, ["aba"])
    pieces, _ = streamed(list(b"abaa!"), BPE([]), stop="abab")
    same("stream, handed over", "by hand", pieces, ["aba", "a!"])


@shapes_vary
@given(text=st.text("ab", max_size=8), strings=st.lists(st.text("ab", min_size=1, max_size=4)))
def test_what_is_held_back_is_the_longest_beginning(text, strings):
    fits = [n for s in strings for n in range(len(s)) if n <= len(text) and text.endswith(s[:n])]
    assert _held_back(text, strings) == max(fits, default=0)


def test_a_cut_character_is_never_handed_over():
    """Where tokens run out in the middle of one, it is left out, and � is not put in its place."""
    ids = list("né".encode())[:-1]
    pieces, result = streamed(ids, BPE([]))
    assert pieces == ["n"]
    assert result.ids == [ids]


def test_the_text_of_a_stop_token_is_not_handed_over():
    tokenizer = TOKENIZERS["BPE"]
    end = tokenizer.special_ids["<|end|>"]
    pieces, result = streamed([*tokenizer.encode("cat"), end, 1], tokenizer, stop=end)
    assert "".join(pieces) == "cat"
    assert result.reasons == ["stop_id"]
    assert result.ids[0][-1] == end


@pytest.mark.verifies("stream", "draws what generate draws, one piece after the other")
def test_a_stream_draws_what_generate_draws():
    ask, _ = table(n=17)
    tokenizer, samplers = Characters("abcdefghijklmnopq"), [gen.Temperature(1.5)]
    options = {"tokenizer": tokenizer, "max_new_tokens": 20}
    pieces = gen.stream(ask, [3], samplers, generator=generator(2), **options)
    done = gen.generate(ask, [[3]], samplers, generator=generator(2), **options)
    assert [*pieces] == [*done.texts[0]]


def test_between_two_pieces_the_model_is_as_it_was():
    """Somebody may go on training it, and nobody has to read to the end."""
    ours = MAKERS["GPT"]()
    ours.load_state_dict(model("GPT").state_dict())
    ours = ours.double().train()
    tokenizer = Characters("abcdefghijklmnopq")
    expected = gen.generate(ours, PROMPTS[:1], max_new_tokens=9, tokenizer=tokenizer).texts
    text = ""
    for piece in gen.stream(ours, PROMPTS[0], tokenizer=tokenizer, max_new_tokens=9):
        text += piece
        assert ours.training
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert [text] == expected
    stream = gen.stream(ours, PROMPTS[0], tokenizer=tokenizer, max_new_tokens=9)
    next(stream)
    stream.close()
    assert ours.training


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("tokenizer must be one of companion.tokenizers, got None", {"tokenizer": None}),
        ("max_new_tokens must be at least 1", {"max_new_tokens": 0}),
        ("prompt must hold at least one token", {"prompt": []}),
        ("window is for the caches", {"window": 2}),
    ],
)
def test_errors_come_before_the_first_piece(message, options):
    settings = {"prompt": [0], "tokenizer": BPE([]), "max_new_tokens": 3, **options}
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        gen.stream(scripted([1, 2]), **settings)


def test_only_tokenizers_are_taken():
    with shapes.unchecked(), pytest.raises(TypeError, match="tokenizer must be one of companion"):
        gen.Detokenizer("bytes")
    with pytest.raises(ValueError, match="ids must be"):
        gen.Detokenizer(BPE([])).push(300)
