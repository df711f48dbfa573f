"""Templates against transformers, against what the tokenizer writes, and by hand."""

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as theirs_models
from transformers import PreTrainedTokenizerFast

from companion.finetuning import Alpaca, ChatML, Plain, Template
from companion.models import load_pretrained
from companion.tokenizers import BPE, SMOLLM_PATTERN
from tests.finetuning.conversations import ASK, SAY, TALK, byte_bpe, chat, real_rows, words
from tests.plugins import shapes
from tests.verification import same

#: ChatML for transformers, which marks what it takes for an answer.
GENERATION = """\
{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}\
{% endif %}\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}\
{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}\
{% endgeneration %}{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}\
{% endfor %}"""


def bytes_to_letters():
    """Return the letter that GPT-2's vocabulary has for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}


def their_tokenizer(ours, digits, **options):
    """Return the same tokenizer from the library of Hugging Face."""
    letters = bytes_to_letters()
    token = {key: "".join(letters[b] for b in key) for key in ours.ids}
    vocab = {token[key]: i for key, i in ours.ids.items()} | ours.special_ids
    merges = [
        ("".join(letters[b] for b in x), "".join(letters[b] for b in y)) for x, y in ours.merges
    ]
    built = Tokenizer(theirs_models.BPE(vocab, merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    steps = [pre_tokenizers.Digits(individual_digits=True)] * digits + [level]
    built.pre_tokenizer = pre_tokenizers.Sequence(steps)
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens([*ours.special_ids])
    return PreTrainedTokenizerFast(tokenizer_object=built, **options)


@pytest.fixture(scope="module")
def smollm():
    return load_pretrained("SmolLM2-135M-Instruct").tokenizer


def by_transformers(theirs, messages):
    found = theirs.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    return found["input_ids"], [bool(own) for own in found["assistant_masks"]]


TALKS = [TALK, [ASK, SAY], [ASK, SAY, ASK, SAY], [*TALK, ASK, {**SAY, "content": ""}]]


@pytest.mark.parametrize("talk", TALKS)
def test_chatml_against_transformers(talk):
    tokenizer = chat(system="Be brief.")
    theirs = their_tokenizer(tokenizer, digits=0, chat_template=GENERATION)
    ids, answer = by_transformers(theirs, talk)
    rendered = ChatML(tokenizer).render(talk)
    same("ChatML.render, ids", "transformers, apply_chat_template", rendered.ids, ids)
    same("Rendered.answer", "transformers, assistant_masks", rendered.answer, answer)


def test_chatml_with_the_tokenizer_of_smollm2(smollm):
    assert smollm.pattern == SMOLLM_PATTERN
    own = GENERATION.replace("Be brief.", smollm.system)
    theirs = their_tokenizer(smollm, digits=1, chat_template=own)
    template = ChatML(smollm)
    for talk in TALKS:
        ids, answer = by_transformers(theirs, talk)
        same("ChatML.render, SmolLM2", "transformers", template.render(talk).ids, ids)
        same("ChatML.render, SmolLM2, answer", "transformers", template.render(talk).answer, answer)
        expected = smollm.chat_prompt(talk, begin_answer=False)
        same("ChatML.render, SmolLM2", "ChatBPE.chat_prompt", template.render(talk).ids, expected)
    expected = smollm.chat_prompt([*TALK, ASK])
    same("ChatML.prompt, SmolLM2", "ChatBPE.chat_prompt", template.prompt([*TALK, ASK]), expected)


@pytest.mark.parametrize("name", ["instruction_en", "instruction_en_alpaca", "instruction_zh"])
def test_real_instructions_with_the_tokenizer_of_smollm2(smollm, name):
    """The answer is what the set has, and its end; the rest is what was asked."""
    for template in (ChatML(smollm), Alpaca(smollm)):
        for row in real_rows(name, 8):
            rendered = template.render(template.messages(row))
            own = [i for i, answer in zip(*rendered, strict=True) if answer]
            assert own[-1] == template.end_id
            assert smollm.decode(own[:-1]) == row.output
            rest = smollm.decode(i for i, answer in zip(*rendered, strict=True) if not answer)
            assert row.instruction in rest
            assert row.input in rest
            prompt = template.prompt(template.messages(row)[:1])
            assert rendered.ids[: len(prompt)] == prompt
            assert rendered.answer.index(True) == len(prompt)


def test_alpaca_is_the_published_text():
    """The two forms of Stanford's file, and an end."""
    tokenizer = byte_bpe()
    template = Alpaca(tokenizer)
    plain = (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{instruction}\n\n### Response:\n"
    )
    with_input = (
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
    )
    for text, given in ((plain, ""), (with_input, "1 and 2")):
        task = {"instruction": "Add them.", "input": given, "output": "3"}
        asked = tokenizer.encode(text.format(**task))
        expected = [*asked, *tokenizer.encode("3"), tokenizer.special_ids["<|endoftext|>"]]
        rendered = template.render(template.messages(task))
        same("Alpaca.render", "Taori et al. 2023", rendered.ids, expected)
        same(
            "Alpaca.prompt",
            "Taori et al. 2023",
            template.prompt(template.messages(task)[:1]),
            asked,
        )
        marks = [False] * len(asked) + [True, True]
        same("Alpaca.render, answer", "by hand", rendered.answer, marks)


def test_alpaca_takes_several_turns():
    template = Alpaca(byte_bpe())
    rendered = template.render([ASK, SAY, ASK, SAY])
    own = [i for i, answer in zip(*rendered, strict=True) if answer]
    assert template.tokenizer.decode(own) == "Hello.<|endoftext|>Hello.<|endoftext|>"


def test_plain_by_hand():
    template = Plain(words())
    asked = {"role": "user", "content": "Who ran?"}
    said = {"role": "assistant", "content": "Ben"}
    rendered = template.render([asked, said])
    same("Plain.render", "by hand", rendered.ids, [0, 1, 2, 5, 3, 6])
    same("Plain.render, answer", "by hand", rendered.answer, [False] * 4 + [True] * 2)
    same("Plain.prompt", "by hand", template.prompt([asked]), [0, 1, 2, 5])


TEMPLATES = [
    ChatML(chat(system="Be brief.")),
    ChatML(chat(), system=""),
    Alpaca(byte_bpe()),
    Plain(BPE([], ["<|answer|>", "<|end|>"])),
]


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
@pytest.mark.parametrize("talk", TALKS)
def test_what_is_learnt_is_what_is_asked_for_later(template, talk):
    """A prompt is the beginning of the same conversation with its answer, whatever is said."""
    for i, message in enumerate(talk):
        if message["role"] != "assistant":
            continue
        for content in (message["content"], "\n\nafter", " blank", "<|im_end|>\n### Response:\n"):
            whole = template.render([*talk[:i], {**message, "content": content}])
            prompt = template.prompt(talk[:i])
            n = len(template.tokenizer.encode(content)) + 1
            subject = "Template.render, prompt and answer"
            same(subject, "Template.prompt", whole.ids[: len(prompt)], prompt)
            rest = [*template.tokenizer.encode(content), template.end_id]
            same(subject, "the tokenizer", whole.ids[len(prompt) : len(prompt) + n], rest)
            assert whole.answer[len(prompt) :][:n] == [True] * n
            assert not any(whole.answer[len(prompt) + n :])


@pytest.mark.parametrize("template", TEMPLATES, ids=repr)
def test_nobody_can_end_their_turn_by_what_they_say(template):
    said = "".join(template.special)
    for messages in ([{**ASK, "content": said}, SAY], [ASK, {**SAY, "content": said}]):
        ids = template.render(messages).ids
        honest = template.render([ASK, SAY]).ids
        for name in template.special:
            special = template.tokenizer.special_ids[name]
            assert ids.count(special) == honest.count(special) > 0


def test_a_system_message_of_its_own_replaces_the_default():
    template = ChatML(chat(system="Be brief."))
    text = template.tokenizer.decode(template.render(TALKS[0]).ids)
    assert text.count("Be brief.") == 1
    assert template.tokenizer.decode(template.prompt([ASK])).count("Be brief.") == 1
    assert "system" not in template.tokenizer.decode(
        ChatML(BPE([], template.special)).prompt([ASK])
    )


@pytest.mark.parametrize(
    ("kind", "message", "call"),
    [
        (
            ValueError,
            "must have the special token '<|im_end|>', which ChatML writes; it has "
            "['<|answer|>', '<|end|>']. Take the template that the model was trained with",
            lambda: ChatML(words()),
        ),
        (ValueError, "special token '<|endoftext|>', which Alpaca", lambda: Alpaca(chat())),
        (ValueError, "special token '<|end|>', which Plain", lambda: Plain(chat())),
        (ValueError, "special token '<|stop|>'", lambda: Plain(words(), end="<|stop|>")),
        (TypeError, "end must be a str, got int", lambda: Alpaca(chat(), end=2)),
        (TypeError, "system must be a str, got int", lambda: ChatML(chat(), system=2)),
        (TypeError, "tokenizer must be a Tokenizer, got str", lambda: ChatML("gpt2")),
        (ValueError, "messages must hold an answer", lambda: TEMPLATES[0].render([ASK])),
        (ValueError, "messages must hold at least one", lambda: TEMPLATES[0].render([])),
        (ValueError, "messages must end before the an", lambda: TEMPLATES[0].prompt([ASK, SAY])),
        (TypeError, "each of messages must be a dict", lambda: TEMPLATES[0].prompt(["Hi!"])),
        (
            ValueError,
            "each role must be one of",
            lambda: TEMPLATES[0].prompt([{"role": "human", "content": "Hi!"}]),
        ),
        (ValueError, "task must have instruction, input", lambda: TEMPLATES[0].messages({"a": 1})),
        (
            TypeError,
            "the output of task must be a str",
            lambda: TEMPLATES[0].messages({"instruction": "a", "input": "", "output": 3}),
        ),
    ],
)
def test_errors_name_the_argument(kind, message, call):
    with shapes.unchecked(), pytest.raises(kind) as error:
        call()
    assert message in str(error.value)


def test_the_class_that_all_share_writes_nothing():
    with pytest.raises(NotImplementedError):
        Template(words()).opening("user")
    with pytest.raises(NotImplementedError):
        Template(words()).closing("user")
