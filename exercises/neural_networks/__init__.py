"""Exercises of the chapter *Neural networks*."""

from exercises import Master
from exercises.neural_networks import (
    count_parameters,
    forward_by_hand,
    gradient_norms,
    kept_signal,
    lstm_in_order,
    new_operation,
    two_paths,
    xor_weights,
)

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import activations, autograd, layers
"""

MASTERS = [
    Master(module.exercise, module.draw)
    for module in (
        forward_by_hand,
        count_parameters,
        two_paths,
        gradient_norms,
        xor_weights,
        kept_signal,
        lstm_in_order,
        new_operation,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
