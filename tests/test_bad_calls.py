"""Calls that a reader gets wrong are refused where they are made, in words that name the argument.

What passed without a word stands here, and what failed far inside with words about something else.
"""

import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from companion import (
    alignment,
    attention,
    autograd,
    data,
    evaluation,
    finetuning,
    generation,
    layers,
    losses,
    models,
    notebook,
    tinyworld,
)
from companion.tinyworld import grammar
from companion.tokenizers import merges
from tests.plugins import shapes

attend = attention.scaled_dot_product_attention
X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.ones(2, 8, 8)
PIXELS, KERNEL = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
LOGITS, LABELS = torch.zeros(2, 3), torch.tensor([0, 1])
NUMBERED = torch.tensor([0.0, 1.0, 2.0])
RNG = np.random.default_rng(0)
NAN = torch.tensor([1.0, math.nan, 1.0])
BEAMS = {"n_beams": 2, "max_new_tokens": 1}


def ask(ids):
    """Stand for a model: any token may follow."""
    return torch.zeros(*ids.shape, 3)


FLAGS = [
    ("causal", lambda no: attention.sliding_window_mask(5, 2, causal=no)),
    ("is_causal", lambda no: attend(X, X, X, is_causal=no)),
    ("is_causal", lambda no: attention.online_softmax_attention(X, X, X, is_causal=no)),
    ("is_causal", lambda no: attention.MultiHeadAttention(8, 2)(X, is_causal=no)),
    ("return_weights", lambda no: attend(X, X, X, return_weights=no)),
    ("bias", lambda no: layers.Linear(3, 3, no)),
    ("bias", lambda no: layers.SwiGLU(3, 3, bias=no)),
    ("bias", lambda no: layers.LayerNorm(3, bias=no)),
    ("drop_last", lambda no: data.batches(10, 3, drop_last=no)),
    ("overall", lambda no: data.Standardizer(overall=no)),
    ("negative", lambda no: generation.Integer(negative=no)),
    ("cache", lambda no: generation.generate(ask, [[1]], max_new_tokens=1, cache=no)),
    ("drop_intermediate", lambda no: evaluation.roc_curve([0, 1], [0, 1], drop_intermediate=no)),
    ("double", lambda no: finetuning.quantise_nf4(X, double=no)),
    ("exact", lambda no: evaluation.mcnemar([0, 1], [1, 1], exact=no)),
    ("correction", lambda no: evaluation.mcnemar([0, 1], [1, 1], correction=no)),
    ("effective_order", lambda no: evaluation.corpus_bleu(["a"], ["a"], effective_order=no)),
    ("lowercase", lambda no: evaluation.sentence_chrf("a", "a", lowercase=no)),
]


@pytest.mark.parametrize(("name", "call"), FLAGS)
@pytest.mark.parametrize("no", ["no", 1, None])
def test_only_true_and_false_are_flags(name, call, no):
    with shapes.unchecked(), pytest.raises(TypeError, match=f"{name} must be True or False"):
        call(no)


@pytest.mark.parametrize(("name", "call"), FLAGS)
def test_flags_are_taken(name, call):
    with shapes.unchecked():
        call(True)
        call(False)


NUMBERS = [
    ("scale", lambda x: attend(X, X, X, scale=x)),
    ("dropout_p", lambda x: attend(X, X, X, dropout_p=x)),
    ("dropout", lambda x: attention.MultiHeadAttention(8, 2, dropout=x)),
    ("p", lambda x: layers.Dropout(x)),
    ("p", lambda x: layers.MLP([3, 4, 2], dropout=x)),
    ("eps", lambda x: layers.LayerNorm(4, x)),
    ("eps", lambda x: layers.RMSNorm(4, x)),
    ("base", lambda x: layers.sinusoidal_positions(5, 4, x)),
    ("base", lambda x: layers.Rotary(base=x)),
    ("factor", lambda x: layers.Llama3Scaling(factor=x)),
    ("label_smoothing", lambda x: losses.cross_entropy(LOGITS, LABELS, label_smoothing=x)),
    ("temperature", lambda x: losses.info_nce(LOGITS, LOGITS, x)),
    ("nats_per_token", losses.perplexity),
    ("total_nats", lambda x: losses.bits_per_byte(x, 8)),
    ("degrees", lambda x: data.rotate(IMAGES, x)),
    ("factor", lambda x: data.rescale(IMAGES, x)),
    ("p", lambda x: data.delete_words(["a", "b"], x, RNG)),
    ("similarity", data.collision_probability),
    ("threshold", lambda x: data.near_duplicates(["a", "b"], x)),
    ("low", lambda x: data.scale(np.arange(3.0), x, 1)),
    ("tau", generation.Temperature),
    ("p", generation.TopP),
    ("p", generation.MinP),
    ("theta", generation.RepetitionPenalty),
    ("frequency", generation.FrequencyPenalty),
    ("alpha", lambda x: generation.expected_tokens(x, 3)),
    ("length_penalty", lambda x: generation.beam_search(ask, [[1]], length_penalty=x, **BEAMS)),
    ("alpha", lambda x: finetuning.LoRALinear(layers.Linear(3, 3), 1, x)),
    ("dropout", lambda x: finetuning.LoRALinear(layers.Linear(3, 3), 1, dropout=x)),
    ("lr", lambda x: finetuning.groups_by_layer(layers.MLP([3, 3, 3]), x, 0.5)),
    ("decay", lambda x: finetuning.groups_by_layer(layers.MLP([3, 3, 3]), 0.1, x)),
    ("noise", lambda x: alignment.Bandit([0.0, 1.0], x)),
    ("baseline", lambda x: alignment.estimator_variance(NUMBERED, NUMBERED, x)),
    ("margin", lambda x: alignment.preference_loss(NUMBERED, NUMBERED, x)),
    ("penalty", lambda x: alignment.fit_preferences(LOGITS + 1, LOGITS, x)),
    ("beta", lambda x: alignment.dpo_loss(NUMBERED, NUMBERED, NUMBERED, NUMBERED, x)),
    ("label_smoothing", lambda x: alignment.dpo_loss(*[NUMBERED] * 4, label_smoothing=x)),
    ("beta", lambda x: alignment.ipo_loss(*[NUMBERED] * 4, x)),
    ("beta", lambda x: alignment.tilted(NUMBERED.log_softmax(0), NUMBERED, x)),
    ("kl", lambda x: alignment.best_reward(NUMBERED.log_softmax(0), NUMBERED, x)),
    ("eps", lambda x: alignment.group_advantages(LOGITS, eps=x)),
    ("false_positive", alignment.FaultyVerifier),
    ("each of scores", lambda x: alignment.best_of_n(["a"], [x])),
    ("clip", lambda x: alignment.PPOLoss(clip=x)),
    ("max_norm", lambda x: alignment.PolicyConfig(1, 1, max_norm=x)),
    ("beta", lambda x: evaluation.sentence_chrf("a", "a", beta=x)),
    ("smooth_value", lambda x: evaluation.sentence_bleu("a", "a", smooth="floor", smooth_value=x)),
    (
        "confidence",
        lambda x: evaluation.bootstrap_interval(
            [1, 2, 3], confidence=x, method="percentile", n_resamples=9
        ),
    ),
    ("k", lambda x: evaluation.elo_ratings([("a", "b", 1)], k=x)),
    ("the score of a game", lambda x: evaluation.elo_ratings([("a", "b", x)])),
    ("mean", lambda x: evaluation.elo_scale([0.0], x)),
    ("p1", lambda x: evaluation.power_unpaired(x, 0.7, 9)),
    ("only_a", lambda x: evaluation.sample_size_paired(x, 0.1)),
    ("epsilon", lambda x: evaluation.fgsm(lambda out: out, LOGITS, LABELS, x)),
    ("q", lambda x: evaluation.poisson_sample(3, x)),
    ("noise_multiplier", lambda x: evaluation.rdp_subsampled_gaussian(0.1, x, 2)),
    ("delta", lambda x: evaluation.dp_epsilon(0.1, 1.0, 1, x)),
]


@pytest.mark.parametrize(("name", "call"), NUMBERS)
@pytest.mark.parametrize("x", [True, "0.5"])
def test_neither_truth_nor_a_text_is_a_number(name, call, x):
    with shapes.unchecked(), pytest.raises(TypeError, match=f"{name} must be a number"):
        call(x)


@pytest.mark.parametrize(("name", "call"), NUMBERS)
@pytest.mark.parametrize("x", [0.5, np.float32(0.5)])
def test_numbers_of_any_kind_are_taken(name, call, x):
    with shapes.unchecked():
        call(x)


REFUSED = [
    # one number more would have made one channel more
    (ValueError, "bias must be (1,)", lambda: models.conv2d(PIXELS, KERNEL, torch.ones(2))),
    (ValueError, "padding at least 0", lambda: models.Conv2d(1, 1, 3, padding=-1)),
    (ValueError, "x must have 1 channels", lambda: models.CNN()(torch.zeros(2, 3, 28, 28))),
    (ValueError, "x must be (batch, ", lambda: models.CNN()(torch.zeros(2, 28, 28))),
    (TypeError, "floating-point", lambda: models.CNN()(torch.zeros(2, 1, 28, 28).byte())),
    (ValueError, "image must be 3 numbers", lambda: models.CNN((28, 28))),
    (ValueError, "image must be 3 numbers", lambda: models.CNN(28)),
    (ValueError, "channels must be 2 numbers", lambda: models.CNN(channels=16)),
    (TypeError, "each of image", lambda: models.CNN((1, 28.0, 28))),
    # a set has no order, a name is no function, a class is not yet one
    (TypeError, "sizes must be a list", lambda: layers.MLP({3, 4, 2})),
    (TypeError, "sizes must be a list", lambda: layers.MLP(3)),
    (TypeError, "activation must be a f", lambda: layers.MLP([3, 4, 2], activation="relu")),
    (TypeError, "activation must be a f", lambda: layers.MLP([3, 4], activation=torch.nn.ReLU)),
    (TypeError, "qk_norm must make", lambda: attention.MultiHeadAttention(8, 2, qk_norm=True)),
    (
        TypeError,
        "qk_norm must make",
        lambda: attention.MultiHeadAttention(8, 2, qk_norm=layers.RMSNorm(4)),
    ),
    (ValueError, "base must be finite", lambda: layers.apply_rotary(X, base=math.inf)),
    (TypeError, "scaling must be a f", lambda: layers.apply_rotary(X, scaling=2.0)),
    (
        ValueError,
        "one frequency for each of 4",
        lambda: layers.apply_rotary(X, scaling=lambda f: f[:1]),
    ),
    (TypeError, "weight must hold floating", lambda: layers.xavier_uniform_(LABELS[None])),
    (ValueError, "gain must be finite", lambda: layers.xavier_normal_(X[0], gain=-1)),
    (ValueError, "gain must be finite", lambda: layers.xavier_normal_(X[0], gain=math.nan)),
    (ValueError, "weight must not be", lambda: losses.cross_entropy(LOGITS, LABELS, weight=NAN)),
    (
        ValueError,
        "targets must be prob",
        lambda: losses.binary_cross_entropy_with_logits(LOGITS[0], NAN),
    ),
    (TypeError, "images must be a torch", lambda: data.flip(np.ones((2, 2)))),
    (ValueError, "images must be (..., H, W)", lambda: data.flip(torch.ones(3))),
    (TypeError, "images must be a torch", lambda: data.crop(np.ones((8, 8)), 0, 0, 4, 4)),
    (ValueError, "images must be (..., H, W)", lambda: data.crop(torch.ones(8), 0, 0, 1, 1)),
    (ValueError, "matrix must be (..., 2, 3)", lambda: data.affine_grid(torch.eye(3), 4, 4)),
    (TypeError, "height must be a whole", lambda: data.affine_grid(torch.eye(3)[:2], 4.0, 4)),
    (ValueError, "grid must be", lambda: data.sample_bilinear(IMAGES[0], torch.ones(4, 4, 3))),
    (TypeError, "counts must be a dict", lambda: merges.learn("abc", 3)),
    (TypeError, "each of counts must be a str", lambda: merges.learn({1: 1}, 3)),
    (ValueError, "the count of 'abc'", lambda: merges.learn({"abc": -1}, 3)),
    (TypeError, "the count of 'abc'", lambda: merges.learn({"abc": 1.5}, 3)),
    (TypeError, "n_merges must be a whole", lambda: merges.learn({"abc": 1}, 2.5)),
    (ValueError, "language must be", lambda: grammar.write(tinyworld.TinyWorld().draw(), "fr")),
    (TypeError, "length must be a f", lambda: tinyworld.TinyWorld().entropy(3)),
    (TypeError, "tokens must be a list", lambda: notebook.attention_map(np.eye(3), "abc")),
    (TypeError, "tokens must be a list", lambda: notebook.attention_map(np.eye(3), [1, 2, 3])),
    (TypeError, "at_least must be a n", lambda: notebook.check("x", 1, at_least="0")),
    (TypeError, "tolerance must be a n", lambda: notebook.check("x", 1, 1, "a")),
    (TypeError, "a text has no bounds", lambda: notebook.check("x", "a", at_least=0)),
    (TypeError, "a text has no bounds", lambda: notebook.catches("x", "a", at_least=0)),
    (TypeError, "axis a must be a list", lambda: notebook.explore(plt.figure, alt="x", a=5)),
    (TypeError, "description must be", lambda: notebook.stop_button(3).__enter__()),
    (TypeError, "description must be", lambda: notebook.stoppable([1], description=3)),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_a_wrong_call_names_the_argument(kind, message, call):
    with shapes.unchecked(), pytest.raises(kind, match=re.escape(message)):
        call()


@pytest.mark.parametrize("index", [torch.tensor([0]), (torch.tensor([1]), torch.tensor([0]))])
def test_a_tensor_of_one_index_keeps_its_dimension(index):
    """NumPy takes such a tensor for a number, and a dimension was lost without a word."""
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    ours = autograd.Tensor(rows, requires_grad=True)
    theirs = torch.tensor(rows, requires_grad=True)
    found, expected = ours[index], theirs[index]
    assert found.tolist() == expected.tolist()
    found.sum().backward()
    expected.sum().backward()
    assert ours.grad.tolist() == theirs.grad.tolist()
