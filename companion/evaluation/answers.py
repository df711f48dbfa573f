r"""Short answers: exact match and token F1, as SQuAD scores them, for English and Chinese.

This file adds: the normalisation that makes *The Nile.* equal to *nile*, and the two measures. As
elsewhere, what is right comes first.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

from companion._arguments import _require_ordered_texts, _require_text

__all__ = ["answer_tokens", "exact_match", "normalize_answer", "token_f1"]

ARTICLES = re.compile(r"\b(a|an|the)\b")
# Chinese, Japanese and full-width marks, which SQuAD's own script, made for English, lets stand.
MARKS = "、。〈〉《》「」『』【】〔〕〖〗〜！（），．：；？［］｛｝～·—…“”‘’"
PUNCTUATION = str.maketrans("", "", string.punctuation + MARKS)
# A Chinese character is a token; so is a run of anything else but white space.
TOKEN = re.compile(
    r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|"
    r"[^\s\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)


def normalize_answer(text: str) -> str:
    r"""Small letters, no punctuation, no English article, single spaces (Rajpurkar et al. 2016).

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> normalize_answer("The  Nile."), normalize_answer("《红楼梦》。")
    ('nile', '红楼梦')
    """
    text = _require_text(text).lower().translate(PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", text).split())


def answer_tokens(text: str) -> list[str]:
    r"""Return the words of a normalised answer; each Chinese character is one.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> answer_tokens("the GPT-2 model"), answer_tokens("北京 2008 年")
    (['gpt2', 'model'], ['北', '京', '2008', '年'])
    """
    return TOKEN.findall(normalize_answer(text))


def exact_match(answers: str | Sequence[str], prediction: str) -> float:
    r"""1 if the prediction is one of the right answers, once both are normalised; else 0.

    Parameters
    ----------
    answers : str, or list of str
        Each of these would be right.
    prediction : str

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there is no answer.
    TypeError
        If an answer or the prediction is no text.

    Examples
    --------
    >>> exact_match(["the Nile", "River Nile"], "Nile!")
    1.0
    """
    given = normalize_answer(_require_text(prediction, "prediction"))
    return float(any(normalize_answer(answer) == given for answer in _answers(answers)))


def token_f1(answers: str | Sequence[str], prediction: str) -> float:
    r"""F1 of the tokens in common with the nearest right answer, each as often as both have it.

    The order of tokens does not count.

    Parameters
    ----------
    answers : str, or list of str
        Each of these would be right.
    prediction : str

    Returns
    -------
    float
        From 0 to 1. Where an answer or the prediction has no tokens (SQuAD 2.0: there is no
        answer), 1 if neither has any, else 0.

    Raises
    ------
    ValueError
        If there is no answer.
    TypeError
        If an answer or the prediction is no text.

    Examples
    --------
    >>> round(token_f1("the river Nile", "Nile delta"), 2), round(token_f1("北京市", "北京"), 2)
    (0.5, 0.8)
    """
    given = answer_tokens(_require_text(prediction, "prediction"))
    return max(_f1(answer_tokens(answer), given) for answer in _answers(answers))


def _f1(wanted: list[str], given: list[str]) -> float:
    if not wanted or not given:
        return float(wanted == given)
    common = (Counter(wanted) & Counter(given)).total()
    return 2 * common / (len(wanted) + len(given))


def _answers(answers: Iterable[str]) -> list[str]:
    some = [answers] if isinstance(answers, str) else _require_ordered_texts(answers, "answers")
    if not some:
        raise ValueError('answers must hold at least one text; that there is no answer is ""')
    return some
