"""Exercises of the chapter *Alignment*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math

import numpy as np
import torch

from companion import alignment
"""

MASTERS = masters(
    __name__,
    "bandit_by_hand",
    "rewards_from_counts",
    "pair_gradients",
    "best_at_a_price",
    "silent_prompts",
    "clipped_tokens",
    "pass_and_vote",
    "loose_verifier",
    "name_fault",
)
