"""Beam search: texts and scores of transformers, the whole tree walked through, and by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import generation as gen
from companion.reference import generation as twin
from tests.generation.support import (
    PROMPTS,
    WITH_ENCODER,
    V,
    inputs,
    model,
    options,
    table,
    theirs,
)
from tests.plugins import shapes
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

ORACLE = "transformers.generate"
CASES = [
    ("GPT", 3, 1.0, False, 9, 1),
    ("GPT", 2, 0.0, False, 9, 2),
    ("GPT", 4, 1.0, True, 9, 1),
    ("GPT", 3, 2.0, "never", 9, 2),
    ("GPT", 3, -1.0, "never", 9, 1),
    ("GPT", 3, 1.0, False, 1, 1),
    ("GPT", 2, 1.0, False, 6, 0),
    ("Llama", 3, 1.0, False, 9, 1),
    ("Llama", 4, 0.6, True, 9, 2),
    ("T5", 3, 1.0, False, 9, 1),
    ("T5", 2, 2.0, "never", 6, 2),
]


def search(name, k, prompts=PROMPTS, samplers=(), **settings):
    settings = {"max_new_tokens": 9, **options(name), **settings}
    return gen.beam_search(model(name), prompts, samplers, n_beams=k, **settings)


def stops(name, n):
    """Return tokens that are written early on, so that beams end at different times."""
    written = gen.generate(model(name), PROMPTS, max_new_tokens=9, **options(name)).ids
    return [written[0][2], written[2][4]][:n]


def expected_beams(name, k, prompts=PROMPTS, *, stop=(), **settings):
    """Return the texts (without what fills them up) and scores of transformers."""
    given = inputs(name, prompts)
    start = 1 if name in WITH_ENCODER else given["input_ids"].shape[1]
    found = theirs(name).generate(
        **given,
        do_sample=False,
        num_beams=k,
        num_return_sequences=k,
        eos_token_id=stop or None,
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    )
    return found.sequences[:, start:].tolist(), found.sequences_scores


@pytest.mark.parametrize(("name", "k", "penalty", "early", "most", "n_stops"), CASES)
def test_texts_and_scores_are_theirs(name, k, penalty, early, most, n_stops):
    settings = {"length_penalty": penalty, "early_stopping": early, "max_new_tokens": most}
    stop = stops(name, n_stops)
    beams = [beam for found in search(name, k, stop=stop, **settings) for beam in found]
    texts, scores = expected_beams(name, k, stop=stop, **settings)
    same(
        f"beam_search, {name}",
        ORACLE,
        [beam.ids for beam in beams],
        [text[: len(beam.ids)] for text, beam in zip(texts, beams, strict=True)],
    )
    for text, beam in zip(texts, beams, strict=True):
        assert set(text[len(beam.ids) :]) <= {V - 1, *stop[:1]}, "only filled up after that"
        assert (beam.reason == "stop_id") == (beam.ids[-1] in stop)
    value = torch.tensor([beam.score for beam in beams])
    agree(f"Beam.score, {name}", ORACLE, value, scores, 1e-5)
    if n_stops and most > 1 and penalty <= 1:
        assert len({len(beam.ids) for beam in beams}) > 1


@pytest.mark.parametrize("name", ["GPT", "T5"])
def test_samplers_change_what_is_searched_as_theirs_do(name):
    prompts = [[1, 2, 3], [4, 5, 6]]
    samplers = [gen.RepetitionPenalty(1.4), gen.NoRepeatNGram(2), gen.BadWords([[3]])]
    settings = {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "bad_words_ids": [[3]]}
    found = [beam.ids for beams in search(name, 3, prompts, samplers) for beam in beams]
    texts, _ = expected_beams(name, 3, prompts, max_new_tokens=9, **settings)
    same(f"beam_search, {name}, samplers", ORACLE, found, texts)
    assert found != [beam.ids for beams in search(name, 3, prompts) for beam in beams]


@pytest.mark.parametrize("name", ["GPT", "GPT, alibi", "Llama", "Mixtral", "T5", "Seq2Seq"])
def test_a_prompt_alone_and_in_a_padded_batch_find_the_same(name):
    stop = stops(name, 1)
    together = search(name, 3, stop=stop, max_new_tokens=6)
    for prompt, beams in zip(PROMPTS, together, strict=True):
        (alone,) = search(name, 3, [prompt], stop=stop, max_new_tokens=6)
        same("beam_search, padded", "each prompt alone", ids_of(beams), ids_of(alone))
        agree("Beam.score, padded", "each prompt alone", scores_of(beams), scores_of(alone))


@pytest.mark.parametrize("name", ["GPT", "Llama", "T5", "Seq2Seq"])
def test_with_and_without_cache_the_same_is_found(name):
    ours, plain = search(name, 3), search(name, 3, cache=False)
    same("beam_search, cached", "without a cache", [*map(ids_of, ours)], [*map(ids_of, plain)])
    assert len({tuple(beam.ids) for beams in ours for beam in beams}) > 6


def test_one_beam_is_greedy_decoding():
    for name in ("GPT", "Llama", "T5"):
        found = [beams[0].ids for beams in search(name, 1)]
        expected = gen.generate(model(name), PROMPTS, max_new_tokens=9, **options(name)).ids
        same("beam_search, one beam", "generate", found, expected)


@pytest.mark.parametrize(
    ("early", "alpha", "ids"),
    [
        (True, 1.0, [1]),
        (False, 1.0, [1]),
        ("never", 0.0, [1]),  # a longer text has lost more factors
        ("never", 1.0, [0, 0, 0, 0]),  # (ln 0.4 + 3 ln 0.9) / 4 = -0.31, and ln 0.6 = -0.51
    ],
)
def test_one_beam_goes_past_the_greedy_text_only_if_a_longer_one_may_score_better(
    early, alpha, ids
):
    rows = torch.DoubleTensor([[0.9, 0.1, 0], [0, 0, 1], [0.4, 0.6, 0]])  # 1 ends a text
    (beams,) = gen.beam_search(
        lambda past: rows[past].log(),
        [[2]],
        n_beams=1,
        max_new_tokens=4,
        stop=1,
        length_penalty=alpha,
        early_stopping=early,
    )
    assert ids_of(beams) == [ids]


def ids_of(beams):
    return [beam.ids for beam in beams]


def scores_of(beams):
    return torch.DoubleTensor([beam.score for beam in beams])


# -- a tree of which all is known ----------------------------------------------------------------


def by_ids(rows):
    """Return the same model for the twin: from a list of ids to the log-probabilities of one."""
    log_p = rows.log_softmax(dim=-1)
    return lambda ids: log_p[ids[-1]].tolist()


@shapes_vary
@given(
    k=st.integers(1, 4),
    n=st.integers(1, 4),
    alpha=st.sampled_from([0.0, 1.0, 2.0]),
    end=st.sampled_from([None, 1]),
    seed=seeds,
)
def test_beams_are_those_of_the_twin(k, n, alpha, end, seed):
    ask, rows = table(seed)
    (beams,) = gen.beam_search(
        ask,
        [[0]],
        n_beams=k,
        max_new_tokens=n,
        stop=() if end is None else end,
        length_penalty=alpha,
        early_stopping="never",
    )
    expected = twin.beam_search(by_ids(rows), [0], k, n, end, alpha)
    same("beam_search", "NumPy twin", ids_of(beams), [ids for ids, _ in expected])
    scores = torch.DoubleTensor([score for _, score in expected])
    agree("Beam.score", "NumPy twin", scores_of(beams), scores)


@shapes_vary
@given(alpha=st.sampled_from([0.0, 1.0]), end=st.sampled_from([None, 1]), seed=seeds)
def test_wide_enough_the_search_finds_the_best_of_the_whole_tree(alpha, end, seed):
    ask, rows = table(seed, n=3)
    k = 9  # as many as there are beginnings of two tokens
    (beams,) = gen.beam_search(
        ask,
        [[0]],
        n_beams=k,
        max_new_tokens=3,
        stop=() if end is None else end,
        length_penalty=alpha,
        early_stopping="never",
    )
    (ids, score), *_ = twin.exhaustive_search(by_ids(rows), [0], 3, end, alpha)
    same("beam_search, wide", "twin: exhaustive_search", beams[0].ids, ids)
    agree("Beam.score, wide", "twin: exhaustive_search", beams[0].score, score, 1e-10)
    found = twin.beam_search(by_ids(rows), [0], k, 3, end, alpha)
    same("twin: beam_search", "twin: exhaustive_search", found[0][0], ids)


def test_the_whole_tree_by_hand():
    """Greedy takes 1 first and ends at 0.6 · 0.4 = 0.24; the best text is 2, 0 with 0.4 · 0.9."""
    rows = torch.DoubleTensor([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.9, 0.1, 0.0]])
    tree = twin.exhaustive_search(lambda ids: rows[ids[-1]].log().tolist(), [0], 2, alpha=0.0)
    best = [(ids, round(math.exp(score), 10)) for ids, score in tree[:2]]
    same("twin: exhaustive_search", "by hand", best, [([2, 0], 0.36), ([1, 0], 0.24)])
    (beams,) = gen.beam_search(lambda ids: rows[ids].log(), [[0]], n_beams=2, max_new_tokens=2)
    same("beam_search", "by hand", ids_of(beams), [[2, 0], [1, 0]])
    (greedy,) = gen.beam_search(lambda ids: rows[ids].log(), [[0]], n_beams=1, max_new_tokens=2)
    assert ids_of(greedy) == [[1, 0]]
    agree("Beam.log_prob", "by hand", beams[0].log_prob, math.log(0.36), 1e-10)
    agree("Beam.score, mean", "by hand", beams[0].score, math.log(0.36) / 2, 1e-10)


def test_a_length_penalty_lets_long_texts_win():
    """The end has probability 0.5 each time, so without it the shortest text is the best."""
    rows = torch.tensor([[0.5, 0.5], [0.2, 0.8]]).double().log()
    lengths = {}
    for alpha in (0.0, 1.0, 3.0):
        (beams,) = gen.beam_search(
            lambda ids: rows[torch.zeros_like(ids)],
            [[0]],
            n_beams=2,
            max_new_tokens=5,
            stop=1,
            length_penalty=alpha,
            early_stopping="never",
        )
        lengths[alpha] = len(beams[0].ids)
    assert lengths == {0.0: 1, 1.0: 1, 3.0: 5}


def test_constraints_and_conditions_end_beams():
    from companion.tokenizers import Characters

    letters = Characters("abcde")
    pattern = gen.either(gen.literal("ab"), gen.literal("cde"), gen.literal("ca"))
    only = gen.Constraint(pattern, letters)
    ask, _ = table()
    (beams,) = gen.beam_search(ask, [[0]], [only], n_beams=3, max_new_tokens=3)
    assert {letters.decode(beam.ids) for beam in beams} == {"ab", "cde", "ca"}
    assert {beam.reason for beam in beams} == {"complete"}
    (beams,) = gen.beam_search(
        ask, [[0]], n_beams=2, max_new_tokens=3, stop=lambda ids: len(ids) == 2
    )
    assert [(len(beam.ids), beam.reason) for beam in beams] == [(2, "condition")] * 2


def test_fewer_texts_than_beams():
    ask, _ = table(n=2)
    (beams,) = gen.beam_search(ask, [[0]], n_beams=4, max_new_tokens=1)
    assert sorted(ids_of(beams)) == [[0], [1]]


def test_positions_end_beams():
    prompts = [[1] * 46, [2] * 3]
    full, free = search("GPT", 2, prompts, max_new_tokens=5)
    assert {(len(beam.ids), beam.reason) for beam in full} == {(3, "positions")}
    assert {(len(beam.ids), beam.reason) for beam in free} == {(5, "max_new_tokens")}
    assert ids_of(full) == ids_of(search("GPT", 2, prompts[:1], max_new_tokens=5)[0])


ASK = table()[0]
REFUSED = {
    "n_beams must be at least 1, got 0": {"n_beams": 0},
    "length_penalty must be finite, got inf": {"length_penalty": math.inf},
    "early_stopping must be True, False or \"never\", got 'soon'": {"early_stopping": "soon"},
    "stop must hold tokens and functions of ids here, got 'end'": {"stop": [1, "end"]},
    "samplers hold TopK(k=2), which is for drawing, and nothing is drawn": {
        "samplers": [gen.TopK(2)]
    },
    "samplers must allow some text, but allow none for prompts[0]": {
        "samplers": [gen.AllowOnly(lambda *row: [])]
    },
    "as samplers leave them, got nan or inf": {"model": lambda ids: ASK(ids) * math.nan},
    "prompts[0] must hold at least one token": {"prompts": [[]]},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_work_is_refused(message):
    settings = {"model": ASK, "prompts": [[0]], "n_beams": 2, "max_new_tokens": 2}
    with shapes.unchecked(), pytest.raises((ValueError, TypeError)) as error:
        gen.beam_search(**{**settings, **REFUSED[message]})
    assert message in str(error.value)
