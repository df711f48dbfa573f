r"""What the checkpoints of each kind of model are called and look like, one file a kind."""

from companion.models.layouts.bert import BERT, BERT_ENCODER
from companion.models.layouts.gpt2 import GPT2
from companion.models.layouts.llama import LLAMA
from companion.models.layouts.mixtral import MIXTRAL
from companion.models.layouts.roberta import ROBERTA, ROBERTA_ENCODER
from companion.models.layouts.t5 import T5
from companion.models.layouts.vit import VIT

__all__ = [
    "GPT2",
    "LLAMA",
    "MIXTRAL",
    "T5",
    "BERT_ENCODER",
    "BERT",
    "ROBERTA_ENCODER",
    "ROBERTA",
    "VIT",
]
