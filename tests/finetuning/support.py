"""What the tests of fine-tuning share: small models, ours and those of transformers and peft."""

import warnings

import peft
import torch
import transformers
from transformers import AutoModelForCausalLM

from companion.models import GPT, GPTConfig, Llama, LlamaConfig
from tests.support import fill

transformers.utils.logging.disable_progress_bar()

V = 17
SIZES = {"vocab_size": V, "d_model": 16, "n_layers": 2, "n_heads": 4, "max_length": 48}
MAKERS = {
    "GPT": lambda: GPT(GPTConfig(**SIZES)),
    "Llama": lambda: Llama(LlamaConfig(**SIZES, n_kv_heads=2, d_hidden=24)),
}
#: They compute Llama's norms and angles in float32, whatever the format of the model.
LIMITS = {"GPT": {}, "Llama": {"tolerance": 1e-5, "limit": "float32"}}


def model(kind="Llama", dtype=torch.float64, seed=0):
    """Return one of our models with random weights."""
    return fill(MAKERS[kind](), seed=seed, dtype=dtype, scale=0.3).eval()


def theirs(ours, path):
    """Return the model of transformers with the same weights."""
    ours.save_hf(path)
    dtype = next(ours.parameters()).dtype
    found = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager")
    return found.eval()


def with_peft(model, config):
    """Return the model of transformers with what peft adds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.get_peft_model(model, config)


def ids(*shape, seed=0, n=V):
    return torch.randint(n, shape, generator=torch.Generator().manual_seed(seed))


def trained(model):
    """Return the names of the parameters that are trained."""
    return [name for name, p in model.named_parameters() if p.requires_grad]


def copy_of(model):
    """Return all that a model holds, to be compared with later."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def unchanged(model, before):
    now = model.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[k], before[k]) for k in before)
