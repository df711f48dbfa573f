"""companion.notebook.show: the source as it stands in the file, and the way there."""

import ast
import functools
import inspect
import re
from pathlib import Path

import pytest

import companion
from companion.notebook import check, show
from companion.notebook.checks import CheckFailed
from companion.notebook.progressbar import Progress
from companion.notebook.source import repository_address

ROOT = Path(companion.__file__).parents[1]


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@decorated
def documented(x):
    """Return x.

    At length.
    """
    # a comment that stays
    return x


class Layer:
    """A layer.

    With more to say.
    """

    def forward(self, x):
        """Go forward.

        In detail.
        """

        return x

    @staticmethod
    def still():
        """Stay."""


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: bundles.append(data))

    def call(*args, **kwargs):
        show(*args, **kwargs)
        return bundles[-1]

    return call


def code(bundle):
    return re.search(r"```python\n(.*)\n```", bundle["text/markdown"], re.DOTALL)[1]


def test_docstrings_keep_their_first_line_and_code_all_of_its(shown):
    assert code(shown(documented)) == (
        '@decorated\ndef documented(x):\n    """Return x."""\n'
        "    # a comment that stays\n    return x"
    )
    assert code(shown(documented, docstring=True)) == inspect.getsource(documented).rstrip()


def test_classes_methods_and_static_methods(shown):
    text = code(shown(Layer))
    assert "With more to say" not in text
    assert "In detail" not in text
    assert text.count('"""') == 6
    ast.parse(text)
    assert code(shown(Layer.forward)).startswith('def forward(self, x):\n    """Go forward."""\n')
    assert code(shown(Layer.still)).startswith("@staticmethod")


@pytest.mark.verifies("show", "the source file, parsed")
def test_the_code_without_docstring_is_the_code(shown):
    def without_docstrings(source):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                node.body = node.body[1:] if ast.get_docstring(node) else node.body
        return ast.dump(tree)

    for thing in (check, Progress, inspect.getmodule(check)):
        assert without_docstrings(code(shown(thing))) == without_docstrings(
            inspect.getsource(thing)
        )


@pytest.mark.verifies("show", "the lines of the source file")
def test_the_link_leads_to_the_lines(shown):
    heading = shown(CheckFailed)["text/markdown"].splitlines()[0]
    address, file, first, last = re.search(
        r"\((.*)/blob/HEAD/(.*)#L(\d+)-L(\d+)\)$", heading
    ).groups()
    assert address == repository_address()
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()[int(first) - 1 : int(last)]
    assert "\n".join(lines) == inspect.getsource(CheckFailed).rstrip()


def test_no_link_where_there_is_none(shown):
    assert "](" not in shown(check, link=False)["text/markdown"]
    assert "](" not in shown(documented)["text/markdown"]


@pytest.mark.parametrize("thing", [len, 3, "text", int])
def test_what_has_no_source_is_refused(thing):
    with pytest.raises(TypeError, match="object must be a Python function"):
        show(thing)
