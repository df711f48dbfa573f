r"""What the checkpoints of each kind of model are called and look like, one file a kind."""

from companion.models.layouts.gpt2 import GPT2
from companion.models.layouts.llama import LLAMA
from companion.models.layouts.mixtral import MIXTRAL
from companion.models.layouts.t5 import T5

__all__ = ["GPT2", "LLAMA", "MIXTRAL", "T5"]
