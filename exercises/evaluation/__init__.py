"""Exercises of the chapter *Evaluation*."""

from exercises import Master
from exercises.evaluation import (
    confusion_by_hand,
    equal_groups,
    exchanged_names,
    more_negatives,
    name_spans,
    roc_points,
    same_resamples,
    three_points_ahead,
)

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import evaluation
"""

MASTERS: list[Master] = [
    Master(module.exercise, module.draw)
    for module in (
        confusion_by_hand,
        more_negatives,
        roc_points,
        name_spans,
        equal_groups,
        three_points_ahead,
        same_resamples,
        exchanged_names,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
