"""Exercises of the chapter *Transformer*."""

from exercises import Master
from exercises.transformer import (
    alone,
    count_gpt,
    decoder_batch,
    not_bad,
    same_words_later,
    scaled_stream,
    what_moves,
    who_sees_whom,
)

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import attention, device, layers, losses, models, transformer
from companion.tinyworld import TinyWorld
"""

MASTERS: list[Master] = [
    Master(module.exercise, module.draw)
    for module in (
        alone,
        not_bad,
        count_gpt,
        who_sees_whom,
        what_moves,
        decoder_batch,
        same_words_later,
        scaled_stream,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
