r"""``load``: from a data set's name to its rows."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from companion.data import binary_formats, fetching, formats
from companion.data.fetching import Unavailable, fetch
from companion.data.registry import DIGITS, source
from companion.data.rows import (
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

__all__ = ["load", "read"]

Files = Mapping[str, Path]


def load(name: str) -> dict[str, Any]:
    r"""Return the rows of a data set, by split.

    Where the publishers made no test part there is one split, ``train``; `random_split` and the
    others make more of it.

    Parameters
    ----------
    name : str
        One of `names`, such as ``"sst2"``; ``"digits"`` needs no download.

    Returns
    -------
    dict
        From the name of a split to a list of named tuples; to `Images` for ``mnist`` and
        ``digits``; to one str for ``tinyshakespeare``. Of ``gpt2_bpe``, where its files are.

    Raises
    ------
    Unavailable
        If the set is not on this machine and cannot be downloaded. It is an ``OSError``, and
        its message says what to do.
    ValueError
        If there is no such set.
    """
    if name == DIGITS.name:
        return _digits()
    return read(name, fetch(name))


def read(name: str, files: Files) -> dict[str, Any]:
    r"""Read the files of a data set.

    Parameters
    ----------
    name : str
    files : mapping of str to Path
        As `fetch` returns them.

    Returns
    -------
    dict
        As `load` returns it.

    Raises
    ------
    ValueError
        If there is no such set, or a line of a file is not as it should be.
    """
    source(name)
    return READERS[name](files)


def _digits() -> dict[str, Images]:
    """Take the digits of scikit-learn apart, in their order, in which writers stay together."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise Unavailable("the data set 'digits' comes with scikit-learn: install that") from None
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    fetching._announce(DIGITS)
    n = DIGITS.rows["train"]
    return {"train": Images(images[:n], labels[:n]), "test": Images(images[n:], labels[n:])}


# -- one reader a set ----------------------------------------------------------------------------


def _tinyshakespeare(files: Files) -> dict[str, str]:
    return {"train": files["input.txt"].read_text(encoding="utf-8")}


def _label(path: Path, number: int, said: str, classes: Mapping[str, int]) -> int:
    if said not in classes:
        what = f"the label must be one of {', '.join(classes)}, got {said[:20]!r}"
        raise formats.complaint(path, number, what)
    return classes[said]


def _examples(path: Path, rows: list[tuple[str, ...]], text: int, classes: list[str]) -> Any:
    """Make examples of rows of two columns, the text being column `text`."""
    numbers = {name: i for i, name in enumerate(classes)}
    return [
        Example(row[text], _label(path, number, row[1 - text], numbers))
        for number, row in enumerate(rows, start=1)
    ]


def _sst2(files: Files) -> dict[str, list[Example]]:
    return {
        split: _examples(path, formats.tab_separated(path, 2), text=0, classes=["0", "1"])
        for split in ("train", "dev", "test")
        for path in [files[f"{split}.tsv"]]
    }


def _chnsenticorp(files: Files) -> dict[str, list[Example]]:
    path = files["ChnSentiCorp_htl_all.csv"]
    rows = formats.with_header(path, ["label", "review"])
    return {"train": _examples(path, rows, text=1, classes=["0", "1"])}


def _sms_spam(files: Files) -> dict[str, list[Example]]:
    path = files["sms.tsv"]
    rows = formats.tab_separated(path, 2)
    return {"train": _examples(path, rows, text=1, classes=["ham", "spam"])}


def _multi30k(files: Files) -> dict[str, list[Pair]]:
    named = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
    return {split: _parallel(files, part) for split, part in named.items()}


def _parallel(files: Files, part: str) -> list[Pair]:
    english, german = (
        [line for _, line in formats.lines(files[f"{part}.{language}.gz"])]
        for language in ("en", "de")
    )
    if len(english) != len(german):
        raise ValueError(
            f"{part}.en.gz and {part}.de.gz must have the same number of lines, "
            f"got {len(english)} and {len(german)}"
        )
    return [Pair(*both) for both in zip(english, german, strict=True)]


def _tatoeba(files: Files) -> dict[str, list[AttributedPair]]:
    rows = formats.tab_separated(files["cmn.txt"], 3)
    return {"train": [AttributedPair(*row) for row in rows]}


def _wnut17(files: Files) -> dict[str, list[Tagged]]:
    named = {
        "train": "wnut17train.conll",
        "dev": "emerging.dev.conll",
        "test": "emerging.test.annotated",
    }
    return {split: formats.tagged(files[name]) for split, name in named.items()}


def _weibo_ner(files: Files) -> dict[str, list[Tagged]]:
    return {
        split: formats.tagged(files[f"weiboNER_2nd_conll.{split}"], _character)
        for split in ("train", "dev", "test")
    }


def _character(column: str) -> str:
    """Take off the number after a character, its place in the word."""
    found = re.fullmatch(r"(.\D*)\d+", column, re.DOTALL)
    if found is None:
        raise ValueError(f"must be a character and a number, got {column!r}")
    return found[1]


def _squad(files: Files) -> dict[str, list[Question]]:
    return {"dev": formats.questions(files["dev-v1.1.json"])}


def _xquad(files: Files) -> dict[str, list[Question]]:
    read = {
        language: formats.questions(files[f"xquad.{language}.json"]) for language in ("en", "zh")
    }
    if [row.id for row in read["en"]] != [row.id for row in read["zh"]]:
        raise ValueError("xquad.en.json and xquad.zh.json must have the same questions, in order")
    return read


def _mnist(files: Files) -> dict[str, Images]:
    return {split: _labelled(files, part) for split, part in (("train", "train"), ("test", "t10k"))}


def _labelled(files: Files, part: str) -> Images:
    images = binary_formats.idx(files[f"{part}-images-idx3-ubyte.gz"])
    labels = binary_formats.idx(files[f"{part}-labels-idx1-ubyte.gz"]).astype(np.int64)
    if len(images) != len(labels):
        raise ValueError(f"{part}: got {len(images)} images and {len(labels)} labels")
    return Images(images, labels)


def _tang_poems(files: Files) -> dict[str, list[Poem]]:
    poems = {name: _poems(path) for name, path in files.items()}
    complete = [poem for name in poems if name != "tang300.json" for poem in poems[name]]
    return {"tang300": poems["tang300.json"], "complete": complete}


def _poems(path: Path) -> list[Poem]:
    entries = formats.read_json(path, {"author", "title", "paragraphs"})
    return [Poem(each["author"], each["title"], tuple(each["paragraphs"])) for each in entries]


def _instructions(files: Files) -> dict[str, list[Instruction]]:
    (path,) = files.values()
    parts = Instruction._fields
    entries = formats.read_json(path, set(parts))
    return {"train": [Instruction(*(each[part] for part in parts)) for each in entries]}


def _preference_en(files: Files) -> dict[str, list[Preference]]:
    (path,) = files.values()
    entries = formats.read_json(path, {"instruction", "input", "chosen", "rejected"})
    return {"train": [_preferred(each) for each in entries]}


def _preferred(entry: dict[str, str]) -> Preference:
    asked = "\n\n".join(filter(None, [entry["instruction"], entry["input"]]))
    return Preference((Turn("human", asked),), entry["chosen"], entry["rejected"])


def _preference_zh(files: Files) -> dict[str, list[Preference]]:
    (path,) = files.values()
    entries = formats.read_json(path, {"conversations", "chosen", "rejected"})
    return {
        "train": [
            Preference(
                tuple(Turn(turn["from"], turn["value"]) for turn in each["conversations"]),
                each["chosen"]["value"],
                each["rejected"]["value"],
            )
            for each in entries
        ]
    }


def _filmtrust(files: Files) -> dict[str, list[Rating]]:
    return {"train": [row for path in files.values() for row in _ratings(path)]}


def _ratings(path: Path) -> list[Rating]:
    rows = []
    for number, row in enumerate(formats.tab_separated(path, 3, " "), start=1):
        user, item, rating = row
        if not (user.isdecimal() and item.isdecimal() and re.fullmatch(r"[0-4](\.[05])?", rating)):
            what = f"must be a user, an item and a rating from 0.5 to 4, got {' '.join(row)!r}"
            raise formats.complaint(path, number, what)
        rows.append(Rating(int(user), int(item), float(rating)))
    return rows


def _fsdd(files: Files) -> dict[str, list[Recording]]:
    recordings = [binary_formats.recording(path) for path in files.values()]
    return {
        "train": [each for each in recordings if each.take >= 5],
        "test": [each for each in recordings if each.take < 5],
    }


READERS: dict[str, Callable[[Files], dict[str, Any]]] = {
    "tinyshakespeare": _tinyshakespeare,
    "sst2": _sst2,
    "chnsenticorp": _chnsenticorp,
    "sms_spam": _sms_spam,
    "multi30k": _multi30k,
    "tatoeba_en_zh": _tatoeba,
    "wnut17": _wnut17,
    "weibo_ner": _weibo_ner,
    "squad": _squad,
    "xquad": _xquad,
    "mnist": _mnist,
    "tang_poems": _tang_poems,
    "instruction_en": _instructions,
    "instruction_en_alpaca": _instructions,
    "instruction_zh": _instructions,
    "preference_en": _preference_en,
    "preference_zh": _preference_zh,
    "filmtrust": _filmtrust,
    "gpt2_bpe": dict,
    "fsdd": _fsdd,
}
