"""Exercises of the chapter *Transformer*."""

from exercises import Master
from exercises.transformer import decoder_batch, what_moves

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import attention, device, layers, losses, models, transformer
from companion.tinyworld import TinyWorld
"""

MASTERS = [
    Master(module.exercise, module.draw)
    for module in (
        what_moves,
        decoder_batch,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
