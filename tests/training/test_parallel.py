"""Two to four processes against one, against torch.distributed, and what happens if one fails.

All processes are started once for each number of them, and do everything; the tests look at what
they have returned.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import time
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from companion import losses, optim
from companion.attention import MultiHeadAttention
from companion.layers import Embedding, FeedForward, LayerNorm, Linear, RMSNorm, SwiGLU
from companion.models import GPT, GPTConfig
from companion.training import parallel
from companion.training.parallel import Communicator
from companion.transformer import Block, PostNorm
from tests.plugins.shapes import unchecked
from tests.support import fill, normal
from tests.verification import agree, same

ALONE = Communicator([0], 0)
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.int64)
VOCABULARY, D_MODEL, BATCH, LENGTH, PAD = 11, 8, 8, 5, -100
N_MICRO = 4
# A gradient that is 0 but for rounding, as that of a key's bias, is divided by itself plus eps.
ADAMW = {"lr": 0.1, "weight_decay": 0.2, "eps": 1e-5}
FORK = sys.platform == "linux"
pytestmark = pytest.mark.skipif(not FORK, reason="the tests' functions stand in no file")


def ids(seed=0):
    return torch.randint(VOCABULARY, (BATCH, LENGTH), generator=torch.Generator().manual_seed(seed))


def targets(seed=1, *, padded=True):
    """Return labels; with padding, the later texts are shorter, and the last is empty."""
    found = ids(seed)
    if padded:
        for i in range(BATCH):
            found[i, LENGTH - min(LENGTH, i) :] = PAD
        found[-1] = PAD
    return found


def loss_sum(logits, labels):
    return losses.cross_entropy(logits, labels, ignore_index=PAD, reduction="sum")


def mean_loss(logits, labels):
    flat = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(flat, labels.reshape(-1), ignore_index=PAD)


def gpt():
    sizes = {"d_model": D_MODEL, "n_layers": 2, "n_heads": 2}
    return fill(GPT(GPTConfig(VOCABULARY, LENGTH, **sizes)), seed=3)


def block(seed=0):
    return fill(Block(MultiHeadAttention(D_MODEL, n_heads=4), FeedForward(D_MODEL)), seed=seed)


def layers():
    """Return four layers, which map ids to logits."""
    first = nn.Sequential(fill(Embedding(VOCABULARY, D_MODEL), seed=1), block(2))
    head = nn.Sequential(LayerNorm(D_MODEL), Linear(D_MODEL, VOCABULARY))
    return [first, block(3), block(4), nn.Sequential(block(5), fill(head, seed=6))]


def small_layers():
    """Return three layers with few parameters, of sizes that 2 and 4 processes divide."""
    hidden = nn.Sequential(Linear(D_MODEL, 16), nn.GELU(), Linear(16, D_MODEL, bias=False))
    made = [Embedding(12, D_MODEL), hidden, Linear(D_MODEL, 12, bias=False)]
    return [fill(layer, seed) for seed, layer in enumerate(made)]


def gradients(module):
    return {name: p.grad for name, p in module.named_parameters()}


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


# -- what each process does ----------------------------------------------------------------------


def counted(communicator, function, *args):
    before = communicator.sent
    return function(*args), communicator.sent - before


def collectives(communicator):
    found = {}
    for dtype in DTYPES:
        x = (10 * normal(12, 3, seed=communicator.rank)).to(dtype)
        total = x.clone()
        dist.all_reduce(total)
        gathered = [torch.empty_like(x) for _ in range(communicator.size)]
        dist.all_gather(gathered, x)
        theirs = {"all_reduce": total, "all_gather": torch.cat(gathered)}
        theirs["reduce_scatter"] = total.chunk(communicator.size)[communicator.rank]
        for name, expected in theirs.items():
            found[name, dtype] = (*counted(communicator, getattr(communicator, name), x), expected)
    return found


def sent_and_received(communicator):
    """Return what a broadcast, messages in a row and a transposed tensor bring."""
    rank, size = communicator.rank, communicator.size
    one, bytes_sent = counted(communicator, communicator.broadcast, torch.full((3,), rank), 1)
    for i in range(3):
        communicator.send(torch.tensor([10 * rank + i]), (rank + 1) % size)
    like = torch.empty(1, dtype=torch.int64)
    row = [communicator.recv(like, (rank - 1) % size).item() for _ in range(3)]
    turned = communicator.all_reduce(torch.arange(6).view(2, 3).T)
    odd = communicator.all_reduce(torch.ones(5))
    return one.tolist(), bytes_sent, row, turned.tolist(), odd.tolist()


def trained_on_shares(communicator):
    """Two steps of AdamW, each process on its share."""
    model, losses_seen, sent = gpt(), [], []
    if communicator.rank:
        fill(model, seed=99)  # only process 0 has the model to begin with
    parallel.copy_parameters(model, communicator)
    optimizer = optim.AdamW(model.parameters(), **ADAMW)
    x, y = (parallel.batch_share(each, communicator) for each in (ids(), targets()))
    for _ in range(2):
        before = communicator.sent
        optimizer.zero_grad()
        part = loss_sum(model(x), y)
        loss = parallel.share_of_loss(part, int((y != PAD).sum()), communicator)
        loss.backward()
        parallel.sum_gradients(model.parameters(), communicator)
        optimizer.step()
        sent.append(communicator.sent - before)
        losses_seen.append(communicator.all_reduce(loss.detach()))
    return torch.stack(losses_seen), dict(model.named_parameters()), sent


def distributed_data_parallel(communicator):
    """Return PyTorch's gradients, and ours, of a batch without padding."""
    found = []
    x, y = (parallel.batch_share(each, communicator) for each in (ids(), targets(padded=False)))
    model = nn.parallel.DistributedDataParallel(gpt())
    mean_loss(model(x), y).backward()
    found.append(gradients(model.module))
    model = gpt()
    parallel.share_of_loss(loss_sum(model(x), y), y.numel(), communicator).backward()
    parallel.sum_gradients(model.parameters(), communicator)
    return [*found, gradients(model)]


def blocks():
    plain = MultiHeadAttention(D_MODEL, n_heads=4)
    grouped = MultiHeadAttention(16, 8, n_kv_heads=4, rotary=True, bias=False)
    return {
        "as GPT's": fill(Block(plain, FeedForward(D_MODEL)), seed=7),
        "as Llama's": fill(Block(grouped, SwiGLU(16, 24), norm=RMSNorm), seed=8),
        "as BERT's": fill(Block(plain, FeedForward(D_MODEL, 12), residual=PostNorm), seed=9),
    }


def computed(module, *, is_causal=True):
    """Return output, gradient of the input, and those of all parameters."""
    x = normal(2, LENGTH, module.attention.norm.weight.numel(), seed=10).requires_grad_()
    y = module(x, is_causal=is_causal)
    (y * normal(*y.shape, seed=11)).sum().backward()
    return y.detach(), x.grad, gradients(module)


def cut_blocks(communicator):
    found = {}
    for name, whole in blocks().items():
        part = parallel.tensor_parallel_block(whole, communicator)
        found[name] = counted(communicator, computed, part)
    return found


def torch_tensor_parallel(communicator):
    """Return PyTorch's and our output and gradients of two linear maps with a function between."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import parallel as theirs

    first, last = fill(Linear(6, 12), seed=1), fill(Linear(12, 6), seed=2)
    twin = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6)).double()
    twin[0].load_state_dict(first.state_dict())
    twin[2].load_state_dict(last.state_dict())
    plan = {"0": theirs.ColwiseParallel(), "2": theirs.RowwiseParallel()}
    twin = theirs.parallelize_module(twin, init_device_mesh("cpu", (communicator.size,)), plan)
    part = nn.Sequential(
        parallel.column_parallel(first, communicator),
        nn.GELU(),
        parallel.row_parallel(last, communicator),
    )
    ours = parallel.TensorParallel(part, last.bias, communicator)
    found = []
    for module in (twin, ours):
        x = normal(3, 6, seed=3).requires_grad_()
        module(x).square().sum().backward()
        local = [getattr(p.grad, "_local_tensor", p.grad) for p in module.parameters()]
        found.append([x.grad, *local])
    x, bias, *others = found[1]  # in PyTorch's order the bias that is not cut is the last
    return found[0], [x, *others, bias]


def pipelined(communicator):
    found = {}
    schedules = {"gpipe": parallel.gpipe, "1F1B": parallel.one_forward_one_backward}
    for name, schedule in schedules.items():
        stage = parallel.stage_layers(layers(), communicator)
        parts = parallel.micro_batches(ids(), N_MICRO)
        labels = parallel.micro_batches(targets(), N_MICRO)
        n_targets = int((targets() != PAD).sum())
        like = torch.empty(BATCH // N_MICRO, LENGTH, D_MODEL, dtype=torch.float64)
        step, sent = counted(
            communicator,
            lambda s=schedule, st=stage, p=parts, li=like, la=labels, n=n_targets: (
                parallel.pipeline_step(
                    st,
                    s(communicator.rank, communicator.size, N_MICRO),
                    communicator,
                    p,
                    li,
                    lambda y, i: loss_sum(y, la[i]) / n,
                )
            ),
        )
        found[name] = step, list(gradients(stage).values()), sent
    return found


def zero_model(communicator, stage, dtype=torch.float64):
    made = [layer.to(dtype) for layer in small_layers()]
    if stage == 3:
        made = [parallel.ShardedLayer(layer, communicator) for layer in made]
    model = nn.Sequential(*made)
    return model, parallel.ZeRO(model, communicator, stage, **ADAMW)


def zero_backward(model, communicator):
    x, y = (parallel.batch_share(each, communicator) for each in (ids(), targets()))
    n_targets = int((y != PAD).sum())
    parallel.share_of_loss(loss_sum(model(x), y), n_targets, communicator).backward()


def whole_parameters(model, communicator):
    """Return all parameters of a model, gathered if they are cut."""
    if isinstance(model[0], parallel.ShardedLayer):
        return [w for layer in model for w in layer.gather().values()]
    return [p.detach() for p in model.parameters()]


def zero_trained(communicator, stage, *, passes=1):
    """Two steps of AdamW with ZeRO; return the parameters, and what the last step sent."""
    model, zero = zero_model(communicator, stage)
    for _ in range(2):
        before = communicator.sent
        for _ in range(passes):
            zero_backward(model, communicator)
        zero.step()
        sent = communicator.sent - before
    return whole_parameters(model, communicator), sent


def zero_held(communicator, stage, dtype):
    """Return what a process holds between backward and step."""
    model, zero = zero_model(communicator, stage, dtype)
    zero_backward(model, communicator)
    zero.step()
    after = zero.held_bytes()
    zero_backward(model, communicator)
    return zero.held_bytes(), after["gradients"]


def pairs_of_pairs(communicator):
    """Four processes: each block is cut in two, and the batch is shared by two such pairs."""
    rank = communicator.rank
    tensor = communicator.group([rank // 2 * 2, rank // 2 * 2 + 1])
    data = communicator.group([rank % 2, rank % 2 + 2])
    part = parallel.tensor_parallel_block(block(), tensor)
    x = parallel.batch_share(normal(4, LENGTH, D_MODEL, seed=12), data)
    part(x).square().sum().backward()
    parallel.sum_gradients(part.parameters(), data)
    return gradients(part)


def everything(communicator):
    found = {
        "collectives": collectives(communicator),
        "sent and received": sent_and_received(communicator),
        "data": trained_on_shares(communicator),
    }
    if communicator.size == 3:  # divides neither heads nor layers
        found["zero"] = zero_trained(communicator, 2)
        return found
    found |= {
        "DDP": distributed_data_parallel(communicator),
        "blocks": cut_blocks(communicator),
        "torch tensor parallel": torch_tensor_parallel(communicator),
        "pipeline": pipelined(communicator),
        "zero": {stage: zero_trained(communicator, stage) for stage in (1, 2, 3)},
    }
    if communicator.size == 4:
        return found | {"pairs": pairs_of_pairs(communicator)}
    kinds = [(stage, dtype) for stage in (1, 2, 3) for dtype in (torch.bfloat16, torch.float64)]
    return found | {
        "held": {kind: zero_held(communicator, *kind) for kind in kinds},
        "2 passes": {s: zero_trained(communicator, s, passes=2)[0] for s in (1, 2, 3)},
    }


@pytest.fixture(scope="module")
def found():
    """Return what each process has found, by the number of processes."""
    importlib.import_module("torch.distributed.tensor.parallel")  # now, so that no process has to
    return {n: parallel.run(everything, n, start="fork") for n in (2, 3, 4)}


# -- collective operations -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["all_reduce", "all_gather", "reduce_scatter"])
def test_a_ring_gives_what_gloo_gives(found, name, dtype, n):
    for process in found[n]:
        value, _, expected = process["collectives"][name, dtype]
        if dtype is torch.int64:
            same(f"Communicator.{name}", "torch.distributed", value, expected)
        elif dtype is torch.bfloat16:  # sums in another order, rounded to 8 bits each time
            subject, limit = f"Communicator.{name}, 16 bits", "bfloat16"
            agree(subject, "torch.distributed", value.float(), expected.float(), 0.05, limit=limit)
        else:
            agree(f"Communicator.{name}", "torch.distributed", value, expected)


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_ring_sends_as_many_bytes_as_the_formula_says(found, dtype, n):
    for process in found[n]:
        for name, formula, rows in (
            ("all_reduce", parallel.all_reduce_bytes, 12),
            ("reduce_scatter", parallel.all_gather_bytes, 12),
            ("all_gather", parallel.all_gather_bytes, 12 * n),
        ):
            _, sent, _ = process["collectives"][name, dtype]
            same(
                f"{formula.__name__}, {name}",
                "bytes counted",
                formula(rows * 3, n, dtype.itemsize),
                sent,
            )
    assert sent > 0


@pytest.mark.parametrize("n", [2, 3, 4])
def test_all_processes_get_the_same_sum_to_the_last_bit(found, n):
    sums = [process["collectives"]["all_reduce", torch.float32][0] for process in found[n]]
    assert all(torch.equal(total, sums[0]) for total in sums)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_messages_arrive_in_order_and_a_broadcast_reaches_all(found, n):
    for rank, process in enumerate(found[n]):
        one, sent, row, turned, odd = process["sent and received"]
        same("Communicator.broadcast", "by hand", one, [1] * 3)
        assert sent == (0 if rank == 0 else 24)  # from 1 round to 0, which passes it on to nobody
        last = (rank - 1) % n
        same("Communicator.recv", "by hand", row, [10 * last, 10 * last + 1, 10 * last + 2])
        assert turned == [[0, 3 * n], [n, 4 * n], [2 * n, 5 * n]]
        assert odd == [n] * 5  # 5 is divisible by none of them


def test_a_communicator_refuses_what_cannot_be_sent():
    pair = Communicator([0, 1], 0)
    with pytest.raises(ValueError, match="to must be another process, got this one, 0"):
        pair.send(torch.ones(1), 0)
    with pytest.raises(ValueError, match="source must be at most 1, got 2"):
        pair.recv(torch.ones(1), 2)
    with pytest.raises(ValueError, match=r"divisible by 2 processes, got shape \(3, 2\)"):
        pair.reduce_scatter(torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"divisible by 2 processes, got shape \(\)"):
        pair.reduce_scatter(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"ranks must hold this process, 0, got \[1\]"):
        pair.group([1])
    with pytest.raises(ValueError, match=r"ranks must differ, got \[0, 0\]"):
        Communicator([0, 0], 0)
    with unchecked(), pytest.raises(TypeError, match="tensor must be a torch tensor, got list"):
        pair.all_reduce([1.0])
    assert pair.sent == 0


# -- data parallelism ----------------------------------------------------------------------------


def trained_alone(model, steps, loss, batch=ids):
    """Train in one process with torch's AdamW; return the losses."""
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(batch()))
        value.backward()
        optimizer.step()
        seen.append(value.detach())
    return torch.stack(seen)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_shares_of_the_batch_train_as_the_whole_does(found, n):
    model = gpt()
    seen = trained_alone(model, 2, lambda logits: mean_loss(logits, targets()))
    for process in found[n]:
        losses_seen, parameters, _ = process["data"]
        agree("share_of_loss", "one process", losses_seen, seen)
        for name, parameter in model.named_parameters():
            agree("sum_gradients", "one process", parameters[name], parameter)
            agree("copy_parameters", "one process", parameters[name], parameter)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_step_sends_two_numbers_for_each_parameter_and_one_count(found, n):
    expected = parallel.all_reduce_bytes(n_parameters(gpt()), n, 8)
    expected += parallel.all_reduce_bytes(1, n, 8)
    for process in found[n]:
        same("all_reduce_bytes, a step", "bytes counted", [expected] * 2, process["data"][-1])


def test_the_mean_over_processes_would_not_be_the_mean_over_targets():
    """As long as padding is shared unequally: so the weights are needed."""
    parts = [
        (parallel.batch_share(each, Communicator([0, 1], r)) for each in (ids(), targets()))
        for r in (0, 1)
    ]
    model = gpt()
    means = torch.stack([mean_loss(model(x), y) for x, y in parts])
    assert (means.mean() - mean_loss(model(ids()), targets())).abs() > 0.01


@pytest.mark.parametrize("n", [2, 4])
def test_gradients_are_those_of_torch(found, n):
    for process in found[n]:
        theirs, ours = process["DDP"]
        for name, gradient in theirs.items():
            agree("sum_gradients", "DistributedDataParallel", ours[name], gradient)


def test_shares_cover_the_batch():
    parts = [parallel.batch_share(ids(), Communicator(range(3), r)) for r in range(3)]
    same("batch_share", "the batch", torch.cat(parts), ids())
    assert [len(part) for part in parts] == [3, 3, 2]
    with (
        unchecked(),
        pytest.raises(ValueError, match=r"a row for each of 3 processes, got shape \(2,"),
    ):
        parallel.batch_share(ids()[:2], Communicator(range(3), 0))
    with pytest.raises(ValueError, match="n_targets must be above 0"):
        parallel.share_of_loss(torch.tensor(1.0), 0, ALONE)


# -- tensor parallelism --------------------------------------------------------------------------


def whole_name(name):
    """Return what a parameter of a part is called in the whole block."""
    last = {"attention.layer.bias": "w_o.bias", "feed_forward.layer.bias": "contract.bias"}
    if name in last:
        return name.removesuffix("bias") + last[name]
    return name.replace(".part", "")


def assembled(parts, name):
    """Join the gradients of a parameter that was cut; return those that were not from process 0."""
    if name.endswith(("w_o.weight", "contract.weight", "w_down.weight")):
        return torch.cat(parts, dim=1)
    if ".part." in name:
        return torch.cat(parts)
    assert all(torch.equal(part, parts[0]) for part in parts), name
    return parts[0]


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("name", list(blocks()))
def test_a_block_that_is_cut_is_the_whole_block(found, name, n):
    y, of_x, expected = computed(blocks()[name])
    results = [process["blocks"][name][0] for process in found[n]]
    for y_part, of_x_part, _ in results:
        agree(f"tensor_parallel_block, {name}", "the whole block", y_part, y)
        agree(f"tensor_parallel_block, {name}, gradients", "the whole block", of_x_part, of_x)
    of_parameters = {k: assembled([r[2][k] for r in results], k) for k in results[0][2]}
    assert {whole_name(k) for k in of_parameters} == set(expected)
    for k, gradient in of_parameters.items():
        agree(
            f"tensor_parallel_block, {name}, gradients",
            "the whole block",
            gradient,
            expected[whole_name(k)],
        )


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("name", list(blocks()))
def test_a_block_that_is_cut_sends_four_times_its_activations(found, name, n):
    d_model = blocks()[name].attention.norm.weight.numel()
    for process in found[n]:
        expected = parallel.tensor_parallel_bytes(2, LENGTH, d_model, n, 8)
        same("tensor_parallel_bytes", "bytes counted", expected, process["blocks"][name][1])


@pytest.mark.parametrize("n", [2, 4])
def test_maps_are_cut_as_torch_cuts_them(found, n):
    for process in found[n]:
        for subject in (
            "column_parallel",
            "row_parallel",
            "TensorParallel",
            "copy_to_all",
            "sum_over_all",
        ):
            for theirs, ours in zip(*process["torch tensor parallel"], strict=True):
                agree(subject, "torch.distributed.tensor", ours, theirs)


def test_pairs_of_pairs_find_the_gradients_of_one(found):
    whole = block()
    whole(normal(4, LENGTH, D_MODEL, seed=12)).square().sum().backward()
    pairs = [process["pairs"] for process in found[4]]
    for one, other in ((0, 1), (2, 3)):
        for k in pairs[0]:
            gradient = assembled([pairs[one][k], pairs[other][k]], k)
            expected = gradients(whole)[whole_name(k)]
            agree("tensor_parallel_block, shared batch", "one process", gradient, expected)


def test_a_block_that_cannot_be_cut_is_refused():
    cut_in = lambda n: Communicator(range(n), 0)  # noqa: E731
    attention = partial(MultiHeadAttention, 12, 4)
    with pytest.raises(ValueError, match="n_heads must be divisible by 3 processes, got 4"):
        parallel.tensor_parallel_block(Block(attention(), FeedForward(12)), cut_in(3))
    with pytest.raises(ValueError, match="n_kv_heads must be divisible by 2 processes, got 1"):
        parallel.tensor_parallel_block(Block(attention(n_kv_heads=1), FeedForward(12)), cut_in(2))
    with pytest.raises(ValueError, match="d_out must be divisible by 2 processes, got 7"):
        parallel.tensor_parallel_block(Block(attention(), FeedForward(12, 7)), cut_in(2))
    with pytest.raises(ValueError, match="d_in must be divisible by 2 processes, got 7"):
        parallel.row_parallel(Linear(7, 4), cut_in(2))
    for dropping in (
        Block(attention(dropout=0.1), FeedForward(12)),
        Block(attention(), FeedForward(12), dropout=0.1),
    ):
        with pytest.raises(ValueError, match=r"block must have no dropout, got a rate of 0.1"):
            parallel.tensor_parallel_block(dropping, cut_in(2))
    with pytest.raises(ValueError, match="must not normalise queries"):
        parallel.tensor_parallel_block(
            Block(attention(qk_norm=RMSNorm), FeedForward(12)), cut_in(2)
        )
    with pytest.raises(TypeError, match="a FeedForward or a SwiGLU, got Linear"):
        parallel.tensor_parallel_block(Block(attention(), Linear(12, 12)), cut_in(2))
    with unchecked(), pytest.raises(TypeError, match="block must be a Block, got Linear"):
        parallel.tensor_parallel_block(Linear(12, 12), cut_in(2))
    part = parallel.tensor_parallel_block(Block(attention(), FeedForward(12)).double(), ALONE)
    with pytest.raises(ValueError, match="return_weights must be False"):
        part(normal(1, 2, 12), return_weights=True)


def test_a_block_is_not_changed_when_it_is_cut():
    whole = block()
    parallel.tensor_parallel_block(whole, Communicator([0, 1], 1))
    assert whole.attention.layer.n_heads == 4
    assert torch.equal(whole.attention.layer.w_q.weight, block().attention.layer.w_q.weight)


# -- pipelines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("schedule", ["gpipe", "1F1B"])
def test_a_pipeline_finds_the_gradients_of_one_process(found, schedule, n):
    model = nn.Sequential(*layers())
    loss = mean_loss(model(ids()), targets())
    loss.backward()
    steps = [process["pipeline"][schedule] for process in found[n]]
    parts = [gradient for _, of_stage, _ in steps for gradient in of_stage]
    for gradient, p in zip(parts, model.parameters(), strict=True):
        agree(f"pipeline_step, {schedule}", "one process", gradient, p.grad)
        agree("stage_layers", "one process", gradient, p.grad)
    assert [step.losses for step, *_ in steps[:-1]] == [[]] * (n - 1)
    agree(f"pipeline_step, {schedule}", "one process", sum(steps[-1][0].losses), loss)
    same("PipelineStep", "by hand", len(steps[-1][0].losses), N_MICRO)


@pytest.mark.parametrize("n", [2, 4])
def test_a_stage_keeps_what_its_schedule_makes_it_keep(found, n):
    for stage, process in enumerate(found[n]):
        kept = [process["pipeline"][name][0].most_stored for name in ("gpipe", "1F1B")]
        same("pipeline_step, kept at once", "by hand", kept, [N_MICRO, min(n - stage, N_MICRO)])


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("schedule", ["gpipe", "1F1B"])
def test_stages_stand_idle_as_long_as_the_formula_says(found, schedule, n):
    done = [process["pipeline"][schedule][0].actions for process in found[n]]
    agree(
        "bubble_share",
        f"what was done, {schedule}",
        torch.tensor(parallel.bubble_share(n, N_MICRO), dtype=torch.float64),
        parallel.idle_share(done),
    )


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("schedule", ["gpipe", "1F1B"])
def test_stages_send_activations_and_gradients_and_nothing_else(found, schedule, n):
    numbers = BATCH * LENGTH * D_MODEL
    for stage, process in enumerate(found[n]):
        expected = parallel.pipeline_bytes(numbers, stage, n, 8)
        same("pipeline_bytes", "bytes counted", expected, process["pipeline"][schedule][2])


def test_a_batch_and_layers_are_cut_into_equal_parts_or_refused():
    same("micro_batches", "the batch", torch.cat(parallel.micro_batches(ids(), 4)), ids())
    with pytest.raises(ValueError, match=r"a multiple of 3 rows, got \(8, 5\)"):
        parallel.micro_batches(ids(), 3)
    with pytest.raises(ValueError, match="divisible among 3 stages, got 4"):
        parallel.stage_layers(layers(), Communicator(range(3), 0))
    like, schedule = torch.empty(1), parallel.gpipe(0, 2, 2)
    with pytest.raises(ValueError, match="one for each of 2 micro-batches, got 1"):
        parallel.pipeline_step(nn.Tanh(), schedule, Communicator([0, 1], 0), [like], like, sum)
    with pytest.raises(ValueError, match=r"like must be what a stage hands on, \(2,\)"):
        parallel.pipeline_step(
            nn.Tanh(), schedule, Communicator([0, 1], 0), [torch.ones(2)] * 2, like, sum
        )


# -- ZeRO ----------------------------------------------------------------------------------------


def small_trained(passes=1):
    model = nn.Sequential(*small_layers())
    trained_alone(model, 2, lambda logits: passes * mean_loss(logits, targets()))
    return list(model.parameters())


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_shares_of_the_optimiser_step_as_the_whole_does(found, stage, n):
    expected = small_trained()
    for process in found[n]:
        for value, parameter in zip(process["zero"][stage][0], expected, strict=True):
            agree(f"ZeRO, stage {stage}", "torch.optim.AdamW, one process", value, parameter)
            if stage == 3:
                agree("ShardedLayer", "one process", value, parameter)


def test_shares_may_end_with_zeros(found):
    expected = small_trained()
    assert any(p.numel() % 3 for p in expected)
    for process in found[3]:
        for value, parameter in zip(process["zero"][0], expected, strict=True):
            agree("ZeRO, stage 2", "torch.optim.AdamW, one process", value, parameter)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_gradients_add_up_over_several_passes(found, stage):
    expected = small_trained(passes=2)
    for process in found[2]:
        for value, parameter in zip(process["2 passes"][stage], expected, strict=True):
            agree(f"ZeRO, stage {stage}, two passes", "one process", value, parameter)


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_the_third_stage_sends_half_as_much_again(found, stage, n):
    numbers = n_parameters(nn.Sequential(*small_layers()))
    expected = (3 if stage == 3 else 2) * parallel.all_gather_bytes(numbers, n, 8)
    expected += parallel.all_reduce_bytes(1, n, 8)  # the number of targets
    for process in found[n]:
        same(
            f"all_gather_bytes, ZeRO stage {stage}",
            "bytes counted",
            expected,
            process["zero"][stage][1],
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_process_holds_as_many_bytes_as_the_formula_says(found, stage, dtype):
    numbers = n_parameters(nn.Sequential(*small_layers()))
    wide = max(dtype.itemsize, 4)
    sizes = {"parameter": dtype.itemsize, "gradient": dtype.itemsize, "optimizer": 3 * wide}
    expected = parallel.state_bytes(numbers, n_data=2, stage=stage, **sizes)
    for process in found[2]:
        held, after_the_step = process["held"][stage, dtype]
        same(f"state_bytes, stage {stage}", "bytes counted", expected, float(sum(held.values())))
        assert after_the_step == 0


def test_what_zero_cannot_cut_is_refused():
    with pytest.raises(ValueError, match="stage must be at most 3, got 4"):
        parallel.ZeRO(nn.Linear(2, 2), ALONE, 4)
    with pytest.raises(
        ValueError, match="must be made of ShardedLayer in stage 3, got weight whole"
    ):
        parallel.ZeRO(nn.Linear(2, 2), ALONE, 3)
    with pytest.raises(ValueError, match="must be whole in stage 1, got a ShardedLayer"):
        parallel.ZeRO(parallel.ShardedLayer(nn.Linear(2, 2), ALONE), ALONE, 1)
    with pytest.raises(ValueError, match=r"layer must have no dropout, got a rate of 0.5"):
        parallel.ShardedLayer(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), ALONE)


def test_what_is_cut_can_be_joined():
    x = normal(3, 3)
    shares = [parallel.cut(x, Communicator(range(4), rank)) for rank in range(4)]
    same("cut", "the tensor", torch.cat(shares)[:9], x.flatten())
    assert [len(share) for share in shares] == [3] * 4
    assert torch.cat(shares)[9:].tolist() == [0.0] * 3
    same("sharded.join", "the tensor", parallel.join(parallel.cut(x, ALONE), x.shape, ALONE), x)


def test_a_sharded_layer_keeps_its_share_and_nothing_else():
    layer = nn.Linear(4, 2)
    sharded = parallel.ShardedLayer(layer, Communicator([0, 1], 0))
    assert [p.numel() for p in sharded.parameters()] == [4, 1]
    assert [p.numel() for p in layer.parameters()] == [0, 0]


# -- when a process fails ------------------------------------------------------------------------


def waits_for_a_lost_one(communicator, how):
    if communicator.rank == 1:
        how()
    communicator.recv(torch.empty(1), 1)


def fails():
    raise KeyError("no such word")


FAILURES = [
    (fails, "process 1 of 3 failed: .*KeyError: 'no such word'"),
    (lambda: os.kill(os.getpid(), signal.SIGKILL), "process 1 of 3 failed: it ended with SIGKILL"),
    (lambda: os._exit(3), "process 1 of 3 failed: it ended with exit code 3"),
    (lambda: sys.exit("enough"), "process 1 of 3 failed: .*SystemExit: enough"),
]


@pytest.mark.parametrize(("how", "message"), FAILURES)
@pytest.mark.verifies("WorkerError", "names the process that failed, and no other is left")
def test_the_process_that_fails_is_named_and_the_others_are_ended(how, message):
    begin, others = time.monotonic(), multiprocessing.active_children()
    with pytest.raises(parallel.WorkerError, match=f"(?s){message}") as error:
        parallel.run(waits_for_a_lost_one, 3, how, start="fork")
    assert error.value.rank == 1
    assert time.monotonic() - begin < 15  # they would wait for a minute
    assert multiprocessing.active_children() == others


def test_processes_that_do_not_end_are_ended():
    others = multiprocessing.active_children()
    with pytest.raises(TimeoutError, match=r"after 1 s these processes had not ended: 1"):
        parallel.run(lambda c: time.sleep(60 * c.rank), 2, timeout=1.0, start="fork")
    assert multiprocessing.active_children() == others


def test_what_cannot_be_sent_back_is_an_error_of_its_process():
    with pytest.raises(parallel.WorkerError, match=r"(?s)process 0 of 1 failed: .*pickle"):
        parallel.run(lambda c: lambda: c, 1, start="fork")


@pytest.mark.verifies("parallel.processes.run", "processes that start anew do the same")
def test_processes_may_start_anew():
    """Each imports what it needs by itself; the function stands in a file of the package."""
    assert parallel.run(Communicator.group, 2, [0, 1], start="spawn")[1].rank == 1


def test_a_wrong_call_of_run_is_refused():
    with unchecked(), pytest.raises(TypeError, match="function must be a function, got 3"):
        parallel.run(3, 2)
    with pytest.raises(ValueError, match="n_processes must be at least 1, got 0"):
        parallel.run(fails, 0)
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds, got 0"):
        parallel.run(fails, 1, timeout=0.0)
    with pytest.raises(ValueError, match='start must be "fork" or "spawn", got \'thread\''):
        parallel.run(fails, 1, start="thread")
