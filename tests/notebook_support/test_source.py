"""companion.notebook.show: the source as it stands in the file, and the way there."""

import ast
import functools
import importlib
import inspect
import re
from pathlib import Path

import pytest

import companion
from companion.notebook import Stoppable, check, show
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
    assert code(shown(documented, whole=True)) == inspect.getsource(documented).rstrip()


def test_classes_methods_and_static_methods(shown):
    text = code(shown(Layer))
    assert "With more to say" not in text
    assert "In detail" not in text
    assert text.count('"""') == 6
    ast.parse(text)
    assert code(shown(Layer.forward)).startswith('def forward(self, x):\n    """Go forward."""\n')
    assert code(shown(Layer.still)).startswith("@staticmethod")


def scaled(x, factor=1.0, parts=()):
    """Return x, scaled."""
    # A comment about the check goes with it.
    if factor <= 0:
        raise ValueError("factor must be above 0")
    if not parts:
        if factor > 1:
            raise TypeError("x")
        _check_parts(parts)
    for part in parts:
        if part < 0:
            raise ValueError("part")
    _require_number(x)
    # This comment stays,
    size = _require_size(x)  # and what is used stays, too
    if size > 3:
        raise RuntimeError("too large")
    if size <= 2:
        size = 2
    else:
        raise ValueError("large")
    return x * factor + size


SCALED = '''\
def scaled(x, factor=1.0, parts=()):
    """Return x, scaled."""
    # This comment stays,
    size = _require_size(x)  # and what is used stays, too
    if size > 3:
        raise RuntimeError("too large")
    if size <= 2:
        size = 2
    else:
        raise ValueError("large")
    return x * factor + size'''


def _check_parts(parts):
    if not parts:
        raise ValueError("parts")


_require_number = _require_size = _check_parts


def test_checks_of_arguments_are_left_out_and_the_heading_says_so(shown):
    left_out = shown(scaled)
    assert code(left_out) == SCALED
    heading = left_out["text/markdown"].splitlines()[0]
    assert heading == f"`{scaled.__module__}.scaled` · argument checks left out"
    whole = shown(scaled, whole=True)
    assert code(whole) == inspect.getsource(scaled).rstrip()
    assert "left out" not in whole["text/markdown"]


def test_what_does_nothing_but_check_is_shown(shown):
    only = shown(_check_parts)
    assert code(only) == inspect.getsource(_check_parts).rstrip()
    assert "left out" not in only["text/markdown"]


@pytest.mark.parametrize("name", ["losses", "optim", "attention", "models.cnn", "layers.mlp"])
def test_what_is_left_of_the_package_computes_all_that_it_did(shown, name):
    """Without its checks, a module still assigns, returns and calls all that it did before."""

    def does(source):
        kinds = (ast.Assign, ast.AugAssign, ast.Return, ast.Yield, ast.AnnAssign)
        return [ast.dump(node) for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]

    module = importlib.import_module(f"companion.{name}")
    bundle = shown(module)
    assert "left out" in bundle["text/markdown"]
    assert sorted(does(code(bundle))) == sorted(does(inspect.getsource(module)))


@pytest.mark.verifies("show", "the source file, parsed")
def test_the_code_without_docstring_is_the_code(shown):
    def without_docstrings(source):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                node.body = node.body[1:] if ast.get_docstring(node) else node.body
        return ast.dump(tree)

    for thing in (show, Progress, Stoppable):
        assert without_docstrings(code(shown(thing))) == without_docstrings(
            inspect.getsource(thing)
        )
    assert code(shown(inspect.getmodule(check), whole=True)) == (
        inspect.getsource(inspect.getmodule(check)).rstrip()
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
    assert "](" not in shown(documented)["text/markdown"]


@pytest.mark.parametrize("thing", [len, 3, "text", int])
def test_what_has_no_source_is_refused(thing):
    with pytest.raises(TypeError, match="object must be a Python function"):
        show(thing)
