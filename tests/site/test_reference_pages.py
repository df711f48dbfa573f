"""Notation, glossary, indexes, verification report and speed: whole, in both languages, linked."""

from __future__ import annotations

import ast
import json
import posixpath
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from tests.site.conftest import EDITIONS, ROOT
from tests.site.small_books import write_book
from tools.book import contents, term_table
from tools.pages import editions, tables
from tools.reference import glossary, indexes, speed, verification_record
from tools.reference import verification_report as report
from tools.words import catalogs

FOLDERS = [edition.folder for edition in EDITIONS]
APPENDIX = "chapters/appendix"
TERMS = term_table.read_terms(ROOT / term_table.TERMS)
every_edition = pytest.mark.parametrize("folder", FOLDERS)


@cache
def soup(path: Path) -> BeautifulSoup:
    """Return a built page, read."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def rows(page: BeautifulSoup, kind: str) -> list:
    """Return the rows of the tables of a kind."""
    return page.select(f"table.{kind} tbody tr")


def said(element) -> str:
    """Return the text of an element on one line."""
    return " ".join(element.get_text().split())


@cache
def anchors(path: Path) -> set[str]:
    """Return the places on a built page that can be linked to."""
    return set(re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8")))


@cache
def cells(chapter: Path, kind: str) -> list:
    """Return the cells of a kind of a chapter."""
    read = nbformat.read(chapter, as_version=4).cells
    return [cell for cell in read if cell.cell_type == kind]


def markdown(chapter: Path) -> str:
    """Return the text of a chapter."""
    return "\n\n".join(cell.source for cell in cells(chapter, "markdown"))


# -- notation ------------------------------------------------------------------------------------

# What needs no entry: signs, layout, and functions that every reader knows.
COMMON = {
    *("frac", "tfrac", "sqrt", "sum", "prod", "int", "partial", "nabla", "top", "infty", "pi", "e"),
    *("ln", "log", "exp", "sin", "cos", "tan", "max", "min", "arg"),
    *("cdot", "times", "odot", "approx", "le", "ge", "ne", "in", "to", "sim", "mid", "cap", "cup"),
    *("hat", "tilde", "bar", "overline", "underbrace", "lVert", "rVert", "leftarrow"),
    *(
        "lfloor",
        "rfloor",
        "left",
        "right",
        "big",
        "Big",
        "bigl",
        "bigr",
        "quad",
        "qquad",
        "dots",
        "ldots",
        "cdots",
    ),
}
DISPLAY = re.compile(r"\$\$(.*?)\$\$", re.DOTALL)
NAME = re.compile(r"\\(?:mathrm|mathit|mathcal|operatorname)\{(\w+)\}")
ENVIRONMENT = re.compile(r"\\(?:begin|end)\{\w+\}|\\text\{[^}]*\}|\\mathbb\{\w\}")
TOKEN = re.compile(
    r"(?P<base>\\[A-Za-z]+|<\w+>|[A-Za-z])(?:'*)(?P<marks>(?:[_^](?:\{[^{}]*\}|\\[A-Za-z]+|.))*)"
)
MARK = re.compile(r"([_^])(?:\{([^{}]*)\}|(\\[A-Za-z]+|.))")
FIRST_CELLS = re.compile(r"^\* - (.*)$", re.MULTILINE)


def symbols(tex: str, listed: set[str]) -> set[str]:
    """Return the symbols of a formula that are neither listed nor common knowledge."""
    tex = NAME.sub(r"<\1>", ENVIRONMENT.sub(" ", tex).replace(r"\\", " "))
    unknown = set()
    for match in TOKEN.finditer(tex):
        base = match["base"].strip("<>")
        marks = [(sign, one or other) for sign, one, other in MARK.findall(match["marks"])]
        if (base.startswith("\\") and base[1:] in COMMON) or base in COMMON:
            taken = []
        else:
            taken = fitting(base, marks, listed)
            if taken is None:
                unknown.add(base)
                taken = []
        for mark in marks:
            if mark not in taken:
                unknown |= symbols(mark[1], listed)
    return unknown


def fitting(base: str, marks: list[tuple[str, str]], listed: set[str]):
    """Return the marks that belong to the listed name of a symbol, None if none is listed."""
    for taken in (marks, *([mark] for mark in marks), []):
        if base + "".join(sign + text for sign, text in taken) in listed:
            return taken
    # An entry such as w_j stands for w with any index.
    indexed = [name for name in listed if re.fullmatch(re.escape(base) + "_[hijmnt]", name)]
    return [] if any(sign == "_" for sign, _ in marks) and indexed else None


def listed_symbols() -> set[str]:
    """Return the symbols in the first column of the notation's tables."""
    text = (ROOT / APPENDIX / "notation.md").read_text(encoding="utf-8")
    cells = [cell for cell in FIRST_CELLS.findall(text) if "$" in cell]
    formulas = [formula for cell in cells for formula in re.findall(r"\$([^$]+)\$", cell)]
    return {NAME.sub(r"\1", formula).replace("{", "").replace("}", "") for formula in formulas}


LISTED = listed_symbols()


@pytest.mark.parametrize("path", contents.chapter_notebooks(), ids=contents.label)
def test_the_notation_lists_every_symbol_of_the_displayed_formulas(path):
    formulas = DISPLAY.findall(markdown(path))
    assert formulas
    missing = {symbol for tex in formulas for symbol in symbols(tex, LISTED)}
    assert missing == set(), "add these to chapters/appendix/notation.md"


@pytest.mark.parametrize(
    ("tex", "missing"),
    [
        (r"\frac{Q K^\top}{\sqrt{d_k}} V", {"Q", "K", "d", "k", "V"}),
        (r"W^Q_2 x", {"W", "Q", "x"}),
        (r"\mathrm{softmax}(z)", {"softmax", "z"}),
        (r"P_{t, 2i} = \sin(t)", {"P", "t", "i"}),
        (r"\text{bytes} = 2 \cdot L, \begin{bmatrix} 1 \\ 2 \end{bmatrix}", {"L"}),
        (r"\sigma^2 + \varepsilon", {r"\sigma", r"\varepsilon"}),
    ],
)
def test_how_symbols_are_found(tex, missing):
    assert symbols(tex, set()) == missing


def test_how_listed_symbols_are_known():
    assert symbols(r"W^Q_2 + W^R + d_k + d_q + w_i", {"W^Q", "d_k", "w_j"}) == {
        "W",
        "R",
        "d",
        "q",
        "i",
    }
    assert symbols(r"W^Q_2 + d_k", {"W^Q", "d_k"}) == set()
    assert symbols("d", {"d_k"}) == {"d"}


def test_the_code_names_of_the_notation_are_in_the_code():
    text = (ROOT / APPENDIX / "notation.md").read_text(encoding="utf-8")
    tables_only = text.partition("\n## Sizes")[2]
    names = set(re.findall(r"`([A-Za-z_]\w*)`", re.sub(r"\{\w+\}`[^`]*`", "", tables_only)))
    code = "\n".join(path.read_text() for path in (ROOT / "companion").rglob("*.py"))
    for path in contents.chapter_notebooks():
        code += "\n".join(cell.source for cell in cells(path, "code"))
    assert len(names) > 20
    assert names - set(re.findall(r"\w+", code)) == set()


# -- glossary ------------------------------------------------------------------------------------


def test_the_table_of_terms_is_whole():
    assert len(TERMS) >= 80
    for name in ("term", "chinese"):
        values = [getattr(term, name) for term in TERMS]
        assert all(values)
    assert len({term.term.lower() for term in TERMS}) == len(TERMS)
    assert len({term.identity for term in TERMS}) == len(TERMS)
    bad = [t.term for t in TERMS if not re.fullmatch(r"[A-Z].{10,200}\.", t.definition)]
    assert bad == []


def test_definitions_do_not_define_by_the_term_itself():
    circular = [t.term for t in TERMS if t.definition.lower().startswith(f"{t.term.lower()} ")]
    assert circular == []


@every_edition
def test_every_term_is_on_the_page_in_both_languages(html, folder):
    found = rows(soup(html / folder / APPENDIX / "glossary.html"), "terms")
    shown = {row["id"]: {said(cell) for cell in row.select("td")[:2]} for row in found}
    assert shown == {term.identity: {term.term, term.chinese} for term in TERMS}


def test_terms_stand_in_the_order_of_the_language(html):
    for folder, language in (("en", "en"), ("zh", "zh_CN")):
        page = soup(html / folder / APPENDIX / "glossary.html")
        names = [said(row.td) for row in rows(page, "terms")]
        keys = [glossary.sort_key(name) for name in names]
        assert keys == sorted(keys)
        ordered = sorted(TERMS, key=lambda term: glossary.sort_key(term.name(language)))
        assert [term.name(language) for term in ordered] == names
        for section in page.select("section[id^='letter-']"):
            letter = section.h2.find(string=True).strip()
            firsts = {glossary.sort_key(said(row.td))[0] for row in rows(section, "terms")}
            assert firsts == {letter.lower()}


@every_edition
def test_every_letter_leads_somewhere(html, folder):
    page = soup(html / folder / APPENDIX / "glossary.html")
    links = [link["href"].removeprefix("#") for link in page.select(".letters a")]
    assert len(links) == 26
    assert all(page.find(id=name) is not None for name in links)


def glossary_book(root: Path, text: str, terms: str) -> None:
    """Write a book of one page with a table of terms."""
    write_book(root, text)
    (root / term_table.TERMS).parent.mkdir(parents=True)
    (root / term_table.TERMS).write_text(terms, encoding="utf-8")


HEADER = "term,chinese,definition,target\n"


def test_terms_can_be_linked_to_by_either_name(run_builder, tmp_path, capfd):
    text = "{term}`KV cache`, {term}`kv cache`, {term}`键值缓存`, {term}`caches <KV cache>`\n\n"
    text += "```{book-glossary}\n```"
    line = "KV cache,键值缓存,What is kept of $K$ and $V$ for later.,index\n"
    glossary_book(tmp_path, text, HEADER + line)
    assert run_builder("html", tmp_path) == 0, capfd.readouterr().err
    page = soup(editions.place("html", tmp_path, EDITIONS[0]) / "index.html")
    links = [said(link) for link in page.select("a[href$='#term-kv-cache']")]
    assert links == ["KV cache", "kv cache", "键值缓存", "caches"]
    row = page.find(id="term-kv-cache")
    assert row.select(".katex")
    assert said(row.select("td")[3]) == "Tiny"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("{term}`nothing`", "", "nothing"),
        ("", "a,一,What it means.,chapters/nowhere\n", "chapters/nowhere"),
        ("", "a,一,What it means.,index#nowhere\n", "index#nowhere"),
        ("", "a,一,What it means.,eq-nowhere\n", "eq-nowhere"),
        ("{place}`index#nowhere`", "", "index#nowhere"),
    ],
)
def test_a_link_to_nowhere_stops_the_build(run_builder, tmp_path, capfd, text, line, says):
    page = f"{text}\n\n```{{book-glossary}}\n```"
    glossary_book(tmp_path, page, HEADER + "b,二,What it means.,\n" + line)
    assert run_builder("dummy", tmp_path) == 1
    assert says in capfd.readouterr().err


# -- indexes -------------------------------------------------------------------------------------


@cache
def expected() -> dict[str, int]:
    """Return how many of each kind the notebooks' sources hold."""
    count = dict.fromkeys(indexes.LISTS, 0)
    for path in contents.notebooks():
        count["worked-examples"] += markdown(path).count(":class: worked-example")
        count["exercises"] += len(re.findall(r"\{exercise\}", markdown(path)))
        for cell in cells(path, "code"):
            count["widgets"] += bool(list(indexes.called(cell.source, "explore")))
            count["figures"] += "name" in cell.metadata.get("mystnb", {}).get("figure", {})
    return count


@every_edition
@pytest.mark.parametrize("kind", indexes.LISTS)
def test_the_lists_hold_everything(html, folder, kind):
    page = soup(html / folder / APPENDIX / "indexes.html")
    found = rows(page, f"index-{kind}")
    assert len(found) == expected()[kind] > 0
    for row in found:
        assert all(said(cell) for cell in row.select("td")), said(row)
        target, _, anchor = row.a["href"].partition("#")
        assert anchor in anchors((html / folder / APPENDIX / target).resolve())


@pytest.mark.parametrize("kind", indexes.LISTS)
def test_the_lists_lead_to_the_same_places_in_every_language(html, kind):
    first, *others = (
        [row.a["href"] for row in rows(soup(html / f / APPENDIX / "indexes.html"), f"index-{kind}")]
        for f in FOLDERS
    )
    assert all(first == other for other in others)


def test_the_chinese_lists_are_in_chinese(html):
    page = soup(html / "zh" / APPENDIX / "indexes.html")
    translated = catalogs.translated(ROOT, "zh_CN")
    for kind in indexes.LISTS:
        found = rows(page, f"index-{kind}")
        told = [row for row in found if page_named(row.a["href"]) in translated]
        assert told
        for row in told:
            assert re.search(r"[\u4e00-\u9fff]", said(row)), said(row)


def page_named(address: str) -> str:
    """Return the page to which a link on an appendix leads."""
    path = posixpath.join(APPENDIX, address.partition("#")[0])
    return posixpath.normpath(path).removesuffix(".html")


def test_a_widget_is_named_by_its_function_and_tells_its_settings(html):
    page = soup(html / "en" / APPENDIX / "indexes.html")
    found = {row.a["href"].partition("#")[2]: row for row in rows(page, "index-widgets")}
    assert "widget-head-map" in found
    assert "head: 1, 2, …, 12" in said(found["widget-head-map"])


def test_what_stands_in_the_code_is_read_from_it():
    code = "report(2, a=1, b_2=3)\nreport(c=1)\nprint(d=1)"
    assert indexes.reported(code) == ["a", "b_2", "c"]
    assert [ast.unparse(call) for call in indexes.called("x = explore(f, a=1)", "explore")]


# -- verification report -------------------------------------------------------------------------

RECORD = verification_record.load()


@every_edition
def test_the_report_names_every_function(html, folder):
    page = soup(html / folder / APPENDIX / "verification.html")
    found = rows(page, "verification")
    pairs = {(entry["name"], entry["oracle"]) for entry in RECORD["records"]}
    assert len(found) == len(pairs)
    sections = {said(section.h3).rstrip("#¶ ") for section in page.select("[id^='verified-']")}
    modules = {name.rpartition(".")[0] for name, _ in pairs}
    assert sections == {f"companion.{module}" for module in modules}
    counted = sum(int(said(row.select("td")[3])) for row in found)
    assert counted == sum(entry["comparisons"] for entry in RECORD["records"])


def test_the_report_leads_to_the_lines(html):
    page = soup(html / "en" / APPENDIX / "verification.html")
    for row in rows(page, "verification"):
        name = said(row.td)
        path, _, line = row.td.a["href"].partition("/blob/main/")[2].partition("#L")
        text = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert re.match(rf"(?:class|def) {name}\b", text[int(line.partition("-")[0]) - 1])
        for link in row.select("td")[4].select("a"):
            path, _, line = link["href"].partition("/blob/main/")[2].partition("#L")
            assert "def test_" in (ROOT / path).read_text().splitlines()[int(line) - 1]


@every_edition
def test_the_sentences_quote_the_record(html, folder):
    text = said(soup(html / folder / APPENDIX / "verification.html").find("article"))
    numbers = report.summary(RECORD)
    assert len(numbers) == 6
    for number in numbers.values():
        assert number in text


def test_the_summary():
    entry = {"name": "a.f", "precision": "float64", "error": 1.5e-15, "comparisons": 1_200}
    exact = {"name": "a.g", "precision": "exact", "error": 0.0, "comparisons": 1}
    record = {"records": [entry, exact], "versions": {"torch": "2.1"}, "date": "", "machine": ""}
    numbers = report.summary(record)
    assert numbers["functions"] == "2"
    assert numbers["comparisons"] == "1,201"
    assert numbers["largest-error"] == "1.5e-15"
    assert numbers["versions"] == "PyTorch 2.1"


@every_edition
def test_the_table_of_models_has_a_line_for_each_layer(html, folder):
    """Seven families or more, with weights in three formats, and no empty cell."""
    page = soup(html / folder / APPENDIX / "verification.html")
    lines = report.agreements(RECORD["records"])
    found = [[said(cell) for cell in row.select("td")] for row in rows(page, "agreement")]
    assert [row[0] for row in found] == [line.name.rpartition(".")[2] for line in lines]
    assert [tuple(row[2:]) for row in found] == [line.errors for line in lines]
    assert {"GPT", "Llama", "Mixtral", "T5", "BERT", "RoBERTa", "ViT"} <= {row[0] for row in found}
    assert all(all(row) for row in found)


def agreement(place, format, error, precision=None, name="models.t5.T5"):
    """Return a record as `tests/test_agreement.py` makes it."""
    detail = f"{place}, weights in {format}"
    precision = precision or format
    entry = {"name": name, "oracle": "transformers.T5", "detail": detail, "error": error}
    return entry | {"precision": precision}


def test_the_table_of_models_is_in_the_order_of_the_layers():
    places = ["encoder embeddings", "encoder layer 1", "decoder embeddings", "decoder layer 2"]
    places += ["decoder layer 10", "logits"]
    records = [agreement(place, "float32", 1e-7) for place in sorted(places)]
    lines = report.agreements([*records, {**records[0], "detail": "by hand"}])
    assert [line.place for line in lines] == places
    assert {line.errors for line in lines} == {("", "1.0e-07", "")}


def test_a_star_marks_what_the_other_side_limits():
    records = [
        agreement("layer 1", "float64", 2e-7, "float32"),
        agreement("layer 1", "float32", 3e-7),
        agreement("layer 1", "bfloat16", 0.0),
        agreement("layer 1", "float64", 1e-15, name="models.gpt.GPT"),
    ]
    gpt, t5 = report.agreements(records)
    assert gpt.errors == ("1.0e-15", "", "")
    assert t5.errors == ("2.0e-07*", "3.0e-07", "0")


def test_an_unknown_number_stops_the_build(run_builder, tmp_path, capfd):
    write_book(tmp_path, "{verified}`luck`")
    (tmp_path / verification_record.RECORD).parent.mkdir(parents=True)
    (tmp_path / verification_record.RECORD).write_text(
        verification_record.dump(RECORD), encoding="utf-8"
    )
    assert run_builder("dummy", tmp_path) == 1
    assert "'luck' is none of functions" in capfd.readouterr().err


# -- speed ---------------------------------------------------------------------------------------


@every_edition
def test_the_page_of_speed_has_a_line_for_each_program_at_each_task(html, folder):
    found = rows(soup(html / folder / APPENDIX / "speed.html"), "speed")
    records = {name: speed.load(ROOT, name) for name in speed.RECORDS}
    expected = [line for name, record in records.items() for line in speed.lines(name, record)]
    assert (
        len(found)
        == len(expected)
        == sum(len(run["ms"]) for record in records.values() for run in record["runs"])
    )
    for row, (_, program, milliseconds, *_) in zip(found, expected, strict=True):
        assert [said(cell) for cell in row.select("td")[1:3]] == [program, milliseconds]
    text = said(soup(html / folder / APPENDIX / "speed.html").find("article"))
    for words in speed.about(list(records.values())).values():
        assert words in text


def test_a_program_that_was_not_there_has_no_line():
    run = {"size": 64, "ms": {"fused": 1.0, "plain": 2.0}, "times_as_fast": {}, "megabytes": {}}
    run["times_as_fast"]["plain"] = {"median": 2.0, "middle_half": [0.5, 1234.2]}
    assert list(speed.lines("attention", {"runs": [run]})) == [
        ("64 tokens", "fused", "1.00", "", ""),
        ("64 tokens", "plain", "2.00", "", "2.00 (0.50–1,234)"),
    ]


def test_an_unknown_word_of_speed_stops_the_build(run_builder, tmp_path, capfd):
    write_book(tmp_path, "{speed}`luck`")
    for name, file in speed.RECORDS.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(speed.load(ROOT, name)), encoding="utf-8")
    assert run_builder("dummy", tmp_path) == 1
    assert "'luck' is none of machine" in capfd.readouterr().err


# -- tables --------------------------------------------------------------------------------------

PAGES = ["notation", "glossary", "indexes", "verification", "speed"]


@every_edition
@pytest.mark.parametrize("name", PAGES)
def test_every_cell_says_what_it_is(html, folder, name):
    page = soup(html / folder / APPENDIX / f"{name}.html")
    found = page.select("table.cards")
    assert found
    for table in found:
        names = [said(header) for header in table.select("thead th")]
        assert all(names)
        for row in table.select("tbody tr"):
            assert [cell["data-label"] for cell in row.select("td")] == names


def test_a_table_that_is_no_card_is_left_alone():
    markup = '<table class="docutils"><tr><th>A</th></tr><tr><td>1</td></tr></table>'
    context = {"body": markup}
    tables.label_cells(None, "page", "", context, None)
    assert context["body"] == markup
