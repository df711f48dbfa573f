"""Code that is copied out of a master stands alone."""

import sys
import types

import pytest

from assign import runner, sources
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
    source = sources.gather([runner.report])
    assert source.index("def needs") < source.index("def demand") < source.index("def report")
    assert runs(source)["demand"].__module__ is not runner.__name__


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
