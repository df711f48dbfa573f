"""The exercises' catalogs: one translation of a template serves the page and every variant."""

import nbformat
import polib
import pytest

from assign import texts
from exercises.attention import MASTERS
from tools.book import contents
from tools.chapters import exercises
from tools.words import catalogs, exercise_messages

EXERCISES = [master.page for master in MASTERS]

PAGE = "chapters/attention"
CHAPTER = "exercises/attention"


@pytest.fixture(scope="module")
def extracted():
    return exercise_messages.extract()


def test_messages_do_not_depend_on_the_seed(extracted):
    assert len(extracted[CHAPTER]) == len(set(extracted[CHAPTER])) < 250
    assert "By tossing a coin one gets {{needed}} or more of {{n}} right" in "".join(
        extracted[CHAPTER]
    )


def test_what_checks_say_is_there(extracted):
    said = extracted[CHAPTER]
    assert "{name} should sum to 1, but sum to {sum(given):.3f}" in said
    assert "Check all four results." in said
    assert "This notebook needs version {VERSION}" in "".join(extracted[exercise_messages.COMMON])


def test_everything_is_translated(extracted):
    folder = catalogs.folder(contents.ROOT, "zh_CN")
    pages = catalogs.translated(contents.ROOT, "zh_CN")
    demanded = exercise_messages.demanded(extracted, pages)
    assert {exercise_messages.COMMON, CHAPTER} <= demanded
    for name, messages in extracted.items():
        if name not in demanded:
            continue
        catalog = polib.pofile(str(folder / f"{name}.po"))
        assert messages == [entry.msgid for entry in catalog if not entry.obsolete]
        assert [entry.msgid for entry in catalog if not entry.translated()] == []


@pytest.fixture
def written(tmp_path):
    """A root with a catalog in which everything is said in capitals."""
    (tmp_path / "chapters").mkdir()
    page = contents.ROOT / f"{PAGE}.ipynb"
    (tmp_path / f"{PAGE}.ipynb").write_bytes(page.read_bytes())
    (tmp_path / "exercises" / "attention").mkdir(parents=True)
    (tmp_path / "exercises" / "attention" / "__init__.py").touch()
    (tmp_path / "_toc.yml").write_text(
        f"root: index\nparts: [{{numbered: true, chapters: [{{file: {PAGE}}}]}}]\n"
    )
    return tmp_path


def store(root, messages):
    catalog = polib.POFile()
    catalog.metadata = {"Content-Type": "text/plain; charset=UTF-8"}
    for message, said in messages.items():
        catalog.append(polib.POEntry(msgid=message, msgstr=said))
    path = root / "locale" / "xx" / "LC_MESSAGES" / f"{CHAPTER}.po"
    path.parent.mkdir(parents=True)
    catalog.save(str(path))


def test_a_page_gets_the_templates_translation_with_its_values(written):
    store(written, {"({{kv}}) keys and values, both alike;": "Schlüssel und Werte ({{kv}})"})
    derived = {e.msgid: e.msgstr for e in exercise_messages.derive(written, "xx", PAGE)}
    assert derived["(a) keys and values, both alike;"] == "Schlüssel und Werte (a)"


def test_every_message_of_the_pages_exercises_is_derived(written):
    store(written, {})
    derived = {e.msgid for e in exercise_messages.derive(written, "xx", PAGE)}
    notebook = nbformat.read(contents.ROOT / f"{PAGE}.ipynb", as_version=4)
    cells = [c.source for c in notebook.cells if exercises.TAG in c.metadata.get("tags", [])]
    for cell, exercise in zip(cells, EXERCISES, strict=True):
        shown = exercise.text("question") + "\n" + exercise.text("hint")
        assert set(texts.messages(shown)) <= derived
        assert exercise.text("title") in derived
        assert f"*{exercise.kind.capitalize()}, about {exercise.minutes} minutes.*" in derived
        assert all(message in cell for message in texts.messages(shown))


def test_a_page_without_exercises_gets_nothing(written):
    assert exercise_messages.derive(written, "xx", "index") == []


@pytest.mark.release
def test_later_seeds_say_nothing_that_is_not_in_the_catalogs(monkeypatch, extracted):
    monkeypatch.setattr(exercise_messages, "SEEDS", 3 * exercise_messages.SEEDS)
    for name, messages in exercise_messages.extract().items():
        assert set(messages) == set(extracted[name]), name
