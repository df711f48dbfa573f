"""The files of models that live in the page, in ``web/models``.

- ``NAME.bin`` and ``NAME.json`` are loaded when a reader asks for the model: its weights, and its
  sizes, its tokens, and, if it was trained on a language whose rules are known, these rules.
- ``NAME-stored.json`` has beginnings of texts to choose from, and a stored answer in each language
  of the model, which stands in the page.

`tools.models.live_export` writes those of Tiny World, `tools.models.live_poems` those of Chinese
poems.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.book import contents

FOLDER = contents.ROOT / "web" / "models"
STORED = "-stored.json"
LOADED = (".json", ".bin")


def names() -> list[str]:
    """Return the names of the models."""
    return sorted(path.name.removesuffix(STORED) for path in FOLDER.glob(f"*{STORED}"))


def files(name: str) -> list[Path]:
    """Return all files of a model."""
    return sorted(path for path in FOLDER.glob(f"{name}[.-]*"))


def loaded(name: str) -> list[Path]:
    """Return the files that are loaded when a reader asks for the model."""
    return [FOLDER / f"{name}{suffix}" for suffix in LOADED]


def kilobytes(name: str) -> int:
    """Return how large these are together."""
    return round(sum(path.stat().st_size for path in loaded(name)) / 1000)


def tokens(name: str) -> list[str]:
    """Return the names of all tokens, in the order of their ids."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["tokens"]


def stored(name: str) -> dict[str, Any]:
    """Return the beginnings of texts, and the stored answers, by language."""
    return json.loads((FOLDER / f"{name}{STORED}").read_text(encoding="utf-8"))


def language_of(name: str, edition: str) -> str:
    """Return the language in which a model answers in an edition: its own, if it has but one."""
    answers = stored(name)["answers"]
    return edition if edition in answers else next(iter(answers))


def is_verse(name: str) -> bool:
    """Tell whether a model writes poems, of which nobody knows what must come next."""
    return all("written" in answer for answer in stored(name)["answers"].values())
