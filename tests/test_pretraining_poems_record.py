"""The record of the poems, its script, and what two pages quote of it."""

import math
from collections import Counter

import pytest
import torch

from benchmarks import poems, records
from benchmarks import pretraining_poems as script
from companion import data
from companion.models import GPT, GPTConfig
from companion.tokenizers import Characters
from tests import recorded
from tools.models import live_models, live_poems

pytestmark = pytest.mark.chapter("pretraining")
EIGHT = "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。"


def record():
    return recorded.record(script)


def page():
    return (records.ROOT / "chapters" / "play.md").read_text(encoding="utf-8")


# -- the script ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("poem", "form"),
    [
        (EIGHT, 5),
        ("春風昨夜過江來，明月何時照我回。", 7),
        ("前不見古人，後不見來者。念天地之悠悠，獨愴然而涕下。", None),
        ("關關雎鳩，在河之洲。", None),
        ("", None),
    ],
)
def test_a_poem_has_a_form_if_all_lines_are_of_one_length(poem, form):
    assert poems.form(poem) == form


def test_a_poem_with_signs_of_editors_is_not_plain():
    assert poems.is_plain(EIGHT)
    assert not any(poems.is_plain(EIGHT.replace("山", sign)) for sign in "□[/《")
    assert not poems.is_plain(EIGHT[:-1])


@pytest.mark.parametrize("n", [1, 10, 11, 40])
def test_pieces_are_the_poem_and_fit_into_the_model(n):
    poem = n * EIGHT[:12]
    found = poems.pieces(poem)
    assert "".join(found) == poem + poems.END
    assert all(len(piece) + 1 <= script.SIZES["max_length"] for piece in found[:-1])
    assert len(found[-1].removesuffix(poems.END)) + 2 <= script.SIZES["max_length"] + 1
    assert all(piece[-1] == "。" for piece in found[:-1])
    assert len(found) == math.ceil(n / ((script.SIZES["max_length"] - 1) // 12))


def test_the_most_common_characters_have_tokens_and_all_others_one(monkeypatch):
    monkeypatch.setattr(poems, "COMMON", 3)
    tokenizer = poems.tokenizer_of(["人人人，，山山月水"])
    assert tokenizer.entries == ["人", "山", "，", poems.UNKNOWN]
    (row,) = poems.rows_of(["人月，"], tokenizer)
    said = [poems.BEGIN, "人", poems.UNKNOWN, "，", poems.END]
    assert [tokenizer.tokens[i] for i in row] == said
    assert script.share_of(tokenizer.encode(poems.UNKNOWN)[0], [row]) == 1 / 4


def test_an_epoch_has_each_row_once_in_batches_of_like_lengths():
    rows = [[i] * (2 + i % 7) for i in range(4 * poems.BATCH)]
    batches = poems.LikeLengths(rows, seed=0)
    for epoch in range(2):
        found = [batches(i)[0] for i in range(4 * epoch, 4 * epoch + 4)]
        assert sorted(int(row[0]) for ids in found for row in ids) == list(range(len(rows)))
        assert max(ids.shape[1] for ids in found) == 7
        lengths = [{len(rows[int(row[0])]) for row in ids} for ids in found]
        assert max(max(each) - min(each) for each in lengths) <= 2
    assert torch.equal(batches(1)[0], poems.LikeLengths(rows, seed=0)(1)[0])
    first, second = (Counter(int(row[0]) for row in batches(i)[0]) for i in (0, 4))
    assert first != second


def test_targets_are_the_inputs_moved_by_one_and_filled_up():
    inputs, targets = poems.batch_of([[1, 2, 3, 4], [5, 6]])
    assert inputs.tolist() == [[1, 2, 3], [5, 6, 0]]
    assert targets.tolist() == [[2, 3, 4], [6, poems.IGNORE, poems.IGNORE]]


def test_the_losses_of_counting_are_those_by_hand():
    counts = script.Counts([[0, 1, 2], [0, 1, 1]], vocab_size=4)
    p = {0: 1 / 8, 1: 4 / 8, 2: 2 / 8, 3: 1 / 8}  # targets 1, 2, 1, 1, and one more of each
    by_hand = -(math.log(p[1]) + math.log(p[3])) / 2
    assert counts.loss([[0, 1, 3]]) == pytest.approx(by_hand, abs=1e-6)
    after_0 = (2 + 3 * p[1]) / (2 + 3)  # 0 was followed twice, both times by 1
    after_1 = (0 + 3 * p[3]) / (2 + 3)
    by_hand = -(math.log(after_0) + math.log(after_1)) / 2
    assert counts.loss([[0, 1, 3]], 3) == pytest.approx(by_hand, abs=1e-6)


def test_the_loss_of_a_model_is_that_of_torch():
    torch.manual_seed(0)
    sizes = {"max_length": 8, "d_model": 8, "n_layers": 1, "n_heads": 1}
    gpt = GPT(GPTConfig(6, **sizes)).eval()
    rows = [[1, 2, 3, 4], [5, 0], [2, 2, 2]]
    each = [
        torch.nn.functional.cross_entropy(
            gpt(torch.tensor([row[:-1]]))[0], torch.tensor(row[1:]), reduction="sum"
        )
        for row in rows
    ]
    expected = float(sum(each).detach()) / poems.n_targets(rows)
    assert script.model_loss(gpt, rows) == pytest.approx(expected, abs=1e-6)


def test_losses_by_kind_are_those_of_all():
    torch.manual_seed(0)
    tokenizer = Characters("人山，", [script.BEGIN, script.END])
    assert script.marks_of(tokenizer) == [2, 4]
    sizes = {"max_length": 8, "d_model": 8, "n_layers": 1, "n_heads": 1}
    gpt, rows = GPT(GPTConfig(5, **sizes)), [[3, 0, 1, 2], [3, 0, 4]]
    found = script.loss_by_kind(gpt, rows, script.marks_of(tokenizer))
    share = found["share_of_marks"]
    assert share == pytest.approx(2 / 5)
    both = share * found["marks"] + (1 - share) * found["characters"]
    assert both == pytest.approx(script.model_loss(gpt, rows), abs=1e-6)
    only = script.loss_by_kind(gpt, rows, [1])
    log_p = float(gpt(torch.tensor([[3, 0]])).log_softmax(-1)[0, 1, 1].detach())
    assert only["marks"] == pytest.approx(-log_p, abs=1e-6)


def test_what_is_counted_in_poems():
    texts = [EIGHT, "春風昨夜過江來，明月何時照我回。", "山，水流。", "春"]
    found = script.about_written(texts, ["黃河入海流。"])
    assert found == {
        "regular": 0.5,
        "of_5": 0.25,
        "of_7": 0.25,
        "ended_couplet": 0.75,
        "copied_lines": 1 / 9,
    }


# -- the record ------------------------------------------------------------------------------------


def test_the_settings_are_those_of_the_script():
    settings = {
        **script.SIZES,
        "dropout": script.DROPOUT,
        "batch": poems.BATCH,
        "steps": script.STEPS,
        "common": poems.COMMON,
    }
    assert record()["settings"] == settings
    assert record()["held_out"][-1][0] == script.STEPS
    assert record()["best_step"] == min(record()["held_out"], key=lambda each: each[1])[0]
    assert sum(record()["poems"]["parts"]) == record()["poems"]["kept"]
    assert set(record()["written"]) == {str(t) for t in script.TEMPERATURES}


def test_the_files_of_the_page_are_those_of_the_record():
    gpt, tokenizer = live_poems.read(script.NAME)
    assert sum(weight.numel() for weight in gpt.parameters()) == record()["parameters"]
    assert live_models.kilobytes(script.NAME) == record()["kilobytes"]
    assert len(tokenizer.entries) == poems.COMMON + 1
    for name, size in script.SIZES.items():
        assert getattr(gpt.config, name) == size


def test_each_who_knows_more_has_a_lower_loss():
    counted, test = record()["counted"], record()["test"]
    vocab_size = live_poems.read(script.NAME)[0].config.vocab_size
    assert counted["uniform"] == pytest.approx(math.log(vocab_size), abs=1e-4)
    assert counted["uniform"] > counted["unigram"] > counted["bigram"] > test["float32"]
    assert test["int8"] == pytest.approx(test["float32"], abs=0.002)


@pytest.fixture(scope="module")
def test_rows():
    """Return the poems of the test as the script makes them."""
    texts, _ = poems.regular()
    train, _, test = poems.parts_of(texts)
    tokenizer = poems.tokenizer_of(train)
    assert data.leakage(train, test, poems.ALIKE["threshold"], poems.ALIKE["k"]) == []
    return tokenizer, poems.rows_of(test, tokenizer)


@pytest.mark.release  # it needs the poems themselves
def test_the_model_of_the_page_has_the_recorded_loss(test_rows):
    tokenizer, rows = test_rows
    gpt, tokens = live_poems.read(script.NAME)
    assert isinstance(tokens, Characters)
    assert tokens.tokens == tokenizer.tokens
    assert poems.n_targets(rows) == record()["tokens"][-1]
    assert script.model_loss(gpt, rows) == pytest.approx(record()["test"]["int8"], abs=2e-4)


# -- what the page says ----------------------------------------------------------------------------


def test_the_page_quotes_the_record():
    found, text = record(), page()
    train = found["poems"]["parts"][0]
    assert f"with {found['parameters'] / 1e6:.2f} million weights" in text
    assert f"was trained on {train:,} poems" in text
    assert (
        f"It is {found['test']['int8']:.2f} nats a token. A model that only knows how common each "
        f"token is has {found['counted']['unigram']:.2f}, and one that also knows the token "
        f"before has {found['counted']['bigram']:.2f}."
    ) in text
    cool = found["written"]["0.8"]
    assert (
        f"of {script.WRITTEN} poems that the model wrote at temperature 0.8, with no beginning "
        f"given, {100 * cool['regular']:.1f}% had five characters in every line, or seven in "
        "every line"
    ) in text


# -- what the page on real text says ---------------------------------------------------------------

CHAPTER = records.ROOT / "chapters" / "pretraining" / "text.ipynb"


def section():
    """Return the Markdown of the section on the poems."""
    sources = recorded.sources(CHAPTER, "text-")
    return sources["poems"] + sources["poems-live"]


def test_the_section_names_the_poems_of_the_record():
    found = record()["poems"]
    train, validation, test = found["parts"]
    assert validation == test
    assert f"There are {found['regular']:,}." in section()
    assert (
        f"This leaves {found['kept']:,} poems: {train:,} for training and {test} each for "
        "validation and test."
    ) in section()
    assert f"The {poems.COMMON:,} most common ones" in section()
    assert f"□, which makes up {100 * record()['unknown'][-1]:.1f} % of the test" in section()


def test_the_section_says_what_was_known_before():
    counted = record()["counted"]
    vocab_size = round(math.exp(counted["uniform"]))
    assert vocab_size == live_poems.read(script.NAME)[0].config.vocab_size
    assert f"There are {vocab_size:,} tokens." in section()
    said = f"{vocab_size:,} = {counted['uniform']:.2f}$".replace(",", "{,}")
    assert f"the loss is $\\ln {said} nats a token" in section()
    assert (
        f"the unigram has {counted['unigram']:.2f} and the bigram {counted['bigram']:.2f}."
    ) in section()


def test_the_section_says_how_the_model_was_trained():
    found, settings = record(), record()["settings"]
    assert found["seeds"] == [0]  # "one run with one seed"
    assert (
        f"with {settings['n_layers']} blocks, {settings['n_heads']} heads and width "
        f"{settings['d_model']}, which has {found['parameters']:,} weights"
    ) in section()
    assert f"{settings['steps']:,} steps with batches of {settings['batch']}." in section()
    often = settings["steps"] * settings["batch"] / found["poems"]["parts"][0]
    assert f"only {found['tokens'][0]:,} tokens" in section()
    assert f"reads each poem about {round(often, -1):.0f} times" in section()
    assert f"a dropout of {settings['dropout']} " in section()


def test_the_losses_of_the_section_are_the_recorded_ones():
    counted, test = record()["counted"], record()["test"]
    shown = recorded.constants(recorded.sources(CHAPTER, "text-")["poems-losses"])["POEMS"]
    assert shown == {
        "all tokens alike": counted["uniform"],
        "unigram": counted["unigram"],
        "bigram": counted["bigram"],
        "GPT": test["float32"],
        "GPT, weights in 8 bits": test["int8"],
    }
    kinds = record()["by_kind"]
    better = counted["bigram"] - test["float32"]
    assert f"The GPT is {better:.2f} nats better than the bigram." in section()
    assert f"are {100 * kinds['share_of_marks']:.1f} % of the test tokens" in section()
    assert f"its loss there is {kinds['marks']:.3f} nats." in section()
    assert f"On the characters it is {kinds['characters']:.2f}." in section()
    assert f"changes the test loss by {test['int8'] - test['float32']:.4f}." in section()


def test_the_section_says_what_was_written():
    cool = record()["written"]["0.8"]
    assert f"The model wrote {script.WRITTEN} poems at temperature 0.8" in section()
    assert f"Of these, {100 * cool['regular']:.1f} % have five characters" in section()
    copied, in_test = cool["copied_lines"], record()["copied_in_test"]
    assert copied < in_test  # "not more often"
    assert f"{100 * copied:.2f} % of its lines" in section()
    assert f"and so do {100 * in_test:.2f} % of the lines of the test poems" in section()
