r"""A network that says which moves are good, and who is winning.

This file adds: ``PolicyValueNet``.

Shape letters: ``B`` positions.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion._tensors import _require_floats, _require_sizes
from companion.alignment.games.tic_tac_toe import TicTacToe
from companion.layers import Linear

__all__ = ["PolicyValueNet"]


class PolicyValueNet(nn.Module):
    r"""Two layers with two ends: logits of the nine fields, and a value from −1 to 1.

    Parameters
    ----------
    d_hidden : int
        Units of each layer.

    Raises
    ------
    ValueError
        If ``d_hidden`` is below 1.

    Examples
    --------
    >>> logits, values = PolicyValueNet(16)(torch.zeros(2, 18))
    >>> logits.shape, values.shape
    (torch.Size([2, 9]), torch.Size([2]))
    """

    def __init__(self, d_hidden: int = 64) -> None:
        _require_sizes(d_hidden=d_hidden)
        super().__init__()
        self.first, self.second = Linear(18, d_hidden), Linear(d_hidden, d_hidden)
        self.policy, self.value = Linear(d_hidden, 9), Linear(d_hidden, 1)

    def forward(
        self, planes: Float[Tensor, "batch 18"]
    ) -> tuple[Float[Tensor, "batch 9"], Float[Tensor, " batch"]]:
        r"""Return logits and values.

        Parameters
        ----------
        planes : Tensor, shape (B, 18)
            As `TicTacToe.planes` gives them.

        Returns
        -------
        tuple of Tensor, of shapes (B, 9) and (B,)

        Raises
        ------
        ValueError
            If ``planes`` has another shape.
        """
        _require_floats(planes=planes)
        if planes.ndim != 2 or planes.shape[1] != 18:
            raise ValueError(f"planes must be (batch, 18), got shape {tuple(planes.shape)}")
        x = torch.relu(self.second(torch.relu(self.first(planes))))  # (B, d_hidden)
        return self.policy(x), torch.tanh(self.value(x)[:, 0])

    def evaluate(self, position: TicTacToe) -> tuple[np.ndarray, float]:
        r"""Return the probability of each field, and the value, for one position.

        Parameters
        ----------
        position : TicTacToe

        Returns
        -------
        (ndarray of shape (9,), float)
        """
        with torch.no_grad():
            planes = torch.from_numpy(position.planes())[None].to(self.first.weight)
            logits, value = self(planes)
        return logits[0].softmax(dim=0).double().cpu().numpy(), float(value)

    def loss(
        self,
        planes: Float[Tensor, "batch 18"],
        visits: Float[Tensor, "batch 9"],
        outcomes: Float[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        r"""Return :math:`(z - v)^2 - \sum_a p_a \ln \hat p_a`, the mean over positions.

        (Silver et al. 2017, eq. 1, without weight decay, which is the optimiser's.)

        Parameters
        ----------
        planes : Tensor, shape (B, 18)
        visits : Tensor, shape (B, 9)
            The share of the visits that each field had in a search, p.
        outcomes : Tensor, shape (B,)
            How the game ended for the player whose turn it was, z.

        Returns
        -------
        Tensor

        Raises
        ------
        ValueError
            If there is not one row for each position.
        """
        if len(planes) != len(visits) or len(planes) != len(outcomes):
            raise ValueError(
                f"visits and outcomes must be one for each of {len(planes)} positions, "
                f"got {len(visits)} and {len(outcomes)}"
            )
        logits, values = self(planes)
        policy = -(visits * logits.log_softmax(dim=1)).sum(dim=1).mean()
        return F.mse_loss(values, outcomes) + policy
