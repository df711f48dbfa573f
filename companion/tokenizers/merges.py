r"""What byte-pair encoding does to words: joining a pair, and learning which pairs to join.

A word is a list of parts, at first its single bytes. Counts of pairs are kept up to date rather
than made anew: a merge changes only the words that contain it, and `learn` knows which these
are. The most frequent pair is at the head of a queue, where counts that have changed since they
were put there are skipped.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

from companion._arguments import _require_int, _require_text

__all__ = ["Pair", "Word", "join", "join_all", "learn", "split_bytes", "utf8"]

Pair = tuple[bytes, bytes]
Word = list[bytes]


def join(parts: Word, pair: Pair) -> Word:
    r"""Join every occurrence of a pair, from the left.

    Parameters
    ----------
    parts : list of bytes
    pair : (bytes, bytes)

    Returns
    -------
    list of bytes

    Examples
    --------
    >>> join([b"a", b"a", b"a", b"b"], (b"a", b"a"))
    [b'aa', b'a', b'b']
    """
    joined, i = [], 0
    while i < len(parts):
        found = i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair
        joined.append(pair[0] + pair[1] if found else parts[i])
        i += 2 if found else 1
    return joined


def join_all(parts: Word, ranks: dict[Pair, int]) -> Word:
    r"""Join the pair that was learnt first, everywhere, until no known pair is left.

    The rule is `join` with the pair of lowest rank, again and again. Done just so it looks at
    every pair in every round, which takes n² steps for a word of n bytes. Here the pairs wait in
    a queue, and a round looks only at those that it joins: n log n steps. Each part knows its
    neighbours; a part that was joined to the one before it is None.

    Parameters
    ----------
    parts : list of bytes
    ranks : dict from (bytes, bytes) to int
        Which pair was learnt when.

    Returns
    -------
    list of bytes

    Examples
    --------
    >>> join_all([b"h", b"e", b"l", b"l", b"o"], {(b"l", b"l"): 0, (b"h", b"e"): 1})
    [b'he', b'll', b'o']
    """
    left: list[bytes | None] = list(parts)
    before, after = list(range(-1, len(left) - 1)), list(range(1, len(left) + 1))
    queue: list[tuple[int, int, Pair]] = []

    def enqueue(i: int, j: int) -> None:
        if i >= 0 and j < len(left):
            a, b = left[i], left[j]
            if a is not None and b is not None and (a, b) in ranks:
                heapq.heappush(queue, (ranks[a, b], i, (a, b)))

    for i, j in enumerate(after):
        enqueue(i, j)
    while queue:
        rank = queue[0][0]
        new: list[tuple[int, int]] = []  # neighbours in the next round
        while queue and queue[0][0] == rank:
            _, i, pair = heapq.heappop(queue)
            j = after[i]
            if j == len(left) or (left[i], left[j]) != pair:
                continue  # one of the two has been joined to another part since
            left[i], left[j] = pair[0] + pair[1], None
            after[i] = after[j]
            if after[i] < len(left):
                before[after[i]] = i
            new += [(before[i], i), (i, after[i])]
        for neighbours in new:
            enqueue(*neighbours)
    return [part for part in left if part is not None]


def learn(counts: dict[str, int], n_merges: int) -> list[Pair]:
    r"""Return the merges that the words of a text teach, in order.

    Parameters
    ----------
    counts : dict from str to int
        How often each word occurs.
    n_merges : int
        How many merges to learn; fewer if nothing is left to join.

    Returns
    -------
    list of (bytes, bytes)

    Examples
    --------
    >>> learn({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 3)
    [(b'e', b's'), (b'es', b't'), (b'l', b'o')]
    """
    _require_int("n_merges", n_merges, least=0)
    if not isinstance(counts, Mapping):
        raise TypeError(f"counts must be a dict of words, got {type(counts).__name__}")
    for word, count in counts.items():
        _require_int(f"the count of {_require_text(word, 'each of counts')!r}", count, least=0)
    words = [(split_bytes(utf8(word)), count) for word, count in counts.items()]
    totals: Counter[Pair] = Counter()
    where: dict[Pair, set[int]] = defaultdict(set)
    for i, (parts, count) in enumerate(words):
        for pair in pairwise(parts):
            totals[pair] += count
            where[pair].add(i)
    queue = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(queue)
    merges: list[Pair] = []
    while queue and len(merges) < n_merges:
        total, pair = heapq.heappop(queue)
        if -total != totals[pair] or not total:
            continue  # the count has changed since; the pair stands elsewhere in the queue
        merges.append(pair)
        changed = _apply(pair, words, totals, where)
        for other in changed:
            heapq.heappush(queue, (-totals[other], other))
    return merges


def _apply(
    pair: Pair, words: list[tuple[Word, int]], totals: Counter[Pair], where: dict[Pair, set[int]]
) -> set[Pair]:
    """Join a pair in all words that contain it; return the pairs whose count has changed."""
    change: Counter[Pair] = Counter()
    for i in where.pop(pair):
        parts, count = words[i]
        joined = join(parts, pair)
        for old in pairwise(parts):
            change[old] -= count
        for new in pairwise(joined):
            change[new] += count
            where[new].add(i)
        words[i] = joined, count
    totals.update(change)
    return {other for other, difference in change.items() if difference}


def split_bytes(word: bytes) -> Word:
    """Return the single bytes of a word."""
    return [word[i : i + 1] for i in range(len(word))]


def utf8(text: str, start: int = 0) -> bytes:
    """Return the bytes of a text; `start` is its place in a larger one, for the error."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        place = start + error.start
        raise ValueError(
            f"the text holds half of a surrogate pair, U+{ord(text[error.start]):04X}, at "
            f"position {place}; such a text cannot be written in UTF-8"
        ) from None
