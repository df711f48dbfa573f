"""`generate`: token for token as transformers, padding that changes nothing, ends, and errors."""

import math
import re

import pytest
import torch

from companion import attention, models
from companion import generation as gen
from companion.reference import generation as twin
from companion.tokenizers import Characters
from tests.generation.support import (
    MAKERS,
    PROMPTS,
    WITH_ENCODER,
    WITHOUT,
    V,
    generator,
    inputs,
    model,
    options,
    table,
    theirs,
)
from tests.plugins import shapes
from tests.verification import agree, same

ORACLE = "transformers.generate"
IN_THEIRS = ("GPT", "Llama", "Mixtral", "T5", "T5, gated")
every_model = pytest.mark.parametrize("name", MAKERS)
LETTERS = Characters("abcdefghijklmnopq")


def expected_rows(name, prompts=PROMPTS, **settings):
    """Return what transformers writes, without prompt and padding."""
    settings = {"do_sample": False, "max_new_tokens": 12, **settings}
    given = inputs(name, prompts)
    start = 1 if name in WITH_ENCODER else given["input_ids"].shape[1]
    return theirs(name).generate(**given, **settings)[:, start:].tolist()


def write(name, prompts=PROMPTS, samplers=(), **settings):
    settings = {"max_new_tokens": 12, **options(name), **settings}
    return gen.generate(model(name), prompts, samplers, **settings)


# -- against transformers ------------------------------------------------------------------------


@pytest.mark.parametrize("name", IN_THEIRS)
def test_greedy_texts_are_theirs(name):
    done = write(name)
    same(f"generate, {name}, greedy", ORACLE, done.ids, expected_rows(name))
    assert done.reasons == ["max_new_tokens"] * 3
    assert len({token for row in done.ids for token in row}) > 3, "a text that says something"


SAMPLERS = {
    "Temperature": ([gen.Temperature(1.7)], {"temperature": 1.7}),
    "TopK": ([gen.TopK(4)], {"top_k": 4}),
    "TopP": ([gen.TopP(0.8)], {"top_p": 0.8}),
    "MinP": ([gen.MinP(0.2)], {"min_p": 0.2}),
    "RepetitionPenalty": ([gen.RepetitionPenalty(1.5)], {"repetition_penalty": 1.5}),
    "NoRepeatNGram": ([gen.NoRepeatNGram(2)], {"no_repeat_ngram_size": 2}),
    "BadWords": ([gen.BadWords([[3], [5, 6]])], {"bad_words_ids": [[3], [5, 6]]}),
    "AllowOnly": (
        [gen.AllowOnly(lambda prompt, row: [1, 2, 3, 11])],
        {"prefix_allowed_tokens_fn": lambda _, ids: [1, 2, 3, 11]},
    ),
    "all": (
        [
            gen.RepetitionPenalty(1.2),
            gen.NoRepeatNGram(3),
            gen.Temperature(1.3),
            gen.TopK(9),
            gen.TopP(0.95),
            gen.MinP(0.02),
        ],
        {
            "repetition_penalty": 1.2,
            "no_repeat_ngram_size": 3,
            "temperature": 1.3,
            "top_k": 9,
            "top_p": 0.95,
            "min_p": 0.02,
        },
    ),
}


DRAWN = [("GPT", kind) for kind in SAMPLERS]
DRAWN += [(name, kind) for name in ("Llama", "T5") for kind in ("RepetitionPenalty", "all")]


@pytest.mark.parametrize(("name", "kind"), DRAWN)
def test_the_same_random_numbers_give_the_same_texts(name, kind):
    """They draw with torch.multinomial, in float32, from the global generator."""
    samplers, settings = SAMPLERS[kind]
    # Rows of one length: their n-grams and forbidden words look at padding, too.
    prompts = [[1, 2, 3], [4, 5, 6]]
    torch.manual_seed(7)
    expected = expected_rows(name, prompts, do_sample=True, **{"top_k": 0, **settings})
    draws = generator(7)
    found = write(
        name,
        prompts,
        samplers,
        draw=lambda p: torch.multinomial(p.float(), 1, generator=draws)[:, 0],
    )
    same(f"generate, {name}, {kind}", ORACLE, found.ids, expected)
    if kind != "all":
        greedy = [s for s in samplers if not getattr(s, "by_chance", False)]
        if greedy:
            again = write(name, prompts, greedy).ids
            same(
                f"generate, {name}, {kind}, greedy",
                ORACLE,
                again,
                expected_rows(name, prompts, **settings),
            )


@pytest.mark.parametrize("name", ["GPT", "Llama", "T5"])
def test_rows_end_where_theirs_end(name):
    stop = [write(name).ids[0][3], write(name).ids[2][6]]
    done = write(name, stop=stop)
    expected = expected_rows(name, eos_token_id=stop, pad_token_id=V - 1)
    found = [row + [V - 1] * (len(expected[0]) - len(row)) for row in done.ids]
    same(f"generate, {name}, stop", ORACLE, found, expected)
    assert done.ids[0][-1] in stop
    assert done.reasons[0] == done.reasons[2] == "stop_id"
    assert len({*map(len, done.ids)}) > 1


@pytest.mark.parametrize("name", ["GPT", "Llama"])
def test_log_probabilities_are_theirs(name):
    """Those of the model, also where samplers choose."""
    done = write(name, samplers=[gen.Temperature(3.0), gen.TopK(9)], generator=generator(3))
    for prompt, ids, log_probs in zip(PROMPTS, done.ids, done.log_probs, strict=True):
        logits = theirs(name)(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(dim=-1).gather(1, torch.tensor(ids)[:, None])[:, 0]
        value = torch.tensor(log_probs, dtype=torch.float64)
        agree(
            f"Generated.log_probs, {name}", "transformers", value, expected, 1e-6, limit="float32"
        )


@pytest.mark.parametrize("name", ["GPT", "Llama", "T5"])
def test_in_float32_greedy_texts_are_those_of_float64(name):
    single = model(name, dtype=torch.float32)
    done = gen.generate(single, PROMPTS, max_new_tokens=12, **options(name))
    assert done.ids == write(name).ids


# -- rows do not depend on one another -----------------------------------------------------------

EVERY = {
    "greedy": [],
    "plain": [],
    "Temperature": [gen.Temperature(1.5)],
    "TopK": [gen.TopK(5)],
    "TopP": [gen.TopP(0.9)],
    "MinP": [gen.MinP(0.1)],
    "RepetitionPenalty": [gen.RepetitionPenalty(1.4)],
    "FrequencyPenalty": [gen.FrequencyPenalty(0.8, 0.4)],
    "NoRepeatNGram": [gen.NoRepeatNGram(2)],
    "BadWords": [gen.BadWords([[3], [9, 1], [4, 2]])],
    "AllowOnly": [gen.AllowOnly(lambda prompt, row: {prompt[0], len(prompt), len(row), 16})],
    "Constraint": [
        gen.Constraint(gen.repeat(gen.either(*map(gen.literal, "abcdefghijkl")), 5, 12), LETTERS)
    ],
    "all": [
        gen.RepetitionPenalty(1.2),
        gen.FrequencyPenalty(0.2),
        gen.NoRepeatNGram(3),
        gen.BadWords([[2]]),
        gen.Temperature(1.5),
        gen.TopK(12),
        gen.TopP(0.97),
        gen.MinP(0.01),
    ],
}


# Every sampler with models of three kinds, and every model with some of the samplers.
PAIRS = [
    (name, kind)
    for name in MAKERS
    for kind in EVERY
    if name in ("GPT", "Llama", "T5") or kind in ("greedy", "all")
]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_prompt_alone_and_in_a_padded_batch_become_the_same(name, kind):
    def own():
        return None if kind == "greedy" else [generator(i) for i in range(3)]

    most = 12 if kind == "Constraint" else 7
    together = write(name, samplers=EVERY[kind], generator=own(), max_new_tokens=most)
    for i, prompt in enumerate(PROMPTS):
        draws = own()
        settings = {"generator": draws and [draws[i]], "max_new_tokens": most}
        alone = write(name, [prompt], EVERY[kind], **settings)
        same(f"generate, padded, {kind}", "each prompt alone", together.ids[i], alone.ids[0])
        value, expected = map(torch.DoubleTensor, (together.log_probs[i], alone.log_probs[0]))
        agree("Generated.log_probs, padded", "each prompt alone", value, expected)
    assert len({*map(tuple, together.ids)}) > 1


def test_padding_would_change_something_if_it_were_seen():
    """The same rows with a real token where padding was: the texts are others."""
    longest = max(map(len, PROMPTS))
    filled = [[0] * (longest - len(row)) + row for row in PROMPTS]
    for name in ("GPT", "Llama", "GPT, alibi"):
        assert write(name, filled).ids[:2] != write(name).ids[:2], name


def test_a_row_draws_the_same_whatever_the_others_are():
    two, three = PROMPTS[:2], [*PROMPTS[:2], [9, 9]]
    first = write("GPT", two, generator=generator(5))
    assert write("GPT", three, generator=generator(5)).ids[:2] == first.ids
    assert write("GPT", [two[0], [7, 7, 7, 7]], generator=generator(5)).ids[0] == first.ids[0]
    assert write("GPT", two, generator=generator(6)).ids != first.ids
    longer = write("GPT", two, generator=generator(5), max_new_tokens=20)
    assert [row[:12] for row in longer.ids] == first.ids


def test_equal_prompts_of_a_batch_are_drawn_differently():
    done = write("GPT", [[1, 2]] * 4, [gen.Temperature(2.0)], generator=generator())
    assert len({*map(tuple, done.ids)}) == 4


def test_draws_have_the_probabilities_of_the_model():
    ask, rows = table()
    n = 1500
    done = gen.generate(ask, [[2]] * n, max_new_tokens=1, generator=generator(1))
    counts = torch.bincount(torch.tensor(done.ids)[:, 0], minlength=5)
    expected = n * rows[2].softmax(dim=-1)
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_square < 18.47, "the 99.9 % quantile with 4 degrees of freedom"
    assert ((counts - counts.flip(0)) ** 2 / expected).sum() > 18.47


# -- caches --------------------------------------------------------------------------------------


@every_model
def test_with_and_without_cache_the_same_is_written(name):
    ours = write(name)
    plain = write(name, cache=False)
    same(f"generate, {name}, cached", "without a cache", ours.ids, plain.ids)
    for value, expected in zip(ours.log_probs, plain.log_probs, strict=True):
        a, b = map(torch.DoubleTensor, (value, expected))
        agree("Generated.log_probs, cached", "without a cache", a, b)
    assert plain.cache_bytes == 0


@every_model
def test_caches_hold_as_many_bytes_as_the_formula_says(name):
    done = write(name)
    longest = 1 if name in WITH_ENCODER else max(map(len, PROMPTS))
    expected = 3 * models.kv_cache_bytes(model(name), longest + 12 - 1, bytes_per_number=8)
    same(f"Generated.cache_bytes, {name}", "kv_cache_bytes", done.cache_bytes, expected)


def test_grouped_queries_need_smaller_caches():
    sizes = {"vocab_size": V, "d_model": 16, "n_layers": 2, "n_heads": 4, "d_hidden": 24}
    held = {}
    for groups in (1, 2, 4):
        llama = models.Llama(models.LlamaConfig(**sizes, n_kv_heads=groups)).double()
        held[groups] = gen.generate(llama, [[1, 2]], max_new_tokens=5).cache_bytes
    by_hand = {groups: 2 * 2 * groups * 4 * 6 * 8 for groups in (1, 2, 4)}  # k and v, blocks, d, T
    same("Generated.cache_bytes, groups", "by hand", held, by_hand)


WINDOWS = [*((name, 3) for name in WITHOUT), ("GPT", 1), ("Llama", 4), ("GPT, alibi", 1)]


@pytest.mark.parametrize(("name", "window"), WINDOWS)
def test_a_window_is_what_a_model_sees_without_a_cache(name, window):
    """Hidden by a mask instead, in one call for the whole text."""
    done, ours = write(name, window=window), model(name)
    for prompt, row in zip(PROMPTS, done.ids, strict=True):
        logits = windowed(ours, prompt + row, window)[len(prompt) - 1 : -1]
        same(f"generate, {name}, window", "a mask", row, logits.argmax(dim=-1))
    layers = [block.attention.layer for block in ours.blocks]
    held = sum(2 * 3 * window * layer.n_kv_heads * layer.d_head * 8 for layer in layers)
    same("Generated.cache_bytes, window", "by hand", done.cache_bytes, held)
    assert done.ids != write(name).ids
    assert write(name, window=30).ids == write(name).ids


@torch.no_grad()
def windowed(ours, text, window):
    """Return the logits (T, V) of a text whose tokens see few others."""
    ids = torch.tensor([text])
    x, sees = ours.embed(ids), attention.sliding_window_mask(len(text), window)
    bias = ours._bias(ids, 0) if isinstance(ours, models.GPT) else None
    mask = sees if bias is None else bias.masked_fill(~sees, -math.inf)
    for block in ours.blocks:
        x = block(x, mask=mask)
    return ours.predict(x[0])


# -- ends ----------------------------------------------------------------------------------------


def count_up(ids):
    """A model that says the next number, and knows 17 of them."""
    return torch.nn.functional.one_hot((ids + 1) % V, V).double() * 50


def test_each_end_has_its_reason():
    prompts = [[0], [5], [9], [14]]
    stop = [7, lambda ids: ids[-1] == 12, "pa"]
    done = gen.generate(count_up, prompts, max_new_tokens=9, stop=stop, tokenizer=LETTERS)
    assert done.ids == [[1, 2, 3, 4, 5, 6, 7], [6, 7], [10, 11, 12], [15, 16, 0, 1, 2, 3, 4, 5, 6]]
    assert done.reasons == ["stop_id", "stop_id", "condition", "max_new_tokens"]
    assert done.texts == ["bcdefg", "g", "klm", "pqabcdefg"]  # 7 and 12 are h and m
    done = gen.generate(count_up, prompts, max_new_tokens=9, stop=["qa", "kl"], tokenizer=LETTERS)
    assert done.reasons == ["max_new_tokens"] + ["stop_string"] * 3
    same("Generated.texts", "by hand", done.texts, ["bcdefghij", "ghij", "", "p"])


def test_a_row_ends_with_the_last_position():
    ours = model("GPT")
    prompts = [[1] * 48, [2] * 45, [3] * 3]
    done = gen.generate(ours, prompts, max_new_tokens=6)
    assert [len(ids) for ids in done.ids] == [1, 4, 6]
    assert done.reasons == ["positions", "positions", "max_new_tokens"]
    for prompt, ids in zip(prompts, done.ids, strict=True):
        assert gen.generate(ours, [prompt], max_new_tokens=6).ids == [ids]
    greedy = twin.greedy(lambda ids: ours(torch.tensor([ids]))[0, -1].tolist(), prompts[1], 4)
    same("twin: greedy", "generate", greedy, done.ids[1])


def test_where_positions_are_no_table_there_is_no_end():
    done = write("GPT, rotary", max_new_tokens=30)
    assert done.reasons == ["max_new_tokens"] * 3


@every_model
def test_dropout_is_off_and_modes_stay(name):
    copied = MAKERS[name]()
    copied.load_state_dict(model(name).state_dict())
    for module in copied.modules():
        if isinstance(module, models.gpt.Dropout):
            module.p = 0.5
    copied = copied.double().train()
    first = next(iter(copied.children())).eval()
    done = gen.generate(copied, PROMPTS, max_new_tokens=12, **options(name))
    assert done.ids == write(name).ids
    assert copied.training
    assert not first.training
    nobody = gen.AllowOnly(lambda prompt, row: [])
    with pytest.raises(ValueError, match="allow none in row 0"):
        gen.generate(copied, PROMPTS, [nobody], max_new_tokens=12, **options(name))
    assert copied.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_a_function_of_ids_writes_as_the_model_that_it_calls():
    ours = model("Llama")
    done = gen.generate(lambda ids: ours(ids), PROMPTS, max_new_tokens=6)
    same("generate, function", "the model", done.ids, write("Llama", max_new_tokens=6).ids)


def test_prompts_may_be_tensors():
    rows = [[1, 2, 3], [4, 5, 6]]
    expected = write("GPT", rows).ids
    for prompts in (torch.tensor(rows), [torch.tensor(row) for row in rows], map(tuple, rows)):
        assert write("GPT", prompts).ids == expected


def test_a_compiled_model_is_seen_through():
    class Wrapper(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self._orig_mod = inner

    assert gen.generate(Wrapper(model("GPT")), PROMPTS, max_new_tokens=12).ids == write("GPT").ids


def test_rows_that_have_ended_do_not_disturb_the_others():
    """Whatever a sampler says about them: here it allows them nothing any more."""
    prompts = [[0], [10]]
    only = gen.AllowOnly(
        lambda prompt, row: [] if row and row[-1] == 3 else [prompt[0] + len(row) + 1]
    )
    done = gen.generate(count_up, prompts, [only], max_new_tokens=6, stop=3)
    assert done.ids == [[1, 2, 3], [11, 12, 13, 14, 15, 16]]
    drawn = gen.generate(count_up, prompts, [only], max_new_tokens=6, stop=3, generator=generator())
    assert drawn.ids == done.ids


# -- what cannot work ----------------------------------------------------------------------------


def never(ids):
    raise AssertionError("the model was called before everything was checked")


GPT48 = models.GPT(models.GPTConfig(vocab_size=5, max_length=4, d_model=8, n_layers=1, n_heads=2))


def ask(prompts=((1, 2),), samplers=(), ours=never, **settings):
    return gen.generate(ours, prompts, samplers, **{"max_new_tokens": 3, **settings})


REFUSED = {
    "prompts must hold at least one prompt, got none": lambda: ask([]),
    "prompts[1] must hold at least one token to begin with, got none": lambda: ask([[1], []]),
    "prompts[0] must be a list of ids, got 1; one prompt alone is [[1, 2, 3]]": lambda: ask([1, 2]),
    "prompts must be ids, got a text; encode it": lambda: ask("Once"),
    "prompts[0] must be a list of ids, got 'Once'": lambda: ask(["Once"]),
    "prompts must have an order, got a set": lambda: ask({(1, 2)}),
    "each id of prompts[0] must be a whole number, got 1.5": lambda: ask([[1.5]]),
    "each id of prompts[0] must be a whole number, got 'a'": lambda: ask([[1, "a"]]),
    "each id of prompts[0] must be a whole number, got [1]": lambda: ask([[[1]]]),
    "each id of prompts[0] must be at least 0, got -1": lambda: ask([[-1]]),
    "each id of prompts[1] must be at most 4, got 5": lambda: ask([[4], [5]], ours=GPT48),
    "prompts[0] must have at most 4 tokens, the positions that the model has learnt; got 5": (
        lambda: ask([[1] * 5], ours=GPT48)
    ),
    "max_new_tokens must be at least 1, got 0": lambda: ask(max_new_tokens=0),
    "max_new_tokens must be a whole number, got 2.0": lambda: ask(max_new_tokens=2.0),
    "samplers must be a list, got TopK": lambda: ask(samplers=gen.TopK(2)),
    "each of samplers must be a function of logits, such as TopK(5), got 'top_k'": (
        lambda: ask(samplers=["top_k"])
    ),
    "each of samplers must be a function of logits, such as TopK(5), got <class": (
        lambda: ask(samplers=[gen.TopK])
    ),
    "samplers hold Temperature(tau=0.5), which is for drawing, and nothing is drawn here": (
        lambda: ask(samplers=[gen.Temperature(0.5)])
    ),
    "k must be at most the 5 tokens there are, got 6": (
        lambda: ask(samplers=[gen.TopK(6)], ours=GPT48, generator=generator())
    ),
    "sequences must hold ids below 5, got 9": (
        lambda: ask(samplers=[gen.BadWords([[9]])], ours=GPT48)
    ),
    "a token in stop must be at most 4, got 5": lambda: ask(stop=5, ours=GPT48),
    "a token in stop must be a whole number, got 1.5": lambda: ask(stop=[1.5]),
    "a string in stop must not be empty": lambda: ask(stop="", tokenizer=LETTERS),
    "stop holds the text 'end', so a tokenizer is needed": lambda: ask(stop=["end"]),
    "tokenizer must be one of companion.tokenizers, got 5": lambda: ask(tokenizer=5),
    "generator must be a torch.Generator, got 0: torch.Generator().manual_seed(seed)": (
        lambda: ask(generator=0)
    ),
    "generator must be one, or one for each of 1 rows, got 2": (
        lambda: ask(generator=[generator(), generator()])
    ),
    "generator and draw must not both be given": (
        lambda: ask(generator=generator(), draw=torch.argmax)
    ),
    "draw must be a function of probabilities, got 'multinomial'": (
        lambda: ask(draw="multinomial")
    ),
    "start_id is for models with an encoder": lambda: ask(start_id=0),
    "start_id must be given": lambda: ask(ours=model("T5")),
    "start_id must be at most 16, got 17": lambda: ask(ours=model("T5"), start_id=17),
    "cache must be True or False, got 1": lambda: ask(cache=1),
    "window is for the caches of GPT, Llama and Mixtral": lambda: ask(window=3),
    "window is for the caches of GPT, Llama and Mixtral;": (
        lambda: ask(ours=GPT48, window=3, cache=False)
    ),
    "window must be at least 1, got 0": lambda: ask(ours=GPT48, window=0),
    "model must be one that writes, such as GPT, Llama, T5 or Seq2Seq": lambda: ask(ours="gpt2"),
    "to logits; got BERT": lambda: ask(ours=models.BERT(models.BertConfig(5, 8, 1, 2, 8))),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_work_is_refused_before_the_model_runs(message):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError)) as error:
        REFUSED[message]()
    assert message in str(error.value)


BAD_LOGITS = {
    "the model's logits must be finite, but hold nan in row 1": (
        lambda: gen.generate(broken(math.nan), [[1], [2]], max_new_tokens=3)
    ),
    "the model's logits must be finite, but hold inf in row 1": (
        lambda: gen.generate(broken(math.inf), [[1], [2]], max_new_tokens=3, generator=generator())
    ),
    "the model's logits must be numbers, but hold NaN in row 1": (
        lambda: gen.generate(
            broken(math.nan), [[1], [2]], [gen.AllowOnly(lambda *row: [0])], max_new_tokens=3
        )
    ),
    "what the samplers leave must allow some token, but allow none in row 0": (
        lambda: gen.generate(broken(0.0), [[1]], [gen.AllowOnly(lambda *row: [])], max_new_tokens=3)
    ),
    "what the samplers leave must be finite, but hold nan in row 0": (
        lambda: gen.generate(
            broken(0.0), [[1]], [lambda logits, *rows: logits * math.nan], max_new_tokens=3
        )
    ),
}


def broken(value):
    """A model whose logits after a 2 are not numbers."""
    last = torch.tensor([0.0, 0.0, 0.0, 0.0, value])
    return lambda ids: torch.where((ids == 2)[..., None], last, torch.zeros(5))


@pytest.mark.parametrize("message", BAD_LOGITS)
def test_logits_that_are_no_numbers_are_named(message):
    with shapes.unchecked(), pytest.raises(ValueError, match=re.escape(message)):
        BAD_LOGITS[message]()


def test_weights_that_are_not_finite_are_noticed():
    ours = MAKERS["GPT"]().double()
    with torch.no_grad():
        ours.blocks[0].attention.layer.w_k.weight[0, 0] = math.nan
    with pytest.raises(
        ValueError, match="the model's logits must be finite, but hold nan in row 0"
    ):
        gen.generate(ours, PROMPTS, max_new_tokens=3)
