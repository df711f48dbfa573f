"""What tests share that hold a chapter's sentences and figures against its recorded runs."""

import ast
import json
from functools import cache

import nbformat


@cache
def record(benchmark):
    """Return what a script of `benchmarks` has recorded."""
    return json.loads(benchmark.RESULT.read_text(encoding="utf-8"))


@cache
def sources(chapter, prefix):
    """Return the sources of a chapter's cells, by their names without the prefix."""
    cells = nbformat.read(chapter, as_version=4).cells
    return {cell.id.removeprefix(prefix): cell.source for cell in cells}


@cache
def prose(chapter):
    """Return the text of a chapter."""
    cells = nbformat.read(chapter, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def constants(source):
    """Return what code sets to literal values, by name."""
    found = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign):
            continue
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            continue
        target = node.targets[0]
        several = isinstance(target, ast.Tuple)
        pairs = zip(target.elts, value, strict=True) if several else [(target, value)]
        found |= {name.id: one for name, one in pairs if isinstance(name, ast.Name)}
    return found


def spread(summary, digits=3):
    return f"{summary['mean']:.{digits}f} ± {summary['sd']:.{digits}f}"


def percent(summary, digits=0):
    return f"{100 * summary['mean']:.{digits}f} ± {100 * summary['sd']:.{digits}f} %"
