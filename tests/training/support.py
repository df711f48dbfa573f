"""What the tests of training share: models that take milliseconds, and ragged batches."""

import copy
import dataclasses

import torch
from torch import nn

from companion.models import GPT, GPTConfig
from companion.training import TrainConfig
from companion.training.processes import World

IGNORE = -100
TINY = GPTConfig(vocab_size=11, max_length=8, d_model=8, n_layers=1, n_heads=2)
# As a run on a CPU that says nothing and writes nothing.
QUIET = TrainConfig(steps=6, lr=1e-2, precision="float32", device="cpu", compile=False)


def gpt(seed=0, dtype=torch.float32, **changes):
    torch.manual_seed(seed)
    return GPT(dataclasses.replace(TINY, **changes)).to(dtype)


def settings(**changes):
    return dataclasses.replace(QUIET, **changes)


def tokens(*shape, seed=0, n=11):
    return torch.randint(n, shape, generator=torch.Generator().manual_seed(seed))


def ragged(i):
    """Micro-batch number ``i``: 2 texts of 6 tokens, of whose targets few or many count."""
    ids = tokens(2, 7, seed=1000 + i)
    inputs, targets = ids[:, :-1], ids[:, 1:].clone()
    targets[0, 1 + (3 * i) % 5 :] = IGNORE
    targets[1, 2 + i % 4 :] = IGNORE
    return inputs, targets


def joined(numbers):
    """One large batch of the same texts."""
    return tuple(torch.cat(parts) for parts in zip(*map(ragged, numbers), strict=True))


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def timeless(history):
    """The records of a history without what a clock has measured."""
    return [{name: x for name, x in r.items() if name != "seconds"} for r in history]


def equal_state(a, b):
    """Whether two nested states are the same to the last bit."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal_state(a[name], b[name]) for name in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal_state, a, b))
    return a == b


class Noisy(nn.Module):
    """Weights in a list of blocks, a bias, and dropout."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        for block in self.blocks:
            x = nn.functional.dropout(torch.tanh(block(x)), 0.3, self.training)
        return self.head(x)


def noisy(seed=0):
    torch.manual_seed(seed)
    return Noisy()


def points(i):
    """Micro-batch number ``i`` for `Noisy`."""
    generator = torch.Generator().manual_seed(i)
    x = torch.randn(5, 4, generator=generator)
    labels = x[:, :3].argmax(dim=1)
    labels[: i % 3] = IGNORE
    return x, labels


def copied(model):
    return copy.deepcopy(model)


def as_process(monkeypatch, module, rank, size):
    """Let a module take this process for one of several."""
    monkeypatch.setattr(module, "world", lambda: World(rank, size))
