"""The companion package of *Large Models from Scratch*: what the chapters build, and import.

``import companion`` alone imports nothing else: each module, such as ``companion.attention``, is
imported when it is first asked for, and PyTorch with the first module that needs it.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "activations",
    "alignment",
    "attention",
    "autograd",
    "data",
    "device",
    "evaluation",
    "finetuning",
    "generation",
    "layers",
    "losses",
    "models",
    "notebook",
    "optim",
    "pretraining",
    "reference",
    "tinyworld",
    "tokenizers",
    "training",
    "transformer",
]

if TYPE_CHECKING:  # what editors and type checkers see; when a program runs, `__getattr__` answers
    from companion import (
        activations,
        alignment,
        attention,
        autograd,
        data,
        device,
        evaluation,
        finetuning,
        generation,
        layers,
        losses,
        models,
        notebook,
        optim,
        pretraining,
        reference,
        tinyworld,
        tokenizers,
        training,
        transformer,
    )
else:

    def __getattr__(name: str) -> ModuleType:
        """Import a module of the package when it is first asked for."""
        if name in __all__:
            return importlib.import_module(f"{__name__}.{name}")
        this = sys.modules[__name__]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=this)


def __dir__() -> list[str]:
    """Name the modules of the package, those not yet imported too."""
    return sorted([*(name for name in globals() if name.startswith("__")), *__all__])
