"""Exercises of the chapter *Fine-tuning*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import finetuning
"""

MASTERS = masters(
    __name__,
    "step_by_hand",
    "who_moves",
    "many_adapters",
    "thin_change",
    "rounded_blocks",
    "old_share",
    "piece_tags",
    "window_answer",
    "answer_targets",
    "packed_inputs",
    "one_gpu",
)
