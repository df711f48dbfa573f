"""Exercises of the chapter *Attention*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math
from fractions import Fraction

import numpy as np
import torch

from companion import attention, device, layers, models
"""

MASTERS = masters(
    __name__,
    "softmax_by_hand",
    "cache_by_hand",
    "shuffling",
    "masked_numpy",
    "heads",
    "alibi",
    "cache_timing",
    "find_a_head",
)
