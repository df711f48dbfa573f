"""What an instructor expects besides grades: the class, days late, points by hand, statistics."""

import csv
import json
import os
import re
from datetime import datetime

import pytest

from assign import cli
from assign.grading import byhand, collect, dist, review, roster, statistics, table
from assign.grading.collect import Submission
from tests.assign.grading_support import PROMPT, RIGHT, draw, grade, hand_in, notebook, rows
from tools.assignments.repository import Repository

# As the platforms export them: who is who, by names and numbers.
EXPORTS = {
    "canvas": (
        "Student,ID,SIS User ID,SIS Login ID,Section,Homework 1 (17)\n"
        "    Points Possible,,,,,10\n"
        '"Lovelace, Ada",4711,s1,ada1,A,9\n"Hopper, Grace",4712,s2,grace2,A,8\n'
    ),
    "moodle": (
        "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Feedback comments\n"
        "Participant 99,Ada Lovelace,ada@x.org,Submitted,,8.00,\n"
        "Participant 98,Grace Hopper,grace@x.org,No submission,,8.00,\n"
    ),
    "gradescope": (
        "First Name,Last Name,SID,Email\nAda,Lovelace,4711,a@x.org\nGrace,Hopper,4712,g@x.org\n"
    ),
    "blackboard": "Last Name\tFirst Name\tUsername\nLovelace\tAda\tada1\nHopper\tGrace\tgrace2\n",
}
HANDED_IN = {
    "canvas": "lovelaceada_4711_815_hw.ipynb",
    "moodle": "Ada Lovelace_99_assignsubmission_file/hw.ipynb",
    "gradescope": "assignment_1_export/submission_42/hw.ipynb",
    "blackboard": "HW_ada1_attempt_2027-03-01-10-00-00_hw.ipynb",
}
IMPORTED = {
    "canvas": [
        "Student,ID,SIS User ID,SIS Login ID,Section,A small one",
        "    Points Possible,,,,,8",
        '"Lovelace, Ada",4711,s1,ada1,A,7',
        '"Hopper, Grace",4712,s2,grace2,A,',
    ],
    "moodle": [
        "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Feedback comments",
        "Participant 99,Ada Lovelace,ada@x.org,Submitted,7,8,",
        "Participant 98,Grace Hopper,grace@x.org,No submission,,8,",
    ],
    "gradescope": [
        "First Name,Last Name,SID,Email,Total Score,Max Points",
        "Ada,Lovelace,4711,a@x.org,7,8",
        "Grace,Hopper,4712,g@x.org,,8",
    ],
    "blackboard": [
        "Last Name,First Name,Username,A small one",
        "Lovelace,Ada,ada1,7",
        "Hopper,Grace,grace2,",
    ],
}


@pytest.fixture
def dist_folder(tmp_path):
    return draw(tmp_path / "dist")


@pytest.mark.parametrize("platform", EXPORTS)
def test_a_platform_gets_back_its_own_table_with_the_points(
    platform, dist_folder, tmp_path, capsys
):
    (tmp_path / "class.csv").write_text(EXPORTS[platform])
    hand_in(tmp_path / "in", HANDED_IN[platform], notebook(**RIGHT))
    if platform == "gradescope":
        (tmp_path / "in/assignment_1_export/submission_metadata.yml").write_text(
            "submission_42:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: '4711'\n"
        )
    out = tmp_path / "grades.csv"
    command = (dist_folder, tmp_path / "in", "--out", out, "--jobs", 1)
    assert grade(*command, "--roster", tmp_path / "class.csv", "--lms", platform) == 0
    written = (tmp_path / f"grades-{platform}.csv").read_text(encoding="utf-8-sig")
    assert written.splitlines() == IMPORTED[platform]
    found = {name: row["status"] for name, row in rows(out).items()}
    assert sorted(found.values()) == ["missing", "ok"]
    assert "Handed in nothing: " in (told := capsys.readouterr().out)
    assert "Hopper" in told
    assert "not plain who" not in told


CHINESE = "学号,姓名,邮箱\n2021001,张三,z@x.cn\n2021002,李四,l@x.cn\n2021003,王小明,w@x.cn\n"


@pytest.mark.parametrize(
    ("student", "number", "row"),
    [
        ("张三", "", 0),
        ("2021002", "", 1),
        ("2021003-作业", "", 2),
        ("作业二_李四", "", 1),
        ("somebody", "2021001", 0),
        ("张三 李四", "", None),
        ("nobody", "", None),
    ],
)
def test_who_it_is_follows_from_names_and_numbers_if_that_is_plain(tmp_path, student, number, row):
    for encoding in ("utf-8-sig", "gb18030", "utf-16"):
        (tmp_path / "class.csv").write_text(CHINESE, encoding=encoding)
        found = roster.read(tmp_path / "class.csv").find(Submission(student, "x", number=number))
        assert found == row, encoding


def test_names_are_known_in_any_order_of_their_parts(tmp_path):
    (tmp_path / "class.csv").write_text("Student\nAda King Lovelace\nGrace Hopper\n")
    found = roster.read(tmp_path / "class.csv")
    for name in ("adakinglovelace", "Lovelace, Ada King", "lovelaceadaking", "ADA KING LOVELACE"):
        assert found.find(Submission(name, "x")) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--lms", "canvas"), "lms needs roster"),
        (("--roster", "nowhere.csv"), "roster must be a table of the class, nowhere.csv"),
        (("--by-hand", "nowhere"), "by-hand must be the folder that review wrote, got nowhere"),
        (("--due", "soon"), "must be a date such as 2027-03-01, got soon"),
    ],
)
def test_what_cannot_be_is_told(dist_folder, tmp_path, capsys, options, complaint):
    hand_in(tmp_path / "in", "ada.ipynb", notebook())
    try:
        status = grade(dist_folder, tmp_path / "in", "--out", tmp_path / "grades.csv", *options)
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert complaint in capsys.readouterr().err


def test_a_platform_needs_a_table_by_which_it_knows_its_students(tmp_path):
    (tmp_path / "class.csv").write_text(EXPORTS["canvas"])
    assert roster.read(tmp_path / "class.csv", "canvas").students()
    with pytest.raises(ValueError, match="that moodle exports, with a column Identifier or ID num"):
        roster.read(tmp_path / "class.csv", "moodle")


def test_an_empty_roster_is_told(tmp_path):
    (tmp_path / "class.csv").write_text("Student\n")
    with pytest.raises(ValueError, match="roster must name the students of the class"):
        roster.read(tmp_path / "class.csv")


# -- days late -----------------------------------------------------------------------------------


def test_days_late_are_counted_from_the_date(dist_folder, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "grades.csv"
    times = {
        "ada": "2027-03-01 23:59",
        "bob": "2027-03-02 00:01",
        "cyd": "2027-03-04 12:00",
    }
    for name, said in times.items():
        path = hand_in(folder, f"{name}.ipynb", notebook())
        os.utime(path, (seconds := datetime.fromisoformat(said).timestamp(), seconds))
    hand_in(folder, "HW_dan_attempt_2027-03-03-10-00-00_hw.ipynb", notebook())
    path = hand_in(folder, "eve_LATE_1_2_hw.ipynb", notebook())
    os.utime(path, (0, 0))
    assert grade(dist_folder, folder, "--out", out, "--due", "2027-03-01", "--jobs", 2) == 0
    assert {name: row["late"] for name, row in rows(out).items()} == {
        "ada": "",
        "bob": "1 day",
        "cyd": "3 days",
        "dan": "2 days",
        "eve": "late",
    }
    command = (dist_folder, folder, "--out", out, "--due", "2027-03-02", "--resume")
    assert grade(*command) == 0, "with another date nothing is graded again"
    assert [row["late"] for row in rows(out).values()] == ["", "", "2 days", "1 day", "late"]


# -- points by hand ------------------------------------------------------------------------------


@pytest.fixture
def reviewed(dist_folder, tmp_path):
    """Hand in words, and write the pages on which they are read."""
    said = {"ada": "Twice <b>is</b> two.", "bob": "", "li wei": "因为是两倍"}
    for name, words in said.items():
        hand_in(tmp_path / "in", f"{name}.ipynb", notebook(**RIGHT, words=words))
    (tmp_path / "in" / "eve.ipynb").write_text("no notebook")
    command = ["review", str(dist_folder), str(tmp_path / "in"), "--out", str(tmp_path / "review")]
    assert cli.main(Repository(), command) == 0
    return command


def test_each_question_in_words_gets_a_page_with_the_rubric(reviewed, tmp_path):
    page = (tmp_path / "review" / "q2.html").read_text()
    assert not (tmp_path / "review" / "q1.html").exists(), "it asks for no words"
    assert "Twice &lt;b&gt;is&lt;/b&gt; two." in page, "what students write is not run"
    assert "Because twice &lt;is&gt; two times." in page
    assert "因为是两倍" in page
    assert PROMPT not in page
    assert page.count("<em>nothing</em>") == 2
    assert page.count('max="1"') == 4
    assert "src=" not in page


def give(path, **points):
    """Type points into a question's table, with Excel's commas."""
    with path.open(encoding="utf-8-sig") as file:
        table = list(csv.DictReader(file))
    assert [row["student"] for row in table][:2] == ["ada", "bob"]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["student", "points", "comment"])
        writer.writeheader()
        writer.writerows({**row, **points.get(row["student"], {})} for row in table)


def test_points_are_typed_once_and_stay_whatever_is_graded_again(
    reviewed, dist_folder, tmp_path, capsys
):
    sheet, out, pages = tmp_path / "review" / "q2.csv", tmp_path / "grades.csv", tmp_path / "pages"
    give(sheet, ada={"points": "0,5", "comment": "nearly"})
    assert cli.main(Repository(), reviewed) == 0, "once more, when a late one has come in"
    assert "nearly" in (tmp_path / "review" / "q2.html").read_text()
    command = (dist_folder, tmp_path / "in", "--out", out, "--feedback", pages, "--jobs", 1)
    assert grade(*command, "--by-hand", tmp_path / "review") == 0
    for _ in range(2):
        found = rows(out)
        assert [found["ada"][key] for key in ("total", "max", "by_hand", "still_by_hand")] == [
            *("7.5", "8", "0.5", "0"),
        ]
        assert [found["bob"][key] for key in ("total", "by_hand", "still_by_hand")] == [
            "7",
            "0",
            "1",
        ]
        hand_in(tmp_path / "in", "bob.ipynb", notebook(**RIGHT, words="more"))
        assert grade(*command, "--by-hand", tmp_path / "review", "--resume") == 0
    assert grade(*command, "--resume") == 2, "they would be lost"
    assert "holds points given by hand: say --by-hand" in capsys.readouterr().err
    (page,) = pages.glob("ada-*.md")
    assert "- points by hand: 0.5\n  nearly\n" in page.read_text()
    (page,) = pages.glob("bob-*.html")
    assert "Points still to be given by hand, at most: 1." in page.read_text()


@pytest.mark.parametrize("points", ["2", "-1", "many"])
def test_points_that_a_question_does_not_have_are_refused(reviewed, dist_folder, tmp_path, points):
    give(tmp_path / "review" / "q2.csv", ada={"points": points})
    with pytest.raises(
        ValueError, match=f"points must be a number from 0 to 1, got '{points}' for"
    ):
        byhand.read(tmp_path / "review", dist.read(dist_folder))


def test_words_are_found_without_ids_of_cells_too(dist_folder):
    made = notebook(**RIGHT, words="Twice is two.")
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
    assert review.words(made, "q2", dist.read(dist_folder)) == "Twice is two."


# -- statistics ----------------------------------------------------------------------------------


def test_what_to_teach_again_is_a_table_a_plot_and_a_line(dist_folder, tmp_path, capsys):
    for number in range(3):
        hand_in(tmp_path / "in", f"{number}.ipynb", notebook("total = 20", RIGHT["q2"]))
    hand_in(tmp_path / "in", "ada.ipynb", notebook(**RIGHT))
    (tmp_path / "in" / "eve.ipynb").write_text("no notebook")
    command = (dist_folder, tmp_path / "in", "--out", tmp_path / "grades.csv", "--jobs", 1)
    assert grade(*command, "--statistics", tmp_path / "again") == 0
    assert "3 of 4 failed in q1: it is right\n" in capsys.readouterr().out
    with (tmp_path / "again" / "statistics.csv").open(encoding="utf-8-sig") as file:
        found = {
            row["check"]: (row["failed"], row["of"], row["share"]) for row in csv.DictReader(file)
        }
    assert found == {
        "it is a number": ("0", "4", "0.00"),
        "it is right": ("3", "4", "0.75"),
        "shape": ("0", "4", "0.00"),
        "values": ("0", "4", "0.00"),
    }
    drawing = (tmp_path / "again" / "statistics.svg").read_text()
    assert "3 of 4" in drawing
    assert "q1  it is right" in drawing


def test_a_plot_in_chinese_warns_of_nothing(tmp_path, capfd):
    counts = [{"question": "q1", "check": "检查四个结果", "failed": 1, "of": 2}]
    statistics.plot(counts, tmp_path / "plot.svg")
    assert capfd.readouterr().err == ""
    assert "检查四个结果" in (tmp_path / "plot.svg").read_text()


# -- pages ---------------------------------------------------------------------------------------


def test_a_page_shows_what_a_notebook_said_and_runs_none_of_it(dist_folder, tmp_path):
    nasty = "raise ValueError('<script>alert(1)</script> *bold* [x](y)')"
    hand_in(tmp_path / "in", "a<b>.ipynb", notebook(nasty))
    pages = tmp_path / "pages"
    command = (dist_folder, tmp_path / "in", "--out", tmp_path / "grades.csv", "--jobs", 1)
    assert grade(*command, "--feedback", pages) == 0
    (html,), (text,) = (list(pages.glob(f"*.{kind}")) for kind in ("html", "md"))
    assert "<script>" not in html.read_text()
    assert "&lt;script&gt;" in html.read_text()
    assert r"\*bold\*" in text.read_text()
    assert re.search(r'<html lang="en"><meta charset="utf-8">', html.read_text())


def test_a_page_in_chinese_says_in_chinese_what_happened(tmp_path):
    record = draw(tmp_path / "dist") / "assignment.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "language": "zh"}))
    answers = {
        "ada": notebook("import os\nos._exit(0)"),
        "bob": notebook("1 / 0", "def double(x): raise KeyboardInterrupt"),
    }
    for name, made in answers.items():
        hand_in(tmp_path / "in", f"{name}.ipynb", made)
    (tmp_path / "in" / "eve.ipynb").write_text("no notebook")
    (tmp_path / "in" / "eve.txt").write_text("an essay")
    pages = tmp_path / "pages"
    command = (record.parent, tmp_path / "in", "--out", tmp_path / "grades.csv")
    assert grade(*command, "--feedback", pages, "--jobs", 2) == 0
    own = (
        r"[a-z]+\.txt|should be|should count every row|should keep the|each value twice, please"
        "|A small one|q[12]|Twice|A sum|it is|a number|right|shape|values|ada|bob|eve"
    )
    python = r"\w+(Error|Interrupt)|division by zero|name '\w+' is not defined|exit status 0"
    for page in pages.glob("*.md"):
        left = re.sub(f"{own}|{python}|total|double", "", page.read_text())
        assert re.findall(r"[A-Za-z]{2,}.*", left) == []


def test_a_record_that_was_cut_off_is_left_out(tmp_path):
    table.append(tmp_path / "x.jsonl", {"student": "ada", "total": 1})
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"student": "bob", "tot')
    assert table.read(tmp_path / "x.jsonl") == ([{"student": "ada", "total": 1}], set())


def test_the_date_of_a_zip_is_that_of_its_member(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "ada.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("hw.ipynb", (2027, 3, 1, 10, 0, 0)), "{}")
    (found,) = collect.collect(tmp_path).submissions
    assert datetime.fromtimestamp(found.changed) == datetime(2027, 3, 1, 10)
