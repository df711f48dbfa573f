import dataclasses
import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from companion.models import GPT, GPTConfig
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal
from tests.verification import agree, same

TINY = GPTConfig(vocab_size=20, max_length=9, d_model=8, n_layers=3, n_heads=2)
SCHEMES = ("learned", "sinusoidal", "rotary", "alibi", "none")
every_scheme = pytest.mark.parametrize("positions", SCHEMES)


def tiny(dtype=torch.float64, **changes):
    return fill(GPT(dataclasses.replace(TINY, **changes)), dtype=dtype).eval()


def ids(*shape, seed=0, n=20):
    return torch.randint(n, shape, generator=torch.Generator().manual_seed(seed))


def transformers_gpt2(ours):
    """Return the GPT-2 of ``transformers`` with the same weights."""
    c = ours.config
    config = GPT2Config(
        vocab_size=c.vocab_size,
        n_positions=c.max_length,
        n_embd=c.d_model,
        n_layer=c.n_layers,
        n_head=c.n_heads,
        attn_implementation="eager",
    )
    theirs = GPT2LMHeadModel(config).eval().to(ours.tokens.weight.dtype)
    with torch.no_grad():
        theirs.transformer.wte.weight.copy_(ours.tokens.weight)
        theirs.transformer.wpe.weight.copy_(ours.positions.weight)
        copy(ours.norm, theirs.transformer.ln_f)
        for mine, other in zip(ours.blocks, theirs.transformer.h, strict=True):
            attention = mine.attention.layer
            parts = (attention.w_q, attention.w_k, attention.w_v)
            # Their maps are stored as (in, out).
            other.attn.c_attn.weight.copy_(torch.cat([part.weight for part in parts]).T)
            other.attn.c_attn.bias.copy_(torch.cat([part.bias for part in parts]))
            copy(attention.w_o, other.attn.c_proj, turned=True)
            copy(mine.feed_forward.layer.expand, other.mlp.c_fc, turned=True)
            copy(mine.feed_forward.layer.contract, other.mlp.c_proj, turned=True)
            copy(mine.attention.norm, other.ln_1)
            copy(mine.feed_forward.norm, other.ln_2)
    return theirs


def copy(ours, theirs, turned=False):
    theirs.weight.copy_(ours.weight.T if turned else ours.weight)
    theirs.bias.copy_(ours.bias)


@pytest.mark.parametrize("dtype", FLOATS)
def test_gpt_against_transformers(dtype):
    ours, some = tiny(dtype), ids(3, 7)
    theirs = transformers_gpt2(ours)
    expected = theirs(some, output_hidden_states=True, output_attentions=True)
    agree("GPT", "transformers.GPT2LMHeadModel", ours(some), expected.logits)
    trace = ours.trace(some)
    oracle = "transformers.GPT2LMHeadModel"
    agree("GPT.trace, logits", oracle, trace.logits, expected.logits)
    agree("GPT.trace, weights", oracle, trace.weights, torch.stack(expected.attentions))
    # Their last hidden state has passed the final norm already.
    before = torch.stack(expected.hidden_states[:-1])
    agree("Trace.stream", oracle, trace.stream[:-1], before)
    agree("Trace.stream, last", oracle, ours.norm(trace.stream[-1]), expected.hidden_states[-1])


def test_gradients_against_transformers():
    ours, some = tiny(), ids(3, 7)
    theirs = transformers_gpt2(ours)
    ours(some).square().mean().backward()
    theirs(some).logits.square().mean().backward()
    pairs = (
        (ours.tokens, theirs.transformer.wte),
        (ours.positions, theirs.transformer.wpe),
        (ours.blocks[0].attention.norm, theirs.transformer.h[0].ln_1),
    )
    for mine, other in pairs:
        agree("GPT, gradient", "transformers.GPT2LMHeadModel", mine.weight.grad, other.weight.grad)


def test_gpt2_small_has_124_439_808_parameters():
    """The number of Radford et al. (2019) is another; this one is their published checkpoint's."""
    with torch.device("meta"):
        model = GPT(GPTConfig())
        theirs = GPT2LMHeadModel(GPT2Config())
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = sum(parameter.numel() for parameter in theirs.parameters())
    same("GPTConfig, number of weights", "transformers.GPT2Config", count, expected)
    assert count == 124_439_808


@every_scheme
def test_no_token_sees_a_later_one(positions):
    model, some = tiny(positions=positions), ids(1, 7)
    before = model(some)
    changed = some.clone()
    changed[0, 4] = (changed[0, 4] + 1) % 20
    after = model(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().amax(dim=(0, 2)).min() > 1e-6


@every_scheme
def test_caches_give_what_one_call_gives(positions):
    model, some = tiny(positions=positions), ids(2, 7)
    caches = model.new_caches()
    parts = [model(some[:, a:b], caches=caches) for a, b in ((0, 3), (3, 4), (4, 7))]
    agree(f"GPT, {positions}, caches", "in one piece", torch.cat(parts, dim=1), model(some))


@every_scheme
def test_a_trace_ends_where_a_call_ends(positions):
    model, some = tiny(positions=positions), ids(2, 7)
    trace = model.trace(some)
    assert trace.stream.shape == (4, 2, 7, 8)
    assert trace.weights.shape == (3, 2, 2, 7, 7)
    assert (trace.weights.triu(1) == 0).all()
    agree(f"GPT.trace, {positions}", "GPT", trace.logits, model(some))
    agree(f"GPT.predict, {positions}", "GPT", model.predict(trace.stream[-1]), model(some))
    agree(f"GPT.embed, {positions}", "GPT.trace", model.embed(some), trace.stream[0])


def test_only_positions_tell_the_order():
    """Without positions, one layer's last token sees a set of tokens, in no order."""
    some = torch.tensor([[3, 5, 7, 1], [7, 3, 5, 1]])
    one_layer = {"n_layers": 1}
    a, b = tiny(positions="none", **one_layer)(some)[:, -1]
    assert torch.allclose(a, b, atol=1e-12)
    for positions in SCHEMES[:-1]:
        a, b = tiny(positions=positions, **one_layer)(some)[:, -1]
        assert (a - b).abs().max() > 1e-3, positions


def test_what_is_not_learned_reads_beyond_the_length():
    some = ids(1, 12)
    for positions in SCHEMES[1:]:
        assert tiny(positions=positions)(some).shape == (1, 12, 20)
    with pytest.raises(ValueError, match="must end at position 9 at most"):
        tiny()(some)
    model = tiny()
    caches = model.new_caches()
    model(some[:, :8], caches=caches)
    with pytest.raises(ValueError, match="they end at 10"):
        model(some[:, 8:10], caches=caches)
    assert caches[0].seen == 8


def test_the_first_loss_is_that_of_a_model_that_knows_nothing():
    torch.manual_seed(0)
    config = dataclasses.replace(TINY, vocab_size=500, d_model=64, n_heads=4)
    logits = GPT(config)(ids(8, 9, n=500))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids(72, n=500, seed=1))
    assert abs(loss.item() - math.log(500)) < 0.05


def test_initial_weights_are_gpt2s():
    torch.manual_seed(0)
    model = GPT(dataclasses.replace(TINY, d_model=256, n_layers=8, max_length=512))
    block = model.blocks[3]
    stds = {
        0.02: [
            model.tokens,
            model.positions,
            block.attention.layer.w_q,
            block.feed_forward.layer.expand,
        ],
        0.02 / 4: [block.attention.layer.w_o, block.feed_forward.layer.contract],  # √(2·8) = 4
    }
    for std, modules in stds.items():
        for module in modules:
            assert module.weight.std().item() == pytest.approx(std, rel=0.05)
    biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
    assert all((bias == 0).all() for bias in biases)


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    model, some = tiny(dropout=0.5), ids(1, 5)
    assert torch.equal(model(some), model(some))
    model.train()
    assert not torch.equal(model(some), model(some))


def test_output_is_the_table_turned_around():
    model = tiny()
    x = normal(2, 3, 8)
    expected = model.norm(x) @ model.tokens.weight.T
    agree("GPT.predict", "by hand", model.predict(x), expected)
    assert "head" not in dict(model.named_parameters())


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("ids must be \\(batch, length\\)", lambda: tiny()(ids(5))),
        ("ids must be \\(batch, length\\)", lambda: tiny()(ids(2, 0))),
        ("ids must be from 0 to 19, got 25", lambda: tiny()(torch.tensor([[1, 25]]))),
        ("ids must hold whole numbers", lambda: tiny()(torch.zeros(1, 2))),
        ("caches must be one for each of 3 blocks", lambda: tiny()(ids(1, 2), caches=[])),
        ("positions must be one of", lambda: GPTConfig(positions="relative")),
        ("n_layers must be at least 1", lambda: GPTConfig(n_layers=0)),
        ("n_heads must divide d_model", lambda: GPT(dataclasses.replace(TINY, n_heads=3))),
        ("heads of even width", lambda: tiny(d_model=6, positions="rotary")),
        (
            "d_model must be even|even",
            lambda: tiny(d_model=9, n_heads=3, positions="sinusoidal")(ids(1, 2)),
        ),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("positions", ["learned", "rotary", "alibi"])
def test_compiled_in_one_graph_it_computes_the_same(positions):
    model = tiny(positions=positions, n_layers=1)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with shapes.unchecked():  # what checks shapes in the tests is no part of the graph
        ours = compiled(ids(2, 7))
    agree("GPT", "itself, not compiled", ours, model(ids(2, 7)))


# -- several texts in one row, or padding on the left --------------------------------------------


@every_scheme
def test_positions_that_are_given_are_those_by_default(positions):
    model, some = tiny(positions=positions), ids(2, 7)
    given = torch.arange(7)
    for each in (given, given.expand(2, 7)):
        agree(f"GPT, {positions}, positions", "by default", model(some, None, each), model(some))
    agree(
        f"GPT.embed, {positions}",
        "by default",
        model.embed(some, positions=given),
        model.embed(some),
    )


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_positions_go_on_after_what_is_cached(positions):
    model, some = tiny(positions=positions), ids(2, 7)
    caches, parts = model.new_caches(), []
    for a, b in ((0, 3), (3, 7)):
        parts.append(model(some[:, a:b], positions=torch.arange(a, b), caches=caches))
    agree(
        f"GPT, {positions}, positions and caches", "in one piece", torch.cat(parts, 1), model(some)
    )


@every_scheme
def test_other_positions_give_another_result(positions):
    model, some = tiny(positions=positions), ids(1, 5)
    far = torch.tensor([0, 1, 2, 3, 8])
    off = (model(some, None, far) - model(some))[0, -1].abs().max()
    assert off == 0 if positions == "none" else off > 1e-4


def test_alibi_counts_positions_and_not_places():
    model = tiny(positions="alibi")
    far = torch.tensor([[0, 1, 2, 6]])
    padded = torch.cat((ids(1, 3), ids(1, 3, seed=1), ids(1, 4)[:, 3:]), dim=1)
    mask = torch.tensor([[[True] * 3 + [False] * 3 + [True]]])
    expected = model(padded, mask)[:, [0, 1, 2, 6]]
    agree("GPT, alibi, positions", "hidden tokens between", model(ids(1, 4), None, far), expected)


@every_scheme
@pytest.mark.parametrize("three", [1, 7])
def test_what_the_mask_hides_is_not_seen(positions, three):
    model, some = tiny(positions=positions), ids(2, 7)
    mask = torch.ones(2, three, 7, dtype=torch.bool)
    agree(f"GPT, {positions}, mask of all", "no mask", model(some, mask), model(some))
    mask[1, :, 2] = False
    changed = some.clone()
    changed[1, 2] = (changed[1, 2] + 1) % 20
    kept = [0, 1, 3, 4, 5, 6]
    assert torch.equal(model(some, mask)[1, kept], model(changed, mask)[1, kept])
    assert (model(some, mask)[1, 3:] - model(some)[1, 3:]).abs().max() > 1e-4


SEEN = torch.ones(2, 5, 5, dtype=torch.bool)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("mask must be boolean, got torch.int64", lambda: tiny()(ids(2, 5), SEEN.long())),
        (r"mask must have shape \(2, 1, 5\), got \(2, 5\)", lambda: tiny()(ids(2, 5), SEEN[:, 0])),
        (r"mask must have shape \(2, 5, 5\), got", lambda: tiny()(ids(2, 5), SEEN[:, :3])),
        (r"mask must have shape \(1, 5, 5\), got", lambda: tiny()(ids(1, 5), SEEN)),
        ("positions must hold whole", lambda: tiny()(ids(2, 5), None, torch.zeros(2, 5))),
        (
            r"positions must have shape \(2, 5\) or \(5,\), got \(1, 5\)",
            lambda: tiny()(ids(2, 5), None, torch.arange(5)[None]),
        ),
        (
            "positions must be at least 0 and at most 8, the last one .* got 5 to 9",
            lambda: tiny()(ids(2, 5), None, torch.arange(5, 10)),
        ),
        (
            "positions must be at least 0, got -1 to 3",
            lambda: tiny(positions="rotary")(ids(2, 5), None, torch.arange(-1, 4)),
        ),
        (
            "positions cannot go with caches: ALiBi",
            lambda: (
                (caches := (m := tiny(positions="alibi")).new_caches())
                and [m(ids(2, 5), None, torch.arange(5), caches=caches) for _ in range(2)]
            ),
        ),
    ],
)
def test_errors_of_masks_and_positions(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()
