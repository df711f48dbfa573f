r"""Optimisers: what turns gradients into steps, and how long the steps are.

This file adds: gradient descent with momentum, Adam, AdamW and Muon, one class each, which give
the same numbers as PyTorch's; the schedules of the learning rate; clipping. Backpropagation
computes the gradients (``loss.backward()``); the classes here only use them.

Letters: :math:`\theta` parameters, :math:`g` their gradient, :math:`\eta` learning rate,
:math:`\alpha` weight decay (the papers' :math:`\lambda`, which here is a curvature), :math:`t` the
number of the step, from 1.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Optimizer",
    "SGD",
    "Adam",
    "AdamW",
    "Muon",
    "orthogonalize",
    "warmup_cosine",
    "cosine_restarts",
    "inverse_square_root",
    "clip_grad_norm",
]

State = dict[str, Any]


class Optimizer:
    r"""What all optimisers share: the parameters, the learning rate, the state of each.

    Parameters
    ----------
    parameters : iterable of Tensor
        What is updated, in place. A parameter whose ``grad`` is None is passed over.
    lr : float
        Learning rate :math:`\eta`, at least 0; a schedule sets the attribute ``lr`` anew before
        each step.

    Raises
    ------
    ValueError
        If there are no parameters or ``lr`` is negative.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("parameters is empty: there is nothing to optimise")
        _require_at_least_zero(lr=lr)
        self.lr = lr
        self.states: list[State] = [{} for _ in self.parameters]

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        """Change one parameter in place; each optimiser says how."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter from its gradient."""
        for parameter, state in zip(self.parameters, self.states, strict=True):
            if parameter.grad is not None:
                self.update(parameter, parameter.grad, state)

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next ones are not added to them."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on after an interruption."""
        return {"lr": self.lr, "states": [dict(state) for state in self.states]}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises
        ------
        ValueError
            If it was saved for another number of parameters.
        """
        if len(saved["states"]) != len(self.states):
            raise ValueError(
                f"saved must have states for {len(self.states)} parameters, "
                f"got {len(saved['states'])}"
            )
        self.lr = saved["lr"]
        self.states = [
            {name: x.clone() if isinstance(x, Tensor) else x for name, x in state.items()}
            for state in saved["states"]
        ]


class SGD(Optimizer):
    r"""(Stochastic) gradient descent, with momentum if asked for.

    .. math:: b_t = \mu b_{t-1} + g_t, \qquad \theta_t = \theta_{t-1} - \eta\, b_t

    with :math:`b_1 = g_1` (Polyak 1964). With ``nesterov`` the step is :math:`g_t + \mu b_t`
    (Sutskever et al. 2013). Weight decay adds :math:`\alpha\theta` to the gradient.

    Parameters
    ----------
    parameters : iterable of Tensor
    lr : float
    momentum : float
        :math:`\mu`, from 0 to below 1.
    nesterov : bool
    weight_decay : float
        :math:`\alpha`, at least 0.

    Raises
    ------
    ValueError
        If a number is out of range, or ``nesterov`` is asked for without momentum.

    Examples
    --------
    >>> theta = torch.tensor([1.0], requires_grad=True)
    >>> (theta**2).sum().backward()
    >>> SGD([theta], lr=0.1).step()
    >>> theta.detach()
    tensor([0.8000])
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr)
        _require_fraction(momentum=momentum)
        _require_at_least_zero(weight_decay=weight_decay)
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum above 0")
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        """Take one step."""
        gradient = gradient + self.weight_decay * parameter
        if self.momentum:
            earlier = state.get("buffer")
            state["buffer"] = gradient if earlier is None else self.momentum * earlier + gradient
            straight = gradient if self.nesterov else 0
            ahead = self.momentum if self.nesterov else 1
            gradient = straight + ahead * state["buffer"]
        parameter -= self.lr * gradient


class Adam(Optimizer):
    r"""Adam (Kingma and Ba 2015, algorithm 1): each parameter's step has a scale of its own.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1-\beta_1)\, g_t, \qquad \hat m_t = m_t / (1-\beta_1^t) \\
        v_t &= \beta_2 v_{t-1} + (1-\beta_2)\, g_t^2, \qquad \hat v_t = v_t / (1-\beta_2^t) \\
        \theta_t &= \theta_{t-1} - \eta\, \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    Weight decay is added to the gradient (L2): it is then divided by :math:`\sqrt{\hat v_t}`, too,
    so that weights with large gradients hardly decay. `AdamW` mends that.

    Parameters
    ----------
    parameters : iterable of Tensor
    lr : float
    betas : (float, float)
        :math:`\beta_1, \beta_2`, each from 0 to below 1.
    eps : float
        :math:`\epsilon`, at least 0.
    weight_decay : float
        :math:`\alpha`, at least 0.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> theta = torch.tensor([1.0, 100.0], requires_grad=True)
    >>> (theta**2).sum().backward()
    >>> Adam([theta], lr=0.1).step()  # the first step is lr, whatever the gradient
    >>> theta.detach()
    tensor([ 0.9000, 99.9000])
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr)
        _require_fraction(beta_1=betas[0], beta_2=betas[1])
        _require_at_least_zero(eps=eps, weight_decay=weight_decay)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        """Take one step, with weight decay as part of the gradient."""
        parameter -= self.lr * self._direction(gradient + self.weight_decay * parameter, state)

    def _direction(self, g: Tensor, state: State) -> Tensor:
        beta_1, beta_2 = self.betas
        zero = torch.zeros_like(g)
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = beta_1 * state.get("m", zero) + (1 - beta_1) * g
        v = state["v"] = beta_2 * state.get("v", zero) + (1 - beta_2) * g * g
        m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)
        return m_hat / (v_hat.sqrt() + self.eps)


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    .. math:: \theta_t = (1 - \eta\alpha)\,\theta_{t-1}
        - \eta\, \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    Every weight decays at the same rate, whatever its gradients. (As in PyTorch, the rate is
    :math:`\eta\alpha`; the paper leaves out the learning rate's constant part.)

    Parameters
    ----------
    parameters : iterable of Tensor
    lr, betas, eps, weight_decay
        As for `Adam`; ``weight_decay`` is 0.01 by default.

    Examples
    --------
    >>> theta = torch.tensor([1.0], requires_grad=True)
    >>> theta.grad = torch.zeros(1)
    >>> AdamW([theta], lr=0.1, weight_decay=0.5).step()
    >>> theta.detach()
    tensor([0.9500])
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        """Take one step; the decay does not pass through the moments."""
        parameter *= 1 - self.lr * self.weight_decay
        parameter -= self.lr * self._direction(gradient, state)


class Muon(Optimizer):
    r"""Muon: momentum whose step has (nearly) equal singular values (Jordan et al. 2024).

    A weight matrix's gradient has a few large singular values and many small ones. Muon keeps
    the directions and makes the values alike, so that rare directions are learnt as well:

    .. math::
        b_t = \mu b_{t-1} + (1-\mu)\, g_t, \quad
        \theta_t = (1-\eta\alpha)\,\theta_{t-1}
        - \eta \sqrt{\max(1, \tfrac{\text{rows}}{\text{columns}})}\;
          \mathrm{NS}\big((1-\mu)\, g_t + \mu\, b_t\big)

    where NS is `orthogonalize`. It is for the matrices inside of a network; embeddings, biases
    and the last layer are left to AdamW.

    Parameters
    ----------
    parameters : iterable of Tensor
        Matrices, every one with two dimensions.
    lr : float
    momentum : float
        :math:`\mu`, from 0 to below 1.
    weight_decay : float
        :math:`\alpha`, at least 0.
    steps : int
        Newton–Schulz steps.

    Raises
    ------
    ValueError
        If a parameter is no matrix or a number is out of range.

    Examples
    --------
    >>> theta = torch.zeros(2, 2, requires_grad=True)
    >>> theta.grad = torch.tensor([[100.0, 0.0], [0.0, 1.0]])
    >>> Muon([theta], lr=0.1, weight_decay=0.0, steps=30).step()
    >>> bool((theta[0, 0] / theta[1, 1]).detach() < 2)  # was 100
    True
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        steps: int = 5,
    ):
        super().__init__(parameters, lr)
        _require_fraction(momentum=momentum)
        _require_at_least_zero(weight_decay=weight_decay, steps=steps)
        for parameter in self.parameters:
            if parameter.ndim != 2:
                raise ValueError(
                    f"parameters must be matrices, got shape {tuple(parameter.shape)}; "
                    "leave the others to AdamW"
                )
        self.momentum, self.weight_decay, self.steps = momentum, weight_decay, steps

    def update(self, parameter: Tensor, gradient: Tensor, state: State) -> None:
        """Take one step."""
        mu, (rows, columns) = self.momentum, parameter.shape
        buffer = mu * state.get("buffer", torch.zeros_like(gradient)) + (1 - mu) * gradient
        state["buffer"] = buffer
        direction = orthogonalize((1 - mu) * gradient + mu * buffer, self.steps)
        parameter *= 1 - self.lr * self.weight_decay
        parameter -= self.lr * math.sqrt(max(1, rows / columns)) * direction


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    r"""Bring all singular values of a matrix near 1 and keep its singular vectors.

    From :math:`X = G / \lVert G \rVert_F`, repeat :math:`X \leftarrow aX + bXX^\top X +
    c(XX^\top)^2X`. This odd polynomial acts on each singular value by itself,
    :math:`\varphi(s) = as + bs^3 + cs^5`; its coefficients (3.4445, −4.7750, 2.0315) are chosen
    so that small values grow fast, at the price of ending near 1 and not at it: from 0.68 to 1.20
    after five steps, for every :math:`s` of 0.01 or more (Jordan et al. 2024).

    Parameters
    ----------
    matrix : Tensor, shape (rows, columns)
    steps : int
        How often the polynomial is applied.

    Returns
    -------
    Tensor, shape (rows, columns)

    Raises
    ------
    ValueError
        If ``matrix`` has not two dimensions.

    Examples
    --------
    >>> orthogonalize(torch.zeros(2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if matrix.ndim != 2:
        raise ValueError(f"matrix must have two dimensions, got shape {tuple(matrix.shape)}")
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / matrix.norm().clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


# -- the length of the steps ---------------------------------------------------------------------


def warmup_cosine(step: int, peak: float, warmup: int, total: int, floor: float = 0.0) -> float:
    r"""Learning rate that rises linearly and falls along half a cosine.

    Parameters
    ----------
    step : int
        From 0; after ``total`` the rate stays at ``floor``.
    peak : float
        The rate when the warm-up is over.
    warmup, total : int
        Number of steps of the warm-up and of everything; ``warmup`` is less than ``total``.
    floor : float
        The rate at the end.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``step`` is negative or ``warmup`` is not from 0 to below ``total``.

    Examples
    --------
    >>> [round(warmup_cosine(t, peak=1.0, warmup=2, total=6), 3) for t in range(7)]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    _require_at_least_zero(step=step)
    if not 0 <= warmup < total:
        raise ValueError(f"warmup must be from 0 to below total {total}, got {warmup}")
    if step < warmup:
        return peak * step / warmup
    done = min(1.0, (step - warmup) / (total - warmup))
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * done))


def cosine_restarts(
    step: int, peak: float, period: int, growth: int = 1, floor: float = 0.0
) -> float:
    r"""SGDR: half a cosine again and again, each ``growth`` times as long as the one before.

    (Loshchilov and Hutter 2017, eq. 5.)

    Parameters
    ----------
    step : int
        From 0.
    peak, floor : float
        The rate at each start, and just before the next.
    period : int
        Number of steps of the first cycle, at least 1.
    growth : int
        At least 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``step`` is negative, or ``period`` or ``growth`` is less than 1.

    Examples
    --------
    >>> [cosine_restarts(t, peak=1.0, period=1, growth=2) for t in (0, 1, 2, 3, 5)]
    [1.0, 1.0, 0.5, 1.0, 0.5]
    """
    _require_at_least_zero(step=step)
    if period < 1 or growth < 1:
        raise ValueError(f"period and growth must be at least 1, got {period} and {growth}")
    while step >= period:
        step, period = step - period, period * growth
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * step / period))


def inverse_square_root(step: int, d_model: int, warmup: int) -> float:
    r"""Learning rate of the first Transformer, :math:`d^{-1/2} \min(t^{-1/2}, t\,w^{-3/2})`.

    (Vaswani et al. 2017, eq. 3.)

    Parameters
    ----------
    step : int
        From 1.
    d_model : int
        Width of the model.
    warmup : int
        Number of steps of the warm-up.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument is less than 1.

    Examples
    --------
    >>> inverse_square_root(step=4, d_model=4, warmup=4)
    0.25
    """
    if min(step, d_model, warmup) < 1:
        raise ValueError(
            f"step, d_model and warmup must be at least 1, got {step}, {d_model}, {warmup}"
        )
    return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)


@torch.no_grad()
def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    r"""Shorten the gradient, all parameters taken as one vector, to ``max_norm`` if it is longer.

    Its direction stays (Pascanu et al. 2013).

    Parameters
    ----------
    parameters : iterable of Tensor
        Those without a gradient are passed over.
    max_norm : float
        Above 0.

    Returns
    -------
    Tensor
        The length before, worth watching during training.

    Raises
    ------
    ValueError
        If ``max_norm`` is not positive, or the gradient's length is infinite or not a number:
        such a gradient has no direction that could be kept.

    Examples
    --------
    >>> theta = torch.zeros(2, requires_grad=True)
    >>> theta.grad = torch.tensor([3.0, 4.0])
    >>> clip_grad_norm([theta], max_norm=1.0), theta.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm = torch.stack([g.norm() for g in gradients]).norm()
    if not norm.isfinite():
        raise ValueError(f"the gradient's length is {norm.item()}: an earlier step went wrong")
    if norm > max_norm:
        for g in gradients:
            g *= max_norm / norm
    return norm


def _require_at_least_zero(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number >= 0:
            raise ValueError(f"{name} must be at least 0, got {number}")


def _require_fraction(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 <= number < 1:
            raise ValueError(f"{name} must be from 0 to below 1, got {number}")
