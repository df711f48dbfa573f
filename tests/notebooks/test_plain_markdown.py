"""Plain Markdown of everything that a page may hold, also of what no chapter holds yet."""

from pathlib import Path

import nbformat
import pytest
import sphinx
import yaml
from docutils import nodes
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from sphinx import locale

from tools.book import contents, notebooks
from tools.chapters.execute import LANGUAGE
from tools.colab import markdown_text
from tools.colab.plain_markdown import UnknownNode, Writer
from tools.pages import editions

ALL, INDEX = (f"https://book.example/en/{name}.html" for name in ("all", "index"))
PAGE = r"""# A page with *all* kinds

Stars * and under_scores and _these_, [brackets], 2 < 3, 3 $ and `code | bar` stay.

1\. is no list.

{ref}`The table <tbl-kinds>` is {numref}`tbl-kinds`.

See {eq}`eq-one` and {doc}`index`.

$$
a &= b \\
c &= d
$$ (eq-one)

:::{margin} Aside
A note in the margin.
:::

:::{list-table} Kinds of things
:header-rows: 1
:name: tbl-kinds

* - Thing
  - Size
* - A bar $|x|$
  - `a | b`
* - Two

    paragraphs
  - - one
    - two
:::

::::{grid} 2
:::{grid-item-card} A card
What it says.
:::
::::

:::{figure} dot.png
:alt: A black dot
:name: fig-dot

The dot of {numref}`fig-dot`.
:::

:::{admonition} A correction
:class: correction
It was wrong.
:::

:::{warning}
Take **care**.
:::

:::{dropdown} A & B
:open:
Inside, $x < y$.
:::

Term
: What it means.

1. one

   with more
2. two

> Said by somebody.

A word[^note].

[^note]: The note.
"""
EXPECTED = r"""# A page with *all* kinds

Stars \* and under_scores and *these*, &#91;brackets&#93;, 2 \< 3, 3 \$ and `code | bar` stay.

1\. is no list.

[The table](@#tbl-kinds) is [Table 1.1](@#tbl-kinds).

See [(1.1)](@#equation-eq-one) and [Tiny](INDEX).

$$\begin{split}a &= b \\ c &= d\end{split} \tag{1.1}$$

> Aside
>
> A note in the margin.

**Table 1.1** Kinds of things

| Thing | Size |
| --- | --- |
| A bar $\vert x\vert $ | `a \| b` |
| Two<br>paragraphs | • one<br>• two |

> **A card**
>
> What it says.

PICTURE

**Fig. 1.1** The dot of [Fig. 1.1](@#fig-dot).

> **Correction · A correction**
>
> It was wrong.

> **Warning**
>
> Take **care**.

<details open>
<summary>A &amp; B</summary>

Inside, $x < y$.

</details>

**Term**

> What it means.

1. one

   with more

2. two

> Said by somebody.

A word<sup>[1](@#note)</sup>.

---

<sup>1</sup> The note."""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """Write a book of a first page and a notebook; return its folder."""
    root = tmp_path_factory.mktemp("book")
    config = contents.settings()
    config |= {"title": "Tiny", "html": {"baseurl": "https://book.example"}}
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    part = {"caption": "Pages", "numbered": True, "chapters": [{"file": "all"}]}
    (root / "_toc.yml").write_text(
        yaml.safe_dump({"format": "jb-book", "root": "index", "parts": [part]})
    )
    (root / "index.md").write_text("# Tiny\n\nA book that is small enough for a test.\n")
    (root / "references.bib").touch()
    Image.new("L", (2, 2)).save(root / "dot.png")
    cells = [new_markdown_cell(PAGE, id="text"), new_code_cell("1", id="code")]
    cells += [new_markdown_cell("## More\n\nText.", id="more")]
    notebook = new_notebook(cells=cells, metadata={"language_info": LANGUAGE})
    (root / "all.ipynb").write_text(notebooks.write(notebook))
    return root


@pytest.fixture(scope="module")
def made(book):
    """Build the notebook for Colab, in English, where Chinese was the language before."""
    locale.init([Path(sphinx.__file__).parent / "locale"], "zh_CN")
    static, modules = editions.stage(book)
    edition = editions.EDITIONS[0]
    config = editions.sphinx_config(book, static, modules, edition)
    assert editions.run("colab", book, edition, config) == 0
    return nbformat.read(editions.place("colab", book, edition) / "all.ipynb", as_version=4)


def test_every_kind_is_written_plainly(made):
    about, text, _, more = made.cells
    found = text.source.replace(ALL, "@").replace(INDEX, "INDEX").split("\n")
    expected = EXPECTED.split("\n")
    picture = next(n for n, line in enumerate(found) if line.startswith("<img"))
    assert 'src="data:image/png;base64,' in found[picture]
    assert 'alt="A black dot"' in found[picture]
    found[picture] = "PICTURE"
    assert found == expected
    assert more.source == "## More\n\nText."
    assert "a page of the book *Tiny*" in about.source


def test_a_kind_without_a_form_is_named():
    writer = Writer(address=str, number=str, picture=str)
    stranger = nodes.option_list("", nodes.option_string("", "the words"))
    with pytest.raises(UnknownNode, match=r"no plain Markdown for option_list.*: the words"):
        writer.write(nodes.section("", nodes.paragraph("", "known"), stranger))


@pytest.mark.parametrize(
    ("sign", "text", "before", "after", "expected"),
    [
        ("*", "word", "a ", " b", "*word*"),
        ("**", " word ", "a", "b", " **word** "),
        ("**", "end.", "a ", " b", "**end.**"),
        ("**", "句号。", "", "然后", "<strong>句号。</strong>"),
        ("*", "“quoted”", "说", "", "<em>“quoted”</em>"),
        ("*", "", "a", "b", ""),
    ],
)
def test_emphasis_holds_beside_any_text(sign, text, before, after, expected):
    assert markdown_text.marked(sign, text, before, after) == expected
