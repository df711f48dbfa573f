"""What every submission needs, imported once for all of them; there is nothing secret in it."""

import importlib

import matplotlib

import companion
from assign.sandbox import attempts, inside

__all__ = ["attempts", "inside"]

matplotlib.use("agg")
for name in ("matplotlib.pyplot", *(f"companion.{name}" for name in companion.__all__)):
    importlib.import_module(name)
