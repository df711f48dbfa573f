"""Print the book: ``python -m tools.paper.pdf`` writes a PDF for each edition.

Chromium prints the one page that the builder ``printed`` writes. It prints twice: the first time
to learn on which page each chapter and section begins, the second time with these numbers in the
table of contents. What is wrong with the result (a link into nothing, a font that is not embedded,
a page number that does not agree) is found here, before anybody downloads it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.pages import chromium
from tools.pages.editions import Edition
from tools.paper import dates, pdf_checks, pdf_letters, whole_book
from tools.paper.whole_book import Built, Maker

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
            known, folios = folios, pdf_checks.folios(target)
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
    pdf_letters.mend(writer)
    writer.write(path)
    pack(path)


def pack(path: Path) -> None:
    """Store the small objects of a PDF together: the tags of a long book weigh half as much."""
    import pikepdf

    pikepdf.settings.set_flate_compression_level(9)
    with pikepdf.open(path, allow_overwriting_input=True) as book:
        book.save(
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
            recompress_flate=True,
            deterministic_id=True,
        )


def write(built: Built, path: Path) -> list[str]:
    """Print what was built to a PDF; return what is wrong with it."""
    source = built.folder / "book.html"
    print_page(source, path)
    finish(path, built.root, built.words["book_title"], built.words["author"], built.edition)
    return pdf_checks.faults(path, source)


def make(root: Path, edition: Edition, fresh: bool = True) -> Path:
    """Print an edition, reading the book anew or not; return the PDF's path.

    Raises
    ------
    RuntimeError
        If the edition cannot be built, there is no font for it, or the PDF has a fault.
    """
    if edition.folder == "zh" and not has_chinese_font():
        raise RuntimeError(NO_CHINESE)
    return Maker("printed", "pdf", write).make(root, edition, fresh)


if __name__ == "__main__":
    sys.exit(whole_book.main(make, __doc__))
