"""Exercises of the chapter *Losses*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from companion import losses
"""

MASTERS = masters(
    __name__,
    "best_constant",
    "turning_knobs",
    "code_by_hand",
    "smoothed_numpy",
    "in_parts",
    "entropy_from_counts",
    "focal",
    "own_rule",
)
