"""The book in one file: printed as PDF, packed as EPUB, both editions."""

from __future__ import annotations

import functools
import multiprocessing
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.site.conftest import ROOT
from tools import contents, dates, editions, epub, epub_checks, phrases, printed, printed_checks
from tools.extensions.ebook import as_xhtml, between_files
from tools.extensions.printed import in_one_page

pytestmark = pytest.mark.browser
FOLDERS = [edition.folder for edition in editions.EDITIONS]
BUILT = {"_build", "build", "dist"}
TITLE = contents.settings()["title"]
WIDTH = 514  # of the text on paper, 136 mm, in CSS pixels
TOO_WIDE = """
(width) => [...document.querySelectorAll(".chapter *")]
  .filter((element) => !element.closest(".katex-mathml, svg"))
  .filter((element) => element.getBoundingClientRect().right > width + 1)
  .map((element) => `${element.tagName}.${element.className}: ${element.textContent.slice(0, 60)}`)
"""
EPUBCHECK = Path("/usr/bin/epubcheck")


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """Return a root of the book that shares its sources and nothing that is built."""
    place = tmp_path_factory.mktemp("book")
    for path in ROOT.iterdir():
        if path.name not in BUILT and not path.name.startswith("."):
            (place / path.name).symlink_to(path)
    return place


def made_once(make: Callable, root: Path) -> Callable[[str], Path]:
    """Return a function from an edition's folder to its file, made when first asked for."""
    known: dict[str, Path] = {}

    def get(folder: str) -> Path:
        if folder not in known:
            edition = editions.edition(folder)
            read = editions.place(".doctrees", root, edition).exists()
            # In a process of its own: a process can drive only one browser at a time.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as aside:
                known[folder] = aside.submit(make, root, edition, fresh=not read).result()
        return known[folder]

    return get


@pytest.fixture(scope="session")
def pdf(root) -> Callable[[str], Path]:
    """Return a function from an edition to its PDF."""
    return made_once(printed.make, root)


@pytest.fixture(scope="session")
def ebook(root) -> Callable[[str], Path]:
    """Return a function from an edition to its EPUB."""
    return made_once(epub.make, root)


def pictures(*chapters: Path) -> int:
    """Return how many figures with a caption, and widgets, these chapters hold."""
    import nbformat

    cells = [cell for path in chapters for cell in nbformat.read(path, 4).cells]
    figures = sum("figure" in cell.metadata.get("mystnb", {}) for cell in cells)
    texts = [path.read_text(encoding="utf-8") for path in chapters]
    widgets = sum(text.count('"application/vnd.jupyter.widget-view+json"') for text in texts)
    assert figures > 4 * len(chapters)
    assert widgets >= len(chapters)
    return figures + widgets


def chapter(name: str) -> tuple[int, Path]:
    """Return the number that a chapter has in the book, and its notebook."""
    return next(
        (number, path) for number, path in enumerate(contents.chapters(), 1) if path.stem == name
    )


@functools.cache
def printed_text(path: Path) -> list[str]:
    """Return the text of each page, without its line breaks."""
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(path).pages]


# -- PDF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_has_no_fault(pdf, root, folder):
    path = pdf(folder)
    source = editions.place("printed", root, editions.edition(folder)) / "book.html"
    assert printed_checks.faults(path, source) == []
    assert path.stat().st_size < 30e6
    assert 30 < len(PdfReader(path).pages) < 2000


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_is_set_in_the_books_faces(pdf, folder):
    fonts = printed_checks.fonts(PdfReader(pdf(folder)))
    names = " ".join(fonts)
    assert all(fonts.values()), fonts
    for face in ("SourceSerif4-Regular", "SourceSerif4-Italic", "JetBrainsMono", "KaTeX_Main"):
        assert face in names


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_text_can_be_read_out(pdf, root, folder):
    text = " ".join(printed_text(pdf(folder)))
    source = editions.place("printed", root, editions.edition(folder)) / "book.html"
    say = phrases.speaker(ROOT, editions.edition(folder).language)
    assert re.sub(r"\s", "", say(TITLE)) in re.sub(r"\s", "", text)
    # A chapter shows this sign where it cuts a letter in two; nothing else may become one.
    assert text.count("�") == source.read_text(encoding="utf-8").count("�")
    assert re.findall("[⺀-⿕]", text) == []  # radicals, in which nobody would search
    if folder == "zh":
        assert len(re.findall(r"[一-鿿]", text)) > 500


def test_pdf_contents_tell_the_right_pages(pdf):
    pages = printed_text(pdf("en"))
    told = re.findall(r"(\d+\.\d+) ([A-Z][^\d]+?) (\d+) (?=\d+\.\d+ )", pages[1])
    assert len(told) > 10
    for number, title, folio in told:
        assert f"{number}. {title}" in pages[int(folio) - 1]
        assert (
            pages[int(folio) - 1].rstrip().endswith(folio) or f" {folio} " in pages[int(folio) - 1]
        )


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_links_lead_where_they_should(pdf, folder):
    reader = PdfReader(pdf(folder))
    places = printed_checks.folios(pdf(folder))
    assert printed_checks.dead_links(reader) == []
    assert len(places) > 50
    equation = places["chapters-attention--equation-eq-attention"]
    number, _ = chapter("attention")
    assert f"({number}.2)" in reader.pages[equation - 1].extract_text()
    figure = places["chapters-attention--fig-attention-scale"]
    assert f"{number}.2" in reader.pages[figure - 1].extract_text()


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_says_what_it_is(pdf, folder):
    reader = PdfReader(pdf(folder))
    edition = editions.edition(folder)
    say = phrases.speaker(ROOT, edition.language)
    assert reader.metadata.title == say(TITLE)
    assert reader.metadata.author == say(contents.settings()["author"])
    assert reader.root_object["/Lang"] == edition.tag
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in reader.root_object


def test_pdf_has_an_outline(pdf):
    def titles(entries):
        for entry in entries:
            if isinstance(entry, list):
                yield from titles(entry)
            else:
                yield entry.title

    outline = list(titles(PdfReader(pdf("en")).outline))
    assert sum(bool(re.match(r"1\.\d+\. ", title)) for title in outline) > 10
    assert "References" in outline


@pytest.mark.parametrize("folder", FOLDERS)
def test_pdf_holds_every_figure_and_widget(pdf, folder):
    resources = (page["/Resources"].get("/XObject", {}) for page in PdfReader(pdf(folder)).pages)
    objects = (found.get_object() for named in resources for found in named.values())
    count = sum(found["/Subtype"] == "/Image" for found in objects)
    assert count >= pictures(*contents.chapters())


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_wider_than_the_paper(pdf, root, browser, folder):
    pdf(folder)
    source = editions.place("printed", root, editions.edition(folder)) / "book.html"
    page = browser.new_page(viewport={"width": WIDTH, "height": 800})
    page.emulate_media(media="print")
    page.goto(source.as_uri())
    assert page.evaluate(TOO_WIDE, WIDTH) == []
    page.close()


def test_solutions_stand_at_the_end_of_the_chapter(pdf):
    pages = printed_text(pdf("en"))
    title = re.compile(rf"{chapter('attention')[0]}\.\d+\. Exercises")
    exercises = next(i for i, text in enumerate(pages) if title.search(text) and i > 2)
    solutions = next(i for i, text in enumerate(pages) if "Doubling a score squares its" in text)
    assert solutions > exercises


def test_without_a_chinese_font_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(printed, "has_chinese_font", lambda: False)
    with pytest.raises(RuntimeError, match="apt-get install fonts-noto-cjk"):
        printed.make(tmp_path, editions.edition("zh"))


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
    assert printed_checks.dead_links(PdfReader(tmp_path / "bad.pdf")) == ["nowhere"]


def test_ids_of_two_pages_do_not_meet():
    first = in_one_page('<h2 id="summary">', "chapters/a")
    second = in_one_page('<a href="book:chapters/a#summary">', "chapters/b")
    assert first == '<h2 id="chapters-a--summary">'
    assert second == '<a href="#chapters-a--summary">'
    assert in_one_page('<code>id="x"</code>', "a") == '<code>id="x"</code>'


# -- EPUB ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_epub_has_no_fault(ebook, folder):
    assert epub_checks.faults(ebook(folder)) == []
    assert ebook(folder).stat().st_size < 30e6


@pytest.mark.parametrize("folder", FOLDERS)
def test_epubcheck_finds_nothing(ebook, folder):
    if not (EPUBCHECK.exists() and shutil.which("java")):
        pytest.skip("epubcheck is not installed (on Debian: apt-get install epubcheck)")
    command = ["java", "-jar", str(EPUBCHECK), str(ebook(folder))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.mark.parametrize("folder", FOLDERS)
def test_epub_holds_math_figures_and_text(ebook, folder):
    with zipfile.ZipFile(ebook(folder)) as archive:
        text = archive.read("EPUB/chapters-attention.xhtml").decode("utf-8")
        package = archive.read("EPUB/book.opf").decode("utf-8")
    assert text.count("<math") > 100
    assert "katex-html" not in text
    assert text.count("<img") >= pictures(chapter("attention")[1])
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
