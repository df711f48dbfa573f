"""Precision, recall and F1 of three classes, from a confusion matrix, by hand."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A model sorts mails into *orders*, *questions* and *complaints*. A row of the confusion matrix is a true class and a column is what the model said, both in this order:

$$
\begin{pmatrix} {{n_00}} & {{n_01}} & {{n_02}} \\ {{n_10}} & {{n_11}} & {{n_12}} \\ {{n_20}} & {{n_21}} & {{n_22}} \end{pmatrix}
$$

Find precision and recall of *complaints*, F1 of each of the three classes, macro F1, and micro F1. (Write three digits after the point, or a fraction.)
"""
STARTER = """
complaint_precision = ...
complaint_recall = ...
f1_of_classes = [..., ..., ...]
macro_f1 = ...
micro_f1 = ...
"""
HINT = r"Precision divides by how often the model said a class, recall by how often the class was true: one of them is the sum of a column, and the other that of a row. With the counts, F1 is $2\,\mathit{tp} / (2\,\mathit{tp} + \mathit{fp} + \mathit{fn})$, and $2\,\mathit{tp} + \mathit{fp} + \mathit{fn}$ is the sum of the row and the column together. Micro F1 adds up the counts of all classes first."
EXPLANATION = r"""
The model said *complaint* {{said}} times and was right {{tp}} times, so precision is {{tp}}/{{said}} = {{precision}}. Of {{true}} complaints it found {{tp}}, so recall is {{tp}}/{{true}} = {{recall}}. F1 is twice the number on the diagonal, divided by the sum of its row and its column: {{fractions}}, or {{f1}}. Macro F1 is the mean of these three, {{macro}}. It is not the F1 of the mean precision and the mean recall, which would be {{of_means}}. For micro F1, each wrong mail is a false negative of its own class and a false positive of another one. So the counts of all classes together give {{diagonal}}/{{total}} = {{micro}}, which is the accuracy. Micro F1 is the larger one here because most mails are orders, on which the model is best.
"""
Matrix = tuple[tuple[int, int, int], ...]
PAGE: Matrix = ((26, 3, 1), (4, 5, 1), (2, 2, 6))


def exercise(matrix: Matrix = PAGE) -> Exercise:
    """Return the exercise for a confusion matrix, whose rows are true classes."""
    right = answers(matrix)
    return Exercise(
        id="evaluation-confusion-by-hand",
        title="What the accuracy hides",
        kind="by hand",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=_texts(matrix, right),
        visible=(Check(all_are_shares_of_mails),),
        hidden=(
            Check(complaints_are_right, {"right": _plain(right)}),
            Check(means_are_right, {"right": _plain(right)}),
        ),
        wrong_answers=_wrong_answers(matrix, right),
        public_solution=True,
    )


def sums(matrix: Matrix) -> tuple[list[int], list[int], list[int]]:
    """Return the diagonal, how often each class was said, and how often it was true."""
    columns = list(zip(*matrix, strict=True))
    return [matrix[i][i] for i in range(3)], list(map(sum, columns)), list(map(sum, matrix))


def answers(matrix: Matrix) -> dict[str, Any]:
    """Return what is asked for, as fractions."""
    tp, said, true = sums(matrix)
    f1 = [Fraction(2 * a, b + c) for a, b, c in zip(tp, said, true, strict=True)]
    return {
        "complaint_precision": Fraction(tp[2], said[2]),
        "complaint_recall": Fraction(tp[2], true[2]),
        "f1_of_classes": f1,
        "macro_f1": sum(f1) / 3,
        "micro_f1": Fraction(sum(tp), sum(true)),
    }


def of_means(matrix: Matrix) -> Fraction:
    """Return the F1 of the mean precision and the mean recall, which is not macro F1."""
    tp, said, true = sums(matrix)
    precision, recall = (
        sum(Fraction(a, b) for a, b in zip(tp, whole, strict=True)) / 3 for whole in (said, true)
    )
    return 2 * precision * recall / (precision + recall)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [round(float(v), 6) for v in value]
        if isinstance(value, list)
        else round(float(value), 6)
        for name, value in values.items()
    }


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in _plain(values).items())


def _texts(matrix: Matrix, right: dict[str, Any]) -> dict[str, Any]:
    tp, said, true = sums(matrix)
    fractions = [f"{2 * a}/{b + c}" for a, b, c in zip(tp, said, true, strict=True)]
    return {
        **{f"n_{i}{j}": matrix[i][j] for i in range(3) for j in range(3)},
        "tp": tp[2],
        "said": said[2],
        "true": true[2],
        "diagonal": sum(tp),
        "total": sum(true),
        "fractions": ", ".join(fractions),
        "f1": ", ".join(f"{float(value):.3f}" for value in right["f1_of_classes"]),
        "precision": f"{float(right['complaint_precision']):.3f}",
        "recall": f"{float(right['complaint_recall']):.3f}",
        "macro": f"{float(right['macro_f1']):.3f}",
        "micro": f"{float(right['micro_f1']):.3f}",
        "of_means": f"{float(of_means(matrix)):.3f}",
    }


def _wrong_answers(matrix: Matrix, right: dict[str, Any]) -> dict[str, str]:
    tp, said, true = sums(matrix)
    exchanged = {
        "complaint_precision": right["complaint_recall"],
        "complaint_recall": right["complaint_precision"],
    }
    arithmetic = [Fraction(a * (b + c), 2 * b * c) for a, b, c in zip(tp, said, true, strict=True)]
    weighted = sum(f * n for f, n in zip(right["f1_of_classes"], true, strict=True)) / sum(true)
    return {
        "rows and columns exchanged": _answer(right | exchanged),
        "the arithmetic mean of precision and recall": _answer(
            right | {"f1_of_classes": arithmetic, "macro_f1": sum(arithmetic) / 3}
        ),
        "F1 of the means": _answer(right | {"macro_f1": of_means(matrix)}),
        "weighted by how often a class is true": _answer(right | {"macro_f1": weighted}),
        "micro taken for macro": _answer(right | {"micro_f1": right["macro_f1"]}),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a matrix with many orders, on which the model is best, and in which mistakes show."""
    while True:
        rows = []
        for i, n in enumerate((rng.choice((30, 40)), rng.choice((10, 15)), rng.choice((8, 10)))):
            right = round(n * rng.uniform(0.75, 0.9) if i == 0 else n * rng.uniform(0.4, 0.8))
            other = rng.randrange(0, n - right + 1)
            rest = [other, n - right - other]
            rows.append((*rest[:i], right, *rest[i:]))
        matrix = tuple(rows)
        if matrix != PAGE and _is_clear(matrix):
            return {"matrix": matrix}


def _is_clear(matrix: Matrix) -> bool:
    right = answers(matrix)
    tp, said, true = sums(matrix)
    weighted = sum(f * n for f, n in zip(right["f1_of_classes"], true, strict=True)) / sum(true)
    macro, f1 = right["macro_f1"], right["f1_of_classes"]
    arithmetic = [Fraction(a * (b + c), 2 * b * c) for a, b, c in zip(tp, said, true, strict=True)]
    far = (
        right["complaint_precision"] - right["complaint_recall"],
        macro - of_means(matrix),
        macro - weighted,
        macro - right["micro_f1"],
        max(a - f for a, f in zip(arithmetic, f1, strict=True)),
    )
    return min(map(abs, far)) > 0.002 and f1[0] == max(f1) and right["micro_f1"] > macro


# -- checks --------------------------------------------------------------------------------------


def all_are_shares_of_mails(
    complaint_precision, complaint_recall, f1_of_classes, macro_f1, micro_f1
):
    """Check that there are three F1, and that all numbers are from 0 to 1."""
    found = array(f1_of_classes).ravel()
    assert len(found) == 3, f"f1_of_classes should hold 3 numbers, got {len(found)}"
    given = {
        "complaint_precision": complaint_precision,
        "complaint_recall": complaint_recall,
        "f1_of_classes": f1_of_classes,
        "macro_f1": macro_f1,
        "micro_f1": micro_f1,
    }
    for name, value in given.items():
        numbers = array(value)
        assert ((numbers >= 0) & (numbers <= 1)).all(), (
            f"{name} should be from 0 to 1, and not in percent; got {value}"
        )


def complaints_are_right(complaint_precision, complaint_recall, f1_of_classes, *, right):
    """Check precision and recall of complaints, and F1 of all classes."""
    assert close(complaint_precision, right["complaint_precision"], "complaint_precision"), (
        "complaint_precision is not right: divide by how often the model said so"
    )
    assert close(complaint_recall, right["complaint_recall"], "complaint_recall"), (
        "complaint_recall is not right: divide by how many complaints there are"
    )
    assert close(f1_of_classes, right["f1_of_classes"], "f1_of_classes"), (
        "f1_of_classes is not right: it is the harmonic mean of precision and recall, for each "
        "class in the order of the matrix"
    )


def means_are_right(macro_f1, micro_f1, *, right):
    """Check macro and micro F1."""
    assert close(macro_f1, right["macro_f1"], "macro_f1"), (
        "macro_f1 is not right: of what is the mean taken, and does every class count the same?"
    )
    assert close(micro_f1, right["micro_f1"], "micro_f1"), (
        "micro_f1 is not right: first add up true positives, false positives and false negatives "
        "of all classes"
    )
