"""The command ``python -m tools.chinese``: see `tools.chinese.translations`."""

import sys

from tools.chinese.translations import main

if __name__ == "__main__":
    sys.exit(main())
