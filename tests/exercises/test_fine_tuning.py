"""The answers of the exercises of *Fine-tuning*, held against other packages and the book's."""

import math
import random

import numpy as np
import peft
import pytest
import scipy.stats
import tokenizers
import torch
import torch.nn.functional as F
import transformers
from scipy.optimize import minimize
from torch import nn

from companion import finetuning, models
from exercises import fine_tuning as master
from exercises import run
from exercises.fine_tuning import (
    answer_targets,
    many_adapters,
    old_share,
    one_gpu,
    packed_inputs,
    piece_tags,
    rounded_blocks,
    step_by_hand,
    thin_change,
    who_moves,
    window_answer,
)
from tests.exercises.quick import plainly

pytestmark = pytest.mark.chapter("fine-tuning")


def drawn(module, seeds):
    return [{}, *(module.draw(random.Random(seed)) for seed in range(seeds))]


def solved(exercise):
    return run(master.SETUP, exercise.solution)


# -- LoRA ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", drawn(step_by_hand, 8), ids=str)
def test_a_step_by_hand_is_that_of_torch(given):
    right, given = solved(step_by_hand.exercise(**given)), {**step_by_hand.PAGE, **given}
    W, A, B, x, t = (torch.tensor(given[name]).double() for name in "wabxt")
    A, B = A[None].requires_grad_(), B[:, None].requires_grad_()
    y = W @ x + given["alpha"] * (B @ (A @ x))
    (0.5 * (y - t).square().sum()).backward()
    assert right["lora_output"] == pytest.approx(y.tolist())
    assert right["gradient_of_A"] == pytest.approx(A.grad[0].tolist())
    assert right["gradient_of_B"] == pytest.approx(B.grad[:, 0].tolist())
    top, _, bottom = given["rate"].partition("/")
    with torch.no_grad():
        torch.optim.SGD([A, B], lr=int(top) / int(bottom)).step()
        after = W + given["alpha"] * B @ A
        loss = 0.5 * (after @ x - t).square().sum().item()
    np.testing.assert_allclose(right["merged_matrix"], after, atol=1e-12)
    said = step_by_hand.exercise(**given).values["loss_after"]
    assert float(said) == pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize("init", ["standard", "random"])
def test_what_moves_first_is_what_moves_in_peft(init):
    """Two of the cases are ways in which `peft` begins; both are run with its layers."""
    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["0"], init_lora_weights=init == "standard")
    model = peft.get_peft_model(nn.Sequential(nn.Linear(3, 4, bias=False)), config)
    trained = {n.split(".lora_")[1][0]: p for n, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    optimiser = torch.optim.SGD(trained.values(), lr=0.01)
    x, t, found = torch.randn(8, 3), torch.randn(8, 4), []
    for _ in range(2):
        optimiser.zero_grad()
        (model(x) - t).square().sum().backward()
        optimiser.step()
        moved = [name for name in "AB" if not torch.equal(trained[name], before[name])]
        found.append("both" if len(moved) == 2 else moved[0])
    assert found == [who_moves.one_fate(n, **who_moves.OPTIONS[init]) for n in (1, 2)]


def test_the_page_s_cases_cover_what_can_happen():
    answer = solved(who_moves.exercise())
    assert {*answer["moved_after_one"].values()} == {"A", "B", "both", "neither"}
    for given in drawn(who_moves, 40):
        assert len({*solved(who_moves.exercise(**given))["moved_after_one"].values()}) >= 2


@pytest.mark.parametrize("rooted", [False, True])
def test_rows_of_a_batch_get_what_peft_gives_each_customer(rooted):
    torch.manual_seed(1)
    K, d_in, d_out, r, alpha = 3, 6, 4, 2, 8
    A, B = torch.randn(K, r, d_in).double(), torch.randn(K, d_out, r).double()
    config = peft.LoraConfig(r=r, lora_alpha=alpha, target_modules=["0"], use_rslora=rooted)
    model = peft.get_peft_model(nn.Sequential(nn.Linear(d_in, d_out, bias=False)), config, "0")
    for k in range(1, K):
        model.add_adapter(str(k), config)
    layer = model.double().base_model.model[0]
    with torch.no_grad():
        for k in range(K):
            layer.lora_A[str(k)].weight.copy_(A[k])
            layer.lora_B[str(k)].weight.copy_(B[k])
    x, which = torch.randn(5, d_in).double(), torch.tensor([2, -1, 0, 2, 1])
    names = ["__base__" if k < 0 else str(k) for k in which.tolist()]
    theirs = model.eval()(x, adapter_names=names).detach()
    twists = ("root",) if rooted else ()
    answer = solved(many_adapters.exercise(twists=twists))["outputs_of_many"]
    ours = answer(x, which, layer.base_layer.weight.detach(), A, B, alpha)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


# -- a change of low rank, and few bits ----------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_no_matrix_of_its_rank_is_nearer_and_none_of_a_lower_rank_is_enough(share):
    """Against a search that knows nothing of singular values."""
    rng = np.random.default_rng(0)
    before, after = (torch.from_numpy(rng.normal(size=(4, 5))) for _ in "ab")
    B, A = solved(thin_change.exercise())["thin_change"](before, after, share)
    change = (after - before).numpy()

    def least(r):
        def far(numbers):
            first, second = numbers[: 4 * r].reshape(4, r), numbers[4 * r :].reshape(r, 5)
            return ((change - first @ second) ** 2).sum()

        starts = rng.normal(size=(5, 9 * r))
        return min(minimize(far, start, method="BFGS").fun for start in starts)

    r, energy = len(A), (change**2).sum()
    assert ((change - (B @ A).numpy()) ** 2).sum() == pytest.approx(least(r), abs=1e-6)
    assert 1 - least(r) / energy >= share - 1e-6
    assert r == 1 or 1 - least(r - 1) / energy < share


@pytest.mark.parametrize("kept", thin_change.RANK)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_rank_of_a_rule_is_the_smallest_or_the_largest_that_fits(kept, share):
    rng = np.random.default_rng(7)
    after = rng.normal(size=(6, 8))
    answer = solved(thin_change.exercise(kept=kept))["thin_change"]
    r = len(answer(torch.zeros(6, 8).double(), torch.from_numpy(after), share)[1])
    assert r == thin_change.rank_wanted(np.linalg.svd(after)[1].tolist(), share, kept)


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_rounded_as_by_the_package(seed):
    levels = finetuning.nf4_levels().numpy()
    w = np.random.default_rng(seed).normal(size=192)
    answer = solved(rounded_blocks.exercise(twists=("back",)))["rounded_blocks"]
    codes, scales, back = answer(w, levels, 64)
    kept = finetuning.quantise_nf4(torch.from_numpy(w), 64, double=False)
    np.testing.assert_array_equal(back, kept.dequantise().numpy())
    np.testing.assert_array_equal(scales, kept.absmax().numpy())
    bytes_of_ours = 16 * codes[::2] + codes[1::2]  # the package packs the other way round
    np.testing.assert_array_equal(bytes_of_ours, kept.codes.numpy())


def test_a_signed_scale_gives_what_gguf_s_q4_0_does():
    """That format has 16 evenly spaced levels, of which the largest weight becomes the last."""
    w = np.random.default_rng(5).normal(size=64).astype(np.float32)
    blocks = w.reshape(-1, 32).astype(np.float64)
    largest = blocks[np.arange(2), np.abs(blocks).argmax(axis=1)]
    whole = np.clip(np.floor(blocks * (-8 / largest[:, None]) + 8.5), 0, 15) - 8  # as in ggml
    levels = np.arange(-7, 9) / 8
    answer = solved(rounded_blocks.exercise("signed"))["rounded_blocks"]
    codes, scales = answer(w.astype(np.float64), levels, 32)
    np.testing.assert_allclose(scales, largest)
    np.testing.assert_array_equal(codes - 7, -whole.ravel().astype(int))


# -- what is forgotten ---------------------------------------------------------------------------


@pytest.mark.parametrize("given", drawn(old_share, 8), ids=str)
def test_what_is_forgotten_is_a_divergence_of_scipy(given):
    right = solved(old_share.exercise(**given))
    p, q, percent = {
        **dict(zip(("p", "q", "percent"), old_share.PAGE, strict=True)),
        **given,
    }.values()
    p, q = np.array(p) / 10, np.array(q) / 10
    m = percent / 100 * p + (1 - percent / 100) * q
    assert right["forgotten_nats"] == pytest.approx(scipy.stats.entropy(p, q), abs=1e-6)
    assert right["forgotten_with_replay"] == pytest.approx(scipy.stats.entropy(p, m), abs=1e-6)
    assert right["price_of_replay"] == pytest.approx(scipy.stats.entropy(q, m), abs=1e-6)
    grown = math.exp(-(p @ np.log(q)) + p @ np.log(p))
    assert right["perplexity_factor"] == pytest.approx(grown, abs=1e-6)


def test_training_ends_at_the_shares_of_what_is_read():
    """As the question supposes: logits of three sentences, trained on the mixture."""
    p, q = np.array(old_share.PAGE[0]) / 10, np.array(old_share.PAGE[1]) / 10
    m = torch.from_numpy(0.2 * p + 0.8 * q)
    logits = torch.from_numpy(np.log(p)).requires_grad_()
    for _ in range(400):
        F.cross_entropy(logits[None], m[None]).backward()
        with torch.no_grad():
            logits -= 2 * logits.grad
            logits.grad = None
    lost = scipy.stats.entropy(p, logits.softmax(0).detach().numpy())
    right = solved(old_share.exercise())["forgotten_with_replay"]
    assert lost == pytest.approx(right, abs=1e-6)


# -- tasks ---------------------------------------------------------------------------------------


def test_pieces_of_a_tokenizer_get_tags_that_give_the_words_tags_back():
    pieces = ["[UNK]", "[CLS]", "[SEP]", "mi", "##a", "went", "to", "new", "##ton", "park", "##s"]
    tool = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]")
    )
    tool.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tool.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    words = ["mia", "went", "to", "newton", "parks"]
    tags = ["B-PER", "O", "O", "B-LOC", "I-LOC"]
    encoded = tool.encode(words, is_pretokenized=True)
    found = solved(piece_tags.exercise())["piece_tags"](encoded.word_ids, tags)
    right = [None, "B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "I-LOC", None]
    assert found == right
    first = solved(piece_tags.exercise("ignored"))["piece_tags"](encoded.word_ids, tags)
    assert [tag for tag in first if tag is not None] == tags
    assert [p for p, tag in zip(encoded.tokens, first, strict=True) if tag is None] == [
        "[CLS]",
        "##a",
        "##ton",
        "##s",
        "[SEP]",
    ]


@pytest.mark.parametrize("seed", range(10))
def test_one_window_gives_the_span_of_the_package(seed):
    start, end = np.random.default_rng(seed).normal(size=(2, 12))
    start[0] = -20
    theirs = finetuning.best_span(torch.tensor(start[1:]), torch.tensor(end[1:]), 4)
    answer = solved(window_answer.exercise())["window_answer"]
    assert answer([start], [end], [0], 4) == theirs


def test_probabilities_of_windows_are_those_of_scipy():
    """Windows whose logits are moved by any number give the same answer then."""
    answer = solved(window_answer.exercise(twists=("probabilities",)))["window_answer"]
    plain = solved(window_answer.exercise())["window_answer"]
    for seed in range(10):
        starts, ends, offsets = window_answer.some_windows(seed, -2.0)
        moved = [z + 7 * k for k, z in enumerate(starts)]
        assert answer(moved, ends, offsets, 3) == answer(starts, ends, offsets, 3)
        logs = [[scipy.special.log_softmax(z) for z in part] for part in (starts, ends)]
        assert answer(starts, ends, offsets, 3) == plain(*logs, offsets, 3)


# -- instructions --------------------------------------------------------------------------------


def test_answers_are_those_that_the_package_marks():
    """Which marks ids by whether they are an answer, and then moves them."""
    end = 9
    ids = [("user", [11, 12]), ("assistant", [13, 14]), ("user", [12]), ("assistant", [9, 11])]
    answer = solved(answer_targets.exercise(twists=("shifted",)))["answer_targets"]
    inputs, targets = answer(ids, end)
    flat = [(i, who == "assistant") for who, part in ids for i in (*part, end)]
    rendered = finetuning.Rendered([i for i, _ in flat], [own for _, own in flat])
    assert (inputs, targets) == tuple(finetuning.make_example(rendered))


def test_targets_in_their_own_place_are_those_of_a_hugging_face_model():
    """Such a model moves them itself: its loss is that of the moved ones."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=40, n_positions=32, n_embd=8, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config).eval()
    turns = [("user", [11, 12]), ("assistant", [13]), ("user", [14]), ("assistant", [15, 16])]
    ids, labels = solved(answer_targets.exercise())["answer_targets"](turns, 9)
    moved = solved(answer_targets.exercise(twists=("shifted",)))["answer_targets"](turns, 9)
    theirs = model(torch.tensor([ids]), labels=torch.tensor([labels])).loss
    logits = model(torch.tensor([moved[0]])).logits[0]
    torch.testing.assert_close(theirs, F.cross_entropy(logits, torch.tensor(moved[1])))


def test_a_packed_row_is_that_of_the_package():
    texts = [[5, 6, 9], [7, 9], [8, 8, 4]]
    examples = [finetuning.Example(text, [*text[1:], -100]) for text in texts]
    _, mask, positions, targets = finetuning.pack_examples([examples], 0)
    row = torch.tensor([token for text in texts for token in text])
    twists = ("bounds", "targets")
    found = solved(packed_inputs.exercise(twists=twists))["packed_inputs"](row, 9)
    assert torch.equal(found[0], positions[0])
    assert torch.equal(found[1], mask[0].tril())
    assert torch.equal(found[2], targets[0])
    assert found[3].tolist() == [0, 3, 5, 8]


def test_what_may_be_added_to_scores_does_the_same_as_the_mask():
    row = torch.tensor([9, 5, 6, 9, 7, 9, 3])
    q, k, v = torch.randn(3, 1, 7, 4, generator=torch.Generator().manual_seed(0)).double()
    plain, added = (
        solved(packed_inputs.exercise("begin", twists=twists))["packed_inputs"](row, 9)[1]
        for twists in ((), ("added",))
    )
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=plain)
    weights = (q @ k.mT / 2 + added).softmax(dim=-1)
    torch.testing.assert_close(weights @ v, theirs)
    alone = F.scaled_dot_product_attention(*(z[:, 3:5] for z in (q, k, v)), is_causal=True)
    torch.testing.assert_close(theirs[:, 3:5], alone)


# -- a budget ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # in peft
@pytest.mark.parametrize("billions", one_gpu.MODELS)
def test_the_numbers_of_a_model_are_those_of_transformers_and_peft(billions):
    n_layers, d, kv, hidden, total = one_gpu.MODELS[billions]
    config = transformers.LlamaConfig(
        vocab_size=128_256,
        hidden_size=d,
        intermediate_size=hidden,
        num_hidden_layers=n_layers,
        num_attention_heads=d // 128,
        num_key_value_heads=kv // 128,
        tie_word_embeddings=billions != "8.0",
    )
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
        assert sum(p.numel() for p in model.parameters()) == total
        model = peft.get_peft_model(model, peft.LoraConfig(r=1, target_modules="all-linear"))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == one_gpu.of_rank_one(billions)


def test_few_bits_are_those_that_the_package_keeps():
    kept = finetuning.quantise_nf4(torch.randn(1024, 1024))
    assert kept.bits_per_weight == pytest.approx(one_gpu.BITS, abs=1e-3)


def test_everything_does_not_fit_and_lora_does_in_every_variant():
    for given in drawn(one_gpu, 40):
        right = solved(one_gpu.exercise(**given))
        gpu, rank = given.get("gpu", 24), given.get("rank", 16)
        assert right["qlora_memory"] < right["lora_memory"] < gpu < right["full_memory"]
        assert right["highest_rank"] > rank
        full, lora, qlora, prompt = given.get("accuracies", (842, 839, 835, 781))
        sd = 1000 * float(one_gpu.exercise(**given).values["sd"])
        assert full - lora < full - qlora < sd
        assert qlora - prompt > 3 * sd


def test_lora_of_a_small_llama_is_counted_as_by_the_package():
    sizes = {"vocab_size": 11, "d_model": 16, "n_layers": 2, "n_heads": 4, "d_hidden": 24}
    model = models.Llama(models.LlamaConfig(**sizes, n_kv_heads=2))
    finetuning.add_lora(model, "all-linear", rank=3)
    sides = [(16, 16), (16, 8), (16, 8), (16, 16), (16, 24), (16, 24), (24, 16)]
    expected = 2 * 3 * sum(a + b for a, b in sides)
    assert finetuning.count_trainable(model).trainable == expected


@pytest.mark.parametrize(
    "module",
    [
        many_adapters,
        thin_change,
        rounded_blocks,
        piece_tags,
        window_answer,
        answer_targets,
        packed_inputs,
    ],
)
def test_variants_without_twists_are_solved_by_their_plain_answer(module):
    """So the oracles of a check and the page ask for the same."""
    for seed in range(3):
        exercise = module.exercise(**plainly(module, seed))
        assert exercise.failures(solved(exercise)) == []
