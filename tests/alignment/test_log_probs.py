"""Log-probabilities of answers and reward models, against transformers and by hand."""

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from companion.alignment import (
    AnswerBatch,
    RewardModel,
    answer_batch,
    preference_loss,
    sequence_log_probs,
    token_log_probs,
)
from companion.finetuning import Trunk
from companion.generation import generate
from companion.losses import IGNORE
from companion.reference import alignment as twin
from tests.finetuning.support import LIMITS, V, ids, model, theirs
from tests.plugins import shapes
from tests.support import fill, seeds, shapes_vary
from tests.verification import agree, same

KINDS = pytest.mark.parametrize("kind", ["GPT", "Llama"])
PROMPTS, ANSWERS = [[1, 2, 3], [4], [5, 6]], [[7, 8], [9, 10, 11, 12], [13]]


def batch():
    return answer_batch(PROMPTS, ANSWERS, pad_id=0)


@KINDS
def test_answers_against_transformers(tmp_path, kind):
    """Their loss is the mean over the tokens that have a label."""
    ours, other = model(kind), theirs(model(kind), tmp_path)
    some, answer, mask = batch()
    found = sequence_log_probs(ours, some, answer, mask)
    labels = some.masked_fill(~answer, IGNORE)
    expected = [
        -other(row[None, :n], labels=label[None, :n]).loss.double() * len(reply)
        for row, label, n, reply in zip(some, labels, mask.sum((1, 2)), ANSWERS, strict=True)
    ]
    agree("sequence_log_probs", "transformers", found, torch.stack(expected), 1e-5, limit="float32")
    logits = other(some, attention_mask=mask[:, 0].long()).logits[:, :-1]
    every = torch.nn.functional.cross_entropy(logits.transpose(1, 2), some[:, 1:], reduction="none")
    seen = mask[:, 0, 1:]
    tokens = token_log_probs(ours, some, mask)
    agree("token_log_probs", "transformers", tokens[seen], -every[seen], **LIMITS[kind])


@shapes_vary
@given(n=st.integers(2, 6), seed=seeds)
def test_answers_against_the_twin(n, seed):
    ours, some = model("Llama"), ids(2, n, seed=seed)
    answer = torch.ones(2, n, dtype=torch.bool)
    answer[:, 0] = False
    answer[0, : n - 1] = False
    found = sequence_log_probs(ours, some, answer)
    logits = ours(some).detach().numpy()
    expected = [
        twin.sequence_log_prob(z, row.tolist(), own.tolist())
        for z, row, own in zip(logits, some, answer, strict=True)
    ]
    agree("sequence_log_probs", "NumPy twin", found, expected)
    table = torch.from_numpy(logits).log_softmax(-1)[0, :-1]
    last = table[-1, some[0, -1]]
    agree("twin: sequence_log_prob", "torch", expected[0], last)


@KINDS
def test_what_generation_says_of_its_own_texts(kind):
    ours = model(kind)
    written = generate(ours, PROMPTS, max_new_tokens=4, generator=torch.Generator().manual_seed(0))
    some, answer, mask = answer_batch(PROMPTS, written.ids)
    expected = torch.tensor([sum(row) for row in written.log_probs], dtype=torch.float64)
    found = sequence_log_probs(ours, some, answer, mask)
    agree("sequence_log_probs", "generate", found, expected, 1e-6, limit="float32 of its list")


def test_all_answers_of_one_length_have_probability_1():
    ours = model("GPT")
    every = torch.cartesian_prod(torch.arange(V), torch.arange(V))
    some, answer, mask = answer_batch([[3, 1]] * len(every), every.tolist())
    total = sequence_log_probs(ours, some, answer, mask).exp().sum()
    agree("sequence_log_probs, all answers", "1", total, 1.0)


def test_positions_are_those_that_are_given():
    """Two texts in a row of their own, and the same in one row that begins with another text."""
    ours = model("Llama")
    alone = torch.tensor([[1, 2, 3]])
    own = torch.tensor([[False, True, True]])
    row = torch.tensor([[9, 8, 1, 2, 3]])
    seen = torch.ones(1, 5, 5, dtype=torch.bool).tril()
    seen[:, 2:, :2] = False
    places = torch.tensor([[0, 1, 0, 1, 2]])
    packed = torch.tensor([[False, False, False, True, True]])
    found = sequence_log_probs(ours, row, packed, seen, places)
    agree("sequence_log_probs, packed", "alone", found, sequence_log_probs(ours, alone, own))


def test_gradients_flow_and_prompts_do_not_count():
    ours = model("GPT").requires_grad_()
    some, answer, mask = batch()
    found = sequence_log_probs(ours, some, answer, mask)
    found.sum().backward()
    assert ours.tokens.weight.grad.abs().max() > 0
    whole = mask[:, 0].clone()
    whole[:, 0] = False
    more = sequence_log_probs(ours, some, whole, mask)
    assert (more[[0, 2]] < found[[0, 2]]).all()  # their prompts are longer than one token
    agree("sequence_log_probs, a prompt of one", "the same", more[1].detach(), found[1].detach())


def test_a_batch_by_hand():
    found = answer_batch([[5], [6, 7]], [[8, 9, 3], [4]], pad_id=2)
    expected = AnswerBatch(
        torch.tensor([[5, 8, 9, 3], [6, 7, 4, 2]]),
        torch.tensor([[False, True, True, True], [False, False, True, False]]),
        torch.tensor([[[True] * 4], [[True, True, True, False]]]),
    )
    for name in AnswerBatch._fields:
        ours, wanted = getattr(found, name), getattr(expected, name)
        same(f"answer_batch, {name}", "by hand", ours, wanted)
    same("AnswerBatch, its parts", "by hand", AnswerBatch._fields, ("ids", "answer", "mask"))


# -- reward models -------------------------------------------------------------------------------

THEIRS = {
    "GPT": transformers.GPT2ForSequenceClassification,
    "Llama": transformers.LlamaForSequenceClassification,
}


@KINDS
def test_rewards_against_transformers(tmp_path, kind):
    ours = fill(RewardModel(Trunk(model(kind))), scale=0.3).eval()
    ours.scorer.encoder.model.save_hf(tmp_path)
    transformers.utils.logging.set_verbosity_error()
    options = {"num_labels": 1, "dtype": torch.float64, "attn_implementation": "eager"}
    other = THEIRS[kind].from_pretrained(tmp_path, **options).double().eval()
    with torch.no_grad():
        other.score.weight.copy_(ours.scorer.head.weight)
    some, _, mask = batch()
    other.config.pad_token_id = 0
    expected = other(some, attention_mask=mask[:, 0].long()).logits[:, 0]
    found = ours(some, mask) - ours.scorer.head.bias  # theirs has none
    agree("RewardModel", "transformers", found, expected, **LIMITS[kind])


def test_the_loss_of_a_reward_model():
    ours = fill(RewardModel(Trunk(model("GPT"))), scale=0.3).eval()
    some, _, mask = batch()
    chosen, rejected = ours(some, mask), ours(some[:, :3])
    found = ours.loss(some, some[:, :3], mask, margin=0.25)
    agree("RewardModel.loss", "preference_loss", found, preference_loss(chosen, rejected, 0.25))
    found.backward()
    without = [name for name, p in ours.named_parameters() if not p.grad.abs().max() > 0]
    # What adds the same to all rewards changes no comparison.
    assert without == ["scorer.encoder.model.norm.bias", "scorer.head.bias"]


def test_what_follows_the_last_token_does_not_count():
    ours = fill(RewardModel(Trunk(model("GPT"))), scale=0.3).eval()
    some, _, mask = batch()
    other = some.masked_fill(~mask[:, 0], 9)
    same("RewardModel, padding", "other padding", ours(other, mask), ours(some, mask))
    alone = torch.cat([ours(row[None, :n]) for row, n in zip(some, mask.sum((1, 2)), strict=True)])
    agree("RewardModel, a batch", "each alone", ours(some, mask), alone)


# -- wrong calls ---------------------------------------------------------------------------------

SOME, OWN = torch.tensor([[1, 2, 3]]), torch.tensor([[False, True, True]])


def ask(ids, *_):
    return torch.zeros(*ids.shape, 5)


WRONG = [
    (ValueError, "answers must be one for each prompt, 2; got 1", lambda: made([[1], [2]], [[3]])),
    (ValueError, "prompts must hold at least one list, of at least", lambda: made([], [])),
    (ValueError, "answers must hold at least one list", lambda: made([[1]], [[]])),
    (TypeError, "each id of answers must be a whole number", lambda: made([[1]], [[1.5]])),
    (ValueError, "pad_id must be at least 0", lambda: made([[1]], [[1]], -1)),
    (ValueError, "ids must have at least 2 tokens", lambda: token_log_probs(ask, SOME[:, :1])),
    (ValueError, "ids must be .batch, length., got", lambda: token_log_probs(ask, SOME[0])),
    (ValueError, "mask must have shape", lambda: token_log_probs(ask, SOME, OWN[None, :, :2])),
    (TypeError, "answer must be boolean", lambda: sequence_log_probs(ask, SOME, SOME)),
    (ValueError, r"answer must be \(batch, length\)", lambda: summed(OWN[:, :2])),
    (ValueError, "answer must leave a token in each row, got none in row 0", lambda: summed(~ALL)),
    (ValueError, "answer must not hold the first token of a row", lambda: summed(ALL)),
    (TypeError, "encoder must be a torch.nn.Module", lambda: RewardModel(3)),
]
ALL = torch.ones(1, 3, dtype=torch.bool)


def made(prompts, answers, pad_id=0):
    return answer_batch(prompts, answers, pad_id)


def summed(answer):
    return sequence_log_probs(ask, SOME, answer)


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
