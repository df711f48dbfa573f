"""Exercises of the chapter *Evaluation*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import evaluation
"""

MASTERS = masters(
    __name__,
    "confusion_by_hand",
    "more_negatives",
    "roc_points",
    "name_spans",
    "equal_groups",
    "three_points_ahead",
    "same_resamples",
    "exchanged_names",
)
