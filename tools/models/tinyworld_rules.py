"""The rules of Tiny World as JSON: ``python -m tools.models.tinyworld_rules rules.json``.

The page on which a model writes computes the true distribution over the next word in the reader's
browser. All that it needs stands in this one file, made from `companion.tinyworld.grammar`:
words with their probabilities, sentences in both languages, and what each kind of event needs
and does. Nothing is typed a second time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from companion.tinyworld import grammar
from companion.tinyworld.grammar import KINDS, N_EVENTS, P_GOOD, PRONOUNS, WORDS, Kind

__all__ = ["rules"]


def rules() -> dict[str, Any]:
    """Return all that settles the probabilities of Tiny World, in lists, dictionaries and texts.

    In a pair of texts the first is English, the second Chinese.
    """
    return {
        "blank": [" ", ""],  # between two sentences
        "n_events": list(map(list, N_EVENTS.items())),
        "p_good": list(map(list, P_GOOD.items())),
        "words": {slot: [[*word, p] for word, p in words.items()] for slot, words in WORDS.items()},
        "pronouns": PRONOUNS,
        "opening": _plain(grammar.OPENING),
        "ending": _plain(grammar.ENDING),
        "kinds": {name: _kind(kind) for name, kind in KINDS.items()},
    }


def _plain(templates: tuple[str, str]) -> list[str]:
    """Return templates in which no entity is marked."""
    return [grammar.MARK.sub(r"\g<name>", template) for template in templates]


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "weight": kind.weight,
        "mood": kind.mood,
        "text": _plain((kind.en, kind.zh)),
        "slots": kind.slots,
        "needs": kind.needs,
        "ends": kind.ends,
    }


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="the file to write")
    text = json.dumps(rules(), ensure_ascii=False, indent=1)
    parser.parse_args().path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
