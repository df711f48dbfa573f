r"""The speedrun: how soon a CPU can learn what nanoGPT's recipe learns of tiny Shakespeare.

This folder adds: `Settings`, with nanoGPT's recipe for a CPU as defaults; `Change` and the list
`CHANGES` from there to the fast recipe, one at a time with `ladder`, all but one with `leave_out`;
`RECIPES`, of which `recipe` gives one by name; `SpeedGPT`, a GPT whose parts can be exchanged, with
`ngram_rows`; `load_text`, which gives a `Text`; `Runner`, a recipe under way, with `rate_share`;
`held_out_loss` and `first_below`; `race` and `write_record`.
``python -m companion.training speedrun`` runs it.
"""

from companion.training.speedrun.console import race, write_record
from companion.training.speedrun.model import SpeedGPT, ngram_rows
from companion.training.speedrun.racing import Runner, first_below, rate_share
from companion.training.speedrun.settings import (
    CHANGES,
    RECIPES,
    Change,
    Settings,
    ladder,
    leave_out,
    recipe,
)
from companion.training.speedrun.text import Text, held_out_loss, load_text

__all__ = [
    "Settings",
    "Change",
    "CHANGES",
    "RECIPES",
    "ladder",
    "leave_out",
    "recipe",
    "SpeedGPT",
    "ngram_rows",
    "Text",
    "load_text",
    "Runner",
    "rate_share",
    "held_out_loss",
    "first_below",
    "race",
    "write_record",
]
