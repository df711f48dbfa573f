"""Exercises of the chapter *Optimisation*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import optim
"""

MASTERS = masters(
    __name__,
    "two_steps",
    "who_decays",
    "adam_by_hand",
    "landing",
    "clip_together",
    "thinned",
    "patience",
    "coverage",
)
