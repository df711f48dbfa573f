"""The LSTM against torch's with the same weights, the twin, and by hand; and its classifier."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from companion import models
from companion.reference import models as twin
from tests.plugins import shapes
from tests.support import FLOATS, SIXTEEN_BITS, fill, normal, seeds, shapes_vary, sizes
from tests.verification import agree


def torchs(ours):
    """Return torch's LSTM with the weights of ours; its second bias is 0."""
    cell = ours.cell
    d_in, dtype = cell.from_input.weight.shape[1], cell.from_input.weight.dtype
    theirs = nn.LSTM(d_in, ours.d_hidden, batch_first=True, dtype=dtype)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(cell.from_input.weight)
        theirs.weight_hh_l0.copy_(cell.from_state.weight)
        theirs.bias_ih_l0.copy_(cell.from_input.bias)
        theirs.bias_hh_l0.zero_()
    return theirs


def arrays(cell):
    parameters = (cell.from_input.weight, cell.from_state.weight, cell.from_input.bias)
    return [p.detach().double().numpy() for p in parameters]


@shapes_vary
@given(batch=sizes, length=st.integers(1, 12), d_in=sizes, d_hidden=sizes, seed=seeds)
def test_lstm_of_any_shape(batch, length, d_in, d_hidden, seed):
    for dtype in FLOATS:
        ours = fill(models.LSTM(d_in, d_hidden), seed, dtype)
        theirs = torchs(ours)
        x = normal(batch, length, d_in, seed=seed, dtype=dtype)
        states, (h, c) = ours(x)
        expected, (their_h, their_c) = theirs(x)
        agree("LSTM", "torch.nn.LSTM", states, expected)
        agree("LSTM, last h", "torch.nn.LSTM", h, their_h[0])
        agree("LSTM, last c", "torch.nn.LSTM", c, their_c[0])
        by_loops = [twin.lstm(row.double().numpy(), *arrays(ours.cell)) for row in x]
        agree("LSTM", "NumPy twin", states, np.array(by_loops))
        if dtype == torch.float64:
            agree("twin: lstm", "torch.nn.LSTM", np.array(by_loops), expected)


def test_lstm_from_a_given_state():
    ours = fill(models.LSTM(3, 4))
    x, h, c = normal(2, 5, 3), normal(2, 4, seed=1), normal(2, 4, seed=2)
    expected, _ = torchs(ours)(x, (h[None], c[None]))
    agree("LSTM, from a state", "torch.nn.LSTM", ours(x, (h, c))[0], expected)
    _, state = ours(x[:, :2], (h, c))
    agree("LSTM, in two parts", "torch.nn.LSTM", ours(x[:, 2:], state)[0], expected[:, 2:])


def test_the_cell_against_torchs():
    ours, theirs = fill(models.LSTMCell(3, 4)), nn.LSTMCell(3, 4, dtype=torch.float64)
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.from_input.weight)
        theirs.weight_hh.copy_(ours.from_state.weight)
        theirs.bias_ih.copy_(ours.from_input.bias)
        theirs.bias_hh.zero_()
    x, h, c = normal(2, 3), normal(2, 4, seed=1), normal(2, 4, seed=2)
    for value, expected in zip(ours(x, (h, c)), theirs(x, (h, c)), strict=True):
        agree("LSTMCell", "torch.nn.LSTMCell", value, expected)
    one = twin.lstm_step(x[0].numpy(), h[0].numpy(), c[0].numpy(), *arrays(ours))
    for value, expected in zip(one, theirs(x, (h, c)), strict=True):
        agree("twin: lstm_step", "torch.nn.LSTMCell", value, expected[0])


def test_a_step_by_hand():
    """Biases ln 3, ln 1, 0.5, ln 4 alone: i = 3/4, f = 1/2, g = tanh 0.5, o = 4/5."""
    cell = fill(models.LSTMCell(1, 1), scale=0.0)
    with torch.no_grad():
        logits = torch.tensor([math.log(3), 0.0, 0.5, math.log(4)], dtype=torch.float64)
        cell.from_input.bias.copy_(logits)
    one = torch.ones(1, 1, dtype=torch.float64)
    h, c = cell(5 * one, (7 * one, 0.6 * one))
    memory = 0.5 * 0.6 + 0.75 * math.tanh(0.5)
    agree("LSTMCell", "by hand", c, [[memory]])
    agree("LSTMCell", "by hand", h, [[0.8 * math.tanh(memory)]])


def test_gradients():
    lstm = fill(models.LSTM(2, 3))
    names, values = zip(*lstm.named_parameters(), strict=True)

    def call(x, *values):
        return torch.func.functional_call(lstm, dict(zip(names, values, strict=True)), x)[0]

    assert gradcheck(call, (normal(2, 4, 2).requires_grad_(), *values))


@pytest.mark.verifies("LSTMCell", "an open forget gate passes on the gradient over 100 steps")
def test_an_open_gate_keeps_memory():
    cell = fill(models.LSTMCell(1, 1), scale=0.0)
    with torch.no_grad():
        cell.from_input.bias[1] = 20.0
    c = start = torch.full((1, 1), 0.3, dtype=torch.float64, requires_grad=True)
    h = torch.zeros_like(c)
    for _ in range(100):
        h, c = cell(torch.zeros_like(c), (h, c))
    (gradient,) = torch.autograd.grad(c.sum(), start)
    assert gradient.item() == pytest.approx(1, abs=1e-6)


def test_the_forget_gate_starts_open_and_the_rest_like_torch():
    torch.manual_seed(0)
    cell = models.LSTMCell(6, 25)
    bias = cell.from_input.bias.detach().reshape(4, 25)
    assert (bias[1] == 1).all()
    for part in (bias[0], bias[2], bias[3], cell.from_input.weight, cell.from_state.weight):
        assert 0.1 < part.abs().max() <= 0.2


# -- the classifier ------------------------------------------------------------------------------

IDS, LENGTHS = torch.tensor([[3, 1, 2, 0], [4, 4, 0, 0]]), torch.tensor([3, 2])


def test_classifier_by_its_parts():
    model = fill(models.LSTMClassifier(5, 3, 4)).eval()
    states, _ = torchs(model.lstm)(F.embedding(IDS, model.embedding.weight))
    means = torch.stack([states[0, :3].mean(0), states[1, :2].mean(0)])
    expected = F.linear(means, model.output.weight, model.output.bias)[:, 0]
    agree("LSTMClassifier", "torch.nn.LSTM", model(IDS, LENGTHS), expected)
    p = model.probability(IDS, LENGTHS)
    agree("LSTMClassifier.probability", "torch.sigmoid", p, torch.sigmoid(expected))
    assert p.shape == (2,)
    assert not p.requires_grad


def test_what_fills_up_changes_nothing():
    model = fill(models.LSTMClassifier(5, 3, 4)).eval()
    alone = torch.cat([model(IDS[:1, :3], LENGTHS[:1]), model(IDS[1:, :2], LENGTHS[1:])])
    agree("LSTMClassifier, padded", "itself, alone", model(IDS, LENGTHS), alone)
    other = torch.where(IDS == 0, 4, IDS)
    agree("LSTMClassifier, other padding", "itself", model(other, LENGTHS), alone)
    assert (model(IDS, torch.tensor([4, 4])) - alone).abs().min() > 1e-4  # if it counted


def test_classifier_learns_the_order_of_words():
    """Is the first token 1? A bag of words could not tell: each text holds 1 and 2."""
    torch.manual_seed(0)
    ids = torch.tensor([[1, 0, 2, 0], [2, 0, 1, 0], [1, 2, 0, 0], [2, 1, 0, 0]])
    target = torch.tensor([1.0, 0.0, 1.0, 0.0])
    lengths = torch.full((4,), 4)
    model = models.LSTMClassifier(3, 4, 8)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-2)
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(model(ids, lengths), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert ((model.probability(ids, lengths) - target).abs() < 0.2).all()


def test_dropout_only_while_training():
    model = fill(models.LSTMClassifier(5, 3, 4, dropout=0.5))
    assert (model(IDS, LENGTHS) != model(IDS, LENGTHS)).any()
    assert torch.equal(model.eval()(IDS, LENGTHS), model(IDS, LENGTHS))


STATE = normal(1, 2), normal(1, 2)
WRONG = [
    ("d_in must be at least 1, got 0", lambda: models.LSTMCell(0, 2)),
    ("d_hidden must be at least 1, got 0", lambda: models.LSTM(2, 0)),
    (r"x must be \(batch, length, d_in\), got", lambda: models.LSTM(3, 2)(normal(3, 3))),
    (r"x must be \(batch, length, d_in\)", lambda: models.LSTM(3, 2)(normal(2, 0, 3))),
    (r"x must be \(batch, d_in\)", lambda: models.LSTMCell(3, 2)(normal(3), STATE)),
    (
        r"h and c must have shape \(2, 4\), got \(1, 2, 4\)",
        lambda: models.LSTM(3, 4)(normal(2, 5, 3), (normal(1, 2, 4), normal(1, 2, 4))),
    ),
    (r"ids must be \(batch, length\)", lambda: models.LSTMClassifier(5)(IDS[0], LENGTHS)),
    ("ids must be from 0 to 4, got -1", lambda: models.LSTMClassifier(5)(IDS - 1, LENGTHS)),
    (r"lengths must have shape \(2,\)", lambda: models.LSTMClassifier(5)(IDS, LENGTHS[:1])),
    (r"from 1 to 4, got \[3, 0\]", lambda: models.LSTMClassifier(5)(IDS, LENGTHS * LENGTHS.eq(3))),
    (r"from 1 to 4, got \[5, 4\]", lambda: models.LSTMClassifier(5)(IDS, LENGTHS + 2)),
    ("p must be from 0 to below 1", lambda: models.LSTMClassifier(5, dropout=1.0)),
]


@pytest.mark.parametrize(("message", "call"), WRONG)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("ids must hold whole numbers", lambda: models.LSTMClassifier(5)(IDS > 0, LENGTHS)),
        ("lengths must hold whole", lambda: models.LSTMClassifier(5)(IDS, LENGTHS > 0)),
        ("lengths must be a torch tensor", lambda: models.LSTMClassifier(5)(IDS, [3, 2])),
        ("x must be a torch tensor", lambda: models.LSTM(3, 2)([[[0.0] * 3]])),
        ("d_hidden must be a whole number", lambda: models.LSTM(3, 2.5)),
    ],
)
def test_kinds_of_arguments(message, call):
    with shapes.unchecked(), pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("dtype", SIXTEEN_BITS)
def test_lstm_of_16_bits(dtype):
    lstm = fill(models.LSTM(3, 4), dtype=dtype)
    x = (normal(2, 5, 3) * 1e4).to(dtype)
    expected = copy.deepcopy(lstm).float()(x.float())[0]
    limit = str(dtype).removeprefix("torch.")
    agree("LSTM, 16 bits", "itself in float32", lstm(x)[0].float(), expected, 0.03, limit=limit)


def test_lengths_of_8_bits():
    """300 positions are 44 there."""
    model, ids = models.LSTMClassifier(5).eval(), torch.ones(1, 300, dtype=torch.long)
    found = model(ids, torch.tensor([200], dtype=torch.uint8))
    assert torch.equal(found, model(ids, torch.tensor([200])))
