"""The registry: complete, pinned, and equal to the list of sources where that is at hand."""

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from companion import data
from companion.data import registry
from tests.plugins.shapes import unchecked
from tests.verification import same

SETS = {name: data.source(name) for name in data.names()}
DOWNLOADED = {name: each for name, each in SETS.items() if name != "digits"}


def test_every_set_of_the_design_is_there():
    same(
        "names",
        "the list of the book's data",
        data.names(),
        sorted(
            [
                "chnsenticorp",
                "digits",
                "filmtrust",
                "fsdd",
                "gpt2_bpe",
                "instruction_en",
                "instruction_en_alpaca",
                "instruction_zh",
                "mnist",
                "multi30k",
                "preference_en",
                "preference_zh",
                "sms_spam",
                "squad",
                "sst2",
                "tang_poems",
                "tatoeba_en_zh",
                "tinyshakespeare",
                "weibo_ner",
                "wnut17",
                "xquad",
            ]
        ),
    )


@pytest.mark.verifies("File", "checksums, sizes and pinned addresses have their form")
@pytest.mark.parametrize("name", DOWNLOADED)
def test_files_are_pinned(name):
    wanted = DOWNLOADED[name]
    assert re.fullmatch("[0-9a-f]{40}", wanted.commit)
    assert len({file.name for file in wanted.files}) == len(wanted.files) > 0
    for file in wanted.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.bytes > 0
        assert file.rows > 0
        assert wanted.commit in file.addresses[0]
        assert len(file.addresses) >= 2
        for address in file.addresses:
            assert re.fullmatch(r"https://[\w./%@-]+", address)


@pytest.mark.verifies("Source", "each set says what it is, what is allowed, and whom to cite")
@pytest.mark.parametrize("name", SETS)
def test_sets_say_what_they_are(name):
    wanted = SETS[name]
    for part in ("title", "about", "row", "licence", "citation"):
        assert getattr(wanted, part).strip(), part
    assert sum(wanted.rows.values()) > 0
    assert wanted.bytes == sum(file.bytes for file in wanted.files)


def test_all_files_together():
    """As the list of sources says: 43 files and 600 recordings."""
    files = [file for each in SETS.values() for file in each.files]
    same("source", "the list of the book's data", len(files), 43 + 600)
    same("source", "the list of the book's data", sum(f.bytes for f in files), 41_853_123)


def test_an_unknown_name():
    with pytest.raises(
        ValueError, match=r"name must be one of chnsenticorp, .*did you mean 'sst2'"
    ):
        data.source("sst")
    with pytest.raises(ValueError, match=r"got 'qqq'$"):
        data.source("qqq")


def listed():
    """Return what the list of sources says, if the folder of the environment has it."""
    folder = Path(os.environ.get("COMPANION_DATA", ""))
    lists = [folder / "SOURCES.json", folder / "fsdd" / "SOURCES.json"]
    texts = [path.read_text(encoding="utf-8") for path in lists if path.is_file()]
    return [entry for text in texts for entry in json.loads(text)]


def test_the_registry_is_the_list_of_sources():
    """Where that list is at hand."""
    keys = ("file", "repo", "commit", "url", "bytes", "sha256", "licence", "rows")
    said = [tuple(entry[key] for key in keys) for entry in listed()]
    ours = [
        (
            f"{each.name}/{file.name}",
            each.repository,
            each.commit,
            file.addresses[0],
            file.bytes,
            file.sha256,
            each.licence,
            file.rows,
        )
        for each in DOWNLOADED.values()
        for file in each.files
    ]
    assert sorted(said) in ([], sorted(ours))


def test_addresses_name_the_file_they_are_for():
    for wanted in DOWNLOADED.values():
        for file in wanted.files:
            ends = {Path(unquote(urlsplit(address).path)).name for address in file.addresses}
            assert ends == {Path(file.name).name} or wanted.name == "tang_poems"


def test_the_manifest_is_packed_with_the_package():
    for name in ("sources.json", "fsdd.txt"):
        assert registry._text(name)


@pytest.mark.parametrize("name", ["SST2", "Sst-2", ["sst2"], ("sst2",)], ids=str)
def test_a_name_in_capitals_or_in_a_list(name):
    with unchecked(), pytest.raises(ValueError, match="did you mean 'sst2'"):
        data.source(name)
