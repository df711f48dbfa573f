"""Packed rows: no example sees another, and each is what it would be alone."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from companion.finetuning import Example, first_fit, pack_examples, packed_mask, pad_examples
from companion.losses import IGNORE
from tests.finetuning.conversations import KINDS, V, examples, model
from tests.plugins import shapes
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

every_kind = pytest.mark.parametrize("kind", KINDS)
LENGTHS = [5, 3, 7, 4, 2]
ROWS = [[0, 1, 4], [2, 3]]


def packed(some, rows=ROWS, pad_id=0):
    return pack_examples([[some[i] for i in row] for row in rows], pad_id)


def places(some, rows=ROWS):
    """Yield each example's number, row, and places in the row."""
    for r, row in enumerate(rows):
        start = 0
        for i in row:
            yield i, r, slice(start, start + len(some[i].inputs))
            start += len(some[i].inputs)


def test_a_packed_batch_by_hand():
    rows = [[Example([5, 6], [IGNORE, 7]), Example([8], [9])], [Example([1, 2], [2, 3])]]
    ids, mask, positions, targets = pack_examples(rows, pad_id=4)
    same("pack_examples, ids", "by hand", ids, [[5, 6, 8], [1, 2, 4]])
    same("pack_examples, positions", "by hand", positions, [[0, 1, 0], [0, 1, 0]])
    same("pack_examples, targets", "by hand", targets, [[IGNORE, 7, 9], [2, 3, IGNORE]])
    block = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    same("packed_mask", "by hand", mask.long(), [block, block])


@every_kind
@shapes_vary
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), seed=seeds)
def test_packed_is_unpacked(kind, lengths, seed):
    """Logits, loss and gradients are those of one example in a row."""
    some, net = examples(lengths, seed), model(kind)
    rows = first_fit(lengths, 12)
    results = []
    for batch in (packed(some, rows), pad_examples(some, 0)):
        *inputs, targets = batch
        net.zero_grad()
        logits = net(*inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
        results.append((logits, loss, gradient))
    (ours, loss, gradient), (theirs, expected, other) = results
    for i, row, place in places(some, rows):
        n = len(some[i].inputs)
        agree(
            f"pack_examples, {kind}, logits",
            "one example in a row",
            ours[row, place],
            theirs[i, :n],
        )
    agree(f"pack_examples, {kind}, loss", "one example in a row", loss, expected)
    agree(f"pack_examples, {kind}, gradient", "one example in a row", gradient, other)


def losses_and_gradients(net, some):
    """Return each example's logits, loss, and the gradient of its loss by all input vectors."""
    ids, mask, positions, targets = packed(some)
    found = {}
    kept = []
    hook = net.tokens.register_forward_hook(lambda *args: kept.append(args[2]))
    logits = net(ids, mask, positions)
    hook.remove()
    (vectors,) = kept
    for i, row, place in places(some):
        loss = F.cross_entropy(logits[row, place], targets[row, place], reduction="sum")
        (gradient,) = torch.autograd.grad(loss, vectors, retain_graph=True)
        found[i] = (logits[row, place].detach(), loss.detach(), gradient)
    return found


@every_kind
@pytest.mark.parametrize("changed", range(len(LENGTHS)))
def test_changing_one_example_changes_no_other(kind, changed):
    """To the last bit: logits, loss, and the gradient by every vector of the batch."""
    some, net = examples(LENGTHS), model(kind)
    before = losses_and_gradients(net, some)
    ids = [(i + 1) % V for i in some[changed].inputs]
    targets = [t if t == IGNORE else (t + 1) % V for t in some[changed].targets]
    after = losses_and_gradients(
        net, [*some[:changed], Example(ids, targets), *some[changed + 1 :]]
    )
    for i in range(len(some)):
        parts = list(zip(before[i], after[i], strict=True))
        if i == changed:
            assert all((a - b).abs().max() > 1e-6 for a, b in parts)
            continue
        for name, (a, b) in zip(("logits", "loss", "gradient"), parts, strict=True):
            same(f"pack_examples, another example changed, {name}", "unchanged", b, a)


@every_kind
def test_no_gradient_reaches_another_example(kind):
    some, net = examples(LENGTHS), model(kind)
    found = losses_and_gradients(net, some)
    for i, row, place in places(some):
        gradient = found[i][2].clone()
        last = max(t for t, target in enumerate(some[i].targets) if target != IGNORE)
        reached = gradient[row, place][: last + 1].abs().amax(dim=-1)
        assert (reached > 0).any()
        gradient[row, place] = 0
        assert (gradient == 0).all()


@every_kind
@pytest.mark.parametrize("left_out", ["mask", "positions"])
def test_each_of_the_two_is_needed(kind, left_out):
    """Packed without the mask, or with positions that go on, examples are no longer themselves."""
    some, net = examples(LENGTHS), model(kind)
    ids, mask, positions, _ = packed(some)
    right = net(ids, mask, positions)
    wrong = net(ids, None, positions) if left_out == "mask" else net(ids, mask)
    off = (right - wrong)[0, 5:8].abs().max()
    if left_out == "mask" or kind in ("learned", "sinusoidal"):
        assert off > 1e-4
    else:  # distances alone count, and within an example they are what they were
        agree(f"pack_examples, {kind}, positions that go on", "those that begin anew", wrong, right)


def test_the_last_token_of_an_example_does_not_predict_the_next_one():
    some = examples(LENGTHS)
    _, _, _, targets = packed(some)
    for i, row, place in places(some):
        same("pack_examples, targets", "each example's own", targets[row, place], some[i].targets)


# -- which example comes where -------------------------------------------------------------------


@shapes_vary
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(9, 15))
def test_every_example_has_one_place(lengths, capacity):
    rows = first_fit(lengths, capacity)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= capacity for row in rows)
    least = fewest(lengths, capacity)
    assert least <= len(rows) <= 11 / 9 * least + 6 / 9


def fewest(lengths, capacity):
    """Return the smallest number of rows, by trying all ways: no two rows of one room differ."""
    best = len(lengths)

    def put(left, room):
        nonlocal best
        if len(room) >= best:
            return
        if not left:
            best = len(room)
            return
        for free in sorted({r for r in room if r >= left[0]}):
            others = list(room)
            others.remove(free)
            put(left[1:], [*others, free - left[0]])
        put(left[1:], [*room, capacity - left[0]])

    put(sorted(lengths, reverse=True), [])
    return best


def test_first_fit_by_hand():
    same("first_fit", "by hand", first_fit([3, 5, 2, 4], 7), [[1, 2], [3, 0]])
    # Four rows where three would do: 6 + 4, 5 + 3 + 2, ...
    same("first_fit", "by hand", first_fit([6, 5, 4, 3, 2], 10), [[0, 2], [1, 3, 4]])
    same("first_fit, equal lengths", "by hand", first_fit([2, 2, 2], 4), [[0, 1], [2]])


ROW = Example([1, 2], [2, 3])


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (ValueError, "each of lengths must be at most 4, got 5", lambda: first_fit([5], 4)),
        (ValueError, "each of lengths must be at least 1", lambda: first_fit([0], 4)),
        (TypeError, "each of lengths must be a whole", lambda: first_fit([1.5], 4)),
        (ValueError, "lengths must hold at least one", lambda: first_fit([], 4)),
        (ValueError, "capacity must be at least 1", lambda: first_fit([1], 0)),
        (TypeError, "lengths must have an order", lambda: first_fit({1}, 4)),
        (ValueError, "numbers must be (batch, length)", lambda: packed_mask(torch.tensor([1]))),
        (TypeError, "numbers must hold whole", lambda: packed_mask(torch.zeros(1, 2))),
        (ValueError, "examples must hold at least one", lambda: pack_examples([[]], 0)),
        (ValueError, "examples must hold at least one", lambda: pack_examples([], 0)),
        (TypeError, "pad_id must be a whole", lambda: pack_examples([[ROW]], 0.5)),
    ],
)
def test_errors_name_the_argument(kind, message, call):
    with shapes.unchecked(), pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
