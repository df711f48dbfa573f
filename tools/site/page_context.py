"""What every page carries: its description, its social card, and links to its source.

Every address is made from ``repository`` and ``html.baseurl`` in ``_config.yml``; the patterns
of the addresses stand here and nowhere else.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import quote, urlencode

from docutils import nodes
from sphinx.locale import _

from tools.book import contents
from tools.book.columns import columns_of
from tools.book.phrases import N_
from tools.pages import editions, products
from tools.slides import marks

COLAB = "https://colab.research.google.com/github/{owner}/blob/{branch}/{path}"
EDIT = "{url}/edit/{branch}/{path}"
ISSUE = "{url}/issues/new?{query}"
DESCRIPTION_LENGTH = 200
# Markup of other extensions that says the same name twice, or another name than the eye reads.
MENDS = {
    ' id="exercise-content"': ' class="exercise-content"',
    ' id="solution-content"': ' class="solution-content"',
    ' role="doc-biblioentry"': ' role="listitem"',
    '<summary aria-label="Toggle hidden content">': "<summary>",
}
# Names, operators and spaces have the colour of the text: marking each would double the page.
PLAIN_CODE = re.compile(r'<span class="(?:n|o|p|w)">([^<]*)</span>')
# What myst-nb says about folded code, a phrase for each of its two words and four kinds.
PROMPTS = [
    *(N_("Show the source"), N_("Show the output"), N_("Show the outputs"), N_("Show the content")),
    *(N_("Hide the source"), N_("Hide the output"), N_("Hide the outputs"), N_("Hide the content")),
]
HAN = re.compile("[\u3400-\u9fff]")
EMPHASIS = re.compile("<em>([^<]*)</em>")
HAN_END = re.compile("[，；：][^，；：]*$")
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
# A cell's code or printed output, which browsers lay out only when a reader comes near it.
LINES = re.compile(
    r'(<div class="cell_(?:input|output)\b[^"]*")'
    r"(>\s*(?:<p>(?:(?!</p>).)*</p>\s*)?"
    r'<div class="[^"]*highlight[^"]*"><div class="highlight"><pre>)'
    r"(.*?)(?=</pre>)",
    re.DOTALL,
)
CODE = re.compile(
    r'(<div class="[^"]*\bhighlight-([\w-]+)[^"]*"><div class="highlight"><pre>(?:<span></span>)?)'
    r"(.*?)(?=</pre>)",
    re.DOTALL,
)
OUTPUT = "myst-ansi"  # the language that myst-nb gives to what a cell has printed
TAG = re.compile(r"<[^>]+>")
COLUMNS = re.compile(r"\S {2,}\S")
FITS = 40  # characters that fit into a line of code on any phone
TEXT_FONT = "fonts/source-serif-4-latin-wght-normal"
# Further faces, by what needs them (emphasis, unless it is Chinese, formulas, code), as style
# sheets name them; and their files, which are asked for with the page where its lead needs them.
FACES = {
    f'<em( lang="en")?>(?!{HAN.pattern})': (
        "italic 1em 'Source Serif 4'",
        "fonts/source-serif-4-latin-wght-italic",
    ),
    'class="katex"': ("1em KaTeX_Main", "katex/fonts/KaTeX_Main-Regular"),
    "mathnormal": ("italic 1em KaTeX_Math", "katex/fonts/KaTeX_Math-Italic"),
    "<code": ("1em 'JetBrains Mono'", None),
}


def source_path(app, pagename: str) -> str:
    """Return the path of a page's source file in the repository."""
    return app.env.doc2path(pagename, base=False).replace("\\", "/")


def colab_address(url: str, branch: str, path: str) -> str:
    """Return where a chapter opens in Colab.

    >>> colab_address("https://github.com/me/book", "gh-pages", "en/colab/attention.ipynb")
    'https://colab.research.google.com/github/me/book/blob/gh-pages/en/colab/attention.ipynb'
    """
    owner = url.rstrip("/").removeprefix("https://github.com/")
    return COLAB.format(owner=owner, branch=branch, path=quote(path))


def issue_address(url: str, title: str, path: str) -> str:
    """Return a new issue's address, with the page's title and file filled in."""
    lines = [f"{_('Page')}: {title}", f"{_('File')}: {path}", ""]
    lines += [f"{_('What it says')}:", "", f"{_('What it should say')}:", ""]
    subject = _("Error on the page “{title}”").format(title=title)
    query = urlencode({"title": subject, "body": "\n".join(lines)}, quote_via=quote)
    return ISSUE.format(url=url, query=query)


def source_links(repository: dict, title: str, path: str) -> dict[str, str]:
    """Return the addresses under which a page can be run, edited and complained about."""
    url, branch = repository["url"].rstrip("/"), repository["branch"]
    return {
        "repository": url,
        "edit": EDIT.format(url=url, branch=branch, path=quote(path)),
        "report": issue_address(url, title, path),
    }


def made_links(root: Path, repository: dict, path: str) -> dict[str, str]:
    """Return where a chapter's further forms are: from the edition's root, or in Colab."""
    if not path.endswith(".ipynb"):
        return {}
    name = contents.product_name(path.removesuffix(".ipynb"))
    links = {}
    if products.is_made("colab"):
        links["notebook"] = f"colab/{name}.ipynb"
        published = f"{repository['edition']}/{links['notebook']}"
        links["colab"] = colab_address(repository["url"], repository["site_branch"], published)
    if products.is_made("slides") and marks.has_deck(root / path):
        links["slides"] = marks.address(path.removesuffix(".ipynb"))
    return links


def first_words(doctree) -> str:
    """Return the start of a page's text, cut between words."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) > (20 if HAN.search(text) else 40):
            break
    else:
        return ""
    if len(text) <= DESCRIPTION_LENGTH:
        return text
    if HAN.search(text):  # has no spaces, and says twice as much with a character
        return HAN_END.split(text[: DESCRIPTION_LENGTH // 2])[0] + "……"
    return text[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def in_scrolling_box(match: re.Match) -> str:
    """Return a table inside a box of its own, which scrolls where the page is narrow."""
    return f'<div class="scroll">{match[0]}</div>'


def with_room(match: re.Match) -> str:
    """Return a cell that tells how many lines it has, so that its room is known beforehand."""
    before, between, text = match.groups()
    lines = len(text.removeprefix("<span></span>").rstrip("\n").split("\n"))
    return f'{before} style="--lines:{lines}"{between}{text}'


def with_hanging_indent(line: str, is_output: bool) -> str:
    """Return a long line in a box that is broken where the page is narrow, and goes on indented.

    Code may be broken after a bracket, too.

    Printed lines that are set in columns are left alone: they would be torn apart.

    >>> with_hanging_indent("  answer = ask(a, thousand, times, or, more)", is_output=False)
    '<span class="line" style="--indent:2">  answer = ask(<wbr>a, thousand, times, or, more)</span>'
    """
    text = html.unescape(TAG.sub("", line))
    in_columns = is_output and COLUMNS.search(text)
    if columns_of(text) <= FITS or in_columns:
        return line
    indent = len(text) - len(text.lstrip(" "))
    line = line if is_output else line.replace("(", "(<wbr>")
    return f'<span class="line" style="--indent:{indent}">{line}</span>'


def with_wrapping_lines(match: re.Match) -> str:
    """Return code or what it printed, long lines in boxes of their own."""
    start, language, text = match.groups()
    lines = text.split("\n")
    return start + "\n".join(with_hanging_indent(line, language == OUTPUT) for line in lines)


def mended(body: str) -> str:
    """Return a page's body with tables in scrolling boxes, and the markup of others put right."""
    body = CODE.sub(with_wrapping_lines, LINES.sub(with_room, body))
    prompts = {
        f'admonition-title">{each}</p>': f'admonition-title">{_(each)}</p>' for each in PROMPTS
    }
    for wrong, right in (MENDS | prompts).items():
        body = body.replace(wrong, right)
    return TABLE.sub(in_scrolling_box, PLAIN_CODE.sub(r"\1", body))


def emphasised(match: re.Match) -> str:
    """Return emphasis, its language named where it is not that of a Chinese page."""
    return match[0] if HAN.search(match[1]) else f'<em lang="en">{match[1]}</em>'


def is_landing(app, pagename: str) -> bool:
    """Tell whether a page is the first one of the book."""
    return pagename == app.config.root_doc


def first_fonts(body: str) -> list[str]:
    """Return the fonts that a page needs before its first section, as paths of its files.

    They are asked for together with the page: if they came later, the text would move.

    >>> first_fonts('<section><p><span class="katex">1</span></p><section></section></section>')
    ['fonts/source-serif-4-latin-wght-normal', 'katex/fonts/KaTeX_Main-Regular']
    """
    lead = "".join(body.split("<section", 2)[:2])
    found = [file for mark, (_, file) in FACES.items() if file and re.search(mark, lead)]
    return [TEXT_FONT, *found]


def further_faces(body: str) -> list[str]:
    """Return the faces that a page needs further down, as style sheets name them.

    They are asked for at once, too, so that no line moves where they are met first.

    >>> further_faces("<p>Its <code>name</code></p>")
    ["1em 'JetBrains Mono'"]
    """
    return [face for mark, (face, _) in FACES.items() if re.search(mark, body)]


def describe_page(app, pagename, _template, context, doctree) -> None:
    """Add to a page's context what the templates need."""
    meta = app.env.metadata.get(pagename, {})
    context["landing"] = is_landing(app, pagename)
    context["baseurl"] = (app.config.html_baseurl or "").rstrip("/")
    context["in_english"] = editions.is_in_english(context, pagename, doctree)
    context["others"] = editions.other_editions(context, pagename)
    stated = " ".join(meta.get("description", "").split())
    stated = meta.get("words", {}).get(stated, stated)
    context["description"] = stated or (first_words(doctree) if doctree else "")
    context["links"] = {"repository": app.config.repository["url"].rstrip("/")}
    context["first_fonts"] = first_fonts(context.get("body", ""))
    context["further_faces"] = further_faces(context.get("body", ""))
    if doctree is not None:
        title = app.env.titles[pagename].astext()
        context["plain_title"] = title
        path = source_path(app, pagename)
        context["links"] = source_links(app.config.repository, title, path)
        context["links"] |= made_links(Path(app.srcdir), app.config.repository, path)
        context["has_math"] = bool(list(doctree.findall(nodes.math))) or bool(
            list(doctree.findall(nodes.math_block))
        )
        context["body"] = mended(context["body"])
        if context["edition"].folder == "zh" and not context["in_english"]:
            context["body"] = EMPHASIS.sub(emphasised, context["body"]).replace(
                " </span>（", "</span>（"
            )


def setup(app) -> dict:
    """Register the context with Sphinx."""
    app.add_config_value("repository", {}, "env", types=[dict])
    app.connect("html-page-context", describe_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
