"""Texts and answers: equal to sacrebleu and rouge-score, tokenisers included, and by hand."""

import itertools
import random

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_char import TokenizerChar
from sacrebleu.tokenizers.tokenizer_none import NoneTokenizer
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from companion import evaluation
from companion.reference import evaluation as twin
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

TOKENIZERS = {"13a": Tokenizer13a, "zh": TokenizerZh, "char": TokenizerChar, "none": NoneTokenizer}
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    "a",
    "3.5",
    "it's",
    "well-known",
    "(so)",
    "end.",
    "10-20",
]
ODD = "ab1 .,-'\"&;!?()/\n\t$%<>|~é“”。，中文字αß\u3000\U00020000"
texts = st.text(alphabet=ODD, max_size=20)
SMOOTH = [
    ("exp", None),
    ("floor", None),
    ("floor", 0.3),
    ("add-k", None),
    ("add-k", 0.5),
    ("none", None),
]


def sentences(seed, n, most=9, words=WORDS):
    """Return sentences of some of the words, some of them empty."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(words, k=rng.randint(0, most))) for _ in range(n)]


def streams(references):
    """Return references as sacrebleu takes them: one list for each that a sentence may have."""
    return [list(some) for some in itertools.zip_longest(*references)]


# -- BLEU ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOKENIZERS)
@shapes_vary
@given(text=texts)
def test_tokens(name, text):
    theirs = TOKENIZERS[name]()(text.rstrip()).split()
    same(f"bleu_tokens, {name}", "sacrebleu", evaluation.bleu_tokens(text, name), theirs)


def test_every_character_is_cut_as_sacrebleu_cuts_it():
    """Each one between letters, between digits and beside a space."""
    theirs = {name: kind() for name, kind in TOKENIZERS.items()}
    for first in [*range(0, 0x10000, 0x800), 0x1F000, 0x20000]:
        if not 0xD800 <= first < 0xE000:
            characters = map(chr, range(first, first + 0x800))
            text = " ".join(f"a{c}b1{c}2 {c}" for c in characters)
            for name in ("13a", "zh"):
                expected = theirs[name](text).split()
                same(
                    f"bleu_tokens, {name}",
                    "sacrebleu",
                    evaluation.bleu_tokens(text, name),
                    expected,
                )


def test_entities_and_broken_lines_are_mended():
    text = "a &quot;b&quot; &amp; &lt;c&gt; <skipped>hy-\nphen\nnew 1,000.50 and-so 3-4 &amp;lt;"
    expected = Tokenizer13a()(text).split()
    same("bleu_tokens, 13a", "sacrebleu", evaluation.bleu_tokens(text), expected)


@pytest.mark.parametrize(("smooth", "value"), SMOOTH)
@pytest.mark.parametrize("effective", [False, True])
@shapes_vary
@given(seed=seeds, n=st.integers(1, 4), n_references=st.integers(1, 3), most=st.integers(1, 9))
def test_bleu_of_a_corpus(smooth, value, effective, seed, n, n_references, most):
    """Short sentences, so that orders have no match or no n-gram at all."""
    hypotheses = sentences(seed, n, most)
    rng = random.Random(seed)
    references = [sentences(seed + 10 + i, rng.randint(1, n_references)) for i in range(n)]
    settings = {"smooth": smooth, "smooth_value": value, "effective_order": effective}
    ours = evaluation.corpus_bleu(hypotheses, references, **settings)
    theirs = sacrebleu.BLEU(smooth_method=smooth, smooth_value=value, effective_order=effective)
    expected = theirs.corpus_score(hypotheses, streams(references))
    agree(f"corpus_bleu, smooth={smooth}", "sacrebleu", ours.score, expected.score)
    agree("BleuScore, precisions", "sacrebleu", ours.precisions, expected.precisions)
    agree("BleuScore, brevity_penalty", "sacrebleu", ours.brevity_penalty, expected.bp)
    counts = [ours.matches, ours.totals, ours.hypothesis_length, ours.reference_length]
    wanted = [expected.counts, expected.totals, expected.sys_len, expected.ref_len]
    same("BleuScore, counts", "sacrebleu", counts, wanted)


@pytest.mark.parametrize("tokenize", TOKENIZERS)
@shapes_vary
@given(seed=seeds, order=st.integers(1, 5), lowercase=st.booleans())
def test_bleu_with_other_tokens_and_orders(tokenize, seed, order, lowercase):
    words = ["我们", "喜欢", "The", "the", "3.5", "学习，", "GPT-2", "。", "很"]
    hypothesis, *references = sentences(seed, 3, 8, words)
    ours = evaluation.corpus_bleu(
        [hypothesis], [references], tokenize=tokenize, max_order=order, lowercase=lowercase
    )
    theirs = sacrebleu.BLEU(tokenize=tokenize, max_ngram_order=order, lowercase=lowercase)
    expected = theirs.corpus_score([hypothesis], streams([references])).score
    agree(f"corpus_bleu, tokenize={tokenize}", "sacrebleu", ours.score, expected)


@shapes_vary
@given(seed=seeds, effective=st.booleans())
def test_bleu_of_a_sentence(seed, effective):
    hypothesis, *references = sentences(seed, 3)
    ours = evaluation.sentence_bleu(hypothesis, references, effective_order=effective).score
    theirs = sacrebleu.BLEU(effective_order=effective).sentence_score(hypothesis, references).score
    agree("sentence_bleu", "sacrebleu", ours, theirs)
    assert evaluation.sentence_bleu(hypothesis, references[0]) == evaluation.corpus_bleu(
        [hypothesis], [references[0]], effective_order=True
    )


def test_one_pair_by_hand():
    """7 tokens against 8: 6, 4, 2 and 1 n-grams match."""
    hypothesis, reference = "the cat sat on the mat .", "the cat sat quietly on the mat ."
    ours = evaluation.corpus_bleu([hypothesis], [reference])
    by_hand = [700 / 7, 500 / 6, 300 / 5, 100 / 4]
    agree("corpus_bleu", "by hand", ours.precisions, by_hand)
    score = np.exp(1 - 8 / 7) * np.prod(by_hand) ** 0.25
    agree("corpus_bleu", "by hand", ours.score, score)
    same("ngrams", "by hand", evaluation.ngrams("abab", 2), {("a", "b"): 2, ("b", "a"): 1})


def test_a_corpus_is_not_the_mean_of_its_sentences():
    hypotheses, references = ["a b c d e", "x"], ["a b c d e", "y z"]
    whole = evaluation.corpus_bleu(hypotheses, references).score
    parts = [
        evaluation.sentence_bleu(h, r).score for h, r in zip(hypotheses, references, strict=True)
    ]
    assert abs(whole - np.mean(parts)) > 10


def test_an_empty_hypothesis_gets_nothing():
    assert evaluation.corpus_bleu([""], ["a b"]).score == 0
    assert evaluation.sentence_bleu("", "").score == 0
    assert evaluation.corpus_chrf([""], ["a b"]) == 0
    assert evaluation.rouge_n("a b", "", 1) == evaluation.rouge_lsum("a", "") == (0, 0, 0)


# -- chrF ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "beta"), [(0, 2), (2, 2), (1, 1), (0, 3)])
@shapes_vary
@given(seed=seeds, n=st.integers(1, 4), odd=st.lists(texts, min_size=2, max_size=2))
def test_chrf(words, beta, seed, n, odd):
    hypotheses = [odd[0], *sentences(seed, n, 4)]
    references = [[odd[1]], *(sentences(seed + 5 + i, 1 + i % 2, 4) for i in range(n))]
    theirs = sacrebleu.CHRF(word_order=words, beta=beta)
    ours = evaluation.corpus_chrf(hypotheses, references, word_order=words, beta=float(beta))
    expected = theirs.corpus_score(hypotheses, streams(references)).score
    agree(f"corpus_chrf, word_order={words}", "sacrebleu", ours, expected)
    for hypothesis, some in zip(hypotheses, references, strict=True):
        ours = evaluation.sentence_chrf(hypothesis, some, word_order=words, beta=float(beta))
        expected = theirs.sentence_score(hypothesis, some).score
        agree(f"sentence_chrf, word_order={words}", "sacrebleu", ours, expected)


@shapes_vary
@given(seed=seeds, order=st.integers(1, 8))
def test_chrf_in_small_letters_and_of_other_orders(seed, order):
    words = ["Cat", "cat", "CAT", "Mat"]
    hypothesis, reference = sentences(seed, 2, 4, words)
    ours = evaluation.sentence_chrf(hypothesis, reference, char_order=order, lowercase=True)
    theirs = sacrebleu.CHRF(char_order=order, lowercase=True)
    agree("sentence_chrf", "sacrebleu", ours, theirs.sentence_score(hypothesis, [reference]).score)


# -- ROUGE ---------------------------------------------------------------------------------------

SCORER = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rouge3", "rougeL", "rougeLsum"])


@shapes_vary
@given(seed=seeds, lines=st.integers(1, 4), odd=texts)
def test_rouge(seed, lines, odd):
    target = "\n".join(sentences(seed, lines))
    prediction = "\n".join([odd, *sentences(seed + 1, lines)])
    theirs = SCORER.score(target, prediction)
    for n in (1, 2, 3):
        ours = evaluation.rouge_n(target, prediction, n)
        agree(f"rouge_n, n={n}", "rouge-score", ours, theirs[f"rouge{n}"])
    ours = evaluation.rouge_l(target, prediction)
    agree("rouge_l", "rouge-score", ours, theirs["rougeL"])
    ours = evaluation.rouge_lsum(target, prediction)
    agree("rouge_lsum", "rouge-score", ours, theirs["rougeLsum"])


@shapes_vary
@given(text=st.text(st.characters(max_codepoint=0x250), max_size=30))
def test_rouge_s_words(text):
    theirs = SCORER._tokenizer.tokenize(text)
    same("rouge_tokens", "rouge-score", evaluation.rouge_tokens(text), theirs)


@shapes_vary
@given(a=st.text("abc", min_size=1, max_size=6), b=st.text("abc", min_size=1, max_size=6))
def test_the_longest_common_subsequence_is_the_longest(a, b):
    longest = twin.longest_common(a, b)
    ours = evaluation.rouge_l(a, b, tokenize=list)
    agree("RougeScore, recall", "NumPy twin", ours.recall, longest / len(a))
    agree("rouge_l", "NumPy twin", ours.precision, longest / len(b))
    theirs = SCORER.score(" ".join(a), " ".join(b))["rougeL"].recall * len(a)
    agree("twin: longest_common", "rouge-score", float(longest), theirs)


def test_chinese_is_judged_by_characters():
    target, prediction = "我喜欢读书", "我很喜欢书"
    assert evaluation.rouge_n(target, prediction, 1) == (0, 0, 0)  # no letters of a to z
    assert evaluation.rouge_n(target, prediction, 1, tokenize=list).recall == 4 / 5
    assert evaluation.rouge_l(target, prediction, tokenize=list).precision == 4 / 5


# -- answers -------------------------------------------------------------------------------------


def squad_normalized(text):
    """Normalise as SQuAD's paper says: small letters, no punctuation, articles or spare space."""
    kept = "".join(c for c in text.lower() if c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return " ".join(word for word in kept.split() if word not in {"a", "an", "the"})


ENGLISH = [
    "The",
    "the",
    "a",
    "An",
    "Nile.",
    "nile",
    "river-bank",
    "(Egypt)",
    "theory",
    "é",
    "5,000",
]


@shapes_vary
@given(words=st.lists(st.sampled_from(ENGLISH), max_size=6))
def test_english_answers_are_normalised_as_described(words):
    text = "  ".join(words)
    same(
        "normalize_answer",
        "the description of SQuAD",
        evaluation.normalize_answer(text),
        squad_normalized(text),
    )
    same(
        "answer_tokens",
        "the description of SQuAD",
        evaluation.answer_tokens(text),
        squad_normalized(text).split(),
    )


def overlap(a, b):
    """Count tokens in common by crossing them out."""
    rest, common = list(b), 0
    for token in a:
        if token in rest:
            rest.remove(token)
            common += 1
    return common


@shapes_vary
@given(seed=seeds, n=st.integers(1, 3))
def test_answers_are_scored_by_their_tokens(seed, n):
    prediction, *answers = sentences(seed, n + 1, 4, ENGLISH)
    best = 0.0
    for answer in answers:
        a, b = squad_normalized(answer).split(), squad_normalized(prediction).split()
        common = overlap(a, b)
        f1 = 2 / (len(a) / common + len(b) / common) if common else float(a == b)
        best = max(best, f1)
    agree("token_f1", "by crossing out", evaluation.token_f1(answers, prediction), best)
    equal = squad_normalized(prediction) in [squad_normalized(answer) for answer in answers]
    same(
        "exact_match",
        "the description of SQuAD",
        evaluation.exact_match(answers, prediction),
        float(equal),
    )


@pytest.mark.parametrize(
    ("answer", "prediction", "match", "f1"),
    [
        ("the Nile", "Nile", 1, 1),
        ("the Nile", "The river Nile!", 0, 2 / 3),
        ("", "", 1, 1),  # there is no answer, and that was said
        ("", "Nile", 0, 0),
        ("Nile", "", 0, 0),
        ("the", "", 1, 1),  # nothing is left of an article
        ("a a b", "a b b", 0, 2 / 3),  # an "a" is an article: b against b b
        ("北京市", "《北京》。", 0, 4 / 5),
        ("北京", "北京。", 1, 1),
        ("2008 年", "2008年", 0, 1),
    ],
)
def test_answers_by_hand(answer, prediction, match, f1):
    same("exact_match", "by hand", evaluation.exact_match(answer, prediction), match)
    agree("token_f1", "by hand", evaluation.token_f1(answer, prediction), f1)


# -- what is refused -----------------------------------------------------------------------------

bleu, chrf = evaluation.corpus_bleu, evaluation.corpus_chrf
REFUSED = [
    (
        ValueError,
        "hypotheses and references must have the same length, got 1 and 2",
        lambda: bleu(["a"], ["a", "b"]),
    ),
    (
        ValueError,
        "hypotheses and references must have the same length, got 1 and 2",
        lambda: chrf(["a"], ["a", "b"]),
    ),
    (ValueError, "hypotheses and references must not be empty", lambda: bleu([], [])),
    (ValueError, "references must hold at least one text for each", lambda: bleu(["a"], [[]])),
    (TypeError, "hypotheses must be a list of texts, got one text", lambda: bleu("a", ["a"])),
    (TypeError, "references must be a list with one entry", lambda: bleu(["a"], "a")),
    (TypeError, "each of references must be a str, got NoneType", lambda: bleu(["a"], [[None]])),
    (TypeError, "hypothesis must be a str, got list", lambda: evaluation.sentence_bleu(["a"], "a")),
    (TypeError, "hypothesis must be a str, got list", lambda: evaluation.sentence_chrf(["a"], "a")),
    (
        ValueError,
        r"tokenize must be one of \['13a', 'zh'",
        lambda: bleu(["a"], ["a"], tokenize="14a"),
    ),
    (
        ValueError,
        "smooth must be one of .*; did you mean 'add-k'",
        lambda: bleu(["a"], ["a"], smooth="addk"),
    ),
    (ValueError, "smooth_value must be left out", lambda: bleu(["a"], ["a"], smooth_value=1.0)),
    (
        ValueError,
        "smooth_value must be at least 0",
        lambda: bleu(["a"], ["a"], smooth="floor", smooth_value=-1),
    ),
    (ValueError, "max_order must be at least 1", lambda: bleu(["a"], ["a"], max_order=0)),
    (TypeError, "lowercase must be True or False", lambda: bleu(["a"], ["a"], lowercase="yes")),
    (ValueError, "char_order must be at least 1", lambda: chrf(["a"], ["a"], char_order=0)),
    (ValueError, "beta must be above 0", lambda: chrf(["a"], ["a"], beta=0)),
    (ValueError, "n must be at least 1", lambda: evaluation.rouge_n("a", "a", 0)),
    (TypeError, "target must be a str, got list", lambda: evaluation.rouge_l(["a"], "a")),
    (TypeError, "prediction must be a str", lambda: evaluation.rouge_lsum("a", None)),
    (
        TypeError,
        "tokenize must be a function",
        lambda: evaluation.rouge_n("a", "a", 1, tokenize="char"),
    ),
    (ValueError, "answers must hold at least one text", lambda: evaluation.exact_match([], "a")),
    (TypeError, "prediction must be a str", lambda: evaluation.token_f1("a", ["a"])),
    (TypeError, "each of answers must be a str", lambda: evaluation.token_f1([1], "a")),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_wrong_calls_are_refused(kind, message, call):
    with unchecked(), pytest.raises(kind, match=message):
        call()
