"""What the comparison of outputs leaves out, since it may differ from machine to machine."""

from __future__ import annotations

import re
from pathlib import Path

from nbval.plugin import get_sanitize_patterns

PATH = Path(__file__).with_name("sanitize.cfg")
PATTERNS = list(get_sanitize_patterns(PATH.read_text(encoding="utf-8")))


def masked(text: str) -> str:
    """Return an output as it is compared."""
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text
