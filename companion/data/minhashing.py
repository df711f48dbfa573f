r"""How alike two texts are: shingles, and signatures that are alike as often.

The shingles of a text are all its pieces of k characters; the share that two texts have in
common is their Jaccard similarity. A signature of fixed length, made of smallest hashes, keeps
it: equal entries are as frequent as shingles in common (Broder 1997; Leskovec, Rajaraman &
Ullman 2020, chapter 3).
"""

import hashlib
from collections.abc import Collection, Hashable, Iterable
from functools import lru_cache

import numpy as np
from jaxtyping import Int64

from companion._arguments import _require_int, _require_number, _require_text, _require_texts

__all__ = ["collision_probability", "estimate_jaccard", "jaccard", "minhash", "shingles"]

PRIME = 2**31 - 1  # products of two numbers below it fit into 64 bits


def shingles(text: str, k: int = 5) -> set[str]:
    r"""Return all pieces of k characters that follow one another.

    Parameters
    ----------
    text : str
    k : int
        5 suits short messages; longer texts share pieces of 5 by chance, and need about 9.

    Returns
    -------
    set of str
        Of a text with fewer than k characters, the text; of an empty one, nothing.

    Raises
    ------
    ValueError
        If ``k`` is not above 0.

    Examples
    --------
    >>> sorted(shingles("banana", 3))
    ['ana', 'ban', 'nan']
    """
    _require_text(text)
    k = _require_int("k", k, least=1)
    return {text[i : i + k] for i in range(max(1, len(text) - k + 1))} - {""}


def jaccard(a: Collection[Hashable], b: Collection[Hashable]) -> float:
    r"""Return the Jaccard similarity of two sets, :math:`|A \cap B| / |A \cup B|`.

    Parameters
    ----------
    a, b : collection
        Taken as sets.

    Returns
    -------
    float
        From 0 to 1; 1 for two empty sets, which are equal.

    Examples
    --------
    >>> jaccard(shingles("banana", 3), shingles("bandana", 3))
    0.3333333333333333
    """
    first = a if isinstance(a, (set, frozenset)) else set(a)  # not copied: called very often
    second = b if isinstance(b, (set, frozenset)) else set(b)
    common = len(first & second)
    union = len(first) + len(second) - common
    return common / union if union else 1.0


def minhash(
    pieces: Iterable[str], n_hashes: int = 128, seed: int = 0
) -> Int64[np.ndarray, " hashes"]:
    r"""Return a signature: for each of n hash functions, the smallest hash of a piece.

    A hash function puts all pieces in a random order. The first one of :math:`A \cup B` lies in
    both sets with probability :math:`J(A, B)`, and then both have the same smallest hash. The
    functions are :math:`h(x) = (a x + b) \bmod p` with random a and b (Carter & Wegman 1979).

    Parameters
    ----------
    pieces : iterable of str
        At least one.
    n_hashes : int
    seed : int
        Signatures compare only if they were made with the same seed.

    Returns
    -------
    ndarray of int64, shape (n_hashes,)

    Raises
    ------
    ValueError
        If there are no pieces, ``n_hashes`` is not above 0, or ``seed`` is negative.
    TypeError
        If ``pieces`` is one text, or ``seed`` no whole number.

    Examples
    --------
    >>> minhash(shingles("banana", 3), n_hashes=2).shape
    (2,)
    """
    n_hashes = _require_int("n_hashes", n_hashes, least=1)
    seed = _require_int("seed", seed, least=0)  # None would make signatures that do not compare
    x = np.array([_number(piece) for piece in sorted(set(_require_texts(pieces, "pieces")))])
    if not x.size:
        raise ValueError("pieces must hold at least one")
    a, b = _functions(n_hashes, seed)
    return ((a * x + b) % PRIME).min(axis=1)


@lru_cache(maxsize=16)
def _functions(n_hashes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a and b of each hash function; all texts of one search share them."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, PRIME, size=(n_hashes, 1)), rng.integers(PRIME, size=(n_hashes, 1))


@lru_cache(maxsize=2**18)
def _number(piece: str) -> int:
    """Return a number for a piece, the same in every process, unlike `hash`."""
    digest = hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PRIME


def estimate_jaccard(a: Int64[np.ndarray, " hashes"], b: Int64[np.ndarray, " hashes"]) -> float:
    r"""Return the share of equal entries of two signatures, an estimate of the similarity.

    Its standard error is :math:`\sqrt{J (1 - J) / n}`.

    Parameters
    ----------
    a, b : ndarray, shape (n,)
        From `minhash`, with the same seed.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If they have different lengths, or none.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(
            f"both signatures must have the same length above 0, got shapes {first.shape} and "
            f"{second.shape}"
        )
    return float(np.mean(first == second))


def collision_probability(similarity: float, bands: int = 32, rows: int = 4) -> float:
    r"""Return how probably two texts are compared at all, :math:`1 - (1 - s^r)^b`.

    A signature is cut into b bands of r rows. Two texts are compared if one band is equal, which
    for a band has probability :math:`s^r`.

    Parameters
    ----------
    similarity : float
        Their Jaccard similarity s, from 0 to 1.
    bands, rows : int
        b and r. More rows let fewer dissimilar pairs through, more bands more of all.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``similarity`` is not from 0 to 1, or ``bands`` or ``rows`` is not above 0.

    Examples
    --------
    >>> round(collision_probability(0.8), 4), round(collision_probability(0.2), 4)
    (1.0, 0.05)
    """
    if not 0 <= _require_number("similarity", similarity) <= 1:
        raise ValueError(f"similarity must be from 0 to 1, got {similarity}")
    bands, rows = _require_int("bands", bands, least=1), _require_int("rows", rows, least=1)
    return 1 - (1 - similarity**rows) ** bands
