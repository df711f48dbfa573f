"""Exercises of the chapter *Losses*."""

from exercises import Master
from exercises.losses import (
    best_constant,
    code_by_hand,
    entropy_from_counts,
    focal,
    in_parts,
    own_rule,
    smoothed_numpy,
    turning_knobs,
)

# What every answer may use without importing it.
SETUP = """\
import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from companion import losses
"""

MASTERS = [
    Master(module.exercise, module.draw)
    for module in (
        best_constant,
        turning_knobs,
        code_by_hand,
        smoothed_numpy,
        in_parts,
        entropy_from_counts,
        focal,
        own_rule,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
