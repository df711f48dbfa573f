"""References in exercises become links that a notebook can show."""

import pytest

from assign import references
from tools.assignments.repository import Repository


@pytest.fixture(scope="module")
def links():
    repository = Repository()
    return references.Links(repository, repository.chapters["attention"], "zh")


def test_an_equation_is_numbered_as_on_the_page(links):
    """The page says (2.3) for the third equation with a label of the second chapter."""
    chapter = list(Repository().chapters).index("attention") + 1
    text = links.plain("Equation {eq}`eq-multihead` with $T = 1$.")
    address = f"{links.site}/chapters/attention.html#equation-eq-multihead"
    assert text == f"Equation [({chapter}.3)]({address}) with $T = 1$."
    assert links.site.endswith("/zh")


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ("{cite:t}`press2022train`", "[Press et al. (2022)](https://arxiv.org/abs/2108.12409)"),
        ("{cite:p}`press2022train`", "([Press et al., 2022](https://arxiv.org/abs/2108.12409))"),
    ],
)
def test_a_work_is_cited_by_its_authors(links, role, shown):
    assert links.plain(role) == shown


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("{eq}`eq-nothing`", "eq must name an equation of attention, got 'eq-nothing'"),
        ("{cite:t}`nobody1900`", "cite must name a work in references.bib"),
        ("{numref}`fig-x`", "role must be eq, cite:t or cite:p"),
    ],
)
def test_what_leads_nowhere_is_told(links, role, message):
    with pytest.raises(ValueError, match=message):
        links.plain(role)
