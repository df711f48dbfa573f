"""Losses against torch, against their NumPy twins, by hand, and on what they must ignore."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from companion import losses
from companion.activations import log_softmax, softmax
from companion.reference import losses as twin
from tests.plugins.shapes import unchecked
from tests.support import FLOATS, SIXTEEN_BITS, agree_16, normal, seeds, shapes_vary, sizes
from tests.verification import agree

REDUCTIONS = ("mean", "sum", "none")


def labels(*shape, classes, seed=0):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def gradient(function, x):
    x = x.clone().requires_grad_()
    function(x).backward()
    return x.grad


# -- squared error -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds)
def test_mse(dtype, rows, columns, seed):
    x, y = normal(rows, columns, seed=seed, dtype=dtype), normal(rows, columns, seed=seed + 1)
    y = y.to(dtype)
    for reduction in REDUCTIONS:
        expected = F.mse_loss(x, y, reduction=reduction)
        agree("mse", "torch", losses.mse(x, y, reduction=reduction), expected)
    if dtype is torch.float64:
        agree("mse", "NumPy twin", losses.mse(x, y), twin.mse(x.numpy(), y.numpy()))
        agree(
            "mse_gradient",
            "autograd",
            losses.mse_gradient(x, y),
            gradient(lambda p: losses.mse(p, y), x),
        )


def test_mse_of_four_pairs_by_hand():
    prediction, target = torch.tensor([2.5, 0.0, 2.0, 8.0]), torch.tensor([3.0, -0.5, 2.0, 7.0])
    # errors 0.5, 0.5, 0, 1; squares 0.25, 0.25, 0, 1; together 1.5
    agree("mse", "by hand", losses.mse(prediction.double(), target.double()), 1.5 / 4)


def test_mse_is_the_likelihood_of_a_gaussian():
    x, y = normal(20, seed=1), normal(20, seed=2)
    likelihood = torch.distributions.Normal(x, 0.5**0.5).log_prob(y)
    constant = 0.5 * math.log(math.pi)
    agree("mse", "torch.distributions", losses.mse(x, y), -likelihood.mean() - constant)


def test_mse_does_not_broadcast():
    with unchecked(), pytest.raises(ValueError, match=r"same shape, got \(3, 1\) and \(3,\)"):
        losses.mse(normal(3, 1), normal(3))


# -- cross-entropy -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@shapes_vary
@given(rows=sizes, columns=sizes, classes=st.integers(2, 7), seed=seeds)
def test_cross_entropy(dtype, rows, columns, classes, seed):
    z = normal(rows, columns, classes, seed=seed, dtype=dtype, scale=3.0)
    y = labels(rows, columns, classes=classes, seed=seed)
    for smoothing in (0.0, 0.1, 1.0):
        for reduction in REDUCTIONS:
            ours = losses.cross_entropy(z, y, label_smoothing=smoothing, reduction=reduction)
            theirs = F.cross_entropy(
                z.flatten(0, 1), y.flatten(), label_smoothing=smoothing, reduction=reduction
            )
            agree("cross_entropy", "torch", ours, theirs.view_as(ours))
        if dtype is torch.float64:
            flat = z.flatten(0, 1).numpy(), y.flatten().numpy()
            mean = losses.cross_entropy(z, y, label_smoothing=smoothing)
            agree("cross_entropy", "NumPy twin", mean, twin.cross_entropy(*flat, smoothing))


@shapes_vary
@given(rows=st.integers(1, 5), classes=st.integers(2, 6), seed=seeds)
def test_softmax_minus_one_hot(rows, classes, seed):
    z, y = normal(rows, classes, seed=seed), labels(rows, classes=classes, seed=seed)
    ours = losses.cross_entropy_gradient(z, y)
    agree("cross_entropy_gradient", "torch", ours, gradient(lambda x: F.cross_entropy(x, y), z))
    flat = twin.cross_entropy_gradient(z.numpy(), y.numpy())
    agree("cross_entropy_gradient", "NumPy twin", ours, flat)
    agree("cross_entropy", "torch", gradient(lambda x: losses.cross_entropy(x, y), z), ours)
    agree("cross_entropy_gradient", "by hand", ours.sum(-1), torch.zeros(rows))


def test_cross_entropy_of_three_classes_by_hand():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], dtype=torch.float64)
    expected = -(math.log(0.7) + math.log(0.3)) / 2
    agree("cross_entropy", "by hand", losses.cross_entropy(p.log(), torch.tensor([0, 2])), expected)


@shapes_vary
@given(rows=st.integers(2, 6), seed=seeds, ignore=st.sampled_from([-100, -1, 2]))
def test_what_is_ignored_has_no_influence(rows, seed, ignore):
    z, y = normal(rows, 4, seed=seed), labels(rows, classes=4, seed=seed)
    y[0], y[1:] = ignore, torch.where(y[1:] == ignore, 0, y[1:])
    ours = losses.cross_entropy(z, y, ignore_index=ignore)
    agree("cross_entropy", "torch", ours, F.cross_entropy(z, y, ignore_index=ignore))
    changed = z.clone()
    changed[0] = 1e4
    assert losses.cross_entropy(changed, y, ignore_index=ignore) == ours
    assert losses.cross_entropy(z, y.where(y != ignore, y.new_tensor(3))) != ours
    grad = gradient(lambda x: losses.cross_entropy(x, y, ignore_index=ignore), z)
    assert not grad[0].any()
    assert grad[1:].any()


def test_extreme_logits_stay_finite():
    z = torch.tensor([[1000.0, -1000.0], [-1000.0, 1000.0]], dtype=torch.float64)
    y = torch.tensor([0, 0])
    ours = losses.cross_entropy(z, y, reduction="none")
    agree("cross_entropy", "by hand", ours, [0.0, 2000.0])
    assert gradient(lambda x: losses.cross_entropy(x, y), z).isfinite().all()


@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds)
def test_log_sum_exp(rows, columns, seed):
    x = normal(rows, columns, seed=seed, scale=300.0)
    ours = losses.log_sum_exp(x)
    agree("log_sum_exp", "torch", ours, torch.logsumexp(x, -1))
    agree("log_sum_exp", "NumPy twin", ours, [twin.log_sum_exp(row) for row in x.numpy()])
    agree("log_sum_exp", "torch", gradient(lambda t: losses.log_sum_exp(t).sum(), x), softmax(x))


def test_log_sum_exp_of_nothing_and_of_everything():
    rows = torch.tensor([[-math.inf, -math.inf], [0.0, -math.inf], [1e300, 0.0]]).double()
    agree("log_sum_exp", "torch", losses.log_sum_exp(rows), torch.logsumexp(rows, -1))


# -- two classes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds)
def test_binary_cross_entropy(dtype, rows, columns, seed):
    z = normal(rows, columns, seed=seed, dtype=dtype, scale=4.0)
    y = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)).to(dtype)
    for targets in (y, y.round()):
        for reduction in REDUCTIONS:
            ours = losses.binary_cross_entropy_with_logits(z, targets, reduction=reduction)
            theirs = F.binary_cross_entropy_with_logits(z, targets, reduction=reduction)
            agree("binary_cross_entropy_with_logits", "torch", ours, theirs)
        grad = gradient(lambda x, t=targets: F.binary_cross_entropy_with_logits(x, t), z)
        ours = losses.binary_cross_entropy_gradient(z, targets)
        agree("binary_cross_entropy_gradient", "torch", ours, grad)
    if dtype is torch.float64:
        ours = losses.binary_cross_entropy_with_logits(z, y)
        expected = twin.binary_cross_entropy_with_logits(z.numpy(), y.numpy())
        agree("binary_cross_entropy_with_logits", "NumPy twin", ours, expected)


def test_binary_cross_entropy_is_cross_entropy_of_two_logits():
    z, y = normal(9), labels(9, classes=2)
    two = torch.stack([torch.zeros_like(z), z], -1)
    ours = losses.binary_cross_entropy_with_logits(z, y.double())
    agree("binary_cross_entropy_with_logits", "torch", ours, F.cross_entropy(two, y))


def test_binary_cross_entropy_survives_large_logits():
    z = torch.tensor([800.0, -800.0, 800.0], dtype=torch.float64)
    y = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    ours = losses.binary_cross_entropy_with_logits(z, y, reduction="none")
    agree("binary_cross_entropy_with_logits", "by hand", ours, [0.0, 0.0, 800.0])


# -- distributions -------------------------------------------------------------------------------


@shapes_vary
@given(rows=sizes, classes=sizes, seed=seeds)
def test_kl_divergence(rows, classes, seed):
    p = log_softmax(normal(rows, classes, seed=seed))
    q = log_softmax(normal(rows, classes, seed=seed + 1))
    ours = losses.kl_divergence(p, q)
    theirs = F.kl_div(q, p, reduction="none", log_target=True).sum(-1)
    agree("kl_divergence", "torch", ours, theirs)
    rows_of = zip(p.exp().numpy(), q.exp().numpy(), strict=True)
    agree("kl_divergence", "NumPy twin", ours, [twin.kl_divergence(a, b) for a, b in rows_of])
    assert (ours >= -1e-12).all()
    agree("kl_divergence", "by hand", losses.kl_divergence(p, p), torch.zeros(rows))


def test_kl_divergence_of_what_never_happens():
    sure, even = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64).log()
    log_p, log_q = torch.stack([sure, even]), torch.stack([even, sure])
    agree("kl_divergence", "by hand", losses.kl_divergence(log_p, log_q), [math.log(2), math.inf])


def test_cross_entropy_is_entropy_plus_divergence():
    p, q = softmax(normal(6, seed=1)), log_softmax(normal(6, seed=2))
    crossed, entropy = -(p * q).sum(), -(p * p.log()).sum()
    agree("kl_divergence", "by hand", losses.kl_divergence(p.log(), q), crossed - entropy)


# -- masked tokens -------------------------------------------------------------------------------


@shapes_vary
@given(length=st.integers(1, 8), vocab=st.integers(2, 9), seed=seeds)
def test_mlm_loss_sees_masked_positions_only(length, vocab, seed):
    logits, tokens = normal(length, vocab, seed=seed), labels(length, classes=vocab, seed=seed)
    masked = torch.rand(length, generator=torch.Generator().manual_seed(seed)) < 0.5
    masked[seed % length] = True
    ours = losses.mlm_loss(logits, tokens, masked)
    arrays = logits.numpy(), tokens.numpy(), masked.numpy()
    agree("mlm_loss", "NumPy twin", ours, twin.mlm_loss(*arrays))
    agree("mlm_loss", "torch", ours, F.cross_entropy(logits[masked], tokens[masked]))
    elsewhere = logits.clone()
    elsewhere[~masked] += 50 * normal(int((~masked).sum()), vocab, seed=seed + 1)
    assert losses.mlm_loss(elsewhere, tokens, masked) == ours
    here = logits.clone()
    here[masked, 0] += 1.0
    assert losses.mlm_loss(here, tokens, masked) != ours


def test_mlm_loss_of_six_tokens_two_masked_by_hand():
    p = torch.full((6, 4), 0.25, dtype=torch.float64)
    p[1] = torch.tensor([0.1, 0.7, 0.1, 0.1], dtype=torch.float64)
    p[4] = torch.tensor([0.2, 0.2, 0.5, 0.1], dtype=torch.float64)
    masked = torch.tensor([False, True, False, False, True, False])
    tokens = torch.tensor([0, 1, 3, 2, 2, 0])
    expected = -(math.log(0.7) + math.log(0.5)) / 2
    agree("mlm_loss", "by hand", losses.mlm_loss(p.log(), tokens, masked), expected)


# -- contrast ------------------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(1, 6), width=sizes, seed=seeds, tau=st.sampled_from([0.05, 0.5, 1.0]))
def test_info_nce(n, width, seed, tau):
    q, k = normal(n, width, seed=seed), normal(n, width, seed=seed + 1)
    ours = losses.info_nce(q, k, tau)
    cosines = F.cosine_similarity(q[:, None], k[None], dim=-1)
    agree("info_nce", "torch", ours, F.cross_entropy(cosines / tau, torch.arange(n)))
    agree("info_nce", "NumPy twin", ours, twin.info_nce(q.numpy(), k.numpy(), tau))


@pytest.mark.parametrize("size", [1e-3, 1e20, 1e300])
def test_info_nce_sees_directions_only(size):
    q, k = normal(4, 3), normal(4, 3, seed=1)
    agree("info_nce, large", "itself", losses.info_nce(q * size, k), losses.info_nce(q, k))


def test_info_nce_of_keys_that_say_nothing_is_log_n():
    same = torch.ones(5, 3, dtype=torch.float64)
    agree("info_nce", "by hand", losses.info_nce(normal(5, 3), same), math.log(5))


# -- gradients where a formula may have a kink ---------------------------------------------------

# Zeros, equal numbers, and numbers so large that an exponential of them overflows.
EDGES = torch.tensor(
    [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, -2.0, -2.0], [800.0, -800.0, 800.0]],
    dtype=torch.float64,
)
SHARES = torch.tensor(
    [[1.0, 0.0, 0.5], [1.0, 0.0, 0.25], [0.0, 1.0, 0.5], [1.0, 0.0, 0.5]]
).double()
CLASSES = torch.tensor([1, 0, 2, 0])
KNOWN = torch.tensor([True, True, False, True])
KEYS = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 0.0], [0.0, -1.0, -1.0], [0.0, 0.0, 0.0]]).double()
LOG_SHARES = log_softmax(KEYS)


def contrast(queries, keys=KEYS):
    similarity = F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).T
    return F.cross_entropy(similarity / 0.5, torch.arange(len(queries)))


def divergence(log_p, log_q):
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


WITH_GRADIENTS = {
    "mse": (lambda x: losses.mse(x, SHARES), lambda x: F.mse_loss(x, SHARES)),
    "log_sum_exp": (losses.log_sum_exp, lambda x: torch.logsumexp(x, -1)),
    "cross_entropy": (
        lambda x: losses.cross_entropy(x, CLASSES, label_smoothing=0.1, ignore_index=2),
        lambda x: F.cross_entropy(x, CLASSES, label_smoothing=0.1, ignore_index=2),
    ),
    "binary_cross_entropy_with_logits": (
        lambda x: losses.binary_cross_entropy_with_logits(x, SHARES),
        lambda x: F.binary_cross_entropy_with_logits(x, SHARES),
    ),
    "mlm_loss": (
        lambda x: losses.mlm_loss(x, CLASSES, KNOWN),
        lambda x: F.cross_entropy(x[KNOWN], CLASSES[KNOWN]),
    ),
    "info_nce": (lambda x: losses.info_nce(x, KEYS, 0.5), contrast),
    "info_nce of keys": (
        lambda x: losses.info_nce(EDGES, x, 0.5),
        lambda x: contrast(EDGES, x),
    ),
    "kl_divergence": (
        lambda x: losses.kl_divergence(log_softmax(x), LOG_SHARES),
        lambda x: divergence(log_softmax(x), LOG_SHARES),
    ),
    "kl_divergence of what is believed": (
        lambda x: losses.kl_divergence(LOG_SHARES, log_softmax(x)),
        lambda x: divergence(LOG_SHARES, log_softmax(x)),
    ),
}


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_gradients_at_zeros_ties_and_large_numbers(name):
    ours, theirs = WITH_GRADIENTS[name]
    found, expected = (gradient(lambda x, f=f: f(x).sum(), EDGES) for f in (ours, theirs))
    agree(name.split()[0], "torch", found, expected)
    # At a row of zeros a direction has no slope, and differences see nothing at 800.
    x = (EDGES[:3] + ("info_nce" in name)).requires_grad_()
    padding = EDGES[3:]
    assert gradcheck(lambda rows: ours(torch.cat([rows, padding])), (x,))


def test_the_slope_at_logit_zero_by_hand():
    z = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)
    losses.binary_cross_entropy_with_logits(z, y, reduction="sum").backward()
    agree("binary_cross_entropy_with_logits", "by hand", z.grad, [-0.5, 0.5, 0.0])
    assert gradgradcheck(lambda x: losses.binary_cross_entropy_with_logits(x, y), (z,))


def test_gradient_functions_at_zeros_ties_and_large_numbers():
    found = losses.mse_gradient(EDGES, SHARES)
    agree("mse_gradient", "autograd", found, gradient(lambda x: losses.mse(x, SHARES), EDGES))
    found = losses.cross_entropy_gradient(EDGES, CLASSES)
    expected = gradient(lambda x: F.cross_entropy(x, CLASSES), EDGES)
    agree("cross_entropy_gradient", "torch", found, expected)
    found = losses.binary_cross_entropy_gradient(EDGES, SHARES)
    expected = gradient(lambda x: F.binary_cross_entropy_with_logits(x, SHARES), EDGES)
    agree("binary_cross_entropy_gradient", "torch", found, expected)


def test_what_never_happens_has_no_slope():
    log_p = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).log()
    log_q = torch.full((3,), 1 / 3, dtype=torch.float64).log()
    found = gradient(lambda x: losses.kl_divergence(x, log_q), log_p)
    agree("kl_divergence", "by hand", found, [math.log(3) + 1, 0.0, 0.0])


# -- what losses are reported as -----------------------------------------------------------------


def test_perplexity_and_bits():
    agree("perplexity", "by hand", np.float64(losses.perplexity(math.log(50))), 50.0)
    uniform = torch.zeros(3, 256, dtype=torch.float64)
    nats = losses.cross_entropy(uniform, torch.tensor([1, 2, 3]), reduction="sum")
    agree("bits_per_byte", "by hand", np.float64(losses.bits_per_byte(nats.item(), 3)), 8.0)
    assert losses.perplexity(1e4) == math.inf


# -- what is wrong is named ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.mse(normal(2), normal(2), reduction="average"), "reduction must be"),
        (lambda: losses.mse(normal(0), normal(0)), "input is empty"),
        (lambda: losses.cross_entropy(normal(2, 3), torch.tensor([0, 3])), "from 0 to 2, got 3"),
        (lambda: losses.cross_entropy(normal(2, 3), torch.tensor([0, -1])), "from 0 to 2, got -1"),
        (lambda: losses.cross_entropy(normal(1, 3), torch.tensor([-100])), "all ignore_index"),
        (lambda: losses.cross_entropy(normal(2, 3), torch.tensor([0])), "shape of logits"),
        (
            lambda: losses.cross_entropy(normal(1, 2), torch.tensor([0]), label_smoothing=1.5),
            "from 0 to 1, got 1.5",
        ),
        (lambda: losses.cross_entropy_gradient(normal(1, 2), torch.tensor([5])), "from 0 to 1"),
        (
            lambda: losses.binary_cross_entropy_with_logits(normal(1), torch.full((1,), 2.0)),
            "probabilities from 0 to 1",
        ),
        (
            lambda: losses.mlm_loss(normal(2, 3), torch.tensor([0, 1]), torch.zeros(2) > 0),
            "nothing to predict",
        ),
        (
            lambda: losses.mlm_loss(normal(2, 3), torch.tensor([0, 1]), torch.ones(3) > 0),
            "shape of tokens",
        ),
        (lambda: losses.info_nce(normal(2, 3), normal(3, 3)), "same shape"),
        (lambda: losses.info_nce(normal(2, 3), normal(2, 3), 0.0), "above 0, got 0.0"),
        (lambda: losses.info_nce(normal(0, 3), normal(0, 3)), "nothing to average over"),
        (
            lambda: losses.mlm_loss(
                normal(2, 3), torch.tensor([-100, 1]), torch.tensor([True, True])
            ),
            "tokens must be from 0 to 2, got -100",
        ),
        (lambda: losses.info_nce(normal(3), normal(3)), r"two dimensions \(n, d\), got \(3,\)"),
        (lambda: losses.kl_divergence(normal(2), normal(3)), "log_p and log_q must have the same"),
        (
            lambda: losses.cross_entropy(normal(1, 2), torch.tensor([0]), weight=torch.ones(3)),
            r"weight must have one number for each class, got \(3,\) and \(1, 2\)",
        ),
        (
            lambda: losses.cross_entropy(normal(1, 2), torch.tensor([0]), weight=-torch.ones(2)),
            "weight must not be negative",
        ),
        (
            lambda: losses.cross_entropy(normal(1, 2), torch.tensor([0]), weight=torch.zeros(2)),
            "of weight 0",
        ),
        (
            lambda: losses.binary_cross_entropy_gradient(normal(1), torch.full((1,), 2.0)),
            "probabilities from 0 to 1",
        ),
        (lambda: losses.bits_per_byte(1.0, 0), "n_bytes must be at least 1, got 0"),
    ],
)
def test_errors(call, message):
    with unchecked(), pytest.raises(ValueError, match=message):
        call()


# -- class weights -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@shapes_vary
@given(rows=st.integers(2, 6), classes=st.integers(2, 6), seed=seeds)
def test_class_weights(dtype, rows, classes, seed):
    z = normal(rows, classes, seed=seed, dtype=dtype, scale=2.0)
    y = labels(rows, classes=classes, seed=seed)
    y[0] = losses.IGNORE
    weight = normal(classes, seed=seed + 1, dtype=dtype).abs() + 0.1
    for smoothing in (0.0, 0.1, 1.0):
        for reduction in REDUCTIONS:
            options = {"weight": weight, "label_smoothing": smoothing, "reduction": reduction}
            ours, theirs = losses.cross_entropy(z, y, **options), F.cross_entropy(z, y, **options)
            agree("cross_entropy, class weights", "torch", ours, theirs)
    plain = gradient(lambda x: losses.cross_entropy(x, y, weight=weight), z)
    agree(
        "cross_entropy, class weights, gradient",
        "torch",
        plain,
        gradient(lambda x: F.cross_entropy(x, y, weight=weight), z),
    )
    if dtype is torch.float64:
        mean = losses.cross_entropy(z, y, weight=weight, label_smoothing=0.1)
        arrays = z.numpy(), y.numpy(), 0.1
        expected = twin.cross_entropy(*arrays, weight=weight.numpy())
        agree("cross_entropy, class weights", "NumPy twin", mean, expected)
        theirs = F.cross_entropy(z, y, weight=weight, label_smoothing=0.1)
        agree("twin: cross_entropy, class weights", "torch", expected, theirs)


@pytest.mark.parametrize("dtype", SIXTEEN_BITS, ids=str)
def test_class_weights_in_16_bits_are_summed_in_32(dtype):
    """70,000 ones are infinite in float16, and in bfloat16 they are not 70,000."""
    logits, targets = torch.zeros(70_000, 2), torch.zeros(70_000, dtype=torch.long)
    for z in (logits, logits.to(dtype)):
        loss = losses.cross_entropy(z, targets, weight=torch.ones(2, dtype=dtype))
        assert loss.item() == pytest.approx(math.log(2), rel=1e-6)


def test_class_weights_by_hand():
    # Losses ln 2 and ln 4 with weights 3 and 1: (3 ln 2 + 2 ln 2) / 4.
    p = torch.tensor([[0.5, 0.5], [0.75, 0.25]], dtype=torch.float64)
    weight = torch.tensor([3.0, 1.0], dtype=torch.float64)
    ours = losses.cross_entropy(p.log(), torch.tensor([0, 1]), weight=weight)
    agree("cross_entropy, class weights", "by hand", ours, 5 * math.log(2) / 4)


# -- 16 bits -------------------------------------------------------------------------------------

every_16 = pytest.mark.parametrize("dtype", SIXTEEN_BITS)


def extremes(dtype):
    """Return rows with the largest numbers that a format holds, and with ordinary ones."""
    top = torch.finfo(dtype).max
    rows = [[top, -top, 0.0], [-top, -top, top], [300.0, 299.0, 0.0], [0.5, -1.0, 0.25]]
    return torch.tensor(rows).to(dtype)


IN_16_BITS = {
    "mse": lambda x: losses.mse(x, x.flip(0), reduction="none"),
    "mse, sum": lambda x: losses.mse(x, x.flip(0), reduction="sum"),
    "log_sum_exp": losses.log_sum_exp,
    "cross_entropy": lambda x: losses.cross_entropy(x, CLASSES, reduction="none"),
    "cross_entropy, smoothed": lambda x: losses.cross_entropy(
        x, CLASSES, label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 3.0])
    ),
    "binary_cross_entropy_with_logits": lambda x: losses.binary_cross_entropy_with_logits(
        x, SHARES.to(x.dtype), reduction="none"
    ),
    "mlm_loss": lambda x: losses.mlm_loss(x, CLASSES, KNOWN),
    "info_nce": lambda x: losses.info_nce(x, KEYS.to(x.dtype), 0.5),
}


@every_16
@pytest.mark.parametrize("name", IN_16_BITS)
def test_losses_of_16_bits_are_those_of_float32(name, dtype):
    x, wanted = extremes(dtype).requires_grad_(), extremes(dtype).float().requires_grad_()
    found, expected = IN_16_BITS[name](x), IN_16_BITS[name](wanted)
    # At bfloat16's largest number float32 overflows as well, in both alike.
    assert torch.equal(found.float(), expected.to(found.dtype).float())
    assert found.dtype == (dtype if name == "log_sum_exp" else torch.float32)
    if dtype is torch.float16:
        assert expected.isfinite().all()
        agree_16(name, found.to(dtype), expected)
        found.sum().backward()
        expected.sum().backward()
        agree_16(f"{name}, gradient", x.grad, wanted.grad)


@every_16
def test_gradient_functions_of_16_bits(dtype):
    x = extremes(dtype)[2:]
    y, shares = CLASSES[2:], SHARES[2:].to(dtype)
    for name, call in {
        "mse_gradient": lambda x: losses.mse_gradient(x, x.flip(0)),
        "cross_entropy_gradient": lambda x: losses.cross_entropy_gradient(x, y),
        "binary_cross_entropy_gradient": lambda x: losses.binary_cross_entropy_gradient(
            x, shares.to(x.dtype)
        ),
    }.items():
        found = call(x)
        assert found.dtype == dtype
        agree_16(name, found, call(x.float()))


@every_16
def test_kl_divergence_of_16_bits(dtype):
    log_p = log_softmax(normal(4, 50, dtype=torch.float32)).to(dtype)
    log_q = log_softmax(normal(4, 50, seed=1, dtype=torch.float32)).to(dtype)
    found = losses.kl_divergence(log_p, log_q)
    in_float64 = F.kl_div(log_q.double(), log_p.double(), reduction="none", log_target=True)
    agree("kl_divergence of 16 bits", "torch in float64", found, in_float64.sum(-1))


def test_many_losses_of_16_bits_are_summed_in_float32():
    """70,000 losses of ln 2 are 48,520; 200,000 exceed what float16 holds."""
    z, y = torch.zeros(200_000, 2, dtype=torch.float16), torch.zeros(200_000, dtype=torch.int64)
    total = losses.cross_entropy(z, y, reduction="sum")
    agree("cross_entropy of 16 bits, sum", "by hand", total / 200_000, math.log(2), 1e-5)


# -- kinds of targets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.int8, torch.uint16, torch.int16, torch.int32, torch.uint64, torch.int64],
    ids=str,
)
def test_targets_of_every_whole_number_format(dtype):
    z = normal(2, 120)
    y = torch.tensor([100, 1])
    for reduction in REDUCTIONS:
        ours = losses.cross_entropy(z, y.to(dtype), reduction=reduction)
        theirs = F.cross_entropy(z, y, reduction=reduction)
        agree("cross_entropy, formats of targets", "torch", ours, theirs)
    found = losses.cross_entropy_gradient(z, y.to(dtype))
    expected = losses.cross_entropy_gradient(z, y)
    agree("cross_entropy_gradient, formats of targets", "itself, int64", found, expected)
    masked = torch.tensor([True, False])
    found = losses.mlm_loss(z, y.to(dtype), masked)
    agree("mlm_loss, formats of tokens", "torch", found, F.cross_entropy(z[:1], y[:1]))


def test_a_byte_of_156_is_not_ignored():
    """−100 wraps around to 156 in uint8."""
    ours = losses.cross_entropy(
        torch.zeros(2, 200, dtype=torch.float64),
        torch.tensor([156, 1], dtype=torch.uint8),
        reduction="none",
    )
    agree("cross_entropy, uint8", "by hand", ours, [math.log(200)] * 2)
    with pytest.raises(ValueError, match="from 0 to 99, got 156"):
        losses.cross_entropy(normal(1, 100), torch.tensor([156], dtype=torch.uint8))


Z, Y = normal(2, 3), torch.tensor([0, 1])
WRONG_KINDS = {
    "targets must hold whole numbers, got torch.bool": lambda: losses.cross_entropy(Z, Y > 0),
    "targets must hold whole numbers, got torch.float": lambda: losses.cross_entropy(Z, Y.double()),
    "targets must be a torch tensor, got list": lambda: losses.cross_entropy(Z, [0, 1]),
    "logits must be a torch tensor, got ndarray": lambda: losses.cross_entropy(Z.numpy(), Y),
    "logits must hold floating-point numbers": lambda: losses.cross_entropy(Z.long(), Y),
    "weight must be a torch tensor": lambda: losses.cross_entropy(Z, Y, weight=[1.0, 2.0, 3.0]),
    "ignore_index must be a whole number, got 1.5": lambda: losses.cross_entropy(
        Z, Y, ignore_index=1.5
    ),
    "targets must hold whole numbers, got torch.bool$": lambda: losses.cross_entropy_gradient(
        Z, Y > 0
    ),
    "prediction must be a torch tensor, got list": lambda: losses.mse([1.0], Z),
    "target must hold floating-point numbers, got torch.int64": lambda: losses.mse(Z[:, 0], Y),
    "target must be a torch tensor, got ndarray": lambda: losses.mse_gradient(Z, Z.numpy()),
    "targets must hold floating-point numbers, got torch.bool": (
        lambda: losses.binary_cross_entropy_with_logits(Z, Z > 0)
    ),
    "logits must be a torch tensor": lambda: losses.binary_cross_entropy_gradient([0.0], Z),
    "log_p must be a torch tensor": lambda: losses.kl_divergence([0.0], Z),
    "x must be a torch tensor, got list": lambda: losses.log_sum_exp([0.0]),
    "x must hold floating-point numbers": lambda: losses.log_sum_exp(Y),
    "tokens must hold whole numbers, got torch.bool": lambda: losses.mlm_loss(Z, Y > 0, Y > 0),
    "masked must be boolean, got torch.int64": lambda: losses.mlm_loss(Z, Y, Y),
    "masked must be a torch tensor": lambda: losses.mlm_loss(Z, Y, [True, False]),
    "queries must be a torch tensor": lambda: losses.info_nce(Z.numpy(), Z),
    "n_bytes must be a whole number, got 2.5": lambda: losses.bits_per_byte(1.0, 2.5),
}


@pytest.mark.parametrize("message", WRONG_KINDS)
def test_kinds_of_arguments(message):
    with unchecked(), pytest.raises(TypeError, match=message):
        WRONG_KINDS[message]()


def test_probabilities_are_no_logarithms():
    p, log_p = softmax(Z), log_softmax(Z)
    for wrong in ((p, log_p), (log_p, p), (Z, log_p), (log_p, log_p - 1.0)):
        with pytest.raises(ValueError, match=r"log_[pq] must hold logarithms of probabilities"):
            losses.kl_divergence(*wrong)


def test_a_divergence_of_nan_is_nan():
    log_p = log_softmax(Z)
    assert losses.kl_divergence(log_p * math.nan, log_p).isnan().all()


@pytest.mark.parametrize("name", ["mse", "binary_cross_entropy_with_logits"])
def test_what_stands_elsewhere_in_torch_goes_by_name(name):
    with unchecked(), pytest.raises(TypeError, match="positional"):
        getattr(losses, name)(SHARES, SHARES, SHARES)


# -- the twins themselves ------------------------------------------------------------------------


@shapes_vary
@given(rows=st.integers(1, 5), classes=st.integers(2, 6), seed=seeds)
def test_twins(rows, classes, seed):
    x, y = normal(rows, classes, seed=seed), normal(rows, classes, seed=seed + 1)
    target = labels(rows, classes=classes, seed=seed)
    a, b, t = x.numpy(), y.numpy(), target.numpy()
    agree("twin: mse", "torch", twin.mse(a, b), F.mse_loss(x, y))
    agree("twin: log_sum_exp", "torch", twin.log_sum_exp(a[0]), torch.logsumexp(x[0], 0))
    smooth = F.cross_entropy(x, target, label_smoothing=0.1)
    agree("twin: cross_entropy", "torch", twin.cross_entropy(a, t, 0.1), smooth)
    grad = gradient(lambda z: F.cross_entropy(z, target), x)
    agree("twin: cross_entropy_gradient", "torch", twin.cross_entropy_gradient(a, t), grad)
    wanted = torch.sigmoid(y)
    ours = twin.binary_cross_entropy_with_logits(a, wanted.numpy())
    theirs = F.binary_cross_entropy_with_logits(x, wanted)
    agree("twin: binary_cross_entropy_with_logits", "torch", ours, theirs)
    p, q = x.softmax(-1)[0], y.softmax(-1)[0]
    theirs = F.kl_div(q.log(), p, reduction="sum")
    agree("twin: kl_divergence", "torch", twin.kl_divergence(p.numpy(), q.numpy()), theirs)
    first = np.arange(rows) == 0
    theirs = F.cross_entropy(x[:1], target[:1])
    agree("twin: mlm_loss", "torch", twin.mlm_loss(a, t, first), theirs)
    cosines = F.cosine_similarity(x[:, None], y[None], dim=-1)
    theirs = F.cross_entropy(cosines / 0.2, torch.arange(rows))
    agree("twin: info_nce", "torch", twin.info_nce(a, b, 0.2), theirs)


# -- compiled ------------------------------------------------------------------------------------

ROWS = normal(6, 4, scale=2.0)
ANSWERS = torch.tensor([0, 1, -100, 3, 3, 2])
RARITY = torch.tensor([1.0, 2.0, 0.5, 1.0], dtype=torch.float64)
COMPILED = {
    "mse": lambda z: losses.mse(z, ROWS),
    "mse_gradient": lambda z: losses.mse_gradient(z, ROWS),
    "log_sum_exp": losses.log_sum_exp,
    "cross_entropy": lambda z: losses.cross_entropy(z, ANSWERS),
    "cross_entropy, sum": lambda z: losses.cross_entropy(
        z, ANSWERS, weight=RARITY, label_smoothing=0.1, reduction="sum"
    ),
    "cross_entropy_gradient": lambda z: losses.cross_entropy_gradient(z, ANSWERS.clamp(min=0)),
    "binary_cross_entropy_with_logits": lambda z: losses.binary_cross_entropy_with_logits(
        z, softmax(ROWS)
    ),
    "binary_cross_entropy_gradient": lambda z: losses.binary_cross_entropy_gradient(
        z, softmax(ROWS)
    ),
    "kl_divergence": lambda z: losses.kl_divergence(log_softmax(z), log_softmax(ROWS)),
    "mlm_loss": lambda z: losses.mlm_loss(z, ANSWERS.clamp(min=0), ANSWERS != 3),
    "info_nce": lambda z: losses.info_nce(z, ROWS),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_in_one_graph_a_loss_is_the_same(name):
    """A look at the numbers in a tensor would break the graph, which ``fullgraph`` forbids."""
    function, z = COMPILED[name], normal(6, 4, seed=1)
    with unchecked():  # what checks shapes in the tests is no part of the graph
        ours = torch.compile(function, backend="eager", fullgraph=True)(z)
    agree(name, "itself, not compiled", ours, function(z))


def test_compiled_the_gradient_is_the_same():
    z, compiled = (
        normal(6, 4, seed=1),
        torch.compile(COMPILED["cross_entropy"], backend="aot_eager", fullgraph=True),
    )
    with unchecked():
        ours = gradient(compiled, z)
    agree("cross_entropy", "itself, not compiled", ours, gradient(COMPILED["cross_entropy"], z))
