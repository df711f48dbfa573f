"""The answers of the exercises of *Generation*, held against the package and against counting."""

import codecs
import itertools
import math
import random
import re

import numpy as np
import pytest
import torch

from companion import generation, models
from companion.tokenizers import BPE
from exercises import generation as master
from exercises import run
from exercises.generation import (
    beam_by_hand,
    guesses_by_hand,
    may_follow,
    own_sampler,
    ragged_batch,
    second_chance,
    tokens_left,
    whole_characters,
)

pytestmark = pytest.mark.chapter("generation")


def drawn(module, seeds):
    return [{}, *(module.draw(random.Random(seed)) for seed in range(seeds))]


def solved(exercise):
    return run(master.SETUP, exercise.solution)


# -- samplers ------------------------------------------------------------------------------------


def test_tokens_are_left_as_by_hand():
    """Sums 0.38, 0.64, 0.81; the threshold of min-p is 0.228; squares reach 0.75 with two."""
    left, share = tokens_left.outcomes((0.38, 0.26, 0.17, 0.12, 0.07), 4, 0.75, 0.6, 0.5)
    assert left == {"a": 4, "b": 3, "c": 2, "d": 2}
    two = 0.38**2 / (0.38**2 + 0.26**2)
    by_hand = {"a": 0.38 / 0.93, "b": 0.38 / 0.81, "c": 0.38 / 0.64, "d": two}
    assert share == pytest.approx(by_hand)


def by_transformers(rule, amount, z):
    """Return which tokens stay by an implementation of other authors."""
    from transformers.generation import logits_process as theirs

    warper = {"typical": theirs.TypicalLogitsWarper, "epsilon": theirs.EpsilonLogitsWarper}[rule]
    return torch.isfinite(warper(amount)(None, z[None].clone())[0])


@pytest.mark.parametrize(("rule", "amounts"), [("typical", (0.2, 0.7)), ("epsilon", (0.05, 0.9))])
def test_samplers_are_those_of_transformers(rule, amounts):
    own = solved(own_sampler.exercise(rule))["own_sampler"]
    for seed, amount in itertools.product(range(10), amounts):
        z = own_sampler.some_logits(seed)
        assert (own(z, amount) > -torch.inf).tolist() == by_transformers(rule, amount, z).tolist()


def test_top_n_sigma_does_not_depend_on_the_temperature_and_top_a_does():
    sigma = solved(own_sampler.exercise("sigma"))["own_sampler"]
    square = solved(own_sampler.exercise("square"))["own_sampler"]
    z = own_sampler.some_logits(1)
    counts = [
        [int((sampler(z / tau, 0.9) > -torch.inf).sum()) for tau in (0.5, 1.0, 3.0)]
        for sampler in (sigma, square)
    ]
    assert len(set(counts[0])) == 1
    assert counts[1] == sorted(counts[1])
    assert counts[1][0] < counts[1][2]


def test_top_a_is_min_p_with_the_largest_probability_as_a_factor():
    square = solved(own_sampler.exercise("square"))["own_sampler"]
    for seed in range(10):
        z = own_sampler.some_logits(seed)
        largest = z.softmax(dim=0).max().item()
        expected = generation.MinP(0.6 * largest)(z[None])[0]
        assert torch.equal(square(z, 0.6), expected)


@pytest.mark.parametrize("rule", own_sampler.RULES)
def test_the_loop_of_the_check_keeps_what_the_solution_keeps(rule):
    own = solved(own_sampler.exercise(rule))["own_sampler"]
    for seed in range(20):
        z, amount = own_sampler.some_logits(seed, (2, 7)), own_sampler.some_amounts(rule)[seed % 3]
        if own_sampler.is_clear(z, amount, rule):
            assert (own(z, amount) > -torch.inf).tolist() == own_sampler.stays(z, amount, rule)


# -- beams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", drawn(beam_by_hand, 8), ids=str)
def test_beams_are_those_of_the_package(given):
    exercise = beam_by_hand.exercise(**given)
    right = solved(exercise)
    begin, after_a, after_b = (
        given.get(name, page)
        for name, page in (
            ("begin", (60, 40, 0)),
            ("after_a", (5, 45, 50)),
            ("after_b", (15, 5, 80)),
        )
    )
    table = torch.tensor([after_a, after_b, (0, 0, 100), begin], dtype=torch.float64) / 100
    logits = torch.cat((table.log(), torch.full((4, 1), -torch.inf)), dim=1)  # nothing begins again

    def best(n_beams, penalty):
        (found,) = generation.beam_search(
            lambda ids: logits[ids],
            [[3]],
            n_beams=n_beams,
            max_new_tokens=3,
            stop=2,
            length_penalty=penalty,
            early_stopping="never",
        )
        return "".join("ab."[i] for i in found[0].ids), found[0].score

    greedy = generation.generate(lambda ids: logits[ids], [[3]], max_new_tokens=3, stop=2).ids[0]
    assert "".join("ab."[i] for i in greedy) == right["greedy_text"]
    assert best(2, 0.0)[0] == right["winner_by_sum"]
    written, score = best(2, 1.0)
    assert written == right["winner_by_mean"]
    assert score == pytest.approx(right["winner_mean"], abs=1e-6)


# -- guesses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", drawn(guesses_by_hand, 6), ids=str)
def test_guesses_are_judged_as_by_the_package(given):
    exercise = guesses_by_hand.exercise(**given)
    page = {"p": (12, 40, 20, 28), "q": (30, 20, 32, 18), "guesses": (2, 0), "u": 0.5, "v": 0.8}
    given = {**page, "n_guesses": 3, "cost": 0.1, **given}
    right = solved(exercise)
    p, q = (torch.tensor([given[name]], dtype=torch.float64) / 100 for name in "pq")
    u = torch.tensor([given["u"]], dtype=torch.float64)
    decisions = [generation.accept(p, q, torch.tensor([x]), u).item() for x in given["guesses"]]
    assert sorted(decisions) == [False, True]
    by_size = right["accepted_one"], right["accepted_two"]
    assert [share > given["u"] for share in by_size] == decisions
    rest = generation.residual(p, q)
    assert right["drawn_instead_from"] == pytest.approx(rest[0].tolist(), abs=1e-6)
    v = torch.tensor([given["v"]], dtype=torch.float64)
    assert right["drawn_instead"] == generation.inverse_cdf(rest, v).item()
    alpha = generation.acceptance(p, q).item()
    assert right["share_accepted"] == pytest.approx(alpha, abs=1e-6)
    tokens = generation.expected_tokens(alpha, given["n_guesses"])
    assert right["tokens_a_call"] == pytest.approx(tokens, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_two_guesses_are_judged_as_twice_by_the_package(seed):
    p, q, r = second_chance.some_distributions(seed)
    one, two, last = solved(second_chance.exercise())["second_chance"](p, q, r)
    tensors = [torch.tensor(x)[None].repeat(6, 1) for x in (p, q, r)]
    rest = generation.residual(tensors[0], tensors[1])
    tokens = torch.arange(6)
    for found, target, draft in ((one, tensors[0], tensors[1]), (two, rest, tensors[2])):
        for shift, accepted in ((-1e-9, True), (1e-9, False)):
            u = torch.tensor(found) + shift
            decided = generation.accept(target, draft, tokens, u)
            assert (decided == accepted)[torch.tensor(found) < 1].all()
    assert last == pytest.approx(generation.residual(rest, tensors[2])[0].numpy())


def test_two_guesses_are_accepted_more_often_than_one_and_never_more_than_both_together():
    for seed in range(10):
        p, q, r = second_chance.some_distributions(seed)
        _, two, _ = solved(second_chance.exercise())["second_chance"](p, q, r)
        alone = np.minimum(p, q).sum()
        both = alone + (1 - alone) * (r * two).sum()
        assert alone < both <= np.minimum(p, q + r).sum() + 1e-12


# -- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ragged_batch.SIDES)
def test_a_prompt_in_a_batch_is_read_as_if_it_were_alone(side):
    torch.manual_seed(0)
    gpt = models.GPT(models.GPTConfig(50, 16, d_model=8, n_layers=2, n_heads=2)).double().eval()
    rows = ragged_batch.some_prompts(3)
    found = solved(ragged_batch.exercise(side))["ragged_batch"](rows, ragged_batch.FILLER)
    ids, positions, sees = found
    with torch.no_grad():
        x = gpt.tokens(ids) + gpt.positions(positions)
        for block in gpt.blocks:
            x = block(x, mask=sees)
        together = gpt.predict(x)
        assert torch.isfinite(together).all()
        for row, logits in zip(rows, together, strict=True):
            places = list(ragged_batch.places_of(row, ids.shape[1], side))
            alone = gpt(torch.tensor([row]))[0]
            torch.testing.assert_close(logits[places], alone, rtol=0, atol=1e-12)


# -- characters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_characters_come_as_from_the_package_and_from_python(seed):
    tokens = whole_characters.some_tokens(seed, cut=seed % 4)
    found = solved(whole_characters.exercise())["whole_characters"](tokens)
    decoder = codecs.getincrementaldecoder("utf-8")()
    assert found == [decoder.decode(token) for token in tokens]
    ours, byte_by_byte = generation.Detokenizer(BPE([])), [bytes([b]) for b in b"".join(tokens)]
    found = solved(whole_characters.exercise())["whole_characters"](byte_by_byte)
    assert found == [ours.push(byte) for byte in b"".join(tokens)]


def test_the_end_is_shown_as_python_replaces_it():
    shown = solved(whole_characters.exercise("shown"))["whole_characters"]
    for cut in (0, 1, 2, 3):
        tokens = whole_characters.some_tokens(1, cut)
        assert "".join(shown(tokens)) == b"".join(tokens).decode(errors="replace")


# -- what may follow -----------------------------------------------------------------------------


def test_what_may_follow_is_what_a_regular_expression_lets_through():
    """Numbers in brackets, in all texts of up to three more tokens."""
    moves = {(0, "["): 1, (1, "7"): 2, (2, "7"): 2, (2, ","): 1, (2, "]"): 3}
    tokens = ["[", "7", ",7", "]", "7]"]
    found = solved(may_follow.exercise())["may_follow"]
    for written in ("", "[", "[7", "[7,"):
        right = set()
        for n in (1, 2, 3):
            for numbers in itertools.product(range(5), repeat=n):
                text = written + "".join(tokens[i] for i in numbers)
                if re.fullmatch(r"\[7+(,7+)*\]", text):
                    right.add(numbers[0])
        assert found(moves, {3}, tokens, written, 3) == sorted(right)


def test_what_may_follow_is_what_the_package_allows():
    """A pattern of up to three digits; the text has room for as many as the pattern."""
    pattern = generation.repeat(generation.one_of(b"12"), 1, 3)
    moves = {(state, digit): state + 1 for state in range(3) for digit in "12"}
    tokens = ["1", "2", "12", "121", "3", "1211"]
    found = solved(may_follow.exercise("characters"))["may_follow"]
    for written in ("", "1", "12"):
        rest = generation.derivative(pattern, written.encode())
        right = [
            i
            for i, token in enumerate(tokens)
            if generation.derivative(rest, token.encode()) is not generation.NOTHING
        ]
        assert found(moves, {1, 2, 3}, tokens, written, 3 - len(written)) == right


def test_a_long_text_takes_no_long_search():
    """There are 3 ** 60 texts; each question is answered once."""
    moves = {(i, c): i + 1 for i in range(60) for c in "abc"}
    found = solved(may_follow.exercise())["may_follow"]
    assert found(moves, {60}, ["a", "b", "c"], "", 60) == [0, 1, 2]
    assert found(moves, {60}, ["a", "b", "c"], "", 59) == []
    assert math.isclose(60 * math.log10(3), 28.6, abs_tol=0.1)
