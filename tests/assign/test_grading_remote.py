"""Through the sandbox an answer meets the same tests with the same result as without."""

import importlib
import math
import random
from fractions import Fraction
from textwrap import dedent

import numpy as np
import pytest
import torch

from companion.assign.grading_remote import Answers, Environment
from companion.assign.sandbox import Limits, Sandbox
from companion.assign.sandbox_keeper import Nursery
from exercises import run

MASTER = importlib.import_module("exercises.attention")
# Those that measure times or load a model are graded in other tests.
EXERCISES = [e for e in MASTER.EXERCISES if e.kind in ("by hand", "predict", "code")]


@pytest.fixture(scope="module")
def nursery():
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def answers(nursery):
    """Return a function that runs code in a sandbox and gives what it defines."""
    sandbox = Sandbox(Limits(seconds=120), nursery)

    def define(*cells):
        if sandbox.keeper is None:
            sandbox.start()
        sandbox.step()
        for cell in cells:
            assert sandbox.ask({"do": "cell", "source": cell})[0] == {"ok": None}
        return Environment(Answers(sandbox))

    yield define
    sandbox.stop()


# -- the book's exercises ------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_every_answer_meets_the_same_fate(exercise, answers):
    """Numbers, messages, arguments written to, NumPy's warnings: all as in one process."""
    given = {"solution": exercise.solution, **exercise.wrong_answers}
    for name, code in given.items():
        here = exercise.failures(run(MASTER.SETUP, code))
        there = exercise.failures(answers("%reset -f", MASTER.SETUP, dedent(code)))
        assert there == here, name


# -- what may be surprising ----------------------------------------------------------------------


def test_data_come_as_copies_of_the_same_kind(answers):
    code = """
        import numpy as np, torch
        from fractions import Fraction
        from collections import OrderedDict
        values = [1, 2.5, None, True, 1j, "text", b"bytes", Fraction(1, 3), float("inf"), range(3),
                  (1, [2, {3}]), np.float32(0.5), np.arange(6).reshape(2, 3), np.array(["a", "b"]),
                  torch.arange(4.0).reshape(2, 2).T, torch.ones(2, dtype=torch.bfloat16),
                  torch.float16, OrderedDict(a=1), slice(1, None), ..., 2**70, -0.0]
        """
    there = answers(dedent(code))["values"]
    here = run("", code)["values"]
    assert [type(value) for value in there[:17]] == [type(value) for value in here[:17]]
    for a, b in zip(there, here, strict=True):
        if isinstance(b, torch.Tensor):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
        else:
            np.testing.assert_equal(a, b)
    assert math.copysign(1, there[-1]) == -1
    assert there[7] == Fraction(1, 3)


def test_arguments_are_written_to_as_if_there_were_no_wall(answers):
    there = answers(
        "def fill(array, tensor, items):\n    array[0] = tensor[0] = 9\n    items[1] = 8"
    )
    array, tensor, items = np.zeros(2), torch.zeros(2), [1, 2]
    there["fill"](array, tensor, items)
    assert array.tolist() == tensor.tolist() == [9, 0]
    assert items == [1, 8]


def test_random_numbers_go_on_where_they_stopped(answers):
    code = "import random, numpy as np, torch\n" + (
        "def draw():\n    return random.random(), np.random.rand(), torch.rand(2).tolist()"
    )
    there, here = answers(code)["draw"], run("", code)["draw"]
    results = []
    for draw in (there, here):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        results.append((draw(), draw()))
    assert results[0] == results[1]


def test_the_callers_grad_mode_and_warnings_hold_over_there(answers):
    there = answers(
        "import numpy as np, torch\n"
        "def tracks(x):\n    return (x * 2).requires_grad\n"
        "def grows(x):\n    return np.exp(x)"
    )
    x = torch.ones(1, requires_grad=True)
    assert there["tracks"](x) is True
    with torch.no_grad():
        assert there["tracks"](x) is False
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        there["grows"](np.array([1e4]))


def test_gradients_flow_back_through_a_call(answers):
    there = answers(
        "import torch\ndef f(x, w, factor=1.0):\n    return factor * (x.sin() @ w).exp()"
    )
    x = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    w = torch.rand(3, dtype=torch.float64, requires_grad=True)
    there["f"](x.tanh(), w, factor=2.0).sum().backward()
    found, (x.grad, w.grad) = (x.grad, w.grad), (None, None)
    (2 * (x.tanh().sin() @ w).exp()).sum().backward()
    torch.testing.assert_close(found, (x.grad, w.grad))
    assert torch.autograd.gradcheck(there["f"], (x, w))


def test_a_function_of_the_tests_is_called_back(answers):
    there = answers("def twice(f, x):\n    return f(f(x))")
    secret = 7
    assert there["twice"](lambda x: x * secret, np.ones(2)).tolist() == [49, 49]


def test_objects_answer_for_themselves_but_equal_nothing(answers):
    there = answers(
        "class Stack:\n"
        "    size = 2\n"
        "    def __init__(self, items): self.items = items\n"
        "    def top(self): return self.items[-1]\n"
        "    def __len__(self): return len(self.items)\n"
        "    def __getitem__(self, i): return self.items[i]\n"
        "    def __eq__(self, other): return True\n"
        "    __hash__ = None\n"
        "    def __array__(self, *args, **kwargs): return 21"
    )
    stack = there["Stack"]([4, 5])
    assert (stack.top(), len(stack), stack[0], list(stack), stack.size) == (5, 2, 4, [4, 5], 2)
    assert stack != 21
    assert stack != [4, 5]


def test_errors_keep_their_type(answers):
    there = answers(
        "class Odd(Exception): pass\n"
        "def fails(kind):\n    raise {'key': KeyError('k'), 'odd': Odd('o')}.get(kind, SystemExit)"
    )
    with pytest.raises(KeyError):
        there["fails"]("key")
    with pytest.raises(Exception, match="o") as caught:
        there["fails"]("odd")
    assert type(caught.value).__name__ == "Odd"
    with pytest.raises(Exception) as caught:  # noqa: PT011
        there["fails"]("leave")
    assert type(caught.value).__name__ == "SystemExit"


def test_a_starter_is_not_an_answer(answers):
    there = answers('def todo(x):\n    """What to do."""\n    ...\ndef done(x):\n    return x')
    assert there["todo"] is ...
    assert there["done"](3) == 3
