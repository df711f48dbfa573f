"""Code that is copied out of a master stands alone."""

import sys
import types

import pytest

from assign import sources
from companion.notebook import _assignments
from exercises.attention import alibi, find_a_head, masked_numpy


def runs(source):
    names = {}
    exec(compile(source, "<copied>", "exec"), names)
    return names


def test_a_check_comes_with_what_it_needs_and_nothing_else():
    source = sources.gather([masked_numpy.blind_rows_give_zeros])
    names = runs(source)
    for needed in ("masked_case", "library_attention", "without_warning", "np", "torch"):
        assert needed in names
    for other in ("large_scores_are_safe", "SOLUTION", "exercise", "draw", "Check"):
        assert other not in names


def test_what_comes_from_another_master_is_copied_too():
    source = sources.gather([alibi.last_query_is_the_same_alone])
    assert "exercises" not in source
    assert "def normal(" in source
    assert runs(source)["normal"](2, seed=1).shape == (2,)


def test_what_comes_from_elsewhere_is_imported():
    source = sources.gather([find_a_head.examples_are_in_order])
    assert source.startswith("from companion import models\n")


def test_functions_are_defined_before_they_are_used():
    source = sources.gather([_assignments.report])
    assert source.index("def needs") < source.index("def demand") < source.index("def report")
    assert runs(source)["demand"].__module__ is not _assignments.__name__


def test_what_checks_share_is_imported_and_for_a_grader_copied():
    check = masked_numpy.agrees_where_rows_see
    source = sources.gather([check])
    assert "from companion.notebook._assignments import array\n" in source
    assert "def array(" not in source
    alone = sources.gather([_assignments.demand, check], sources.MACHINERY)
    assert "_assignments" not in alone
    for shared in ("array", "parts", "Sentence", "SENTENCES"):
        assert runs(alone)[shared] is not getattr(_assignments, shared)


LONG = '''
def size(x):  # of what?
    """Say how large.

    At length.
    """
    # This stays:
    return f"# {x}"


class Whole:
    """Nothing more."""


def one(): """In one line."""; return 1
'''
BARE = '''
def size(x):
    return f"# {x}"

class Whole:
    """Nothing more."""

def one(): """In one line."""; return 1
'''


def test_comments_and_docstrings_are_left_out_and_nothing_that_runs():
    assert sources.bare(LONG) == BARE
    assert runs(sources.bare(LONG))["size"](3) == "# 3"
    source = sources.gather([masked_numpy.blind_rows_give_zeros])
    assert list(runs(sources.bare(source))) == list(runs(source))


def master(name, code):
    module = types.ModuleType(name)
    sys.modules[name] = module
    path = f"/nowhere/{name}.py"
    import linecache

    linecache.cache[path] = (len(code), None, code.splitlines(keepends=True), path)
    module.__file__ = path
    exec(compile(code, path, "exec"), module.__dict__)
    return module


def test_two_things_of_one_name_are_told():
    first = master("first_master", "def size(): return 1\ndef one(): return size()\n")
    second = master("second_master", "def size(): return 2\ndef two(): return size()\n")
    with pytest.raises(ValueError, match="two modules define size"):
        sources.gather([first.one, second.two])
