r"""What the checkpoints of each kind of model are called and look like, one file a kind."""

from companion.models.layouts.gpt2 import GPT2

__all__ = ["GPT2"]
