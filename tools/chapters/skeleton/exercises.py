"""Exercises of the chapter *Chapter name*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import numpy as np
import torch

from companion import chapter_name
"""

MASTERS = masters(
    __name__,
    "by_hand",
    "predicted",
)
