"""Exercises of the chapter *Optimisation*."""

from exercises import Master
from exercises.optimisation import (
    adam_by_hand,
    clip_together,
    coverage,
    landing,
    patience,
    thinned,
    two_steps,
    who_decays,
)

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import optim
"""

MASTERS = [
    Master(module.exercise, module.draw)
    for module in (
        two_steps,
        who_decays,
        adam_by_hand,
        landing,
        clip_together,
        thinned,
        patience,
        coverage,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
