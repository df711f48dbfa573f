"""Exercises of the chapter *Chapter name*."""

from exercises import Master
from exercises.chapter_name import by_hand, predicted

# What every answer may use without importing it.
SETUP = """\
import numpy as np
import torch

from companion import chapter_name
"""

MASTERS = [Master(module.exercise, module.draw) for module in (by_hand, predicted)]
EXERCISES = [master.variant() for master in MASTERS]
