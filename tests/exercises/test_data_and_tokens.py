"""The answers of the exercises on data and tokens, held against oracles that they do not use."""

import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import GroupShuffleSplit
from tokenizers import Tokenizer, models, pre_tokenizers

from companion import data, tokenizers
from companion.reference import tokenizers as twin
from exercises import data_and_tokens as master
from exercises import run
from exercises.data_and_tokens import (
    authors_apart,
    bytes_of_chinese,
    encode_word,
    grammar_by_hand,
    hidden_leak,
    kappa_by_hand,
    merges_by_hand,
    signatures,
)
from tests.exercises.quick import plainly


def solved(exercise):
    return run(master.SETUP, exercise.solution)


def variants(module, count=8):
    return [{}, *(plainly(module, seed) for seed in range(count))]


def cases(module, count=8):
    return pytest.mark.parametrize("given", variants(module, count))


# -- agreement -----------------------------------------------------------------------------------


@cases(kappa_by_hand)
def test_kappa_is_that_of_scikit_learn(given):
    exercise = kappa_by_hand.exercise(**given)
    counts = [int(exercise.values[name]) for name in ("both", "only_a", "only_b", "neither")]
    a, b = np.repeat([[1, 1, 0, 0], [1, 0, 1, 0]], counts, axis=1)
    answer = solved(exercise)
    assert float(answer["kappa"]) == pytest.approx(cohen_kappa_score(a, b))
    assert float(answer["agreed"]) == (a == b).mean()
    coins = np.random.default_rng(0).permuted(np.tile(b, (4000, 1)), axis=1)
    assert float(answer["agreed_by_chance"]) == pytest.approx((coins == a).mean(), abs=0.01)


# -- splits --------------------------------------------------------------------------------------


@cases(authors_apart, 3)
def test_authors_apart_as_scikit_learn_has_it(given):
    split = solved(authors_apart.exercise(**given))["split_authors"]
    authors = authors_apart.unequal_authors(5)
    train, test = (list(part) for part in split(authors, 1))
    theirs = next(GroupShuffleSplit(1, random_state=0).split(authors, groups=authors))
    for rows, others in ((train, test), theirs):
        assert not {authors[i] for i in rows} & {authors[i] for i in others}
        assert len(rows) + len(others) == len(authors)


def test_some_write_much_and_most_write_little():
    amounts = sorted(Counter(authors_apart.unequal_authors(0)).values())
    assert amounts[-1] > 5 * amounts[len(amounts) // 2]


# -- leaks ---------------------------------------------------------------------------------------


@cases(hidden_leak, 2)
def test_the_leak_predicts_coin_flips_and_the_mended_one_does_not(given):
    answer = solved(hidden_leak.exercise(**given))
    rows = (given or {"rows": 60})["rows"]
    error = math.sqrt(0.25 / (50 * (rows // 3)))
    assert abs(answer["honest_mean"] - 0.5) < 4 * error
    assert answer["leaky_mean"] > 0.5 + 8 * error


def test_the_step_that_is_accused_does_the_harm():
    """With the features chosen honestly, standardising by all rows changes little."""
    exercise = hidden_leak.exercise()
    setup = run(master.SETUP, exercise.solution)
    scaled = run(master.SETUP, exercise.wrong_answers["only the choice mended"])
    draws = [setup["coin_flips"](seed) for seed in range(50)]
    means = [np.mean([f["honest_accuracy"](*draw) for draw in draws]) for f in (setup, scaled)]
    assert abs(means[0] - means[1]) < 0.03


# -- signatures ----------------------------------------------------------------------------------


@cases(signatures, 4)
def test_similarity_and_its_deviation(given):
    exercise = signatures.exercise(**given)
    answer = solved(exercise)
    k = int(exercise.values["k"])
    pieces = [data.shingles(answer[name], k) for name in ("first_text", "second_text")]
    share = data.jaccard(*pieces)
    assert answer["similarity"] == share
    assert exercise.values["similarity"] == f"{share:.3f}"
    wanted = float(exercise.values["wanted"])
    n = answer["hashes_enough"]
    assert math.sqrt(share * (1 - share) / n) <= wanted
    assert math.sqrt(share * (1 - share) / (n - 1)) > wanted
    assert answer["first_text"] != answer["second_text"]


# -- merges --------------------------------------------------------------------------------------


@cases(merges_by_hand, 30)
def test_merges_are_those_of_the_twin(given):
    exercise = merges_by_hand.exercise(**given)
    words = given.get("words") or merges_by_hand.PAGE
    learnt = [(a.decode(), b.decode()) for a, b in twin.learn(words, 3)]
    answer = solved(exercise)
    assert answer["learnt_merges"] == learnt
    merges = [(a.encode(), b.encode()) for a, b in learnt]
    new = exercise.values["new"]
    assert [token.encode() for token in answer["tokens_of_new"]] == twin.encode(new, merges)
    assert new not in words


# -- bytes ---------------------------------------------------------------------------------------


@cases(bytes_of_chinese, 25)
def test_counts_are_those_of_the_tokenizer(given):
    exercise = bytes_of_chinese.exercise(**given)
    code, _, _ = exercise.starter.partition("token_counts")
    trained = run(master.SETUP, code)
    answer = solved(exercise)
    for letter, count in answer["token_counts"].items():
        text = exercise.values[f"text_{letter}"].strip("`")
        assert len(trained["tokenizer"].encode(text)) == count, text
    phrase = exercise.values["phrase"].strip("`")
    assert len(trained["trained_again"].encode(phrase)) == answer["count_after_training"]


# -- encoding ------------------------------------------------------------------------------------


@cases(encode_word, 5)
def test_words_are_cut_as_by_a_library(given):
    """By the package where nothing is passed over, and by Hugging Face's tokenizers."""
    longest = given.get("longest", 4)
    cut = solved(encode_word.exercise(**given))["bpe_tokens"]
    for seed in range(5):
        merges, words = encode_word.random_merges(seed)
        short = [pair for pair in merges if len(b"".join(pair)) <= longest]
        ours, theirs = tokenizers.BPE(short), hugging_face(short)
        for word in words:
            found = cut(word, merges)
            assert found == ours.merge(word)
            assert [part.decode() for part in found] == theirs.encode(word.decode()).tokens


def hugging_face(merges):
    tokens = ["a", "b", "c", *dict.fromkeys((a + b).decode() for a, b in merges)]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    pairs = [(a.decode(), b.decode()) for a, b in merges]
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


# -- grammars ------------------------------------------------------------------------------------


@cases(grammar_by_hand, 12)
def test_entropy_is_what_all_stories_together_say(given):
    """Add up −p log p over all stories of up to so many sentences, written out one by one."""
    exercise = grammar_by_hand.exercise(**given)
    answer = {name: float(value) for name, value in solved(exercise).items() if "bits" in name}
    sentences = sentences_of(exercise.values)
    assert sum(sentences.values()) == pytest.approx(1)
    entropy = -sum(p * math.log2(p) for p in sentences.values())
    assert answer["sentence_bits"] == pytest.approx(entropy)
    total = found = 0.0
    for n in (1, 2, 3):
        for some in itertools.product(sentences.values(), repeat=n):
            p = math.prod(some) / 2**n
            total += p
            found -= p * math.log2(p)
    assert total == pytest.approx(1 - 1 / 8)
    # Stories of n sentences cost n (h + 1) bits; those not written out have 4 and more.
    rest = sum(n / 2**n for n in range(4, 60)) * (entropy + 1)
    assert answer["language_bits"] == pytest.approx(found + rest)
    told = re.findall(r"\w+ \w+", exercise.values["story"])
    p = math.prod(sentences[sentence] for sentence in told) / 2 ** len(told)
    assert answer["story_bits"] == pytest.approx(-math.log2(p))


def sentences_of(values):
    """Read the sentences and their probabilities from what the question says."""
    found = {}
    for i, name in enumerate(grammar_by_hand.NAMES):
        chance = 1 / int(re.search(r"\{(\d+)\}$", values[f"chance_{i}"])[1])
        verbs = re.findall(r"\w+", values[f"verbs_{i}"])
        found |= {f"{name} {verb}": chance / len(verbs) for verb in verbs}
    return found


# -- the mix -------------------------------------------------------------------------------------


def test_the_mix_of_data_and_tokens():
    kinds = Counter(m.page.kind for m in master.MASTERS)
    assert kinds == {"by hand": 3, "predict": 1, "code": 2, "measure": 1, "open": 1}
