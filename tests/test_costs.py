"""What a model costs, against PyTorch's counter, caches that are held, and published numbers."""

from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from companion import layers, models
from companion.attention import KVCache
from companion.models.undrawn import undrawn
from tests.plugins import shapes
from tests.verification import same

T = 6
SIZES = {"vocab_size": 20, "d_model": 16, "n_layers": 2, "n_heads": 4}
GATED = {**SIZES, "n_kv_heads": 2, "d_hidden": 16}
IDS = torch.arange(T)[None] % 20
VIT = models.ViTConfig(
    image_size=12, patch_size=4, n_channels=3, n_classes=7, d_model=16, n_layers=2, n_heads=4
)
MAKERS = {
    "GPT": lambda: models.GPT(models.GPTConfig(**SIZES, max_length=9)),
    "Llama, tied": lambda: models.Llama(models.LlamaConfig(**GATED)),
    "Llama": lambda: models.Llama(models.LlamaConfig(**GATED, tied=False, d_head=6)),
    "Mixtral": lambda: models.Mixtral(models.MixtralConfig(**GATED, n_experts=4)),
    "BertEncoder": lambda: models.BertEncoder(models.BertConfig(**SIZES, d_hidden=40)),
    "BERT": lambda: models.BERT(models.BertConfig(**SIZES, d_hidden=40)),
    "RoBERTa": lambda: models.RoBERTa(models.RobertaConfig(**SIZES, d_hidden=40)),
    "T5": lambda: models.T5(models.T5Config(**SIZES, d_head=5, d_hidden=40)),
    "T5, version 1.1": lambda: models.T5(
        models.T5Config(**SIZES, d_head=5, d_hidden=40, gated=True, tied=False)
    ),
    "Seq2Seq": lambda: models.Seq2Seq(models.Seq2SeqConfig(**SIZES)),
    "ViT": lambda: models.ViT(VIT),
}
CAUSAL = ("GPT", "Llama, tied", "Llama", "Mixtral")
TWO_STACKS = ("T5", "T5, version 1.1", "Seq2Seq")


def plain_attention(q, k, v, mask=None, *, is_causal=False, scale=None, **_):
    """What PyTorch's counter can see: the fused kernel of the CPU is invisible to it."""
    return (q @ k.mT).softmax(dim=-1) @ v


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "ViT"])
@pytest.mark.parametrize("length", [1, T])
def test_flops_are_those_that_pytorch_counts(name, length, monkeypatch):
    monkeypatch.setattr("companion.attention.scaled_dot_product_attention", plain_attention)
    model, ids = MAKERS[name]().eval(), IDS[:, :length]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(ids, ids) if name in TWO_STACKS else model(ids)
    tokens = 2 * length if name in TWO_STACKS else length
    expected = counter.get_total_flops()
    counted = models.flops_per_token(model, length) * tokens
    assert expected > 0
    same(f"flops_per_token, {name}", "torch.utils.flop_counter", counted, expected)


@pytest.mark.parametrize("image_size", [4, 12])
def test_flops_of_a_vit_are_those_of_its_patches_and_its_class_token(image_size, monkeypatch):
    monkeypatch.setattr("companion.attention.scaled_dot_product_attention", plain_attention)
    config = replace(VIT, image_size=image_size)
    model, length = models.ViT(config).eval(), config.n_patches + 1
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, image_size, image_size))
    # The head is computed once, and the class token does not come from the projection.
    expected = counter.get_total_flops() - 2 * 16 * 7 + 2 * 16 * 3 * 4 * 4
    counted = models.flops_per_token(model, length) * length
    same("flops_per_token, ViT", "torch.utils.flop_counter", counted, expected)


@pytest.mark.parametrize("name", MAKERS)
def test_parameters_are_those_of_the_tensors(name):
    model = MAKERS[name]()
    stored = sum(tensor.numel() for tensor in model.state_dict().values())
    same(f"count_parameters, {name}", "its tensors", models.count_parameters(model), stored)
    if name != "Mixtral":
        assert models.active_parameters(model) == stored


def test_idle_experts_are_those_that_get_no_gradient():
    torch.manual_seed(0)
    model = MAKERS["Mixtral"]()
    model(IDS[:, :1]).sum().backward()
    idle = sum(
        p.numel()
        for name, p in model.named_parameters()
        if "experts" in name and (p.grad is None or not p.grad.any())
    )
    active = models.active_parameters(model)
    expected = models.count_parameters(model) - idle
    assert 0 < active < models.count_parameters(model)
    same("active_parameters", "gradients of one token", active, expected)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_caches_hold_as_many_bytes_as_counted(name, dtype, size):
    model = MAKERS[name]().eval().to(dtype)
    counted = models.kv_cache_bytes(model, T, size)
    if name not in (*CAUSAL, *TWO_STACKS):
        assert counted == 0
        assert not hasattr(model, "new_caches")
        return
    caches = [KVCache() for _ in range(SIZES["n_layers"])]
    with torch.no_grad():
        if name in TWO_STACKS:
            model.decode(IDS, model.encode(IDS), caches=caches)
        else:
            model(IDS, caches=caches)
    held = sum(cache.nbytes for cache in caches)
    same(f"kv_cache_bytes, {name}", "caches that are held", counted, held)
    assert models.kv_cache_bytes(model, 1, size) * T == counted


def llama(**sizes):
    return models.Llama(models.LlamaConfig(**sizes, tied=False))


SEVEN = {"d_model": 4096, "n_layers": 32, "n_heads": 32}
LLAMA_2 = {**SEVEN, "vocab_size": 32_000, "n_kv_heads": 32, "d_hidden": 11_008}
LLAMA_3 = {**SEVEN, "vocab_size": 128_256, "n_kv_heads": 8, "d_hidden": 14_336}
BASE = {"d_model": 768, "n_layers": 12, "n_heads": 12}
PUBLISHED = {
    "GPT-2 small": (lambda: models.GPT(models.GPTConfig()), 124_439_808),
    "BERT-base, encoder and pooler": (
        lambda: models.BERT(models.BertConfig(**BASE, d_hidden=3072)),
        109_482_240,
    ),
    "RoBERTa-base": (lambda: models.RoBERTa(models.RobertaConfig()), None),
    "T5-base": (
        lambda: models.T5(models.T5Config(**BASE, d_hidden=3072)),
        222_903_552,
    ),
    "ViT-B/16": (lambda: models.ViT(models.ViTConfig()), None),
    "SmolLM2-135M": (lambda: models.Llama(models.LlamaConfig()), 134_515_008),
    "Llama-2-7B": (lambda: llama(**LLAMA_2), 6_738_415_616),
    "Llama-3-8B": (lambda: llama(**LLAMA_3), 8_030_261_248),
    "Mixtral 8x7B": (lambda: models.Mixtral(models.MixtralConfig()), 46_702_792_704),
}
GQA = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
THEIRS = {
    "GPT-2 small": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config()),
    "BERT-base, encoder and pooler": lambda: transformers.BertModel(transformers.BertConfig()),
    "RoBERTa-base": lambda: transformers.RobertaForMaskedLM(
        transformers.RobertaConfig(
            vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1
        )
    ),
    "T5-base": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=32_128, d_model=768, d_ff=3072, num_layers=12, num_heads=12, d_kv=64
        )
    ),
    "ViT-B/16": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(num_labels=1_000)
    ),
    "Llama-2-7B": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**GQA, intermediate_size=11_008, tie_word_embeddings=False)
    ),
    "Llama-3-8B": lambda: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **GQA,
            vocab_size=128_256,
            num_key_value_heads=8,
            intermediate_size=14_336,
            tie_word_embeddings=False,
        )
    ),
    "Mixtral 8x7B": lambda: transformers.MixtralForCausalLM(
        transformers.MixtralConfig(tie_word_embeddings=False)
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_that_were_published(name):
    make, published = PUBLISHED[name]
    with undrawn():
        model = make()
    counted = models.count_parameters(model)
    if isinstance(model, models.BERT):  # the head for masked tokens and that for sentences aside
        counted -= models.count_parameters(model.head) + models.count_parameters(model.next)
    if published is not None:
        same(f"count_parameters, {name}", "published", counted, published)
    if name in THEIRS:
        with torch.device("meta"):
            theirs = THEIRS[name]().num_parameters()
        same(f"count_parameters, {name}", "transformers", counted, theirs)


def test_mixtral_is_as_active_as_its_authors_say():
    with undrawn():
        model = models.Mixtral(models.MixtralConfig())
    active = models.active_parameters(model)
    expert = 3 * 4096 * 14_336
    same("active_parameters, Mixtral 8x7B", "by hand", active, 46_702_792_704 - 32 * 6 * expert)
    assert round(active / 1e9) == 13  # Jiang et al. 2024, section 1


def test_a_model_on_no_device_costs_the_same():
    for name, make in MAKERS.items():
        with undrawn():
            empty = make()
        for count in (
            models.count_parameters,
            models.active_parameters,
            models.kv_cache_bytes,
            lambda model: models.flops_per_token(model, 7),
        ):
            assert count(empty) == count(make()), name


def test_any_module_has_parameters():
    net = nn.Sequential(layers.Linear(3, 4), layers.Linear(4, 2))
    assert models.count_parameters(net) == models.active_parameters(net) == 26
    twice = nn.Sequential(net, net)
    assert models.count_parameters(twice) == 26


@pytest.mark.parametrize("count", [models.count_parameters, models.active_parameters])
def test_what_is_no_module_is_refused(count):
    with shapes.unchecked(), pytest.raises(TypeError, match="model must be a module, got int"):
        count(3)


@pytest.mark.parametrize("count", [models.kv_cache_bytes, models.flops_per_token])
@pytest.mark.parametrize("model", [3, nn.Linear(2, 2), F.relu])
def test_another_model_is_refused(count, model):
    known = r"model must be one of GPT, Llama, .*Seq2Seq, got"
    with shapes.unchecked(), pytest.raises(TypeError, match=known):
        count(model, 4)


def test_lengths_are_whole_numbers():
    model = MAKERS["GPT"]()
    for count in (models.kv_cache_bytes, models.flops_per_token):
        with pytest.raises(ValueError, match="length must be at least 1, got 0"):
            count(model, 0)
        whole = r"length must be a whole number, got 2\.0"
        with shapes.unchecked(), pytest.raises(TypeError, match=whole):
            count(model, 2.0)
    with pytest.raises(ValueError, match="bytes_per_number must be at least 1, got 0"):
        models.kv_cache_bytes(model, 1, 0)
