"""The fonts that a reader's machine has, as far as the tests decide it.

A page brings its own faces. Until they come, and for letters that they lack, it takes those of
the machine, so what is measured on a page may depend on them. The tests' browser therefore finds
only fonts named here, on Linux at least, where fontconfig can be told.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tools.pages import assets

OURS = Path(find_spec("matplotlib").origin).parent / "mpl-data" / "fonts" / "ttf"
# What Debian installs with Chromium even without recommended packages.
DEJAVU = ("Sans", "Sans-Bold", "SansMono", "SansMono-Bold", "Serif", "Serif-Bold")
# Most machines with Linux also have Liberation. Tinos is its serif under an older name.
MACHINES = ("bare", "with Liberation")
SETTINGS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}</dir>
  <cachedir>{folder}/cache</cachedir>
  <include ignore_missing="yes">/etc/fonts/conf.d</include>
</fontconfig>
"""


def files(machine: str) -> list[Path]:
    """Return the files of a machine's fonts."""
    found = [OURS / f"DejaVu{face}.ttf" for face in DEJAVU]
    if machine == "with Liberation":
        found += sorted((assets.ensure() / "@expo-google-fonts" / "tinos").rglob("*.ttf"))
    return found + chinese()


def chinese() -> list[Path]:
    """Return the files of the Chinese fonts that the README tells to install, if they are there."""
    if shutil.which("fc-list") is None:
        return []
    every = subprocess.run(
        ["fc-list", ":lang=zh-cn", "file", "family"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split(":", 1) for line in every.splitlines() if "Noto" in line]
    return sorted({Path(file) for file, _ in lines})


def environment(machine: str, folder: Path) -> dict[str, str]:
    """Return the environment of a browser that finds the fonts of a machine and no others."""
    if shutil.which("fc-list") is None:  # not a machine with fontconfig
        return dict(os.environ)
    for file in files(machine):
        (folder / file.name).symlink_to(file)
    settings = folder / "fonts.conf"
    settings.write_text(SETTINGS.format(folder=folder), encoding="utf-8")
    return {**os.environ, "FONTCONFIG_FILE": str(settings)}
