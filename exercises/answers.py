"""How checks read an answer: as it comes, exact or rounded.

One rule holds in every assignment: numbers are exact or rounded to three decimals, and a list, an
array and a tensor are the same, in single precision or double. The functions are part of the
package, from which a student's notebook imports them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from companion.notebook._assignments import array, close, parts, text

__all__ = ["array", "close", "otherwise", "parts", "text", "word", "words_for_cases"]


# -- predictions: a word for each case -----------------------------------------------------------


def word(value: Any) -> Any:
    """Return a word however it was written; what is no text stays as it is."""
    return text(value).strip().lower() if isinstance(value, (str, bytes)) else value


def words_for_cases(
    predictions: Mapping[str, Any], words: Sequence[str], cases: str = "abcde"
) -> None:
    """See that there is one of the words for each case."""
    for case in cases:
        given = predictions.get(case)
        known = word(given) in [word(each) for each in words]
        assert known, f"({case}) should be one of {', '.join(words)}, got {given!r}"


def otherwise(predictions: Mapping[str, Any], truth: Mapping[str, str]) -> list[str]:
    """Return the cases in which a run says something else than what was predicted."""
    return [case for case, right in truth.items() if word(predictions[case]) != word(right)]
