"""Examples, batches of them, and the instructions of Tiny World."""

import random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from companion.finetuning import (
    ChatML,
    Example,
    Plain,
    Rendered,
    first_fit,
    make_example,
    make_examples,
    pack_examples,
    pad_examples,
    world_tasks,
)
from companion.losses import IGNORE
from companion.models import load_pretrained
from companion.tinyworld import TinyWorld, grammar
from tests.finetuning.conversations import ASK, KINDS, SAY, chat, examples, model, real_rows, words
from tests.plugins import shapes
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

TASK = {"instruction": "Who ran?", "input": "", "output": "Ben"}
LONG = [TASK, {**TASK, "output": "Ben Ben Ben Ben"}]


def test_targets_are_those_of_transformers():
    """There labels stand where the ids stand, and the model moves them by one."""
    rendered = ChatML(chat(system="Be brief.")).render([ASK, SAY, ASK, SAY])
    ids, answer = torch.tensor(rendered.ids), torch.tensor(rendered.answer)
    labels = torch.where(answer, ids, IGNORE)
    found = make_example(rendered)
    same("make_example, inputs", "ids but the last", found.inputs, ids[:-1])
    same("make_example, targets", "labels of transformers, moved", found.targets, labels[1:])
    everything = make_example(rendered, answer_only=False)
    same("make_example, everything", "ids but the first", everything.targets, ids[1:])


def test_the_end_is_learnt_too():
    (example,) = make_examples([TASK], Plain(words()))
    same("make_examples", "by hand", example, Example([0, 1, 2, 5, 3], [*[IGNORE] * 3, 3, 6]))
    same("instructions.Example", "by hand", len(example.inputs), len(example.targets))


def test_conversations_and_tasks_give_the_same():
    template = Plain(words())
    by_hand = [make_example(template.render(template.messages(task))) for task in LONG]
    same("make_examples", "make_example", make_examples(LONG, template), by_hand)
    messages = [template.messages(task) for task in LONG]
    same("make_examples, messages", "tasks", make_examples(messages, template), by_hand)


@pytest.mark.parametrize("max_length", [5, 6, 7, 8])
def test_what_is_too_long(max_length):
    template = Plain(words())
    short, long = make_examples(LONG, template)
    assert (len(short.inputs), len(long.inputs)) == (5, 8)
    fits = max_length >= 8
    expected = {
        "drop": [short, long] if fits else [short],
        "cut_start": [short, Example(long.inputs[-max_length:], long.targets[-max_length:])],
        "cut_end": [short, Example(long.inputs[:max_length], long.targets[:max_length])],
    }
    for too_long, wanted in expected.items():
        found = make_examples(LONG, template, max_length=max_length, too_long=too_long)
        same(f"make_examples, {too_long}", "by hand", found, wanted)
    assert expected["cut_start"][1].targets[-1] == template.end_id
    assert (expected["cut_end"][1].targets[-1] == template.end_id) is fits


def test_what_has_no_target_left_is_left_out():
    template = Plain(words())
    found = make_examples(LONG, template, max_length=3, too_long="cut_end", answer_only=False)
    assert len(found) == 2
    with pytest.raises(ValueError, match="tasks must give an example with a target, got none of 2"):
        make_examples(LONG, template, max_length=3, too_long="cut_end")


# -- batches -------------------------------------------------------------------------------------


def test_a_padded_batch_by_hand():
    rows = [Example([5, 6, 7], [IGNORE, 7, 8]), Example([9], [3])]
    right = pad_examples(rows, pad_id=1)
    left = pad_examples(rows, pad_id=1, side="left")
    expected = {
        "ids": ([[5, 6, 7], [9, 1, 1]], [[5, 6, 7], [1, 1, 9]]),
        "mask": ([[[1, 1, 1]], [[1, 0, 0]]], [[[1, 1, 1]], [[0, 0, 1]]]),
        "positions": ([[0, 1, 2], [0, 0, 0]], [[0, 1, 2], [0, 0, 0]]),
        "targets": ([[IGNORE, 7, 8], [3, *[IGNORE] * 2]], [[IGNORE, 7, 8], [*[IGNORE] * 2, 3]]),
    }
    for i, (name, (of_right, of_left)) in enumerate(expected.items()):
        same(f"pad_examples, {name}", "by hand", right[i].long(), of_right)
        same(f"pad_examples, left, {name}", "by hand", left[i].long(), of_left)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", KINDS)
@shapes_vary
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4), seed=seeds)
def test_padding_changes_nothing(kind, side, lengths, seed):
    """Logits of each example are those that it has alone, whatever is filled in and where."""
    some, net = examples(lengths, seed), model(kind)
    alone = [net(torch.tensor([example.inputs]))[0] for example in some]
    for pad_id in (0, 3):
        ids, mask, positions, targets = pad_examples(some, pad_id, side)
        logits = net(ids, mask, positions)
        real = mask[:, 0]
        agree("pad_examples, logits", "each example alone", logits[real], torch.cat(alone))
        kept = [target for example in some for target in example.targets]
        same("pad_examples, targets", "each example alone", targets[real], kept)
        assert (targets[~real] == IGNORE).all()


def test_without_positions_padding_on_the_left_goes_wrong():
    """What must be handed over: learnt positions of a text that does not begin at 0 are others."""
    some, net = examples([3, 7]), model("learned")
    ids, mask, positions, _ = pad_examples(some, 0, "left")
    right, wrong = net(ids, mask, positions), net(ids, mask)
    assert (right[0, 4:] - wrong[0, 4:]).abs().max() > 1e-3
    assert torch.equal(right[1], wrong[1])


@torch.no_grad()
def test_real_instructions_as_a_batch():
    """From the file to the loss of SmolLM2, whose first guess of the answers is no bad one."""
    smollm = load_pretrained("SmolLM2-135M-Instruct")
    some = make_examples(
        real_rows("instruction_en", 4), ChatML(smollm.tokenizer), max_length=128, too_long="drop"
    )
    places = first_fit([len(example.inputs) for example in some], 160)
    end = smollm.tokenizer.special_ids["<|im_end|>"]
    packed = pack_examples([[some[i] for i in row] for row in places], end)
    assert len(packed[0]) < len(some)
    losses = []
    for *inputs, targets in (packed, pad_examples(some, end)):
        losses.append(F.cross_entropy(smollm(*inputs).flatten(0, 1), targets.flatten()))
    assert 0 < losses[1] < 3  # an even guess among 49,152 tokens costs 10.8
    agree("pack_examples, SmolLM2, loss", "one example in a row", losses[0], losses[1], 1e-4)


# -- Tiny World ----------------------------------------------------------------------------------


@pytest.mark.verifies("world_tasks", "answers are read off from the stories again")
def test_answers_of_the_world_can_be_checked():
    train, test = world_tasks(150, 50, seed=4, kinds=["ask", "count", "translate", "tell"])
    assert (len(train), len(test)) == (150, 50)
    for task in train + test:
        if not task["input"]:
            assert grammar.read(task["output"]) is not None
            continue
        story = grammar.read(task["input"])
        if task["instruction"].startswith("Translate"):
            assert task["output"] == grammar.write(story, "zh")
        elif task["instruction"].startswith("How many"):
            assert int(task["output"]) == task["input"].count(".") == len(story.events) + 2
        else:
            assert task["output"] in task["input"]


def test_train_and_test_share_no_story():
    """Stories of three sentences are so few that seeds alone would not keep them apart."""
    train, test = world_tasks(3000, 500, kinds=["count"])
    texts = [task["input"] for task in train + test]
    assert len(set(texts)) == 3500
    world = TinyWorld(seed=0)
    assert len({world.story() for _ in range(3500)}) <= 3500


def test_both_languages_are_in_step():
    kinds = ["ask", "count"]
    english, chinese = (world_tasks(80, 20, seed=3, kinds=kinds, language=x) for x in ("en", "zh"))
    for one, other in zip(english[0] + english[1], chinese[0] + chinese[1], strict=True):
        story = grammar.read(one["input"])
        same("world_tasks, Chinese", "grammar.write", other["input"], grammar.write(story, "zh"))
        if one["output"].isdigit():
            same("world_tasks, Chinese", "English", other["output"], one["output"])


def test_a_seed_draws_the_same():
    same("world_tasks", "the same seed", world_tasks(5, 5, seed=1), world_tasks(5, 5, seed=1))
    assert world_tasks(5, 5, seed=1) != world_tasks(5, 5, seed=2)
    kinds = {task["output"].isdigit() for task in world_tasks(40, 1)[0]}
    assert kinds == {True, False}


ROW = Example([1, 2], [2, 3])


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (ValueError, "rendered must have at least 2 ids", lambda: make_example(Rendered([1], [0]))),
        (ValueError, "got 2 and 1", lambda: make_example(Rendered([1, 2], [True]))),
        (
            TypeError,
            "answer_only must be True or False",
            lambda: make_example(Rendered([1, 2], [True, True]), answer_only=1),
        ),
        (TypeError, "template must be a Template", lambda: make_examples([TASK], "chatml")),
        (
            ValueError,
            "of at most max_length 7 tokens, got one of 8",
            lambda: make_examples(LONG, Plain(words()), max_length=7),
        ),
        (
            ValueError,
            "max_length must be at least 1",
            lambda: make_examples(LONG, Plain(words()), max_length=0),
        ),
        (
            ValueError,
            "too_long must be one of",
            lambda: make_examples(LONG, Plain(words()), too_long="cut"),
        ),
        (TypeError, "tasks must be a list", lambda: make_examples(3, Plain(words()))),
        (ValueError, "examples must hold at least one", lambda: pad_examples([], 0)),
        (ValueError, "at least one input and as many", lambda: pad_examples([Example([], [])], 0)),
        (ValueError, "got 2 and 1", lambda: pad_examples([Example([1, 2], [1])], 0)),
        (TypeError, "pad_id must be a whole", lambda: pad_examples([ROW], None)),
        (ValueError, "pad_id must be at least 0", lambda: pad_examples([ROW], -100)),
        (ValueError, "side must be one of", lambda: pad_examples([ROW], 0, "middle")),
        (ValueError, "n_train must be at least 1", lambda: world_tasks(0, 1)),
        (ValueError, "n_test must be at least 1", lambda: world_tasks(1, 0)),
        (ValueError, "kinds must be among", lambda: world_tasks(1, 1, kinds=["sing"])),
        (ValueError, "kinds must be among", lambda: world_tasks(1, 1, kinds=[])),
        (ValueError, "language must be", lambda: world_tasks(1, 1, language="de")),
    ],
)
def test_errors_name_the_argument(kind, message, call):
    with shapes.unchecked(), pytest.raises(kind) as error:
        call()
    assert message in str(error.value)


def test_random_examples_are_what_they_say():
    """The support of these tests: an answer of at least one token, and never all of the row."""
    for example in examples([random.Random(i).randint(2, 9) for i in range(20)]):
        counted = sum(target != IGNORE for target in example.targets)
        assert 1 <= counted < len(example.targets)
