"""Run ``python -m companion.assign``."""

import sys

from companion.assign.cli import main

if __name__ == "__main__":
    sys.exit(main())
