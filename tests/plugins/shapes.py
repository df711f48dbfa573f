"""Check the shapes that the package declares, on every call, while tests run.

Importing this file installs jaxtyping's import hook. That must happen before ``companion``
is imported, so it is a pytest plugin: ``pytest_plugins = ["tests.plugins.shapes", ...]``.
"""

import contextlib
import sys

import jaxtyping

#: The modules whose declarations are checked; the notebook support declares no shapes.
MODULES = [
    "activations",
    "attention",
    "layers",
    "losses",
    "data",
    "models",
    "tokenizers",
    "device",
    "reference",
]


def install() -> bool:
    """Install the hook; say whether it came in time for the core modules."""
    names = [f"companion.{module}" for module in MODULES]
    if any(name in sys.modules for name in names):
        return False
    jaxtyping.install_import_hook(names, "beartype.beartype")
    return True


IN_TIME = install()


@contextlib.contextmanager
def unchecked():
    """Leave wrong shapes to the package's own checks, as for a reader of the book."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
