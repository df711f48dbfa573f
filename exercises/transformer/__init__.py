"""Exercises of the chapter *Transformer*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import attention, device, layers, losses, models, transformer
from companion.tinyworld import TinyWorld
"""

MASTERS = masters(
    __name__,
    "alone",
    "not_bad",
    "count_gpt",
    "who_sees_whom",
    "what_moves",
    "decoder_batch",
    "same_words_later",
    "scaled_stream",
)
