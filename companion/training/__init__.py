r"""Training: one loop for all models of the book, which can be killed at any moment and goes on.

This folder adds: `train`, and in the open the step that it repeats, `train_step`; `TrainConfig`,
its settings; `Epochs` and `WindowBatches`, batches by number; `Objective` and `TokenLoss`, what is
minimised; `make_optimizers`, `parameter_groups`, `lr_share` and `MixedPrecision`; `evaluate`;
`History`, what happened; checkpoints, which `latest` and `best` find and `read_checkpoint` reads;
`OutOfMemory`, which says what to reduce; `process_group`, in which the processes that ``torchrun``
has started train one model. ``python -m companion.training --help`` trains from the command line.
"""

from companion.training.batches import Epochs, WindowBatches
from companion.training.checkpoints import best, latest, read_checkpoint
from companion.training.config import TrainConfig
from companion.training.evaluation import evaluate
from companion.training.history import History
from companion.training.loop import train, train_step
from companion.training.memory import OutOfMemory
from companion.training.objectives import Objective, TokenLoss
from companion.training.optimisers import lr_share, make_optimizers, parameter_groups
from companion.training.precision import MixedPrecision
from companion.training.starting import process_group

__all__ = [
    "TrainConfig",
    "train",
    "train_step",
    "evaluate",
    "Epochs",
    "WindowBatches",
    "Objective",
    "TokenLoss",
    "make_optimizers",
    "parameter_groups",
    "lr_share",
    "MixedPrecision",
    "History",
    "latest",
    "best",
    "read_checkpoint",
    "OutOfMemory",
    "process_group",
]
