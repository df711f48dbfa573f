"""What callers' own functions return is looked at: models, samplers and draws, in each search."""

import math

import pytest
import torch

from companion import generation as gen
from companion import models
from companion.tokenizers import BPE, Characters
from tests.generation.support import generator
from tests.plugins import shapes

V = 5
AB = Characters("ab")
SIZES = {"vocab_size": V, "max_length": 8, "d_model": 8, "n_layers": 1, "n_heads": 2}


def flat(ids):
    """A model to which all tokens are equally probable."""
    return torch.zeros(1, ids.shape[1], V)


def gpt(**sizes):
    return models.GPT(models.GPTConfig(**{**SIZES, **sizes})).eval()


def write(model=flat, samplers=(), prompts=((1, 2), (3,)), **options):
    return gen.generate(model, prompts, samplers, **{"max_new_tokens": 3, **options})


def search(model=flat, samplers=(), **options):
    settings = {"n_beams": 2, "max_new_tokens": 3, **options}
    return gen.beam_search(model, [[1, 2], [3]], samplers, **settings)


def speculate(target=flat, draft=flat, samplers=(), prompt=(1, 2), **options):
    return gen.speculate(target, draft, prompt, samplers, **{"max_new_tokens": 3, **options})


WAYS = {"generate": write, "beam_search": search, "speculate": speculate}


def refused(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError)) as error:
        call()
    assert message in str(error.value)
    return error.value


# -- samplers ------------------------------------------------------------------------------------

SAMPLERS = {
    "fewer logits": (lambda z, *rows: z[:, :3], ValueError, "of the shape that it is given, ("),
    "a new axis": (lambda z, *rows: z[None], ValueError, "of the shape that it is given, ("),
    "nothing": (lambda z, *rows: None, TypeError, "got NoneType from <function"),
    "a list": (lambda z, *rows: z.tolist(), TypeError, "got list from <function"),
    "booleans": (lambda z, *rows: z > 0, TypeError, "got torch.bool from <function"),
    "integers": (lambda z, *rows: z.long(), TypeError, "got torch.int64 from <function"),
    "infinity": (lambda z, *rows: z + math.inf, ValueError, "finite"),
    "NaN": (lambda z, *rows: z * math.nan, ValueError, "nan"),
    "one argument": (lambda z: z, TypeError, "must be a function of logits, prompts and written"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", SAMPLERS)
def test_a_sampler_returns_logits_of_the_same_shape(way, what):
    sampler, kind, message = SAMPLERS[what]
    error = refused(message, lambda: WAYS[way](samplers=[sampler]))
    assert type(error) is kind
    if "infinity" not in what and what != "NaN":
        assert str(error).startswith("each of samplers must")


def test_a_sampler_that_loses_rows_is_refused():
    for way in (write, search):
        refused(
            ", 5), got (1, 5) from <function", lambda way=way: way(samplers=[lambda z, *r: z[:1]])
        )


@pytest.mark.parametrize("way", ["generate", "speculate"])
def test_a_sampler_that_writes_into_what_it_is_given_changes_no_log_prob(way):
    def inside(logits, prompts, written):
        logits[:, 0] = -math.inf
        return logits

    (found, *_) = [WAYS[way](samplers=[inside]).log_probs]
    expected = [math.log(1 / V)] * 3
    for row in found if way == "generate" else [found]:
        assert row == pytest.approx(expected)


# -- draws ---------------------------------------------------------------------------------------

DRAWS = {
    "probability is above 0, got 4 in row 1": lambda p: torch.tensor([0, 4]),
    "the ids that draw returns must hold whole numbers, got torch.float32": lambda p: p[:, 0],
    "the ids that draw returns must hold whole numbers, got torch.bool": lambda p: p[:, 0] > 0,
    "the ids that draw returns must be from 0 to 4, got 9": lambda p: torch.tensor([0, 9]),
    "the ids that draw returns must be from 0 to 4, got -1": lambda p: torch.tensor([-1, 0]),
    "a token for each row, shape (2,), got (2, 1)": lambda p: torch.multinomial(p, 1),
    "a token for each row, shape (2,), got ()": lambda p: torch.tensor(1),
    "draw must return a tensor of ids, one for each row, got int": lambda p: 1,
    "draw must return a tensor of ids, one for each row, got list": lambda p: [1, 1],
    "draw must return a tensor of ids, one for each row, got NoneType": lambda p: None,
}
FIRST_FOUR = gen.AllowOnly(lambda *row: [0, 1, 2, 3])


@pytest.mark.parametrize("message", DRAWS)
def test_a_draw_returns_a_possible_token_for_each_row(message):
    refused(message, lambda: write(samplers=[FIRST_FOUR], draw=DRAWS[message]))


def test_a_draw_may_use_any_whole_numbers_and_may_write_into_what_it_is_given():
    def second(p):
        p[:] = 0
        return torch.ones(len(p), dtype=torch.uint8)

    assert write(draw=second).ids == [[1] * 3] * 2

    def the_last(p):  # makes what is impossible possible for itself alone
        p[:] = 1
        return torch.full((len(p),), 4)

    refused("above 0, got 4 in row 0", lambda: write(samplers=[FIRST_FOUR], draw=the_last))


# -- models --------------------------------------------------------------------------------------

SHAPES = {
    "two dimensions": lambda ids: torch.zeros(ids.shape[1], V),
    "rows that are none": lambda ids: torch.zeros(2, ids.shape[1], V),
    "no vocabulary": lambda ids: torch.zeros(1, ids.shape[1], 0),
    "more than it has read": lambda ids: torch.zeros(1, ids.shape[1] + 1, V),
    "nothing read": lambda ids: torch.zeros(1, 0, V),
}
KINDS = {
    "torch.int64": lambda ids: torch.zeros(1, ids.shape[1], V).long(),
    "tuple": lambda ids: (flat(ids),),
    "NoneType": lambda ids: None,
}
AS = {
    "generate": ("model", write),
    "beam_search": ("model", search),
    "target": ("target", lambda model: speculate(target=model)),
    "draft": ("draft", lambda model: speculate(draft=model)),
}


@pytest.mark.parametrize("way", AS)
@pytest.mark.parametrize("what", SHAPES)
def test_a_function_returns_logits_of_one_row(way, what):
    name, call = AS[way]
    error = refused("for ids (1, ", lambda: call(SHAPES[what]))
    assert str(error).startswith(f"{name} must return logits (1, ")


@pytest.mark.parametrize("way", AS)
@pytest.mark.parametrize("what", KINDS)
def test_a_function_returns_floating_point_numbers(way, what):
    name, call = AS[way]
    message = f"{name} must return a tensor of floating-point logits, got {what}"
    refused(message, lambda: call(KINDS[what]))


@pytest.mark.parametrize("way", ["generate", "beam_search"])
def test_a_vocabulary_does_not_change(way):
    def growing(ids):
        return torch.zeros(1, ids.shape[1], 3 + ids.shape[1])

    refused("model must return logits (1, 1, 5) for ids (1, 1), got shape (1, 1, 4)",
            lambda: WAYS[way](growing))  # fmt: skip


def test_the_logits_of_the_last_token_are_enough():
    def last(ids):
        return flat(ids)[:, -1:]

    assert write(last).ids == write().ids
    assert speculate(draft=last).ids == speculate().ids


@pytest.mark.parametrize("way", WAYS)
def test_what_a_function_cannot_say_is_refused_at_its_first_logits(way):
    refused("a token in stop must be at most 4, got 9", lambda: WAYS[way](stop=9))
    bad = gen.BadWords([[9]])
    refused("sequences must hold ids below 5, got 9", lambda: WAYS[way](samplers=[bad]))


IDS = {
    "generate, repetition": lambda: write(samplers=[gen.RepetitionPenalty(1.2)], prompts=[[9, 1]]),
    "generate, n-grams": lambda: write(samplers=[gen.NoRepeatNGram(1)], prompts=[[9, 1]]),
    "alone": lambda: gen.RepetitionPenalty(1.2)(torch.zeros(1, V), [[9]], [[]]),
}


@pytest.mark.parametrize("case", IDS)
def test_a_penalty_says_which_id_has_no_logit(case):
    refused("the ids of prompts and written must be from 0 to 4, got 9", IDS[case])


def test_a_frequency_penalty_too():
    penalty = gen.FrequencyPenalty(1.0)
    message = "the ids of written must be from 0 to 2, got 7"
    refused(message, lambda: penalty(torch.zeros(1, 3), [[1]], [[7]]))


ALLOWED = {
    "must be from 0 to 4, got 9": [9],
    "must be from 0 to 4, got -1": [-1],
    "must hold whole numbers, got torch.float32": [math.nan],
    "must hold whole numbers, got torch.bool": [True, False, True, True, True],
    "must hold whole numbers, got 'a'": "ab",
    "must be a list, got NoneType": None,
    "must be a list, got int": 3,
}


@pytest.mark.parametrize("message", ALLOWED)
def test_allow_only_takes_ids(message):
    only = gen.AllowOnly(lambda *row: ALLOWED[message])
    refused(f"the ids that function returns {message}", lambda: write(samplers=[only]))


def test_allow_only_takes_tensors():
    for dtype in (torch.int64, torch.uint8):
        only = gen.AllowOnly(lambda *row, kind=dtype: torch.tensor([3, 4], dtype=kind))
        assert write(samplers=[only]).ids == [[3] * 3] * 2


# -- two models ----------------------------------------------------------------------------------


def next_of(n):
    """A model of n tokens that fails on the ids of others, and says its last token."""
    table = torch.zeros(n, n)
    table[:, -1] = 9
    return lambda ids: table[ids]


@pytest.mark.parametrize(
    ("target", "draft", "sizes"),
    [
        (gpt, lambda: next_of(20), (5, 20)),
        (lambda: next_of(20), gpt, (20, 5)),
        (lambda: next_of(3), lambda: next_of(20), (3, 20)),
        (lambda: next_of(20), lambda: next_of(3), (20, 3)),
        (gpt, lambda: gpt(vocab_size=7), (5, 7)),
    ],
)
def test_it_is_said_which_model_knows_how_many_tokens(target, draft, sizes):
    message = "target and draft must know the same tokens, got {} of target and {} of draft"
    refused(message.format(*sizes), lambda: speculate(target(), draft()))


def test_an_error_of_the_target_itself_stays():
    def broken(ids):
        raise IndexError("in the function")

    with pytest.raises(IndexError, match="in the function"):
        speculate(broken)


@pytest.mark.parametrize("name", ["target", "draft"])
def test_it_is_said_which_model_a_prompt_is_too_long_for(name):
    long = {"target": gpt(), "draft": gpt(), name: gpt(max_length=3)}
    message = f"prompt must have at most 3 tokens, the positions that the {name} has learnt; got 5"
    refused(message, lambda: speculate(**long, prompt=[1] * 5))


@pytest.mark.parametrize("name", ["target", "draft"])
def test_it_is_said_whose_logits_are_no_numbers(name):
    bad = {name: lambda ids: flat(ids) * math.nan}
    message = f"the {name}'s logits must be finite, but hold nan in row 0"
    refused(message, lambda: speculate(**bad))
    refused(f"{name} must be one that writes", lambda: speculate(**{name: 5}))


# -- beams and constraints -----------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [2000.0, -2000.0])
def test_a_length_penalty_with_which_no_score_can_be_computed(alpha):
    message = "length_penalty must be from -629 to 629 for up to 3 tokens, so that scores can be "
    refused(message + f"computed, got {alpha}", lambda: search(length_penalty=alpha))


@pytest.mark.parametrize("alpha", [600.0, -600.0])
def test_the_largest_length_penalties_that_can_be(alpha):
    for best, *_ in search(length_penalty=alpha):
        expected = math.log(-best.log_prob) - alpha * math.log(len(best.ids))
        assert math.log(-best.score) == pytest.approx(expected, abs=1e-9)


EMPTY = {
    "empty pattern": lambda: gen.Constraint(gen.END, AB),
    "nothing else can be written": lambda: gen.Constraint(gen.repeat(gen.literal("z"), 0, 3), AB),
    "by bytes": lambda: gen.Constraint(gen.literal(""), BPE([])),
}


@pytest.mark.parametrize("case", EMPTY)
def test_a_pattern_of_the_empty_text_alone_is_refused(case):
    refused("pattern must have a text of at least one token", EMPTY[case])


def test_with_a_token_to_end_the_empty_text_can_be_written():
    only = gen.Constraint(gen.END, AB, end_id=4)
    done = write(samplers=[only])
    assert (done.ids, done.reasons) == ([[4], [4]], ["complete"] * 2)


ENDS = {
    "end_id must be at least 0, got -2": lambda: gen.Constraint(gen.literal("a"), AB, end_id=-2),
    "end_id must be a token that stands for no text, such as a special one, got 0, which spells": (
        lambda: gen.Constraint(gen.literal("ab"), AB, end_id=0)
    ),
    "end_id must be at most 4, got 99": (
        lambda: write(samplers=[gen.Constraint(gen.literal("a"), AB, end_id=99)])
    ),
    "end_id must be at most 4, got 9": (
        lambda: write(gpt(), [gen.Constraint(gen.literal("a"), AB, end_id=9)])
    ),
    "end_id must be at most 2, got 3": (
        lambda: gen.Constraint(gen.literal("a"), AB, end_id=3)(torch.zeros(1, 3), [[0]], [[]])
    ),
    "most must be at least 1, got 0": (
        lambda: gen.Constraint(gen.repeat(gen.literal("a"), 0, 3), AB, most=0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", ENDS)
def test_an_end_that_cannot_be_is_refused(message):
    refused(message, ENDS[message])


def test_a_row_ends_with_the_most_tokens_that_a_constraint_allows():
    """Also where the model may write more, and the pattern could go on."""
    only = gen.Constraint(gen.repeat(gen.literal("a"), 1, 7), AB, most=2)
    done = write(samplers=[only], max_new_tokens=6, generator=generator())
    assert (done.ids, done.reasons) == ([[0, 0]] * 2, ["complete"] * 2)
