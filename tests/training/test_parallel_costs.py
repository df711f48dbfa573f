"""What parallel training costs by formula, against published runs and tables; schedules by hand."""

import itertools
import math
from functools import partial

import pytest
import torch

from companion.training import parallel
from companion.training.parallel import Action
from tests.plugins.shapes import unchecked
from tests.verification import agree, same

double = partial(torch.tensor, dtype=torch.float64)
SCHEDULES = (parallel.gpipe, parallel.one_forward_one_backward)


def all_stages(schedule, p, m):
    return [schedule(stage, p, m) for stage in range(p)]


def pairs(some, others):
    return list(itertools.product(some, others))


def short(actions):
    return " ".join(f"{action.direction[0]}{action.micro_batch}" for action in actions)


# -- operations and days -------------------------------------------------------------------------

RUNS = [
    # parameters, tokens, and the operations as they were published
    ("GPT-3 175B, Brown et al. 2020, table D.1", 174.6e9, 300e9, 3.14e23),
    ("GPT-3 13B, Brown et al. 2020, table D.1", 12.85e9, 300e9, 2.31e22),
    ("Llama 3 405B, Llama Team 2024, section 1", 405e9, 15.6e12, 3.8e25),
]


@pytest.mark.parametrize(("run", "n_parameters", "n_tokens", "published"), RUNS)
def test_operations_of_published_runs(run, n_parameters, n_tokens, published):
    flops = parallel.training_flops(n_parameters, n_tokens)
    agree("training_flops", run, flops, published, 0.005, limit="3 digits")


@pytest.mark.parametrize(("attention", "published"), [(False, 0.457), (True, 0.462)])
def test_operations_of_attention_are_counted_if_its_sizes_are_given(attention, published):
    """PaLM 540B: the utilisation of 6144 chips, from tokens a second (Chowdhery et al. 2022)."""
    sizes = {"n_layers": 118, "d_model": 48 * 256, "length": 2048} if attention else {}
    flops = parallel.training_flops(540.35e9, 238.3e3, **sizes)
    subject = "training_flops, with attention" if attention else "training_flops"
    utilization, oracle = flops / (6144 * 275e12), "Chowdhery et al. 2022, section 4.1"
    agree(subject, oracle, double(utilization), published, 0.0005, limit="3 digits")


def test_days_of_published_runs():
    """Narayanan et al. 2021, equation 4, table 1: they go forward twice, so 8 and not 6."""
    for name, n_parameters, n_tokens, n_gpus, reached, days in (
        ("GPT-3 175B", 175e9, 300e9, 1024, 140e12, 34),
        ("1T", 1008e9, 450e9, 3072, 163e12, 84),
    ):
        flops = parallel.training_flops(n_parameters, n_tokens) * 8 / 6
        found = parallel.training_days(flops, n_gpus, 312e12, reached / 312e12)
        subject, oracle = f"training_days, {name}", "Narayanan et al. 2021"
        agree(subject, oracle, found, days, 0.5 / days, limit="whole days")


def test_a_petaflop_day_is_a_day():
    agree("training_days", "by hand", double(parallel.training_days(8.64e19, 1, 1e15, 1.0)), 1.0)
    agree("training_days", "by hand", double(parallel.training_days(8.64e19, 4, 1e15, 0.5)), 0.5)


# -- pipelines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("p", "m"), pairs((1, 2, 3, 4, 8), (1, 2, 3, 8, 13)))
def test_the_bubble_is_what_the_clock_shows(schedule, p, m):
    stages = all_stages(schedule, p, m)
    for backward in (1.0, 2.0, 2.5):
        idle = parallel.idle_share(stages, backward=backward)
        agree("idle_share", "(p − 1)/(m + p − 1)", double(idle), (p - 1) / (m + p - 1))
        agree("bubble_share", "idle_share", double(parallel.bubble_share(p, m)), idle)


def test_schedules_by_hand():
    """Four stages, as in figure 2c of Huang et al. and figure 4 (top) of Narayanan et al."""
    same("gpipe", "by hand", short(parallel.gpipe(2, 4, 4)), "f0 f1 f2 f3 b0 b1 b2 b3")
    found = [short(parallel.one_forward_one_backward(stage, 4, 5)) for stage in range(4)]
    expected = [
        "f0 f1 f2 f3 b0 f4 b1 b2 b3 b4",
        "f0 f1 f2 b0 f3 b1 f4 b2 b3 b4",
        "f0 f1 b0 f2 b1 f3 b2 f4 b3 b4",
        "f0 b0 f1 b1 f2 b2 f3 b3 f4 b4",
    ]
    same("one_forward_one_backward", "by hand", found, expected)
    same(
        "one_forward_one_backward",
        "by hand",
        short(parallel.one_forward_one_backward(0, 4, 1)),
        "f0 b0",
    )


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("p", "m"), pairs((1, 2, 5), (1, 2, 7)))
def test_every_micro_batch_goes_forward_and_then_backward_once(schedule, p, m):
    for stage in range(p):
        actions = schedule(stage, p, m)
        assert sorted(actions) == sorted(
            Action(d, i) for d in ("forward", "backward") for i in range(m)
        )
        assert all(
            actions.index(Action("forward", i)) < actions.index(Action("backward", i))
            for i in range(m)
        )


def test_times_by_hand():
    """Two stages, two micro-batches, backward twice as long."""
    one, two = parallel.timeline(all_stages(parallel.gpipe, 2, 2))
    same("timeline", "by hand", list(one.values()), [0.0, 1.0, 5.0, 7.0])
    same("timeline", "by hand", list(two.values()), [1.0, 2.0, 3.0, 5.0])
    same("Action", "by hand", short(one), "f0 f1 b0 b1")


def test_stages_that_wait_for_one_another_are_refused():
    backward_first = [Action("backward", 0), Action("forward", 0)]
    with pytest.raises(ValueError, match="must not let each stage wait for another"):
        parallel.timeline([backward_first, parallel.gpipe(1, 2, 1)])


# -- memory --------------------------------------------------------------------------------------

# Rajbhandari et al. 2020, table 1: gigabytes a process, for stages 1, 2 and 3. Some are rounded and
# some cut off.
TABLE_1 = {
    (7.5, 1): (120, 120, 120),
    (7.5, 4): (52.5, 41.3, 30),
    (7.5, 16): (35.6, 21.6, 7.5),
    (7.5, 64): (31.4, 16.6, 1.88),
    (7.5, 256): (30.4, 15.4, 0.47),
    (7.5, 1024): (30.1, 15.1, 0.12),
    (128, 1): (2048, 2048, 2048),
    (128, 4): (896, 704, 512),
    (128, 16): (608, 368, 128),
    (128, 64): (536, 284, 32),
    (128, 256): (518, 263, 8),
    (128, 1024): (513, 257, 2),
    (1000, 1): (16000, 16000, 16000),
    (1000, 4): (7000, 5500, 4000),
    (1000, 16): (4750, 2875, 1000),
    (1000, 64): (4187, 2218, 250),
    (1000, 256): (4046, 2054, 62.5),
    (1000, 1024): (4011, 2013, 15.6),
}


@pytest.mark.parametrize(("billions", "n"), TABLE_1)
def test_memory_is_that_of_the_paper(billions, n):
    for stage, printed in enumerate(TABLE_1[billions, n], start=1):
        found = parallel.state_bytes(int(billions * 1e9), n_data=n, stage=stage) / 1e9
        subject, oracle = f"state_bytes, stage {stage}", "Rajbhandari et al. 2020, table 1"
        digits = len(str(printed).partition(".")[2])
        assert abs(found - printed) < 10.0**-digits
        agree(subject, oracle, found / printed, 1.0, 0.03, limit="printed digits")


def test_without_zero_a_parameter_takes_sixteen_bytes_in_every_process():
    assert parallel.state_bytes(10, n_data=8) == 160
    assert parallel.state_bytes(64, n_data=8, n_tensor=4, n_pipeline=2) == 16 * 64 / 8
    assert parallel.state_bytes(64, n_data=8, n_tensor=4, n_pipeline=2, stage=3) == 16 * 64 / 64


def test_activations_are_those_of_the_paper():
    """Korthikanti et al. 2022, section 5: what selective recomputation saves, in per cent."""
    for name, length, d_model, n_heads, saved in (
        ("GPT-3", 2048, 12288, 96, 70),
        ("MT-NLG", 2048, 20480, 128, 65),
    ):
        whole = parallel.activation_bytes(1, length, d_model, n_heads)
        less = parallel.activation_bytes(1, length, d_model, n_heads, recompute="selective")
        subject, oracle = f"activation_bytes, {name}", "Korthikanti et al. 2022, section 5"
        agree(subject, oracle, 1 - less / whole, saved / 100, 0.006, limit="whole per cent")


def test_each_row_of_the_table_of_activations():
    """Korthikanti et al. 2022, table 2, with numbers in which every term differs."""
    s, b, h, a, t = 32, 3, 64, 8, 4
    scores = 5 * a * s / h
    rows = [
        ({}, 34 + scores),
        ({"n_tensor": t}, 10 + 24 / t + scores / t),
        ({"n_tensor": t, "sequence_parallel": True}, (34 + scores) / t),
        ({"n_tensor": t, "recompute": "selective"}, 10 + 24 / t),
        ({"n_tensor": t, "recompute": "selective", "sequence_parallel": True}, 34 / t),
        ({"n_tensor": t, "recompute": "full"}, 2),
    ]
    for options, factor in rows:
        found = parallel.activation_bytes(b, s, h, a, **options)
        agree(
            "activation_bytes",
            "Korthikanti et al. 2022, table 2",
            double(found),
            s * b * h * factor,
        )


# -- wrong calls ---------------------------------------------------------------------------------

REFUSED = [
    ("n_tokens must be positive", lambda: parallel.training_flops(1.0, 0.0)),
    ("n_parameters must be positive", lambda: parallel.training_flops(math.nan, 1.0)),
    ("n_layers, d_model and length", lambda: parallel.training_flops(1.0, 1.0, n_layers=2)),
    ("length must be at least 0", lambda: parallel.training_flops(1.0, 1.0, length=-1)),
    ("utilization must be at most 1", lambda: parallel.training_days(1.0, 1, 1.0, 1.5)),
    ("utilization must be positive", lambda: parallel.training_days(1.0, 1, 1.0, 0.0)),
    ("n_devices must be at least 1", lambda: parallel.training_days(1.0, 0, 1.0)),
    ("p must be at least 1", lambda: parallel.bubble_share(0, 1)),
    ("m must be at least 1", lambda: parallel.bubble_share(1, 0)),
    ("stage must be at most 1, got 2", lambda: parallel.gpipe(2, 2, 3)),
    ("m must be at least 1", lambda: parallel.one_forward_one_backward(0, 1, 0)),
    ("numbers must be at least 0", lambda: parallel.all_reduce_bytes(-1, 2, 4)),
    ("n must be at least 1", lambda: parallel.all_gather_bytes(1, 0, 4)),
    ("batch must be at least 1", lambda: parallel.tensor_parallel_bytes(0, 1, 1, 2, 4)),
    ("stage must be at most 1", lambda: parallel.pipeline_bytes(1, 2, 2, 4)),
    ("stage must be at most 3", lambda: parallel.state_bytes(1, stage=4)),
    ("n_data must be at least 1", lambda: parallel.state_bytes(1, n_data=0)),
    ("optimizer must be at least 0", lambda: parallel.state_bytes(1, optimizer=-1)),
    ("n_tensor must divide n_heads", lambda: parallel.activation_bytes(1, 8, 8, 4, n_tensor=3)),
    ("recompute must be one of", lambda: parallel.activation_bytes(1, 8, 8, 4, recompute="all")),
    (
        'recompute must not be "full" with sequence_parallel',
        lambda: parallel.activation_bytes(1, 8, 8, 4, recompute="full", sequence_parallel=True),
    ),
]


@pytest.mark.parametrize(("message", "call"), REFUSED)
def test_a_number_out_of_range_is_named(message, call):
    with unchecked(), pytest.raises(ValueError, match=message):
        call()


def test_only_true_and_false_are_flags():
    with unchecked(), pytest.raises(TypeError, match="sequence_parallel must be True or False"):
        parallel.activation_bytes(1, 8, 8, 4, sequence_parallel=1)


def test_whole_numbers_are_numbers_too():
    with unchecked():
        assert parallel.training_flops(2, 3) == 36
