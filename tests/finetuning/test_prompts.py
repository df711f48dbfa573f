import peft
import pytest
import torch

from companion.attention import padding_mask
from companion.finetuning import PrefixTuning, PromptEmbedding, PromptTuning
from companion.generation import generate
from companion.layers import Embedding
from companion.models import BertConfig, BertEncoder
from companion.reference import finetuning as twin
from tests.finetuning.support import LIMITS, V, ids, model, theirs, trained, with_peft
from tests.plugins import shapes
from tests.support import normal
from tests.verification import agree, same

PEFT = "peft 0.21"
P = 3
both = pytest.mark.parametrize("kind", ["GPT", "Llama"])


# -- against peft --------------------------------------------------------------------------------


@both
def test_prompt_tuning_against_peft(tmp_path, kind):
    base = model(kind)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=P)
    other = with_peft(theirs(base, tmp_path), config).double().eval()
    ours = PromptTuning(base, P)
    rows = normal(P, 16, seed=4)
    ours.model.tokens.prompt.data.copy_(rows)
    vectors = other.prompt_encoder["default"].embedding.weight
    vectors.data.copy_(rows)
    some = ids(2, 6)
    expected = other(input_ids=some, attention_mask=torch.ones_like(some)).logits[:, P:]
    agree("PromptTuning", PEFT, ours(some), expected, **LIMITS[kind])
    ours(some).square().mean().backward()
    expected.square().mean().backward()
    found = ours.model.tokens.prompt.grad
    agree("PromptTuning, gradient", PEFT, found, vectors.grad, **LIMITS[kind])
    agree("PromptEmbedding, gradient", PEFT, found, vectors.grad, **LIMITS[kind])
    assert trained(ours) == ["model.tokens.prompt"]


@both
def test_prefix_tuning_against_peft(tmp_path, kind):
    base = model(kind)
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=P)
    other = with_peft(theirs(base, tmp_path), config).double().eval()
    ours = PrefixTuning(base, P)
    n_layers, n_heads, _, d = ours.keys.shape
    table = other.prompt_encoder["default"].embedding.weight  # (P, 2 L G d)
    table.data.copy_(normal(*table.shape, seed=4))

    def split(x):
        """Return keys and values of every layer, each (L, G, P, d)."""
        return x.view(P, n_layers, 2, n_heads, d).permute(2, 1, 3, 0, 4)

    for own, same_in_theirs in zip((ours.keys, ours.values), split(table.data), strict=True):
        own.data.copy_(same_in_theirs)
    some = ids(2, 6)
    expected = other(input_ids=some, attention_mask=torch.ones_like(some)).logits
    agree("PrefixTuning", PEFT, ours(some), expected, **LIMITS[kind])
    ours(some).square().mean().backward()
    expected.square().mean().backward()
    for own, grad in zip((ours.keys, ours.values), split(table.grad), strict=True):
        agree("PrefixTuning, gradient", PEFT, own.grad, grad, **LIMITS[kind])
    assert trained(ours) == ["keys", "values"]


# -- what they are -------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("tuning", [PromptTuning, PrefixTuning])
def test_begun_as_tokens_they_are_those_tokens(kind, tuning):
    first, some = ids(P, seed=1), ids(2, 6)
    expected = model(kind)(torch.cat((first.expand(2, P), some), dim=1))[:, P:]
    ours = tuning(model(kind), P, init_ids=first)
    agree(f"{tuning.__name__}, begun as tokens", "those tokens", ours(some), expected)


@pytest.mark.parametrize("tuning", [PromptTuning, PrefixTuning])
def test_padding_changes_nothing(tuning):
    ours, some = tuning(model("Llama"), P), ids(1, 4)
    padded = torch.cat((some, torch.zeros(1, 2, dtype=torch.long)), dim=1)
    mask = padding_mask(torch.tensor([4]), 6)
    agree(f"{tuning.__name__}, padded", "no padding", ours(padded, mask)[:, :4], ours(some))
    holes = torch.tensor([[[True, False, True, True]]])
    assert not torch.allclose(ours(some, holes)[:, 2:], ours(some)[:, 2:])
    with pytest.raises(ValueError, match="padding goes after the text here"):
        ours(padded, mask.flip(-1))


@both
def test_every_trained_number_is_used(kind):
    some = ids(2, 6)
    for ours in (PromptTuning(model(kind), P), PrefixTuning(model(kind), P)):
        ours(some).square().mean().backward()
        for p in (p for p in ours.parameters() if p.requires_grad):
            assert bool((p.grad.flatten(-2).abs().amax(dim=-1) > 0).all())
        assert all(p.grad is None for p in ours.parameters() if not p.requires_grad)


def test_a_head_with_a_prefix_against_its_twin():
    """One head of one layer, from its keys and values: a mixture of two attentions."""
    q, k, v = (normal(4, 6, seed=s).numpy() for s in range(3))
    prefix_k, prefix_v = (normal(P, 6, seed=s).numpy() for s in (3, 4))
    found = twin.prefix_attention(q, k, v, prefix_k, prefix_v)
    keys, values = (
        torch.cat((torch.tensor(a), torch.tensor(b))) for a, b in ((prefix_k, k), (prefix_v, v))
    )
    mask = torch.ones(4, 7, dtype=torch.bool).tril(P)
    expected = torch.nn.functional.scaled_dot_product_attention(
        torch.tensor(q), keys, values, attn_mask=mask
    )
    agree("twin: prefix_attention", "torch.nn.functional", found, expected)
    ours = PrefixTuning(model("GPT"), P)
    layer, x = ours.model.blocks[0].attention.layer, normal(1, 4, 16)
    heads = [
        twin.prefix_attention(
            *(
                w(x).unflatten(-1, (4, 4))[0, :, h].detach().numpy()
                for w in (layer.w_q, layer.w_k, layer.w_v)
            ),
            *(p[0, h].detach().numpy() for p in (ours.keys, ours.values)),
        )
        for h in range(4)
    ]
    joined = layer.w_o(torch.cat([torch.tensor(h) for h in heads], dim=-1))
    found = layer(x, is_causal=True, cache=ours.new_caches()[0])[0]
    agree("PrefixTuning.new_caches", "NumPy twin", found, joined)


def test_rows_of_the_table():
    base = Embedding(5, 4)
    ours = PromptEmbedding(base, 2, generator=torch.Generator().manual_seed(0))
    whole = torch.cat((base.weight, ours.prompt))
    some = ids(3, 6, n=7)
    same("PromptEmbedding", "torch indexing", ours(some), whole[some])
    assert all(any(torch.equal(row, r) for r in base.weight) for row in ours.prompt)
    again = PromptEmbedding(base, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.prompt, ours.prompt)
    assert ours.weight is base.weight


@both
def test_texts_are_written_with_them(kind):
    """As functions of ids; with caches, the prompt stands before each text as ids of its own."""
    first = ids(P, seed=1).tolist()
    options = {"max_new_tokens": 6, "cache": False}
    expected = generate(model(kind), [[*first, 1, 2]], max_new_tokens=6).ids
    for tuning in (PromptTuning, PrefixTuning):
        ours = tuning(model(kind), P, init_ids=torch.tensor(first))
        found = generate(ours, [[1, 2]], **options).ids
        same(f"{tuning.__name__}, generate", "the tokens it began as", found, expected)


def test_new_caches_are_new():
    ours = PrefixTuning(model("Llama"), P)
    one, other = ours.new_caches(2), ours.new_caches(2)
    assert [cache.seen for cache in one] == [P, P]
    ours.model(ids(2, 4), caches=one)
    assert [cache.seen for cache in other] == [P, P]
    assert one[0].keys.shape == (2, 2, P + 4, 4)


@pytest.mark.parametrize("tuning", [PromptTuning, PrefixTuning])
def test_wrong_calls(tuning):
    bert = BertEncoder(BertConfig(vocab_size=9, d_model=8, n_layers=1, n_heads=2, d_hidden=8))
    with shapes.unchecked():
        for error, message, call in (
            (TypeError, "model must be a GPT or a Llama, got BertEncoder", lambda: tuning(bert)),
            (ValueError, "n_tokens must be at least 1", lambda: tuning(model(), 0)),
            (
                ValueError,
                r"init_ids must be n_tokens=2 ids, got shape \(3,\)",
                lambda: tuning(model(), 2, init_ids=ids(3)),
            ),
            (
                ValueError,
                f"init_ids must be from 0 to {V - 1}, got {V}",
                lambda: tuning(model(), 1, init_ids=torch.tensor([V])),
            ),
            (
                TypeError,
                "generator must be a torch.Generator",
                lambda: tuning(model(), 1, generator=3),
            ),
            (ValueError, r"ids must be \(batch, length\)", lambda: tuning(model())(ids(3))),
            (
                ValueError,
                f"ids must be from 0 to {V - 1}",
                lambda: tuning(model())(torch.tensor([[V]])),
            ),
            (
                ValueError,
                r"mask must have shape \(2, 1, 3\)",
                lambda: tuning(model())(ids(2, 3), torch.ones(2, 1, 4, dtype=torch.bool)),
            ),
        ):
            with pytest.raises(error, match=message):
                call()
        one = model()
        table = one.tokens
        for options in ({"init_ids": ids(3)}, {"generator": 3}):
            with pytest.raises((ValueError, TypeError)):
                tuning(one, 2, **options)
        assert one.tokens is table
        assert all(p.requires_grad for p in one.parameters())
        PromptTuning(one, 2)
        with pytest.raises(ValueError, match="model must not have a trained prompt yet"):
            tuning(one, 2)
        with pytest.raises(TypeError, match="base must be an Embedding, got Linear"):
            PromptEmbedding(torch.nn.Linear(2, 2), 1)
