"""Through the sandbox an answer meets the same tests with the same result as without."""

import functools
import importlib
import itertools
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


# -- gradients, models, iterators ----------------------------------------------------------------


def weight():
    return torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)


FILLS = "def fill(w, others):\n    ((w * 3).sum() + (others['b'][0] * 5).sum()).backward()"


def test_gradients_that_an_answer_leaves_in_its_arguments_arrive(answers):
    fill = answers(FILLS)["fill"]
    w, b = weight(), weight()
    fill(w, others={"b": [b]})
    assert (w.grad.tolist(), b.grad.tolist()) == ([3, 3], [5, 5])
    fill(w, {"b": [w]})  # one tensor twice; gradients add up
    assert w.grad.tolist() == [11, 11]


def test_gradients_lie_in_what_an_answer_defines_and_returns(answers):
    there = answers(
        "import torch\n"
        "w = torch.ones(2, requires_grad=True)\n"
        "(w * 2).sum().backward()\n"
        "def pair():\n    return {'w': (w, w.grad)}"
    )
    assert there["w"].grad.tolist() == [2, 2]
    w, grad = there["pair"]()["w"]
    assert w.grad is grad


def test_a_gradient_that_is_taken_away_is_gone(answers):
    w = weight()
    w.grad = torch.ones_like(w)
    answers("def clear(w):\n    w.grad = None")["clear"](w)
    assert w.grad is None


def test_a_graph_of_ours_stays_usable_when_only_gradients_were_written(answers):
    w = weight()
    ours = (w**2).sum()
    answers(FILLS)["fill"](w, {"b": [w]})
    ours.backward()
    assert w.grad.tolist() == [3 + 5 + 2, 3 + 5 + 4]


def test_arrays_by_keyword_and_in_containers_are_written_to(answers):
    there = answers(
        "def fill(x, *, into):\n"
        "    into['a'][:] = x\n    into['new'] = 7\n    x += 1\n    into['seen'].append(x)"
    )
    x, a, seen = np.arange(3.0), np.zeros(3), []
    into = {"a": a, "seen": seen}
    there["fill"](x=x, into=into)
    assert (a.tolist(), x.tolist(), into["new"]) == ([0, 1, 2], [1, 2, 3], 7)
    assert into["a"] is a
    assert into["seen"] is seen
    assert seen[0] is x


def test_gradients_flow_back_through_results_in_containers(answers):
    there = answers("def both(xs):\n    return xs[0] ** 2, {'sum': xs[0] + xs[1], 'n': 2}")
    x, y = weight(), weight()
    square, rest = there["both"]([x, y])
    (square.sum() + 10 * rest["sum"].sum()).backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([12, 14], [10, 10])


def test_a_model_and_its_optimiser_are_trained_over_there(answers):
    train = answers(
        "def train(model, optimiser, x):\n"
        "    optimiser.zero_grad()\n    model(x).square().sum().backward()\n    optimiser.step()"
    )["train"]
    torch.manual_seed(1)
    model, x = torch.nn.Linear(2, 1), torch.ones(1, 2)
    before = [p.detach().clone() for p in model.parameters()]
    train(model, optimiser=torch.optim.SGD(model.parameters(), lr=0.1), x=x)
    for parameter, old in zip(model.parameters(), before, strict=True):
        assert parameter.grad.abs().sum() > 0
        torch.testing.assert_close(parameter.detach(), old - 0.1 * parameter.grad)


def test_gradients_reach_the_parameters_of_a_model_that_is_passed_or_returned(answers):
    there = answers(
        "import torch\ndef apply(model, x):\n    return model(x)\n"
        "def make():\n    return torch.nn.Linear(2, 1, bias=False)"
    )
    x = torch.tensor([[3.0, 4.0]])
    ours = torch.nn.Linear(2, 1, bias=False)
    there["apply"](ours, x).sum().backward()
    assert ours.weight.grad.tolist() == [[3, 4]]
    theirs = there["make"]()
    theirs(x).sum().backward()
    assert next(iter(theirs.parameters())).grad.tolist() == [[3, 4]]


def test_an_iterator_may_never_end(answers):
    there = answers(
        "import itertools, random\nnumbers = itertools.count(1)\n"
        "def draw():\n    while True:\n        yield random.random()\n"
        "def half(x):\n    while True:\n        x = x / 2\n        yield x"
    )
    assert list(itertools.islice(there["numbers"], 250))[-1] == 250
    assert next(there["half"](np.ones(1))).tolist() == [0.5]
    random.seed(1)
    expected = [random.random() for _ in range(300)]
    random.seed(1)
    assert list(itertools.islice(there["draw"](), 300)) == expected


def test_a_partial_function_is_called_back(answers):
    assert answers("def call(f):\n    return f(2)")["call"](functools.partial(pow, 3)) == 9


def test_iterators_in_containers_are_left_to_the_answer(answers):
    there = answers("def add(pair):\n    return [sum(part) for part in pair]")
    assert there["add"]([iter([1, 2]), (n for n in (3, 4))]) == [3, 7]
