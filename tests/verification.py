"""Compare with an oracle, and write down how large the error was.

Every numeric comparison of the core modules goes through ``agree``. At the end of a run the
largest error of each subject against each oracle stands in ``build/verification.json``; the
workers of pytest-xdist write one file each, which the run that started them merges. (This
file is also a pytest plugin: ``pytest_plugins = [..., "tests.verification"]``.)
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

#: What agreement means unless a test says otherwise, and why.
TOLERANCES = {"float64": 1e-10, "float32": 1e-5}

FOLDER = Path(__file__).parents[1] / "build"

_records: dict[tuple[str, str, str], dict] = {}


def agree(subject, oracle, value, expected, tolerance=None):
    """Assert that two arrays have one shape and agree, and record the largest error.

    ``tolerance`` is absolute for numbers up to 1 and relative above; by default it follows
    from the format of ``value``. Equal infinities agree, NaN agrees with nothing.
    """
    dtype = str(torch.as_tensor(value).dtype).removeprefix("torch.")
    tolerance = TOLERANCES[dtype] if tolerance is None else tolerance
    value, expected = _as_array(value), _as_array(expected)
    assert value.shape == expected.shape, f"{subject}: {value.shape}, {oracle}: {expected.shape}"
    error = _error(value, expected)
    scaled = error / np.maximum(1, np.abs(expected))
    largest = float(error.max(initial=0.0)), float(scaled.max(initial=0.0))
    assert (scaled <= tolerance).all(), f"{subject} is off by {largest[0]:.3g} from {oracle}"
    _record(subject, oracle, dtype, *largest, tolerance)


def _as_array(value):
    value = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    return np.asarray(value, dtype=np.float64)


def _error(value, expected):
    with np.errstate(invalid="ignore"):
        error = np.where(value == expected, 0.0, np.abs(value - expected))
    return np.where(np.isnan(error), np.inf, error)


def _record(subject, oracle, dtype, error, scaled, tolerance):
    new = {
        "subject": subject,
        "oracle": oracle,
        "dtype": dtype,
        "largest_error": error,
        "largest_scaled_error": scaled,  # divided by the size of numbers above 1
        "tolerance": tolerance,
        "comparisons": 1,
    }
    _combine(_records, new)


def _combine(records, new):
    key = new["subject"], new["oracle"], new["dtype"]
    old = records.setdefault(key, {**new, "comparisons": 0})
    old["comparisons"] += new["comparisons"]
    for name in ("largest_error", "largest_scaled_error", "tolerance"):
        old[name] = max(old[name], new[name])


def merge(parts):
    """Combine lists of records into one, sorted."""
    records = {}
    for part in parts:
        for record in part:
            _combine(records, record)
    return [records[key] for key in sorted(records)]


def _write(name, records):
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(records, indent=1, ensure_ascii=False)
    (FOLDER / name).write_text(text + "\n", encoding="utf-8")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Write what this process recorded; the one that started workers merges their files."""
    worker = getattr(session.config, "workerinput", {}).get("workerid")
    if worker is not None:
        _write(f"verification-{worker}.json", merge([_records.values()]))
        return
    files = sorted(FOLDER.glob("verification-*.json"))
    parts = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    records = merge([_records.values(), *parts])
    if records:
        _write("verification.json", records)
    for file in files:
        file.unlink()
