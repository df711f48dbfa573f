"""What Lighthouse said about the pages when they were last measured."""

from __future__ import annotations

import json

import pytest

from tools.site import lighthouse


def recorded() -> dict[str, dict]:
    """Return what Lighthouse measured, by page."""
    return json.loads(lighthouse.RESULT.read_text(encoding="utf-8"))["pages"]


@pytest.mark.parametrize("name", recorded())
def test_the_recorded_scores_are_high_enough(name):
    scores = {category: recorded()[name][category] for category in lighthouse.CATEGORIES}
    assert min(scores.values()) >= lighthouse.LIMIT, scores


@pytest.mark.release
def test_every_page_was_measured():
    assert list(recorded()) == lighthouse.pages()
