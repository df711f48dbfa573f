"""What every grading process needs, imported once; there is nothing secret in it."""

import matplotlib.pyplot
import numpy
import torch

import companion.notebook
from companion import attention, device, layers, models
from companion.assign import grading_judge, sandbox_process

__all__ = [
    "attention",
    "companion",
    "device",
    "grading_judge",
    "layers",
    "matplotlib",
    "models",
    "numpy",
    "sandbox_process",
    "torch",
]
