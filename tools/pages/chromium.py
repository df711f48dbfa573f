"""Find the Chromium or Chrome of this machine."""

from __future__ import annotations

import os
import shutil

PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "Chromium or Chrome is needed. On Debian: apt-get install chromium; or name a program in the "
    "environment variable CHROMIUM."
)
# For a browser without a window that asks nobody for anything; as root it has no sandbox.
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


def find() -> str:
    """Return the path of the program.

    Raises
    ------
    FileNotFoundError
        If there is none; the message says what to do.
    """
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PLACES)), None)
    if found is None:
        raise FileNotFoundError(MISSING)
    return found
