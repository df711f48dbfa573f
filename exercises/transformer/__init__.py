"""Exercises of the chapter *Transformer*."""

from exercises import Master
from exercises.transformer import alone, not_bad

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import attention, device, layers, losses, models, transformer
from companion.tinyworld import TinyWorld
"""

MASTERS: list[Master] = [Master(module.exercise, module.draw) for module in (alone, not_bad)]
EXERCISES = [master.variant() for master in MASTERS]
