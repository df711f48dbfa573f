"""What readers change: texts of their own are taken, and sizes that cannot work are refused."""

import contextlib
import io
import math

import matplotlib.pyplot as plt
import pytest
import torch

from companion import data
from companion.tokenizers import BPE
from tools.book import contents, notebooks

# A reader's own texts: nothing, Chinese, what is four bytes in UTF-8, quotes, very long.
TEXTS = ["", "床前明月光，疑是地上霜。", "😀 👩‍🚀", '"He\'s" {here}, he said', "never again " * 300]

OPENING, NEIGHBOURS, LETTERS = "attention-002", "attention-031", "attention-035"
SENTENCES, SHARES = "attention-051", "attention-052"
WORDS = "neural-networks-before-attention-reviews-ids"
NETWORKS = "neural-networks-before-attention"
SAMPLES = [f"{NETWORKS}-reviews-samples", f"{NETWORKS}-reviews-samples-check"]
FLOOR = [f"losses-{name}" for name in ("chain", "write", "settings", "expected", "train-table")]
FLOOR += [f"losses-{name}" for name in ("train-run", "units-run")]
VOCABULARIES = [f"data-{name}" for name in ("derive", "imports", "boxes", "visible", "boxes-draw")]
VOCABULARIES += [f"data-{name}" for name in ("four", "in-four", "vocabularies")]


def path_of(chapter):
    return contents.ROOT / "chapters" / f"{chapter}.ipynb"


def cells(chapter):
    return {cell.id: cell.source for cell in notebooks.read(path_of(chapter)).cells}


def run(chapter, ids, names, edits=()):
    """Run cells with other texts in them, and return what they define."""
    code = cells(chapter)
    with contextlib.redirect_stdout(io.StringIO()):
        for name in ids:
            source = code[name]
            for old, new in edits:
                source = source.replace(old, new)
            exec(source, names)
    plt.close("all")
    return names


@pytest.mark.chapter("attention")
@pytest.mark.parametrize("text", TEXTS)
def test_attention_looks_at_any_sentence(text):
    old = '"The cat sat on the mat because it was {}."'
    assert old in cells("attention")[OPENING]
    run("attention", ["attention-imports", OPENING], {}, [(old, repr(text))])


@pytest.mark.chapter("attention")
@pytest.mark.parametrize("endings", [("tired",), ("tired", "soft", "red"), ("", "")])
def test_attention_compares_as_many_sentences_as_there_are_endings(endings):
    old = '("tired", "soft")'
    assert old in cells("attention")[OPENING]
    run("attention", ["attention-imports", OPENING], {}, [(old, repr(endings))])


@pytest.mark.chapter("attention")
def test_a_sentence_of_no_tokens_does_not_count_among_the_heads():
    """The mean over none of its tokens was NaN, and so was every head's."""
    names = run("attention", ["attention-imports", OPENING, SENTENCES], {})
    names["SENTENCES"] += ["", " "]
    run("attention", [SHARES], names)
    assert all(w.isfinite().all() and len(names["found"][k]) == 4 for k, w in shares(names))


def shares(names):
    return [(what, torch.stack(each)) for what, each in names["found"].items()]


@pytest.mark.chapter("attention")
@pytest.mark.parametrize("text", TEXTS)
def test_neighbours_reads_the_letters_of_any_word(text):
    """The model is not trained here: what it is asked must be something that it knows."""
    names = run("attention", ["attention-imports", NEIGHBOURS], {})
    names["results"] = {n: [(names["Neighbours"](n),)] for n in (1, 2)}
    assert '"networking".lower()' in cells("attention")[LETTERS]
    run("attention", [LETTERS], names, [('"networking".lower()', f"{text!r}.lower()")])
    assert 0 <= names["ids"].min() <= names["ids"].max() < 26


@pytest.mark.chapter("losses")
@pytest.mark.parametrize("text", [text for text in TEXTS if text])
def test_bits_per_byte_count_the_bytes_of_any_bulletin(text):
    names = run("losses", ["losses-penalties", "losses-imports"], {})
    code = cells("losses")["losses-chain"]
    old = code[code.index("bulletin = (") : code.index("if not bulletin")]
    short = ("steps: int = 500", "steps: int = 3")
    run("losses", FLOOR, names, [(old, f"bulletin = {text!r}\n"), short])
    letters, drawn = names["letters"], names["text"][0, 1:].tolist()
    size = sum(len(letters[i].encode("utf-8")) for i in drawn)
    assert names["n_bytes"] == size
    assert names["bits"] == pytest.approx(names["total"].item() / math.log(2) / size)


@pytest.mark.chapter("losses")
def test_an_empty_bulletin_is_refused():
    names = run("losses", ["losses-penalties", "losses-imports"], {})
    code = cells("losses")["losses-chain"]
    old = code[code.index("bulletin = (") : code.index("if not bulletin")]
    with pytest.raises(ValueError, match="at least one letter"):
        run("losses", ["losses-chain"], names, [(old, "bulletin = ''\n")])


@pytest.mark.chapter("data-and-tokens")
def test_four_vocabularies_cut_any_text():
    names = run("data-and-tokens", VOCABULARIES[:-3], {})
    names["tokenizer"] = BPE.train("the cat sat on the mat", 280)
    shown, texts = [], [text[:200] for text in TEXTS]
    names["explore"] = lambda draw, alt, text: shown.extend(
        (alt(one), draw(one)) for one in text.values()
    )
    old = '"One morning Anna went to the park.",'
    new = "\n".join(f'"{i}": {text!r},' for i, text in enumerate(texts))
    edits = [(f'"story": {old}', f'"story": {old}\n{new}')]
    run("data-and-tokens", VOCABULARIES[-3:], names, edits)
    own = [words for words, _ in shown if "GPT-2" not in words]
    assert len(shown) == len(texts) + 4
    assert len(own) == len(texts)


@pytest.mark.chapter("neural-networks")
def test_the_lstm_judges_any_text():
    chapter = "neural-networks/before-attention"
    names = run(chapter, ["neural-networks-before-attention-imports", WORDS], {})
    ids, lengths = names["as_ids"]([data.Example(text, 0) for text in TEXTS], {"never": 2})
    model = names["models"].LSTMClassifier(3, 4, 4).eval()
    assert lengths.min() >= 1
    assert torch.isfinite(model.probability(ids, lengths)).all()


@pytest.mark.chapter("neural-networks")
@pytest.mark.parametrize("words", [["a", "bad", "film"], ["我"], ["one", "two", "one"]])
def test_a_recurrent_network_reads_words_that_the_page_does_not_have(words):
    chapter, cell = "neural-networks/before-attention", f"{NETWORKS}-rnn-read"
    old = '["not", "a", "good", "film"]'
    assert old in cells(chapter)[cell]
    names = run(chapter, [f"{NETWORKS}-imports", cell], {}, [(old, repr(words))])
    assert len(names["x"]) == len(words)


@pytest.mark.chapter("neural-networks")
@pytest.mark.parametrize("samples", [["我喜欢"], [""], ["a dull film", "a warm film"]])
def test_what_is_checked_of_the_lstm_are_the_texts_of_the_page(samples):
    chapter = "neural-networks/before-attention"
    names = run(chapter, [f"{NETWORKS}-imports", WORDS], {"where": "cpu"})
    names["number"] = {"film": 2, "warm": 3}

    class ByWarmth:
        def probability(self, ids, lengths):
            return (ids == 3).double().mean(dim=1)

    names["lstm"] = ByWarmth()
    old = '[*pair, "not a bad film"]'
    assert old in cells(chapter)[SAMPLES[0]]
    run(chapter, SAMPLES, names, [(old, repr(samples))])
    assert len(names["positive"]) == len(samples)


@pytest.mark.chapter("data-and-tokens")
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_in_parts_shows_tokens_that_are_half_a_letter(text):
    names = {"tokenizer": BPE.train("the cat", 260)}
    old = '"One day Anna went to the park"'
    assert old in cells("data-and-tokens")["data-081"]
    run("data-and-tokens", ["data-081"], names, [(old, repr(text))])


SIZES = [
    ("attention", {"n_pairs": 17}, "no more pairs than symbols"),
    ("attention", {"steps": 0}, "sizes above 0"),
    ("optimisation", {"batch": 1201}, "a batch of at most 1200"),
    ("optimisation", {"epochs": 0}, "sizes above 0"),
    ("losses", {"length": 1}, "a length of 2 or more"),
    ("losses", {"texts": 0}, "sizes above 0"),
    ("data-and-tokens", {"stories": 99}, "100 stories"),
    ("data-and-tokens", {"order": 7}, "order 3 to 6"),
    ("neural-networks/training", {"hidden": 0}, "above 0"),
    ("neural-networks/before-attention", {"cnn_epochs": -1}, "above 0"),
]


def settings(chapter):
    code = next(text for text in cells(chapter).values() if "class Settings" in text)
    names = {}
    exec(code, names)
    return names["Settings"]


@pytest.mark.parametrize(("chapter", "sizes", "says"), SIZES)
def test_sizes_that_cannot_work_are_refused(chapter, sizes, says):
    with pytest.raises(ValueError, match=says):
        settings(chapter)(**sizes)
    assert settings(chapter)()


@pytest.mark.parametrize("path", contents.notebooks(), ids=contents.label)
def test_the_cell_that_trains_makes_its_settings(path):
    """An edit of ``Settings`` counts when that cell and the one that trains are run again."""
    for cell in notebooks.read(path).cells:
        uses = cell.cell_type == "code" and "with stop_button" in cell.source
        if uses and "settings" in cell.source:
            assert "Settings.for_device" in cell.source, cell.source
