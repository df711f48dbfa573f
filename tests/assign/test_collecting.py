"""Whatever was handed in is found, and whose it is, as platforms and people name files."""

import io
import os
import zipfile

import pytest

from assign.grading import collect


def folder(root, *files, text=b"{}"):
    """Write files; where a name has a ``!``, into the zip before it."""
    zips = {}
    for file in files:
        archive, mark, member = file.partition("!")
        if mark:
            zips.setdefault(archive, []).append(member)
        else:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
    for archive, members in zips.items():
        path = root / archive
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zipped(members))
    return root


def zipped(members):
    """Return a zip; a member with a ``!`` is in a zip in it."""
    data, inner = io.BytesIO(), {}
    with zipfile.ZipFile(data, "w") as archive:
        for member in members:
            name, mark, deeper = member.partition("!")
            if mark:
                inner.setdefault(name, []).append(deeper)
            else:
                archive.writestr(name, "{}")
        for name, deeper in inner.items():
            archive.writestr(name, zipped(deeper))
    return data.getvalue()


def by_student(root):
    return {s.student: s.file for s in collect.collect(root).submissions}


@pytest.mark.parametrize(
    ("file", "student"),
    [
        ("ada.ipynb", "ada"),
        ("HW-2.IPYNB", "HW-2"),
        ("ada/hw/homework-2.ipynb", "ada"),
        ("lovelaceada_4711_815_homework-2.ipynb", "lovelaceada"),
        ("lovelaceada_LATE_4711_815_homework-2-1.ipynb", "lovelaceada"),
        ("Ada Lovelace_99_assignsubmission_file/homework-2.ipynb", "Ada Lovelace"),
        ("Ada Lovelace_99_assignsubmission_file_homework-2.ipynb", "Ada Lovelace"),
        ("assignment_1_export/submission_42/homework-2.ipynb", "submission_42"),
        ("HW 2_ada_attempt_2027-03-01-10-00-00_homework-2.ipynb", "ada"),
        ("ada.zip!homework-2.ipynb", "ada"),
        ("张三_4711_815_作业.ipynb", "张三"),
        ("submissions.zip!lovelaceada_4711_815_homework-2.ipynb", "lovelaceada"),
        ("x.zip!y.zip!Ada Lovelace_99_assignsubmission_file/homework-2.ipynb", "Ada Lovelace"),
    ],
)
def test_students_by_the_names_that_platforms_give(tmp_path, file, student):
    assert by_student(folder(tmp_path, file)) == {student: file}


@pytest.mark.parametrize(
    ("files", "students"),
    [
        (["submissions.zip!ada/hw.ipynb", "submissions.zip!bob/hw.ipynb"], ["ada", "bob"]),
        (["submissions.zip!ada.ipynb", "submissions.zip!bob.ipynb"], ["ada", "bob"]),
        (["all.zip!all/ada/hw.ipynb", "all.zip!all/bob/my.ipynb"], ["ada", "bob"]),
        (["group 1/ada/h.ipynb", "group 1/bob/h.ipynb", "cyd.ipynb"], ["ada", "bob", "cyd"]),
        (["ada/one.ipynb", "ada/two.ipynb", "bob/one.ipynb"], ["ada", "bob"]),
        (["ada/hw.ipynb", "ada/data.csv"], ["ada"]),
        (["ada.zip!hw.ipynb", "ada.zip!data/x.csv", "bob.zip!hw.ipynb"], ["ada", "bob"]),
    ],
    ids=str,
)
def test_a_folder_of_many_students_is_no_student(tmp_path, files, students):
    assert list(by_student(folder(tmp_path, *files))) == students


def test_two_students_of_one_name_are_told_apart(tmp_path):
    found = folder(
        tmp_path, "Li Wei_8_assignsubmission_file/h.ipynb", "Li Wei_9_assignsubmission_file/h.ipynb"
    )
    assert list(by_student(found)) == ["Li Wei (8)", "Li Wei (9)"]
    assert list(by_student(folder(tmp_path / "two", "li wei.ipynb", "li-wei.ipynb"))) == [
        "li wei",
        "li-wei",
    ]


@pytest.mark.parametrize(
    ("files", "counts"),
    [
        (["ada_1_2_hw-2.ipynb", "ada_1_3_hw-2-1.ipynb"], "ada_1_3_hw-2-1.ipynb"),
        (
            [
                "HW_ada_attempt_2027-03-02-10-00-00_a.ipynb",
                "HW_ada_attempt_2027-03-01-10-00-00_b.ipynb",
            ],
            "HW_ada_attempt_2027-03-02-10-00-00_a.ipynb",
        ),
        (["ada_1_2_notes.txt", "ada_1_2_hw.ipynb", "ada_1_2_plan.pdf"], "ada_1_2_hw.ipynb"),
    ],
    ids=str,
)
def test_of_two_uploads_the_last_counts_and_the_other_is_named(tmp_path, files, counts):
    (found,) = collect.collect(folder(tmp_path, *files)).submissions
    assert found.file == counts
    assert sorted([found.file, *found.others]) == sorted(files)


def test_of_two_notebooks_the_newer_counts_unless_it_is_another_assignments(tmp_path):
    folder(tmp_path, "bob/x.ipynb", "ada/a.ipynb", text=b'{"assignment": "hw-1"}')
    folder(tmp_path, "ada/b.ipynb", text=b'{"assignment": "other"}')
    os.utime(tmp_path / "ada" / "a.ipynb", (1, 1))
    assert by_student(tmp_path)["ada"] == "ada/b.ipynb"
    chosen = collect.collect(tmp_path, "hw-1").submissions[0]
    assert (chosen.student, chosen.file) == ("ada", "ada/a.ipynb")


def test_a_mark_of_lateness_is_kept(tmp_path):
    folder(tmp_path, "ada_LATE_1_2_hw.ipynb", "bob_1_3_hw.ipynb")
    assert [s.late for s in collect.collect(tmp_path).submissions] == [True, False]


def test_every_file_is_accounted_for(tmp_path):
    """As a student's, whatever it is, or as nobody's."""
    files = [
        *("ada/hw.ipynb", "ada/plot.png", "12-liu.txt", "bob.zip!b/b.ipynb", "bob.zip!b/x.csv"),
        *("eve/essay.docx", "ada/.ipynb_checkpoints/hw-checkpoint.ipynb", ".DS_Store"),
        *(
            "bob.zip!__MACOSX/b/._b.ipynb",
            "Thumbs.db",
            "eve/desktop.ini",
            "submission_metadata.yml",
        ),
    ]
    found = collect.collect(folder(tmp_path, *files))
    accounted = [file for s in found.submissions for file in (s.file, *s.others)]
    assert sorted([*accounted, *found.debris]) == sorted(files)
    assert {s.student: s.problem for s in found.submissions} == {
        "12-liu": "it is no notebook (.ipynb)",
        "ada": "",
        "bob": "",
        "eve": "it is no notebook (.ipynb)",
    }
    assert len(found.debris) == 6


def test_what_cannot_be_read_says_why(tmp_path, monkeypatch):
    folder(tmp_path, "large.ipynb", "a.zip!x.zip!y.zip!z.zip!deep.ipynb", text=b"{" * 2001)
    (tmp_path / "broken.zip").write_bytes(b"PK nothing")
    (tmp_path / "link.ipynb").symlink_to("/etc/passwd")
    with zipfile.ZipFile(tmp_path / "void.zip", "w"):
        pass
    monkeypatch.setattr(collect, "LARGEST", 2000)
    problems = {s.student: s.problem for s in collect.collect(tmp_path).submissions}
    assert problems == {
        "a": "the zip cannot be read (zips in zips in zips)",
        "broken": "the zip cannot be read (File is not a zip file)",
        "large": "larger than 0 MB",
        "link": "a link to another file",
        "void": "the zip cannot be read (an empty zip)",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_chinese_names_in_zips_are_read_as_windows_writes_them(tmp_path, encoding):
    """They write the bytes, and do not say which encoding it is."""
    name = "张三.ipynb".encode(encoding)
    folder(tmp_path, f"all.zip!{'x' * len(name)}")
    raw = (tmp_path / "all.zip").read_bytes().replace(b"x" * len(name), name)
    (tmp_path / "all.zip").write_bytes(raw)
    assert by_student(tmp_path) == {"all": "all.zip!张三.ipynb"}


def test_there_must_be_something(tmp_path):
    with pytest.raises(ValueError, match="submissions must be a folder, got"):
        collect.collect(tmp_path / "nothing")
    with pytest.raises(ValueError, match="submissions must hold notebooks"):
        collect.collect(folder(tmp_path, "x/.git/y.ipynb"))
