"""companion.notebook brings nothing heavy with it until it is used."""

import subprocess
import sys


def test_nothing_heavy_is_imported():
    heavy = "torch matplotlib ipywidgets IPython PIL transformers"
    code = f"import sys, companion.notebook; print(*({set(heavy.split())} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""
