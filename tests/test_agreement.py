"""Each family of models against transformers: every layer, with weights in three formats.

For each family a tiny model of ``transformers`` with random weights is saved, opened by `from_hf`,
and both read the same input. Compared are what goes into the first block, what each block returns,
and the logits. The page *Verification report* shows what was recorded as a table (its directive is
in ``tools/reference/verification_report.py``), and knows these records by their words: `subject`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from companion.models import BERT, GPT, T5, Llama, Mixtral, Pretrained, RoBERTa, ViT
from tests.support import fill, normal
from tests.verification import agree
from tools.reference.verification_record import AGREEMENT

IDS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])
#: Ends that stand for no text may not be among the ids: RoBERTa would take one for padding.
SPECIAL = {"pad_token_id": 0, "bos_token_id": 18, "eos_token_id": 19}
#: How far apart two right computations may be. In bfloat16 the numbers themselves have steps of
#: up to 2⁻⁷ of their size, and errors of a few steps add up over the layers.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 8 * 2**-7}


@dataclass(frozen=True)
class Family:
    """A kind of model, in both packages."""

    ours: type[Pretrained]
    theirs: Callable[[Any], nn.Module]
    config: Any
    stacks: dict[str, tuple[str, str]]
    """What its layers are called, and where the list of blocks is in ours and in theirs."""
    inputs: tuple[Tensor, ...] = (IDS,)
    names: tuple[str, ...] = ()
    """What transformers calls the inputs, where their order is another."""
    in_float32: bool = False
    """Whether transformers computes a norm or a rotation in float32, whatever the weights are."""


FAMILIES = [
    Family(
        GPT,
        transformers.GPT2LMHeadModel,
        transformers.GPT2Config(
            vocab_size=20, n_positions=9, n_embd=16, n_layer=3, n_head=2, **SPECIAL
        ),
        {"layer": ("blocks", "transformer.h")},
    ),
    Family(
        Llama,
        transformers.LlamaForCausalLM,
        transformers.LlamaConfig(
            vocab_size=20,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            **SPECIAL,
        ),
        {"layer": ("blocks", "model.layers")},
        in_float32=True,
    ),
    Family(
        Mixtral,
        transformers.MixtralForCausalLM,
        transformers.MixtralConfig(
            vocab_size=20,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_local_experts=4,
            num_experts_per_tok=2,
            experts_implementation="eager",  # the others know no float64
            **SPECIAL,
        ),
        {"layer": ("blocks", "model.layers")},
        in_float32=True,
    ),
    Family(
        T5,
        transformers.T5ForConditionalGeneration,
        transformers.T5Config(
            vocab_size=20,
            d_model=16,
            d_kv=8,
            d_ff=24,
            num_layers=2,
            num_heads=2,
            dropout_rate=0.0,
            decoder_start_token_id=0,
            **SPECIAL,
        ),
        {
            "encoder layer": ("encoder.blocks", "encoder.block"),
            "decoder layer": ("decoder.blocks", "decoder.block"),
        },
        inputs=(IDS, IDS.flip(1)),
        names=("input_ids", "decoder_input_ids"),
        in_float32=True,
    ),
    Family(
        BERT,
        transformers.BertForPreTraining,
        transformers.BertConfig(
            vocab_size=20,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=9,
        ),
        {"layer": ("encoder.blocks", "bert.encoder.layer")},
    ),
    Family(
        RoBERTa,
        transformers.RobertaForMaskedLM,
        transformers.RobertaConfig(
            vocab_size=20,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=12,
            type_vocab_size=1,
        ),
        {"layer": ("encoder.blocks", "roberta.encoder.layer")},
        inputs=(IDS + 2,),  # 1 is padding
    ),
    Family(
        ViT,
        transformers.ViTForImageClassification,
        transformers.ViTConfig(
            image_size=8,
            patch_size=4,
            num_channels=3,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=24,
            num_labels=5,
        ),
        {"layer": ("blocks", "vit.layers")},
        inputs=(normal(2, 3, 8, 8),),
    ),
]


def states(model, stacks, inputs, *names):
    """Return what a model computes for inputs: before and after each block, and the logits.

    With ``names``, the inputs are passed by name.
    """
    found: dict[str, Tensor] = {}

    def before(place):
        return lambda _, args: found.update({place: args[0]})

    def after(place):
        return lambda _module, _args, out: found.update({place: _first(out)})

    for name, path in stacks.items():
        blocks = model.get_submodule(path)
        first = f"{name.removesuffix('layer')}embeddings"
        blocks[0].register_forward_pre_hook(before(first))
        for i, block in enumerate(blocks, 1):
            block.register_forward_hook(after(f"{name} {i}"))
    with torch.no_grad():
        named = dict(zip(names, inputs, strict=False))
        out = model(**named) if names else model(*inputs)
    return found | {"logits": out if isinstance(out, Tensor) else _logits(out)}


def _first(out):
    return out if isinstance(out, Tensor) else out[0]


def _logits(out):
    return out.prediction_logits if hasattr(out, "prediction_logits") else out.logits


def subject(family, place, dtype):
    """Return the words by which the report knows the record: its name, the layer, the format."""
    words = f"{place}, weights in {str(dtype).removeprefix('torch.')}"
    assert AGREEMENT.fullmatch(words)
    return f"models.{family.ours.__module__.rpartition('.')[2]}.{family.ours.__name__}, {words}"


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.ours.__name__)
def test_every_layer_agrees_with_transformers(family, dtype, tmp_path):
    theirs = fill(family.theirs(family.config), dtype=torch.float32, scale=0.3).eval()
    theirs.save_pretrained(tmp_path)
    ours, theirs = family.ours.from_hf(tmp_path, dtype=dtype), theirs.to(dtype)
    inputs = [x.to(dtype) if x.is_floating_point() else x for x in family.inputs]
    mine = states(ours, {name: path for name, (path, _) in family.stacks.items()}, inputs)
    paths = {name: path for name, (_, path) in family.stacks.items()}
    others = states(theirs, paths, inputs, *family.names)
    assert list(mine) == list(others)
    assert len(mine) > 4
    limited = family.in_float32 and dtype == torch.float64
    limit = torch.float32 if limited else dtype
    for place, state in mine.items():
        assert state.dtype == dtype
        agree(
            subject(family, place, dtype),
            f"transformers.{family.theirs.__name__}",
            state.double(),
            others[place].double(),
            TOLERANCES[limit],
            limit=str(limit).removeprefix("torch."),
        )
