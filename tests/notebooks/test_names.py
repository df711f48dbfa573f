"""A reader goes back to a cell after others have run: it finds what it found the first time.

If a cell reads ``z`` from the cell before, and a later one gives the name to something else, the
first fails when it is run again, or shows another result and says nothing.
"""

import ast
import builtins
import symtable

import pytest

from tools.book import contents, notebooks


def bound(node):
    """Return the names that a statement of a cell binds or, as ``except`` does, deletes."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).partition(".")[0]}
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
    names = {node.name} if isinstance(node, ast.ExceptHandler) and node.name else set()
    return names.union(*map(bound, ast.iter_child_nodes(node)))


def later(table):
    """Return the names that functions, classes and comprehensions read from the notebook."""
    names = set()
    for inner in table.get_children():
        names |= {s.get_name() for s in inner.get_symbols() if s.is_global()} | later(inner)
    return names


def now(node):
    """Return the names that a statement reads when it runs."""
    table = symtable.symtable(ast.unparse(node), "statement", "exec")
    read = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    if isinstance(node, ast.For | ast.With | ast.Assign | ast.AnnAssign):
        return read - bound(node) | values(node)
    return read


def values(node):
    """Return what a loop goes through, a block opens, or an assignment computes from."""
    if isinstance(node, ast.For):
        parts = [node.iter]
    elif isinstance(node, ast.With):
        parts = [item.context_expr for item in node.items]
    else:
        parts = [node.value] if node.value else []
    return {n for part in parts for n in now(ast.Expr(part))}


def reads(code):
    """Return the names that a cell reads before it binds them, if it ever does."""
    read, known = set(), set()
    for node in ast.parse(code).body:
        read |= now(node) - known
        known |= bound(node)
    inside = later(symtable.symtable(code, "cell", "exec"))
    return (read | inside - known) - set(dir(builtins))


def definitions(code):
    """Return what each name of a cell is; two functions are the same if their code is."""
    found = {}
    for node in ast.parse(code).body:
        found |= dict.fromkeys(bound(node), ast.dump(node))
    return found


def renamed(codes):
    """Return (reader, name, who binds it anew) for what would be another thing the next time."""
    made = [definitions(code) for code in codes]
    found = []
    for i, code in enumerate(codes):
        for name in sorted(reads(code)):
            source = next((each[name] for each in reversed(made[:i]) if name in each), None)
            anew = [j for j in range(i + 1, len(codes)) if made[j].get(name, source) != source]
            if source and anew:
                found.append((code, name, codes[anew[0]]))
    return found


@pytest.mark.parametrize("path", contents.notebooks(), ids=contents.label)
def test_a_name_that_cells_share_stays_what_it_is(path):
    cells = [cell for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    assert renamed([cell.source for cell in cells]) == []


READER = "print(z)"


@pytest.mark.parametrize(
    ("reader", "after"),
    [
        (READER, "z = 2"),
        (READER, "for z in range(3):\n    pass"),
        (READER, "w, (z, y) = 1, (2, 3)"),
        (READER, "try:\n    w\nexcept NameError as z:\n    pass"),
        (READER, "import numpy as z"),
        (READER, "def z():\n    pass"),
        (READER, "if True:\n    with open('x') as z:\n        pass"),
        ("def f():\n    return z", "z = 2"),
        ("w = [z for _ in range(3)]", "z = 2"),
        ("z = z + 1", "z = 2"),
        ("for x in z:\n    z = x", "z = 2"),
        ("f = lambda: z", "z = 2"),
    ],
)
def test_a_name_given_to_something_else_is_found(reader, after):
    assert renamed(["z = 1", reader, after]) == [(reader, "z", after)]


@pytest.mark.parametrize(
    ("reader", "after"),
    [
        (READER, "w = [z for z in range(3)]"),
        (READER, "def f(z):\n    z = 2"),
        (READER, "f(z=2)"),
        (READER, "z = 1"),
        ("z = 3\nprint(z)", "z = 2"),
        ("for z in range(3):\n    print(z)", "z = 2"),
        ("z = 3\n\n\ndef f():\n    return z", "z = 2"),
        ("f = lambda z: z", "z = 2"),
    ],
)
def test_a_name_of_a_cell_s_own_may_be_used_again(reader, after):
    assert renamed(["z = 1", reader, after]) == []
