"""Objectives: sums and numbers of targets, before they are divided."""

import pytest
import torch
from torch.nn import functional as F

from companion.training import Objective, TokenLoss, objectives
from tests.support import normal
from tests.verification import agree, same

LOGITS = normal(2, 3, 5)
TARGETS = torch.tensor([[0, -100, 2], [4, 4, -100]])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignore", [-100, 4])
def test_token_loss_is_a_sum_over_what_counts(smoothing, ignore):
    objective = TokenLoss(smoothing, ignore)
    targets = TARGETS.where(TARGETS >= 0, ignore)
    expected = F.cross_entropy(
        LOGITS.flatten(0, 1),
        targets.flatten(),
        reduction="sum",
        ignore_index=ignore,
        label_smoothing=smoothing,
    )
    batch = torch.tensor([[1, 2, 3], [4, 5, 6]]), targets
    agree("TokenLoss", "torch", objective(lambda ids: LOGITS, batch)["loss"], expected)
    same("TokenLoss.count", "by hand", objective.count(batch), {"loss": 4 if ignore < 0 else 2})


def test_all_but_the_targets_goes_to_the_model():
    x = torch.ones(2, 3)
    seen = []
    TokenLoss()(lambda *inputs: seen.extend(inputs) or LOGITS, (x, 2 * x, TARGETS))
    assert [float(each[0, 0]) for each in seen] == [1.0, 2.0]


@pytest.mark.verifies("Objective", "is what has a method count and can be called")
def test_what_an_objective_is():
    assert isinstance(TokenLoss(), Objective)
    assert not isinstance(lambda model, batch: {}, Objective)


def test_the_mean_over_all_targets():
    counts = objectives.added([{"a": 3, "b": 0}, {"a": 1, "b": 2}])
    same("added", "by hand", counts, {"a": 4, "b": 2})
    terms = {"a": torch.tensor(2.0), "b": torch.tensor(1.0)}
    agree("share_of_mean", "by hand", objectives.share_of_mean(terms, counts), torch.tensor(1.0))
    nothing = torch.zeros((), requires_grad=True)  # the sum over no targets, which was computed
    without = objectives.share_of_mean({**terms, "b": nothing}, {"a": 4, "b": 0})
    agree("share_of_mean", "by hand", without.detach(), torch.tensor(0.5))
    assert without.requires_grad
    result = objectives.means({"a": 6.0, "b": 0.0}, {"a": 4, "b": 0})
    same("means", "by hand", result, {"a": 1.5, "b": 0.0, "loss": 1.5})


def test_terms_that_were_not_counted_are_refused():
    with pytest.raises(ValueError, match=r"must count the terms that it returns, got \['b'\]"):
        objectives.share_of_mean({"a": torch.ones(())}, {"b": 1})


@pytest.mark.verifies("require_counts", "refuses names that are taken and what is no number")
@pytest.mark.parametrize(
    ("kind", "message", "counts"),
    [
        (TypeError, "count must return a dict, got int", 3),
        (TypeError, "number of targets of 'a' must be a whole number", {"a": 1.5}),
        (ValueError, "number of targets of 'a' must be at least 0", {"a": -1}),
        (ValueError, "terms must have names", {}),
        (ValueError, "terms must have names", {"lr": 1}),
        (ValueError, "terms must have names", {"loss": 1, "nsp": 2}),
    ],
)
def test_wrong_counts(kind, message, counts):
    assert objectives.require_counts({"loss": 1}) == {"loss": 1}
    with pytest.raises(kind, match=message):
        objectives.require_counts(counts)


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (ValueError, "label_smoothing must be from 0 to 1", lambda: TokenLoss(1.5)),
        (TypeError, "ignore_index must be a whole", lambda: TokenLoss(0.0, None)),
        (TypeError, "batch must be .inputs, targets., got Tensor", lambda: count(TARGETS)),
        (TypeError, "batch must be .inputs, targets., got dict", lambda: count({"ids": TARGETS})),
    ],
)
def test_wrong_arguments_are_named(kind, message, call):
    with pytest.raises(kind, match=message):
        call()


def count(batch):
    return TokenLoss().count(batch)
