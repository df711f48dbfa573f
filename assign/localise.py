"""What a check says to a student, found in its source and put into another language.

A check is ordinary Python: ``assert n == 3, f"there should be 3 keys, not {n}"``. Its message in
the catalogs is the text between the quotes, ``there should be 3 keys, not {n}``. A translation
may use the same parts in braces, in any order, and no others, so that it can never bring code
along that was not there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

__all__ = ["messages", "localise"]

SAYING = ("AssertionError", "RuntimeError", "print")
BRACE = re.compile(r"(?<!\{)\{(?:\{\{)*(?!\{)|(?<!\})\}(?:\}\})*(?!\})")  # one that is not doubled
LETTER = re.compile(r"[^\W\d_]")

Part = tuple[str, ast.expr | None]  # literal text, or a part in braces with its expression


def messages(source: str) -> list[str]:
    """Return the messages of a module's or a function's source, in order."""
    found = ((node.lineno, node.col_offset, _message(node)) for node in _nodes(ast.parse(source)))
    return [text for _, _, text in sorted(found) if _is_language(text)]


def localise(source: str, translate: Callable[[str], str]) -> str:
    """Return the source with its messages translated, and everything else as it was."""
    lines = source.encode().split(b"\n")
    nodes = sorted(_nodes(ast.parse(source)), key=lambda n: (n.lineno, n.col_offset))
    for node in reversed(nodes):
        text = _message(node)
        translated = translate(text) if _is_language(text) else text
        if translated != text:
            _replace(lines, node, ast.unparse(_rebuild(node, translated)))
    return b"\n".join(lines).decode()


def _nodes(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the strings that are said: by an assert, by an error, by print."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.msg is not None:
            yield from _strings(node.msg)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in SAYING:
            for argument in node.args:
                yield from _strings(argument)


def _strings(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _strings(value)
    elif isinstance(node, ast.IfExp):
        yield from _strings(node.body)
        yield from _strings(node.orelse)
    elif isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    ):
        yield node


def _parts(node: ast.expr) -> Iterator[Part]:
    """Yield the parts of a string, as they are written between its quotes."""
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        if isinstance(part, ast.Constant):
            yield str(part.value).replace("{", "{{").replace("}", "}}"), None
        elif isinstance(part, ast.FormattedValue):
            conversion = "" if part.conversion == -1 else f"!{chr(part.conversion)}"
            form = "" if part.format_spec is None else ":" + _message(part.format_spec)
            yield f"{{{ast.unparse(part.value)}{conversion}{form}}}", part


def _message(node: ast.expr) -> str:
    return "".join(text for text, _ in _parts(node))


def _is_language(text: str) -> bool:
    """Tell whether anything is said besides what is put in."""
    return bool(LETTER.search(re.sub(r"\{[^{}]*\}", "", text)))


def _rebuild(node: ast.expr, translated: str) -> ast.expr:
    """Return the string that says `translated`, with the expressions of `node`."""
    known = {text: part for text, part in _parts(node) if part is not None}
    pattern = "|".join(re.escape(text) for text in known) or r"(?!)"
    pieces = re.split(f"({pattern})", translated)
    if any(BRACE.search(piece) for piece in pieces if piece not in known):
        only = ", ".join(known) or "no parts in braces"
        raise ValueError(f"translation must use only {only}, got {translated!r}")
    values: list[ast.expr] = []
    for piece in pieces:
        if piece in known:
            values.append(known[piece])
        elif piece:
            values.append(ast.Constant(piece.replace("{{", "{").replace("}}", "}")))
    return ast.JoinedStr(values) if known else ast.Constant("".join(v.value for v in values))  # type: ignore[attr-defined]


def _replace(lines: list[bytes], node: ast.expr, code: str) -> None:
    """Put `code` where `node` stands; positions are counted in bytes."""
    start, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    after = lines[end][node.end_col_offset :]
    lines[start : end + 1] = [lines[start][: node.col_offset] + code.encode() + after]
