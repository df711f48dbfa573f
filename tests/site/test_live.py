"""Building what has changed and nothing else, and showing it to whoever is writing."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.site import small_books
from tests.site.small_books import write_book
from tools.pages import editions
from tools.site import fingerprint, serving, side_by_side, whole_site

ENGLISH = "One sentence, with $\\frac{1}{2}$ in it."
CHINESE = "一句话，里面有 $\\frac{1}{2}$。"
CATALOG = """msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\n"

msgid "{}"
msgstr "{}"
"""


def translate(root: Path, english: str, chinese: str) -> None:
    """Write the catalog of the book's only page."""
    folder = root / "locale" / "zh_CN" / "LC_MESSAGES"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "locale" / "zh_CN" / "pages.txt").write_text("index\n")
    texts = (text.replace("\\", "\\\\") for text in (english, chinese))
    (folder / "index.po").write_text(CATALOG.format(*texts), encoding="utf-8")


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    """Return a book of one page that has been built; tests that change it leave it built again."""
    root = tmp_path_factory.mktemp("book")
    write_book(root, ENGLISH)
    translate(root, ENGLISH, CHINESE)
    assert small_books.build(root) == 0
    return root


def page(folder: Path, edition: str) -> str:
    """Return the page of an edition."""
    return (folder / edition / "index.html").read_text(encoding="utf-8")


# -- side by side --------------------------------------------------------------------------------

MEET = """
import pathlib, sys, time
me, other = map(pathlib.Path, sys.argv[1:])
me.touch()
for _ in range(600):
    if other.exists():
        print("met", file=sys.stderr)
        sys.exit(me.name == "b")
    time.sleep(0.05)
sys.exit(7)
"""


def test_programs_run_at_the_same_time_and_say_who_they_are(tmp_path, capfd):
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    commands = {"en": [sys.executable, "-c", MEET, a, b], "zh": [sys.executable, "-c", MEET, b, a]}
    assert side_by_side.run(commands, tmp_path) == ["zh"]
    assert sorted(capfd.readouterr().err.splitlines()) == ["en: met", "zh: met"]


def test_what_interrupts_one_ends_all(tmp_path, monkeypatch):
    started = []

    def start(command, folder):
        if started:
            raise KeyboardInterrupt
        started.append(subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True))
        return started[0]

    monkeypatch.setattr(side_by_side, "start", start)
    wait = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(KeyboardInterrupt):
        side_by_side.run({"en": wait, "zh": wait}, tmp_path)
    assert started[0].wait(timeout=30) != 0


def test_a_fault_in_one_edition_is_enough_and_the_last_site_stays(book, capfd):
    good = [page(book / "_build" / "html", edition.folder) for edition in editions.EDITIONS]
    translate(book, ENGLISH, "{ref}`nowhere`")
    try:
        assert whole_site.build(book) == 1
    finally:
        translate(book, ENGLISH, CHINESE)
    said = [line for line in capfd.readouterr().err.splitlines() if "nowhere" in line]
    assert said
    assert all(line.startswith("zh: ") for line in said)
    assert good == [page(book / "_build" / "html", edition.folder) for edition in editions.EDITIONS]


# -- nothing is built twice ----------------------------------------------------------------------


def test_what_is_current_is_not_built_again(book, monkeypatch):
    monkeypatch.setattr(whole_site, "build_alone", lambda _root: pytest.fail("built again"))
    assert whole_site.is_current(book)
    assert whole_site.build(book) == 0


@pytest.mark.parametrize("name", ["index.md", "locale/zh_CN/LC_MESSAGES/index.po", "_config.yml"])
def test_a_source_that_changes_makes_the_site_stale(book, name):
    before = (book / name).read_bytes()
    (book / name).write_bytes(before + b"\n# more\n")
    try:
        assert fingerprint.changed(book, book / "_build" / "html") == {name}
    finally:
        (book / name).write_bytes(before)
    assert whole_site.is_current(book)


def test_tools_and_packages_count(book, monkeypatch):
    names = fingerprint.state(book)
    assert any(name.endswith("tools/site/whole_site.py") for name in names)
    assert any(name.endswith("web/css/base.css") for name in names)
    monkeypatch.setattr(fingerprint, "packages", lambda: "others")
    assert fingerprint.changed(book, book / "_build" / "html") == {fingerprint.PACKAGES}


def test_a_site_that_somebody_has_touched_is_not_trusted(book):
    extra = book / "_build" / "html" / "extra.html"
    extra.write_text("")
    assert fingerprint.changed(book, extra.parent) is None
    extra.unlink()
    assert whole_site.is_current(book)


# -- following changes ---------------------------------------------------------------------------


@pytest.fixture
def followed(book) -> serving.Live:
    """Return the book as it is served."""
    followed = serving.Live(book, serving.News())
    followed.start()
    return followed


def test_a_change_is_shown_and_is_what_a_whole_build_makes(followed, capfd):
    root, new = followed.root, ENGLISH + " And another one."
    before = page(followed.served, "en")
    write_book(root, new)
    translate(root, new, CHINESE + "又一句。")
    followed.follow({"index.md"})
    assert "And another one." in page(followed.served, "en")
    assert "又一句" in page(followed.served, "zh")
    told = [address for _, addresses in followed.news.changes for address in addresses]
    assert told[0] == serving.EVERYTHING
    assert {"/en/index.html", "/zh/index.html"} <= set(told)
    assert page(root / "_build" / "html", "en") == before

    assert small_books.build(root) == 0, capfd.readouterr().err
    for edition in editions.EDITIONS:
        built = page(root / "_build" / "html", edition.folder)
        assert page(followed.served, edition.folder) == built


def test_a_fault_is_named_until_it_is_mended_and_the_good_page_stays(followed, capfd):
    index = followed.root / "index.md"
    source, good = index.read_text(), page(followed.served, "en")
    index.write_text(source + "\n{ref}`nowhere`\n")
    for _ in range(2):  # the second time, nothing has changed
        followed.follow({"index.md"})
        assert "nowhere" in capfd.readouterr().err
        assert page(followed.served, "en") == good
    index.write_text(source)
    followed.follow({"index.md"})
    assert capfd.readouterr().err == ""
    assert page(followed.served, "en") == good


def test_changes_are_noticed_once_they_are_at_rest(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "a.md").write_text("a")
    (tmp_path / "_build").mkdir()
    changes = serving.changes(tmp_path, serving.look(tmp_path), pause=0.05)
    (tmp_path / "chapters" / "a.md").write_text("new")
    (tmp_path / "index.md").write_text("b")
    (tmp_path / "_build" / "made.html").write_text("")
    assert next(changes) == {"chapters/a.md", "index.md"}
    (tmp_path / "index.md").unlink()
    assert next(changes) == {"index.md"}


def test_what_sphinx_does_not_follow_builds_the_whole_site():
    assert serving.can_follow({"chapters/losses.ipynb", "web/css/base.css", "tests/test_losses.py"})
    for name in (
        "_toc.yml",
        "tools/site/whole_site.py",
        "exercises/losses/__init__.py",
        fingerprint.PACKAGES,
    ):
        assert not serving.can_follow({"chapters/losses.ipynb", name})


# -- telling browsers ----------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path):
    """Return a server of a folder with one page, and what it is told."""
    (tmp_path / "index.html").write_text("<body><p>text</p></body>")
    news = serving.News()
    with serving.make_server(tmp_path, news) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, news
        server.shutdown()


@contextlib.contextmanager
def ask(server, address: str, **headers):
    """Give the answer to a request."""
    with contextlib.closing(http.client.HTTPConnection(*server.server_address)) as connection:
        connection.timeout = 30
        connection.request("GET", address, headers=headers)
        with connection.getresponse() as answer:
            yield answer


def test_pages_are_told_what_has_changed(served):
    server, news = served
    with ask(server, "/.live?since=0") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        news.tell(["/en/index.html"])
        lines = [answer.readline().decode().strip() for _ in range(2)]
    assert lines == [f"id: {news.changes[0][0]}", 'data: ["/en/index.html"]']


def test_a_browser_that_comes_back_hears_what_it_has_missed_and_no_more(served):
    server, news = served
    news.tell(["/a.html"])
    news.tell(["/b.html"])
    (first, _), (second, _) = news.changes
    with ask(server, "/.live?since=0", **{"Last-Event-ID": str(first)}) as answer:
        assert answer.readline().decode().strip() == f"id: {second}"


def test_only_served_pages_listen(served, tmp_path):
    server, _ = served
    with ask(server, "/index.html", **{"Accept-Encoding": "gzip"}) as answer:
        text = gzip.decompress(answer.read())
    assert b"EventSource" in text
    assert text.endswith(b"</body>")
    assert "EventSource" not in (tmp_path / "index.html").read_text()
