"""Where the repository and its site are on the web: a fork's own addresses, without any editing.

In a workflow GitHub says whose repository it is; elsewhere the remote ``origin`` does. Only where
neither names one do the addresses in ``_config.yml`` hold. The site is where GitHub Pages puts it,
unless ``_config.yml`` names a domain of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from tools.book import contents

GITHUB = "https://github.com"
REMOTE = re.compile(r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[/:](?P<name>.+)")
NAME = re.compile(r"[\w.-]+/[\w.-]+")
PAGES = "github.io"


def repository(root: Path = contents.ROOT) -> str:
    """Return the address of the repository."""
    name = os.environ.get("GITHUB_REPOSITORY") or of_remote(remote(root))
    if not name:
        return written(root)
    if not NAME.fullmatch(name):
        raise ValueError(f"GITHUB_REPOSITORY must be an owner and a name, as me/book, got {name!r}")
    return f"{os.environ.get('GITHUB_SERVER_URL') or GITHUB}/{name}"


def written(root: Path = contents.ROOT) -> str:
    """Return the address of the repository that ``_config.yml`` has."""
    return str(contents.settings(root)["repository"]["url"]).rstrip("/")


@cache  # every piece of code that is shown asks for it
def remote(root: Path) -> str:
    """Return the address of the remote ``origin``, if the folder is a checkout that has one."""
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def of_remote(address: str) -> str:
    """Return owner and name of a repository on GitHub; nothing for any other.

    >>> of_remote("git@github.com:me/book.git"), of_remote("https://github.com/me/book/")
    ('me/book', 'me/book')
    >>> of_remote("/srv/git/book.git")
    ''
    """
    found = REMOTE.fullmatch(address)
    name = found["name"].rstrip("/").removesuffix(".git") if found else ""
    return name if NAME.fullmatch(name) else ""


def site_branch(root: Path = contents.ROOT) -> str:
    """Return the branch that the built site is published from."""
    return str(contents.settings(root)["repository"].get("site_branch", "gh-pages"))


def site(root: Path = contents.ROOT) -> str:
    """Return the address at which the site is published; nothing where that is not known yet."""
    configured = written_site(root)
    if not configured or is_own_domain(root):
        return configured
    return of_pages(repository(root))


def written_site(root: Path = contents.ROOT) -> str:
    """Return the address of the site that ``_config.yml`` has."""
    return str(contents.settings(root).get("html", {}).get("baseurl") or "").rstrip("/")


def is_own_domain(root: Path = contents.ROOT) -> bool:
    """Tell whether ``_config.yml`` names another place than GitHub Pages' for its repository."""
    return written_site(root) not in ("", of_pages(written(root)))


def of_pages(url: str) -> str:
    """Return where GitHub Pages publishes a repository.

    >>> of_pages("https://github.com/me/book"), of_pages("https://github.com/me/me.github.io")
    ('https://me.github.io/book', 'https://me.github.io')
    """
    owner, name = url.rstrip("/").split("/")[-2:]
    host = f"{owner}.{PAGES}"
    return f"https://{host}" if name.lower() == host.lower() else f"https://{host}/{name}"
