r"""What the checkpoints of each kind of model are called and look like, one file a kind."""

from companion.models.layouts.gpt2 import GPT2
from companion.models.layouts.llama import LLAMA

__all__ = ["GPT2", "LLAMA"]
