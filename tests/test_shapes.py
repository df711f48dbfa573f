"""Declared shapes are checked while tests run.

Each call here is one that the package's own checks let through.
"""

import jaxtyping
import pytest
import torch

from companion import attention, models
from tests.plugins import shapes

WRONG = {
    "one mask for two texts": lambda: models.Seq2Seq(
        models.Seq2SeqConfig(vocab_size=10, d_model=8, n_layers=1, n_heads=2, d_hidden=16)
    )(
        torch.ones(2, 3, dtype=torch.long),
        torch.ones(2, 3, dtype=torch.long),
        torch.ones(1, 1, 3, dtype=torch.bool),
    ),
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
