"""Give each product of ``tools/`` a folder of its own: ``python move.py``, in a clean checkout.

Everything follows from the tables below: files move by ``git mv``; imports, the names that they
bind, ``python -m`` commands, paths and names in prose are rewritten; a few definitions that stood
on the wrong floor move, too. Then the code is laid out anew, and what could not be decided is said.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(subprocess.check_output(["git", "rev-parse", "--show-toplevel"], text=True).strip())

# -- tables ----------------------------------------------------------------------------------------

# Rooms, from the ground up: what a package holds, its extensions in the order of their setup.
ROOMS: dict[str, tuple[str, list[str]]] = {
    "book": (
        "What the book is, whatever is made of it: its contents, files, addresses and words.",
        [],
    ),
    "chapters": ("For whoever writes a chapter: begin it, run it, and see what it lacks.", []),
    "words": (
        "The words of an edition: where their translations come from, and where they go.",
        [],
    ),
    "pages": (
        "The pages as Sphinx reads and lays them out, for whatever is made of them.",
        [
            "chapter_list",
            "dropdowns",
            "katex",
            "margin",
            "pictures",
            "sources",
            "tables",
            "widgets",
        ],
    ),
    "models": ("Models that live in a page: their files, and where they stand.", ["live_directive", "board_directive"]),
    "reference": (
        "Pages that are made from code, tables and records: the appendices.",
        ["api", "glossary", "indexes", "speed", "verification_report"],
    ),
    "slides": ("The slides: a deck for each chapter that is marked.", ["builder"]),
    "paper": (
        "The whole book in one file: a PDF to be printed, and an EPUB.",
        ["print_builder", "ebook_builder"],
    ),
    "colab": ("The chapters as notebooks for Colab and Jupyter.", ["builder"]),
    "chinese": ("The Chinese edition: its catalogs kept in step with the book.", ["messages"]),
    "site": (
        "The website: built, measured, and served while it is being written.",
        ["forms", "heights", "page_context", "search"],
    ),
}

# Modules of ``tools``, and of ``tools/extensions`` (``extensions.pages``): where each goes.
MODULES = {
    # book
    "addresses": "book.addresses",
    "columns": "book.columns",
    "contents": "book.contents",
    "modules": "book.modules",
    "notebooks": "book.notebooks",
    "phrases": "book.phrases",
    "shown_code": "book.shown_code",
    "wheel": "book.wheel",
    "widget_state": "book.widget_state",
    # chapters
    "anatomy": "chapters.anatomy",
    "execute": "chapters.execute",
    "exercises": "chapters.exercises",
    "masks": "chapters.masks",
    "new_chapter": "chapters.new_chapter",
    "setup_cell": "chapters.setup_cell",
    "worked_numbers": "chapters.worked_numbers",
    # words
    "catalogs": "words.catalogs",
    "check_words": "words.check_words",
    "code_words": "words.code_words",
    "exercise_messages": "words.exercise_messages",
    "translation_checks": "words.translation_checks",
    "extensions.code": "words.page_code",
    # pages
    "artwork": "pages.artwork",
    "assets": "pages.assets",
    "chromium": "pages.chromium",
    "editions": "pages.editions",
    "products": "pages.products",
    "staging": "pages.staging",
    "standins": "pages.standins",
    "extensions.apart": "pages.bodies",
    "extensions.chapters": "pages.chapter_list",
    "extensions.drawings": "pages.drawings",
    "extensions.dropdowns": "pages.dropdowns",
    "extensions.katex": "pages.katex",
    "extensions.margin": "pages.margin",
    "extensions.pictures": "pages.pictures",
    "extensions.quick": "pages.quick",
    "extensions.quoted": "pages.quoted",
    "extensions.sources": "pages.sources",
    "extensions.tables": "pages.tables",
    "extensions.widgets": "pages.widgets",
    # models
    "board": "models.board",
    "live_drawing": "models.live_drawing",
    "live_export": "models.live_export",
    "live_models": "models.live_models",
    "live_poems": "models.live_poems",
    "live_sampling": "models.live_sampling",
    "tinyworld_rules": "models.tinyworld_rules",
    "extensions.board": "models.board_directive",
    "extensions.live_models": "models.live_directive",
    # reference
    "verification": "reference.verification_record",
    "extensions.api": "reference.api",
    "extensions.glossary": "reference.glossary",
    "extensions.indexes": "reference.indexes",
    "extensions.speed": "reference.speed",
    "extensions.verification": "reference.verification_report",
    # slides
    "slides": "slides.marks",
    "slides_assets": "slides.deck_files",
    "extensions.slides": "slides.builder",
    # paper
    "dates": "paper.dates",
    "downloads": "paper.whole_book",
    "epub": "paper.epub",
    "epub_checks": "paper.epub_checks",
    "printed": "paper.pdf",
    "printed_assets": "paper.print_files",
    "printed_checks": "paper.pdf_checks",
    "printed_letters": "paper.pdf_letters",
    "extensions.ebook": "paper.ebook_builder",
    "extensions.printed": "paper.print_builder",
    # colab
    "colab_notebook": "colab.colab_notebook",
    "markdown_text": "colab.markdown_text",
    "plain_markdown": "colab.plain_markdown",
    "extensions.colab": "colab.builder",
    # chinese
    "translations": "chinese.translations",
    "extensions.messages": "chinese.messages",
    # site
    "entrance": "site.entrance",
    "fingerprint": "site.fingerprint",
    "fonts": "site.fonts",
    "lighthouse": "site.lighthouse",
    "live": "site.serving",
    "news": "site.news",
    "one_edition": "site.one_edition",
    "side_by_side": "site.side_by_side",
    "site": "site.whole_site",
    "extensions.forms": "site.forms",
    "extensions.heights": "site.heights",
    "extensions.pages": "site.page_context",
    "extensions.search": "site.search",
}

# Other files and folders of ``tools``.
OTHERS = {
    "sanitize.cfg": "chapters/sanitize.cfg",
    "skeleton": "chapters/skeleton",
    "simplified.txt": "models/simplified.txt",
}

# Packages that are commands themselves: ``python -m tools.site``; the module whose `main` it is.
COMMANDS = {"site": "whole_site", "chinese": "translations"}

# Where prose and commands name a module, and its package says the same, shorter.
SHORT = {"site": "site", "translations": "chinese"}

# Definitions that stood on the wrong floor: from, to, after which definition there, what.
DEFINITIONS = [
    ("site.page_context", "pages.editions", "edition", ["is_in_english", "other_editions"]),
    ("slides.deck_files", "pages.staging", "stage_katex", ["shared_styles"]),
    ("slides.deck_files", "pages.staging", "COMMENT", ["LATE"]),
    ("reference.glossary", "book.term_table", None, ["TERMS", "COLUMNS", "OTHER_NAMES", "Term", "read_terms"]),
    ("pages.products", "site.whole_site", "ROOT", ["SITE_PRODUCTS"]),
]
NEW = {
    "book.term_table": """\"\"\"The book's terms in both languages, from their one table.

Translators go by it, the glossary is made from it, and the search finds terms with it.
\"\"\"

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
""",
}

# A test that holds the floors.
TEST = '''"""The folders of ``tools/`` stand on floors: none imports what stands above it."""

import ast
from pathlib import Path

import pytest

import tools

FOLDER = Path(tools.__file__).parent
FILES = [path for name in tools.FLOORS for path in sorted((FOLDER / name).glob("*.py"))]


def folders(source: str) -> set[str]:
    """Return the folders of ``tools`` that a module imports from."""
    imports = [n.module or "" for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    return {each.split(".")[1] for each in imports if each.startswith("tools.")}


def test_every_folder_has_a_floor():
    """What Sphinx loads has one, too."""
    there = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert there == set(tools.FLOORS)
    assert [f"tools.{name}" for name in tools.FLOORS if has_extensions(name)] == list(tools.EXTENDING)


def has_extensions(name: str) -> bool:
    """Tell whether a folder has extensions of Sphinx."""
    return "EXTENSIONS" in (FOLDER / name / "__init__.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_nothing_imports_what_stands_above(path):
    """An import from a floor above would be a circle, or soon lead to one."""
    floor = tools.FLOORS.index(path.parent.name)
    found = folders(path.read_text(encoding="utf-8"))
    assert found <= set(tools.FLOORS[: floor + 1])


def test_an_import_from_above_is_seen():
    """Imports within functions count."""
    source = "def f():\\n    from tools.site import whole_site\\n"
    assert folders(source) == {"site"}
'''

# Imports that a file needs besides (those that it needs no more go by themselves).
IMPORTS = {
    "tools/site/page_context.py": "from tools.pages import editions",
    "tools/slides/builder.py": "from tools.pages import editions",
    "tools/colab/builder.py": "from tools.pages import editions",
    "tools/pages/staging.py": "from tools.book.contents import ROOT",
    "tools/reference/glossary.py": "from tools.book.term_table import TERMS, Term, read_terms",
    "tools/chapters/anatomy.py": "from tools.book import term_table",
    "tools/site/search.py": "from tools.book import term_table",
    "tests/site/test_search.py": "from tools.book import term_table",
    "tests/site/test_reference_pages.py": "from tools.book import term_table",
    "tools/site/whole_site.py": "from collections.abc import Callable\nfrom tools.site import fonts",
}

# Text that is replaced after all else, in files by their new names.
PATCHES: list[tuple[str, str, str]] = [
    # how deep a file lies
    ("tools/book/contents.py", "resolve().parent.parent\n", "resolve().parents[2]\n"),
    ("tools/pages/assets.py", "resolve().parent.parent\n", "resolve().parents[2]\n"),
    ("tools/site/whole_site.py", "resolve().parent.parent\n", "resolve().parents[2]\n"),
    (
        "tools/models/live_poems.py",
        'contents.ROOT / "tools" / "simplified.txt"',
        'Path(__file__).with_name("simplified.txt")',
    ),
    (
        "tests/site/test_first_visit.py",
        'ROOT / "tools" / "setup_cell.py"',
        'ROOT / "tools" / "chapters" / "setup_cell.py"',
    ),
    # definitions on their new floor
    ("tools/site/page_context.py", "= is_in_english(", "= editions.is_in_english("),
    ("tools/site/page_context.py", "= other_editions(", "= editions.other_editions("),
    ("tools/slides/builder.py", "= is_in_english(", "= editions.is_in_english("),
    ("tools/slides/builder.py", "from tools.site.page_context import is_in_english\n", ""),
    ("tools/colab/builder.py", "page_context.other_editions(", "editions.other_editions("),
    ("tools/paper/print_files.py", "from tools.slides.deck_files import shared_styles\n", ""),
    ("tools/paper/print_files.py", "shared_styles(", "staging.shared_styles("),
    ("tools/slides/deck_files.py", "shared_styles(", "staging.shared_styles("),
    ("tools/chapters/anatomy.py", "glossary.", "term_table."),
    ("tools/site/search.py", "glossary.Term", "term_table.Term"),
    ("tools/site/search.py", "glossary.TERMS", "term_table.TERMS"),
    ("tools/site/search.py", "glossary.read_terms", "term_table.read_terms"),
    ("tests/site/test_search.py", "glossary.TERMS", "term_table.TERMS"),
    ("tests/site/test_search.py", "glossary.read_terms", "term_table.read_terms"),
    ("tests/site/test_reference_pages.py", "glossary.TERMS", "term_table.TERMS"),
    ("tests/site/test_reference_pages.py", "glossary.read_terms", "term_table.read_terms"),
    (
        "tools/pages/products.py",
        "- `SITE_PRODUCTS`: functions of the book's root and of the site's folder that write, or mend, what\n"
        "  all editions share.\n",
        "",
    ),
    ("tools/site/whole_site.py", "products.SITE_PRODUCTS", "SITE_PRODUCTS"),
    # first lines that would be too long
    (
        "tests/notebooks/test_execute.py",
        '"""tools.chapters.execute: notebooks run',
        '"""Running chapters: notebooks run',
    ),
    (
        "tools/chapters/exercises.py",
        '"""Write the exercises\' masters into the chapters: ``python',
        '"""Write the exercises into the chapters: ``python',
    ),
    (
        "tools/reference/verification_record.py",
        '"""The record of what was checked against what: ``python -m tools.reference.verification_record`` '
        "renews it.\n",
        '"""The record of what was checked against what; ``make verification`` renews it.\n',
    ),
    # what is said about the tools
    (
        "README.md",
        "| `tools/` | runs chapters, checks worked numbers and translations, builds the site, "
        "the notebooks for Colab, slides, PDF and EPUB |",
        "| `tools/` | a folder for each product: `chapters/` (runs and checks them), `site/`, `slides/`, "
        "`paper/` (PDF and EPUB), `colab/`, `chinese/` (its catalogs), `models/` (those that live in a "
        "page), `reference/` (pages made from code and tables); below them what they share: `book/`, "
        "`words/`, `pages/` |",
    ),
    (
        "CONTRIBUTING.md",
        "by small builders in `tools/extensions/`, in both languages; a new kind of box or figure needs "
        "a method there, and the build names it if one is missing.",
        "by small builders in `tools/colab/`, `tools/slides/` and `tools/paper/`, in both languages; a new "
        "kind of box or figure needs a method there, and the build names it if one is missing. A folder of "
        "`tools/` imports only those that `tools/__init__.py` lists before it, and its own `__init__.py` "
        "says which of its modules are extensions of Sphinx.",
    ),
    (
        "tests/site/small_books.py",
        'setattr(products, "SITE_PRODUCTS"',
        'setattr(whole_site, "SITE_PRODUCTS"',
    ),
]

# -- where everything goes ---------------------------------------------------------------------------

LONGEST = 100
PYTHON = sys.executable
UNSURE: list[str] = []
SKIPPED = re.compile(r"\.(png|jpg|webp|woff2|bin|gz|npz|ipynb|po)$")


def git(*arguments: str) -> str:
    """Run git in the checkout."""
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)


def last(name: str) -> str:
    """Return the last part of a dotted name."""
    return name.rpartition(".")[2]


def path_of(module: str) -> str:
    """Return the path of a module of ``tools``."""
    return f"tools/{module.replace('.', '/')}.py"


def tracked() -> list[str]:
    """Return the files that git keeps."""
    return [name for name in git("ls-files").splitlines() if (ROOT / name).is_file()]


def check_table() -> None:
    """Refuse a checkout that holds a module which the table does not know."""
    kept = {"tools/__init__.py", "tools/extensions/__init__.py"}
    known = kept | {path_of(module) for module in MODULES}
    there = [name for name in tracked() if name.startswith("tools/")]
    for name in there:
        if name not in known and name.split("/")[1] not in OTHERS:
            raise SystemExit(f"{name} has no room in the table: add it to MODULES, or to OTHERS")
    for module in [m for m in MODULES if path_of(m) not in there]:
        UNSURE.append(f"{path_of(module)} is in the table, but not in the checkout")
        del MODULES[module]


def move() -> None:
    """Move the files."""
    for room in ROOMS:
        (ROOT / "tools" / room).mkdir(exist_ok=True)
    # Some rooms are called like files, which stand beside them without any harm.
    for old, new in OTHERS.items():
        git("mv", f"tools/{old}", f"tools/{new}")
    for old, new in MODULES.items():
        git("mv", path_of(old), path_of(new))
    git("rm", "-q", "tools/extensions/__init__.py")


# -- imports -----------------------------------------------------------------------------------------


class File:
    """A Python file, and the edits that it needs."""

    def __init__(self, name: str, old_name: str, source: str):
        self.name, self.old_name, self.source = name, old_name, source
        self.tree = ast.parse(source)
        self.starts = [0]
        for line in source.encode().splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.edits: list[tuple[int, int, str]] = []
        self.fixed: list[tuple[int, int]] = []  # import statements, which prose's rules must not see

    def place(self, line: int, column: int) -> int:
        """Return where a place is, in bytes."""
        return self.starts[line - 1] + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return from where to where a node reaches."""
        return (
            self.place(node.lineno, node.col_offset),
            self.place(node.end_lineno, node.end_col_offset),
        )

    def bound(self) -> list[str]:
        """Return every name that is bound by anything but an import of ours."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found.append(node.id)
            elif isinstance(node, ast.arg):
                found.append(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.append(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom) and not self.origin(node):
                found += [(alias.asname or alias.name).split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.append(node.name)
        return found

    def origin(self, node: ast.Import | ast.ImportFrom) -> str | None:
        """Return the old name, below ``tools.``, of what an import is from (`*` for the package)."""
        if not isinstance(node, ast.ImportFrom):
            return None
        module = node.module or ""
        if node.level:
            if not self.old_name.startswith("tools/extensions/"):
                return None
            return f"extensions.{module}" if module else "extensions*"
        if module == "tools":
            return "*"
        if module == "tools.extensions":
            return "extensions*"
        if module.startswith("tools."):
            return module.removeprefix("tools.")
        return None

    def rewrite_imports(self) -> None:
        """Note the edits that imports of ours need, and the names that they bind."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import) and any(a.name.startswith("tools") for a in node.names):
                UNSURE.append(f"{self.name}:{node.lineno}: import tools...")
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            origin = self.origin(node)
            if origin is None:
                continue
            self.fixed.append(self.span(node))
            lines = self.modules(node, origin) if "*" in origin else [self.names(node, origin)]
            indent = "\n" + " " * node.col_offset
            self.edits.append((*self.span(node), indent.join(lines)))

    def names(self, node: ast.ImportFrom, origin: str) -> str:
        """Return an import of names from a module that has moved."""
        names = ", ".join(ast.unparse(alias) for alias in node.names)
        if origin not in MODULES:
            UNSURE.append(f"{self.name}:{node.lineno}: from tools.{origin}")
        return f"from tools.{MODULES.get(origin, origin)} import {names}"

    def modules(self, node: ast.ImportFrom, origin: str) -> list[str]:
        """Return imports of modules that have moved, a line for each room."""
        rooms: dict[str, list[str]] = {}
        for alias in node.names:
            old = f"{origin.removesuffix('*')}.{alias.name}".lstrip(".")
            if old not in MODULES:
                UNSURE.append(f"{self.name}:{node.lineno}: {old}, imported from tools")
                continue
            room, _, name = MODULES[old].partition(".")
            bound = alias.asname or alias.name
            if bound != name and not alias.asname:
                bound = self.rename(alias.name, name)
            if bound != name:
                name = f"{name} as {bound}"
            rooms.setdefault(room, []).append(name)
        return [f"from tools.{room} import {', '.join(sorted(rooms[room]))}" for room in sorted(rooms)]

    def rename(self, old: str, new: str) -> str:
        """Note that a module's name changes wherever it is read; return the name that it has."""
        bound, taken = self.bound(), self.imported()
        if new in bound or taken.count(new) or old in bound:
            UNSURE.append(f"{self.name}: {new} keeps its old name {old} here, as one of them is taken")
            return old
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node.id == old:
                self.edits.append((*self.span(node), new))
        for match in re.finditer(rf"`{old}\.\w+`".encode(), self.source.encode()):
            self.edits.append((match.start() + 1, match.start() + 1 + len(old), new))
        return new

    def imported(self) -> list[str]:
        """Return the names that imports of ours bind."""
        return [
            alias.asname or alias.name
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and self.origin(node)
            for alias in node.names
        ]

    def rewrite_prose(self) -> None:
        """Note the edits of all that is no import."""
        text = self.source.encode()
        for start, end, new in prose_edits(text):
            if not any(a <= start < b for a, b in self.fixed):
                self.edits.append((start, end, new))

    def result(self) -> str:
        """Return the file with all edits made."""
        text = self.source.encode()
        for start, end, new in sorted(set(self.edits), reverse=True):
            text = text[:start] + new.encode() + text[end:]
        return text.decode()


# -- prose, commands, paths ----------------------------------------------------------------------------

DOTTED = re.compile(rb"(?<![\w./])tools\.((?:extensions\.)?[a-z_]+)\b(?!/)")
SLASHED = re.compile(rb"(?<![\w.])tools/((?:extensions/)?[a-z_]+)\.py\b")
OTHER = re.compile(rb"(?<![\w.])tools/(" + "|".join(map(re.escape, OTHERS)).encode() + rb")\b")


def prose_edits(text: bytes) -> list[tuple[int, int, str]]:
    """Return the edits that a text needs wherever it names what has moved."""
    edits = []
    for match in DOTTED.finditer(text):
        old = match[1].decode()
        old = old if old in MODULES else old.split(".")[0]
        if old in MODULES:
            start = match.start(1)
            edits.append((start, start + len(old), SHORT.get(old, MODULES[old])))
    for match in SLASHED.finditer(text):
        old = match[1].decode().replace("/", ".")
        if old in MODULES:
            edits.append((match.start(), match.end(), path_of(MODULES[old])))
    for match in OTHER.finditer(text):
        edits.append((match.start(), match.end(), f"tools/{OTHERS[match[1].decode()]}"))
    return edits


def rewrite(moved: dict[str, str]) -> None:
    """Rewrite every file that names what has moved."""
    for name in tracked():
        if SKIPPED.search(name) or (ROOT / name).is_symlink():
            continue
        data = (ROOT / name).read_bytes()
        if b"tools" not in data and not name.startswith("tools/"):
            continue
        if name.endswith(".py"):
            file = File(name, moved.get(name, name), data.decode())
            file.rewrite_imports()
            file.rewrite_prose()
            text = file.result()
        else:
            new = data
            for start, end, word in sorted(prose_edits(data), reverse=True):
                new = new[:start] + word.encode() + new[end:]
            text = new.decode()
        if text.encode() != data:
            (ROOT / name).write_text(text, encoding="utf-8")


# -- packages ------------------------------------------------------------------------------------------

TOOLS = '''"""Tools that make the book, a folder for each product, and below them what they share.

A folder imports only those that stand before it here (`FLOORS`):

{rooms}

What Sphinx is to load, each folder says itself (`EXTENSIONS` in its ``__init__.py``).
"""

from __future__ import annotations

FLOORS = (
{floors}
)
#: The folders whose extensions Sphinx is given, in the order in which they are set up.
EXTENDING = (
{extending}
)


def register(app, package: str, names: tuple[str, ...]) -> dict:
    """Set up the extensions of a folder, of whose package this is the ``setup``."""
    for name in names:
        app.setup_extension(f"{{package}}.{{name}}")
    return {{"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}}
'''
ROOM = '''"""{about}"""
'''
ROOM_WITH_EXTENSIONS = '''"""{about}"""

from __future__ import annotations

from tools import register

EXTENSIONS = (
{names}
)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
'''
COMMAND = '''"""The command ``python -m tools.{room}``: see `tools.{room}.{module}`."""

import sys

from tools.{room}.{module} import main

if __name__ == "__main__":
    sys.exit(main())
'''


def quoted(names: list[str]) -> str:
    """Return names as the lines of a tuple."""
    return "\n".join(f'    "{name}",' for name in names)


def write_packages() -> None:
    """Write what makes each room a package, and some of them a command."""
    lines = [f"- `tools.{room}`: {about}" for room, (about, _) in ROOMS.items()]
    extending = quoted([f"tools.{room}" for room, (_, names) in ROOMS.items() if names])
    text = TOOLS.format(rooms="\n".join(lines), extending=extending, floors=quoted(list(ROOMS)))
    (ROOT / "tools" / "__init__.py").write_text(text, encoding="utf-8")
    for room, (about, names) in ROOMS.items():
        form = ROOM_WITH_EXTENSIONS if names else ROOM
        text = form.format(about=about, names=quoted(names))
        (ROOT / "tools" / room / "__init__.py").write_text(text, encoding="utf-8")
    for room, module in COMMANDS.items():
        text = COMMAND.format(room=room, module=module)
        (ROOT / "tools" / room / "__main__.py").write_text(text, encoding="utf-8")


# -- definitions ---------------------------------------------------------------------------------------


def defined(node: ast.stmt) -> str | None:
    """Return the name that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else None


def lines_of(node: ast.stmt) -> tuple[int, int]:
    """Return the lines of a statement, decorators included, counted from 0."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)]) - 1, node.end_lineno


def move_definitions() -> None:
    """Move the definitions that stood on the wrong floor."""
    for module, text in NEW.items():
        (ROOT / path_of(module)).write_text(text, encoding="utf-8")
    for source, target, after, names in DEFINITIONS:
        found = [cut(ROOT / path_of(source), name) for name in names]
        for text in reversed(found):
            insert(ROOT / path_of(target), after, text)


def cut(path: Path, name: str) -> str:
    """Take a definition out of a file; return it."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    nodes = [n for n in ast.parse("".join(lines)).body if defined(n) == name]
    if len(nodes) != 1:
        raise SystemExit(f"{path} does not define {name} once: mend DEFINITIONS")
    start, end = lines_of(nodes[0])
    text = "".join(lines[start:end])
    path.write_text("".join(lines[:start] + lines[end:]), encoding="utf-8")
    return text


def insert(path: Path, after: str | None, text: str) -> None:
    """Put a definition behind another one, or behind the imports."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    body = ast.parse("".join(lines)).body
    imports = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom)]
    nodes = [n for n in body if defined(n) == after] if after else imports[-1:]
    if len(nodes) != 1:
        raise SystemExit(f"{path} does not define {after} once: mend DEFINITIONS")
    blank = "\n\n\n" if text.startswith(("def", "class", "@")) else ""
    _, end = lines_of(nodes[0])
    new = "".join(lines[:end]) + blank + text + "".join(lines[end:])
    path.write_text(new, encoding="utf-8")


def add_imports() -> None:
    """Give files the imports that they need besides."""
    for name, lines in IMPORTS.items():
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        node = next(n for n in ast.parse(text).body if isinstance(n, ast.Import | ast.ImportFrom)
                    and getattr(n, "module", "") != "__future__")
        split = text.splitlines(keepends=True)
        split.insert(node.lineno - 1, lines + "\n")
        path.write_text("".join(split), encoding="utf-8")


def patch() -> None:
    """Replace what tables of names cannot."""
    for name, old, new in PATCHES:
        text = (ROOT / name).read_text(encoding="utf-8")
        if old not in text:
            UNSURE.append(f"{name}: no {old!r} to be replaced: look whether it is needed still")
        (ROOT / name).write_text(text.replace(old, new), encoding="utf-8")


def register_extensions() -> None:
    """Let Sphinx's settings name the folders, which know their extensions."""
    path = ROOT / "tools" / "pages" / "editions.py"
    text = path.read_text(encoding="utf-8")
    ours = re.compile(r"OURS = \[\n.*?\n\]\n", re.DOTALL)
    listed = set(re.findall(r'"(\w+)"', ours.search(text)[0]))
    given = {last(m) for m in MODULES if m.startswith("extensions.")
             and any(MODULES[m] == f"{room}.{name}" for room in ROOMS for name in ROOMS[room][1])}
    if listed != given:
        raise SystemExit(f"ROOMS and editions.OURS differ in extensions: {sorted(listed ^ given)}")
    text = ours.sub("", text).replace("*extensions, *OURS]", "*extensions, *EXTENDING]")
    text = text.replace("\nfrom tools.book import", "\nfrom tools import EXTENDING\nfrom tools.book import", 1)
    path.write_text(text, encoding="utf-8")


# -- the end -------------------------------------------------------------------------------------------


def reflow(path: Path) -> None:
    """Break the paragraphs of docstrings anew in which a line has become too long."""
    lines = path.read_text(encoding="utf-8").split("\n")
    strings = [
        range(node.lineno - 1, node.end_lineno)
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    while True:
        wrong = [n for n, line in enumerate(lines) if len(line) > LONGEST and prose(lines, n, strings)]
        if not wrong:
            break
        start = end = wrong[0]
        while prose(lines, start - 1, strings):
            start -= 1
        while prose(lines, end + 1, strings):
            end += 1
        indent = re.match(" *", lines[start])[0]
        words = " ".join(line.strip() for line in lines[start : end + 1])
        lines[start : end + 1] = textwrap.wrap(
            words, LONGEST, initial_indent=indent, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )
        strings = [
            range(node.lineno - 1, node.end_lineno)
            for node in ast.walk(ast.parse("\n".join(lines)))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    path.write_text("\n".join(lines), encoding="utf-8")


def prose(lines: list[str], n: int, strings: list[range]) -> bool:
    """Tell whether a line is one of a paragraph within a string of several lines."""
    inside = any(each.start < n < each.stop for each in strings if len(each) > 1)
    return inside and bool(lines[n].strip(' "')) and not re.match(r" *(>>>|\*|-|[\d.]+\s)", lines[n])


def lay_out() -> None:
    """Sort imports, drop those that are no longer used, and format."""
    names = sorted({line[3:].split(" -> ")[-1] for line in git("status", "--porcelain").splitlines()})
    files = [name for name in names if name.endswith(".py") and "/skeleton/" not in name and (ROOT / name).is_file()]
    for name in files:
        reflow(ROOT / name)
    fix = ["check", "--quiet", "--fix", "--select", "I,F401", *files]
    subprocess.run([PYTHON, "-m", "ruff", *fix], cwd=ROOT, check=False)
    subprocess.run([PYTHON, "-m", "ruff", "format", "--quiet", *files], cwd=ROOT, check=False)


PHRASES = """
import sys
from tools.book import phrases
from tools.chinese import translations
from tools.pages import editions
for edition in editions.EDITIONS[1:]:
    path = phrases.path(translations.ROOT, edition.language)
    wanted = phrases.extract(translations.ROOT)
    new = translations.updated(translations.read(path), wanted, edition.language)
    path.write_text(translations.text_of(new), encoding="utf-8")
"""


def order_phrases() -> None:
    """Bring the catalog of the tools' own words into the order of their files."""
    subprocess.run([PYTHON, "-c", PHRASES], cwd=ROOT, check=True, env=None)


def exists(dotted: str) -> bool:
    """Tell whether a dotted name below ``tools`` begins with something that is there."""
    path = ROOT / "tools"
    for part in dotted.split(".")[1:]:
        if (path / part).is_dir():
            path = path / part
        elif (path / f"{part}.py").is_file():
            return True
        else:
            init = (path / "__init__.py").read_text(encoding="utf-8")
            return part == "__file__" or bool(re.search(rf"^(def )?{part}\b", init, re.MULTILINE))
    return True


def search() -> list[str]:
    """Return the places where a name of something that is not there is left."""
    found = []
    dotted = re.compile(r"(?<![\w./])tools(?:\.[a-zA-Z_]\w*)+")
    slashed = re.compile(r"(?<![\w./-])tools/[\w/.]*\w")
    flat = re.compile(r"from tools(?:\.extensions)? import (?!register\b|EXTENDING\b)\w+")
    for name in tracked():
        if re.search(r"\.(png|jpg|webp|woff2|bin|gz|npz)$", name) or (ROOT / name).is_symlink():
            continue
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
            wrong = [m[0] for m in dotted.finditer(line) if not exists(m[0])]
            wrong += [m[0] for m in slashed.finditer(line) if not (ROOT / m[0]).exists()]
            wrong += [m[0] for m in flat.finditer(line)]
            found += [f"{name}:{number}: {each} is not there" for each in wrong]
    return found


# -- arrows --------------------------------------------------------------------------------------------


def arrows() -> dict[tuple[str, str], list[str]]:
    """Return which room imports which, and by what."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in [n for n in tracked() if re.fullmatch(r"tools/\w+/\w+\.py", n)]:
        room = name.split("/")[1]
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and re.match(r"tools\.\w+", module):
                found.setdefault((room, module.split(".")[1]), []).append(f"{name}:{node.lineno}")
    return found


def report() -> int:
    """Say what was not decided, what is left, and which arrows point up."""
    floor = {room: n for n, room in enumerate(ROOMS)}
    up = [f"{a} -> {b}: {', '.join(w)}" for (a, b), w in arrows().items() if floor[b] > floor[a]]
    left = search()
    for title, lines in (("Undecided", UNSURE), ("Left over", left), ("Arrows up", up)):
        print(f"{title}: {len(lines)}")
        print("".join(f"  {line}\n" for line in lines), end="")
    return int(bool(left or up))


def main() -> int:
    """Do all of it."""
    if git("status", "--porcelain", "--untracked-files=no"):
        raise SystemExit("The checkout is not clean: commit, or `git reset --hard`.")
    check_table()
    moved = {path_of(new): path_of(old) for old, new in MODULES.items()}
    move()
    rewrite(moved)
    move_definitions()
    write_packages()
    (ROOT / "tests" / "test_floors.py").write_text(TEST, encoding="utf-8")
    register_extensions()
    add_imports()
    patch()
    git("add", "--all", "tools", "tests")
    lay_out()
    order_phrases()
    git("add", "--all")
    return report()


if __name__ == "__main__":
    sys.exit(main())
