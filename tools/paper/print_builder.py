"""The builder ``printed``: the whole book as one HTML page, from which the PDF is printed.

Bodies are rendered as for the site. Ids are made unique by the page they come from, and links
between pages become links within the one. What a reader unfolds on the site stands open here:
hints under their exercises, solutions at the end of the chapter. Code that only draws a figure
is left to the site, and so are pages whose front matter says ``printed: false``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from docutils import nodes

from tools.book import contents, phrases
from tools.book.phrases import N_
from tools.pages.bodies import BodiesBuilder, without_identities
from tools.paper import print_files

TEMPLATES = contents.ROOT / "web" / "print"
SCHEME = "book:"
START = re.compile(r"<[a-zA-Z][^>]*>")
LINK = re.compile(r'(\shref=")(book:[^"#]*|)(#[^"]*)?(")')
OWN = re.compile(r'(\s(?:id|for|aria-labelledby|aria-describedby)=")([^"]+)(")')
FOLDED = re.compile(r'<details class="[^"]*\bhide\b.*?</details>', re.DOTALL)
HEADING = re.compile(r"(</?h)([1-5])\b")
WIDGET = re.compile(r'(<div class="widget"><img[^>]*>)</div>')
MOVES = N_("This figure can be changed on the site:")


def slug(name: str) -> str:
    """Return what stands before the ids of a page.

    >>> slug("chapters/attention")
    'chapters-attention'
    """
    return name.replace("/", "-")


def in_one_page(markup: str, name: str) -> str:
    """Return a page's HTML with ids and links as they must be among all other pages.

    >>> in_one_page('<a href="book:b#x" id="y">', "a")
    '<a href="#b--x" id="a--y">'
    >>> in_one_page('<a href="#y">', "a"), in_one_page('<a href="book:b">', "a")
    ('<a href="#a--y">', '<a href="#b">')
    """

    def link(match: re.Match) -> str:
        before, page, place, after = match.groups()
        if not page and not place:
            return match[0]
        start = slug(page.removeprefix(SCHEME) or name)
        return f"{before}#{start}{place.replace('#', '--') if place else ''}{after}"

    def tag(match: re.Match) -> str:
        return OWN.sub(rf"\g<1>{slug(name)}--\g<2>\g<3>", LINK.sub(link, match[0]))

    return START.sub(tag, markup)


# -- what is folded on the site --------------------------------------------------------------------


def unfold(doctree: nodes.document, say) -> None:
    """Open hints, and move solutions to the end of the chapter, in the exercises' order."""
    solutions = []
    for box in list(doctree.findall(is_dropdown)):
        content = [child.deepcopy() for child in box.children[1:]]
        title = nodes.paragraph("", say_title(box), classes=["fold-title"])
        kind = next((name for name in ("hint", "solution") if name in box["classes"]), "fold")
        opened = nodes.container("", title, *content, classes=[kind])
        if kind == "solution":
            solutions.append((exercise_before(box), opened))
            box.parent.remove(box)
        else:
            box.replace_self(opened)
    if solutions:
        doctree.children[0] += solutions_section(solutions, say)


def is_dropdown(node: nodes.Node) -> bool:
    """Tell whether a node is a box that unfolds."""
    return node.__class__.__name__ == "dropdown_main"


def say_title(box: nodes.Element) -> str:
    """Return the words on a folded box."""
    return box.children[0].children[0].astext()


def exercise_before(box: nodes.Element) -> nodes.Element | None:
    """Return the exercise to which a hint or a solution belongs."""
    before = box.parent.children[: box.parent.index(box)]
    named = (node for node in reversed(before) if node.__class__.__name__.startswith("exercise"))
    return next(named, None)


def solutions_section(solutions: list, say) -> nodes.section:
    """Return a section with the solutions, each under the name of its exercise."""
    section = nodes.section("", nodes.title("", say("Solutions")), ids=["solutions"])
    for exercise, opened in solutions:
        opened.children[0].children = []
        if exercise is not None:
            named = exercise.next_node(nodes.title).deepcopy().children[1:-1]
            link = nodes.reference("", "", *named, refid=exercise["ids"][0], internal=True)
            link["classes"] = ["solution-of"]
            opened.children[0] += link
            opened["exercise"] = exercise["ids"][0]
        section += opened
    return section


# -- the builder -----------------------------------------------------------------------------------


@dataclass
class Page:
    """A page of the site as a chapter of the printed book."""

    name: str
    title: str
    number: str
    body: str
    sections: list[tuple[str, str, str]] = field(default_factory=list)  # id, number, title
    parts: list[Page] = field(default_factory=list)  # the notebooks of a chapter of several

    @property
    def is_part(self) -> bool:
        """Tell whether this is one of several notebooks of a chapter: 6.1 and not 6."""
        return "." in self.number

    @property
    def slug(self) -> str:
        """Return the id of the chapter."""
        return slug(self.name)


class PrintedBuilder(BodiesBuilder):
    """Writes ``book.html``, the whole book as one page."""

    name = "printed"

    def init(self) -> None:
        """Start without pages."""
        super().init()
        self.pages: dict[str, Page] = {}
        self.say = phrases.speaker(Path(self.srcdir), self.config.language)

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        """Return a page's address, to be made a link within the one page, or on the site."""
        return self.site_address(docname) if self.is_left_out(docname) else SCHEME + docname

    def is_left_out(self, docname: str) -> bool:
        """Tell whether a page says that it is for the site alone."""
        return self.env.metadata.get(docname, {}).get("printed") == "False"

    def site_address(self, docname: str) -> str:
        """Return where a page stands on the site."""
        return f"{self.config.html_baseurl.rstrip('/')}/{docname}.html"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """Return the same address wherever the link stands."""
        return self.get_target_uri(to, typ)

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        """Render a page whose folded parts are open; the landing page gives way to the title."""
        if docname == self.config.root_doc or self.is_left_out(docname):
            return
        unfold(doctree, self.say)
        self.imgpath = "_images"
        super().write_doc(docname, doctree)

    def keep(self, pagename: str, body: str, doctree: nodes.document) -> None:
        """Keep a page as a chapter."""
        address = self.site_address(pagename)
        moves = (
            f'<p class="moves">{html.escape(self.say(MOVES))} <a href="{address}">{address}</a></p>'
        )
        body = re.sub(r'(src=")(?:\.\./)*_images/', r"\g<1>_images/", FOLDED.sub("", body))
        body = WIDGET.sub(rf"\g<1>{moves}</div>", body)
        numbers = self.env.toc_secnumbers.get(pagename, {})
        self.pages[pagename] = Page(
            pagename,
            html.escape(self.env.titles[pagename].astext()),
            dotted(numbers.get("", ())),
            self.localised(body, pagename),
            [self.section(node, pagename, numbers) for node in sections(doctree)],
        )

    def localised(self, body: str, pagename: str) -> str:
        """Return a page's body with ids and links as they are where it will stand."""
        return in_one_page(body, pagename)

    def in_order(self) -> list[Page]:
        """Return chapters, with their parts, and appendices in the order of the contents."""
        found: list[Page] = []
        for name in contents.pages(Path(self.srcdir)):
            if page := self.pages.get(name):
                (found[-1].parts if page.is_part else found).append(page)
        return found

    def section(self, node: nodes.section, page: str, numbers: dict) -> tuple[str, str, str]:
        """Return a section's id, number and title."""
        identity = node["ids"][0]
        title = self.render_partial(node.next_node(nodes.title).deepcopy())["title"]
        title = without_identities(title)
        return self.place(page, identity), dotted(numbers.get(f"#{identity}", ())), title

    def place(self, page: str, identity: str) -> str:
        """Return how a section is named among those of all pages."""
        return f"{slug(page)}--{identity}"

    def complete(self) -> None:
        """Write the one page, and beside it what it loads."""
        found = self.in_order()
        for part in (part for chapter in found for part in chapter.parts):
            part.body = one_level_down(part.body)
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
        context = self.config.html_context
        text = environment.get_template("book.html").render(
            pages=flat(found),
            chapters=[page for page in found if page.number],
            appendices=[page for page in found if not page.number],
            title=context["book_title"],
            author=context["author"],
            edition=context["edition"],
            address=self.config.html_baseurl,
            say=self.say,
        )
        Path(self.outdir, "book.html").write_text(text, encoding="utf-8")
        print_files.stage(Path(self.outdir) / "assets")


def flat(pages: list[Page]) -> list[Page]:
    """Return pages with their parts after them, as they are read."""
    return [each for page in pages for each in (page, *page.parts)]


def one_level_down(markup: str) -> str:
    """Return HTML whose headings are those of a part.

    >>> one_level_down('<h1 id="a">A</h1><h3>B</h3>')
    '<h2 id="a">A</h2><h4>B</h4>'
    """
    return HEADING.sub(lambda match: f"{match[1]}{int(match[2]) + 1}", markup)


def sections(doctree: nodes.document) -> list[nodes.section]:
    """Return a page's sections of the second level, without those of a glossary's letters."""
    chapter = next(iter(doctree.findall(nodes.section)))
    found = [node for node in chapter.children if isinstance(node, nodes.section)]
    return [node for node in found if "letter" not in node["classes"]]


def dotted(number: tuple[int, ...]) -> str:
    """Return a number as it is written: 1.2."""
    return ".".join(map(str, number))


def setup(app) -> dict:
    """Register the builder with Sphinx."""
    app.setup_extension("tools.pages.bodies")
    app.add_builder(PrintedBuilder)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
