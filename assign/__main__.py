"""Run ``python -m assign`` on the book in this repository."""

import sys

from assign.cli import main
from tools.assignments.repository import Repository

if __name__ == "__main__":
    sys.exit(main(Repository()))
