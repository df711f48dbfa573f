"""Exercises of the chapter *Data and tokens*."""

from exercises import masters

# What every answer may use without importing it.
SETUP = """\
import math
import random
from fractions import Fraction

import numpy as np

from companion import data
from companion.tokenizers import BPE
"""

MASTERS = masters(
    __name__,
    "kappa_by_hand",
    "authors_apart",
    "hidden_leak",
    "signatures",
    "merges_by_hand",
    "bytes_of_chinese",
    "encode_word",
    "grammar_by_hand",
)
