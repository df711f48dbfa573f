"""Exercises of the chapter *Model families*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import attention, layers, losses, models, transformer
"""

MASTERS = masters(
    __name__,
    "who_notices",
    "fewer_keys",
    "two_thirds",
    "buckets",
    "reorder_rows",
    "culprits",
    "experts_by_hand",
    "to_patches",
)
