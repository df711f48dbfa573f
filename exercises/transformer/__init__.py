"""Exercises of the chapter *Transformer*."""

from exercises import Master
from exercises.transformer import same_words_later, scaled_stream

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
        same_words_later,
        scaled_stream,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
