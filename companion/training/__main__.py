"""Run ``python -m companion.training``."""

import sys

from companion.training.command import main

if __name__ == "__main__":
    sys.exit(main())
