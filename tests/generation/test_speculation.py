"""Speculative decoding: greedy texts of the target alone, and its distribution kept exactly."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation.utils import _speculative_sampling

from companion import generation as gen
from companion import models
from companion.reference import generation as twin
from companion.tokenizers import Characters
from tests.generation.support import SIZES, V, generator, model, noise, options, table
from tests.plugins import shapes
from tests.support import fill, seeds, shapes_vary
from tests.verification import agree, same

PROMPT = [3, 1, 4, 1, 5]


def probabilities(rows, n, seed, scale=1.5):
    return noise(rows, n, seed, scale).softmax(dim=-1)


# -- the decision --------------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(1, 8), seed=seeds, scale=st.sampled_from([0.1, 1.0, 5.0]))
def test_accepted_and_redrawn_tokens_have_the_distribution_of_the_target(n, seed, scale):
    """Summed up over all ways to each token, so exactly."""
    p, q = probabilities(2, n, seed, scale)
    ways = q * torch.minimum(p / q, torch.ones(n)) + (1 - gen.acceptance(p, q)) * gen.residual(p, q)
    agree("residual", "the distribution of the target", ways, p)
    by_loops = twin.speculative_distribution(p.numpy(), q.numpy())
    agree("twin: speculative_distribution", "the distribution of the target", by_loops, p)
    distance = 1 - 0.5 * (p - q).abs().sum()
    agree("acceptance", "total variation distance", gen.acceptance(p, q), distance)
    by_loops = twin.acceptance(p.numpy(), q.numpy())
    agree("twin: acceptance", "total variation distance", by_loops, distance)


@shapes_vary
@given(n=st.integers(2, 6), seed=seeds)
def test_each_decision_is_that_of_the_twin(n, seed):
    p, q = probabilities(20, n, seed), probabilities(20, n, seed + 1)
    draws = generator(seed)
    guesses = torch.multinomial(q, 1, generator=draws)[:, 0]
    u, v = torch.rand(2, 20, generator=draws, dtype=torch.float64)
    decided = gen.accept(p, q, guesses, u)
    redrawn = gen.inverse_cdf(gen.residual(p, q), v)
    found = torch.where(decided, guesses, redrawn).tolist()
    expected = [
        twin.speculative_token(*(x.numpy() for x in pq), int(guess), float(a), float(b))
        for *pq, guess, a, b in zip(p, q, guesses, u, v, strict=True)
    ]
    same("accept", "NumPy twin", decided, [accepted for _, accepted in expected])
    same("twin: speculative_token", "accept and residual", [t for t, _ in expected], found)


def test_their_decision_is_the_same(monkeypatch):
    """With the same uniform numbers; theirs then draw from the same residual."""
    for seed in range(20):
        q, p = probabilities(4, V, seed), probabilities(5, V, seed + 50)
        guesses = torch.multinomial(q, 1, generator=generator(seed))[:, 0]
        u = torch.rand(1, 4, generator=generator(seed + 7), dtype=torch.float64)
        monkeypatch.setattr(torch, "rand_like", lambda x, u=u: u)
        drawn_from = []
        monkeypatch.setattr(
            torch,
            "multinomial",
            lambda p, num_samples, kept=drawn_from: kept.append(p) or torch.zeros(1, 1).long(),
        )
        _, n = _speculative_sampling(guesses[None], q.log()[None], 4, p.log()[None])
        monkeypatch.undo()
        ours = gen.accept(p[:4], q, guesses, u[0])
        n_ours = int(ours.long().cumprod(dim=0).sum())
        same("accept", "transformers", n_ours, int(n))
        expected = gen.residual(p[n_ours], q[n_ours]) if n_ours < 4 else p[4]
        agree("residual", "transformers", expected, drawn_from[0][0])


def test_one_guess_accepted_and_one_rejected_by_hand():
    p, q = torch.DoubleTensor([[0.2, 0.5, 0.3]] * 2), torch.DoubleTensor([[0.4, 0.5, 0.1]] * 2)
    decided = gen.accept(p, q, torch.tensor([0, 0]), torch.DoubleTensor([0.49, 0.51]))
    same("accept", "by hand", decided, [True, False])
    agree("residual", "by hand", gen.residual(p, q)[0], [0.0, 0.0, 1.0])
    agree("acceptance", "by hand", gen.acceptance(p, q)[0], 0.8)
    agree("acceptance, equal", "by hand", gen.acceptance(p, p)[0], 1.0)
    agree("residual, equal", "by hand", gen.residual(p, p), p)
    certain = gen.accept(p, q, torch.tensor([2, 1]), torch.DoubleTensor([0.999, 0.999]))
    assert certain.tolist() == [True, True], "what the target finds more probable"


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_how_many_tokens_a_call_gives(alpha, n):
    expected = twin.expected_tokens(alpha, n)
    agree("expected_tokens", "NumPy twin", gen.expected_tokens(alpha, n), expected, 1e-12)
    closed = n + 1 if alpha == 1 else (1 - alpha ** (n + 1)) / (1 - alpha)
    agree("twin: expected_tokens", "Leviathan et al. 2023, eq. 1", expected, closed, 1e-12)


# -- two models ----------------------------------------------------------------------------------


def small(seed=5, positions="learned", max_length=48):
    sizes = {**SIZES, "d_model": 8, "n_layers": 1, "n_heads": 2}
    made = models.GPT(models.GPTConfig(**sizes, max_length=max_length, positions=positions))
    return fill(made, seed, torch.float64, 0.5).eval()


DRAFTS = {
    "itself": lambda name: model(name),
    "the same, other weights": lambda name: model(name, seed=2),
    "small": lambda name: small(),
    "function": lambda name: table(n=V)[0],
}
BOTH = [("GPT", draft) for draft in DRAFTS]
BOTH += [("Llama", "small"), ("GPT, alibi", "itself"), ("T5", "itself"), ("Mixtral", "small")]
BOTH += [("Seq2Seq", "the same, other weights")]


@pytest.mark.parametrize(("name", "draft"), BOTH)
def test_greedy_texts_are_those_of_the_target_alone(name, draft):
    settings = {"max_new_tokens": 12, **options(name)}
    alone = gen.generate(model(name), [PROMPT], **settings)
    for n in (1, 4):
        done = gen.speculate(model(name), DRAFTS[draft](name), PROMPT, n_guesses=n, **settings)
        same(f"speculate, {name}, greedy", "generate", done.ids, alone.ids[0])
        value, expected = map(torch.DoubleTensor, (done.log_probs, alone.log_probs[0]))
        agree(f"Speculated.log_probs, {name}", "generate", value, expected)
        assert done.reason == "max_new_tokens"
        assert done.accepted == round(done.predicted * done.proposed)
        if draft == "itself":
            assert done.accepted == done.proposed
            same("Speculated.calls", "by hand", done.calls, math.ceil(12 / (n + 1)))
        else:
            assert done.accepted + done.calls in (12, 13), "one of its own in each call"


@pytest.mark.parametrize("n", [1, 3])
def test_drawn_texts_have_the_distribution_of_the_target(n):
    """All 27 texts of three tokens, counted: a chi-square test."""
    (target, rows), (draft, _) = table(0, 3, 0.7), table(9, 3, 0.7)
    log_p = rows.log_softmax(dim=-1)
    texts, draws, counts = 500, generator(n), {}
    accepted = proposed = 0
    predicted = []
    for _ in range(texts):
        done = gen.speculate(target, draft, [0], n_guesses=n, max_new_tokens=3, generator=draws)
        counts[tuple(done.ids)] = counts.get(tuple(done.ids), 0) + 1
        accepted, proposed = accepted + done.accepted, proposed + done.proposed
        predicted.append(done.predicted * done.proposed)
    chi_square = 0.0
    for text in itertools.product(range(3), repeat=3):
        log = sum(log_p[a, b] for a, b in itertools.pairwise((0, *text)))
        expected = texts * math.exp(log)
        chi_square += (counts.get(text, 0) - expected) ** 2 / expected
    assert chi_square < 54.05, "the 99.9 % quantile with 26 degrees of freedom"
    share, alpha = accepted / proposed, sum(predicted) / proposed
    agree("speculate, accepted", "Σ min(p, q)", share, alpha, 4 * proposed**-0.5, limit="1/√n")
    assert 0.4 < alpha < 0.95


@pytest.mark.verifies("Speculated", "the draft alone would have another distribution")
def test_the_distribution_of_the_draft_is_another():
    (_, rows), (_, others) = table(0, 3, 0.7), table(9, 3, 0.7)
    alpha = gen.acceptance(rows.softmax(dim=-1), others.softmax(dim=-1))
    assert (alpha < 0.9).any()


def test_samplers_are_applied_to_both():
    samplers = [gen.RepetitionPenalty(1.3), gen.NoRepeatNGram(2)]
    alone = gen.generate(model("GPT"), [PROMPT], samplers, max_new_tokens=20)
    done = gen.speculate(model("GPT"), model("GPT"), PROMPT, samplers, max_new_tokens=20)
    same("speculate, samplers", "generate", done.ids, alone.ids[0])
    assert done.accepted == done.proposed
    drawn = gen.speculate(
        model("GPT"), small(), PROMPT, [gen.TopK(2)], max_new_tokens=20, generator=generator()
    )
    text = torch.tensor([PROMPT + drawn.ids])
    logits = model("GPT")(text)[0, len(PROMPT) - 1 : -1]
    best = logits.topk(2).indices
    assert all(token in row for token, row in zip(drawn.ids, best, strict=True))


def test_constraints_hold_and_end_the_text():
    letters = Characters("abcdefghijklmnopq")
    pattern = gen.repeat(gen.either(*map(gen.literal, "abcd")), 2, 7)
    only = gen.Constraint(pattern, letters)
    for draws in (None, generator()):
        done = gen.speculate(
            model("GPT"), small(), PROMPT, [only], max_new_tokens=7, generator=draws
        )
        assert done.reason in ("complete", "max_new_tokens")
        assert len(done.ids) == 7
        assert set(done.ids) <= {0, 1, 2, 3}
    word = gen.Constraint(gen.literal("abcab"), letters)
    done = gen.speculate(model("GPT"), small(), PROMPT, [word], max_new_tokens=9, n_guesses=4)
    assert (done.ids, done.reason, done.calls) == ([0, 1, 2, 0, 1], "complete", 1)


def test_texts_end_where_they_end_without_a_draft():
    alone = gen.generate(model("Llama"), [PROMPT], max_new_tokens=20).ids[0]
    for stop in (alone[7], lambda ids: len(ids) == 5):
        expected = gen.generate(model("Llama"), [PROMPT], max_new_tokens=20, stop=stop)
        for draft in (model("Llama"), small()):
            done = gen.speculate(
                model("Llama"), draft, PROMPT, max_new_tokens=20, stop=stop, n_guesses=3
            )
            assert ([done.ids], [done.reason]) == (expected.ids, expected.reasons)


def test_positions_end_the_text_of_the_target_and_not_of_the_draft():
    alone = gen.generate(model("GPT"), [PROMPT], max_new_tokens=60)
    done = gen.speculate(model("GPT"), model("GPT", seed=2), PROMPT, max_new_tokens=60)
    assert ([done.ids], [done.reason]) == (alone.ids, alone.reasons)
    assert done.reason == "positions"
    short = gen.speculate(model("GPT"), small(max_length=9), PROMPT, max_new_tokens=30)
    assert short.ids == alone.ids[0][:30]
    assert 0 < short.proposed <= 9 - len(PROMPT) + 1
    assert short.reason == "max_new_tokens"


def test_modes_stay_and_dropout_is_off():
    target, draft = (fill(models.GPT(models.GPTConfig(**SIZES, dropout=0.5)), s) for s in (1, 2))
    expected = gen.generate(target, [PROMPT], max_new_tokens=9).ids[0]
    assert gen.speculate(target.train(), draft.train(), PROMPT, max_new_tokens=9).ids == expected
    assert target.training
    assert draft.training


P = torch.full((2, 3), 1 / 3)
REFUSED = {
    "target and draft must know the same tokens, got 17 of target and 5 of draft": lambda: (
        gen.speculate(
            model("GPT"),
            models.GPT(models.GPTConfig(5, 8, 8, 1, 2)),
            PROMPT,
            max_new_tokens=3,
        )
    ),
    "n_guesses must be at least 1, got 0": lambda: gen.speculate(
        model("GPT"), small(), PROMPT, max_new_tokens=3, n_guesses=0
    ),
    "stop must hold tokens and functions of ids here": lambda: gen.speculate(
        model("GPT"), small(), PROMPT, max_new_tokens=3, stop="end"
    ),
    "prompt must have at most 3 tokens, the positions that the draft has learnt": lambda: (
        gen.speculate(model("GPT"), small(max_length=3), PROMPT, max_new_tokens=3)
    ),
    "prompt must hold at least one token": lambda: gen.speculate(
        model("GPT"), small(), [], max_new_tokens=3
    ),
    "the draft's logits must allow some token, but allow none in row 0": lambda: gen.speculate(
        model("GPT"), small(), PROMPT, [gen.AllowOnly(lambda *row: [])], max_new_tokens=3
    ),
    "p and q must have one shape, (..., V), got (2, 3) and (1, 3)": (
        lambda: gen.acceptance(P, P[:1])
    ),
    "p must hold floating-point numbers": lambda: gen.residual(P.long(), P),
    "guesses must be from 0 to 2, got 3": (
        lambda: gen.accept(P, P, torch.tensor([0, 3]), torch.zeros(2))
    ),
    "guesses and u must be (2,), one for each place, got (2,) and (1,)": (
        lambda: gen.accept(P, P, torch.tensor([0, 1]), torch.zeros(1))
    ),
    "alpha must be from 0 to 1, got 1.5": lambda: gen.expected_tokens(1.5, 2),
    "n_guesses must be at least 1, got -1": lambda: gen.expected_tokens(0.5, -1),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_work_is_refused(message):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError)) as error:
        REFUSED[message]()
    assert message in str(error.value)
