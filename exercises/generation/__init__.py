"""Exercises of the chapter *Generation*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import functools
import math

import numpy as np
import torch

from companion import generation, models
"""

MASTERS = masters(
    __name__,
    "tokens_left",
    "beam_by_hand",
    "guesses_by_hand",
    "own_sampler",
    "ragged_batch",
    "whole_characters",
    "second_chance",
    "may_follow",
)
