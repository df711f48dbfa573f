"""Exercises of the chapter *Fine-tuning*."""

from exercises import Master
from exercises.fine_tuning import (
    answer_targets,
    many_adapters,
    old_share,
    one_gpu,
    packed_inputs,
    piece_tags,
    rounded_blocks,
    step_by_hand,
    thin_change,
    who_moves,
    window_answer,
)

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import finetuning
"""

MASTERS: list[Master] = [
    Master(module.exercise, module.draw)
    for module in (
        step_by_hand,
        who_moves,
        many_adapters,
        thin_change,
        rounded_blocks,
        old_share,
        piece_tags,
        window_answer,
        answer_targets,
        packed_inputs,
        one_gpu,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
