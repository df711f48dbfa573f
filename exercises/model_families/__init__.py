"""Exercises of the chapter *Model families*."""

from exercises import Master
from exercises.model_families import (
    buckets,
    culprits,
    experts_by_hand,
    fewer_keys,
    reorder_rows,
    to_patches,
    two_thirds,
    who_notices,
)

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import attention, layers, losses, models, transformer
"""

MASTERS: list[Master] = [
    Master(module.exercise, module.draw)
    for module in (
        who_notices,
        fewer_keys,
        two_thirds,
        buckets,
        reorder_rows,
        culprits,
        experts_by_hand,
        to_patches,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
