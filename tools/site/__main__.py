"""The command ``python -m tools.site``: see `tools.site.whole_site`."""

import sys

from tools.site.whole_site import main

if __name__ == "__main__":
    sys.exit(main())
