"""The package as its wheel, and Python environments such as readers have them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tools.book import wheel as wheels


def clean_environment(**variables: str) -> dict[str, str]:
    """Return the environment without what would lead back to the repository."""
    left_out = {"PYTHONPATH", "MPLBACKEND", "VIRTUAL_ENV", "COMPANION_QUIET", "COMPANION_WIDGETS"}
    return {k: v for k, v in os.environ.items() if k not in left_out} | variables


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Build the package's wheel."""
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """Return a folder into which nothing but the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", folder, wheel], check=True, capture_output=True)
    return folder
