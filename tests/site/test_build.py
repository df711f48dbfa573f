"""What is built: links, addresses, cards; and that a book with a fault is not built at all."""

from __future__ import annotations

import html as html_entities
import itertools
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from tests.site import small_books
from tests.site.conftest import ENGLISH, EVERY, PAGES, ROOT
from tests.site.small_books import REPOSITORY, write_book
from tools.book import addresses, contents, notebooks, shown_code
from tools.pages import artwork, assets, editions, katex, pictures
from tools.site import page_context
from tools.slides import marks

CONFIG = contents.settings()
FOLDERS = [edition.folder for edition in editions.EDITIONS]
PLACEHOLDER = "/".join(["https://github.com", "OWNER"])


class Reader(HTMLParser):
    """Collects what a page refers to, what can be referred to, and what it says of itself."""

    def __init__(self, text: str):
        super().__init__()
        self.references, self.anchors, self.meta, self.links, self.html = [], set(), {}, [], {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        values = dict(attributes)
        self.references += [values[key] for key in ("href", "src") if values.get(key)]
        self.anchors.add(values.get("id"))
        if tag == "meta":
            self.meta[values.get("property") or values.get("name")] = values.get("content")
        if tag == "a":
            self.links.append(values)
        if tag == "html":
            self.html = values


@cache
def parsed(path: Path) -> Reader:
    """Return a built page, read."""
    return Reader(path.read_text(encoding="utf-8"))


def page_of(html: Path, name: str) -> Reader:
    """Return the built page of a source file."""
    return parsed(html / f"{name}.html")


def test_every_internal_link_resolves(html):
    broken = []
    for path in html.rglob("*.html"):
        for reference in parsed(path).references:
            parts = urlsplit(reference)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if not target.is_file() or (
                parts.fragment and unquote(parts.fragment) not in parsed(target).anchors
            ):
                broken.append((path.name, reference))
    assert broken == []


def test_every_page_is_built_and_none_besides(html):
    built = {path.relative_to(html).with_suffix("").as_posix() for path in html.rglob("*.html")}
    marked = [path for path in contents.notebooks() if marks.has_deck(path)]
    decks = [contents.product_name(contents.page_of(path)) for path in marked]
    made = {f"{folder}/slides/{name}" for folder in FOLDERS for name in ["index", *decks]}
    searches = {f"{folder}/search" for folder in FOLDERS}
    assert built - made == {"index", "404", *EVERY, *searches}


@pytest.mark.parametrize("name", EVERY)
def test_ids_are_unique(html, name):
    ids = re.findall(r'\bid="([^"]+)"', (html / f"{name}.html").read_text(encoding="utf-8"))
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("name", EVERY)
def test_edit_and_report_links(html, name):
    by_class = {link.get("class"): link["href"] for link in page_of(html, name).links}
    branch, source = CONFIG["repository"]["branch"], name.split("/", 1)[1]
    assert by_class["edit"].startswith(f"{REPOSITORY}/edit/{branch}/{source}.")
    assert (ROOT / by_class["edit"].split(f"/{branch}/", 1)[1]).is_file()
    report = urlsplit(by_class["report"])
    assert by_class["report"].startswith(f"{REPOSITORY}/issues/new?")
    title = parse_qs(report.query)["title"][0]
    heading = re.search(r"<h1>(.*?)<a ", (html / f"{name}.html").read_text(), re.DOTALL)[1]
    words = re.sub(r'<span class="section-number">.*?</span>|<[^>]+>', "", heading)
    assert html_entities.unescape(words) in title


@pytest.mark.parametrize(
    "name", [n for n in EVERY if (ROOT / n[3:]).with_suffix(".ipynb").exists()]
)
def test_notebooks_open_in_colab_and_download(html, name):
    links = {link["href"] for link in page_of(html, name).links}
    owner = REPOSITORY.removeprefix("https://github.com/")
    folder, page = name.split("/", 1)
    chapter = contents.product_name(page)
    place = f"{addresses.site_branch()}/{folder}/colab/{chapter}.ipynb"
    assert f"https://colab.research.google.com/github/{owner}/blob/{place}" in links
    downloads = [link for link in page_of(html, name).links if "download" in link]
    copy = (html / f"{name}.html").parent / downloads[0]["href"]
    assert copy.resolve() == html / folder / "colab" / f"{chapter}.ipynb"
    assert copy.is_file()


@pytest.mark.parametrize("path", contents.notebooks(), ids=lambda path: path.stem)
@pytest.mark.parametrize("folder", FOLDERS)
def test_code_that_is_shown_has_a_link_to_its_lines(html, folder, path):
    """The stored notebook has none: the lines are those of the package when the site is built."""
    places = [shown_code.find(s["name"]) for s in shown_code.headings(notebooks.read(path))]
    start = f"{REPOSITORY}/blob/HEAD"
    made = [f"{start}/{place.file}#L{place.first}-L{place.last}" for place in places]
    page = path.relative_to(ROOT).with_suffix("").as_posix()
    links = [link["href"] for link in page_of(html, f"{folder}/{page}").links]
    assert [link for link in links if link.startswith(start)] == made


def test_previous_and_next_follow_the_contents(html):
    for before, after in itertools.pairwise(ENGLISH):
        turns = {
            link["rel"]: (html / f"{before}.html").parent / link["href"]
            for link in page_of(html, before).links
            if link.get("rel") in {"prev", "next"}
        }
        assert turns["next"].resolve() == (html / f"{after}.html").resolve()


@pytest.mark.parametrize("name", EVERY)
def test_pages_say_what_they_are(html, name):
    page = page_of(html, name)
    edition = editions.edition(name.split("/", 1)[0])
    assert page.html["lang"] == edition.tag
    shortest = 20 if edition.folder == "zh" else 40
    assert shortest <= len(page.meta["description"]) <= 300
    for key in ("og:title", "og:type", "og:description", "og:site_name", "og:locale"):
        assert page.meta[key]
    for key in ("twitter:card", "twitter:title", "twitter:description"):
        assert page.meta[key]
    assert page.meta["og:locale"] == edition.locale
    card = f"{addresses.site()}/{edition.folder}/_static/book/card.png"
    assert [page.meta[key] for key in ("og:image", "twitter:image")] == [card, card]


@pytest.mark.parametrize("name", EVERY)
def test_pages_name_themselves_and_the_other_language(html, name):
    site_address, page = addresses.site(), name.split("/", 1)[1]
    rels = {(link.get("rel"), link.get("hreflang")): link["href"] for link in heads(html, name)}
    assert rels["canonical", None] == f"{site_address}/{name}.html"
    for edition in editions.EDITIONS:
        assert rels["alternate", edition.tag] == f"{site_address}/{edition.folder}/{page}.html"
    start = "" if page == "index" else f"en/{page}.html"
    assert rels["alternate", "x-default"] == f"{site_address}/{start}"


def heads(html: Path, name: str) -> list[dict]:
    """Return the links in a page's head."""
    text = (html / f"{name}.html").read_text(encoding="utf-8").split("</head>")[0]
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall("<link[^>]*>", text)]


def test_the_map_of_the_site_is_whole(html):
    places = re.findall("<loc>(.*?)</loc>", (html / "sitemap.xml").read_text(encoding="utf-8"))
    assert places == [f"{addresses.site()}/{f}/{p}.html" for p in PAGES for f in FOLDERS]
    assert f"Sitemap: {addresses.site()}/sitemap.xml" in (html / "robots.txt").read_text()


def test_without_a_published_address_pages_claim_none(tmp_path, capfd):
    write_book(tmp_path, "A paragraph that is long enough to be the description of this page.")
    assert small_books.build(tmp_path) == 0, capfd.readouterr().err
    text = (tmp_path / "_build/html/en/index.html").read_text(encoding="utf-8")
    assert "og:image" not in text
    assert "canonical" not in text
    assert '<link rel="alternate" hreflang="zh-CN" href="../zh/index.html">' in text
    assert not (tmp_path / "_build/html/sitemap.xml").exists()


def test_a_site_with_an_address_names_no_placeholder(html):
    if REPOSITORY.startswith(PLACEHOLDER):
        return
    built = [path for path in html.rglob("*") if path.suffix in {".html", ".js", ".ipynb"}]
    assert [path for path in built if mentions_owner(path)] == []


def mentions_owner(path: Path) -> bool:
    """Tell whether a file names the repository that nobody owns."""
    return PLACEHOLDER.encode() in path.read_bytes()


def test_pages_name_no_other_repository(html):
    elsewhere = {
        link["href"]
        for name in EVERY
        for link in page_of(html, name).links
        if link["href"].startswith("https://github.com/")
        and not link["href"].startswith(REPOSITORY)
    }
    assert not any("/edit/" in link or link.endswith(("/issues", "/new")) for link in elsewhere)


# -- a book with a fault -------------------------------------------------------------------------


FAULTS = {
    "math": (r"$\frac{1}$", "math"),
    "unknown command": (r"$\nosuchcommand x$", "nosuchcommand"),
    "reference": ("{ref}`nowhere`", "nowhere"),
    "equation": ("{eq}`nothing`", "nothing"),
    "directive": (":::{nosuchbox}\n:::", "nosuchbox"),
    "link": ("[text](missing.md)", "missing"),
}


def test_faults_stop_the_build_and_are_named(tmp_path, capfd):
    write_book(tmp_path, "\n\n".join(text for text, _ in FAULTS.values()))
    assert small_books.build(tmp_path) == 1
    said = capfd.readouterr().err
    assert [fault for fault, (_, name) in FAULTS.items() if name not in said] == []
    assert not (tmp_path / "_build" / "html").exists()


@pytest.mark.parametrize("fault", ["math", "reference"])
def test_one_fault_is_enough(tmp_path, fault):
    write_book(tmp_path, FAULTS[fault][0])
    assert small_books.build(tmp_path) == 1


def test_a_failed_build_leaves_the_last_site(tmp_path, capfd):
    write_book(tmp_path, r"Good, with $\frac{1}{2}$ in it.")
    assert small_books.build(tmp_path) == 0, capfd.readouterr().err
    good = (tmp_path / "_build/html/en/index.html").read_text()
    assert "katex" in good
    write_book(tmp_path, "{ref}`nowhere`")
    assert small_books.build(tmp_path) == 1
    assert (tmp_path / "_build/html/en/index.html").read_text() == good


# -- the parts -----------------------------------------------------------------------------------


def web_folder(root: Path) -> Path:
    """Return a folder with a manifest and a lock file in ``web``."""
    (root / "web").mkdir()
    for name in assets.MANIFESTS:
        (root / "web" / name).write_text("{}")
    return root


def test_an_interrupted_installation_leaves_nothing(tmp_path):
    def interrupted(folder: Path) -> None:
        (folder / "node_modules").mkdir()
        raise KeyboardInterrupt

    root = web_folder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        assets.ensure(root, interrupted)
    assert list((root / ".cache" / "web").iterdir()) == []


def test_assets_are_installed_once_for_each_lock_file(tmp_path):
    calls = []

    def install(folder: Path) -> None:
        calls.append(folder)
        (folder / "node_modules").mkdir()

    root = web_folder(tmp_path)
    first = assets.ensure(root, install)
    assert assets.ensure(root, install) == first
    assert len(calls) == 1
    (root / "web" / "package-lock.json").write_text("[]")
    assert assets.ensure(root, install) != first
    assert len(calls) == 2


def test_the_lock_file_names_no_registry():
    lock = (ROOT / "web" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert "integrity" in lock


def test_attention_between_the_letters_of_the_title():
    weights = artwork.title_attention()
    letters = artwork.TITLE
    rows = [row for row, letter in zip(weights, letters, strict=True) if letter != " "]
    assert all(row.sum() == pytest.approx(1) for row in rows)
    first_a = letters.index("a")
    assert letters[weights[first_a].argmax()] == "a"


def test_displayed_math_keeps_its_lines():
    assert katex.display_tex("a = b") == "a = b"
    assert katex.display_tex("a &= b \\\\\nc &= d").startswith(r"\begin{split}")
    assert katex.display_tex("a\n\nb") == r"\begin{gathered}a \\ b\end{gathered}"


def test_picture_sizes():
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 20"></svg>'
    assert pictures.size_on_page(svg, "a.svg") == (30, 20)
    with pytest.raises(ValueError, match="viewBox"):
        pictures.size_on_page(b"<svg></svg>", "a.svg")
    styled = '<img alt="x" src="a.png" style="width: 30px; height: 20px;">'
    tag = pictures.with_size(styled, lambda _: None)
    assert 'width="30"' in tag
    assert 'height="20"' in tag
    assert "style" not in tag


def test_report_addresses_are_escaped():
    address = page_context.issue_address(REPOSITORY, "Q & A", "chapters/a b.md")
    query = parse_qs(urlsplit(address).query)
    assert "Q & A" in query["title"][0]
    assert "chapters/a b.md" in query["body"][0]


def test_jupyter_books_own_command_builds_the_pages(tmp_path):
    """``jupyter-book build .``, warnings as errors, has the book's own extensions and theme."""
    write_book(tmp_path, "A box:\n\n:::{margin} Aside\nA formula: $x^2$.\n:::\n")
    settings = yaml.safe_load((tmp_path / "_config.yml").read_text())
    listed = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["local_extensions"]
    settings["sphinx"]["local_extensions"] = dict.fromkeys(listed, str(ROOT))
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(settings))
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", ".", "-W", "--keep-going"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "_build" / "html" / "index.html").read_text(encoding="utf-8")
    assert '<span class="katex">' in page
    assert 'class="margin' in page
    assert "sphinx-book-theme" not in page
