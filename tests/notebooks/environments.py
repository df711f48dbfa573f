"""Python environments such as Colab has them: old versions, and no trace of the repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager

from tests.notebooks.conftest import clean_environment
from tools.book import contents

PINS = Path(__file__).with_name("oldest.txt")
NO_WEB = "http://127.0.0.1:9"  # the port of the discard service: nothing answers there


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def packages(self) -> Path:
        """Return where it installs packages."""
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / name / "site-packages"

    def run(self, code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
        """Run code in a folder."""
        command = [self.python, "-c", code]
        environment = clean_environment(**variables)
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    def manager(self, folder: Path, asynchronous: bool = False) -> KernelManager:
        """Return a manager of the environment's own kernel; its specification is in `folder`."""
        spec = folder / "kernels" / "colab"
        spec.mkdir(parents=True)
        start = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        described = {"argv": [*start, "--log-level=40"], "display_name": "", "language": "python"}
        (spec / "kernel.json").write_text(json.dumps(described))
        specs = KernelSpecManager(kernel_dirs=[str(spec.parent)], ensure_native_kernel=False)
        kind = AsyncKernelManager if asynchronous else KernelManager
        return kind(kernel_name="colab", kernel_spec_manager=specs)


def oldest() -> Environment:
    """Return the environment with the oldest versions, made once for each list of them."""
    pins = PINS.read_bytes() + sys.version.encode()
    folder = contents.ROOT / ".cache" / "oldest" / hashlib.sha256(pins).hexdigest()[:12]
    folder.parent.mkdir(parents=True, exist_ok=True)
    environment = Environment(folder)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [environment.python, "-m", "pip", "install", "--quiet", "--no-compile"]
            subprocess.run([*pip, "-r", PINS], check=True, stdout=subprocess.DEVNULL)
            (folder / "whole").touch()
    return environment


def above(base: Environment, folder: Path) -> Environment:
    """Return a new environment that finds everything of `base`, and installs on its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    environment = Environment(folder)
    (environment.packages / "base.pth").write_text(f"{base.packages}\n")
    return environment
