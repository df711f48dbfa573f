"""Whether two editions' code does the same: compared as trees, apart from what translates it.

Comments and docstrings may differ, and so may what `check` is told to call a check, and a string
that the English page has printed as such a name.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable

MARKED = re.compile(r"[✓✗] .*")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


class Bare(ast.NodeTransformer):
    """Takes docstrings out of a tree, and strings apart from it, as patterns of what they print."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.names: set[str] = set()

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Note what a check is called: one in a branch that was not taken has printed nothing."""
        if isinstance(node.func, ast.Name) and node.func.id in ("check", "catches"):
            name = Bare()
            name.visit(node.args[0])
            self.names |= set(name.strings)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Set a string aside."""
        if not isinstance(node.value, str):
            return node
        self.strings.append(re.escape(node.value))
        return ast.Constant("")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        """Set a string in parts aside, and keep the parts, in whatever order."""
        literal = [v.value if isinstance(v, ast.Constant) else None for v in node.values]
        self.strings.append("".join(".*" if v is None else re.escape(v) for v in literal))
        parts = [ast.dump(v) for v in node.values if not isinstance(v, ast.Constant)]
        return ast.Constant(" ".join(sorted(parts)))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Leave docstrings out."""
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
        return super().generic_visit(node)


def bare(source: str) -> tuple[str, Bare]:
    """Return what code does, and what was taken out of it."""
    transformer = Bare()
    return ast.dump(transformer.visit(ast.parse(source))), transformer


def difference(english: str, other: str, printed: Iterable[str]) -> str:
    """Say what code does in one edition and not in the other; nothing if it does the same."""
    if english == other:
        return ""
    (here, ours), (there, theirs) = bare(english), bare(other)
    if here != there or english.count("\n") != other.count("\n"):
        return f"{english}\n--- is not ---\n{other}"
    lines = [line for text in printed for line in MARKED.findall(text)]
    pairs = zip(ours.strings, theirs.strings, strict=True)
    changed = [one for one, two in pairs if one != two and one not in ours.names]
    wrong = [s for s in changed if not any(re.match(f"(?:[✓✗] )?{s}", line) for line in lines)]
    return ", ".join(wrong)


def printed_alike(english: str, other: str) -> bool:
    """Tell whether the same was printed: other lines than those of checks to the letter."""
    pairs = list(zip(english.split("\n"), other.split("\n"), strict=True))
    return all(
        sorted(NUMBER.findall(one)) == sorted(NUMBER.findall(two))
        if MARKED.fullmatch(one)
        else one == two
        for one, two in pairs
    )


def comments(source: str) -> list[str]:
    """Return what the comments of some code say; of none, if it is not Python."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [t.string.lstrip("#: ") for t in tokens if t.type == tokenize.COMMENT]
