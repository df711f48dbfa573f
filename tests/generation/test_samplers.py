"""Samplers: one by one against transformers and the twin, in lists, by hand, and refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation import logits_process as processors

from companion import generation as gen
from companion.reference import generation as twin
from tests.generation.support import V, generator, noise, theirs
from tests.plugins import shapes
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

ORACLE = "transformers"
HALF = [[0.5, 0.25, 0.15, 0.07, 0.03]]


def pasts(rows=4, length=12, n=6, seed=0):
    """Return what rows were given and have written: few tokens, so that they come again."""
    ids = torch.randint(n, (rows, length), generator=generator(seed)).tolist()
    return [row[:5] for row in ids], [row[5:] for row in ids]


def joined(prompts, written):
    return torch.tensor([a + b for a, b in zip(prompts, written, strict=True)])


def logs(p):
    return torch.tensor(p).log()


# -- one by one ----------------------------------------------------------------------------------

BY_LOGITS = {
    "Temperature": (gen.Temperature, processors.TemperatureLogitsWarper, twin.temperature),
    "TopK": (gen.TopK, processors.TopKLogitsWarper, twin.top_k),
    "TopP": (gen.TopP, processors.TopPLogitsWarper, twin.top_p),
    "MinP": (gen.MinP, processors.MinPLogitsWarper, twin.min_p),
}
VALUES = {
    "Temperature": (0.3, 2.0),
    "TopK": (1, 5, V),
    "TopP": (0.1, 0.6, 0.95),
    "MinP": (0.1, 1.0),
}


@pytest.mark.parametrize("name", BY_LOGITS)
@shapes_vary
@given(rows=st.integers(1, 4), scale=st.sampled_from([0.1, 1.0, 8.0]), seed=seeds)
def test_each_sampler_of_logits_is_theirs(name, rows, scale, seed):
    ours, processor, by_loops = BY_LOGITS[name]
    for value in VALUES[name]:
        logits = noise(rows, seed=seed, scale=scale)
        found = ours(value)(logits)
        agree(name, ORACLE, found, processor(value)(torch.zeros(rows, 1), logits))
        expected = [by_loops(row, value) for row in logits.numpy()]
        agree(name, f"twin: {by_loops.__name__}", found, np.array(expected))
        agree(f"twin: {by_loops.__name__}", ORACLE, np.array(expected), found)


@shapes_vary
@given(theta=st.sampled_from([0.7, 1.2, 3.0]), n=st.integers(1, 3), seed=seeds)
def test_each_sampler_of_the_past_is_theirs(theta, n, seed):
    logits, (prompts, written) = noise(seed=seed), pasts(n=2, seed=seed)
    ids, rows = joined(prompts, written), [a + b for a, b in zip(prompts, written, strict=True)]
    bad = [[1], [0, 3], [0, 1, 2], [*rows[0][-2:], 4]]
    cases = {
        "RepetitionPenalty": (
            gen.RepetitionPenalty(theta),
            processors.RepetitionPenaltyLogitsProcessor(theta),
            lambda z, past: twin.repetition_penalty(z, past, theta),
        ),
        "NoRepeatNGram": (
            gen.NoRepeatNGram(n),
            processors.NoRepeatNGramLogitsProcessor(n),
            lambda z, past: twin.no_repeat_ngram(z, past, n),
        ),
        "BadWords": (
            gen.BadWords(bad),
            processors.NoBadWordsLogitsProcessor(bad),
            lambda z, past: twin.bad_words(z, past, bad),
        ),
    }
    twins = {"RepetitionPenalty": "repetition_penalty", "NoRepeatNGram": "no_repeat_ngram"}
    for name, (ours, processor, by_loops) in cases.items():
        found, expected = ours(logits, prompts, written), processor(ids, logits)
        agree(name, ORACLE, found, expected)
        by_twin = [by_loops(z, past) for z, past in zip(logits.numpy(), rows, strict=True)]
        agree(f"twin: {twins.get(name, 'bad_words')}", ORACLE, np.array(by_twin), expected)
        assert torch.equal(ours(logits, rows), found), "prompt and answer count alike"
        assert not torch.equal(found, logits)


@shapes_vary
@given(seed=seeds)
def test_the_frequency_penalty_counts_what_was_written(seed):
    logits, (prompts, written) = noise(seed=seed), pasts(seed=seed)
    found = gen.FrequencyPenalty(0.4, presence=0.3)(logits, prompts, written)
    counts = torch.stack([torch.bincount(torch.tensor(row), minlength=V) for row in written])
    expected = logits - 0.4 * counts.double() - 0.3 * (counts > 0).double()
    agree("FrequencyPenalty", "torch.bincount", found, expected)
    by_loops = [
        twin.frequency_penalty(z, row, 0.4, 0.3)
        for z, row in zip(logits.numpy(), written, strict=True)
    ]
    agree("twin: frequency_penalty", "torch.bincount", np.array(by_loops), expected)


def test_allow_only_is_their_hook():
    logits, (prompts, written) = noise(), pasts()

    def allowed(past):
        return sorted({past[-1], past[0], 7})

    ours = gen.AllowOnly(lambda prompt, row: allowed([*prompt, *row]))
    hook = processors.PrefixConstrainedLogitsProcessor(lambda _, ids: allowed(ids.tolist()), 1)
    expected = hook(joined(prompts, written), logits)
    agree("AllowOnly", ORACLE, ours(logits, prompts, written), expected)


def test_in_a_list_they_are_applied_in_order_as_theirs_are():
    logits, (prompts, written) = noise(), pasts()
    config = GenerationConfig(
        do_sample=True,
        repetition_penalty=1.3,
        no_repeat_ngram_size=2,
        bad_words_ids=[[3]],
        temperature=0.7,
        top_k=9,
        top_p=0.9,
        min_p=0.05,
    )
    config._eos_token_tensor = None
    made = theirs("GPT")._get_logits_processor(config, input_ids_seq_length=5)
    assert len(made) == 7
    assert isinstance(made, LogitsProcessorList)
    samplers = [
        gen.RepetitionPenalty(1.3),
        gen.NoRepeatNGram(2),
        gen.BadWords([[3]]),
        gen.Temperature(0.7),
        gen.TopK(9),
        gen.TopP(0.9),
        gen.MinP(0.05),
    ]
    found = logits
    for sampler in samplers:
        found = sampler(found, prompts, written)
    agree("Sampler, in a list", ORACLE, found, made(joined(prompts, written), logits))
    backwards = logits
    for sampler in samplers[::-1]:
        backwards = sampler(backwards, prompts, written)
    assert not torch.equal(backwards, found)


# -- by hand -------------------------------------------------------------------------------------


def kept(sampler, p=HALF):
    return sampler(logs(p)).isfinite()[0].tolist()


def test_five_tokens_by_hand():
    same("TopK", "by hand", kept(gen.TopK(2)), [True, True, False, False, False])
    same("TopP", "by hand", kept(gen.TopP(0.8)), [True, True, True, False, False])
    same("MinP", "by hand", kept(gen.MinP(0.2)), [True, True, True, False, False])
    cold = gen.Temperature(0.5)(logs(HALF)).softmax(dim=-1)
    squares = torch.tensor(HALF) ** 2
    agree("Temperature", "by hand", cold, squares / squares.sum())
    penalised = gen.RepetitionPenalty(2.0)(torch.tensor([[4.0, -1.0, 0.5]]), [[0]], [[1]])
    agree("RepetitionPenalty", "by hand", penalised, [[2.0, -2.0, 0.5]])


def test_the_nucleus_ends_where_p_is_reached():
    """0.5 is reached by the first token alone, 0.51 is not."""
    assert kept(gen.TopP(0.5), [[0.5, 0.25, 0.25]]) == [True, False, False]
    assert kept(gen.TopP(0.51), [[0.5, 0.3, 0.2]]) == [True, True, False]
    assert kept(gen.TopP(1.0)) == [True] * 5
    assert kept(gen.TopP(1e-9)) == [True] + [False] * 4


def test_ties_stay_together_in_top_k_and_min_p():
    even = [[0.25, 0.25, 0.25, 0.25]]
    assert kept(gen.TopK(1), even) == kept(gen.MinP(1.0), even) == [True] * 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_lose_no_token_to_rounding(dtype):
    """The sum of many small probabilities would stand still in 16 bits."""
    logits = torch.zeros(1, 4096, dtype=dtype)
    assert abs(gen.TopP(0.9)(logits).isfinite().sum().item() - 0.9 * 4096) < 2
    for sampler in (gen.Temperature(0.01), gen.RepetitionPenalty(1.5)):
        assert sampler(torch.full((1, 3), 3e4, dtype=dtype), [[0]]).isfinite().all()


def test_samplers_leave_their_input_alone():
    logits, (prompts, written) = noise(), pasts()
    before = logits.clone()
    every = [
        gen.Temperature(0.5),
        gen.TopK(2),
        gen.TopP(0.5),
        gen.MinP(0.5),
        gen.RepetitionPenalty(1.5),
        gen.FrequencyPenalty(0.5),
        gen.NoRepeatNGram(2),
        gen.BadWords([[1]]),
        gen.AllowOnly(lambda prompt, row: [1]),
    ]
    for sampler in every:
        sampler(logits, prompts, written)
        assert torch.equal(logits, before), sampler


# -- the draw ------------------------------------------------------------------------------------


@shapes_vary
@given(rows=st.integers(1, 5), n=st.integers(1, 9), seed=seeds)
def test_one_number_stands_for_one_token(rows, n, seed):
    p = noise(rows, n, seed).softmax(dim=-1)
    p[:, 0] = 0 if n > 1 else 1
    u = torch.rand(rows, generator=generator(seed), dtype=torch.float64)
    found = gen.inverse_cdf(p, u)
    expected = [twin.inverse_cdf(a, b) for a, b in zip(p.numpy(), u.tolist(), strict=True)]
    same("inverse_cdf", "NumPy twin", found, expected)
    numpy = [
        int(np.searchsorted(np.cumsum(a), b * a.sum(), side="right"))
        for a, b in zip(p.numpy(), u.tolist(), strict=True)
    ]
    same("twin: inverse_cdf", "numpy.searchsorted", expected, numpy)


def test_no_number_stands_for_a_token_without_probability():
    p = torch.tensor([[0.0, 0.1, 0.2, 0.7, 0.0, 0.0]]).repeat(3, 1)
    u = torch.tensor([0.0, 0.5, math.nextafter(1, 0)], dtype=torch.float64)
    same("inverse_cdf, at the ends", "by hand", gen.inverse_cdf(p, u), [1, 3, 3])
    with pytest.raises(ValueError, match="u must be below 1"):
        twin.inverse_cdf(np.array([0.5, 0.5]), 1.0)


# -- what cannot work ----------------------------------------------------------------------------

LOGITS = torch.zeros(2, 3)
REFUSED = {
    "tau must be above 0 and finite, got 0; greedy decoding, which always takes the likeliest": (
        lambda: gen.Temperature(0)
    ),
    "tau must be above 0 and finite, got -1": lambda: gen.Temperature(-1.0),
    "tau must be above 0 and finite, got inf": lambda: gen.Temperature(math.inf),
    "tau must be above 0 and finite, got nan": lambda: gen.Temperature(math.nan),
    "tau must be a number, got '1'": lambda: gen.Temperature("1"),
    "tau must be a number, got True": lambda: gen.Temperature(True),
    "k must be at least 1, got 0": lambda: gen.TopK(0),
    "k must be a whole number, got 2.0": lambda: gen.TopK(2.0),
    "k must be at most the 3 tokens there are, got 4": lambda: gen.TopK(4)(LOGITS),
    "p must be above 0 and at most 1, got 0.0": lambda: gen.TopP(0.0),
    "p must be above 0 and at most 1, got 1.1": lambda: gen.TopP(1.1),
    "p must be above 0 and at most 1, got nan": lambda: gen.TopP(math.nan),
    "p must be from 0 to 1, got -0.1": lambda: gen.MinP(-0.1),
    "p must be from 0 to 1, got 2": lambda: gen.MinP(2),
    "theta must be above 0 and finite, got 0.0": lambda: gen.RepetitionPenalty(0.0),
    "frequency must be finite, got inf": lambda: gen.FrequencyPenalty(math.inf),
    "presence must be a number, got None": lambda: gen.FrequencyPenalty(0.1, None),
    "n must be at least 1, got 0": lambda: gen.NoRepeatNGram(0),
    "sequences must hold at least one sequence, got none": lambda: gen.BadWords([]),
    "each of sequences must hold at least one id, got an empty one": lambda: gen.BadWords([[]]),
    "each id of sequences must be at least 0, got -1": lambda: gen.BadWords([[-1]]),
    "sequences must hold ids below 3, got 7": lambda: gen.BadWords([[7]])(LOGITS, [[], []]),
    "function must be a function of ids, got [1]": lambda: gen.AllowOnly([1]),
    "logits must be (batch, vocabulary), got shape (3,)": lambda: gen.TopK(1)(torch.zeros(3)),
    "logits must be a torch tensor, got list": lambda: gen.TopP(0.5)([[0.0]]),
    "logits must hold floating-point numbers": lambda: gen.MinP(0.5)(LOGITS.long()),
    "prompts must be one for each of 2 rows, got 1": (
        lambda: gen.RepetitionPenalty(2.0)(LOGITS, [[1]])
    ),
    "written must be one for each of 2 rows, got 1": (
        lambda: gen.FrequencyPenalty(1.0)(LOGITS, [[], []], [[1]])
    ),
    "u must be from 0 to below 1": lambda: gen.inverse_cdf(LOGITS + 1, torch.ones(2)),
    "p must be (batch, vocabulary) and u (batch,), got (2, 3) and (3,)": (
        lambda: gen.inverse_cdf(LOGITS + 1, torch.zeros(3))
    ),
    "p must hold probabilities, and in every row at least one above 0": (
        lambda: gen.inverse_cdf(LOGITS, torch.zeros(2))
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_work_is_refused(message):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError)) as error:
        REFUSED[message]()
    assert message in str(error.value)
