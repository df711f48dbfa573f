"""Batches by number: the same whenever they are asked for, and nothing left out."""

import numpy as np
import pytest
import torch

from companion.training import Epochs, WindowBatches, batches
from tests.verification import same


def test_an_epoch_holds_everything_once_in_an_order_of_its_own():
    epochs = Epochs(torch.arange(10), batch_size=4, seed=3)
    assert len(epochs) == 3
    orders = [torch.cat([epochs(3 * epoch + i) for i in range(3)]) for epoch in range(3)]
    for epoch, order in enumerate(orders):
        same("Epochs", "by hand", order.sort().values, list(range(10)))
        drawn = np.random.default_rng((3, epoch)).permutation(10)
        same("Epochs", "NumPy", order, drawn)
    assert len({tuple(order.tolist()) for order in orders}) == 3
    assert [len(epochs(i)) for i in range(3)] == [4, 4, 2]


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    one, other = (Epochs(torch.arange(10), batch_size=3, seed=1) for _ in "ab")
    backwards = {i: other(i) for i in reversed(range(12))}
    same(
        "Epochs",
        "itself, backwards",
        [one(i).tolist() for i in range(12)],
        [backwards[i].tolist() for i in range(12)],
    )
    assert Epochs(torch.arange(10), batch_size=10, seed=2)(0).tolist() != one(0).tolist()


def test_columns_stay_together():
    x = torch.arange(6)
    epochs = Epochs((x, 10 * x), batch_size=4)
    for i in range(4):
        a, b = epochs(i)
        assert torch.equal(10 * a, b)


def test_items_are_stacked_or_collated():
    items = [(torch.full((2,), i), i) for i in range(5)]
    rows, labels = Epochs(items, batch_size=2)(0)
    assert (rows.shape, labels.shape) == ((2, 2), (2,))
    assert rows[:, 0].tolist() == labels.tolist()
    texts = Epochs(["a", "bb", "ccc"], batch_size=3, collate=lambda x: sorted(x, key=len))
    assert texts(5) == ["a", "bb", "ccc"]
    pairs = Epochs((torch.arange(3), torch.arange(3)), batch_size=3, collate=sorted)(0)
    assert [(int(a), int(b)) for a, b in pairs] == [(0, 0), (1, 1), (2, 2)]


def test_windows_are_pieces_of_the_text():
    text = torch.randint(1000, (200,), generator=torch.Generator().manual_seed(0))
    windows = WindowBatches(text.numpy(), batch_size=5, length=7, seed=2)
    pieces = {tuple(text[i : i + 8].tolist()) for i in range(193)}
    seen = set()
    for i in range(20):
        x, y = windows(i)
        assert x.shape == y.shape == (5, 7)
        rows = {tuple(row) for row in torch.cat([x, y[:, -1:]], dim=1).tolist()}
        assert rows <= pieces
        same("WindowBatches", "shifted by one", x[:, 1:], y[:, :-1])
        seen |= rows
    assert len(seen) > 60
    same("WindowBatches", "itself", windows(3)[0], WindowBatches(text, 5, 7, seed=2)(3)[0])
    assert not torch.equal(windows(3)[0], WindowBatches(text, 5, 7, seed=1)(3)[0])
    assert not torch.equal(windows(3)[0], windows(4)[0])


def test_drawing_windows_leaves_the_generators_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    WindowBatches(torch.arange(50), 2, 4)(3)
    Epochs(torch.arange(50), 2)(3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.verifies("Repeated", "goes through an iterable again and again, and skips ahead")
@pytest.mark.verifies("numbered", "makes a function of an iterable")
def test_an_iterable_by_number():
    letters = batches.numbered(["a", "b", "c"])
    assert [letters(i) for i in (0, 1, 2, 3, 4, 8, 1, 0)] == list("abcabcba")
    assert batches.numbered(len) is len
    once = batches.numbered(iter("ab"))
    assert [once(0), once(1)] == ["a", "b"]
    with pytest.raises(ValueError, match="batches ended after 2, and cannot be gone through again"):
        once(2)
    with pytest.raises(ValueError, match="ended after 0"):
        batches.numbered([])(0)


@pytest.mark.verifies("finite", "an epoch, or what a list holds")
def test_batches_that_end():
    assert [len(batch) for batch in batches.finite(Epochs(torch.arange(5), 2))] == [2, 2, 1]
    assert batches.finite(["a"]) == ["a"]
    with pytest.raises(TypeError, match="must end, as those of a list"):
        batches.finite(WindowBatches(torch.arange(9), 1, 2))


@pytest.mark.verifies("moved", "moves tensors wherever they are in a batch")
def test_tensors_are_moved_wherever_they_are():
    x = torch.ones(2)
    moved = batches.moved({"a": x, "b": [x, (x, "text")], "n": 3}, "meta")
    assert moved["a"].device.type == moved["b"][0].device.type == "meta"
    assert moved["b"][1][0].device.type == "meta"
    assert (moved["b"][1][1], moved["n"]) == ("text", 3)


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (ValueError, "batch_size must be at most 3, got 4", lambda: Epochs([1, 2, 3], 4)),
        (ValueError, "batch_size must be at least 1", lambda: Epochs([1, 2, 3], 0)),
        (TypeError, "batch_size must be a whole", lambda: Epochs([1, 2, 3], 2.0)),
        (TypeError, "data must be a list or a tensor", lambda: Epochs(iter("abc"), 2)),
        (ValueError, "data is empty", lambda: Epochs([], 1)),
        (
            ValueError,
            "tensors of one length, got",
            lambda: Epochs((torch.ones(2), torch.ones(3)), 1),
        ),
        (ValueError, "seed must be at least 0", lambda: Epochs([1], 1, seed=-1)),
        (ValueError, "i must be at least 0", lambda: Epochs([1], 1)(-1)),
        (ValueError, "ids", lambda: WindowBatches(torch.arange(5), 2, 5)),
        (
            TypeError,
            "seed must be a whole",
            lambda: WindowBatches(torch.arange(9), 2, 5, seed=None),
        ),
        (TypeError, "batches must be a function", lambda: batches.numbered("abc")),
        (TypeError, "batches must be a function", lambda: batches.numbered(torch.ones(3))),
    ],
)
def test_wrong_arguments_are_named(kind, message, call):
    with pytest.raises(kind, match=message):
        call()
