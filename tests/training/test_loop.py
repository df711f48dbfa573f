"""The step against a loop by hand, against the large batch, and what must stop it."""

import copy
import math
import os
import re
import signal
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion import losses, optim, training
from companion.notebook import stop_button, stoppable
from companion.training import processes
from companion.training.precision import MixedPrecision
from tests.training.support import (
    IGNORE,
    Noisy,
    gpt,
    gradients,
    joined,
    noisy,
    points,
    ragged,
    settings,
    timeless,
    weights,
)
from tests.verification import agree, same

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.5, momentum=0.9),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "torch.optim.AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
}


# -- accumulation --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_micro_batches_make_the_step_of_the_large_batch(name, smoothing):
    """Though they have different numbers of targets; gradients and weights, in float64."""
    many, one = gpt(dtype=torch.float64), gpt(dtype=torch.float64)
    make, objective = OPTIMIZERS[name], training.TokenLoss(smoothing)
    optimizers = [make(list(model.parameters())) for model in (many, one)]
    for step in range(3):
        numbers = range(4 * step, 4 * step + 4)
        ours = training.train_step(many, list(map(ragged, numbers)), objective, [optimizers[0]])
        inputs, targets = joined(numbers)
        optimizers[1].zero_grad()
        loss = F.cross_entropy(
            one(inputs).flatten(0, 1), targets.flatten(), label_smoothing=smoothing
        )
        loss.backward()
        agree("train_step, gradients", "the large batch", gradients(many), gradients(one), 1e-12)
        agree("train_step, loss", "the large batch", ours["loss"], loss.detach(), 1e-12)
        norm = torch.nn.utils.get_total_norm([p.grad for p in one.parameters()])
        agree("train_step, gradient's length", "torch", ours["grad_norm"], norm, 1e-12)
        optimizers[1].step()
        agree("train_step, weights", "the large batch", weights(many), weights(one), 1e-12)


def test_the_mean_of_means_is_another_gradient():
    model = gpt(dtype=torch.float64)
    numbers = range(4)
    for inputs, targets in map(ragged, numbers):
        (losses.cross_entropy(model(inputs), targets) / len(numbers)).backward()
    wrong = gradients(model)
    model.zero_grad()
    losses.cross_entropy(model(joined(numbers)[0]), joined(numbers)[1]).backward()
    assert (wrong - gradients(model)).norm() > 0.01 * gradients(model).norm()


class TwoTerms:
    """Two tasks of one model, with different numbers of targets."""

    def count(self, batch):
        return {name: int((batch[name] != IGNORE).sum()) for name in ("words", "kinds")}

    def __call__(self, model, batch):
        logits = model(batch["x"])
        return {
            name: losses.cross_entropy(logits, batch[name], reduction="sum")
            for name in ("words", "kinds")
        }


def two_tasks(i):
    x, labels = points(i)
    kinds = torch.full_like(labels, IGNORE)
    kinds[: i % 2] = 1  # at most one target, and in every other batch none
    return {"x": x, "words": labels, "kinds": kinds}


def test_each_term_is_divided_by_its_own_number_of_targets():
    model = noisy().double().eval()
    batches = [{n: x.double() if n == "x" else x for n, x in two_tasks(i).items()} for i in (0, 1)]
    optimizer = optim.SGD(list(model.parameters()), lr=0.0)
    result = training.train_step(model, batches, TwoTerms(), [optimizer])
    found = gradients(model)
    model.zero_grad()
    x, words, kinds = (torch.cat([b[n] for b in batches]) for n in ("x", "words", "kinds"))
    terms = [F.cross_entropy(model(x), labels) for labels in (words, kinds)]
    sum(terms).backward()
    agree("train_step, two terms", "torch", found, gradients(model))
    agree("train_step, two terms", "torch", [result["words"], result["kinds"]], terms_of(terms))
    agree("train_step, two terms", "torch", result["loss"], sum(terms_of(terms)))
    assert result["tokens"] == 9 + 1


def terms_of(terms):
    return [term.item() for term in terms]


def test_a_term_without_targets_counts_as_nothing():
    model = noisy()
    optimizer = optim.SGD(list(model.parameters()), lr=0.1)
    result = training.train_step(model, [two_tasks(0)], TwoTerms(), [optimizer])
    assert (result["kinds"], result["loss"]) == (0.0, result["words"])
    assert not result["skipped"]


def test_a_step_without_any_target_is_refused():
    x, labels = points(0)
    model = noisy()
    before = weights(model)
    with pytest.raises(ValueError, match="no target in any micro-batch"):
        training.train(model, [(x, labels.fill_(IGNORE))], settings())
    assert torch.equal(weights(model), before)


def test_shares_are_taken_of_all_processes(monkeypatch):
    """Two processes count together; each gives its gradient twice, and the two are averaged."""
    batches, found = [ragged(0), ragged(1)], []
    for rank, batch in enumerate(batches):
        other = training.TokenLoss().count(batches[1 - rank])["loss"]
        model = gpt(dtype=torch.float64)
        monkeypatch.setattr(training.loop, "world", lambda r=rank: processes.World(r, 2))
        monkeypatch.setattr(
            training.loop, "sum_over_processes", lambda n, o=other: {"loss": n["loss"] + o}
        )
        optimizer = optim.SGD(list(model.parameters()), lr=0.0)
        training.train_step(model, [batch], training.TokenLoss(), [optimizer])
        found.append(gradients(model))
    model = gpt(dtype=torch.float64)
    losses.cross_entropy(model(joined([0, 1])[0]), joined([0, 1])[1]).backward()
    agree("train_step, two processes", "the large batch", sum(found) / 2, gradients(model), 1e-12)


# -- the whole loop ------------------------------------------------------------------------------


def test_it_is_the_loop_that_one_would_write_by_hand():
    """Losses, learning rates and gradients' lengths, with PyTorch's own parts."""
    config = settings(steps=12, warmup=3, clip=0.5, weight_decay=0.2, betas=(0.9, 0.95))
    ours, theirs = gpt(), gpt()
    history = training.train(ours, lambda i: ragged(i), config)
    decayed = [p for n, p in theirs.named_parameters() if p.ndim > 1 and n.startswith("blocks")]
    chosen = {id(p) for p in decayed}
    plain = [p for p in theirs.parameters() if id(p) not in chosen]
    groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.95), weight_decay=0.2)
    found = []
    for step in range(1, 13):
        for group in optimizer.param_groups:
            rising = step / 3
            falling = 0.1 + 0.9 * (1 + math.cos(math.pi * (step - 3) / 9)) / 2
            group["lr"] = config.lr * (rising if step < 3 else falling)
        inputs, targets = ragged(step - 1)
        optimizer.zero_grad()
        loss = F.cross_entropy(theirs(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
        found.append((loss.item(), optimizer.param_groups[0]["lr"], norm.item()))
    for name, column in zip(("loss", "lr", "grad_norm"), zip(*found, strict=True), strict=True):
        expected = torch.tensor(column, dtype=torch.float64)
        agree(
            f"train, {name}",
            "a loop by hand in torch",
            history.column(name),
            expected,
            1e-6,
            limit="float32",
        )
    agree("train, weights", "a loop by hand in torch", weights(ours), weights(theirs))
    assert history.column("tokens")[-1] == sum(int((ragged(i)[1] != -100).sum()) for i in range(12))


def test_a_small_gpt_learns_to_count():
    """Each token is the one before and 1 more: once that is learnt, nothing is left to guess."""
    starts = torch.arange(11)
    texts = (starts[:, None] + torch.arange(8)) % 11
    batch = texts[:, :-1], texts[:, 1:]
    model = gpt(d_model=16, d_hidden=32)
    config = settings(steps=120, warmup=10, optimizer="muon")
    history = training.train(model, [batch], config, held_out=[batch], floor=0.0)
    assert history[0]["loss"] == pytest.approx(math.log(11), abs=0.1)
    assert history.best["held_out"] < 0.1
    assert (model(batch[0]).argmax(-1) == batch[1]).all()


def test_dropout_is_active_in_training_and_the_mode_is_as_before():
    class Watched(Noisy):
        def forward(self, x):
            seen.append((torch.is_grad_enabled(), self.training))
            return super().forward(x)

    seen = []
    model = Watched().eval()
    config = settings(steps=2, evaluate_every=1)
    training.train(model, points, config, held_out=[points(9)])
    assert seen == [(True, True), (False, False)] * 2
    assert not model.training


def test_the_seed_decides_what_is_dropped():
    runs = {}
    for key, seed in (("a", 1), ("b", 1), ("c", 2)):
        runs[key] = timeless(training.train(noisy(), points, settings(seed=seed)))
    assert runs["a"] == runs["b"] != runs["c"]


def test_a_compiled_model_is_trained_alike():
    ours = training.train(noisy().eval(), points, settings(steps=3))
    model = noisy()
    torch._dynamo.reset()
    with pytest.MonkeyPatch.context() as patch:
        compiled = torch.compile
        patch.setattr(torch, "compile", lambda m: compiled(m, backend="eager", fullgraph=True))
        theirs = training.train(model, points, settings(steps=3, compile=True))
    agree("train, compiled", "itself", theirs.column("loss"), ours.column("loss"), 1e-6)
    assert all(not name.startswith("_orig_mod") for name in model.state_dict())


def test_torch_schedules_and_optimisers_fit_in():
    """An optimiser of one's own keeps its rates as the highest, and is followed by the schedule."""
    model = noisy()
    optimizer = torch.optim.SGD(
        [{"params": model.head.parameters(), "lr": 0.5}, {"params": model.blocks.parameters()}],
        lr=0.1,
    )
    config = settings(steps=4, schedule="linear", final_share=0.0)
    history = training.train(model, points, config, optimizer=optimizer)
    agree("train, optimizer", "by hand", history.column("lr"), [0.375, 0.25, 0.125, 0.0])
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5, 0.1]


# -- numbers that are none -----------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_loss_that_is_no_number_stops_before_the_weights_change(tmp_path, precision):
    def poisoned(i):
        x, labels = points(i)
        return (x * math.nan if i == 3 else x), labels

    model, kept = noisy(), []
    config = settings(folder=str(tmp_path), checkpoint_every=2, precision=precision, lr=0.25)

    def watched(i):
        kept.append(weights(model).clone())
        return poisoned(i)

    with pytest.raises(FloatingPointError) as caught:
        training.train(model, watched, config)
    message = str(caught.value)
    assert "step 4, lr 0.0813" in message
    assert "the loss is nan and the gradient's length nan" in message
    assert f"the last checkpoint in {tmp_path} is that of step 2" in message
    assert torch.equal(weights(model), kept[3])
    assert weights(model).isfinite().all()


def test_a_gradient_that_is_infinite_stops_as_well():
    model = noisy()
    model.head.weight.register_hook(lambda g: g * math.inf)
    before = weights(model).clone()
    with pytest.raises(FloatingPointError, match=r"step 1.*no checkpoint has been"):
        training.train(model, points, settings())
    assert torch.equal(weights(model), before)


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="this PyTorch has none for a CPU")
def test_float16_skips_a_step_that_overflows_and_goes_on():
    model, overflow = noisy(), [True, True, False, False]
    model.head.weight.register_hook(lambda g: g * math.inf if overflow.pop(0) else g)
    seen = []

    def watched(i):
        seen.append(weights(model).clone())
        return points(i)

    config = settings(steps=4, precision="float16", optimizer="muon")
    history = training.train(model, watched, config)
    assert [record["skipped"] for record in history] == [True, True, False, False]
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[2])
    assert not torch.equal(seen[2], seen[3])
    assert history.column("loss")[2:].max() < 5


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="this PyTorch has none for a CPU")
def test_float16_gives_up_where_no_scale_helps():
    model = noisy()
    model.head.weight.register_hook(lambda g: g * math.nan)
    with pytest.raises(FloatingPointError, match="overflow float16 whatever the loss is scaled"):
        training.train(model, points, settings(steps=100, precision="float16"))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sixteen_bits_learn_nearly_the_same(precision):
    if precision == "float16" and not hasattr(torch.amp, "GradScaler"):
        pytest.skip("this PyTorch has none for a CPU")
    model = gpt()
    history = training.train(model, ragged, settings(precision=precision))
    full = training.train(gpt(), ragged, settings())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    expected = full.column("loss")
    agree(f"train, {precision}", "float32", history.column("loss"), expected, 0.02, limit=precision)
    assert not (history.column("loss") == expected).any()


def test_a_step_is_scaled_and_unscaled():
    """The gradient's length is that of the loss, and not of the loss times 65,536."""
    if not hasattr(torch.amp, "GradScaler"):
        pytest.skip("this PyTorch has none for a CPU")
    found = []
    for precision in ("float16", "float32"):
        model = noisy().eval()
        optimizer = optim.SGD(list(model.parameters()), lr=0.1)
        mixed = MixedPrecision("cpu", precision)
        result = training.train_step(
            model, [points(0)], training.TokenLoss(), [optimizer], mixed=mixed
        )
        found.append(result["grad_norm"])
    agree("train_step, float16", "float32", found[0], found[1], 1e-2, limit="float16")


# -- stopping ------------------------------------------------------------------------------------


def pressing(number, at):
    def batches(i):
        if i == at:
            signal.raise_signal(number)
        return points(i)

    return batches


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("bar", [None, stoppable])
def test_a_signal_lets_the_step_be_finished_and_saved(tmp_path, number, bar):
    before = signal.getsignal(number)
    model, config = noisy(), settings(folder=str(tmp_path))
    history = training.train(model, pressing(number, at=2), config, bar=bar)
    assert (len(history), history.stopped) == (3, True)
    assert training.latest(tmp_path).name == "step-000003.pt"
    assert signal.getsignal(number) == before
    again = training.train(noisy(1), points, config)
    assert (len(again), again.stopped) == (6, False)
    assert timeless(again) == timeless(training.train(noisy(), points, settings()))


@pytest.mark.parametrize("bar", [None, stoppable])
def test_the_second_signal_interrupts(bar):
    def batches(i):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        training.train(noisy(), batches, settings(), bar=bar)
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize(
    ("batches", "counted"), [(points, "6/6"), (pressing(signal.SIGINT, at=2), "3/6")]
)
def test_the_bar_counts_every_step_that_was_taken(capsys, batches, counted):
    """The last one, too, whether the run was finished or stopped."""
    history = training.train(noisy(), batches, settings(), bar=stoppable)
    assert f"{len(history)}/6" == counted
    assert capsys.readouterr().out.count(f" {counted} ") == 1


def test_the_plain_bar_counts_every_step_that_was_taken():
    bars = []

    def watched(steps, description):
        bars.append(training.stopping.bar(steps, description))
        return bars[-1]

    training.train(noisy(), points, settings(), bar=watched)
    assert bars[0].done == 6


def test_in_a_block_with_a_stop_button_each_training_makes_a_step(capsys):
    with stop_button("two trainings"):
        histories = [
            training.train(noisy(), pressing(signal.SIGINT, at=1), settings(), bar=stoppable)
            for _ in range(2)
        ]
    assert [(len(history), history.stopped) for history in histories] == [(2, True), (1, True)]
    assert "stopped" in capsys.readouterr().out


def test_a_thread_can_train_though_it_hears_no_signals():
    done = []
    thread = threading.Thread(
        target=lambda: done.append(training.train(noisy(), points, settings()))
    )
    thread.start()
    thread.join()
    assert len(done[0]) == 6


def test_early_stopping_waits_as_long_as_patience_says(tmp_path):
    """The held-out labels are wrong, so that their loss rises from the first step on."""
    x, labels = points(0)
    held_out = [(x, (labels + 1) % 3)]
    config = settings(steps=50, evaluate_every=2, patience=3, folder=str(tmp_path), keep=1)
    history = training.train(noisy().eval(), [(x, labels)], config, held_out=held_out)
    assert history.best["step"] == 2
    assert (len(history), history.stopped) == (8, False)
    names = sorted(path.name for path in tmp_path.glob("*.pt"))
    assert names == ["step-000002.pt", "step-000008.pt"]
    assert training.best(tmp_path).name == "step-000002.pt"
    again = training.train(noisy(), [(x, labels)], config, held_out=held_out)
    same("train, patience", "itself", timeless(again), timeless(history))


# -- arguments -----------------------------------------------------------------------------------


def test_what_the_bar_shows():
    class Spy:
        last = False

        def __init__(self, steps, description):
            self.steps, self.shown = steps, []
            spies.append((self, description))

        def __iter__(self):
            return iter(self.steps)

        def set(self, **values):
            self.shown.append(values)

    spies = []
    config = settings(steps=4, evaluate_every=2)
    history = training.train(noisy(), points, config, held_out=[points(0)], floor=0.5, bar=Spy)
    ((spy, description),) = spies
    assert (spy.steps, description) == (range(1, 5), "training")
    loss = history[1]["loss"]
    assert spy.shown[1] == {"loss": loss, "above_floor": loss - 0.5}
    training.train(noisy(), points, config, held_out=[points(0)], bar=Spy)
    shown = spies[1][0].shown
    assert set(shown[0]) == {"loss"}
    assert shown[1]["held_out"] == history[1]["held_out"]


X = torch.ones(2, 4)
REFUSED = [
    (TypeError, "model must be", lambda: training.train(lambda x: x, points, settings())),
    (TypeError, "config must be a Tr", lambda: training.train(noisy(), points, {"steps": 3})),
    (TypeError, "batches must be a f", lambda: training.train(noisy(), X, settings())),
    (TypeError, "batches must be a f", lambda: training.train(noisy(), 3, settings())),
    (
        TypeError,
        "objective must be",
        lambda: training.train(noisy(), points, settings(), objective=losses.mse),
    ),
    (
        TypeError,
        "optimizer must be",
        lambda: training.train(noisy(), points, settings(), optimizer="adamw"),
    ),
    (
        ValueError,
        "optimizer must be one",
        lambda: training.train(noisy(), points, settings(), optimizer=[]),
    ),
    (
        TypeError,
        "floor must be a number",
        lambda: training.train(noisy(), points, settings(), floor="0"),
    ),
    (
        TypeError,
        "held-out batches must end",
        lambda: training.train(noisy(), points, settings(), held_out=points),
    ),
    (
        ValueError,
        "patience needs held_out",
        lambda: training.train(noisy(), points, settings(patience=2)),
    ),
    (
        ValueError,
        "evaluate_every needs held_out",
        lambda: training.train(noisy(), points, settings(evaluate_every=2)),
    ),
    (TypeError, "batch must be (inputs", lambda: training.train(noisy(), [X], settings())),
    (
        ValueError,
        "batches ended after 2",
        lambda: training.train(noisy(), map(points, range(2)), settings()),
    ),
    (
        ValueError,
        "this machine has no such device",
        lambda: training.train(noisy(), points, settings(device="cuda:99")),
    ),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_a_wrong_call_names_the_argument(kind, message, call):
    with pytest.raises(kind, match=re.escape(message)):
        call()


def test_nothing_is_changed_by_a_call_that_is_refused():
    model = noisy()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with pytest.raises(ValueError, match="patience"):
        training.train(model, points, settings(patience=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], x) for name, x in model.state_dict().items())


def test_nothing_is_written_where_no_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training.train(noisy(), points, settings())
    assert os.listdir(tmp_path) == []
