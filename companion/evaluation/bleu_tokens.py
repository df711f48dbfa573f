r"""Words as BLEU counts them: the tokenisers whose names stand in a BLEU signature.

This file adds: ``13a`` (that of the NIST script mteval-v13a, for languages that are written with
spaces), ``zh`` (Chinese characters one by one, the rest as ``13a``) and ``char``. A score depends
on them, so that two scores can only be compared if they name the same one (Post 2018).
"""

import re
from collections.abc import Callable

from companion.evaluation._checks import _require_choice

__all__ = ["bleu_tokens"]

# What 13a sets apart: ASCII's punctuation, but for the apostrophe, and for comma, full stop and
# hyphen, which depend on the digits beside them.
SYMBOLS = re.compile(r"([!-&(-+/:-@\[-`{-~])")
# A full stop or comma, unless a digit stands before it; then, unless a digit stands after it.
AFTER_NO_DIGIT = re.compile(r"([^0-9])([.,])")
BEFORE_NO_DIGIT = re.compile(r"([.,])([^0-9])")
AFTER_A_DIGIT = re.compile(r"([0-9])(-)")
ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}

# What sacrebleu's zh takes for Chinese: characters, radicals, strokes, punctuation of full width.
# Two of its ranges are written in four digits where five are needed, so that it takes U+2001 to
# U+2A6D and U+2F81 to U+2FA1 (quotation marks, arrows) and not the rare characters from U+20000.
CHINESE = re.compile(
    "([\u2001-\u2a6d\u2e80-\u2eff\u2f00-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31bf"
    "\u31c0-\u31ef\u3200-\u33ff\u3400-\u4db5\u4e00-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9"
    "\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef])"
)


def bleu_tokens(text: str, tokenize: str = "13a") -> list[str]:
    r"""Cut a text into the tokens that BLEU counts.

    Parameters
    ----------
    text : str
    tokenize : {"13a", "zh", "char", "none"}
        ``"none"`` cuts at white space alone, for texts that are tokenised already.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If there is no such tokeniser.

    Examples
    --------
    >>> bleu_tokens("Hello, it's 3.5-fold!")
    ['Hello', ',', "it's", '3.5', '-', 'fold', '!']
    >>> bleu_tokens("我用GPT写诗。", "zh")
    ['我', '用', 'GPT', '写', '诗', '。']
    """
    return TOKENIZERS[_require_choice("tokenize", tokenize, list(TOKENIZERS))](text.rstrip())


def _western(text: str) -> list[str]:
    """Set punctuation apart, in the order of the script."""
    text = SYMBOLS.sub(r" \1 ", text)
    text = AFTER_NO_DIGIT.sub(r"\1 \2 ", text)
    text = BEFORE_NO_DIGIT.sub(r" \1 \2", text)
    return AFTER_A_DIGIT.sub(r"\1 \2 ", text).split()


def _thirteen_a(text: str) -> list[str]:
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in ENTITIES.items():
        text = text.replace(entity, character)
    return _western(f" {text} ")


def _chinese(text: str) -> list[str]:
    return _western(CHINESE.sub(r" \1 ", text.strip()))


def _characters(text: str) -> list[str]:
    return list("".join(text.split()))


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "13a": _thirteen_a,
    "zh": _chinese,
    "char": _characters,
    "none": str.split,
}
