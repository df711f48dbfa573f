"""Windows over a long row of tokens, in memory and in a file, against torch's `unfold`."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import data
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary, sizes
from tests.verification import same


@shapes_vary
@given(n=st.integers(2, 40), length=sizes, stride=st.none() | sizes)
def test_windows_are_those_of_unfold(n, length, stride):
    n = max(n, length + 1)
    ids = torch.randint(50_000, (n,), generator=torch.Generator().manual_seed(n))
    rows = ids.unfold(0, length + 1, stride or length)
    for form in (ids, ids.numpy().astype(np.uint16), ids.int()):
        windows = data.Windows(form, length, stride)
        x, y = (torch.stack(part) for part in zip(*windows, strict=True))
        same("Windows", "torch.Tensor.unfold", x, rows[:, :-1])
        same("Windows", "torch.Tensor.unfold", y, rows[:, 1:])
        assert len(windows) == len(rows)
        assert torch.equal(windows[-1][0], x[-1])
        assert x.dtype == y.dtype == torch.int64


@shapes_vary
@given(n=st.integers(2, 40), length=sizes, batch_size=sizes, seed=seeds)
def test_a_batch_is_of_windows_that_are_there(n, length, batch_size, seed):
    ids = np.arange(max(n, length + 1), dtype=np.uint16) + 60_000
    x, y = data.get_batch(ids, batch_size, length, torch.Generator().manual_seed(seed))
    again, _ = data.get_batch(ids, batch_size, length, torch.Generator().manual_seed(seed))
    assert x.shape == (batch_size, length)
    assert x.dtype == y.dtype == torch.int64
    same("get_batch", "the ids one further on", y, x + 1)
    same("get_batch", "itself with the same seed", again, x)
    assert x.min() >= ids.min()
    assert y.max() <= ids.max()


def test_every_window_is_drawn_equally_often():
    ids = torch.arange(7)
    x, _ = data.get_batch(ids, 40_000, 3, torch.Generator().manual_seed(0))
    shares = torch.bincount(x[:, 0]) / 40_000
    assert len(shares) == 4  # windows begin at 0, 1, 2 and 3; the last target is 6
    assert (shares - 1 / 4).abs().max() < 5 * (1 / 4 * 3 / 4 / 40_000) ** 0.5


def test_a_file_is_read_where_windows_are_and_nowhere_else(tmp_path):
    path = tmp_path / "ids.bin"
    np.arange(1000, dtype=np.uint16).tofile(path)
    read = []

    class Watched(np.memmap):
        def __getitem__(self, places):
            read.append(np.asarray(places))
            return np.asarray(super().__getitem__(places))

    ids = np.memmap(path, dtype=np.uint16, mode="r").view(Watched)
    x, _ = data.get_batch(ids, 4, 8)
    assert sum(places.size for places in read) == 4 * 9
    read.clear()
    windows = data.Windows(ids, 8, 100)
    assert read == []
    same("Windows", "by hand", windows[2][0], torch.arange(200, 208))
    assert sum(places.size for places in read) == 9
    assert torch.equal(x[:, 1:], x[:, :-1] + 1)


def test_windows_feed_a_loader():
    windows = data.Windows(torch.arange(9), 2)
    loader = torch.utils.data.DataLoader(windows, batch_size=3)
    x, y = next(iter(loader))
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert y.tolist() == [[1, 2], [3, 4], [5, 6]]
    again = pickle.loads(pickle.dumps(windows))
    assert [x.tolist() for x, _ in again] == [x.tolist() for x, _ in windows]
    assert repr(windows) == "Windows(4 of 2 tokens, stride 2)"


WRONG = {
    "ids must hold at least 5 tokens, one more than a window; got 4": (np.arange(4), 4),
    "length must be at least 1, got 0": (np.arange(9), 0),
    r"ids must have one dimension, got shape \(3, 3\)": (np.ones((3, 3), int), 2),
}
WRONG_TYPES = {
    "ids must be whole numbers, got float32": (torch.ones(9), 2),
    "ids must be whole numbers, got bool": (np.ones(9, bool), 2),
    "ids must be an array or a tensor, got list": (list(range(9)), 2),
    "length must be a whole number, got 2.0": (np.arange(9), 2.0),
}


@pytest.mark.parametrize("message", [*WRONG, *WRONG_TYPES])
def test_what_is_wrong_is_named(message):
    ids, length = (WRONG | WRONG_TYPES)[message]
    kind = ValueError if message in WRONG else TypeError
    with unchecked():
        with pytest.raises(kind, match=message):
            data.get_batch(ids, 2, length)
        with pytest.raises(kind, match=message):
            data.Windows(ids, length)


def test_sizes_and_places_out_of_range():
    ids = np.arange(9)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        data.get_batch(ids, 0, 2)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        data.Windows(ids, 2, 0)
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"below the number of windows, 4, got {index}"):
            data.Windows(ids, 2)[index]
    with unchecked(), pytest.raises(TypeError, match=r"generator must be a torch.*, got 0"):
        data.get_batch(ids, 2, 2, generator=0)


def test_targets_are_no_view_of_the_inputs():
    """Tokens are masked in place; and `y.view(-1)` needs numbers that stand in a row."""
    for x, y in (data.get_batch(np.arange(20), 1, 5), data.get_batch(torch.arange(20), 3, 5)):
        before = y.clone()
        x[:] = -1
        assert torch.equal(y, before)
        assert y.view(-1).shape == (y.numel(),)
    x, y = data.Windows(np.arange(20), 5)[1]
    x[:] = -1
    assert y.tolist() == [6, 7, 8, 9, 10]


def test_ids_of_another_machine():
    """Big-endian numbers are whole numbers, too."""
    x, _ = data.Windows(np.arange(5, dtype=">u2"), 2)[1]
    assert x.tolist() == [2, 3]
