"""The package's own README: its examples run, and what it says of the package is so."""

import doctest
import re

import pytest

import companion
from tests.test_repository import settings
from tools.book import contents
from tools.book import wheel as wheels

README = (contents.ROOT / "companion" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TABLE_NAMES = re.findall(r"^\| (`.*?`) \|", README, re.MULTILINE)


@pytest.mark.parametrize("example", range(len(EXAMPLES)))
def test_the_examples_run(example):
    """Each by itself, as one would paste it."""
    test = doctest.DocTestParser().get_doctest(EXAMPLES[example], {}, "README", None, None)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    told = []
    runner.run(test, out=told.append)
    assert (runner.failures, len(test.examples) > 4) == (0, True), "".join(told)


def test_there_are_three_examples():
    assert len(EXAMPLES) == 3


def test_it_names_every_module():
    named = {name for cell in TABLE_NAMES for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(companion.__all__)


def test_it_names_every_extra_and_the_wheel():
    extras = set(re.findall(r"companion\[(\w+)\]", README))
    assert extras == set(settings()["project"]["optional-dependencies"])
    assert set(re.findall(r"[\w.-]+\.whl", README)) == {wheels.name()}
    assert settings()["project"]["requires-python"] == ">=3.10"
    assert "Python 3.10 or newer" in README
