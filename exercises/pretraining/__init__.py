"""Exercises of the chapter *Pretraining*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import losses, models, pretraining
from companion.tinyworld import TinyWorld
"""

MASTERS = masters(
    __name__,
    "how_many",
    "trust_by_hand",
    "ladder_by_hand",
    "fill_gaps",
    "go_on_reading",
    "add_gradients",
    "gap_floor",
    "diagnose_run",
    "extend_law",
    "judge_change",
)
