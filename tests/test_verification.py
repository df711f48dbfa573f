"""The record of what was checked: complete, in step with the tests, and honest about errors."""

import ast
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests import verification as plugin
from tools.reference import verification_record

RECORD = verification_record.load()
PUBLIC = verification_record.public()


@pytest.fixture
def records(monkeypatch):
    """Return what a test records, kept apart from the run's own records."""
    kept = {}
    monkeypatch.setattr(plugin, "_records", kept)
    return kept


def entry(name="activations.gelu", oracle="torch", error=1e-16, tests=("tests/test_a.py::test_x",)):
    return {
        "name": name,
        "detail": "",
        "oracle": oracle,
        "precision": "float64",
        "error": error,
        "tolerance": 1e-10,
        "comparisons": 1,
        "tests": list(tests),
    }


# -- the record that is kept ---------------------------------------------------------------------


@pytest.mark.parametrize("name", verification_record.taught(PUBLIC))
def test_what_is_public_is_checked_against_something(name):
    checked = {each["name"] for each in RECORD["records"]}
    assert name in checked, (
        f"{name} is compared with nothing: call `agree` or `same` of tests.verification in its "
        f"tests, then `{verification_record.COMMAND}`"
    )


def test_the_record_names_nothing_that_is_gone():
    assert {each["name"] for each in RECORD["records"]} <= set(PUBLIC)


def test_no_error_is_larger_than_its_tolerance():
    wrong = [each for each in RECORD["records"] if not each["error"] <= each["tolerance"]]
    assert wrong == []


def test_in_float64_all_agree_to_ten_digits():
    """A tolerance may not be stretched until something passes."""
    errors = [each["error"] for each in RECORD["records"] if each["precision"] == "float64"]
    assert len(errors) > 100
    assert max(errors) < 1e-10


def test_every_test_it_names_exists():
    defined = {}
    for each in RECORD["records"]:
        for test in each["tests"]:
            path, _, name = test.partition("::")
            if path not in defined:
                tree = ast.parse((verification_record.ROOT / path).read_text(encoding="utf-8"))
                defined[path] = {node.name for node in ast.walk(tree) if hasattr(node, "name")}
            assert name.rpartition("::")[2] in defined[path], test


def test_the_record_is_stored_as_it_would_be_written():
    text = (verification_record.ROOT / verification_record.RECORD).read_text(encoding="utf-8")
    assert verification_record.dump(RECORD) == text
    assert verification_record.merge([RECORD["records"]]) == RECORD["records"]


def test_the_record_says_where_and_with_what_it_was_made():
    assert RECORD["command"] == "make verification"
    assert set(RECORD["versions"]) == {"python", *verification_record.LIBRARIES}
    assert RECORD["machine"]
    assert RECORD["date"]


# -- fresh and kept ------------------------------------------------------------------------------

WHOLE = ["tests/test_a.py"]
STALE = {
    "a new comparison": ([entry(), entry(oracle="mpmath")], [entry()], "mpmath.*not in the record"),
    "none any more": ([], [entry()], "no more in tests/test_a.py::test_x"),
    "another test": (
        [entry(tests=["tests/test_a.py::test_y"])],
        [entry()],
        "not in the record, from tests/test_a.py::test_y",
    ),
    "a larger error": ([entry(error=1e-9)], [entry()], "off by 1e-09, tolerance 1e-10"),
}


@pytest.mark.parametrize("kind", STALE)
def test_a_record_out_of_date_is_noticed(kind):
    fresh, kept, says = STALE[kind]
    found = verification_record.differences(fresh, kept, WHOLE)
    assert re.search(says, "\n".join(found))


def test_what_has_not_run_is_not_missed():
    assert verification_record.differences([], [entry()], []) == []
    assert verification_record.differences([entry()], [entry()], WHOLE) == []
    elsewhere = entry(tests=["tests/test_a.py::test_x", "tests/test_b.py::test_x"])
    assert verification_record.differences([entry()], [elsewhere], WHOLE) == []


def run_apart(folder, text, *options):
    """Run one file of tests in a process of its own, with the plugin and nothing else of ours."""
    root = str(verification_record.ROOT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    command += ["-c", f"{root}/pyproject.toml", "--rootdir", root, "-p", "tests.verification"]
    (folder / "test_new.py").write_text(text)
    command.append(str(folder / "test_new.py"))
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_a_run_fails_whose_comparisons_are_not_in_the_record(tmp_path):
    """The whole way: a test that compares something new, in a run of its own."""
    text = (
        "from tests.verification import same\n\n"
        "def test_new():\n    same('gelu', 'a sheep', 1, 1)\n"
    )
    done = run_apart(tmp_path, text)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "activations.gelu against a sheep in exact: not in the record" in done.stdout
    assert "1 passed" in done.stdout


def test_a_run_fails_when_a_worker_hands_over_nothing(tmp_path):
    text = (
        "from tests import verification\n\n"
        "def test_new():\n"
        "    verification.same('gelu', 'a sheep', 1, 1)\n"
        "    (record,) = verification._records.values()\n"
        "    record['error'] = object()  # what cannot be sent\n"
    )
    done = run_apart(tmp_path, text, "-n", "1")
    assert done.returncode, done.stdout + done.stderr
    assert "ended without handing over their records: gw0" in done.stdout


# -- what tests record ---------------------------------------------------------------------------


def test_agree_records_the_largest_error_of_all(records):
    for error in (1e-12, 3e-12, 2e-12):
        plugin.agree("gelu", "torch", torch.tensor([1.0, 2.0]).double(), [1.0, 2.0 - error])
    (record,) = records.values()
    assert record["error"] == pytest.approx(1.5e-12, rel=1e-3)  # relative above 1
    assert record["comparisons"] == 3
    assert record["precision"] == "float64"
    assert record["tests"] == [
        "tests/test_verification.py::test_agree_records_the_largest_error_of_all"
    ]


def test_what_is_recorded_can_be_sent_from_a_worker_whatever_tolerance_was_given(records):
    plugin.agree("gelu", "torch", np.array([1.0]), [1.0], np.float64(1e-3))
    (record,) = records.values()
    assert (type(record["error"]), type(record["tolerance"])) == (float, float)


@pytest.mark.parametrize("value", [[1.0, 2.1], [1.0, math.nan], [1.0], [[1.0, 2.0]]])
def test_agree_refuses_what_differs(records, value):
    with pytest.raises(AssertionError):
        plugin.agree("gelu", "torch", np.array(value), [1.0, 2.0])
    assert records == {}


def test_same_takes_tensors_and_plain_things(records):
    plugin.same("causal_mask", "by hand", torch.tensor([[True]]), [[True]])
    plugin.same("WordPiece.tokenize", "by hand", ["a"], ["a"])
    with pytest.raises(AssertionError, match="causal_mask is not what by hand gives"):
        plugin.same("causal_mask", "by hand", torch.tensor([1]), [2])
    assert [(r["name"], r["detail"]) for r in records.values()] == [
        ("attention.causal_mask", ""),
        ("tokenizers.wordpiece.WordPiece", "tokenize"),
    ]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("gelu, tanh form, at ±1000", ("activations.gelu", "tanh form, at ±1000")),
        ("softmax at ±1000", ("activations.softmax", "at ±1000")),
        ("twin: softmax", ("reference.activations.softmax", "")),
        ("reference.activations.softmax", None),
        ("BertEncoder.embed", ("models.bert.BertEncoder", "embed")),
        ("KVCache.append, twice", ("attention.KVCache", "append, twice")),
        ("attention.causal_mask", ("attention.causal_mask", "")),
        ("softmaxes", None),
        ("weights of softmax", None),
        ("", None),
    ],
)
def test_a_subject_begins_with_a_public_name(subject, expected):
    if expected:
        assert verification_record.resolve(subject, PUBLIC) == expected
    else:
        with pytest.raises(ValueError, match="subject must begin with a public name"):
            verification_record.resolve(subject, PUBLIC)


def test_a_name_of_two_modules_must_be_told_apart():
    names = dict.fromkeys(("layers.mean", "evaluation.mean"))
    with pytest.raises(ValueError, match=r"name one of .*layers.mean"):
        verification_record.resolve("mean", names)
    assert verification_record.resolve("layers.mean", names) == ("layers.mean", "")


def test_errors_are_rounded_up():
    for error in (1.2345e-16, 9.95e-9, 1e-12, 0.5, 2.2e-16):
        rounded = verification_record.rounded_up(error)
        assert error * (1 - 1e-6) <= rounded <= 1.11 * error
        assert rounded == float(f"{rounded:.1e}")
    assert verification_record.rounded_up(0.0) == 0.0


def test_what_is_written_reads_back(tmp_path):
    entries = [entry(), entry(oracle="“…” and, by hand"), entry() | {"detail": "in place"}]
    record = {"command": "x", "records": entries}
    path = tmp_path / "record.json"
    path.write_text(text := verification_record.dump(record), encoding="utf-8")
    assert verification_record.load(path) == record
    assert [line.count('"detail"') for line in text.splitlines()] == [0, 0, 0, 0, 0, 1, 0, 0]
