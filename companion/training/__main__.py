"""Run ``python -m companion.training``; a first word names another command."""

import importlib
import sys
from collections.abc import Sequence

# Each has a function `main` of the arguments that follow.
COMMANDS = {"speedrun": "companion.training.speedrun"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the first word names, or training from a file; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    word = given.pop(0) if given and given[0] in COMMANDS else None
    module = importlib.import_module(COMMANDS.get(str(word), "companion.training.command"))
    return int(module.main(given) or 0)


if __name__ == "__main__":
    sys.exit(main())
