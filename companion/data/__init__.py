r"""Real data: where it comes from, how it is read, and what is done before a model sees it.

This folder adds: a registry of data sets, each file pinned by its address and checksum;
``fetch``, which finds or downloads the files and never leaves half of one; ``load``, which reads
them into named rows. ``python -m companion.data list`` shows what there is. Then what every
project does: cleaning, agreement of labels, splitting, augmentation, normalisation, batches.
"""

import importlib
from typing import TYPE_CHECKING, Any

from companion.data.agreement import cohens_kappa, confusion
from companion.data.batching import batches
from companion.data.duplicates import leakage, near_duplicates, normalise_text
from companion.data.encodings import garble, mend_mojibake, suspicious_characters
from companion.data.fetching import Unavailable, fetch
from companion.data.folds import group_folds, k_folds, stratified_folds
from companion.data.loading import load
from companion.data.minhashing import (
    collision_probability,
    estimate_jaccard,
    jaccard,
    minhash,
    shingles,
)
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
from companion.data.splitting import (
    group_split,
    random_split,
    shares,
    stratified_split,
    time_split,
)
from companion.data.text_augmentation import delete_words, insert_words, swap_words

if TYPE_CHECKING:
    from companion.data.image_augmentation import (
        affine_grid,
        crop,
        flip,
        random_crop,
        rescale,
        rotate,
        sample_bilinear,
    )
    from companion.data.scaling import Standardizer, scale
    from companion.data.windows import Windows, get_batch

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
    "Standardizer",
    "Tagged",
    "Turn",
    "Unavailable",
    "Windows",
    "affine_grid",
    "batches",
    "cohens_kappa",
    "collision_probability",
    "confusion",
    "crop",
    "delete_words",
    "estimate_jaccard",
    "fetch",
    "flip",
    "garble",
    "get_batch",
    "group_folds",
    "group_split",
    "insert_words",
    "jaccard",
    "k_folds",
    "leakage",
    "load",
    "mend_mojibake",
    "minhash",
    "names",
    "near_duplicates",
    "normalise_text",
    "random_crop",
    "random_split",
    "rescale",
    "rotate",
    "sample_bilinear",
    "scale",
    "shares",
    "shingles",
    "source",
    "stratified_folds",
    "stratified_split",
    "suspicious_characters",
    "swap_words",
    "time_split",
]

#: What works on tensors is imported when it is first asked for: PyTorch takes a second or more,
#: and to list or fetch data sets needs nothing of it.
LATE = {
    "image_augmentation": [
        *("affine_grid", "crop", "flip", "random_crop", "rescale", "rotate", "sample_bilinear")
    ],
    "scaling": ["Standardizer", "scale"],
    "windows": ["Windows", "get_batch"],
}


def __getattr__(name: str) -> Any:
    for module, offered in LATE.items():
        if name in offered:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
