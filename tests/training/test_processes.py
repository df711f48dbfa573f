"""Two and three processes against one: the same losses and weights, whatever is interrupted.

The processes of each number are started once and do everything; the tests look at what they have
returned.
"""

import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
import warnings

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from companion import optim, training
from companion.models import BERT, BertConfig
from companion.pretraining import MaskedLM, MaskedLMAndNSP
from companion.training import parallel, processes, rows, sharding, stopping, wrapping
from tests.training.support import (
    IGNORE,
    Noisy,
    equal_state,
    gpt,
    noisy,
    points,
    settings,
    timeless,
    tokens,
    weights,
)
from tests.training.test_loop import TwoTerms, two_tasks
from tests.verification import agree

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a process cannot be copied safely"),
    # Python 3.12 warns of a fork beside threads, which the bar of other tests has left.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
KINDS = ("ddp", "fsdp")
SIZES = (2, 3)


# -- what is trained -----------------------------------------------------------------------------


def texts(i):
    """Micro-batch number ``i``: 5 texts of 6 tokens, of whose targets few or many count."""
    ids = tokens(5, 7, seed=1000 + i)
    inputs, targets = ids[:, :-1], ids[:, 1:].clone()
    for row in range(5):
        targets[row, (3 * i + row * row) % 6 :] = IGNORE
    return inputs, targets


def pairs(i):
    """Five pairs of sentences, with masked tokens; in every other batch none is masked."""
    ids = tokens(5, 6, seed=2000 + i)
    targets = torch.full_like(ids, IGNORE)
    targets[: 4 * (i % 2), 2] = ids[: 4 * (i % 2), 2]
    segments = (torch.arange(6) > 3).long().expand(5, 6)
    return {"ids": ids, "targets": targets, "segments": segments, "label": ids[:, 0] % 2}


def bert():
    torch.manual_seed(0)
    sizes = {"d_model": 8, "n_layers": 2, "n_heads": 2, "d_hidden": 16, "max_length": 8}
    return BERT(BertConfig(vocab_size=11, **sizes)).double()


class Heads(nn.Module):
    """Two heads, of which a step may need one; each has parameters of its own."""

    def __init__(self):
        super().__init__()
        self.body = noisy().double().eval().requires_grad_(True)
        self.heads = nn.ModuleDict({name: nn.Linear(3, 3) for name in ("words", "kinds")}).double()

    def forward(self, x, name):
        return self.heads[name](torch.tanh(self.body(x)))


class TwoHeads(TwoTerms):
    """As two terms of one model, each with a head of its own."""

    def __call__(self, model, batch):
        return {
            name: super(TwoHeads, self).__call__(lambda x, n=name: model(x, n), batch)[name]
            for name in ("words", "kinds")
        }


def heads():
    torch.manual_seed(0)
    model = Heads()
    for module in model.modules():
        module.eval()
    return model


def in_double(i):
    return {name: x.double() if name == "x" else x for name, x in two_tasks(i).items()}


def gpt64(**changes):
    return gpt(dtype=torch.float64, **changes)


# Model, batches, objective, and settings that differ.
CASES = {
    "ignored": (gpt64, texts, training.TokenLoss(), {}),
    "smoothing": (gpt64, texts, training.TokenLoss(0.1), {"clip": 0.05}),
    "accumulation": (gpt64, texts, training.TokenLoss(), {"accumulate": 3, "optimizer": "muon"}),
    "MLM and NSP": (bert, pairs, MaskedLMAndNSP(), {"accumulate": 2}),
    "MLM alone": (bert, lambda i: pairs(1), MaskedLM(), {}),
}


def run(name, **changes):
    """Train a case; return the history without the clock, and the weights."""
    make, batches, objective, own = CASES[name]
    model = make()
    config = settings(**{"steps": 4, "evaluate_every": 2, **own, **changes})
    # The last of the held-out batches has a single row.
    held_out = [batches(91), _first_row(batches(91))]
    history = training.train(model, batches, config, objective=objective, held_out=held_out)
    return timeless(history), weights(model)


def _first_row(batch):
    if isinstance(batch, dict):
        return {name: x[:1] for name, x in batch.items()}
    return tuple(x[:1] for x in batch)


class Killed(Exception):
    pass


def until(batches, place):
    """Batches that end the run where number ``place`` is asked for, in all processes."""

    def stopping_there(i):
        if i == place:
            raise Killed
        return batches(i)

    return stopping_there


def half_trained(folder, kind):
    """Leave the checkpoints of a run that was ended after 2 of its 4 steps."""
    with pytest.raises(Killed):
        gone_on(folder, kind, batches=until(texts, 2))


def gone_on(folder, kind, batches=texts):
    model = gpt64()
    config = settings(steps=4, folder=str(folder), checkpoint_every=1, parallel=kind)
    history = training.train(model, batches, config, held_out=[texts(91)])
    return timeless(history), weights(model)


def interrupted(folder, kind, place):
    """Train with dropout, in one go or after an interruption; return the last checkpoint."""
    config = settings(steps=4, folder=str(folder), checkpoint_every=1, parallel=kind, accumulate=2)
    if place:
        with pytest.raises(Killed):
            training.train(noisy(), until(points, place), config)
        torch.manual_seed(1)  # whatever is drawn in the meantime
    training.train(noisy(), points, config)
    content = training.read_checkpoint(training.latest(folder))
    del content["config"]
    return {**content, "history": timeless(content["history"])}


class Overflow(torch.autograd.Function):
    """Let the first entry of a gradient overflow where it is asked for."""

    @staticmethod
    def forward(ctx, x, flag):
        ctx.flag = flag
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.clone()
        gradient[0] *= float("inf") if ctx.flag.any() else 1.0
        return gradient, None


class Overflowing(Noisy):
    """The gradient of one number of one process's part of ``scale`` overflows."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x, flag):
        return super().forward(x * Overflow.apply(self.scale, flag))


def overflowing(i):
    x, labels = points(1)
    return x, torch.full((5,), i in (0, 3)), labels


def in_16_bits(kind):
    torch.manual_seed(0)
    model = Overflowing()
    model.eval = lambda: model
    for module in model.modules():
        module.training = False
    config = settings(steps=6, precision="float16", parallel=kind, clip=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "train", lambda self, mode=True: self)  # without dropout
        return timeless(training.train(model, overflowing, config))


def poisoned(kind):
    """Train until the loss is no number, in the rows of the last process; and until just before."""

    def batches(i):
        x, labels = points(i)
        return torch.cat([x[:-1], x[-1:] * float("nan" if i == 2 else 1)]), labels

    model, before = noisy(), noisy()
    with pytest.raises(FloatingPointError) as caught:
        training.train(model, batches, settings(parallel=kind, schedule="constant"))
    training.train(before, points, settings(parallel=kind, schedule="constant", steps=2))
    return str(caught.value), weights(model), weights(before)


def wished(kind, rank):
    """Train until the last process alone hears a signal, while it makes its third batch."""

    def batches(i):
        if i == 2 and rank == processes.world().size - 1:
            signal.raise_signal(signal.SIGTERM)
        return points(i)

    model = noisy()
    history = training.train(model, batches, settings(steps=9, parallel=kind))
    return len(history), history.stopped, weights(model)


def impatient(kind):
    config = settings(steps=30, lr=3.0, evaluate_every=1, patience=2, parallel=kind)
    history = training.train(noisy(), points, config, held_out=[points(9)])
    return len(history), history.stopped


def shown(monkey):
    """Return whether bars were drawn: one of the caller's, and the plain one."""
    drawn = []

    class Bar(stopping.Bar):
        def __iter__(self):
            drawn.append("own")
            yield from super().__iter__()

    monkey.delenv("COMPANION_QUIET", raising=False)
    monkey.setattr(stopping, "tqdm", lambda *_, disable, **__: drawn.append(disable) or tqdm_off())
    training.train(noisy(), points, settings(steps=1), bar=Bar)
    return drawn


def tqdm_off():
    return importlib.import_module("tqdm").tqdm(range(1, 2), disable=True)


def warned(folder):
    """Return the warnings about a damaged checkpoint."""
    if processes.world().rank == 0:
        half_written = training.latest(folder)
        half_written.write_bytes(b"")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gone_on(folder, "ddp")
    return [str(each.message) for each in caught]


class Counting(TorchDispatchMode):
    """Count the sums that are scattered over processes."""

    def __init__(self):
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += "reduce_scatter" in str(func)
        return func(*args, **(kwargs or {}))


def exchanges(kind):
    """Return how often gradients are exchanged in steps of one and of three micro-batches.

    And what momentum has made of the weights in two such steps.
    """
    counts, after = [], []
    for n in (1, 3):
        trained, forward, objective = wrapping.wrapped(
            noisy(), training.TokenLoss(), kind, torch.device("cpu"), False
        )
        calls = []
        if kind == "ddp":
            forward.register_comm_hook(calls, _as_they_are)
        trained.eval()  # without dropout
        optimizer = optim.SGD(list(trained.parameters()), lr=0.1, momentum=0.9, nesterov=True)
        micro_batches = [rows.shard(points(i)) for i in range(n)]
        with Counting() as mode:
            training.train_step(forward, micro_batches, objective, [optimizer])
        counts.append(len(calls) or mode.n)
        if kind == "fsdp":
            training.train_step(forward, micro_batches, objective, [optimizer], clip=0.1)
            after.append(sharding.put_together(trained.state_dict()))
    return counts, after


def _as_they_are(calls, bucket):
    calls.append(bucket.index())
    done = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done


# -- what is refused -----------------------------------------------------------------------------


def refusals(rank, folder):
    """Return the error of each call that must fail in all processes."""
    file = folder / "file"
    odd = settings(lr=0.1 * (rank + 1), device="cpu")
    calls = {
        "few rows": lambda: training.train(noisy(), lambda i: _first_row(points(i)), settings()),
        "settings": lambda: training.train(noisy(), points, odd),
        "model": lambda: training.train(gpt(n_layers=rank + 1), texts, settings()),
        "batches": lambda: training.train(noisy(), lambda i: points(i + rank), settings()),
        "none": lambda: training.train(noisy(), points, settings(parallel="none")),
        "optimizer": lambda: training.train(
            noisy(),
            points,
            settings(parallel="fsdp"),
            optimizer=torch.optim.SGD(noisy().parameters()),
        ),
        "one argument": lambda: training.train("no model" if rank else noisy(), points, settings()),
        "folder": lambda: training.train(noisy(), points, settings(folder=str(file / "x"))),
        "disk": lambda: lost_folder(rank, folder / "lost"),
    }
    if rank == 0:
        file.write_text("")
    found = {}
    for name, call in calls.items():
        with pytest.raises(Exception) as caught:  # noqa: PT011
            call()
        found[name] = type(caught.value).__name__, str(caught.value)
    return found


def lost_folder(rank, folder):
    """Train into a folder that becomes a file."""

    def batches(i):
        if i == 1 and rank == 0:
            folder.rmdir()
            folder.write_text("")
        return points(i)

    training.train(noisy(), batches, settings(steps=2, folder=str(folder)))


# -- the processes -------------------------------------------------------------------------------


def two(communicator, folder):
    """All that one of two processes does, by the name of what is looked at."""
    rank, found = communicator.rank, {}
    for kind in KINDS:
        found |= {(kind, name): run(name, parallel=kind) for name in CASES}
        half_trained(folder / kind, kind)
        for place in (0, 5):
            content = interrupted(folder / f"{kind} dropout {place}", kind, place)
            found[kind, "dropout", place] = content
        found[kind, "16 bits"] = in_16_bits(kind)
        found[kind, "no number"] = poisoned(kind)
        found[kind, "wish"] = wished(kind, rank)
        found[kind, "patience"] = impatient(kind)
        found[kind, "exchanges"] = exchanges(kind)
    found["two heads"] = two_heads("ddp")
    found["killed"] = gone_on(folder / "killed 2", "ddp")
    found["refused"] = refusals(rank, folder)
    with pytest.MonkeyPatch.context() as monkey:
        found["shown"] = shown(monkey)
    found["evaluated"] = training.evaluate(gpt64(), [texts(0), _first_row(texts(1))])
    return found


def two_heads(kind):
    model = heads()
    config = settings(steps=3, parallel=kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "train", lambda self, mode=True: self)  # without dropout
        history = training.train(model, in_double, config, objective=TwoHeads())
    return timeless(history), weights(model)


def three(communicator, folder):
    """All that one of three processes does."""
    found = {(kind, "ignored"): run("ignored", parallel=kind) for kind in KINDS}
    for before in ("ddp", "fsdp"):
        after = "fsdp" if before == "ddp" else "ddp"
        found["gone on", before] = gone_on(folder / f"{before} 3", after)
    found["killed"] = gone_on(folder / "killed 3", "ddp")
    found["warned"] = warned(folder / "ddp 3")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return where all processes write."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def killed(folder):
    """Return what the survivor of two processes says, and when, by how the model is spread."""
    for name in ("fsdp", "tensor"):  # now, so that no process has to
        importlib.import_module(f"torch.distributed.{name}")
    return {kind: survived(folder / f"killed {kind}", kind) for kind in KINDS}


def survived(folder, kind):
    context, folder_of_both = multiprocessing.get_context("fork"), folder / "both"
    folder_of_both.mkdir(parents=True)
    ours, theirs = context.Pipe(duplex=False)
    both = [context.Process(target=work, args=(r, folder_of_both, kind, theirs)) for r in (0, 1)]
    for process in both:
        process.start()
    both[1].join(60)
    began = time.monotonic()
    try:
        assert ours.poll(60), "the survivor hangs"
        return (*ours.recv(), time.monotonic() - began, both[1].exitcode)
    finally:
        for process in both:
            process.kill()
            process.join()


def work(rank, folder, kind, answer):
    """Be one of two processes; the second is killed while it makes the batch of its third step."""

    def batches(i):
        if i == 2 and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return texts(i)

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = f"file://{folder.parent / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    try:
        gone_on(folder, kind, batches)
    except Exception as error:
        answer.send((type(error).__name__, str(error)))


@pytest.fixture(scope="module")
def of_two(folder, killed):
    """Return what each of two processes has found."""
    for n in (1, 2, 3):
        shutil.copytree(folder / "killed ddp" / "both", folder / f"killed {n}")
    return parallel.run(two, 2, folder, start="fork", timeout=600)


@pytest.fixture(scope="module")
def of_three(folder, of_two):
    """Return what each of three processes has found, going on from what two have left."""
    for kind in KINDS:
        shutil.copytree(folder / kind, folder / f"{kind} 3")
    return parallel.run(three, 3, folder, start="fork", timeout=600)


@pytest.fixture(scope="module")
def alone():
    """Return what one process finds."""
    return {name: run(name) for name in CASES}


def require_equal(subject, found, expected, tolerance=1e-10, limit=None):
    """Compare records and weights of several processes with those of one."""
    (history, trained), (records, theirs) = found, expected
    assert [record.keys() for record in history] == [record.keys() for record in records]
    for name in records[-1]:
        ours, others = (
            torch.tensor([float(record.get(name, 0)) for record in each], dtype=torch.float64)
            for each in (history, records)
        )
        agree(f"train, {subject}", "one process", ours, others, tolerance, limit=limit)
    agree(f"train, {subject}", "one process", trained, theirs, tolerance)


@pytest.mark.verifies("Whole", "several processes do what one does")
@pytest.mark.verifies("Through", "several processes do what one does")
@pytest.mark.verifies("Wrapped", "several processes do what one does")
@pytest.mark.verifies("wrapped", "several processes do what one does")
@pytest.mark.verifies("like", "several processes do what one does")
@pytest.mark.verifies("put_together", "several processes do what one does")
@pytest.mark.verifies("give_back", "several processes do what one does")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_two_processes_do_what_one_does(of_two, alone, name, kind):
    for process in of_two:
        require_equal(kind, process[kind, name], alone[name])


@pytest.mark.parametrize("kind", KINDS)
def test_so_do_three(of_three, alone, kind):
    for process in of_three:
        require_equal(kind, process[kind, "ignored"], alone["ignored"])


def test_a_head_that_a_step_does_not_need_keeps_nobody_waiting(of_two):
    expected = two_heads("auto")
    for process in of_two:
        require_equal("ddp", process["two heads"], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_exchanged_once_a_step(of_two, kind):
    for process in of_two:
        one, three_micro_batches = process[kind, "exchanges"][0]
        assert one == three_micro_batches > 0


def test_momentum_and_clipping_work_on_parts_of_tensors(of_two):
    for n, found in zip((1, 3), of_two[0]["fsdp", "exchanges"][1], strict=True):
        model = noisy().eval()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
        for clip in (None, 0.1):
            micro_batches, objective = list(map(points, range(n))), training.TokenLoss()
            training.train_step(model, micro_batches, objective, [optimizer], clip=clip)
        for name, expected in model.state_dict().items():
            agree("put_together", "torch.optim.SGD in one process", found[name], expected, 1e-6)


def test_held_out_batches_are_shared_even_where_one_has_a_single_row(of_two):
    expected = training.evaluate(gpt64(), [texts(0), _first_row(texts(1))])
    for process in of_two:
        agree("evaluate", "one process", process["evaluated"]["loss"], expected["loss"], 1e-10)


class Layer(nn.Module):
    """A block of code of our own, which alone is compiled."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return torch.tanh(self.linear(x))


def compiled(communicator, kind):
    """Train a model as it is and compiled, without the compiler that would take minutes."""
    found, graphs, plain = [], [], torch.compile

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    # PyTorch's compiler looks at it, and does not print what it is told then.
    warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda m: plain(m, backend=backend, fullgraph=True))
        for compiles in (False, True):
            model = noisy()
            model.blocks = nn.ModuleList([Layer(), Layer()])
            history = training.train(
                model, points, settings(steps=2, parallel=kind, compile=compiles)
            )
            found.append((timeless(history), weights(model)))
            assert bool(graphs) == compiles
    return found


@pytest.mark.release
@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_model_is_trained_alike(kind):
    for name in ("distributed.fsdp", "distributed.tensor", "_dynamo"):
        importlib.import_module(f"torch.{name}")
    for as_it_is, compiled_model in parallel.run(compiled, 2, kind, start="fork", timeout=600):
        require_equal(f"{kind}, compiled", compiled_model, as_it_is, 1e-5, "float32")


# -- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_with_as_many_processes_a_run_goes_on_bit_for_bit(of_two, kind):
    """With dropout, so each process draws what it would have drawn."""
    for process in of_two:
        assert equal_state(process[kind, "dropout", 5], process[kind, "dropout", 0])
    first, second = of_two[0][kind, "dropout", 0]["random"]
    assert not torch.equal(first["torch"], second["torch"])


@pytest.mark.parametrize("kind", KINDS)
def test_with_other_numbers_of_processes_a_run_goes_on_as_one(of_three, folder, alone, kind):
    """Two processes have begun it; three go on in the other way, and one."""
    whole = gpt64()
    config = settings(steps=4)
    history = training.train(whole, texts, config, held_out=[texts(91)])
    expected = timeless(history), weights(whole)
    for process in of_three:
        require_equal(f"from {kind} of two to three", process["gone on", kind], expected)
    require_equal(f"from {kind} of two to one", gone_on(folder / kind, "auto"), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_killed_keeps_nobody_waiting(killed, kind):
    name, message, seconds, code = killed[kind]
    assert code == -signal.SIGKILL
    assert "Error" in name, message
    assert seconds < 30


def test_the_checkpoint_of_a_killed_process_goes_on_with_any_number(of_two, of_three, folder):
    model = gpt64()
    history = training.train(model, texts, settings(steps=4), held_out=[texts(91)])
    expected = timeless(history), weights(model)
    assert training.latest(folder / "killed 1").name == "step-000002.pt"
    for process in [*of_two, *of_three]:
        require_equal("after a kill", process["killed"], expected)
    require_equal("after a kill", gone_on(folder / "killed 1", "auto"), expected)


def test_only_the_first_process_warns(of_three):
    first, *others = (process["warned"] for process in of_three)
    assert len(first) == 1
    assert "step-000004.pt is passed over" in first[0]
    assert others == [[], []]


# -- decided alike -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_overflows_in_one_process_is_skipped_by_all(of_two, kind):
    expected = in_16_bits("auto")
    assert [record["skipped"] for record in expected] == [True, False, False, True, False, False]
    for process in of_two:
        history = process[kind, "16 bits"]
        assert [r["skipped"] for r in history] == [r["skipped"] for r in expected]
        for name in ("loss", "grad_norm"):
            ours, theirs = (
                torch.tensor([r[name] for r in each if not r["skipped"]])
                for each in (history, expected)
            )
            agree(f"train, {kind}, 16 bits", "one process", ours, theirs, 0.02, limit="float16")


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_that_is_no_number_in_one_process_stops_all(of_two, kind):
    for process in of_two:
        message, trained, expected = process[kind, "no number"]
        assert "step 3" in message
        assert "the loss is nan" in message
        assert torch.equal(trained, expected)


@pytest.mark.verifies("any_process", "a signal that one process hears stops all")
@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_that_one_process_hears_stops_all_after_the_same_step(of_two, kind):
    (n, stopped, trained), other = (process[kind, "wish"] for process in of_two)
    assert (n, stopped) == other[:2] == (3, True)
    assert torch.equal(trained, other[2])


@pytest.mark.parametrize("kind", KINDS)
def test_all_lose_patience_together(of_two, kind):
    n, stopped = of_two[0][kind, "patience"]
    assert of_two[1][kind, "patience"] == (n, stopped)
    assert n < 30
    assert not stopped


def test_only_the_first_process_draws_a_bar(of_two):
    first, second = (process["shown"] for process in of_two)
    assert first == ["own", False]
    assert second == [True]


REFUSED = {
    "few rows": ("ValueError", "a batch must have a row for each of 2 processes, got 1"),
    "settings": ("ValueError", "lr must be the same in all processes, got 0.1 in process 0 and"),
    "model": ("ValueError", "model must be the same in all processes"),
    "batches": ("ValueError", "micro-batch 0 must be the same in all processes"),
    "none": ("ValueError", "parallel='none' is for one process, and there are 2"),
    "optimizer": ("ValueError", "optimizer must be None with parallel='fsdp'"),
    "one argument": ("TypeError", "model must be a torch.nn.Module, got str"),
    "folder": ("NotADirectoryError", "cannot be written to"),
    "disk": ("FileExistsError", "step-000002.pt could not be written"),
}


@pytest.mark.verifies("ProcessError", "says which process has failed, and why")
@pytest.mark.verifies("together", "an error of one process is an error of all")
@pytest.mark.verifies("from_first", "an error of one process is an error of all")
@pytest.mark.verifies("require_alike", "names what differs")
@pytest.mark.parametrize("name", REFUSED)
def test_all_processes_refuse_what_one_refuses(of_two, name):
    kind, message = REFUSED[name]
    own = {"one argument": [1], "folder": [0], "disk": [0]}.get(name, [0, 1])
    for rank, process in enumerate(of_two):
        came, said = process["refused"][name]
        assert message in said
        assert came == (kind if rank in own else "ProcessError")
        if rank not in own:
            assert f"process {own[0]} of 2 has failed: {kind}: " in said
