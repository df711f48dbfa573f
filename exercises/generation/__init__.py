"""Exercises of the chapter *Generation*."""

from exercises import Master
from exercises.generation import beam_by_hand, guesses_by_hand, tokens_left

# What every answer may use without importing it.
SETUP = """\
import functools
import math

import numpy as np
import torch

from companion import generation, models
"""

MASTERS: list[Master] = [
    Master(module.exercise, module.draw)
    for module in (tokens_left, beam_by_hand, guesses_by_hand)
]
EXERCISES = [master.variant() for master in MASTERS]
