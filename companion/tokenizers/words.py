r"""One token a word, for a language whose words are all known.

Sequences are short and every token means something, so a small experiment is best seen with it.
A real language has too many words for it, and new ones every day.
"""

from collections.abc import Iterable

import regex

from companion._arguments import _require_ordered, _require_texts
from companion.tokenizers.closed import ClosedVocabulary
from companion.tokenizers.protocol import SpecialTokens
from companion.tokenizers.wordpiece import CHINESE

__all__ = ["WORDS_PATTERN", "Words"]

# A letter, a mark on one or a digit, but no Chinese character.
_LETTER = rf"(?![{CHINESE}])[\p{{L}}\p{{M}}\p{{N}}_]"
#: A Chinese character; letters with the blank before them; or anything else, by itself.
WORDS_PATTERN = rf"[{CHINESE}]| ?(?:{_LETTER})+|(?s:.)"
_PATTERN = regex.compile(WORDS_PATTERN)


class Words(ClosedVocabulary):
    r"""One token for each word of a vocabulary.

    A token is a word with the blank before it, as in GPT-2's tokenizer; a Chinese character; or a
    punctuation mark, or whatever else stands between words.

    Parameters
    ----------
    words : iterable of str
        The vocabulary, in the order of the ids. ``Words.train(texts)`` takes the words of texts.
    special_tokens : iterable of str, or dict from str to int
        Tokens that stand for no text, such as ``"<|end|>"``; their ids come last, or are those
        that you choose.

    Raises
    ------
    ValueError
        If a word or a special token stands twice, or an entry is not a single word.
    TypeError
        If ``words`` or ``special_tokens`` is one string.

    Examples
    --------
    >>> tokenizer = Words(["One", " day", " Ben", " slept", "."])
    >>> tokenizer.encode("One day Ben slept.")
    [0, 1, 2, 3, 4]
    >>> tokenizer.decode([0, 1, 2, 3, 4])
    'One day Ben slept.'
    >>> Words.train(["She ran.", "她跑了。"]).entries
    [' ran', '.', 'She', '。', '了', '她', '跑']
    """

    unit = "word"
    #: Before anything but a letter, and after anything but a letter or a blank.
    starts = rf"(?r)(?=(?!{_LETTER})(?s:.))|(?<=(?!{_LETTER})[^ ])(?=(?s:.))"

    def __init__(self, words: Iterable[str], special_tokens: SpecialTokens = ()) -> None:
        super().__init__(_require_texts(_require_ordered(words, "words"), "words"), special_tokens)

    @staticmethod
    def cut(text: str) -> list[str]:
        r"""Return the words of a text, each with the blank before it; joined, they are the text.

        Examples
        --------
        >>> Words.cut("She ran. 她跑了。")
        ['She', ' ran', '.', ' ', '她', '跑', '了', '。']
        """
        return _PATTERN.findall(text)
