"""Cross-entropy in NumPy with label smoothing and a label that does not count."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from exercises import Check, Exercise
from exercises.answers import close, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write cross-entropy with label smoothing in NumPy, from logits. Samples with the label ${{ignored}}$ do not count. No warning may appear, also when logits are in the thousands.
"""
STARTER = '''
def smoothed_loss(logits, labels, smoothing):
    """logits (N, C), labels (N,) with IGNORED for "does not count"

    Return the mean loss, a number."""
    ...
'''
TWISTS = {
    "count": Twist(
        "Return two numbers: the mean loss, and how many samples count.",
        {"smoothed_loss": ("", "result = result, int((labels != IGNORED).sum())")},
        {"Return the mean loss, a number.": "Return the mean loss, and how many samples count."},
    ),
    "columns": Twist(
        "The logits of a sample are a column: `logits` is (C, N).",
        {"smoothed_loss": ("logits = logits.T", "")},
        {"logits (N, C)": "logits (C, N)"},
    ),
    "others": Twist(
        "Here smoothing is shared out among the *other* classes only: of $C$ classes, the right one has the target $1 - s$ and each other one $s / (C - 1)$, where $s$ is `smoothing`.",
        {
            "smoothed_loss": (
                "smoothing = smoothing * logits.shape[1] / (logits.shape[1] - 1)",
                "",
            )
        },
    ),
}
HINT = "First the logarithms of all probabilities, by log-sum-exp. And IGNORED is no index: select what counts before you use labels."
SOLUTION = """
def smoothed_loss(logits, labels, smoothing):
    counts = labels != IGNORED
    z, y = logits[counts], labels[counts]
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    hard = -log_p[np.arange(len(y)), y]
    soft = -log_p.mean(axis=1)
    return ((1 - smoothing) * hard + smoothing * soft).mean()
"""
TRIAL = """
rng = np.random.default_rng(4)
z, y = rng.normal(size=(8, 5)), rng.integers(5, size=8)
y[[2, 5]] = IGNORED
options = {"ignore_index": IGNORED, "label_smoothing": 0.2}
for scale in (1, 3000):
    warnings = []
    with np.errstate(all="call", under="ignore", call=lambda *said: warnings.append(said)):
        found = smoothed_loss(scale * z, y, 0.2)
    right = F.cross_entropy(torch.tensor(scale * z), torch.tensor(y), **options)
    check(f"loss by PyTorch, logits times {scale}", found, right, 1e-9 * scale)
    check(f"warnings from NumPy, logits times {scale}", len(warnings), 0)
"""
EXPLANATION = r"""
The target is a mixture of the label and the uniform distribution, so the loss is the same mixture of two losses; the second is a mean over *all* classes, the right one included. Samples that do not count are dropped first.
"""
WRONG_ANSWERS = {
    "divided by all samples": """
        def smoothed_loss(logits, labels, smoothing):
            counts = labels != IGNORED
            z = logits - logits.max(axis=1, keepdims=True)
            log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
            hard = -log_p[np.arange(len(z)), np.where(counts, labels, 0)]
            each = (1 - smoothing) * hard - smoothing * log_p.mean(axis=1)
            return (each * counts).mean()
        """,
    "the right class gets no share of the smoothing": """
        def smoothed_loss(logits, labels, smoothing):
            counts = labels != IGNORED
            z, y = logits[counts], labels[counts]
            z = z - z.max(axis=1, keepdims=True)
            log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
            target = np.full(z.shape, smoothing / (z.shape[1] - 1))
            target[np.arange(len(y)), y] = 1 - smoothing
            return -(target * log_p).sum(axis=1).mean()
        """,
    "the logarithm of a softmax": """
        def smoothed_loss(logits, labels, smoothing):
            counts = labels != IGNORED
            z, y = logits[counts], labels[counts]
            p = np.exp(z - z.max(axis=1, keepdims=True))
            log_p = np.log(p / p.sum(axis=1, keepdims=True))
            hard = -log_p[np.arange(len(y)), y]
            return ((1 - smoothing) * hard - smoothing * log_p.mean(axis=1)).mean()
        """,
    "no smoothing": """
        def smoothed_loss(logits, labels, smoothing):
            counts = labels != IGNORED
            z, y = logits[counts], labels[counts]
            z = z - z.max(axis=1, keepdims=True)
            log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
            return -log_p[np.arange(len(y)), y].mean()
        """,
}


def exercise(seed: int = 0, ignored: int = -100, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise in which samples with the label `ignored` do not count, with `twists`."""
    given = [{"seed": seed + i, "ignored": ignored, "twists": twists} for i in range(3)]
    number = str(ignored)
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"smoothed_loss": "logits, labels, smoothing"}, twisted)
        return answer.replace("IGNORED", number)

    return Exercise(
        id="losses-smoothed-numpy",
        title="All of it in NumPy",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER.replace("IGNORED", number), twisted),
        hint=HINT.replace("IGNORED", "${{ignored}}$"),
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"ignored": number},
        visible=(Check(plain_loss_agrees, given[0]),),
        hidden=(Check(everything_agrees, given[1]), Check(thousands_are_safe, given[2])),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("IGNORED", number),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, the label that does not count, and twists."""
    return {
        "seed": rng.randrange(10_000),
        "ignored": rng.choice((-1, 255, 999, -99)),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def smoothing_case(seed: int, ignored: int, n: int = 9, classes: int = 4):
    """Draw logits, and labels of which every third does not count."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    labels[::3] = ignored
    return 2.0 * rng.standard_normal((n, classes)), labels


def library_loss(logits, labels, smoothing: float, ignored: int) -> float:
    """Let PyTorch say what the answer is."""
    z, y = torch.from_numpy(logits), torch.from_numpy(labels)
    return F.cross_entropy(z, y, label_smoothing=smoothing, ignore_index=ignored).item()


def plain(smoothed_loss, twists, ignored):
    """Return the loss as the page asks for it."""

    def as_on_the_page(logits, labels, smoothing):
        classes = logits.shape[1]
        given = logits.T if "columns" in twists else logits
        share = smoothing * (classes - 1) / classes if "others" in twists else smoothing
        found = smoothed_loss(given, labels, share)
        if "count" in twists:
            found, told = parts(found, 2)
            counted = int((labels != ignored).sum())
            assert told == counted, f"{counted} samples count, and not {told}"
        return found

    return as_on_the_page


def plain_loss_agrees(smoothed_loss, *, seed, ignored, twists):
    """Compare with PyTorch where nothing is smoothed or left out."""
    smoothed_loss = plain(smoothed_loss, twists, ignored)
    logits, labels = smoothing_case(seed, ignored)
    labels[::3] = 0
    got = float(smoothed_loss(logits, labels, 0.0))
    right = library_loss(logits, labels, 0.0, ignored)
    assert close(got, right, "The loss"), (
        f"Without smoothing, and with all samples counted, the loss should be {right:.6f}, "
        f"got {got:.6f}"
    )


def everything_agrees(smoothed_loss, *, seed, ignored, twists):
    """Compare with PyTorch at several strengths of smoothing, with samples left out."""
    smoothed_loss = plain(smoothed_loss, twists, ignored)
    logits, labels = smoothing_case(seed, ignored)
    for smoothing in (0.0, 0.1, 0.5):
        got = float(smoothed_loss(logits, labels, smoothing))
        right = library_loss(logits, labels, smoothing, ignored)
        assert close(got, right, "The loss"), (
            f"At smoothing {smoothing} the loss should be {right:.6f}, got {got:.6f}: which "
            "samples count, and how is the smoothing shared out?"
        )


def thousands_are_safe(smoothed_loss, *, seed, ignored, twists):
    """Check logits in the thousands, without any warning."""
    smoothed_loss = plain(smoothed_loss, twists, ignored)
    logits, labels = smoothing_case(seed, ignored)
    logits = 2000.0 * logits
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            got = float(smoothed_loss(logits, labels, 0.1))
    except FloatingPointError as error:
        raise AssertionError(
            f"NumPy warns ({error}): with large logits a probability may be 0, so take no "
            "logarithm of one"
        ) from error
    right = library_loss(logits, labels, 0.1, ignored)
    assert close(got, right, "The loss"), (
        f"With large logits the loss should be {right:.1f}, got {got:.1f}: subtract the largest"
    )
