"""The message catalogs: what is listed as translated is, and holds to the rules."""

from __future__ import annotations

import polib
import pytest
from filelock import FileLock

from tests.site.conftest import ROOT
from tests.site.small_books import write_book
from tools.chinese import translations
from tools.pages import editions
from tools.words import catalogs
from tools.words import translation_checks as checks

LANGUAGES = [edition.language for edition in editions.EDITIONS[1:]]


def entry(original: str, translation: str, comment: str = "") -> polib.POEntry:
    """Return a translated message."""
    return polib.POEntry(msgid=original, msgstr=translation, tcomment=comment)


EVERYTHING = pytest.param(True, id="everything", marks=pytest.mark.release)


@pytest.mark.parametrize("release", [pytest.param(False, id="what is listed"), EVERYTHING])
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_must_be_translated_is(language, release):
    (ROOT / "_build").mkdir(exist_ok=True)
    with FileLock(ROOT / "_build" / ".site.lock"):
        states = translations.survey(ROOT, language, write=False, release=release)
    faults = {
        state.name: [state.missing, state.fuzzy, state.problems, state.current]
        for state in states
        if state.fails
    }
    assert faults == {}
    assert sum(state.translated for state in states) > 300


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_listed_page_has_a_catalog(language):
    folder = catalogs.folder(ROOT, language)
    listed = catalogs.translated(ROOT, language)
    assert "index" in listed
    assert [page for page in listed if not (folder / f"{page}.po").exists()] == []


FAULTS = {
    "references": ("see {eq}`eq-a`", "见 {eq}`eq-b`"),
    "references gone": ("by {cite:t}`x2020`", "由他们"),
    "math": ("the width $d_k$", "宽度 $d_v$"),
    "code": ("call `show`", "调用 `Show`"),
    "links": ("[here](a.md)", "[这里](b.md)"),
    "numbers": ("layer 4, head 12", "第 4 层第 13 个头"),
    "marks": ("a *word*", "一个* 词*"),
    "punctuation": ("one, two", "一个,两个"),
    "punctuation in brackets": ("attention (soft)", "注意力(软)"),
    "spacing": ("the softmax function", "函数softmax是"),
    "spacing of formulas": ("the width $d$", "宽度$d$"),
    "spacing between characters": ("a word", "一个 词"),
    "same": ("nothing at all", "nothing at all"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(fault):
    found = checks.problems(entry(*FAULTS[fault]))
    assert any(problem.startswith(fault.split()[0]) for problem in found)


SOUND = [
    (
        "*Attention* at $T = 4$: see {ref}`there <a-b>`.",
        "$T = 4$ 时的**注意力**：见 {ref}`那里 <a-b>`。",
    ),
    ("Two of three, 0.5 each", "三个里的 2 个，各 0.5"),
    ("`[CLS]`, 12 heads (see {eq}`eq-a`)", "`[CLS]`，12 个头（见 {eq}`eq-a`）"),
    ("**Checked.** And said.", "**核对过。** 也说明了。"),
]


@pytest.mark.parametrize(("original", "translation"), SOUND)
def test_sound_translations_pass(original, translation):
    assert checks.problems(entry(original, translation)) == []


def test_exceptions_are_said_aloud():
    numbers = ("16 guesses", "十六次猜测")
    assert checks.problems(entry(*numbers))
    assert checks.problems(entry(*numbers, "allow: numbers")) == []


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        ("\n\\text{bytes} = 2\n", False),
        ("$x$, 12 → **3**", False),
        ("`softmax`", False),
        ("Attention", True),
        ("$x$ is small", True),
    ],
)
def test_only_words_are_translated(message, needed):
    assert checks.needs_translation(message) is needed


def test_terms_are_looked_for_at_their_longest():
    terms = {"attention": "注意力", "attention weight": "注意力权重"}
    assert checks.missing_terms(entry("an attention weight", "一个权重"), terms) == [
        "attention weight (注意力权重)"
    ]
    assert checks.missing_terms(entry("an attention weight", "一个注意力权重"), terms) == []


# -- updating ------------------------------------------------------------------------------------


def old_catalog() -> polib.POFile:
    """Return a catalog of three messages."""
    catalog = polib.POFile()
    catalog.append(entry("A query meets every key.", "每个查询遇到每个键。", "allow: same"))
    catalog.append(entry("One head fetches one blend.", "一个头取一份混合。"))
    catalog.append(entry("Nobody says this any more.", "没人再这么说了。"))
    return catalog


def test_an_update_keeps_takes_over_and_drops():
    wanted = ["One head fetches only one blend.", "A query meets every key.", "New."]
    new = translations.updated(old_catalog(), wanted, "zh_CN")
    assert [e.msgid for e in new] == wanted
    changed, kept, fresh = new
    assert changed.fuzzy
    assert changed.previous_msgid == "One head fetches one blend."
    assert changed.msgstr == "一个头取一份混合。"
    assert (kept.msgstr, kept.tcomment, kept.fuzzy) == (
        "每个查询遇到每个键。",
        "allow: same",
        False,
    )
    assert (fresh.msgstr, fresh.fuzzy) == ("", False)


def test_an_update_of_what_is_current_changes_nothing(tmp_path):
    wanted = [e.msgid for e in old_catalog()]
    first = translations.text_of(translations.updated(old_catalog(), wanted, "zh_CN"))
    (tmp_path / "a.po").write_text(first, encoding="utf-8")
    again = translations.updated(translations.read(tmp_path / "a.po"), wanted, "zh_CN")
    assert translations.text_of(again) == first
    assert "POT-Creation-Date" not in first
    assert "#:" not in first


@pytest.mark.parametrize(
    ("fault", "listed", "whole", "fails"),
    [
        ("", True, True, False),
        ("missing", True, True, True),
        ("missing", True, False, False),
        ("fuzzy", True, False, True),
        ("wrong", True, False, True),
        ("stale", True, True, True),
        ("stale", True, False, False),
        ("fuzzy", False, False, False),
        ("", False, True, True),
    ],
)
def test_what_is_refused(fault, listed, whole, fails):
    """What is missing only where all must be there, what is wrong wherever it can be read."""
    catalog = old_catalog()
    catalog[0].tcomment = ""
    if fault == "missing":
        catalog[1].msgstr = ""
    if fault == "fuzzy":
        catalog[1].flags.append("fuzzy")
    if fault == "wrong":
        catalog[1].msgstr = "2 个头取一份混合。"
    state = translations.State("a", listed, whole, current=fault != "stale")
    assert translations.judge(state, catalog, terms={}).fails is fails


CONTENTS = """\
format: jb-book
root: index
parts:
  - chapters:
      - file: chapters/old
      - file: chapters/new
      - file: chapters/appendix/notes
"""


def test_a_new_chapter_need_not_be_translated_before_a_release(tmp_path):
    """Nor what the appendices and the landing page say of it."""
    write_book(tmp_path, "All that is new.")
    (tmp_path / "_toc.yml").write_text(CONTENTS)
    (tmp_path / "chapters" / "appendix").mkdir(parents=True)
    for name in ("old", "new", "appendix/notes"):
        (tmp_path / "chapters" / f"{name}.md").write_text(f"# The {name} page\n")
    locale = tmp_path / "locale" / "zh_CN"
    locale.mkdir(parents=True)
    (locale / "pages.txt").write_text("index\nchapters/old\nchapters/appendix/notes\n")
    pages = ["index", "chapters/old", "chapters/new", "chapters/appendix/notes"]
    fail = {
        release: {s.name for s in translations.survey(tmp_path, "zh_CN", False, release) if s.fails}
        for release in (False, True)
    }
    assert [page for page in pages if page in fail[False]] == ["chapters/old"]
    assert set(pages) <= fail[True]
