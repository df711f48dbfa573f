r"""Evaluation: measures of what a model gets right, and how sure one can be of them.

This folder adds: measures of labels, of scores and of probabilities; of rankings, texts and
answers; intervals and tests that say whether a difference may be chance; and small studies of
robustness, attribution and privacy. What is true comes first, as in scikit-learn, except for BLEU
and chrF, which follow sacrebleu. `perplexity` and `bits_per_byte` are those of
``companion.losses``; the folds and `cohens_kappa` are those of ``companion.data``.
"""

from companion.data.agreement import cohens_kappa
from companion.data.folds import group_folds, k_folds, stratified_folds
from companion.evaluation.accountant import dp_epsilon, rdp_subsampled_gaussian
from companion.evaluation.answers import answer_tokens, exact_match, normalize_answer, token_f1
from companion.evaluation.attempts import pass_at_k
from companion.evaluation.attribution import Attribution, integrated_gradients
from companion.evaluation.bleu import BleuScore, corpus_bleu, ngrams, sentence_bleu
from companion.evaluation.bleu_tokens import bleu_tokens
from companion.evaluation.chrf import corpus_chrf, sentence_chrf
from companion.evaluation.classification import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    matthews_corrcoef,
)
from companion.evaluation.correlation import pearson, ranks, spearman
from companion.evaluation.curves import (
    auc,
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from companion.evaluation.f_scores import f1, precision, recall
from companion.evaluation.intervals import Interval, bootstrap_difference, bootstrap_interval
from companion.evaluation.judged import bradley_terry, elo_ratings, elo_scale
from companion.evaluation.multiple import benjamini_hochberg, bonferroni, holm
from companion.evaluation.nested import NestedFold, nested_folds
from companion.evaluation.permutations import (
    mean_difference,
    paired_permutation_test,
    permutation_test,
)
from companion.evaluation.power import (
    power_paired,
    power_unpaired,
    sample_size_paired,
    sample_size_unpaired,
)
from companion.evaluation.privacy import (
    clip_and_add_noise,
    membership_auc,
    per_example_gradients,
    poisson_sample,
)
from companion.evaluation.probabilities import (
    ReliabilityTable,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability_table,
)
from companion.evaluation.retrieval import mean_reciprocal_rank, ndcg, recall_at_k
from companion.evaluation.robustness import fgsm
from companion.evaluation.rouge import RougeScore, rouge_l, rouge_lsum, rouge_n, rouge_tokens
from companion.evaluation.significance import Significance, mcnemar
from companion.evaluation.spans import Span, SpanScores, bio_spans, span_scores
from companion.losses import bits_per_byte, perplexity

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion_matrix",
    "precision",
    "recall",
    "f1",
    "matthews_corrcoef",
    "cohens_kappa",
    "roc_curve",
    "auc",
    "roc_auc",
    "precision_recall_curve",
    "average_precision",
    "k_folds",
    "stratified_folds",
    "group_folds",
    "NestedFold",
    "nested_folds",
    "log_loss",
    "brier_score",
    "ReliabilityTable",
    "reliability_table",
    "expected_calibration_error",
    "fit_temperature",
    "perplexity",
    "bits_per_byte",
    "ngrams",
    "bleu_tokens",
    "BleuScore",
    "corpus_bleu",
    "sentence_bleu",
    "corpus_chrf",
    "sentence_chrf",
    "RougeScore",
    "rouge_tokens",
    "rouge_n",
    "rouge_l",
    "rouge_lsum",
    "normalize_answer",
    "answer_tokens",
    "exact_match",
    "token_f1",
    "Span",
    "SpanScores",
    "bio_spans",
    "span_scores",
    "ranks",
    "pearson",
    "spearman",
    "ndcg",
    "mean_reciprocal_rank",
    "recall_at_k",
    "Interval",
    "bootstrap_interval",
    "bootstrap_difference",
    "Significance",
    "mcnemar",
    "mean_difference",
    "paired_permutation_test",
    "permutation_test",
    "bonferroni",
    "holm",
    "benjamini_hochberg",
    "pass_at_k",
    "bradley_terry",
    "elo_scale",
    "elo_ratings",
    "power_unpaired",
    "sample_size_unpaired",
    "power_paired",
    "sample_size_paired",
    "fgsm",
    "Attribution",
    "integrated_gradients",
    "membership_auc",
    "poisson_sample",
    "per_example_gradients",
    "clip_and_add_noise",
    "rdp_subsampled_gaussian",
    "dp_epsilon",
]
