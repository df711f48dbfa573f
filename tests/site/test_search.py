"""The search finds a term by its abbreviation and by its other names, where it is explained."""

from __future__ import annotations

import csv
from collections import Counter

import pytest
from bs4 import BeautifulSoup

from tests.site.conftest import ROOT
from tools.book import term_table

pytestmark = pytest.mark.browser

# What a reader might type, and the term of the glossary that is meant.
ENGLISH = {
    "RoPE": "rotary position embedding",
    "rotary embeddings": "rotary position embedding",
    "GQA": "grouped-query attention",
    "MQA": "multi-query attention",
    "multi query attention": "multi-query attention",
    "XOR": "XOR",
    "KL": "KL divergence",
    "relative entropy": "KL divergence",
    "MLM": "masked language modelling",
    "masked language modeling": "masked language modelling",
    "BPE": "byte-pair encoding",
    "word embedding": "embedding",
    "skip connections": "residual connection",
    "exploding gradients": "exploding gradient",
    "forward propagation": "forward pass",
    "MLP": "multilayer perceptron",
    "cost function": "loss function",
    "layer normalisation": "layer normalization",
    "MSE": "mean squared error",
    "autodiff": "automatic differentiation",
    "learning-rate warmup": "warm-up",
    "SGD": "stochastic gradient descent",
    "梯度爆炸": "exploding gradient",
    "what is RoPE": "rotary position embedding",
    "GQA vs MQA": "grouped-query attention",
    "difference between LN and BN": "layer normalization",
    "RoPE编码": "rotary position embedding",
}
CHINESE = {
    "RoPE": "rotary position embedding",
    "旋转位置嵌入": "rotary position embedding",
    "GQA": "grouped-query attention",
    "多查询注意力": "multi-query attention",
    "异或": "XOR",
    "XOR 问题": "XOR",
    "KL散度": "KL divergence",
    "相对熵": "KL divergence",
    "掩码语言模型": "masked language modelling",
    "BPE": "byte-pair encoding",
    "词嵌入": "embedding",
    "词向量": "embedding",
    "梯度爆炸": "exploding gradient",
    "梯度弥散": "vanishing gradient",
    "前向传播": "forward pass",
    "多层感知机": "multilayer perceptron",
    "代价函数": "loss function",
    "损失函数": "loss function",
    "自信息": "self-information",
    "残差": "residual connection",
    "学习率预热": "warm-up",
    "KV 缓存": "KV cache",
    "softmax函数": "softmax",
    "什么是 RoPE": "rotary position embedding",
    "RoPE编码": "rotary position embedding",
}
QUERIES = {"en": ENGLISH, "zh": CHINESE}
FIRST = """queries => queries.map((query) => {
  const found = Search._performSearch(...Search._parseQuery(query));
  return found.reverse().slice(0, 3).map(([page, , anchor]) => page + anchor);
})"""

# What is found by the names that every object has in JavaScript, and is no page of the book.
OBJECT_NAMES = """() => {
  const names = Object.getOwnPropertyNames(Object.prototype);
  const found = names.flatMap((name) => Search._performSearch(...Search._parseQuery(name)));
  const unknown = found.filter(([page]) => !Search._index.docnames.includes(page));
  return [names, unknown, found.map(([, , , , score]) => score).filter(Number.isNaN)];
}"""


def taught() -> dict[str, str]:
    """Return the first place where each term is taught."""
    with (ROOT / term_table.TERMS).open(encoding="utf-8", newline="") as lines:
        return {row["term"]: row["target"].partition(" ")[0] for row in csv.DictReader(lines)}


def test_no_name_belongs_to_two_terms():
    terms = term_table.read_terms(ROOT / term_table.TERMS)
    owners = [(name.lower(), term.term) for term in terms for name in term.names()]
    names = Counter(name for name, _ in set(owners))
    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name, _ in owners if name != name.strip() or set(name) & set(";；，、")] == []


def test_most_terms_have_other_names():
    terms = term_table.read_terms(ROOT / term_table.TERMS)
    assert sum(bool(term.other_names()) for term in terms) > 0.8 * len(terms)


@pytest.fixture(scope="module")
def hits(new_visit):
    """Return the first three places that each query finds, by edition; asked in one visit each."""
    found = {}
    for folder, queries in QUERIES.items():
        page = new_visit(f"{folder}/search.html?q=softmax").page
        page.locator("#search-results li a").first.wait_for(timeout=10_000)
        found[folder] = dict(zip(queries, page.evaluate(FIRST, list(queries)), strict=True))
    return found


@pytest.mark.parametrize(
    ("folder", "query"), [(folder, query) for folder in QUERIES for query in QUERIES[folder]]
)
def test_the_first_hit_is_where_the_term_is_taught(hits, folder, query):
    assert hits[folder][query][0] == taught()[QUERIES[folder][query]]


def test_hits_are_places_that_there_are(hits, html):
    pages = {}
    for folder, found in hits.items():
        for page, _, anchor in {hit[0].partition("#") for hit in found.values()}:
            path = html / folder / f"{page}.html"
            known = pages.setdefault(path, BeautifulSoup(path.read_text("utf-8"), "html.parser"))
            # A term may be taught from the top of its page.
            assert not anchor or known.find(id=anchor), f"{path}#{anchor}"


def test_a_hit_names_the_section_and_shows_its_text(new_visit):
    visit = new_visit("en/index.html")
    visit.page.get_by_role("searchbox").fill("GQA")
    visit.page.keyboard.press("Enter")
    first = visit.page.locator("#search-results li").first
    first.locator(".context").wait_for(timeout=10_000)
    assert first.locator("a").text_content().endswith("Attention > What it costs")
    assert "grouped-query attention (GQA)" in first.locator(".context").text_content()
    assert visit.messages == []
    first.locator("a").click()
    visit.page.wait_for_url("**/attention.html*#what-it-costs")


@pytest.mark.parametrize("folder", QUERIES)
def test_plurals_of_abbreviations_and_what_is_no_name(new_visit, folder):
    """LLMs and LMs are no two spellings of one name; a question without letters has none."""
    page = new_visit(f"{folder}/search.html?q=softmax").page
    page.locator("#search-results li a").first.wait_for(timeout=10_000)
    many, few, *nothing = page.evaluate(FIRST, ["LLMs", "LMs", "", " ", "%", "…"])
    assert many[0].endswith("#term-large-language-model")
    assert few[0].endswith("#term-language-model")
    assert nothing == [[]] * 4


def test_a_long_text_is_no_long_work(new_visit):
    """As when a paragraph is pasted: its parts are compared no further than names are long."""
    page = new_visit("en/search.html?q=softmax").page
    page.locator("#search-results li a").first.wait_for(timeout=10_000)
    asked = page.evaluate("""() => {
      let asked = 0;
      const split = splitQuery;
      splitQuery = (query) => { asked += 1; return split(query); };
      Search._performSearch(...Search._parseQuery("what is RoPE for ".repeat(100)));
      splitQuery = split;
      return asked;
    }""")
    assert asked < 10_000


@pytest.mark.parametrize("folder", QUERIES)
def test_letters_of_all_scripts_belong_to_words(new_visit, folder):
    page = new_visit(f"{folder}/search.html?q=softmax").page
    cut = page.evaluate("() => splitQuery('naïve σ_1 Müller')")
    assert cut == ["naïve", "σ_1", "Müller"]


@pytest.mark.parametrize("folder", QUERIES)
def test_names_that_every_object_has_find_only_pages_that_there_are(new_visit, folder):
    visit = new_visit(f"{folder}/search.html?q=__proto__")
    visit.page.locator("#search-results .search-summary:not(:empty)").wait_for(timeout=10_000)
    assert "undefined" not in visit.page.locator("#search-results").text_content()
    names, unknown, no_numbers = visit.page.evaluate(OBJECT_NAMES)
    assert {"__proto__", "constructor", "toString", "hasOwnProperty"} <= set(names)
    assert (unknown, no_numbers) == ([], [])
    assert visit.messages == []
