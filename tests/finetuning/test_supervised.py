"""Two means of the same losses, answers and their judge, and a run that goes on."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from companion import training
from companion.finetuning import (
    ExampleLoss,
    Plain,
    first_fit,
    make_examples,
    pack_examples,
    pad_examples,
    share_exact,
    world_tasks,
    write_answers,
)
from companion.generation import generate
from companion.losses import IGNORE
from companion.models import GPT, GPTConfig
from companion.models.hub import to_theirs
from companion.tokenizers import Words
from companion.training import Epochs, TokenLoss
from tests.finetuning.conversations import V, examples, model, words
from tests.plugins import shapes
from tests.support import fill, seeds, shapes_vary
from tests.training.support import settings, timeless, weights
from tests.verification import agree, same

lengths_vary = given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), seed=seeds)


def batches_of(some):
    """Return the same examples in each form that they can be trained in."""
    rows = first_fit([len(example.inputs) for example in some], 12)
    packed = pack_examples([[some[i] for i in row] for row in rows], 0)
    return {
        "padded": pad_examples(some, 0),
        "padded on the left": pad_examples(some, 0, "left"),
        "packed": packed,
    }


def mean_of(objective, net, batch):
    return objective(net, batch)["loss"] / objective.count(batch)["loss"]


def by_torch(net, some):
    """Return the sum of each example's losses, and how many of them there are."""
    sums, counts = [], []
    for example in some:
        logits, targets = net(torch.tensor([example.inputs]))[0], torch.tensor(example.targets)
        sums.append(F.cross_entropy(logits, targets, reduction="sum"))
        counts.append(int((targets != IGNORE).sum()))
    return torch.stack(sums), torch.tensor(counts)


@pytest.mark.parametrize("kind", ["learned", "llama"])
@shapes_vary
@lengths_vary
def test_two_means_of_the_same_losses(kind, lengths, seed):
    some, net = examples(lengths, seed), model(kind)
    sums, counts = by_torch(net, some)
    for name, batch in batches_of(some).items():
        per_example = mean_of(ExampleLoss(), net, batch)
        agree(f"ExampleLoss, {name}", "F.cross_entropy", per_example, (sums / counts).mean())
        per_token = mean_of(TokenLoss(), net, batch)
        agree(f"TokenLoss, {name}", "F.cross_entropy", per_token, sums.sum() / counts.sum())
        assert ExampleLoss().count(batch) == {"loss": len(some)}
        assert TokenLoss().count(batch) == {"loss": int(counts.sum())}


def test_the_two_differ_where_answers_differ_in_length():
    some, net = examples([2, 9]), model("learned")
    batch = pad_examples(some, 0)
    sums, counts = by_torch(net, some)
    assert counts.tolist() == [1, 3]
    off = mean_of(ExampleLoss(), net, batch) - mean_of(TokenLoss(), net, batch)
    agree("ExampleLoss, minus TokenLoss", "by hand", off, (sums[0] - sums[1] / 3) / 4)
    assert off.abs() > 1e-3


def test_gradients_of_the_mean_over_examples():
    some, net = examples([2, 9, 4]), model("learned")
    sums, counts = by_torch(net, some)
    expected = torch.autograd.grad((sums / counts).mean(), net.tokens.weight)[0]
    for name, batch in batches_of(some).items():
        found = torch.autograd.grad(mean_of(ExampleLoss(), net, batch), net.tokens.weight)[0]
        agree(f"ExampleLoss, {name}, gradient", "F.cross_entropy", found, expected)


def test_the_loss_of_transformers_is_the_mean_over_tokens():
    """Its labels are not moved, and padding is hidden from nobody but by −100."""
    ours, some = model("learned"), examples([3, 7, 5])
    c = ours.config
    sizes = {"n_embd": c.d_model, "n_layer": c.n_layers, "n_head": c.n_heads}
    config = GPT2Config(
        vocab_size=V, n_positions=c.max_length, **sizes, attn_implementation="eager"
    )
    theirs = GPT2LMHeadModel(config).eval().double()
    theirs.load_state_dict(to_theirs(ours.state_dict(), GPT.layout), strict=False)
    theirs.tie_weights()
    ids, mask, positions, targets = pad_examples(some, 0)
    whole = torch.cat((ids, torch.zeros(len(ids), 1, dtype=torch.long)), dim=1)
    labels = torch.cat((torch.full((len(ids), 1), IGNORE), targets), dim=1)
    expected = theirs(whole, labels=labels).loss
    found = mean_of(TokenLoss(), ours, (ids, mask, positions, targets))
    agree(
        "TokenLoss, answers", "transformers.GPT2LMHeadModel", found, expected, 1e-5, limit="float32"
    )


def test_labels_that_are_not_masked_give_another_loss():
    tasks, _ = world_tasks(4, 1)
    texts = [text for task in tasks for text in (" ".join(task.values()), task["output"])]
    known = Words.train(texts, ["<|answer|>", "<|end|>"])
    template, net = Plain(known), GPT(GPTConfig(known.vocab_size, 128, 8, 1, 2))
    counts = {}
    for only in (True, False):
        batch = pad_examples(make_examples(tasks, template, answer_only=only), 0)
        counts[only] = TokenLoss().count(batch)["loss"]
        assert TokenLoss()(net, batch)["loss"].isfinite()
    assert counts[True] == 2 * len(tasks)  # one word, and the end
    assert counts[False] > 10 * counts[True]


def test_an_example_without_a_target_does_not_count():
    some = examples([3, 4])
    some[0] = some[0]._replace(targets=[IGNORE] * 3)
    net = model("learned")
    for name, batch in batches_of(some).items():
        assert ExampleLoss().count(batch) == {"loss": 1}
        sums, counts = by_torch(net, some[1:])
        agree(
            f"ExampleLoss, {name}, one without targets",
            "F.cross_entropy",
            mean_of(ExampleLoss(), net, batch),
            (sums / counts).mean(),
        )


@pytest.mark.parametrize("objective", [TokenLoss(), ExampleLoss()], ids=["token", "example"])
def test_micro_batches_give_the_step_of_one_batch(objective):
    some = examples([2, 9, 4, 6])
    states = []
    for parts in ([some], [some[:1], some[1:]], [some[:3], some[3:]]):
        net = model("learned")
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        batches = [pad_examples(part, 0) for part in parts]
        training.train_step(net, batches, objective, [optimizer])
        states.append(weights(net))
    for state in states[1:]:
        agree(f"{type(objective).__name__}, micro-batches", "one batch", state, states[0])


# -- an interrupted run goes on ------------------------------------------------------------------


class Killed(Exception):
    pass


def packed_epochs(seed=0):
    some = examples([2, 9, 4, 6, 3, 3, 5, 7, 8, 2])
    rows = first_fit([len(example.inputs) for example in some], 12)
    kept = [[some[i] for i in row] for row in rows]
    return Epochs(kept, 2, seed=seed, collate=partial(pack_examples, pad_id=0))


def padded_epochs(seed=0):
    some = examples([2, 9, 4, 6, 3, 3, 5, 7, 8, 2])
    return Epochs(some, 3, seed=seed, collate=partial(pad_examples, pad_id=0))


@pytest.mark.parametrize("make", [packed_epochs, padded_epochs])
@pytest.mark.parametrize("objective", [TokenLoss(), ExampleLoss()], ids=["token", "example"])
def test_an_interrupted_fine_tuning_goes_on_bit_for_bit(tmp_path, make, objective):
    trained = model("learned", torch.float32)

    def run(folder, killed=None, start=trained):
        net = copy.deepcopy(start)
        for module in net.modules():
            if hasattr(module, "p"):
                module.p = 0.2  # dropout, so that what is drawn counts too
        config = settings(steps=7, folder=str(tmp_path / folder), checkpoint_every=2)
        epochs = make()

        def until(i):
            if i == killed:
                raise Killed
            return epochs(i)

        return net, training.train(net, until, config, objective=objective)

    whole, history = run("whole")
    assert not torch.equal(weights(whole), weights(trained))
    for place in (1, 3, 6):
        with pytest.raises(Killed):
            run(str(place), killed=place)
        # Before the first checkpoint a run has to begin as it began; later, anything may be given.
        other = trained if place == 1 else fill(copy.deepcopy(trained), seed=7, dtype=torch.float32)
        again, found = run(str(place), start=other)
        same("train, fine-tuning resumed", "not interrupted", timeless(found), timeless(history))
        assert torch.equal(weights(again), weights(whole))


# -- answers -------------------------------------------------------------------------------------


def test_answers_are_those_of_generate():
    template = Plain(words())
    net = GPT(
        GPTConfig(vocab_size=words().vocab_size, max_length=16, d_model=8, n_layers=1, n_heads=2)
    )
    asked = [[{"role": "user", "content": text}] for text in ("Who ran?", "Who", " ran ran?")]
    prompts = [template.prompt(messages) for messages in asked]
    end = words().special_ids["<|end|>"]
    expected = generate(net, prompts, max_new_tokens=4, stop=end, tokenizer=words()).texts
    for size in (1, 2, 64):
        found = write_answers(net, template, asked, max_new_tokens=4, batch_size=size)
        same("write_answers", "companion.generation.generate", found, expected)


@pytest.mark.verifies("write_answers", "a small model learns four answers, and to end")
def test_a_model_learns_to_answer():
    names = ("Ben", "Ann", "Tom", "Eve")
    known = Words(
        ["Who", " ran", "?", *names, *(f" {name}" for name in names)], ["<|answer|>", "<|end|>"]
    )
    template = Plain(known)
    tasks = [{"instruction": f"Who ran? {name} ran", "input": "", "output": name} for name in names]
    torch.manual_seed(0)
    net = GPT(GPTConfig(known.vocab_size, 16, 16, 1, 2))
    batch = pad_examples(make_examples(tasks, template), 0)
    asked = [template.messages(task)[:1] for task in tasks]
    before = write_answers(net, template, asked, max_new_tokens=3)
    training.train(net, [batch], settings(steps=150, lr=1e-2, weight_decay=0.0))
    after = write_answers(net, template, asked, max_new_tokens=3)
    assert share_exact(before, names) < 1
    same("share_exact", "all answers learnt", share_exact(after, names), 1.0)


def test_exact_means_letter_by_letter():
    found = share_exact(
        ["5", " forest\n", "Lake", "a forest", ""], ["5", "forest", "lake", "forest", ""]
    )
    same("share_exact", "by hand", found, 3 / 5)


BATCH = pad_examples(examples([3]), 0)


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (TypeError, "batch must be (ids, mask, pos", lambda: ExampleLoss().count(BATCH[:2])),
        (TypeError, "as pad_examples and pack_ex", lambda: ExampleLoss()(None, {"ids": 1})),
        (ValueError, "answers must be as many", lambda: share_exact(["a"], [])),
        (ValueError, "answers must be as many", lambda: share_exact([], [])),
        (TypeError, "answers must be a list of texts", lambda: share_exact("a", ["a"])),
        (TypeError, "each of references must be a str", lambda: share_exact(["5"], [5])),
        (
            ValueError,
            "batch_size must be at least 1",
            lambda: write_answers(None, Plain(words()), [], max_new_tokens=1, batch_size=0),
        ),
    ],
)
def test_errors_name_the_argument(kind, message, call):
    with shapes.unchecked(), pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
