r"""Byte-pair encoding as one would do it on paper: everything is counted anew at every merge."""

from collections import Counter

__all__ = ["learn", "join", "encode"]


def learn(words: dict[str, int], n_merges: int) -> list[tuple[bytes, bytes]]:
    r"""Return the merges that words, with their counts, teach.

    The most frequent pair of neighbours is joined; of equally frequent ones the first in byte
    order.
    """
    parts = {word: [bytes([value]) for value in word.encode()] for word in words}
    merges: list[tuple[bytes, bytes]] = []
    while len(merges) < n_merges:
        counts: Counter[tuple[bytes, bytes]] = Counter()
        for word, split in parts.items():
            for i in range(len(split) - 1):
                counts[split[i], split[i + 1]] += words[word]
        if not counts:
            break
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        parts = {word: join(split, merges[-1]) for word, split in parts.items()}
    return merges


def join(split: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    r"""Join each occurrence of a pair, from the left."""
    for i in range(len(split) - 1):
        if (split[i], split[i + 1]) == pair:
            return [*split[:i], pair[0] + pair[1], *join(split[i + 2 :], pair)]
    return split


def encode(word: str, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    r"""Replay the merges on a word, in the order in which they were learnt."""
    split = [bytes([value]) for value in word.encode()]
    for pair in merges:
        split = join(split, pair)
    return split
