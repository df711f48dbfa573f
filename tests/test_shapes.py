"""Declared shapes are checked while tests run.

Each call here is one that the package's own checks let through.
"""

import jaxtyping
import pytest
import torch

from companion import activations, attention, layers
from companion.models import BertConfig, BertEncoder
from tests.plugins import shapes

TINY = BertConfig(vocab_size=20, d_model=8, n_layers=1, n_heads=2, d_hidden=16)
IDS = torch.zeros(2, 4, dtype=torch.int64)
WRONG = {
    "ids that are not whole": lambda: layers.Embedding(4, 2)(torch.zeros(4).bool()),
    "whole numbers": lambda: activations.relu(torch.tensor([1, 2])),
    "positions that are not whole": lambda: layers.apply_rotary(torch.zeros(2, 4), torch.rand(2)),
    "a column of lengths": lambda: attention.padding_mask(torch.tensor([[1], [2]])),
    "another batch in a mask": lambda: BertEncoder(TINY)(IDS, torch.ones(1, 1, 4).bool()),
    "another width in the context": lambda: attention.MultiHeadAttention(8, 2)(
        torch.zeros(2, 3, 8), torch.zeros(1, 3, 8)
    ),
}


def test_the_hook_is_installed_in_time():
    hint = 'conftest.py needs pytest_plugins = ["tests.plugins.shapes", "tests.verification"]'
    assert shapes.IN_TIME, hint


@pytest.mark.parametrize("what", WRONG)
def test_wrong_shapes_raise(what):
    with shapes.unchecked():
        WRONG[what]()  # nothing else would notice
    with pytest.raises(jaxtyping.TypeCheckError):
        WRONG[what]()
