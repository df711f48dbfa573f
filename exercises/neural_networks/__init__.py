"""Exercises of the chapter *Neural networks*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import activations, autograd, layers
"""

MASTERS = masters(
    __name__,
    "forward_by_hand",
    "count_parameters",
    "two_paths",
    "gradient_norms",
    "xor_weights",
    "kept_signal",
    "lstm_in_order",
    "new_operation",
)
