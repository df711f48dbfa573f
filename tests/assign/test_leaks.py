"""Nothing that only a grader may see is in what students get."""

import base64
import gzip
import io
import json
import zipfile

import nbformat
import pytest

from assign import assignment, autograder, making
from tests.assign.leaks import leaks, secrets
from tools.assignments.repository import Repository


@pytest.fixture(scope="module", params=[("en", 2027), ("zh", 11)], ids=["en", "zh"])
def drawn(request):
    language, seed = request.param
    return assignment.draw(Repository(), ["attention"], seed, "Homework", language)


@pytest.fixture(scope="module")
def student(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "dist"
    making.make(drawn, folder, run=False)
    return folder / "student"


def test_there_is_one_file_and_nothing_leaks(drawn, student):
    assert [path.name for path in student.iterdir()] == ["homework.ipynb"]
    hidden = [secrets(question) for question in drawn.questions]
    assert min(len(each) for each in hidden) >= 8, "there must be something to look for"
    assert leaks(student, set().union(*hidden)) == set()


def test_the_notebook_has_no_outputs_and_no_unexpected_metadata(student):
    notebook = nbformat.read(student / "homework.ipynb", as_version=4)
    keys = {"kernelspec", "language_info", "colab", "companion"}
    assert set(notebook.metadata) == keys
    assert set(notebook.metadata.companion) == {"assignment"}
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert set(cell.metadata) <= {"tags", "otter", "cellView", "jupyter"}
        assert set(cell.metadata.get("otter", {})) <= {"tests"}


def test_other_files_of_the_folder_do_hold_it(drawn, student):
    """So that the search is known to look for the right things."""
    found = leaks(student.parent, set().union(*(secrets(q) for q in drawn.questions)))
    assert all(found & secrets(question) for question in drawn.questions)


# -- a leak is found -----------------------------------------------------------------------------


def zipped(text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tests/q1.py", text)
    return data.getvalue()


WRAPPINGS = {
    "plain": lambda text: text,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "compressed": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "a zip in base64": lambda text: base64.b64encode(zipped(text)).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "escaped": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "a string in JSON": lambda text: json.dumps({"code": [text]}),
    "a string in Python": lambda text: f"checks = {text!r}",
}


def in_source(notebook, text):
    notebook.cells[-1].source += f"\n{text}"


def in_metadata(notebook, text):
    notebook.cells[0].metadata["otter"] = {"tests": {"q1": text}}


def in_notebook_metadata(notebook, text):
    notebook.metadata["otter"] = {"tests": {"q1": text}}


def in_output(notebook, text):
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text=text)]


PLACES = (in_source, in_metadata, in_notebook_metadata, in_output)


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("place", PLACES)
def test_a_planted_leak_is_found(drawn, student, tmp_path, place, wrap):
    question = drawn.questions[1]
    notebook = nbformat.read(student / "homework.ipynb", as_version=4)
    place(notebook, wrap(question.exercise.solution))
    nbformat.write(notebook, tmp_path / "homework.ipynb")
    assert leaks(tmp_path, secrets(question))


@pytest.mark.parametrize("kind", ["test", "wrong answer", "explanation", "number"])
def test_every_kind_of_secret_is_found(drawn, tmp_path, kind):
    question = drawn.questions[1]
    (tmp_path / "notes.txt").write_text(
        {
            "test": autograder.test_file(question),
            "wrong answer": next(iter(question.exercise.wrong_answers.values())),
            "explanation": question.text("explanation"),
            "number": str(question.exercise.hidden[0].given["right"]["bytes_per_token"]),
        }[kind]
    )
    assert leaks(tmp_path, secrets(question))


def test_a_leak_in_an_archive_or_a_file_name_is_found(drawn, tmp_path):
    question = drawn.questions[1]
    hidden = secrets(question)
    (tmp_path / "extra.zip").write_bytes(zipped(question.exercise.solution))
    assert leaks(tmp_path, hidden)
