"""Begin a chapter: ``make chapter NAME=scaling-laws``.

It writes what every chapter has, from the templates in ``tools/chapters/skeleton``: the notebook, a
module with its twin and their tests, two exercises with theirs; and it enters them in ``_toc.yml``
and in the package's list of modules. Then the notebook is run. All of it passes ``make check``; its
text says what belongs where. What cannot be finished is taken back, so that nothing half is left.
"""

from __future__ import annotations

import argparse
import keyword
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tools.book import contents

SKELETON = Path(__file__).resolve().parent / "skeleton"
#: What is written, and the template of each.
FILES = {
    "chapters/{page}.ipynb": "chapter.ipynb",
    "companion/{module}.py": "module.py",
    "companion/reference/{module}.py": "twin.py",
    "tests/test_{module}.py": "module_tests.py",
    "exercises/{module}/__init__.py": "exercises.py",
    "exercises/{module}/by_hand.py": "exercise_by_hand.py",
    "exercises/{module}/predicted.py": "exercise_predicted.py",
    "tests/exercises/test_{module}.py": "exercises_tests.py",
}
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 24
TOC = "_toc.yml"
#: What lists the modules: the package's own file, and that of the twins.
PACKAGES = ("companion/__init__.py", "companion/reference/__init__.py")
EXPORTS = re.compile(r'__all__ = \[\n(?:    "\w+",\n)+\]')
IMPORTS = re.compile(r"^( *)from companion(?:\.reference)? import \(\n", re.MULTILINE)


class Refused(ValueError):
    """A chapter cannot be begun; the message says why."""


def render(name: str) -> dict[str, str]:
    """Return the text of each new file, by its path."""
    module = name.replace("-", "_")
    words = {
        "chapter_name": module,
        "chapter-name": name,
        "Chapter name": name.replace("-", " ").capitalize(),
    }
    texts = {}
    for path, template in FILES.items():
        text = (SKELETON / template).read_text(encoding="utf-8")
        for word, replacement in words.items():
            text = text.replace(word, replacement)
        texts[path.format(page=name, module=module)] = text
    return texts


def listed(toc: str, name: str) -> str:
    """Return the table of contents with the chapter as the last of the numbered ones."""
    lines = toc.splitlines()
    numbered = [n for n, line in enumerate(lines) if re.fullmatch(r"\s+numbered: true", line)]
    if not numbered:
        raise Refused(f"{TOC} has no part with `numbered: true`, which is where chapters stand")
    place = numbered[0] + 1
    while place < len(lines) and not lines[place].startswith("  - "):
        place += 1
    lines.insert(place, f"      - file: {contents.FOLDER}{name}")
    text = "\n".join(lines) + "\n"
    if not ends_with(text, f"{contents.FOLDER}{name}"):
        raise Refused(f"{TOC} is not laid out as expected: chapters are indented by six spaces")
    return text


def exported(text: str, module: str) -> str:
    """Return a package's file that also names a module, among those that it imports."""
    names = re.findall(r'"(\w+)"', EXPORTS.findall(text)[0])
    lines = "".join(f'    "{name}",\n' for name in sorted([*names, module]))
    text = EXPORTS.sub(f"__all__ = [\n{lines}]", text)
    return IMPORTS.sub(rf"\g<0>\g<1>    {module},\n", text)  # ruff sorts them


def ends_with(toc: str, page: str) -> bool:
    """Tell whether a page is the last of the numbered chapters in a table of contents."""
    try:
        parts = yaml.safe_load(toc)["parts"]
    except yaml.YAMLError:
        return False
    return any(p.get("numbered") and p["chapters"][-1] == {"file": page} for p in parts)


def check_name(name: str, root: Path) -> None:
    """Refuse a name that is none, or that something has already."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > LONGEST_NAME:
        raise Refused(
            f"a chapter's name is made of small letters and digits, words joined by hyphens, "
            f"{LONGEST_NAME} characters at most, and no word of Python (scaling-laws); got {name!r}"
        )
    module = name.replace("-", "_")
    paths = [*render(name), f"chapters/{name}", f"companion/{module}", f"exercises/{module}"]
    there = [path for path in paths if taken(root / path)]
    page = f"{contents.FOLDER}{name}"
    if there or any(f"{each}/".startswith(f"{page}/") for each in contents.pages(root)):
        raise Refused(f"{name} is there already: {', '.join(there) or TOC}")


def taken(path: Path) -> bool:
    """Tell whether something is there; what Python leaves of a folder that was deleted is not."""
    if path.is_dir():
        return any(each.name != "__pycache__" for each in path.iterdir())
    return path.exists()


def begin(name: str, root: Path = contents.ROOT) -> list[str]:
    """Write a new chapter and run its notebook; return the paths that are new.

    Raises
    ------
    Refused
        If the name is none or is taken, or if the notebook cannot be run.
    """
    check_name(name, root)
    lists = {path: (root / path).read_text(encoding="utf-8") for path in (TOC, *PACKAGES)}
    module = name.replace("-", "_")
    longer = {path: exported(lists[path], module) for path in PACKAGES}
    texts, longer[TOC] = render(name), listed(lists[TOC], name)
    folder = root / "exercises" / module
    try:
        folder.mkdir(exist_ok=True)
        for path, text in texts.items():
            (root / path).write_text(text, encoding="utf-8")
        for path, text in longer.items():
            store(root / path, text)
        finish(name, [*texts, *PACKAGES], root)
    except BaseException:
        for path in texts:
            (root / path).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in lists.items():
            store(root / path, text)
        raise
    return [*texts, *lists]


def finish(name: str, paths: list[str], root: Path) -> None:
    """Lay the code out as the book's, and run the notebook."""
    # Figures are drawn as a notebook draws them, whatever the caller draws on.
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    environment["PYTHONPATH"] = str(root)
    for command in (
        ["ruff", "check", "--quiet", "--fix", *paths],
        ["ruff", "format", "--quiet", *paths],
        ["tools.chapters.execute", name],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refused(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def store(path: Path, text: str) -> None:
    """Write beside the file and rename, so that it is never half."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.chapters.new_chapter", description=__doc__
    )
    parser.add_argument("name", help="such as scaling-laws")
    name = parser.parse_args(arguments).name
    try:
        paths = begin(name)
    except Refused as error:
        print(f"{error}\nNothing was written.", file=sys.stderr)
        return 1
    print("\n".join(paths))
    print(f"Now `make check CHAPTER={name}` passes. Replace what says “Placeholder:”.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
