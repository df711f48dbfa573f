"""Print the book: ``python -m tools.printed`` writes a PDF for each edition.

Chromium prints the one page that the builder ``printed`` writes. It prints twice: the first time
to learn on which page each chapter and section begins, the second time with these numbers in the
table of contents. What is wrong with the result (a link into nothing, a font that is not embedded,
a page number that does not agree) is found here, before anybody downloads it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tools import chromium, contents, dates, editions, printed_checks, printed_letters, products
from tools.editions import Edition

FILL = """
(folios) => document.querySelectorAll(".folio").forEach((folio) => {
  folio.textContent = folios[folio.dataset.of] ?? "";
})
"""
PASSES = 4  # filling in numbers may move lines, but hardly more than once
NO_CHINESE = (
    "The Chinese edition needs a Chinese font to be printed with. "
    "On Debian: apt-get install fonts-noto-cjk"
)


def has_chinese_font() -> bool:
    """Tell whether the machine has a font with Chinese letters, as far as fontconfig knows."""
    if shutil.which("fc-list") is None:
        return True
    listed = subprocess.run(
        ["fc-list", ":lang=zh-cn", "family"], capture_output=True, text=True, check=False
    )
    return bool(listed.stdout.strip())


def print_page(source: Path, target: Path) -> dict[str, int]:
    """Print a page to a PDF whose contents tell the right pages; return these numbers."""
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium.find(), args=list(chromium.FLAGS))
        page = browser.new_page()
        page.goto(source.as_uri())
        page.evaluate("document.fonts.ready")
        folios: dict[str, int] = {}
        for _ in range(PASSES):
            page.evaluate(FILL, folios)
            page.pdf(
                path=target,
                prefer_css_page_size=True,
                print_background=True,
                outline=True,
                tagged=True,
            )
            known, folios = folios, printed_checks.folios(target)
            if known == folios:
                break
        else:
            raise RuntimeError(f"the page numbers of {target} do not settle")
        browser.close()
    return folios


def finish(path: Path, root: Path, title: str, author: str, edition: Edition) -> None:
    """Write into a PDF who made it, when, and in what language; let it open with its outline."""
    from pypdf import PdfWriter
    from pypdf.generic import (
        BooleanObject,
        DictionaryObject,
        NameObject,
        TextStringObject,
    )

    writer = PdfWriter(clone_from=path)
    writer.pdf_header = "%PDF-1.7"
    moment = f"D:{dates.of_source(root):%Y%m%d%H%M%S}Z"
    writer.add_metadata(
        {
            "/Title": title,
            "/Author": author,
            "/CreationDate": moment,
            "/ModDate": moment,
            "/Creator": "Large Models from Scratch",
        }
    )
    catalog = writer.root_object
    catalog[NameObject("/Lang")] = TextStringObject(edition.tag)
    catalog[NameObject("/PageMode")] = NameObject("/UseOutlines")
    catalog[NameObject("/ViewerPreferences")] = DictionaryObject(
        {NameObject("/DisplayDocTitle"): BooleanObject(True)}
    )
    printed_letters.mend(writer)
    writer.write(path)


def make(root: Path, edition: Edition, fresh: bool = True) -> Path:
    """Print an edition, reading the book anew or not; return the PDF's path.

    Raises
    ------
    RuntimeError
        If the edition cannot be built, there is no font for it, or the PDF has a fault.
    """
    if edition.folder == "zh" and not has_chinese_font():
        raise RuntimeError(NO_CHINESE)
    static, modules = editions.stage(root)
    config = editions.sphinx_config(root, static, modules, edition)
    if editions.run("printed", root, edition, config, fresh):
        raise RuntimeError(f"{edition.name}: every warning above is an error")
    source = editions.place("printed", root, edition) / "book.html"
    target = root / "_build" / "downloads" / f"{products.STEM}-{edition.folder}.pdf"
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".pdf.tmp")
    print_page(source, beside)
    context = config["html_context"]
    finish(beside, root, context["book_title"], context["author"], edition)
    faults = printed_checks.faults(beside, source)
    if faults:
        raise RuntimeError("\n".join([f"{target.name}:", *faults]))
    beside.rename(target)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    folders = [edition.folder for edition in editions.EDITIONS]
    parser = argparse.ArgumentParser(prog="python -m tools.printed", description=__doc__)
    parser.add_argument("editions", nargs="*", default=folders, help=" or ".join(folders))
    options = parser.parse_args(arguments)
    for folder in options.editions:
        try:
            path = make(contents.ROOT, editions.edition(folder))
        except (RuntimeError, FileNotFoundError) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"Printed {path} ({path.stat().st_size / 1e6:.1f} MB).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
