"""What the notebooks of assignments import: it runs the checks below an answer, and says why not.

``python -m assign`` writes the notebooks. In each cell that checks stands a question's own checks
as text, which import from here what all questions share. A notebook may be older than the package
or newer, so no name is ever taken away here, and where one is missing, `report` says what to do.
The tests of a grader hold copies of these functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SENTENCES = {
    "undefined": {
        "en": "The answer must define {names}, and leave no ... in place of an answer.",
        "zh": "答案里还缺 {names}：要先定义好，该作答的地方也不能还留着 ...",
    },
    "own assert": {
        "en": "An assert in the answer itself fails.",
        "zh": "答案自己的 assert 没有通过。",
    },
    "unusable": {
        "en": "The answer could not be used: {error}",
        "zh": "答案没法用：{error}",
    },
    "passed": {
        "en": "These checks pass. Others follow when your work is graded.",
        "zh": "这些检查都通过了。评分时还有别的检查。",
    },
    "too old": {
        "en": "The book's package here is too old for these checks ({error}). Install the version "
        "that the first cell of code names, and start the kernel anew.",
        "zh": "这里装的本书配套包版本太旧，运行不了这些检查（{error}）。"
        "请安装第一个代码单元格写明的版本，然后重启内核。",
    },
    "rounded": {
        "en": "{name} is rounded too far: give at least {places} decimals",
        "zh": "{name} 取的小数位太少：至少保留 {places} 位小数",
    },
    "results": {
        "en": "{number} results should be returned, one after the other, not {found}",
        "zh": "应依次返回 {number} 个结果，现在是 {found} 个",
    },
}


class Sentence:
    """One of the sentences with its values: in English, unless `say` is asked otherwise."""

    def __init__(self, name: str, /, **values: object) -> None:
        self.name, self.values = name, values

    def __str__(self) -> str:
        return self.say("en")

    def say(self, language: str) -> str:
        """Return what it says in a language."""
        return SENTENCES[self.name][language].format(**self.values)


# -- running checks ------------------------------------------------------------------------------


def unwritten(value: Any) -> bool:
    """Tell whether a value is still what the starter put there: ``...``, somewhere in it."""
    if isinstance(value, dict):
        return any(unwritten(part) for part in value.values())
    if isinstance(value, (list, tuple)):
        return any(part is ... for part in value)
    if inspect.isfunction(value):
        code, blank = value.__code__, unwritten_function.__code__
        said = [c for c in code.co_consts if c is None or c != value.__doc__]
        return code.co_code[::2] == blank.co_code[::2] and said == [None]
    return value is ...


def unwritten_function() -> None:
    """Do nothing, as a function does whose body is ``...``."""


def needs(function: Callable[..., None]) -> list[str]:
    """Return the names that an answer must define for a check."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]


def demand(
    function: Callable[..., None],
    given: Mapping[str, Any],
    answer: Mapping[str, Any],
    language: str = "en",
) -> None:
    """Run a check; raise ``AssertionError`` with a message for the student if it fails."""
    names = needs(function)
    missing = [name for name in names if unwritten(answer.get(name, ...))]
    if missing:
        raise AssertionError(Sentence("undefined", names=", ".join(missing)).say(language))
    try:
        function(**{name: answer[name] for name in names}, **given)
    except AssertionError as error:
        raise AssertionError(why(error, language)) from error
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
        raise AssertionError(Sentence("unusable", error=said).say(language)) from error


def why(error: AssertionError, language: str) -> str:
    """Return what a check that fails says."""
    said = error.args[0] if error.args else ""
    if isinstance(said, Sentence):
        return said.say(language)
    return str(error) or Sentence("own assert").say(language)


def report(checks: str, answer: Mapping[str, Any], language: str = "en") -> None:
    """Print for each check whether the answer passes it, and if it does not, why.

    Parameters
    ----------
    checks : str
        Code that defines ``CHECKS``: what each looks at, its function, and what it is given.
    answer : mapping
        What the notebook has defined.
    language : str, default="en"
        ``"en"`` or ``"zh"``.
    """
    names: dict[str, Any] = {"__name__": "checks"}
    try:
        exec(compile(checks, "<checks>", "exec"), names)
    except ImportError as error:
        print(Sentence("too old", error=error).say(language))
        return
    failed = [
        _fails(what, function, given, answer, language) for what, function, given in names["CHECKS"]
    ]
    if not any(failed):
        print(Sentence("passed").say(language))


def _fails(
    what: str,
    function: Callable[..., None],
    given: Mapping[str, Any],
    answer: Mapping[str, Any],
    language: str,
) -> bool:
    """Run a check, and print what came of it."""
    try:
        demand(function, given, answer, language)
    except AssertionError as error:
        print(f"✗ {what}\n  {error}")
        return True
    print(f"✓ {what}")
    return False


# -- reading answers -----------------------------------------------------------------------------

# One rule holds in every assignment: numbers are exact or rounded to three decimals, and a list,
# an array and a tensor are the same, in single precision or double.


def array(value: Any) -> np.ndarray:
    """Return numbers as an array in double precision, whatever holds them."""
    if hasattr(value, "detach"):  # a tensor of PyTorch's
        return value.detach().cpu().double().numpy()
    if isinstance(value, (list, tuple)):
        return np.array([array(part) for part in value], dtype=np.float64)
    return np.asarray(value, dtype=np.float64)


def close(value: Any, right: Any, name: str, places: int = 3) -> bool:
    """Tell whether numbers are right, exact or rounded to so many decimals.

    A row or a column does for a list. Numbers that are right but for a coarser rounding get an
    error that says so.
    """
    got, wanted = array(value), array(right)
    if got.shape != wanted.shape:
        got = got.squeeze()
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return False
    far = np.abs(got - wanted) > 0.501 * 10.0**-places + 1e-5 * np.abs(wanted)
    if not far.any():
        return True
    digits = range(1, places)
    rounded = any(np.abs(got - wanted.round(n)).max() < 1e-6 for n in digits)
    assert not rounded, Sentence("rounded", name=name, places=places)
    return False


def parts(value: Any, number: int) -> Any:
    """Return the parts of a result, of which there must be so many."""
    found = len(value) if isinstance(value, (tuple, list)) else 1
    assert found == number, Sentence("results", number=number, found=found)
    return value


def text(value: Any) -> str:
    """Return text, also where it comes as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
