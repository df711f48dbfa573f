"""Every row belongs to one process."""

import pytest
import torch

from companion.training import rows
from tests.training.support import as_process
from tests.verification import same


def parts(monkeypatch, batch, size, take=rows.shard):
    found = []
    for rank in range(size):
        as_process(monkeypatch, rows, rank, size)
        found.append(take(batch))
    return found


@pytest.mark.parametrize("size", [2, 3, 5, 7])
def test_every_row_belongs_to_one_process(monkeypatch, size):
    batch = {
        "ids": torch.arange(14).view(7, 2),
        "pair": (torch.arange(7), "a text", torch.tensor(3)),
    }
    found = parts(monkeypatch, batch, size)
    same("shard", "the batch", torch.cat([part["ids"] for part in found]), batch["ids"])
    same("shard", "the batch", torch.cat([part["pair"][0] for part in found]), torch.arange(7))
    assert all(part["pair"][1:] == ("a text", 3) for part in found)
    lengths = [len(part["ids"]) for part in found]
    assert max(lengths) - min(lengths) == (0 if size == 7 else 1)


def test_of_few_held_out_rows_each_counts_once(monkeypatch):
    found = parts(monkeypatch, torch.arange(2), 4, rows.rows_to_evaluate)
    same("rows_to_evaluate", "by hand", [part.tolist() for part, _ in found], [[0], [1], [0], [0]])
    same("rows_to_evaluate", "by hand", [counts for _, counts in found], [True, True, False, False])
    found = parts(monkeypatch, torch.arange(5), 2, rows.rows_to_evaluate)
    assert [(part.tolist(), counts) for part, counts in found] == [
        ([0, 1], True),
        ([2, 3, 4], True),
    ]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((torch.ones(4), torch.ones(3)), r"same number of rows.*got \[3, 4\]"),
        ({"language": "en"}, "got no tensor"),
        (torch.ones(0, 3), r"at least 1.*got \[0\]"),
        (torch.ones(1, 3), "a row for each of 2 processes, got 1: take larger batches"),
    ],
)
def test_a_batch_that_cannot_be_split_is_refused(monkeypatch, batch, message):
    with pytest.raises(ValueError, match=message):
        parts(monkeypatch, batch, 2)


@pytest.mark.verifies("digest", "the same for the same numbers only")
def test_a_digest_is_of_numbers_shapes_and_formats():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    others = [x + 1, x.T, x.view(4), x.double(), {"a": x, "b": x}, torch.zeros(2, 2).bool()]
    assert rows.digest(x) == rows.digest([x.clone()]) == rows.digest({"x": x, "n": 3})
    assert len({rows.digest(each) for each in (x, *others)}) == 7
