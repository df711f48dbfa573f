r"""What every tokenizer of this package can do.

Whoever counts tokens, trains a model or writes text with one needs only this, and does not ask
which kind of tokenizer it is.
"""

import operator
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from companion._arguments import _require_int, _require_ordered, _require_ordered_texts

__all__ = ["SpecialTokens", "Tokenizer"]

#: Names, whose ids follow on the others; or names with ids of your choice.
SpecialTokens = Iterable[str] | Mapping[str, int]


@runtime_checkable
class Tokenizer(Protocol):
    r"""From text to token ids, and back.

    Examples
    --------
    >>> from companion.tokenizers import BPE, Characters
    >>> [isinstance(each, Tokenizer) for each in (BPE([]), Characters("ab"), "no")]
    [True, True, False]
    """

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a table of embeddings needs."""

    @property
    def special_ids(self) -> dict[str, int]:
        """The tokens that stand for no text, such as an end, and their ids."""

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        """Return the ids of a text.

        The name of a special token is text like any other, unless ``allow_special`` is true.
        """

    def encode_iterable(self, texts: Iterable[str], allow_special: bool = False) -> Iterator[int]:
        """Yield the ids of a text that comes in pieces: those of the whole, wherever it is cut."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text that ids stand for; they are whole numbers of the vocabulary."""


# -- what all of them ask of their arguments -----------------------------------------------------


def _require_ids(ids: Any) -> list[int]:
    """Return ids as a list of int; a truth value is none, nor is 2.0 or a row of rows."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise TypeError(f"ids must be a list of whole numbers, got {ids!r}")
    if len(shape := tuple(getattr(ids, "shape", (0,)))) != 1:
        raise ValueError(f"ids must have one dimension, got shape {shape}")
    ids = _require_ordered(ids, "ids")
    return [_require_id(i) for i in (ids.tolist() if hasattr(ids, "tolist") else ids)]


def _require_id(index: Any) -> int:
    number = index.tolist() if hasattr(index, "tolist") else index
    try:
        if not isinstance(number, bool):
            return operator.index(number)
    except TypeError:
        pass
    raise TypeError(f"ids must be whole numbers, got {index!r}")


def _chosen_names(special_ids: dict[str, int], allow_special: bool) -> Collection[str]:
    """Return the names that become tokens: all or none, as a word for some of them is not known."""
    if not isinstance(allow_special, bool):
        raise TypeError(f"allow_special must be True or False, got {allow_special!r}")
    return special_ids if allow_special else ()


def _listed(special_tokens: SpecialTokens) -> list[str] | Mapping[str, int]:
    """Return special tokens in a form that can be gone through twice, having checked them."""
    names = list(_special_ids(special_tokens, ()))
    return special_tokens if isinstance(special_tokens, Mapping) else names


def _special_ids(special_tokens: SpecialTokens, taken: Iterable[int]) -> dict[str, int]:
    """Return names and ids; without a choice, the ids that follow on the largest one."""
    if isinstance(special_tokens, (str, bytes)):
        raise TypeError(f"special_tokens must be a list of names, got one: {special_tokens!r}")
    names = _require_ordered_texts(special_tokens, "special_tokens")
    if "" in names or len(set(names)) != len(names):
        raise ValueError(f"special_tokens must be different and not empty, got {names}")
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise ValueError(f"special_tokens must be text that can be written, got {name!r}")
    taken = set(taken)
    if not isinstance(special_tokens, Mapping):
        first = max(taken, default=-1) + 1
        return {name: first + i for i, name in enumerate(names)}
    chosen = {
        name: _require_int(f"the id of {name!r}", i, least=0) for name, i in special_tokens.items()
    }
    if (twice := taken & set(chosen.values())) or len(set(chosen.values())) != len(chosen):
        raise ValueError(f"special_tokens must have ids of their own, got {chosen}; taken: {twice}")
    return chosen


def _new_special_ids(
    special_tokens: SpecialTokens, taken: Iterable[int], known: Iterable[str]
) -> dict[str, int]:
    """Return names and ids that may be added to those that a tokenizer has."""
    added = _special_ids(special_tokens, taken)
    if twice := sorted(set(added) & set(known)):
        raise ValueError(f"special_tokens must be new, but {twice[0]!r} is there already")
    return added
