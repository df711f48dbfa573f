"""What *When the model answers in words* says of SmolLM2 is what the record says."""

import math
import re

import pytest
import torch
from sklearn.metrics import roc_auc_score

from benchmarks import evaluation_language_models as benchmark
from benchmarks.evaluation_questions import EXAMPLES, QUESTIONS
from companion import evaluation
from tests import recorded
from tests.recorded import constants

pytestmark = pytest.mark.chapter("evaluation")

SCORES = ("sum", "token", "character", "letter", "exact", "judge", "contains")


def record():
    return recorded.record(benchmark)


def five():
    return {run["shots"]: run for run in record()["five"]}


def cells():
    return recorded.sources(benchmark.CHAPTER, "benchmarks-")


def right(k, score):
    return five()[k]["right"][score].count("1")


def test_the_record_is_of_these_questions():
    assert record()["questions"] == len(QUESTIONS) == 48
    assert record()["model"] == benchmark.NAME
    assert record()["seeds"] == [0, 1, 2]
    assert "asked 48 easy questions" in recorded.prose(benchmark.CHAPTER)


def test_questions_have_four_different_choices_and_no_example_is_asked():
    for question in QUESTIONS + EXAMPLES:
        assert len(set(question.choices)) == 4
        assert question.text.endswith("?")
    assert not {q.text for q in QUESTIONS} & {q.text for q in EXAMPLES}
    longest = sum(max(q.choices, key=len) == q.choices[0] for q in QUESTIONS)
    shortest = sum(min(q.choices, key=len) == q.choices[0] for q in QUESTIONS)
    assert longest <= 24
    assert shortest <= 24


def test_the_marks_follow_from_the_numbers():
    for run in five().values():
        for i, (question, item) in enumerate(zip(QUESTIONS, run["items"], strict=True)):
            marks = {name: run["right"][name][i] for name in SCORES}
            sums, lengths = torch.tensor(item["sums"]), torch.tensor(item["tokens"])
            characters = torch.tensor([len(choice) for choice in question.choices])
            assert marks["sum"] == "01"[int(sums.argmax()) == 0]
            assert marks["token"] == "01"[int((sums / lengths).argmax()) == 0]
            assert marks["character"] == "01"[int((sums / characters).argmax()) == 0]
            letters = item["letters"]
            assert marks["letter"] == "01"[letters.index(max(letters)) == i % 4]
            exact = evaluation.exact_match(question.choices[0], item["text"])
            assert marks["exact"] == "01"[int(exact)]
            assert marks["judge"] == "01"[item["judge"] > 0]
            assert marks["contains"] == "01"[benchmark.contains(question, item["text"])]


def test_the_page_holds_the_marks():
    drawn = constants(cells()["marks"])
    for k, name in ((0, "NO_EXAMPLES"), (4, "FOUR_EXAMPLES")):
        rows = [line.split() for line in drawn[name].strip().split("\n")]
        assert rows == [[score, five()[k]["right"][score]] for score in SCORES]


def test_the_widget_shows_the_record():
    lines = constants(cells()["widget"])["SHOWN"].strip("\n").split("\n")
    places = {question.text: i for i, question in enumerate(QUESTIONS)}
    assert len(lines) == 3 * 4
    for start in range(0, len(lines), 4):
        _, text, choices, tokens = lines[start].split(" | ")
        n = places[text]
        assert choices == "; ".join(QUESTIONS[n].choices)
        assert [*map(int, tokens.split())] == five()[0]["items"][n]["tokens"]
        for line, k in zip(lines[start + 1 : start + 4], (0, 1, 4), strict=True):
            shots, sums, letters, *written = line.split(" | ")
            item = five()[k]["items"][n]
            assert int(shots) == k
            assert sums.split() == [f"{x:.1f}" for x in item["sums"]]
            turned = [item["letters"][(n + j) % 4] for j in range(4)]
            assert letters.split() == [f"{x:.1f}" for x in turned]
            assert (written or [""])[0].strip() == item["text"][:44].strip()


def test_the_right_choice_stands_at_the_letter_that_is_right():
    for i, question in enumerate(QUESTIONS[:8]):
        text, letter = benchmark.listed(question, i)
        assert f"\n{letter}. {question.choices[0]}\n" in text
        assert letter == "ABCD"[i % 4]


def test_the_opening_quotes_the_record():
    opening = recorded.prose(benchmark.CHAPTER).split("##")[0]
    wanted = [(0, "exact"), (0, "letter"), (0, "sum"), (4, "token")]
    shares = [f"{right(k, score) / 48:.0%}".replace("%", " %") for k, score in wanted]
    assert f"measures {shares[0]}, {shares[1]}, {shares[2]} and {shares[3]}:" in opening
    assert f"“{shares[2]} on easy questions”" in opening
    counts = [run["right"][s].count("1") for run in record()["five"] for s in SCORES]
    assert max(counts) == right(4, "token")
    summary = cells()["summary"]
    assert f"anything from {shares[0]} to {shares[3]}" in summary


def test_what_is_said_of_the_five_scores():
    said = cells()["five-said"]
    assert f"the plain sum is right on {right(0, 'sum')} of the 48 questions" in said
    assert f"the mean per token on {right(0, 'token')}." in said
    assert five()[0]["letters_said"]["A"] == 48
    assert "the model says A each time" in said
    empty = sum(not item["text"] for item in five()[0]["items"])
    assert f"For {empty} of 48 questions the text is empty" in said
    assert right(0, "exact") == 0
    assert f"With four examples, {right(4, 'exact')} of 48 texts are exactly right" in said
    assert "The judge** never says Yes" in said
    assert right(0, "judge") == right(4, "judge") == 0
    assert f"{right(4, 'contains')} of the texts name the right choice" in said
    contains = [*map(int, five()[4]["right"]["contains"])]
    auc = roc_auc_score(contains, [item["judge"] for item in five()[4]["items"]])
    assert f"an {{term}}`AUC` of {auc:.2f}, and 0.5 is chance" in said
    assert {x for x, times in five()[4]["letters_said"].items() if times} == {"A", "C"}
    assert "Even after four examples it says A or C to everything" in said
    texts = {q.text: i["text"] for q, i in zip(QUESTIONS, five()[0]["items"], strict=True)}
    assert texts["Where does the sun rise?"] == "The sun rises in the east."
    likelihoods = [right(4, score) for score in SCORES[:3]]
    assert max(likelihoods) - min(likelihoods) <= 3


def test_the_table_of_forms_shows_the_record():
    rows = [line.split() for line in constants(cells()["forms"])["FORMS"].strip().split("\n")]
    found = {run["form"]: run["right"] for run in record()["form"]}
    assert [row[0] for row in rows] == ["bare", "headed", "chat", "blank"]
    for form, *counts in rows:
        marks = five()[0]["right"] | found[form] if form == "headed" else found[form]
        wanted = ("sum", "token", "character", "exact", "contains")
        assert counts == [str(marks[name].count("1")) for name in wanted]
    sums = [int(row[1]) for row in rows]
    assert max(sums) - min(sums) <= 8
    assert min(rows, key=lambda row: int(row[2]))[0] == "blank"
    chat, bare = rows[2], rows[0]
    assert 0.25 < int(chat[5]) / 48 < 0.42
    assert int(bare[4]) == int(bare[5]) == 0


def test_the_headed_form_gives_the_same_twice():
    (headed,) = (run["right"] for run in record()["form"] if run["form"] == "headed")
    assert all(five()[0]["right"][name] == headed[name] for name in ("sum", "token", "character"))


def test_the_draws_of_examples_are_recorded():
    drawn = constants(cells()["examples"])
    for k, name in ((1, "ONE_EXAMPLE"), (4, "FOUR")):
        runs = [run for run in record()["examples"] if run["shots"] == k]
        assert [run["seed"] for run in runs] == record()["seeds"][1:]
        every = [five()[k], *runs]
        assert drawn[name] == [run["right"]["sum"].count("1") for run in every]
        counts = drawn[name]
        assert max(counts) - min(counts) <= 1
        assert min(counts) > right(0, "sum") + 4
    text = recorded.prose(benchmark.CHAPTER)
    assert "Three draws of the examples" in text
    assert "which examples are drawn hardly matters here; whether there are any does" in text


def test_the_batches_are_recorded():
    drawn = constants(cells()["batches"])["BATCHES"]
    found = {run["dtype"]: run["runs"] for run in record()["batches"]}
    assert list(drawn) == list(found)
    for dtype, rows in drawn.items():
        names = ("batch", "largest", "equal", "decisions")
        assert rows == [tuple(run[name] for name in names) for run in found[dtype]]
    said = cells()["batches-said"]
    single, half = found["float32"], found["bfloat16"]
    assert f"at most {max(run['largest'] for run in single):.1e} nats" in said
    assert all(run["decisions"] == 0 for run in single + half)
    assert "No answer changes here" in said
    assert record()["in_batches"] == benchmark.IN_BATCHES == 16
    most = max(run["largest"] for run in half)
    assert f"they reach {most:.2f} nats" in said
    margins = [sorted(item["sums"])[-1] - sorted(item["sums"])[-2] for item in five()[0]["items"]]
    close = sum(margin < most for margin in margins)
    assert f"but {close} of the 48 questions have two best choices" in said


def test_what_is_said_of_the_judge_of_pairs():
    said = cells()["judge-said"]
    pairs = {run["right and"]: run for run in record()["pairs"]}
    one, long = pairs["wrong"], pairs["long"]
    first = sum(x > 0 for x in one["first"] + one["second"])
    assert f"It said A in {first} of 96 cases" in said
    mean = math.fsum(pairs["the same"]["first"]) / 48
    assert f"gets {mean:.1f} nats more for A" in said

    def preferred(pair):
        return sum(a > b for a, b in zip(pair["first"], pair["second"], strict=True))

    assert f"it prefers the right answer for {preferred(one)} of 48 questions" in said
    assert f"follows the wrong one, for {preferred(long)}." in said
    assert preferred(one) <= 24 < 30 < preferred(long)
    assert "a weak preference for the shorter of the two, and none for what is right" in said
    assert len(re.findall(r"[a-z]+", benchmark.MORE.lower())) == 18
    assert "an empty sentence of 18 words" in said
