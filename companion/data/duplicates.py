r"""Duplicates: rows that stand in the data more than once, and how to find those nearly equal.

To compare all pairs of texts takes too long where there are many. So each gets a signature
(`companion.data.minhashing`), and only those with a stretch of it in common are compared.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from itertools import combinations, product
from typing import TypeVar

from companion._arguments import (
    _require_int,
    _require_number,
    _require_ordered_texts,
    _require_text,
)
from companion.data.minhashing import jaccard, minhash, shingles

Row = TypeVar("Row", bound=Hashable)

__all__ = ["leakage", "near_duplicates", "normalise_text"]


def normalise_text(text: str) -> str:
    r"""Return a text without what makes copies look different: case, width, spaces.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        In Unicode's form NFKC, in lower case, with single spaces.

    Examples
    --------
    >>> normalise_text("  Ｈｅｌｌｏ,\n world ")
    'hello, world'
    """
    folded = unicodedata.normalize(
        "NFKC", unicodedata.normalize("NFKC", _require_text(text)).casefold()
    )
    return re.sub(r"\s+", " ", folded).strip()


def _places(rows: Iterable[Row]) -> dict[Row, list[int]]:
    """Return for each different row where it stands."""
    places: dict[Row, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row, []).append(i)
    return places


def near_duplicates(
    texts: Sequence[str],
    threshold: float = 0.8,
    k: int = 5,
    *,
    bands: int = 32,
    rows: int = 4,
    seed: int = 0,
) -> list[tuple[int, int, float]]:
    r"""Return the pairs of texts that are nearly equal.

    Signatures propose pairs, and the exact similarity decides. A pair at the threshold is missed
    with probability 1 − `collision_probability`: less than 1 in 10 million as set here, but 1 in
    8 at a threshold of 0.5, which needs fewer rows in a band (``bands=64, rows=2``).

    Parameters
    ----------
    texts : sequence of str
        Normalised, if case and spaces shall not count. Empty ones are like nothing.
    threshold : float
        Above 0, up to 1: how alike they must be.
    k : int
        Length of the shingles.
    bands, rows : int
        Of the signature; together as many hashes.
    seed : int

    Returns
    -------
    list of (int, int, float)
        Two rows, the smaller first, and their similarity; in order of rows.

    Raises
    ------
    ValueError
        If ``threshold`` is out of range, or ``k``, ``bands`` or ``rows`` is not above 0.
    TypeError
        If ``texts`` is one string, whose letters would be taken for texts, or has no order.

    Examples
    --------
    >>> near_duplicates(["the cat sat", "a dog", "the cat sat."], 0.8)
    [(0, 2, 0.875)]
    """
    _require_threshold(threshold)
    bands, rows = _require_int("bands", bands, least=1), _require_int("rows", rows, least=1)
    # Texts with the same shingles are one: a thousand copies of a message are half a million
    # pairs to report, but none of them has to be compared.
    places = _places(frozenset(shingles(text, k)) for text in _require_ordered_texts(texts))
    places.pop(frozenset(), None)
    sets, members = list(places), list(places.values())
    found = [(i, j, 1.0) for copies in members for i, j in combinations(copies, 2)]
    for a, b in _candidates(sets, bands, rows, seed):
        alike = jaccard(sets[a], sets[b])
        if alike >= threshold:
            both = product(members[a], members[b])
            found += [(min(pair), max(pair), alike) for pair in both]
    return sorted(found)


def _require_threshold(threshold: float) -> None:
    if not 0 < _require_number("threshold", threshold) <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1, got {threshold}")


def _candidates(
    sets: Sequence[Collection[str]], bands: int, rows: int, seed: int
) -> Iterator[tuple[int, int]]:
    """Yield each pair that has a band of its signatures in common, once.

    Where many texts are nearly equal a bucket holds them all, and so do most of the other
    buckets: they are united first, so that a pair is not looked at for each of them.
    """
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for i, pieces in enumerate(sets):
        signature = minhash(pieces, bands * rows, seed).reshape(bands, rows)
        shared = [buckets[band, entries.tobytes()] for band, entries in enumerate(signature)]
        for earlier in set().union(*shared):
            yield earlier, i
        for bucket in shared:
            bucket.append(i)


def leakage(
    train: Sequence[str], test: Sequence[str], threshold: float = 1.0, k: int = 5
) -> list[tuple[int, int, float]]:
    r"""Return the rows of the test part that the training part gives away.

    Parameters
    ----------
    train, test : sequence of str
        Compared after `normalise_text`.
    threshold : float
        How alike two texts must be; 1 finds equal ones only.
    k : int
        Length of the shingles.

    Returns
    -------
    list of (int, int, float)
        A row of ``train``, one of ``test``, and their similarity.

    Raises
    ------
    ValueError
        If ``threshold`` is out of range, or ``k`` is not above 0.
    TypeError
        If a part is one string, whose letters would be taken for texts, or has no order.

    Examples
    --------
    >>> leakage(["Good film.", "Bad."], ["bad.", "So so."])
    [(1, 0, 1.0)]
    """
    ours, theirs = (
        [normalise_text(text) for text in _require_ordered_texts(part, name)]
        for part, name in ((train, "train"), (test, "test"))
    )
    _require_threshold(threshold)
    k = _require_int("k", k, least=1)
    if threshold < 1:
        n = len(ours)
        pairs = near_duplicates(ours + theirs, threshold, k)
        return [(i, j - n, alike) for i, j, alike in pairs if i < n <= j]
    places: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(ours):
        places[text].append(i)
    return [(i, j, 1.0) for j, text in enumerate(theirs) for i in places.get(text, [])]
