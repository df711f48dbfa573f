"""Run ``python -m assign``."""

import sys

from assign.cli import main

if __name__ == "__main__":
    sys.exit(main())
