"""The book in one file: printed as PDF, packed as EPUB, both editions."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.site import printed_book
from tests.site.conftest import ROOT
from tools.book import contents, phrases
from tools.pages import editions
from tools.paper import dates, epub, epub_checks, pdf, pdf_checks
from tools.paper.ebook_builder import as_xhtml, between_files
from tools.paper.print_builder import in_one_page, slug

pytestmark = pytest.mark.browser
FOLDERS = [edition.folder for edition in editions.EDITIONS]
TITLE = contents.settings()["title"]
WIDTH = 514  # of the text on paper, 136 mm, in CSS pixels
TOO_WIDE = """
(width) => [...document.querySelectorAll(".chapter *")]
  .filter((element) => !element.closest(".katex-mathml, svg"))
  .filter((element) => element.getBoundingClientRect().right > width + 1)
  .map((element) => `${element.tagName}.${element.className}: ${element.textContent.slice(0, 60)}`)
"""
EPUBCHECK = Path("/usr/bin/epubcheck")
# It runs for seconds: code that is compiled well, and several threads, cost more than they save.
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar")
BOOKS = [printed_book.small, pytest.param(printed_book.whole, marks=pytest.mark.release)]


@pytest.fixture(scope="session", params=BOOKS, ids=["small", "whole"])
def book(request, tmp_path_factory) -> printed_book.Book:
    """Return a book of two pages; where a release is tested, the whole book, too."""
    return request.param(tmp_path_factory.mktemp("book"))


@functools.cache
def printed_text(path: Path) -> list[str]:
    """Return the text of each page, without its line breaks."""
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(path).pages]


def closed(text: str) -> str:
    """Return a text without spaces, which may stand anywhere between printed letters."""
    return re.sub(r"\s", "", text)


# -- PDF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_has_no_fault(book, folder):
    path = book.pdf(folder)
    assert pdf_checks.faults(path, book.place("printed", folder) / "book.html") == []
    assert path.stat().st_size < 30e6
    # The title, the contents, and pages that each begin on a sheet of their own.
    assert len(contents.pages(book.root)) < len(PdfReader(path).pages) < 2000


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_is_set_in_the_books_faces(book, folder):
    fonts = pdf_checks.fonts(PdfReader(book.pdf(folder)))
    names = " ".join(fonts)
    assert all(fonts.values()), fonts
    for face in ("SourceSerif4-Regular", "SourceSerif4-Italic", "JetBrainsMono", "KaTeX_Main"):
        assert face in names


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_text_can_be_read_out(book, folder):
    text = " ".join(printed_text(book.pdf(folder)))
    source = book.place("printed", folder) / "book.html"
    say = phrases.speaker(ROOT, editions.edition(folder).language)
    assert closed(say(TITLE)) in closed(text)
    # A chapter shows this sign where it cuts a letter in two; nothing else may become one.
    assert text.count("�") == source.read_text(encoding="utf-8").count("�")
    assert re.findall("[⺀-⿕]", text) == []  # radicals, in which nobody would search
    titles = book.titles() if folder == "en" else book.chinese_titles()
    assert titles
    assert [title for title in titles if closed(title) not in closed(text)] == []


def test_pdf_contents_tell_the_right_pages(book):
    pages = printed_text(book.pdf("en"))
    told = re.findall(r"(\d+\.\d+) ([A-Z][^\d]+?) (\d+) (?=\d+\.\d+ )", pages[1])
    assert len(told) >= len(book.sources()[0].sections) - 1  # nothing comes after the last one
    for number, title, folio in told:
        assert f"{number}. {title}" in pages[int(folio) - 1]
        assert (
            pages[int(folio) - 1].rstrip().endswith(folio) or f" {folio} " in pages[int(folio) - 1]
        )


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_links_lead_where_they_should(book, folder):
    """Equations and figures stand, with their numbers, on the pages to which links lead."""
    reader = PdfReader(book.pdf(folder))
    places, pages = pdf_checks.folios(book.pdf(folder)), printed_text(book.pdf(folder))
    assert pdf_checks.dead_links(reader) == []
    numbered = [entry for source in book.sources() for entry in source.numbered()]
    assert numbered
    lost = [(place, number) for place, number in numbered if number not in pages[places[place] - 1]]
    assert lost == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_says_what_it_is(book, folder):
    reader = PdfReader(book.pdf(folder))
    edition = editions.edition(folder)
    say = phrases.speaker(ROOT, edition.language)
    assert reader.metadata.title == say(TITLE)
    assert reader.metadata.author == say(contents.settings()["author"])
    assert reader.root_object["/Lang"] == edition.tag
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in reader.root_object


def test_pdf_has_an_outline(book):
    def titles(entries):
        for entry in entries:
            if isinstance(entry, list):
                yield from titles(entry)
            else:
                yield entry.title

    outline = list(titles(PdfReader(book.pdf("en")).outline))
    first = book.sources()[0]
    assert sum(bool(re.match(r"1\.\d+\. ", title)) for title in outline) == len(first.sections)
    whole = " ".join(outline)
    assert [title for title in book.titles() if title not in whole] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_holds_every_figure_and_widget(book, folder):
    pages = PdfReader(book.pdf(folder)).pages
    resources = (page["/Resources"].get("/XObject", {}) for page in pages)
    objects = (found.get_object() for named in resources for found in named.values())
    count = sum(found["/Subtype"] == "/Image" for found in objects)
    assert count >= sum(source.pictures() for source in book.sources()) > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_wider_than_the_paper(book, browser, folder):
    book.pdf(folder)
    page = browser.new_page(viewport={"width": WIDTH, "height": 800})
    page.emulate_media(media="print")
    page.goto((book.place("printed", folder) / "book.html").as_uri())
    assert page.evaluate(TOO_WIDE, WIDTH) == []
    page.close()


def test_solutions_stand_at_the_end_of_the_chapter(book):
    stem, words = book.solution
    (source,) = (source for source in book.sources() if source.path.stem == stem)
    text = " ".join(printed_text(book.pdf("en"))[2:])  # after the title and the contents
    last = f"{source.number}.{len(source.sections)}. {source.sections[-1]}"
    assert text.index(last) < text.index(words)


def test_small_objects_are_stored_together(book):
    assert b"/ObjStm" in book.pdf("en").read_bytes()


def test_without_a_chinese_font_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(pdf, "has_chinese_font", lambda: False)
    with pytest.raises(RuntimeError, match="apt-get install fonts-noto-cjk"):
        pdf.make(tmp_path, editions.edition("zh"))


def test_a_link_into_nothing_is_found(tmp_path):
    from pypdf import PdfWriter
    from pypdf.annotations import Link
    from pypdf.generic import NameObject, TextStringObject

    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    link = Link(rect=(0, 0, 9, 9), url="x")
    link.pop("/A", None)
    link[NameObject("/Dest")] = TextStringObject("nowhere")
    writer.add_annotation(0, link)
    writer.write(tmp_path / "bad.pdf")
    assert pdf_checks.dead_links(PdfReader(tmp_path / "bad.pdf")) == ["nowhere"]


def test_ids_of_two_pages_do_not_meet():
    first = in_one_page('<h2 id="summary">', "chapters/a")
    second = in_one_page('<a href="book:chapters/a#summary">', "chapters/b")
    assert first == '<h2 id="chapters-a--summary">'
    assert second == '<a href="#chapters-a--summary">'
    assert in_one_page('<code>id="x"</code>', "a") == '<code>id="x"</code>'


# -- EPUB ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_epub_has_no_fault(book, folder):
    assert epub_checks.faults(book.ebook(folder)) == []
    assert book.ebook(folder).stat().st_size < 30e6


@pytest.mark.parametrize("folder", FOLDERS)
def test_epubcheck_finds_nothing(book, folder):
    if not (EPUBCHECK.exists() and shutil.which("java")):
        pytest.skip("epubcheck is not installed (on Debian: apt-get install epubcheck)")
    command = [*JAVA, str(EPUBCHECK), str(book.ebook(folder))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.mark.parametrize("folder", FOLDERS)
def test_epub_holds_math_figures_and_text(book, folder):
    with zipfile.ZipFile(book.ebook(folder)) as archive:
        package = archive.read("EPUB/book.opf").decode("utf-8")
        for source in book.sources():
            text = archive.read(f"EPUB/{slug(source.name)}.xhtml").decode("utf-8")
            assert text.count("<math") >= len(source.formulas()) > 0
            assert "katex-html" not in text
            assert text.count("<img") >= source.pictures()
    assert f"<dc:language>{editions.edition(folder).tag}</dc:language>" in package
    assert 'properties="mathml"' in package


def test_the_same_files_give_the_same_bytes(tmp_path):
    files = {"mimetype": b"application/epub+zip", "EPUB/a.xhtml": b"<a/>"}
    moment = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    for name in ("one", "two"):
        epub.pack(tmp_path / name, files, moment)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<p>open", "is not XML"),
        ('<p id="a"/><p id="a"/>', "the id a is used twice"),
        ('<a href="gone.xhtml"/>', "leads nowhere"),
        ('<a href="#gone"/>', "leads nowhere"),
        ('<img src="https://x/y.png"/>', "no description"),
        ("<script/>", "a script"),
    ],
)
def test_faults_of_an_epub_are_found(tmp_path, page, fault):
    head = b'<html xmlns="http://www.w3.org/1999/xhtml"><body>'
    package = (
        b'<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
        b'<item href="a.xhtml"/></manifest></package>'
    )
    files = {"mimetype": b"application/epub+zip", "EPUB/book.opf": package}
    files["EPUB/a.xhtml"] = head + page.encode() + b"</body></html>"
    epub.pack(tmp_path / "book.epub", files, dates.EARLIEST)
    assert any(fault in found for found in epub_checks.faults(tmp_path / "book.epub"))


def test_links_between_files_lead_to_files():
    known = {"chapters/a"}
    assert between_files('<a href="book:chapters/a#x">', known) == '<a href="chapters-a.xhtml#x">'
    assert between_files('<a href="book:index#x">', known) == '<a href="title.xhtml">'
    assert (
        as_xhtml('<br><img src="a" alt="b" />&nbsp;&amp;') == '<br/><img src="a" alt="b"/>\xa0&amp;'
    )


# -- dates ---------------------------------------------------------------------------------------


def test_a_stated_date_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert dates.of_source(tmp_path) == datetime(1970, 1, 2, tzinfo=timezone.utc)
