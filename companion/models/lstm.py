r"""Long short-term memory, and a classifier of text made of it.

This file adds: ``LSTMCell``, one step of the recurrence of Hochreiter and Schmidhuber (1997) with
the forget gate of Gers, Schmidhuber and Cummins (2000); ``LSTM``, that step along a text;
``LSTMClassifier``, which reads a text and says how probably it is positive.

Shape letters: ``B`` batch, ``T`` tokens, ``D`` features of the input, ``H`` of the state.
"""

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from companion._tensors import _require_floats, _require_sizes, _require_whole_numbers
from companion.activations import sigmoid
from companion.layers import Dropout, Embedding, Linear

__all__ = ["LSTMCell", "LSTM", "LSTMClassifier"]

State = tuple[Tensor, Tensor]


class LSTMCell(nn.Module):
    r"""One step of an LSTM: what to forget, what to write, what to show.

    .. math::
        i, f, o &= \sigma(W_{i,f,o}\, x + U_{i,f,o}\, h + b_{i,f,o}), \qquad
        g = \tanh(W_g x + U_g h + b_g) \\
        c' &= f \odot c + i \odot g, \qquad h' = o \odot \tanh(c')

    The memory :math:`c` passes from step to step through one product and one sum, so a gradient
    passes back through a product with :math:`f` alone: where the gate is open, it does not
    vanish. The gates' maps stand below each other in one matrix, in the order i, f, g, o of
    ``torch.nn.LSTM``. The forget gates' bias starts at 1, so that memory is kept until training
    says otherwise (Gers, Schmidhuber and Cummins 2000).

    Parameters
    ----------
    d_in, d_hidden : int
        Features of the input and of the state.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> h, c = LSTMCell(3, 2)(torch.zeros(5, 3), (torch.zeros(5, 2), torch.zeros(5, 2)))
    >>> h.shape, c.shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    def __init__(self, d_in: int, d_hidden: int) -> None:
        super().__init__()
        _require_sizes(d_in=d_in, d_hidden=d_hidden)
        self.from_input = Linear(d_in, 4 * d_hidden)
        self.from_state = Linear(d_hidden, 4 * d_hidden, bias=False)
        bound = 1 / math.sqrt(d_hidden)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-bound, bound)
            self.from_input.get_parameter("bias").view(4, d_hidden)[1] = 1.0

    def forward(
        self,
        x: Float[Tensor, "batch d_in"],
        state: tuple[Float[Tensor, "batch d_hidden"], Float[Tensor, "batch d_hidden"]],
    ) -> tuple[Float[Tensor, "batch d_hidden"], Float[Tensor, "batch d_hidden"]]:
        """Return the state (h, c) after an input (B, D)."""
        h, c = state
        _require_dimensions(x, 2)
        _require_state(h, c, len(x), self.from_state.weight.shape[1])
        gates = self.from_input(x) + self.from_state(h)  # (B, 4H)
        i, f, g, o = gates.chunk(4, dim=-1)
        # torch's functions give what those of companion.activations give, and sooner.
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class LSTM(nn.Module):
    r"""An LSTM cell along a sequence, one step after the other.

    Parameters
    ----------
    d_in, d_hidden : int
        Features of the input and of the state.

    Examples
    --------
    >>> states, (h, c) = LSTM(3, 2)(torch.zeros(5, 7, 3))
    >>> states.shape, h.shape
    (torch.Size([5, 7, 2]), torch.Size([5, 2]))
    """

    def __init__(self, d_in: int, d_hidden: int) -> None:
        super().__init__()
        self.cell = LSTMCell(d_in, d_hidden)
        self.d_hidden = d_hidden

    def forward(
        self, x: Float[Tensor, "batch length d_in"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch length d_hidden"], State]:
        """Return the states h of all steps (B, T, H), and the last (h, c)."""
        _require_dimensions(x, 3)
        if state is None:
            zeros = x.new_zeros(x.shape[0], self.d_hidden)
            state = zeros, zeros
        states = []
        for step in x.unbind(dim=1):  # (B, D)
            state = self.cell(step, state)
            states.append(state[0])
        return torch.stack(states, dim=1), state


class LSTMClassifier(nn.Module):
    r"""Embed the tokens, read them with an LSTM, and judge by the mean of its states.

    One number for each text, the logit of "positive": the probability of the other class is what
    is left to 1, so a second output would say nothing new. The mean is over the tokens that are
    there: what fills a batch up changes nothing.

    Parameters
    ----------
    vocab_size : int
    d_embedding, d_hidden : int
        Features of a token and of the state.
    dropout : float
        Probability of dropout after the embedding and before the output.

    Examples
    --------
    >>> model = LSTMClassifier(vocab_size=100)
    >>> model(torch.zeros(5, 7, dtype=torch.int64), torch.full((5,), 7)).shape
    torch.Size([5])
    """

    def __init__(
        self, vocab_size: int, d_embedding: int = 64, d_hidden: int = 64, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding = Embedding(vocab_size, d_embedding)
        self.lstm = LSTM(d_embedding, d_hidden)
        self.dropout = Dropout(dropout)
        self.output = Linear(d_hidden, 1)

    def forward(
        self, ids: Integer[Tensor, "batch length"], lengths: Integer[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        r"""Return one logit a text.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
            Tokens, filled up at the end with any id.
        lengths : Tensor of int, shape (B,)
            How many tokens of each text count, from 1 to T.

        Returns
        -------
        Tensor, shape (B,)

        Raises
        ------
        ValueError
            If ``ids`` is not (B, T), ``lengths`` has another shape, or a length is not from 1 to T.
        TypeError
            If ids or lengths are not whole numbers.
        """
        _require_whole_numbers(ids=ids, lengths=lengths)
        if ids.ndim != 2:
            raise ValueError(f"ids must be (batch, length), got shape {tuple(ids.shape)}")
        _require_lengths(lengths, *ids.shape)
        states, _ = self.lstm(self.dropout(self.embedding(ids)))  # (B, T, H)
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]  # (B, T)
        mean = (states * real[..., None]).sum(dim=1) / lengths[:, None]  # (B, H)
        return self.output(self.dropout(mean)).squeeze(-1)

    @torch.no_grad()
    def probability(
        self, ids: Integer[Tensor, "batch length"], lengths: Integer[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        r"""Return the probability of "positive" for each text.

        Parameters
        ----------
        ids, lengths
            As for the model itself.

        Returns
        -------
        Tensor, shape (B,)
        """
        return sigmoid(self(ids, lengths))


def _require_dimensions(x: Tensor, n: int) -> None:
    _require_floats(x=x)
    if x.ndim != n or x.shape[1] == 0:
        shape = ("batch", "length", "d_in") if n == 3 else ("batch", "d_in")
        raise ValueError(f"x must be ({', '.join(shape)}), got shape {tuple(x.shape)}")


def _require_state(h: Tensor, c: Tensor, batch: int, d_hidden: int) -> None:
    _require_floats(h=h, c=c)
    if not h.shape == c.shape == (batch, d_hidden):
        raise ValueError(
            f"h and c must have shape ({batch}, {d_hidden}), "
            f"got {tuple(h.shape)} and {tuple(c.shape)}"
        )


def _require_lengths(lengths: Tensor, batch: int, length: int) -> None:
    if lengths.shape != (batch,):
        raise ValueError(f"lengths must have shape ({batch},), got {tuple(lengths.shape)}")
    numbers = lengths.long()  # 300 has no place among numbers of 8 bits
    if batch and (numbers.min() < 1 or numbers.max() > length):
        raise ValueError(f"lengths must be from 1 to {length}, got {lengths.tolist()}")
