r"""Training on several processes: who has which part of the model, of the batch, of the state.

This folder adds: `run`, which starts processes and ends them (`WorkerError` says which one failed),
and the `Communicator` through which they talk; data parallelism (`batch_share`, `share_of_loss`,
`copy_parameters`, `sum_gradients`); tensor parallelism (`column_parallel`, `row_parallel`,
`copy_to_all`, `sum_over_all`, `TensorParallel`, `tensor_parallel_block`; Shoeybi et al. 2019);
pipeline parallelism (`gpipe`, `one_forward_one_backward`, `Action`, `micro_batches`,
`stage_layers`, `pipeline_step`, `PipelineStep`, `timeline`, `idle_share`; Huang et al. 2019,
Narayanan et al. 2021); the shared state of `ZeRO`, with `cut`, `join` and `ShardedLayer`
(Rajbhandari et al. 2020); and what all of it costs, by formula: `training_flops`, `training_days`,
`bubble_share`, `all_gather_bytes`, `all_reduce_bytes`, `tensor_parallel_bytes`, `pipeline_bytes`,
`state_bytes` and `activation_bytes`.

Each of them computes what one process would, and a test holds it to that. They are written to be
read, for several processes on one CPU. To train in earnest, use what PyTorch has:
``DistributedDataParallel``, ``fully_shard``, ``torch.distributed.tensor``.
"""

from companion.training.parallel.block import tensor_parallel_block
from companion.training.parallel.communicator import Communicator
from companion.training.parallel.costs import (
    all_gather_bytes,
    all_reduce_bytes,
    bubble_share,
    pipeline_bytes,
    tensor_parallel_bytes,
    training_days,
    training_flops,
)
from companion.training.parallel.data_parallel import (
    batch_share,
    copy_parameters,
    share_of_loss,
    sum_gradients,
)
from companion.training.parallel.memory import activation_bytes, state_bytes
from companion.training.parallel.pipeline import (
    PipelineStep,
    micro_batches,
    pipeline_step,
    stage_layers,
)
from companion.training.parallel.processes import WorkerError, run
from companion.training.parallel.schedules import (
    Action,
    gpipe,
    idle_share,
    one_forward_one_backward,
    timeline,
)
from companion.training.parallel.sharded import ShardedLayer, cut, join
from companion.training.parallel.tensor_parallel import (
    TensorParallel,
    column_parallel,
    copy_to_all,
    row_parallel,
    sum_over_all,
)
from companion.training.parallel.zero import ZeRO

__all__ = [
    "Communicator",
    "run",
    "WorkerError",
    "batch_share",
    "share_of_loss",
    "copy_parameters",
    "sum_gradients",
    "copy_to_all",
    "sum_over_all",
    "column_parallel",
    "row_parallel",
    "TensorParallel",
    "tensor_parallel_block",
    "Action",
    "gpipe",
    "one_forward_one_backward",
    "micro_batches",
    "stage_layers",
    "PipelineStep",
    "pipeline_step",
    "timeline",
    "idle_share",
    "cut",
    "join",
    "ZeRO",
    "ShardedLayer",
    "training_flops",
    "training_days",
    "bubble_share",
    "all_gather_bytes",
    "all_reduce_bytes",
    "tensor_parallel_bytes",
    "pipeline_bytes",
    "state_bytes",
    "activation_bytes",
]
