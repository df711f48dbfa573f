"""What the book consists of, as `_toc.yml` and `_config.yml` say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent


def pages(root: Path = ROOT) -> list[str]:
    """Return the pages of the table of contents, in order, without their endings."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    named = [contents["root"], *_files(contents)]
    return [name.removesuffix(".md").removesuffix(".ipynb") for name in named]


def _files(entry: Any) -> Iterator[str]:
    for part in entry.get("parts", []) + entry.get("chapters", []) + entry.get("sections", []):
        if "file" in part:
            yield part["file"]
        yield from _files(part)


def notebooks(root: Path = ROOT) -> list[Path]:
    """Return the notebooks of the book, in order."""
    paths = (root / f"{page}.ipynb" for page in pages(root))
    return [path for path in paths if path.exists()]


def chapters(root: Path = ROOT) -> list[Path]:
    """Return the notebooks that are chapters, leaving the appendices out."""
    return [path for path in notebooks(root) if path.parent == root / "chapters"]


def settings(root: Path = ROOT) -> dict[str, Any]:
    """Return ``_config.yml`` as it stands."""
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def repository(root: Path = ROOT) -> str:
    """Return the address of the repository."""
    return settings(root)["repository"]["url"].rstrip("/")


def site_branch(root: Path = ROOT) -> str:
    """Return the branch that the built site is published from."""
    return settings(root)["repository"].get("site_branch", "gh-pages")


def site(root: Path = ROOT) -> str:
    """Return the address at which the site is published; nothing where that is not known yet."""
    return str(settings(root).get("html", {}).get("baseurl") or "").rstrip("/")
