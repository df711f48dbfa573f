"""The words in Python code that are there for a reader, and the code with them translated.

They are comments, short docstrings, and the names of checks: what `check` is told to call them, or
a function of the page's own that hands its first argument to `check`, and what is printed behind
one of its marks. All else stays: whatever a translation says, the code does the same, in the same
lines. Where it would not, the English words stay.
"""

from __future__ import annotations

import ast
import io
import re
import token
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from tools.book.columns import in_lines
from tools.words import translation_checks

Say = Callable[[str], str]
CHECKS = ("check", "catches")  # of the package: what they are given first is a name
MARKS = ("✓ ", "✗ ")  # of a check that holds, and of one that fails
SHORT = 4  # lines with words; a longer docstring is a text of its own, with headings and examples
# What tools read in comments.
DIRECTIVE = re.compile(r"#\s*(type:|noqa\b|fmt:|ruff:|mypy:|pylint:|pragma\b|isort:|%%|!|-\*-)")
COMMENT = re.compile(r"(#+:?[ \t]*)(.*)", re.DOTALL)
LITERAL = re.compile(r"([a-zA-Z]*)('''|\"\"\"|'|\")(.*)\2", re.DOTALL)
MAGIC = re.compile(r"(\s*)[%!?].*")
PYTHON_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")  # below which stands Python
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FSTRING = tuple(getattr(token, f"FSTRING_{end}", -1) for end in ("START", "END"))  # from 3.12 on

Span = tuple[int, int]  # from which letter of the source to which


@dataclass(frozen=True)
class Piece:
    """A message in a source: where it stands, and how it is written there."""

    span: Span
    words: str
    write: Say  # from what it is to say to what stands in its place
    is_name: bool = False  # of a check
    is_template: bool = False  # has parts in braces


def words(source: str, sayers: Iterable[str] = CHECKS) -> list[str]:
    """Return the messages of a source, in order.

    >>> words('check("as by hand", f(x), 2)  # exact')
    ['as by hand', 'exact']
    """
    return [piece.words for piece in pieces(source, sayers)]


def translated(source: str, say: Say, sayers: Iterable[str] = CHECKS) -> str:
    """Return a source with its words in another language.

    >>> translated("x = 1  # here", {"here": "这里"}.get)
    'x = 1  # 这里'
    """
    before = skeleton(source, sayers)
    for piece in reversed(pieces(source, sayers)):
        said = say(piece.words)
        if said and said != piece.words:
            start, end = piece.span
            changed = source[:start] + piece.write(said) + source[end:]
            if skeleton(changed, sayers) == before:
                source = changed
    return source


def pieces(source: str, sayers: Iterable[str] = CHECKS) -> list[Piece]:
    """Return the messages of a source with their places; none where it is no Python."""
    readable = without_magics(source)
    if readable is None:
        return []
    text = _Text(readable)
    found = [*_comments(text), *_docstrings(text), *_names(text, set(sayers))]
    has_words = (piece for piece in found if says_something(piece.words))
    return sorted(has_words, key=lambda piece: piece.span)


def sayers(sources: Iterable[str]) -> set[str]:
    r"""Return the functions that name a check: the package's, and what hands them what comes first.

    >>> sorted(sayers(["def agrees(test, value):\n    check(test, value)"]))
    ['agrees', 'catches', 'check']
    """
    trees = [ast.parse(text) for text in map(without_magics, sources) if text is not None]
    functions = [n for t in trees for n in ast.walk(t) if isinstance(n, ast.FunctionDef)]
    known = set(CHECKS)
    while more := {f.name for f in functions if _hands_on(f, known)} - known:
        known |= more
    return known


def _hands_on(function: ast.FunctionDef, known: set[str]) -> bool:
    first = next((argument.arg for argument in function.args.args), None)
    named = (_name_of(node) for node in ast.walk(function) if _is_call(node, known))
    return any(isinstance(node, ast.Name) and node.id == first for node in named)


def says_something(text: str) -> bool:
    """Tell whether a message is more than a shape.

    >>> says_something("(tokens, width) -> (tokens,)"), says_something("(tokens, width): a table")
    (False, True)
    """
    is_code = text.startswith("(") and all(map(_is_expression, text.split("->")))
    return translation_checks.needs_translation(text) and not is_code


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return False
    return True


# -- what is no Python ---------------------------------------------------------------------------


def without_magics(source: str) -> str | None:
    r"""Return a source as Python can read it, letters in their places; None where it cannot.

    >>> without_magics("%pip install x\ny = 1  # one")
    'pass          \ny = 1  # one'
    """
    lines = source.split("\n")
    if lines[0].startswith("%%") and lines[0].split()[0] not in PYTHON_MAGICS:
        return None
    masked = "\n".join(_masked(line) if MAGIC.fullmatch(line) else line for line in lines)
    return next(filter(_is_python, (source, masked)), None)


def _masked(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}pass".ljust(len(line))


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


# -- where words stand ---------------------------------------------------------------------------


class _Text:
    """A source that Python can read, with its tree, its tokens, and places counted in letters."""

    def __init__(self, source: str):
        self.source = source
        self.tree = ast.parse(source)
        self.tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        self.lines = source.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def place(self, line: int, column: int) -> int:
        """Return where a line's column is; tokens count columns in letters."""
        return self.starts[line - 1] + column

    def span(self, node: ast.expr) -> Span:
        """Return where a node stands; trees count columns in bytes."""
        ends = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
        start, end = (
            self.place(line, len(self.lines[line - 1].encode()[:column].decode()))
            for line, column in ends
        )
        return start, end

    def literals(self, span: Span) -> list[Span]:
        """Return where the strings stand that a string is put together of."""
        found, depth, opened = [], 0, 0
        for each in self.tokens:
            start, end = self.place(*each.start), self.place(*each.end)
            if start < span[0] or end > span[1]:
                continue
            if each.type == FSTRING[0]:
                depth, opened = depth + 1, opened if depth else start
            elif each.type == FSTRING[1]:
                depth -= 1
                found += [] if depth else [(opened, end)]
            elif each.type == token.STRING and not depth:
                found.append((start, end))
        return found


def _comments(text: _Text) -> Iterator[Piece]:
    """Yield comments; those in lines below one another, with no code before them, are one."""
    group: list[tokenize.TokenInfo] = []
    for each in [*(t for t in text.tokens if t.type == token.COMMENT), None]:
        if group and not (each and _goes_on(group[-1], each)):
            yield _comment(text, group)
            group = []
        if each and not DIRECTIVE.match(each.string) and _said_in(each):
            group.append(each)


def _goes_on(above: tokenize.TokenInfo, below: tokenize.TokenInfo) -> bool:
    (line, column), alone = above.start, not below.line[: below.start[1]].strip()
    is_alone = alone and not above.line[:column].strip()
    is_alike = _mark_of(above) == _mark_of(below) and not DIRECTIVE.match(below.string)
    has_words = bool(_said_in(below))
    return is_alone and is_alike and has_words and below.start == (line + 1, column)


def _mark_of(comment: tokenize.TokenInfo) -> str:
    match = COMMENT.fullmatch(comment.string)
    return match[1].rstrip() if match else ""


def _said_in(comment: tokenize.TokenInfo) -> str:
    match = COMMENT.fullmatch(comment.string)
    return match[2].strip() if match else ""


def _comment(text: _Text, group: list[tokenize.TokenInfo]) -> Piece:
    first = COMMENT.fullmatch(group[0].string)
    assert first is not None
    span = text.place(*group[0].start) + len(first[1]), text.place(*group[-1].end)
    return _paragraph(span, [_said_in(each) for each in group], " " * group[0].start[1] + first[1])


def _paragraph(span: Span, lines: list[str], before: str) -> Piece:
    """Return lines of text as one message, written in as many lines."""

    def write(said: str) -> str:
        return f"\n{before}".join(line.rstrip() for line in in_lines(said, len(lines)))

    return Piece(span, " ".join(" ".join(lines).split()), write)


def _docstrings(text: _Text) -> Iterator[Piece]:
    for node in _docstring_nodes(text.tree):
        start, end = text.span(node)
        match = LITERAL.fullmatch(text.source[start:end])
        if match and match[3] == node.value and len(re.findall(r"(?m)^.*\S", match[3])) <= SHORT:
            place = start + match.start(3)
            for paragraph in re.finditer(r"\S.*(?:\n[ \t]*\S.*)*", match[3]):
                lines = paragraph[0].rstrip().split("\n")
                said = [line.strip() for line in lines]
                indent = lines[-1][: len(lines[-1]) - len(said[-1])]
                where = place + paragraph.start(), place + paragraph.start() + len("\n".join(lines))
                yield _paragraph(where, said, indent)


def _docstring_nodes(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS) and isinstance(node.body[0], ast.Expr):
            value = node.body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def _names(text: _Text, sayers: set[str]) -> Iterator[Piece]:
    for node in _said_nodes(text.tree, sayers):
        literals = text.literals(text.span(node))
        found = [LITERAL.fullmatch(text.source[start:end]) for start, end in literals]
        parts = [match for match in found if match]
        if len(parts) < len(found) or any("\\" in match[3] for match in parts):
            continue
        template = isinstance(node, ast.JoinedStr)
        inner = "".join(_in_braces(match) if template else match[3] for match in parts)
        write = partial(_string, text.source, literals, "f" if template else "")
        yield Piece((literals[0][0], literals[-1][1]), inner, write, True, template)


def _in_braces(match: re.Match) -> str:
    """Return what a string says, as it would stand in one that has parts in braces."""
    if "f" in match[1].lower():
        return match[3]
    return match[3].replace("{", "{{").replace("}", "}}")


def _string(source: str, literals: list[Span], prefix: str, said: str) -> str:
    """Return a string, in as many pieces as it had, with what stood between them."""
    pieces, written = in_lines(said, len(literals)), ""
    for number, (_, end) in enumerate(literals):
        quote = '"' if '"' not in pieces[number] else "'"
        gap = source[end : literals[number + 1][0]] if number + 1 < len(literals) else ""
        written += f"{prefix}{quote}{pieces[number]}{quote}{gap}"
    return written


def _said_nodes(tree: ast.AST, sayers: set[str]) -> list[ast.Constant | ast.JoinedStr]:
    """Return the strings that name checks, and those that are printed behind a mark."""
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    sayers = sayers | {str(_target(node)) for node in assigned if _callees(node.value) & sayers}
    named = [_name_of(node) for node in ast.walk(tree) if _is_call(node, sayers)]
    printed = [s for n in ast.walk(tree) if _is_call(n, {"print"}) for s in _strings(_name_of(n))]
    found = [string for node in named for string in _strings(node)]
    variables = _only_said(tree, named)
    for node in assigned:
        found += _strings(node.value) if _target(node) in variables else []
    return list(dict.fromkeys(found + [s for s in printed if _beginning(s).startswith(MARKS)]))


def _only_said(tree: ast.AST, named: list[ast.expr]) -> set[str]:
    """Return the variables that do nothing but name checks."""
    said = [node for node in named if isinstance(node, ast.Name)]
    read = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return {node.id for node in said} - {node.id for node in read if node not in said}


def _is_call(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and bool(_callees(node.func) & names and node.args)


def _callees(function: ast.expr) -> set[str]:
    """Return what may be called, by name: one function, or one of two."""
    if isinstance(function, ast.IfExp):
        return _callees(function.body) | _callees(function.orelse)
    return {function.id} if isinstance(function, ast.Name) else set()


def _name_of(call: ast.AST) -> ast.expr:
    return vars(call)["args"][0]


def _target(node: ast.Assign) -> str | None:
    target = node.targets[0]
    return target.id if len(node.targets) == 1 and isinstance(target, ast.Name) else None


def _strings(node: ast.expr) -> list[ast.Constant | ast.JoinedStr]:
    """Return the strings that an expression may be."""
    if isinstance(node, ast.IfExp):
        return [*_strings(node.body), *_strings(node.orelse)]
    if isinstance(node, ast.Constant):
        return [node] if isinstance(node.value, str) else []
    return [node] if isinstance(node, ast.JoinedStr) else []


def _beginning(node: ast.Constant | ast.JoinedStr) -> str:
    first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else node
    return str(first.value) if isinstance(first, ast.Constant) else ""


# -- what must stay ------------------------------------------------------------------------------


def skeleton(source: str, sayers: Iterable[str] = CHECKS) -> str | None:
    """Return what a source does, without the words in it; None where it is no Python."""
    readable = without_magics(source)
    if readable is None:
        return None
    tree = ast.parse(readable)
    for node in (*_docstring_nodes(tree), *_said_nodes(tree, set(sayers))):
        if isinstance(node, ast.JoinedStr):
            parts = [part for part in node.values if isinstance(part, ast.FormattedValue)]
            node.values = sorted(parts, key=ast.dump)
        else:
            node.value = ""
    return f"{source.count(chr(10))} {ast.dump(tree)}"
