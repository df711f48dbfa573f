"""Objectives of pretraining: against transformers, by hand, by their statistics, and undone."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional as F

from companion import losses, models, pretraining, training
from companion.reference import pretraining as twin
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

IGNORE = -100
PAD, CLS, SEP, MASK = range(4)
SPECIAL = (PAD, CLS, SEP)
V = 30


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def texts(rows, length, seed=0):
    """Return random texts, [CLS] … [SEP], without any other special token."""
    ids = torch.randint(4, V, (rows, length), generator=generator(seed))
    ids[:, 0], ids[:, -1] = CLS, SEP
    return ids


def fair(counts, shares, least=1e-3):
    """Tell whether counts are what such shares give (chi-square)."""
    counts, shares = np.array(counts), np.array(shares)
    return stats.chisquare(counts, counts.sum() * shares / shares.sum()).pvalue > least


def tiny_bert(seed=0, dropout=0.0, **sizes):
    torch.manual_seed(seed)
    config = models.BertConfig(V, 8, 2, 2, 16, max_length=16, dropout=dropout, **sizes)
    return models.BERT(config).double()


# -- causal --------------------------------------------------------------------------------------


@shapes_vary
@given(rows=st.integers(1, 4), length=st.integers(2, 7), seed=seeds)
def test_the_targets_are_the_inputs_one_token_later(rows, length, seed):
    ids = torch.randint(5, (rows, length), generator=generator(seed))
    ours = pretraining.causal_lm(ids, pad_id=0)
    theirs = twin.causal_lm(ids.numpy(), pad_id=0)
    for value, expected in zip(ours, theirs, strict=True):
        same("causal_lm", "NumPy twin", value, expected)
    inputs, targets = pretraining.causal_lm(ids)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_causal_targets_give_the_loss_of_transformers():
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": V, "n_positions": 16}
    config = transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)
    theirs = transformers.GPT2LMHeadModel(config).double().eval()
    ids = texts(3, 6)
    ids[1, 4:] = PAD
    inputs, targets = pretraining.causal_lm(ids, pad_id=PAD)
    with torch.no_grad():
        expected = theirs(ids, labels=ids.masked_fill(ids == PAD, IGNORE)).loss
        logits = theirs(inputs).logits
    agree(
        "causal_lm",
        "transformers",
        losses.cross_entropy(logits, targets),
        expected,
        1e-5,
        limit="float32",
    )


def test_inputs_and_targets_are_copies():
    ids = torch.tensor([[4, 5, 6]])
    inputs, targets = pretraining.causal_lm(ids)
    inputs[:] = 0
    assert ids.tolist() == [[4, 5, 6]]
    assert targets.tolist() == [[5, 6]]


def test_rows_are_filled_up_on_the_right():
    ids, mask = pretraining.pad_rows([[5, 6, 7], [], [8]], 0)
    same("pad_rows", "by hand", ids, [[5, 6, 7], [0, 0, 0], [8, 0, 0]])
    same("pad_rows, mask", "by hand", mask[:, 0].int(), [[1, 1, 1], [0, 0, 0], [1, 0, 0]])


# -- masked --------------------------------------------------------------------------------------


class Vocabulary:
    """As much of a tokenizer as the collator of transformers asks for."""

    mask_token = "[MASK]"

    def __len__(self):
        return V

    def convert_tokens_to_ids(self, token):
        return MASK


def collator(seed, **options):
    made = object.__new__(transformers.DataCollatorForLanguageModeling)
    made.tokenizer, made.generator, made.whole_word_mask = Vocabulary(), generator(seed), False
    made.mlm_probability, made.mask_replace_prob, made.random_replace_prob = 0.15, 0.8, 0.1
    vars(made).update(options)
    return made


@shapes_vary
@given(rows=st.integers(1, 5), length=st.integers(2, 40), seed=seeds)
def test_the_same_seed_gives_the_masks_of_transformers(rows, length, seed):
    ids = texts(rows, length, seed)
    special = torch.isin(ids, torch.tensor(SPECIAL))
    for shares in ((0.15, 0.8, 0.1), (0.4, 0.5, 0.5), (0.3, 0.0, 0.2)):
        names = ("mlm_probability", "mask_replace_prob", "random_replace_prob")
        theirs = collator(seed, **dict(zip(names, shares, strict=True)))
        expected = theirs.torch_mask_tokens(ids.clone(), special)
        p, mask_share, random_share = shares
        ours = pretraining.mask_tokens(
            ids,
            MASK,
            V,
            p=p,
            mask_share=mask_share,
            random_share=random_share,
            special_ids=SPECIAL,
            generator=generator(seed),
        )
        for value, result in zip(ours, expected, strict=True):
            same("mask_tokens", "transformers", value, result)


@shapes_vary
@given(length=st.integers(1, 30), seed=seeds)
def test_masks_are_those_of_the_twin(length, seed):
    ids = torch.randint(V, (length,), generator=generator(seed))
    ours = pretraining.mask_tokens(
        ids, MASK, V, p=0.5, mask_share=0.5, random_share=0.25, generator=generator(seed)
    )
    draws = generator(seed)
    coins = [torch.bernoulli(torch.full((length,), 0.5), generator=draws) for _ in range(3)]
    drawn = torch.randint(V, (length,), generator=draws)
    theirs = twin.mask_tokens(ids.numpy(), MASK, *(c.bool().numpy() for c in coins), drawn.numpy())
    for value, expected in zip(ours, theirs, strict=True):
        same("mask_tokens", "NumPy twin", value, expected)


@shapes_vary
@given(rows=st.integers(1, 4), length=st.integers(3, 20), seed=seeds)
def test_only_picked_tokens_change_and_all_of_them_are_asked_for(rows, length, seed):
    ids = texts(rows, length, seed)
    inputs, targets = pretraining.mask_tokens(
        ids, MASK, V, p=0.5, special_ids=SPECIAL, generator=generator(seed)
    )
    picked = targets != IGNORE
    assert torch.equal(targets[picked], ids[picked])
    assert torch.equal(inputs[~picked], ids[~picked])
    assert not picked[torch.isin(ids, torch.tensor(SPECIAL))].any()


def test_the_shares_are_15_percent_and_of_these_80_10_and_10():
    ids = texts(2000, 52)
    inputs, targets = pretraining.mask_tokens(
        ids, MASK, V, special_ids=SPECIAL, generator=generator()
    )
    picked = targets != IGNORE
    n, n_words = int(picked.sum()), 2000 * 50
    assert fair([n, n_words - n], [0.15, 0.85])
    masked, kept = (inputs == MASK)[picked], (inputs == ids)[picked]
    # Of 30 tokens drawn at random one is [MASK], and one is the token itself.
    shares = [0.8 + 0.1 / V, 0.1 + 0.1 / V, 0.1 * (1 - 2 / V)]
    assert fair([masked.sum(), kept.sum(), (~masked & ~kept).sum()], shares)
    assert not fair([masked.sum(), kept.sum(), (~masked & ~kept).sum()], [0.78, 0.11, 0.11])
    drawn = Counter(inputs[picked][~masked & ~kept].tolist())
    usual = [token for token in range(V) if token != MASK]
    assert fair([drawn[token] for token in usual if token > MASK], [1] * (V - 4))
    agree("mask_tokens, share", "by its mean", n / n_words, 0.15, 0.005, limit="1/√n")


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_none_or_all_can_be_picked(p):
    ids = texts(2, 6)
    inputs, targets = pretraining.mask_tokens(
        ids, MASK, V, p=p, mask_share=1.0, random_share=0.0, special_ids=SPECIAL
    )
    inside = slice(1, -1)
    assert (inputs[:, inside] == MASK).all() == bool(p)
    assert torch.equal(targets[:, inside], ids[:, inside] if p else ids[:, inside] * 0 + IGNORE)


WORDS = torch.tensor([[-1, 0, 0, 0, 1, 2, 2, -1]])


def test_whole_words_are_picked_together():
    ids, words = texts(4000, 8), WORDS.expand(4000, 8)
    inputs, targets = pretraining.mask_tokens(ids, MASK, V, words=words, generator=generator())
    picked = targets != IGNORE
    assert torch.equal(picked[:, 1], picked[:, 2])
    assert torch.equal(picked[:, 1], picked[:, 3])
    assert torch.equal(picked[:, 5], picked[:, 6])
    assert not picked[:, [0, 7]].any()
    patterns = Counter(map(tuple, picked[:, [1, 4, 5]].tolist()))
    expected = [
        math.prod(0.15 if one else 0.85 for one in pattern)
        for pattern in itertools.product((True, False), repeat=3)
    ]
    found = [patterns[pattern] for pattern in itertools.product((True, False), repeat=3)]
    assert fair(found, expected)
    alone = (inputs == MASK)[:, 1] != (inputs == MASK)[:, 2]
    assert alone.any()  # what stands in its place is drawn for each token


@shapes_vary
@given(seed=seeds)
def test_whole_words_are_those_of_transformers(seed):
    ids, rows = texts(3, 8, seed), [None, 0, 0, 0, 1, 2, 2, None]
    names = np.array([[-1 if n is None else n for n in rows]] * 3)
    theirs = collator(seed, whole_word_mask=True, mlm_probability=0.5)
    starts = {None: (0, 0), 0: (0, 3), 1: (4, 5), 2: (6, 8)}
    offsets = np.array([[[0, 0], [0, 1], [1, 2], [2, 3], [4, 5], [6, 7], [7, 8], [0, 0]]] * 3)
    assert starts[0] == (0, 3)
    special = np.array([[1, 0, 0, 0, 0, 0, 0, 1]] * 3)
    expected = theirs.torch_mask_tokens(ids.clone(), special, offsets)
    ours = pretraining.mask_tokens(
        ids, MASK, V, p=0.5, words=torch.from_numpy(names), generator=generator(seed)
    )
    for value, result in zip(ours, expected, strict=True):
        same("mask_tokens, whole words", "transformers", value, result)


def test_words_are_numbered_by_where_wordpiece_begins_one():
    tokens = ["[CLS]", "em", "##bed", "##ding", "table", "[", "x", "]", "[SEP]"]
    found = pretraining.whole_words(tokens)
    same("whole_words", "by hand", found, [-1, 0, 0, 0, 1, 2, 3, 4, -1])


# -- pairs ---------------------------------------------------------------------------------------

DOCUMENTS = [[[10 * d + s, 10 * d + s] for s in range(d + 1)] for d in range(1, 5)]


def test_a_pair_is_laid_out_as_by_the_tokenizer_of_transformers():
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "my", "dog", "likes", "play"]
    theirs = transformers.BertTokenizer(vocab={name: i for i, name in enumerate(names)})
    expected = theirs("my dog", "likes play")
    ours = pretraining.sentence_pair([4, 5], [6, 7], 0, cls_id=2, sep_id=3)
    same("sentence_pair", "transformers", ours.ids, expected["input_ids"])
    same("sentence_pair, segments", "transformers", ours.segments, expected["token_type_ids"])


def sides(pair):
    """Return the document and the sentence of both sides."""
    end = pair.ids.index(SEP)
    return divmod(pair.ids[1], 10), divmod(pair.ids[end + 1], 10)


def test_half_of_the_pairs_follow_and_the_others_come_from_another_text():
    found = [
        pair
        for seed in range(300)
        for pair in pretraining.sentence_pairs(
            DOCUMENTS, cls_id=CLS, sep_id=SEP, generator=generator(seed)
        )
    ]
    n_first = len(found) // 300
    assert n_first == sum(len(document) - 1 for document in DOCUMENTS)
    for pair in found:
        (d, s), (e, t) = sides(pair)
        assert (e == d and t == s + 1) if pair.label == 0 else e != d
    n_random = sum(pair.label for pair in found)
    assert fair([n_random, len(found) - n_random], [0.5, 0.5])
    # After document 1, each of the 3 + 4 + 5 sentences of the others is as probable.
    others = Counter(sides(p)[1] for p in found if p.label and sides(p)[0][0] == 1)
    assert len(others) == 12
    assert fair(list(others.values()), [1] * 12)
    share = n_random / len(found)
    agree("sentence_pairs, share", "by its mean", share, 0.5, 0.02, limit="1/√n")


def test_pairs_in_order_by_hand():
    pairs = pretraining.sentence_pairs([[[4], [5], [6]], [[7]]], cls_id=1, sep_id=2, p_next=1.0)
    expected = [([1, 4, 2, 5, 2], [0, 0, 0, 1, 1], 0), ([1, 5, 2, 6, 2], [0, 0, 0, 1, 1], 0)]
    same("sentence_pairs", "by hand", [tuple(pair) for pair in pairs], expected)
    never = pretraining.sentence_pairs([[[4], [5]], [[7]]], cls_id=1, sep_id=2, p_next=0.0)
    same("sentence_pairs", "by hand", [p.ids for p in never], [[1, 4, 2, 7, 2]])
    one = pretraining.sentence_pair([4], [5, 6], 1, cls_id=1, sep_id=2)
    same(
        "SentencePair",
        "by hand",
        one._asdict(),
        {"ids": [1, 4, 2, 5, 6, 2], "segments": [0] * 3 + [1] * 3, "label": 1},
    )


def test_the_twins_of_tokens_by_hand():
    rows = np.array([[5, 6, 7, 0], [8, 9, 0, 0]])
    expected = ([[5, 6, 7], [8, 9, 0]], [[6, 7, IGNORE], [9, IGNORE, IGNORE]])
    for value, wanted in zip(twin.causal_lm(rows, pad_id=0), expected, strict=True):
        same("twin: causal_lm", "by hand", value, wanted)
    picked, masked = np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 1], bool)
    replaced, drawn = np.array([1, 1, 0, 1], bool), np.array([20, 21, 22, 23])
    made = twin.mask_tokens(np.array([5, 6, 7, 8]), MASK, picked, masked, replaced, drawn)
    for value, wanted in zip(made, ([MASK, 21, 7, 8], [5, 6, 7, IGNORE]), strict=True):
        same("twin: mask_tokens", "by hand", value, wanted)


# -- spans ---------------------------------------------------------------------------------------

TEXT = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week"]
X, Y, Z = 100, 101, 102


def test_the_figure_of_the_paper_of_t5():
    ids = torch.arange(len(TEXT))
    inputs, targets = pretraining.cut_spans(ids, [(2, 4), (8, 9)], [X, Y, Z])
    names = dict(enumerate(TEXT)) | {X: "<X>", Y: "<Y>", Z: "<Z>"}
    told = [" ".join(names[i] for i in row.tolist()) for row in (inputs, targets)]
    figure_2 = [
        "Thank you <X> me to your party <Y> week",
        "<X> for inviting <Y> last <Z>",
    ]
    same("cut_spans", "Raffel et al. 2020, figure 2", told, figure_2)
    same("join_spans", "by hand", pretraining.join_spans(inputs, targets, [X, Y, Z]), ids)
    hidden = np.isin(ids, [2, 3, 8])
    rows = twin.cut_spans(ids.numpy(), hidden, [X, Y, Z])
    theirs = [" ".join(names[i] for i in row.tolist()) for row in rows]
    same("twin: cut_spans", "Raffel et al. 2020, figure 2", theirs, figure_2)
    same("twin: join_spans", "by hand", twin.join_spans(*rows, [X, Y, Z]), ids)


@shapes_vary
@given(
    length=st.integers(2, 60),
    p=st.floats(0.05, 0.95),
    mean=st.floats(1, 5),
    seed=seeds,
)
def test_nothing_is_lost(length, p, mean, seed):
    ids = torch.randint(50, (length,), generator=generator(seed))
    sentinels = list(range(100, 200))
    inputs, targets = pretraining.span_corruption(
        ids, sentinels, p=p, mean_length=mean, generator=generator(seed)
    )
    back = pretraining.join_spans(inputs, targets, sentinels)
    same("span_corruption", "undone by join_spans", back, ids)
    theirs = twin.join_spans(inputs.numpy(), targets.numpy(), sentinels)
    same("join_spans", "NumPy twin", back, theirs)
    spans = pretraining.random_spans(length, p=p, mean_length=mean, generator=generator(seed))
    hidden = np.zeros(length, bool)
    for start, end in spans:
        hidden[start:end] = True
    for value, expected in zip(
        pretraining.cut_spans(ids, spans, sentinels),
        twin.cut_spans(ids.numpy(), hidden, sentinels),
        strict=True,
    ):
        same("cut_spans", "NumPy twin", value, expected)
    n, k = int(hidden.sum()), len(spans)
    assert (len(inputs), len(targets)) == (length - n + k, n + k + 1)


def noise_of_t5(length, p, mean):
    """Return how many tokens and spans T5's own program would cut (random_spans_noise_mask)."""
    n = min(max(int(np.round(length * p)), 1), length - 1)
    return n, max(int(np.round(n / mean)), 1)


@pytest.mark.parametrize("length", [2, 3, 10, 20, 114, 512, 568])
def test_as_many_tokens_and_spans_are_cut_as_by_t5(length):
    spans = pretraining.random_spans(length, generator=generator(length))
    found = sum(end - start for start, end in spans), len(spans)
    same("random_spans", "T5's rule", found, noise_of_t5(length, 0.15, 3.0))


def test_512_tokens_become_114_targets_as_in_the_paper():
    """In T5, 568 tokens are cut so that inputs have 512 tokens with the end, and targets 114."""
    inputs, targets = pretraining.span_corruption(torch.arange(568), range(1000, 1100))
    end = 1
    same("span_corruption", "T5's lengths", (len(inputs) + end, len(targets)), (512, 114))


def test_every_way_to_cut_is_as_probable_as_any_other():
    draws = generator()
    found = Counter(
        tuple(pretraining.random_spans(7, p=0.43, mean_length=1.5, generator=draws))
        for _ in range(6000)
    )
    ways = [
        spans
        for spans in itertools.combinations([(a, b) for a in range(7) for b in range(a + 1, 8)], 2)
        if spans[0][1] < spans[1][0] and sum(b - a for a, b in spans) == 3
    ]
    assert set(found) == set(ways)
    assert fair([found[way] for way in ways], [1] * len(ways))
    same("random_spans", "by counting all ways", len(found), len(ways))


def test_targets_that_a_model_wrote_are_read_as_far_as_they_go():
    inputs = torch.tensor([5, X, 8, Y])
    same(
        "join_spans",
        "by hand",
        pretraining.join_spans(inputs, torch.tensor([Y, 6]), [X, Y, Z]),
        [5, 8, 6],
    )
    with pytest.raises(ValueError, match="must begin with a sentinel, got 6"):
        pretraining.join_spans(inputs, torch.tensor([6, X]), [X, Y, Z])
    with pytest.raises(ValueError, match=f"{X} stands twice"):
        pretraining.join_spans(inputs, torch.tensor([X, 6, X]), [X, Y, Z])


# -- objectives ----------------------------------------------------------------------------------


def a_batch(seed=0):
    ids = texts(4, 9, seed)
    ids[1, 6:] = PAD
    mask = (ids != PAD)[:, None]
    inputs, targets = pretraining.mask_tokens(
        ids, MASK, V, p=0.4, special_ids=SPECIAL, generator=generator(seed)
    )
    segments = (torch.arange(9) > 4).long().expand(4, 9).contiguous()
    label = torch.tensor([0, 1, 1, 0])
    return ids, {
        "ids": inputs,
        "targets": targets,
        "mask": mask,
        "segments": segments,
        "label": label,
    }


def test_the_sum_over_the_count_is_the_loss_of_masked_tokens():
    model, (ids, batch) = tiny_bert(), a_batch()
    objective = pretraining.MaskedLM()
    mean = objective(model, batch)["mlm"] / objective.count(batch)["mlm"]
    logits = model(batch["ids"], batch["mask"], segments=batch["segments"])
    picked = batch["targets"] != IGNORE
    agree("MaskedLM", "mlm_loss", mean, losses.mlm_loss(logits, ids, picked))
    log_p = logits.log_softmax(-1).detach().numpy()
    total, n = twin.masked_lm(log_p, batch["targets"].numpy())
    agree("MaskedLM", "NumPy twin", objective(model, batch)["mlm"], total)
    assert objective.count(batch) == {"mlm": n}
    wanted = F.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten(), reduction="sum")
    agree("twin: pretraining.masked_lm", "torch", total, wanted)


def test_both_losses_together_are_that_of_transformers(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 16, "vocab_size": V, "max_position_embeddings": 16}
    theirs = transformers.BertForPreTraining(transformers.BertConfig(**sizes)).eval()
    theirs.save_pretrained(tmp_path)
    model = models.BERT.from_hf(tmp_path).double()
    _, batch = a_batch()
    with torch.no_grad():
        expected = theirs.double()(
            batch["ids"],
            attention_mask=batch["mask"][:, 0].long(),
            token_type_ids=batch["segments"],
            labels=batch["targets"],
            next_sentence_label=batch["label"],
        ).loss
        objective = pretraining.MaskedLMAndNSP()
        sums, counts = objective(model, batch), objective.count(batch)
    ours = sum(sums[name] / counts[name] for name in counts)
    agree("MaskedLMAndNSP", "transformers", ours, expected, 1e-10)
    assert counts["nsp"] == 4


def test_a_batch_in_two_halves_gives_the_same_sums():
    model, (_, batch) = tiny_bert(), a_batch()
    objective = pretraining.MaskedLMAndNSP()
    halves = [{name: x[part] for name, x in batch.items()} for part in (slice(2), slice(2, 4))]
    whole = objective(model, batch)
    for name in ("mlm", "nsp"):
        parts = sum(objective(model, half)[name] for half in halves)
        agree("MaskedLMAndNSP, halves", "the whole batch", parts, whole[name])
        counted = sum(objective.count(half)[name] for half in halves)
        assert counted == objective.count(batch)[name]


def test_without_any_target_the_loss_is_0():
    model, (_, batch) = tiny_bert(), a_batch()
    nothing = batch | {"targets": torch.full_like(batch["targets"], IGNORE)}
    assert pretraining.MaskedLM().count(nothing) == {"mlm": 0}
    assert pretraining.MaskedLM()(model, nothing)["mlm"] == 0


def test_two_views_find_each_other():
    encoder = tiny_bert(dropout=0.1).encoder.train()
    ids, batch = a_batch()
    batch = {"ids": ids, "mask": batch["mask"]}
    objective = pretraining.Contrastive(0.1)
    torch.manual_seed(5)
    ours = objective(encoder, batch)["contrastive"]
    torch.manual_seed(5)
    real = batch["mask"][:, 0, :, None]
    views = []
    for _ in range(2):
        x = encoder(ids, batch["mask"])
        views.append((x * real).sum(1) / real.sum(1))
    scores = F.cosine_similarity(views[0][:, None], views[1][None], dim=-1) / 0.1
    expected = F.cross_entropy(scores, torch.arange(4), reduction="sum")
    agree("Contrastive", "torch", ours, expected)
    a, b = (view.detach().numpy() for view in views)
    agree("Contrastive", "NumPy twin", ours, twin.contrastive(a, b, 0.1))
    agree("twin: contrastive", "torch", twin.contrastive(a, b, 0.1), expected)
    torch.manual_seed(6)
    assert objective(encoder, batch)["contrastive"] != ours  # other dropout
    assert objective.count(batch) == {"contrastive": 4}


def test_second_views_can_be_texts_of_their_own():
    encoder, (ids, batch) = tiny_bert().encoder.eval(), a_batch()
    pair = {"ids": ids, "mask": batch["mask"], "other": ids, "other_mask": batch["mask"]}
    objective = pretraining.Contrastive()
    ours = objective(encoder, pair)["contrastive"]
    agree(
        "Contrastive, own texts",
        "itself",
        ours,
        objective(encoder, {k: pair[k] for k in ("ids", "mask")})["contrastive"],
    )
    turned = pair | {"other": ids.roll(1, 0), "other_mask": batch["mask"].roll(1, 0)}
    assert objective(encoder, turned)["contrastive"] > ours


def test_padding_does_not_enter_a_texts_vector():
    encoder, (ids, batch) = tiny_bert().encoder.eval(), a_batch()
    changed = ids.masked_fill(ids == PAD, 9)
    objective = pretraining.Contrastive()
    before = objective(encoder, {"ids": ids, "mask": batch["mask"]})["contrastive"]
    after = objective(encoder, {"ids": changed, "mask": batch["mask"]})["contrastive"]
    assert before == after
    without = objective(encoder, {"ids": changed})["contrastive"]
    assert without != before


def test_the_training_loop_takes_them():
    """Sums over all targets: two micro-batches give the step of one batch of both."""
    _, batch = a_batch()
    halves = [{name: x[part] for name, x in batch.items()} for part in (slice(2), slice(2, 4))]
    objective, ended = pretraining.MaskedLMAndNSP(), []
    for batches, accumulate in ([batch], 1), (halves, 2):
        model = tiny_bert()
        config = training.TrainConfig(
            steps=8, lr=0.01, accumulate=accumulate, precision="float32", device="cpu"
        )
        history = training.train(model, batches, config, objective=objective)
        assert history.column("loss")[-1] < history.column("loss")[0]
        ended.append(torch.cat([weight.flatten() for weight in model.parameters()]))
    agree("MaskedLMAndNSP, trained", "one batch for two", ended[1], ended[0], 1e-6)


# -- what is refused -----------------------------------------------------------------------------

IDS = torch.tensor([[4, 5, 6, 7]])
REFUSED = [
    (ValueError, "at least 2 tokens", lambda: pretraining.causal_lm(torch.tensor([[1]]))),
    (TypeError, "ids must hold whole", lambda: pretraining.causal_lm(torch.ones(2, 3))),
    (ValueError, "rows must hold at least one", lambda: pretraining.pad_rows([[], []], 0)),
    (TypeError, "rows must be a list", lambda: pretraining.pad_rows(3, 0)),
    (ValueError, "ids must be from 0 to 5", lambda: pretraining.mask_tokens(IDS, 3, 6)),
    (ValueError, "mask_id must be at most 29", lambda: pretraining.mask_tokens(IDS, 30, V)),
    (ValueError, "p must be from 0 to 1", lambda: pretraining.mask_tokens(IDS, 3, V, p=1.5)),
    (
        ValueError,
        "mask_share and random_share must be at most 1 together",
        lambda: pretraining.mask_tokens(IDS, 3, V, mask_share=0.8, random_share=0.3),
    ),
    (
        ValueError,
        r"words must have the shape of ids, \(1, 4\)",
        lambda: pretraining.mask_tokens(IDS, 3, V, words=torch.zeros(4, dtype=torch.long)),
    ),
    (
        TypeError,
        "generator must be a torch.Generator",
        lambda: pretraining.mask_tokens(IDS, 3, V, generator=3),
    ),
    (TypeError, "tokens must be a list", lambda: pretraining.whole_words("text")),
    (
        ValueError,
        "label must be at most 1",
        lambda: pretraining.sentence_pair([4], [5], 2, cls_id=1, sep_id=2),
    ),
    (
        ValueError,
        "b must hold at least one token",
        lambda: pretraining.sentence_pair([4], [], 1, cls_id=1, sep_id=2),
    ),
    (
        ValueError,
        "documents must be at least 2",
        lambda: pretraining.sentence_pairs([[[4], [5]]], cls_id=1, sep_id=2),
    ),
    (
        ValueError,
        "must hold at least one sentence",
        lambda: pretraining.sentence_pairs([[[4]], []], cls_id=1, sep_id=2),
    ),
    (
        ValueError,
        "p_next must be from 0 to 1",
        lambda: pretraining.sentence_pairs([[[4]], [[5]]], cls_id=1, sep_id=2, p_next=2),
    ),
    (ValueError, "length must be at least 2", lambda: pretraining.random_spans(1)),
    (ValueError, "p must be above 0 and below 1", lambda: pretraining.random_spans(9, p=1)),
    (
        ValueError,
        "mean_length must be at least 1",
        lambda: pretraining.random_spans(9, mean_length=0),
    ),
    (ValueError, "one dimension", lambda: pretraining.span_corruption(IDS, [100, 101])),
    (
        ValueError,
        r"with a token between any two; got \(2, 3\) after \(0, 2\)",
        lambda: pretraining.cut_spans(IDS[0], [(0, 2), (2, 3)], [X, Y, Z]),
    ),
    (
        ValueError,
        "sentinel_ids must be at least 2",
        lambda: pretraining.cut_spans(IDS[0], [(0, 2)], [X]),
    ),
    (ValueError, "but 5 does", lambda: pretraining.cut_spans(IDS[0], [(0, 2)], [5, X])),
    (ValueError, "differ from one", lambda: pretraining.cut_spans(IDS[0], [(0, 2)], [X, X])),
    (ValueError, "temperature must be above 0", lambda: pretraining.Contrastive(0)),
    (
        KeyError,
        "must hold 'targets', got 'ids'",
        lambda: pretraining.MaskedLM().count({"ids": IDS}),
    ),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_wrong_calls_are_refused(kind, message, call):
    with unchecked(), pytest.raises(kind, match=message):
        call()


def test_what_is_given_stays_as_it_was():
    ids = texts(3, 9)
    before = ids.clone()
    pretraining.mask_tokens(ids, MASK, V, p=0.9)
    pretraining.span_corruption(ids[0], range(100, 120))
    assert torch.equal(ids, before)
