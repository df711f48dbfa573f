r"""Real data: where it comes from, how it is read, and what is done before a model sees it.

This folder adds: a registry of data sets, each file pinned by its address and checksum;
``fetch``, which finds or downloads the files and never leaves half of one; ``load``, which reads
them into named rows. ``python -m companion.data list`` shows what there is.
"""

from companion.data.fetching import Unavailable, fetch
from companion.data.loading import load
from companion.data.registry import File, Source, names, source
from companion.data.rows import (
    Answer,
    AttributedPair,
    Example,
    Images,
    Instruction,
    Pair,
    Poem,
    Preference,
    Question,
    Rating,
    Recording,
    Tagged,
    Turn,
)

__all__ = [
    "Answer",
    "AttributedPair",
    "Example",
    "File",
    "Images",
    "Instruction",
    "Pair",
    "Poem",
    "Preference",
    "Question",
    "Rating",
    "Recording",
    "Source",
    "Tagged",
    "Turn",
    "Unavailable",
    "fetch",
    "load",
    "names",
    "source",
]
