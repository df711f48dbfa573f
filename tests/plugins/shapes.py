"""Check the shapes that the package declares, on every call, while tests run.

Importing this file installs jaxtyping's import hook. That must happen before ``companion``
is imported, so it is a pytest plugin: ``pytest_plugins = ["tests.plugins.shapes", ...]``.
"""

import contextlib
import sys
from pathlib import Path

import jaxtyping

PACKAGE = Path(__file__).resolve().parents[2] / "companion"
# These declare no shapes, and some of their tests hand over what the annotations do not allow.
APART = {"assign", "autograd", "notebook", "optim", "tinyworld", "training"}


def modules() -> list[str]:
    """Return the modules whose declarations are checked."""
    names = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith(("_", "py."))}
    return sorted(names - APART)


def install() -> bool:
    """Install the hook; say whether it came in time for the core modules."""
    names = [f"companion.{module}" for module in modules()]
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
