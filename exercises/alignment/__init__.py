"""Exercises of the chapter *Alignment*."""

from exercises import Master
from exercises.alignment import (
    bandit_by_hand,
    best_at_a_price,
    clipped_tokens,
    loose_verifier,
    name_fault,
    pair_gradients,
    pass_and_vote,
    rewards_from_counts,
    silent_prompts,
)

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import alignment
"""

MASTERS: list[Master] = [
    Master(module.exercise, module.draw)
    for module in (
        bandit_by_hand,
        rewards_from_counts,
        pair_gradients,
        best_at_a_price,
        silent_prompts,
        clipped_tokens,
        pass_and_vote,
        loose_verifier,
        name_fault,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
