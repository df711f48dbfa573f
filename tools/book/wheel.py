"""Build the companion package's wheel, which the site carries for the notebooks that need it.

The same source gives the same bytes: every file in the wheel has one date and one mode.
``python -m tools.book.wheel FOLDER`` builds it alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.book import addresses, contents

FOLDER = "wheels"
PARTS = ("pyproject.toml", "LICENSE")
DATE = "315532800"  # 1 January 1980, the first that a zip archive can hold


def name(root: Path = contents.ROOT) -> str:
    """Return the file name of the wheel."""
    return f"large_models_companion-{version(root)}-py3-none-any.whl"


def version(root: Path = contents.ROOT) -> str:
    """Return the package's version, as its source states it."""
    text = (root / "companion" / "__init__.py").read_text(encoding="utf-8")
    return text.split('__version__ = "')[1].split('"')[0]


def build(out: Path, root: Path = contents.ROOT) -> Path:
    """Build the wheel into `out` from a copy, so that nothing is left in the working tree."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        leave = shutil.ignore_patterns("__pycache__", "*.tmp", ".*")
        shutil.copytree(root / "companion", copy / "companion", ignore=leave)
        for part in PARTS:
            shutil.copy(root / part, copy)
        name_the_repository(copy / "pyproject.toml", root)
        for path in copy.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        made = _pip_wheel(copy, Path(folder) / "made")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(made, out))


def name_the_repository(settings: Path, root: Path) -> None:
    """Put the repository's own address in the place of that in ``_config.yml``."""
    text = settings.read_text(encoding="utf-8")
    own = text.replace(addresses.written(root), addresses.repository(root))
    settings.write_text(own, encoding="utf-8")


def _pip_wheel(source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(out), str(source)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": DATE}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the wheel cannot be built:\n{done.stdout}{done.stderr}")
    (path,) = out.glob("*.whl")
    return path


def write(root: Path, site: Path) -> None:
    """Put the wheel on the site; a book without a package has none."""
    if (root / "pyproject.toml").exists():
        build(site / FOLDER, root)


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
