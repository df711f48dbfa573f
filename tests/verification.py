"""Compare with an oracle, and write down how large the error was.

Every comparison of the package goes through ``agree`` (numbers) or ``same`` (whatever must be
equal); a test that looks at behaviour instead says so with the mark ``verifies``. At the end of a
run all of it stands in ``build/verification.json``, and is held against the record that is kept and
published (`tools.reference.verification_record`): a comparison that is new there, or made no more,
fails the run. (This file is also a pytest plugin: ``pytest_plugins = [...,
"tests.verification"]``.)
"""

import os

import numpy as np
import pytest
import torch

from tools.reference import verification_record

#: What agreement means unless a test says otherwise, and why.
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}

ROOT = verification_record.ROOT
FRESH = ROOT / verification_record.FRESH
PUBLIC = verification_record.public()

_records: dict[tuple[str, ...], dict] = {}
_partial: set[str] = set()  # files of which not all tests run
_lost: list[str] = []  # workers that ended without handing over what they recorded


def agree(subject, oracle, value, expected, tolerance=None, *, limit=None):
    """Assert that two arrays have one shape and agree, and record the largest error.

    ``subject`` begins with the public name that is compared, ``twin: `` before it for those of
    ``companion.reference``; after it come a method or a few words about the case.
    ``tolerance`` is absolute for numbers up to 1 and relative above; by default it follows
    from the format of ``value``. Where something coarser than that format limits how well the
    two can agree, ``limit`` names it: ``"bfloat16"``, ``"h²"`` for a difference quotient,
    ``"1/√n"`` for a mean over random draws. Equal infinities agree, NaN agrees with nothing.
    """
    dtype = str(torch.as_tensor(value).dtype).removeprefix("torch.")
    tolerance = TOLERANCES[dtype] if tolerance is None else tolerance
    value, expected = _as_array(value), _as_array(expected)
    assert value.shape == expected.shape, f"{subject}: {value.shape}, {oracle}: {expected.shape}"
    error = _error(value, expected)
    scaled = error / np.maximum(1, np.abs(expected))
    off = float(error.max(initial=0.0))
    assert (scaled <= tolerance).all(), f"{subject} is off by {off:.3g} from {oracle}"
    _record(subject, oracle, limit or dtype, float(scaled.max(initial=0.0)), tolerance)


def same(subject, oracle, value, expected):
    """Assert that two things are equal, tensors and arrays entry by entry, and record it."""
    value, expected = (_as_list(thing) for thing in (value, expected))
    assert value == expected, f"{subject} is not what {oracle} gives"
    _record(subject, oracle, verification_record.EXACT)


def _as_list(thing):
    return thing.tolist() if isinstance(thing, (torch.Tensor, np.ndarray)) else thing


def _as_array(value):
    value = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    return np.asarray(value, dtype=np.float64)


def _error(value, expected):
    with np.errstate(invalid="ignore"):
        error = np.where(value == expected, 0.0, np.abs(value - expected))
    return np.where(np.isnan(error), np.inf, error)


def _record(subject, oracle, precision, error=0.0, tolerance=0.0):
    name, detail = verification_record.resolve(subject, PUBLIC)
    new = {
        "name": name,
        "detail": detail,
        "oracle": oracle,
        "precision": precision,
        "error": float(error),  # divided by the size of numbers above 1
        "tolerance": float(tolerance),
        "comparisons": 1,
        "tests": [os.environ["PYTEST_CURRENT_TEST"].partition("[")[0].partition(" ")[0]],
    }
    verification_record.combine(_records, new)


# -- the run -------------------------------------------------------------------------------------


def pytest_configure(config):
    """Say what the mark means."""
    mark = "verifies(subject, how): the test checks what a public function does, not a number"
    config.addinivalue_line("markers", mark)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Record what a test with the mark ``verifies`` has checked, if it passes."""
    result = yield
    for mark in item.iter_markers("verifies"):
        subject, how = mark.args
        _record(subject, how, verification_record.BEHAVIOUR)
    return result


def pytest_deselected(items):
    """Remember the files of which not all tests run."""
    _partial.update(item.nodeid.partition("::")[0] for item in items)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Hand over what a worker recorded; what all recorded is written, and compared."""
    named = {arg.partition("::")[0] for arg in session.config.args if "::" in arg}
    _partial.update(os.path.relpath(name, ROOT) for name in named)
    records = verification_record.merge([_records.values()])
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["verification"] = [records, sorted(_partial)]
    elif _lost:
        session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
    elif records:
        FRESH.parent.mkdir(exist_ok=True)
        FRESH.write_text(verification_record.dump({"records": records}), encoding="utf-8")
        _compare(session, records)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take over what a worker of pytest-xdist recorded, or note that it handed over nothing."""
    output = getattr(node, "workeroutput", {})
    if "verification" not in output:
        _lost.append(node.gateway.id)
    records, partial = output.get("verification", [[], []])
    _partial.update(partial)
    for record in records:
        verification_record.combine(_records, record)


def _compare(session, records):
    """Let a run fail whose comparisons are not those of the record that is kept."""
    kept = ROOT / verification_record.RECORD
    if os.environ.get("VERIFICATION") == "record" or session.exitstatus:
        return
    whole = {test.partition("::")[0] for entry in records for test in entry["tests"]} - _partial
    known = verification_record.load(kept)["records"] if kept.exists() else []
    session.config.stash[STALE] = verification_record.differences(records, known, whole)
    # A chapter in the making has comparisons that are not recorded yet.
    if session.config.stash[STALE] and not session.config.getoption("chapter", None):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


STALE = pytest.StashKey[list]()


def pytest_terminal_summary(terminalreporter, config):
    """Say where the record does not fit."""
    if _lost:
        lost = ", ".join(_lost)
        terminalreporter.section("what was compared is not known", red=True, bold=True)
        terminalreporter.write_line(f"ended without handing over their records: {lost}")
    stale = config.stash.get(STALE, [])
    if stale:
        in_the_making = config.getoption("chapter", None)
        warned = {"yellow": True} if in_the_making else {"red": True, "bold": True}
        terminalreporter.section("the verification report is out of date", **warned)
        terminalreporter.write_line(
            f"`{verification_record.COMMAND}` renews {verification_record.RECORD}"
        )
        for line in stale:
            terminalreporter.write_line(line)
