"""The book's editions, and Sphinx set up for one of them.

An edition is the book in one language. All are made from the same source; what differs are the
message catalogs under ``locale/``. Every builder (pages, Colab notebooks, slides, EPUB) goes
through `run`, so that all of them see the same book: the same pages, numbers and references.
"""

from __future__ import annotations

import gettext
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from tools import EXTENDING
from tools.book import addresses, contents, phrases
from tools.pages import assets, products, staging
from tools.words import catalogs

ROOT = contents.ROOT
UNUSED = {
    "sphinx_togglebutton",
    "sphinx_copybutton",
    "sphinx_thebe",
    "sphinx_comments",
    "sphinx.ext.intersphinx",
    "sphinx_book_theme",
    "tools.pages.plain_build",  # gets all that is set here
}


# It changes other extensions, so it comes before them.
QUICK = "tools.pages.quick"


@dataclass(frozen=True)
class Edition:
    """The book in one language."""

    folder: str  # of the built site, and of what else is built for this edition
    language: str  # as Sphinx names it
    tag: str  # as HTML and browsers name it
    locale: str  # as social networks name it
    name: str  # in the language itself
    invitation: str  # to read the same page in this language


EDITIONS = (
    Edition("en", "en", "en", "en_US", "English", "Read this page in English"),
    Edition("zh", "zh_CN", "zh-CN", "zh_CN", "中文", "阅读本页的中文版"),
)


def edition(folder: str) -> Edition:
    """Return the edition that is built into `folder`."""
    return {each.folder: each for each in EDITIONS}[folder]


def is_in_english(context: dict, pagename: str, doctree) -> bool:
    """Tell whether a page stands in English because it has not been translated yet."""
    foreign = context["edition"].language != "en" and doctree is not None
    return foreign and pagename not in context["translated"]


def other_editions(context: dict, pagename: str) -> list[dict]:
    """Return where the same page stands in each edition: from here, and on the published site."""
    up = "../" * (pagename.count("/") + 1)
    published = f"{context['site_address']}/" if context["site_address"] else up
    places = [(edition, f"{edition.folder}/{pagename}.html") for edition in context["editions"]]
    return [
        {"edition": edition, "from_here": up + place, "published": published + place}
        for edition, place in places
    ]


def sphinx_config(root: Path, static: Path, modules: Path, edition: Edition) -> dict:
    """Return the Sphinx configuration: Jupyter Book's, with our theme and our extensions."""
    from jupyter_book.config import get_final_config

    config, _ = get_final_config(
        user_yaml=root / "_config.yml",
        sourcedir=root,
        cli_config={"latex_individualpages": False},
        raise_on_invalid=True,
    )
    for key in ("html_theme_options", "comments_config"):
        config.pop(key, None)
    say = phrases.speaker(root, edition.language)
    title, author = config["html_title"], config["author"]
    address = addresses.site(root)
    extensions = [name for name in config["extensions"] if name not in UNUSED]
    config |= {
        "extensions": [QUICK, *extensions, *EXTENDING],
        "external_toc_path": str(root / "_toc.yml"),
        "language": edition.language,
        "locale_dirs": [str(catalogs.stage(root, edition.language))],
        "gettext_compact": False,
        "html_title": say(title),
        "author": say(author),
        "html_baseurl": f"{address}/{edition.folder}/" if address else "",
        "html_theme": "theme",
        "html_theme_path": [str(ROOT / "web")],
        "html_static_path": [str(static)],
        "html_math_renderer": "katex",
        "html_context": {
            "digests": staging.digests(static),
            "styles": staging.styles(static),
            "book_title": say(title),
            "author": say(author),
            "edition": edition,
            "editions": EDITIONS,
            "site_address": address,
            "translated": catalogs.translated(root, edition.language),
            "downloads": products.downloads(root, edition.folder),
        },
        "katex_command": [
            str(assets.node_binary()),
            str(ROOT / "web" / "js" / "katex-lines.js"),
            str(modules / "katex"),
        ],
        "repository": contents.settings(root)["repository"]
        | {
            "url": addresses.repository(root),
            "site_branch": addresses.site_branch(root),
            "edition": edition.folder,
        },
    }
    return config


def alone(root: Path = ROOT) -> FileLock:
    """Return a lock to hold while building: two builds at once would take each other's files."""
    (root / "_build").mkdir(exist_ok=True)
    return FileLock(root / "_build" / ".building.lock")


def stage(root: Path = ROOT) -> tuple[Path, Path]:
    """Gather what the pages load; return that folder, and the one with npm's packages."""
    modules = assets.ensure()
    return staging.stage_static(ROOT, modules, static_folder(root)), modules


def static_folder(root: Path) -> Path:
    """Return the folder where `stage` gathers what the pages load."""
    return root / "_build" / ".static"


def place(builder: str, root: Path, edition: Edition) -> Path:
    """Return the folder into which a builder writes an edition."""
    return root / "_build" / ".editions" / edition.folder / builder


def run(builder: str, root: Path, edition: Edition, config: dict, fresh: bool = True) -> int:
    """Build an edition into its `place`, warnings as errors; return Sphinx's exit status.

    What was read is kept for each edition. With `fresh` everything is read anew; without it, a
    builder goes on from what the one before it has read. (Only the catalogs' builder reads for
    itself, since it keeps track of messages.)
    """
    kept = ".messages" if builder == "gettext" else ".doctrees"
    out, doctrees = (place(name, root, edition) for name in (builder, kept))
    shutil.rmtree(out, ignore_errors=True)
    if fresh:
        shutil.rmtree(doctrees, ignore_errors=True)
    return sphinx(builder, root, config, out, doctrees, fresh=fresh)


def sphinx(
    builder: str,
    root: Path,
    config: dict,
    out: Path,
    doctrees: Path,
    fresh: bool = False,
    everything: bool = True,
    listeners: Mapping[str, Callable] | None = None,
) -> int:
    """Run a Sphinx builder, warnings as errors; return its exit status.

    Parameters
    ----------
    builder, root, config, out, doctrees
        What Sphinx is told: which builder, the book and its settings, where to write, and where
        what was read is kept.
    fresh : bool
        Read all pages, and not only those that have changed.
    everything : bool
        Write all pages, and not only those that have changed.
    listeners : mapping
        Functions to be called at Sphinx's events.
    """
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.locale import translators
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    translators.clear()  # Sphinx would only add to those of another edition's build
    # A catalog that was read stays read, whatever has changed in it.
    gettext._translations.clear()  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings(), patch_docutils(None), docutils_namespace():
            # Python's warnings about other people's code are theirs; Sphinx's own all count.
            warnings.simplefilter("ignore")
            app = Sphinx(
                srcdir=root,
                confdir=None,
                outdir=out,
                doctreedir=doctrees,
                buildername=builder,
                confoverrides=config,
                freshenv=fresh,
                warningiserror=True,
                keep_going=True,
                status=None,
                warning=sys.stderr,
            )
            for event, listener in (listeners or {}).items():
                app.connect(event, listener)
            if not fresh:  # a catalog that is compiled again has its page read again
                compiler: Any = app.builder
                compiler.compile_all_catalogs = compiler.compile_update_catalogs
            app.build(force_all=everything)
    except SphinxError as error:
        print(f"{error.category}: {error}", file=sys.stderr)
        return 1
    return app.statuscode
