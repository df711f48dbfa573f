"""The answers of the exercises on the translator, held against what must come out."""

import random

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from exercises import run
from exercises import transformer as master
from exercises.transformer import decoder_batch, what_moves

pytestmark = pytest.mark.chapter("transformer")


@pytest.mark.parametrize("seed", range(6))
def test_the_rows_that_move_follow_from_the_masks(seed):
    given = what_moves.draw(random.Random(seed))
    found = run(master.SETUP, what_moves.exercise(**given).solution)["row_predictions"]
    rows = given["target"]
    assert found == {"a": rows, "b": 0, "c": rows - given["place"], "d": rows}


@pytest.mark.parametrize("ignored", [-100, -1])
def test_the_decoder_reads_and_predicts_the_same_row_shifted(ignored):
    answer = run(master.SETUP, decoder_batch.exercise(ignored=ignored).solution)
    rows = [[5], [9, 8, 7, 6], [4, 4]]
    inputs, labels = answer["decoder_batch"](rows, 1, 2)
    whole = [torch.tensor([1, *row, 2]) for row in rows]
    wanted = pad_sequence([row[1:] for row in whole], batch_first=True, padding_value=ignored)
    assert torch.equal(labels, wanted)
    read = pad_sequence([row[:-1] for row in whole], batch_first=True, padding_value=2)
    assert torch.equal(inputs, read)
    # Only what is to be predicted counts: the loss is the mean over n + 1 tokens of each row.
    logits = torch.randn(*labels.shape, 10, generator=torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=ignored, reduction="sum"
    )
    log_p = logits.log_softmax(dim=-1)
    pairs = [(i, t, int(row[t + 1])) for i, row in enumerate(whole) for t in range(len(row) - 1)]
    assert loss.item() == pytest.approx(-sum(log_p[place].item() for place in pairs), rel=1e-5)
