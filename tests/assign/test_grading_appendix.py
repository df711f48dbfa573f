"""Every command that the appendix *For instructors* shows does what it says."""

import argparse
import re
import shlex
import shutil

import pytest

from assign import cli
from assign.grading import arguments
from assign.grading.results import STATUS
from assign.sandbox import walls
from tests.assign.grading_support import rows
from tools.assignments.repository import Repository
from tools.book import contents

PAGE = contents.ROOT / "chapters" / "appendix" / "for-instructors.md"
TEXT = PAGE.read_text(encoding="utf-8")
OURS = ["python", "-m", "assign"]


def commands():
    """Return the lines of the page's shell blocks, continued ones joined."""
    blocks = re.findall(r"^```bash\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    blocks = [re.sub(r"<<'END'\n.*?\nEND", "", block, flags=re.DOTALL) for block in blocks]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


OWN = [command[3:] for command in commands() if command[:3] == OURS]


def parser():
    made = argparse.ArgumentParser()
    arguments.add(made)
    return made


def test_the_page_shows_each_command():
    assert {command[0] for command in OWN} == {"list", "make", "grade", "review"}


def test_from_drawing_to_feedback(tmp_path, monkeypatch, capsys):
    """Run the page's commands one after the other, with the solution handed in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "class.csv").write_text("Student,ID\nAda,1\nBob,2\n")
    for command in OWN:
        extra = ["--no-run"] if command[0] == "make" else []
        assert cli.main(Repository(), [*command, *extra]) == 0, command
        if command[0] == "make" and not (tmp_path / "submissions").exists():
            (tmp_path / "submissions").mkdir()
            solution = tmp_path / "dist" / "homework-2" / "solution" / "homework-2.ipynb"
            shutil.copy(solution, tmp_path / "submissions" / "ada.ipynb")
    assert "8 exercises" in capsys.readouterr().out
    found = rows(tmp_path / "grades.csv")["ada"]
    assert found["total"] == found["max"] != "0"
    assert len(list((tmp_path / "feedback").glob("*.md"))) == 1
    assert (
        (tmp_path / "grades-canvas.csv").read_text(encoding="utf-8-sig").startswith("Student,ID,")
    )
    student = [
        tmp_path / "dist" / name / "student/homework-2.ipynb" for name in ("group-a", "group-b")
    ]
    assert student[0].read_text() != student[1].read_text()


def test_the_image_that_the_page_builds_is_the_one_that_grade_asks_for():
    (docker,) = [command for command in commands() if command[:2] == ["docker", "build"]]
    assert docker[docker.index("--tag") + 1] == walls.IMAGE
    assert docker[-1] == "."
    assert "\nENV PYTHONPATH=/book\n" in (contents.ROOT / "Dockerfile").read_text()


def test_an_image_holds_nothing_that_was_drawn_or_handed_in():
    ignored = (contents.ROOT / ".dockerignore").read_text().split("\n")
    assert {"dist", "submissions", "out", "review", "feedback", ".git"} <= set(ignored)


def test_targets_and_files_are_there():
    makefile = (contents.ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make (\w+)", TEXT)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for command in commands():
        for word in command:
            if word.startswith(("tests/", "requirements")):
                assert (contents.ROOT / word).exists(), word


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("timeout", "`--timeout`, {} s"),
        ("memory", "`--memory`, {} MB"),
    ],
)
def test_numbers_are_those_of_the_code(option, said):
    assert said.format(f"{parser().get_default(option):g}") in TEXT


@pytest.fixture(scope="module")
def chapters():
    return Repository(contents.ROOT).chapters


def test_chapters_are_as_long_as_the_page_says(chapters):
    assert "Each has eight to eleven exercises for two to four hours of work" in TEXT
    assert set(re.findall(r"{doc}`[\w -]+ <../([\w-]+)(?:/index)?>`", TEXT)) == set(chapters)
    for name, chapter in chapters.items():
        minutes = [master.variant().minutes for master in chapter.masters]
        assert 8 <= len(minutes) <= 11, name
        assert 1.9 < sum(minutes) / 60 < 4.1, name


def test_courses_name_exercises_that_are_there(chapters):
    named = re.findall(r"(?<=[ `])([a-z-]+):(\d+(?:,\d+)*)(?=[ `])", TEXT)
    assert {name for name, _ in named} == set(chapters)
    for name, numbers in named:
        chosen = [int(number) for number in numbers.split(",")]
        assert chosen == sorted(set(chosen)), (name, numbers)
        assert max(chosen) <= len(chapters[name].masters), (name, numbers)


@pytest.mark.parametrize("weeks", ["seven", "ten", "fourteen"])
def test_courses_prefer_exercises_whose_solution_is_not_public(chapters, weeks):
    plan = TEXT[TEXT.index(f":name: instructors-{weeks}-weeks") :].partition(":::")[0]
    graded = "".join(line for line in plan.splitlines() if "test on paper" not in line)
    public = [
        chapters[name].masters[int(number) - 1].variant().public_solution
        for name, numbers in re.findall(r"`([a-z-]+):(\d(?:,\d)*)`", graded)
        for number in numbers.split(",")
    ]
    assert sum(public) < len(public) / 3


def test_what_is_for_paper_is_done_by_hand(chapters):
    (line,) = [line for line in TEXT.splitlines() if "test on paper" in line]
    named = re.findall(r"`([a-z-]+):(\d)`", line)
    assert len(named) == 4
    for name, number in named:
        assert chapters[name].masters[int(number) - 1].variant().kind == "by hand", name


def test_every_status_is_explained():
    table = TEXT[TEXT.index("| status |") : TEXT.index("A status is not a verdict")]
    explained = {
        name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z' ]+)`", row[:40])
    }
    assert explained == set(STATUS)
