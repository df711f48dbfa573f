import math

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from companion.attention import padding_mask
from companion.finetuning import (
    BertPooler,
    FirstPooling,
    LastPooling,
    MeanPooling,
    QuestionAnswerer,
    SequenceClassifier,
    TokenClassifier,
    Trunk,
    best_span,
)
from companion.layers import Linear
from companion.losses import IGNORE
from companion.models import GPT, BertConfig, BertEncoder, GPTConfig
from companion.reference import finetuning as twin
from tests.finetuning.support import LIMITS, ids, model, theirs
from tests.plugins import shapes
from tests.support import fill, normal, seeds, shapes_vary, sizes
from tests.verification import agree, same

SIZES = {"vocab_size": 17, "d_model": 16, "n_layers": 2, "n_heads": 4, "d_hidden": 24}
LENGTHS = torch.tensor([6, 3, 1])
MASK = padding_mask(LENGTHS, 6)
SOME = ids(3, 6)


def encoder():
    return BertEncoder(BertConfig(**SIZES))


def classifier(n_classes=3, pool=None):
    return fill(SequenceClassifier(encoder(), n_classes, pool), scale=0.3).eval()


# -- pooling -------------------------------------------------------------------------------------


@shapes_vary
@given(batch=sizes, length=sizes, d=sizes, seed=seeds, data=st.data())
def test_pooling(batch, length, d, seed, data):
    x = normal(batch, length, d, seed=seed)
    lengths = torch.tensor([data.draw(st.integers(1, length)) for _ in range(batch)])
    mask = padding_mask(lengths, length)
    mean = twin.mean_pooling(x.numpy(), mask[:, 0].numpy())
    agree("MeanPooling", "NumPy twin", MeanPooling()(x, mask), mean)
    expected = np.ma.masked_array(
        x.numpy(), np.broadcast_to(~mask[:, 0, :, None].numpy(), x.shape)
    ).mean(axis=1)
    agree("twin: mean_pooling", "numpy.ma", mean, expected.filled(np.nan))
    same("FirstPooling", "by hand", FirstPooling()(x, mask), x[:, 0])
    last = torch.stack([row[n - 1] for row, n in zip(x, lengths, strict=True)])
    same("LastPooling", "by hand", LastPooling()(x, mask), last)
    left = LastPooling()(x.flip(1), mask.flip(2))
    same("LastPooling, padding before", "by hand", left, x[:, 0])
    agree("MeanPooling, no mask", "torch", MeanPooling()(x), x.mean(dim=1))
    same("LastPooling, no mask", "by hand", LastPooling()(x), x[:, -1])


def test_masks_matter_and_must_leave_a_token():
    x = normal(3, 6, 4)
    for pool in (MeanPooling(), LastPooling()):
        assert not torch.allclose(pool(x, MASK)[1:], pool(x)[1:])
        with pytest.raises(ValueError, match="mask must leave a token in each text, and hides all"):
            pool(x, torch.zeros(3, 1, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match="mask must not hide the first token, which stands for"):
        FirstPooling()(x, MASK.flip(2))
    with shapes.unchecked():
        with pytest.raises(ValueError, match=r"x must be \(batch, length, d_model\)"):
            MeanPooling()(x[0])
        with pytest.raises(ValueError, match=r"mask must have shape \(3, 1, 6\)"):
            MeanPooling()(x, MASK[:2])
        with pytest.raises(TypeError, match="mask must be boolean"):
            MeanPooling()(x, MASK.long())


@pytest.mark.parametrize("kind", ["GPT", "Llama"])
def test_a_trunk_against_transformers(tmp_path, kind):
    ours = model(kind)
    inner = theirs(ours, tmp_path)
    expected = inner(SOME, output_hidden_states=True).hidden_states[-1]
    agree("Trunk", "transformers", Trunk(ours)(SOME), expected, **LIMITS[kind])
    agree("Trunk, logits", "the model", Trunk(ours)(SOME) @ ours.tokens.weight.T, ours(SOME))
    padded = SOME.masked_fill(~MASK[:, 0], 0)
    found = Trunk(ours)(padded, MASK)
    seen = MASK[:, 0]
    agree("Trunk, padded", "no padding", found[seen], Trunk(ours)(SOME)[seen])


def test_a_trunk_keeps_the_bias_of_positions():
    one = GPT(GPTConfig(vocab_size=17, d_model=16, n_layers=2, n_heads=4, positions="alibi"))
    ours = fill(one, scale=0.3).eval()
    found = Trunk(ours)(SOME, MASK) @ ours.tokens.weight.T
    seen = MASK[:, 0]
    agree("Trunk, ALiBi", "the model", found[seen], ours(SOME)[seen])


def test_a_trunk_that_cannot_be():
    with (
        shapes.unchecked(),
        pytest.raises(TypeError, match="model must be a GPT or a Llama, got B"),
    ):
        Trunk(encoder())
    with pytest.raises(ValueError, match="mask must not hide the first token: a GPT is padded at"):
        Trunk(model("GPT"))(SOME, MASK.flip(2))


# -- against transformers ------------------------------------------------------------------------


def pair(tmp_path, ours, their_class, heads, n_labels):
    """Return ours, and theirs with the same weights: the encoder's by a file, then the head's."""
    ours.encoder.save_hf(tmp_path)
    options = {"num_labels": n_labels, "dtype": torch.float64, "attn_implementation": "eager"}
    transformers.utils.logging.set_verbosity_error()
    other = their_class.from_pretrained(tmp_path, **options).double().eval()
    for name, layer in heads.items():
        other.get_submodule(name).load_state_dict(layer.state_dict())
    return other


def inputs():
    return {"input_ids": SOME, "attention_mask": MASK[:, 0].long()}


def test_classification_against_transformers(tmp_path):
    ours, kind = classifier(3, BertPooler(16)), transformers.BertForSequenceClassification
    heads = {"classifier": ours.head, "bert.pooler.dense": ours.pool.dense}
    other, labels = pair(tmp_path, ours, kind, heads, 3), torch.tensor([2, 0, 1])
    expected = other(**inputs(), labels=labels)
    name = "transformers.BertForSequenceClassification"
    agree("SequenceClassifier", name, ours(SOME, MASK), expected.logits)
    agree("SequenceClassifier.loss", name, ours.loss(SOME, labels, MASK), expected.loss)
    x = ours.encoder(SOME, MASK)
    agree("BertPooler", name, ours.pool(x), other.bert(**inputs()).pooler_output)
    ours.loss(SOME, labels, MASK).backward()
    expected.loss.backward()
    grad = other.classifier.weight.grad
    agree("SequenceClassifier, gradient", name, ours.head.weight.grad, grad)
    grad = other.bert.encoder.layer[0].attention.self.query.weight.grad
    own = ours.encoder.blocks[0].attention.layer.w_q.weight.grad
    agree("SequenceClassifier, gradient", name, own, grad)


def test_classification_by_a_causal_model_against_transformers(tmp_path):
    llama = model("Llama")
    ours = fill(SequenceClassifier(Trunk(llama), 3, LastPooling()), scale=0.3).eval()
    llama.save_hf(tmp_path)
    kind = transformers.LlamaForSequenceClassification
    options = {"num_labels": 3, "pad_token_id": 0, "dtype": torch.float64}
    transformers.utils.logging.set_verbosity_error()
    other = kind.from_pretrained(tmp_path, **options, attn_implementation="eager").eval()
    other.score.weight.data.copy_(ours.head.weight)
    ours.head.bias.data.zero_()
    padded = ids(3, 6, n=16).add(1).masked_fill(~MASK[:, 0], 0)
    expected = other(padded, attention_mask=MASK[:, 0].long()).logits
    name = "transformers.LlamaForSequenceClassification"
    agree("SequenceClassifier, causal", name, ours(padded, MASK), expected, **LIMITS["Llama"])


def test_token_classification_against_transformers(tmp_path):
    ours = fill(TokenClassifier(encoder(), 4), scale=0.3).eval()
    kind = transformers.BertForTokenClassification
    other = pair(tmp_path, ours, kind, {"classifier": ours.head}, 4)
    labels = ids(3, 6, n=4).masked_fill(~MASK[:, 0], IGNORE)
    expected = other(**inputs(), labels=labels)
    name = "transformers.BertForTokenClassification"
    agree("TokenClassifier", name, ours(SOME, MASK), expected.logits)
    agree("TokenClassifier.loss", name, ours.loss(SOME, labels, MASK), expected.loss)


def test_question_answering_against_transformers(tmp_path):
    ours = fill(QuestionAnswerer(encoder()), scale=0.3).eval()
    kind = transformers.BertForQuestionAnswering
    other = pair(tmp_path, ours, kind, {"qa_outputs": ours.head}, 2)
    starts, ends = torch.tensor([1, 0, 0]), torch.tensor([4, 2, 0])
    positions = {"start_positions": starts, "end_positions": ends}
    expected = other(input_ids=SOME, **positions)
    name = "transformers.BertForQuestionAnswering"
    found = ours(SOME)
    agree("QuestionAnswerer, start", name, found[0], expected.start_logits)
    agree("QuestionAnswerer, end", name, found[1], expected.end_logits)
    agree("QuestionAnswerer.loss", name, ours.loss(SOME, starts, ends), expected.loss)
    outside = other(
        input_ids=SOME,
        start_positions=torch.tensor([1, 6, 0]),  # what they ignore is one after the last place
        end_positions=torch.tensor([4, 6, 0]),
    ).loss
    starts[1] = ends[1] = IGNORE
    agree("QuestionAnswerer.loss, ignored", name, ours.loss(SOME, starts, ends), outside)


# -- what they do --------------------------------------------------------------------------------


def test_padding_is_no_answer():
    ours = fill(QuestionAnswerer(encoder()), scale=0.3).eval()
    start, end = ours(SOME, MASK)
    same("QuestionAnswerer, padding", "−∞", start.isinf() | end.isinf(), ~MASK[:, 0])
    agree("QuestionAnswerer, padded", "no padding", start[1, :3], ours(SOME[1:2, :3])[0][0])
    labels = torch.tensor([5, 2, 0])
    alone = [
        ours.loss(SOME[i : i + 1, :n], labels[i : i + 1], labels[i : i + 1])
        for i, n in enumerate(LENGTHS.tolist())
    ]
    found = ours.loss(SOME, labels, labels, MASK)
    agree("QuestionAnswerer.loss, padded", "one by one", found, sum(alone) / 3)
    found.backward()
    assert all(bool(p.grad.isfinite().all()) for p in ours.parameters() if p.grad is not None)


@pytest.mark.parametrize("pool", [MeanPooling(), FirstPooling(), LastPooling()])
def test_padding_changes_no_class(pool):
    ours = classifier(pool=pool)
    found = ours(SOME, MASK)
    for i, n in enumerate(LENGTHS.tolist()):
        alone = ours(SOME[i : i + 1, :n])[0]
        agree("SequenceClassifier, padded", "no padding", found[i], alone)
    assert not torch.allclose(ours(SOME)[1], found[1])


def test_dropout_and_segments_reach_their_places():
    ours = SequenceClassifier(encoder(), 2, dropout=0.5)
    torch.manual_seed(0)
    assert not torch.equal(ours.train()(SOME), ours(SOME))
    ours = classifier()
    assert not torch.allclose(ours(SOME, segments=torch.ones_like(SOME)), ours(SOME))


def test_heads_start_without_an_opinion():
    ours = SequenceClassifier(encoder(), 4)
    loss = ours.loss(SOME, torch.tensor([0, 1, 3]))
    agree(
        "SequenceClassifier.loss, at the start",
        "ln 4",
        loss,
        math.log(4),
        0.1,
        limit="small weights",
    )


@shapes_vary
@given(n=st.integers(1, 9), longest=sizes, seed=seeds)
def test_the_best_span_is_the_best_of_all(n, longest, seed):
    start, end = normal(n, seed=seed), normal(n, seed=seed + 1)
    found = best_span(start, end, longest)
    same("best_span", "NumPy twin", found, twin.best_span(start.numpy(), end.numpy(), longest))
    score = np.triu(start.numpy()[:, None] + end.numpy(), 0)
    score[~(np.triu(np.ones((n, n), bool)) & ~np.triu(np.ones((n, n), bool), longest))] = -np.inf
    by_numpy = np.unravel_index(score.argmax(), score.shape)
    expected = tuple(int(i) for i in by_numpy)
    same("twin: best_span", "numpy", twin.best_span(start.numpy(), end.numpy(), longest), expected)


def test_spans_that_cannot_be():
    nothing = torch.tensor([-math.inf, -math.inf])
    assert best_span(torch.tensor([-math.inf, 1.0]), torch.tensor([9.0, -5.0])) == (1, 1)
    with pytest.raises(ValueError, match="must leave a pair of places that is possible"):
        best_span(nothing, nothing)
    with shapes.unchecked():
        with pytest.raises(ValueError, match=r"one shape \(length,\), got \(2,\) and \(3,\)"):
            best_span(nothing, torch.ones(3))
        with pytest.raises(ValueError, match="max_length must be at least 1"):
            best_span(nothing, nothing, 0)


# -- wrong labels --------------------------------------------------------------------------------


def losses_of(labels=None, starts=None, ends=None, kind="text"):
    if kind == "text":
        return lambda: classifier(3).loss(SOME, labels, MASK)
    if kind == "token":
        return lambda: TokenClassifier(encoder(), 4).loss(SOME, labels, MASK)
    return lambda: QuestionAnswerer(encoder()).loss(SOME, starts, ends, MASK)


def as_labels(*values):
    return torch.tensor(values)


WRONG = [
    (ValueError, "labels must be from 0 to 2, got 3", {"labels": as_labels(0, 3, 1)}),
    (ValueError, "labels must be from 0 to 2, got -1", {"labels": as_labels(0, -1, 1)}),
    (ValueError, "labels must be from 0 to 2, got -100", {"labels": as_labels(0, IGNORE, 1)}),
    (ValueError, r"labels must have shape \(3,\), got \(2,\)", {"labels": as_labels(0, 1)}),
    (TypeError, "labels must hold whole numbers, got torch.float32", {"labels": torch.ones(3)}),
    (TypeError, "labels must be a torch tensor, got list", {"labels": [0, 1, 2]}),
    (
        ValueError,
        "labels must be from 0 to 3, or -100 where none counts, got 4",
        {"labels": torch.full((3, 6), 4), "kind": "token"},
    ),
    (
        ValueError,
        r"labels must have shape \(3, 6\), got \(3,\)",
        {"labels": as_labels(0, 1, 2), "kind": "token"},
    ),
    (
        ValueError,
        "ignore_index",
        {"labels": torch.full((3, 6), IGNORE), "kind": "token"},
    ),
    (
        ValueError,
        "ends must be from 0 to 5, or -100 where none counts, got 6",
        {"starts": as_labels(0, 1, 0), "ends": as_labels(6, 1, 0), "kind": "span"},
    ),
    (
        ValueError,
        "ends must be places that mask does not hide",
        {"starts": as_labels(0, 1, 0), "ends": as_labels(0, 3, 0), "kind": "span"},
    ),
    (
        ValueError,
        "ends must not be before starts",
        {"starts": as_labels(3, 1, 0), "ends": as_labels(2, 1, 0), "kind": "span"},
    ),
    (
        ValueError,
        "ends must be -100 where starts are, and only there",
        {"starts": as_labels(IGNORE, 1, 0), "ends": as_labels(2, 1, 0), "kind": "span"},
    ),
]


@pytest.mark.parametrize(("error", "message", "options"), WRONG)
def test_labels_outside_the_classes_are_refused(error, message, options):
    with shapes.unchecked(), pytest.raises(error, match=message):
        losses_of(**options)()


def test_heads_that_cannot_be():
    with shapes.unchecked():
        for kind in (SequenceClassifier, TokenClassifier):
            with pytest.raises(ValueError, match="n_classes must be at least 1"):
                kind(encoder(), 0)
            with pytest.raises(TypeError, match=r"encoder must have config\.d_model"):
                kind(Linear(2, 2), 2)
            with pytest.raises(ValueError, match="p must be from 0 to below 1"):
                kind(encoder(), 2, dropout=1.0)
        with pytest.raises(TypeError, match=r"encoder must be a torch\.nn\.Module, got int"):
            QuestionAnswerer(3)
