"""Exercises of the chapter *Attention*."""

from exercises import Master
from exercises.attention import (
    alibi,
    cache_by_hand,
    cache_timing,
    find_a_head,
    heads,
    masked_numpy,
    shuffling,
    softmax_by_hand,
)

# What every answer may use without importing it.
SETUP = """\
import math
from fractions import Fraction

import numpy as np
import torch

from companion import attention, device, layers, models
"""

MASTERS = [
    Master(module.exercise, module.draw)
    for module in (
        softmax_by_hand,
        cache_by_hand,
        shuffling,
        masked_numpy,
        heads,
        alibi,
        cache_timing,
        find_a_head,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
