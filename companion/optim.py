r"""Optimisers: what turns gradients into steps, and how long the steps are.

This file adds: gradient descent with momentum, Adam, AdamW and Muon, one class each, which give
the same numbers as PyTorch's; the schedules of the learning rate; clipping. Backpropagation
computes the gradients (``loss.backward()``); the classes here only use them.

Letters: :math:`\theta` parameters, :math:`g` their gradient, :math:`\eta` learning rate,
:math:`\alpha` weight decay (the papers' :math:`\lambda`, which here is a curvature), :math:`t` the
number of the step, from 1.
"""

import difflib
import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from companion._arguments import _require_int

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
Group = dict[str, Any]
# What PyTorch and its schedules keep in a group besides the settings of an optimiser.
NOTES = {"params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "swa_lr"}
NOTES |= {"base_momentum", "max_momentum"}


class Optimizer(torch.optim.Optimizer):
    r"""What all optimisers share: the parameters, in groups with settings of their own.

    An optimiser says in `update` how one parameter changes, and in `keeps` what it remembers of
    each: ``"t"``, the number of its steps, and tensors of the parameter's shape. All else is
    PyTorch's, so its schedules and its ``GradScaler`` work with ours, too.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        What is updated, in place. A parameter whose ``grad`` is None is passed over. Each dict is
        a group: its tensors under ``"params"``, and the settings that differ from the others'.
    lr : float
        Learning rate :math:`\eta`, at least 0. A schedule sets ``group["lr"]`` anew before each
        step, for each ``group`` in ``param_groups``; the attribute ``lr`` is that of all groups.
    **settings
        All other numbers that `update` takes.

    Raises
    ------
    TypeError
        If ``params`` holds anything but tensors or groups, or a setting is no number.
    ValueError
        If there are no parameters, one comes twice or is itself computed from others, or a
        setting is unknown or out of range.

    Examples
    --------
    >>> weight, bias = (torch.ones(n, requires_grad=True) for n in (2, 1))
    >>> groups = [{"params": [weight], "weight_decay": 0.5}, {"params": [bias]}]
    >>> AdamW(groups, lr=0.1, weight_decay=0.0)
    AdamW (
    Parameter Group 0
        betas: (0.9, 0.999)
        eps: 1e-08
        lr: 0.1
        weight_decay: 0.5
    <BLANKLINE>
    Parameter Group 1
        betas: (0.9, 0.999)
        eps: 1e-08
        lr: 0.1
        weight_decay: 0.0
    )
    """

    keeps: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any], lr: float, **settings: Any):
        params = _as_list("params", params)
        if not params:
            raise ValueError("params is empty: there is nothing to optimise")
        _require_settings(lr=lr, **settings)
        super().__init__(params, {"lr": lr, **settings})

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, *args: Any, **settings: Any
    ) -> None:
        """Change one parameter in place; each optimiser says how."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter from its gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and the gradients anew, before the update.

        Returns
        -------
        What ``closure`` returned, if there is one.

        Raises
        ------
        TypeError
            If ``closure`` is no function.
        ValueError
            If a gradient is sparse or complex, it or what is remembered has another shape than
            the parameter, or a learning rate is not finite. No parameter has been changed then.
        """
        loss = None
        if not (closure is None or callable(closure)):
            raise TypeError(f"closure must be a function, got {closure!r}")
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        ready = []
        for group in self.param_groups:
            settings = {name: group[name] for name in self.defaults}
            _require_finite(lr=settings["lr"])
            ready += [(p, settings) for p in group["params"] if p.grad is not None]
        for parameter, _ in ready:
            _require_gradient(parameter)
            _require_remembered(self.state.get(parameter, {}), parameter)
        for parameter, settings in ready:
            # Squares and small numbers are lost in 16 bits.
            gradient = parameter.grad.to(_at_least_32_bits(parameter))
            self.update(parameter, gradient, self.state[parameter], **settings)
        return loss

    @property
    def lr(self) -> float:
        """The learning rate of all groups.

        Raises
        ------
        ValueError
            If they have different ones, or if it is set to less than 0.
        """
        rates = {group["lr"] for group in self.param_groups}
        if len(rates) > 1:
            raise ValueError(f"lr differs between param_groups: {sorted(rates)}")
        return rates.pop()

    @lr.setter
    def lr(self, lr: float) -> None:
        _require_settings(lr=lr)
        for group in self.param_groups:
            group["lr"] = lr

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with settings of their own.

        Parameters
        ----------
        param_group : dict
            The tensors under ``"params"``; settings that are missing are those that the optimiser
            was made with.

        Raises
        ------
        TypeError, ValueError
            As for the optimiser itself. Nothing has been added then.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, got {type(param_group).__name__}")
        if "params" not in param_group:
            raise ValueError(f"param_group must have 'params', got {sorted(param_group)}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else _as_list("params", params)
        _require_known(param_group, self.defaults)
        _require_settings(**{**self.defaults, **param_group})
        tensors = [each[1] if isinstance(each, tuple) else each for each in params]
        if len({id(tensor) for tensor in tensors}) < len(tensors):
            raise ValueError("params holds a parameter twice: it would take two steps at a time")
        for tensor in tensors:
            self._require_parameter(tensor)
        super().add_param_group({**param_group, "params": params})

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on after an interruption; later steps do not change it."""
        saved = super().state_dict()
        saved["state"] = {place: dict(state) for place, state in saved["state"].items()}
        return {"optimizer": type(self).__name__, **saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Parameters
        ----------
        state_dict : dict

        Raises
        ------
        TypeError, ValueError
            If it is not the state of an optimiser of this kind with as many parameters, of the
            same shapes, in as many groups; or if a setting is missing, unknown or out of range.
            Nothing has been changed then.
        """
        self._require_fitting(state_dict)
        places = [place for group in state_dict["param_groups"] for place in group["params"]]
        for place, parameter in zip(places, self._parameters(), strict=True):
            new = state_dict["state"].get(place, {})
            self.state[parameter] = {name: _moved(x, parameter) for name, x in new.items()}
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({name: x for name, x in saved.items() if name != "params"})

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _require_parameter(self, parameter: Tensor) -> None:
        if isinstance(parameter, Tensor) and parameter.is_complex():
            raise TypeError(f"params must be real numbers, got a tensor of {parameter.dtype}")

    def _require_fitting(self, saved: dict[str, Any]) -> None:
        _require_layout(type(self).__name__, saved)
        sizes = [len(group["params"]) for group in self.param_groups]
        got = [len(group["params"]) for group in saved["param_groups"]]
        if sizes != got:
            raise ValueError(
                f"state_dict must be for groups of {sizes} parameters, got groups of {got}"
            )
        for group in saved["param_groups"]:
            _require_known(group, self.defaults)
            if missing := sorted(self.defaults.keys() - group.keys()):
                raise ValueError(f"state_dict lacks the settings {missing} of a group")
            _require_settings(**group)
        places = [place for group in saved["param_groups"] for place in group["params"]]
        if foreign := [place for place in saved["state"] if place not in places]:
            raise ValueError(f"state_dict has states of parameters {foreign} that no group has")
        for place, parameter in zip(places, self._parameters(), strict=True):
            _require_state(self.keeps, saved["state"].get(place, {}), parameter, place)


class SGD(Optimizer):
    r"""(Stochastic) gradient descent, with momentum if asked for.

    .. math:: b_t = \mu b_{t-1} + g_t, \qquad \theta_t = \theta_{t-1} - \eta\, b_t

    with :math:`b_1 = g_1` (Polyak 1964). With ``nesterov`` the step is :math:`g_t + \mu b_t`
    (Sutskever et al. 2013). Weight decay adds :math:`\alpha\theta` to the gradient.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        Parameters, or groups of them: see `Optimizer`.
    lr : float
    momentum : float
        :math:`\mu`, from 0 to below 1.
    nesterov : bool
    weight_decay : float
        :math:`\alpha`, at least 0.

    Raises
    ------
    TypeError, ValueError
        As for `Optimizer`, and if ``nesterov`` is asked for without momentum.

    Examples
    --------
    >>> theta = torch.tensor([1.0], requires_grad=True)
    >>> (theta**2).sum().backward()
    >>> SGD([theta], lr=0.1).step()
    >>> theta.detach()
    tensor([0.8000])
    """

    keeps = ("buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        settings = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        super().__init__(params, lr, **settings)

    def update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        state: State,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        """Take one step."""
        if weight_decay:
            gradient = gradient + weight_decay * parameter
        if momentum:
            earlier = state.get("buffer")
            buffer = gradient.clone() if earlier is None else momentum * earlier + gradient
            state["buffer"] = buffer
            gradient = gradient + momentum * buffer if nesterov else buffer
        parameter -= lr * gradient


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
    params : iterable of Tensor, or of dict
        Parameters, or groups of them: see `Optimizer`.
    lr : float
    betas : (float, float)
        :math:`\beta_1, \beta_2`, each from 0 to below 1.
    eps : float
        :math:`\epsilon`, at least 0.
    weight_decay : float
        :math:`\alpha`, at least 0.

    Raises
    ------
    TypeError, ValueError
        As for `Optimizer`.

    Examples
    --------
    >>> theta = torch.tensor([1.0, 100.0], requires_grad=True)
    >>> (theta**2).sum().backward()
    >>> Adam([theta], lr=0.1).step()  # the first step is lr, whatever the gradient
    >>> theta.detach()
    tensor([ 0.9000, 99.9000])
    """

    keeps = ("t", "m", "v")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        state: State,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        """Take one step, with weight decay as part of the gradient."""
        if weight_decay:
            gradient = gradient + weight_decay * parameter
        parameter -= lr * self._direction(gradient, state, betas, eps)

    def _direction(self, g: Tensor, state: State, betas: tuple[float, float], eps: float) -> Tensor:
        beta_1, beta_2 = betas
        t = state["t"] = state.get("t", 0) + 1
        m = state["m"] = beta_1 * state.get("m", 0) + (1 - beta_1) * g
        v = state["v"] = beta_2 * state.get("v", 0) + (1 - beta_2) * g * g
        m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)
        return m_hat / (v_hat.sqrt() + eps)


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    .. math:: \theta_t = (1 - \eta\alpha)\,\theta_{t-1}
        - \eta\, \hat m_t / (\sqrt{\hat v_t} + \epsilon)

    Every weight decays at the same rate, whatever its gradients. (As in PyTorch, the rate is
    :math:`\eta\alpha`; the paper leaves out the learning rate's constant part.)

    Parameters
    ----------
    params, lr, betas, eps, weight_decay
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
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        state: State,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        """Take one step; the decay does not pass through the moments."""
        parameter *= 1 - lr * weight_decay
        parameter -= lr * self._direction(gradient, state, betas, eps)


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
    params : iterable of Tensor, or of dict
        Matrices, every one with two dimensions, or groups of them: see `Optimizer`.
    lr : float
    momentum : float
        :math:`\mu`, from 0 to below 1.
    weight_decay : float
        :math:`\alpha`, at least 0.
    steps : int
        Newton–Schulz steps.

    Raises
    ------
    TypeError, ValueError
        As for `Optimizer`, and if a parameter is no matrix.

    Examples
    --------
    >>> theta = torch.zeros(2, 2, requires_grad=True)
    >>> theta.grad = torch.tensor([[100.0, 0.0], [0.0, 1.0]])
    >>> Muon([theta], lr=0.1, weight_decay=0.0, steps=30).step()
    >>> bool((theta[0, 0] / theta[1, 1]).detach() < 2)  # was 100
    True
    """

    keeps = ("buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        steps: int = 5,
    ):
        super().__init__(params, lr, momentum=momentum, weight_decay=weight_decay, steps=steps)

    def update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        state: State,
        lr: float,
        momentum: float,
        weight_decay: float,
        steps: int,
    ) -> None:
        """Take one step."""
        mu, (rows, columns) = momentum, parameter.shape
        buffer = state["buffer"] = mu * state.get("buffer", 0) + (1 - mu) * gradient
        direction = orthogonalize((1 - mu) * gradient + mu * buffer, steps)
        parameter *= 1 - lr * weight_decay
        parameter -= lr * math.sqrt(max(1, rows / columns)) * direction

    def _require_parameter(self, parameter: Tensor) -> None:
        super()._require_parameter(parameter)
        if isinstance(parameter, Tensor) and (parameter.ndim != 2 or not parameter.numel()):
            raise ValueError(
                f"params must be matrices, got shape {tuple(parameter.shape)}; "
                "leave the others to AdamW"
            )


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    r"""Bring all singular values of a matrix near 1 and keep its singular vectors.

    From :math:`X = G / \lVert G \rVert_F`, repeat :math:`X \leftarrow aX + bXX^\top X +
    c(XX^\top)^2X`. This odd polynomial acts on each singular value by itself,
    :math:`\varphi(s) = as + bs^3 + cs^5`; its coefficients (3.4445, −4.7750, 2.0315) are chosen
    so that small values grow fast, at the price of ending near 1 and not at it: from 0.68 to 1.13
    after five steps, for every :math:`s` from 0.01 to 1 (Jordan et al. 2024).

    Parameters
    ----------
    matrix : Tensor, shape (rows, columns)
        Its length :math:`\lVert G \rVert_F` counts as 1e-7 where it is less.
    steps : int
        How often the polynomial is applied, at least 0.

    Returns
    -------
    Tensor, shape (rows, columns)

    Raises
    ------
    TypeError
        If ``matrix`` is no tensor of floating-point numbers, or ``steps`` no whole number.
    ValueError
        If ``matrix`` has not two dimensions, or ``steps`` is negative.

    Examples
    --------
    >>> orthogonalize(torch.zeros(2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    _require_matrix(matrix)
    _require_int("steps", steps, least=0)
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(_at_least_32_bits(matrix))
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.T
        factor = torch.addmm(square, square, square, beta=b, alpha=c)
        x = torch.addmm(x, factor, x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


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
        The rate at the end, from 0 to ``peak``.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If a number of steps is no whole number, or a rate no number.
    ValueError
        If ``step`` is negative, ``warmup`` is not from 0 to below ``total``, or ``floor`` is not
        from 0 to ``peak``.

    Examples
    --------
    >>> [round(warmup_cosine(t, peak=1.0, warmup=2, total=6), 3) for t in range(7)]
    [0.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    step = _require_int("step", step, least=0)
    warmup = _require_int("warmup", warmup, least=0)
    total = _require_int("total", total, least=0)
    _require_rates(peak, floor)
    if warmup >= total:
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
        The rate at each start, and what it falls towards; ``floor`` is from 0 to ``peak``.
    period : int
        Number of steps of the first cycle, at least 1.
    growth : int
        At least 1.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If ``step``, ``period`` or ``growth`` is no whole number, or a rate no number.
    ValueError
        If ``step`` is negative, ``period`` or ``growth`` is less than 1, or ``floor`` is not from
        0 to ``peak``.

    Examples
    --------
    >>> [cosine_restarts(t, peak=1.0, period=1, growth=2) for t in (0, 1, 2, 3, 5)]
    [1.0, 1.0, 0.5, 1.0, 0.5]
    """
    step = _require_int("step", step, least=0)
    period = _require_int("period", period, least=1)
    growth = _require_int("growth", growth, least=1)
    _require_rates(peak, floor)
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
    TypeError
        If an argument is no whole number.
    ValueError
        If an argument is less than 1.

    Examples
    --------
    >>> inverse_square_root(step=4, d_model=4, warmup=4)
    0.25
    """
    step = _require_int("step", step, least=1)
    d_model = _require_int("d_model", d_model, least=1)
    warmup = _require_int("warmup", warmup, least=1)
    return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)


@torch.no_grad()
def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor], max_norm: float, *, error_if_nonfinite: bool = False
) -> Tensor:
    r"""Shorten the gradient, all parameters taken as one vector, to ``max_norm`` if it is longer.

    Its direction stays (Pascanu et al. 2013). A gradient with an infinite entry, or one that is
    not a number, has no direction: as in PyTorch, all that comes of it is 0 or not a number, so
    look at what is returned before you step. (A ``GradScaler`` does so, and leaves the step out.)

    Parameters
    ----------
    parameters : Tensor, or iterable of Tensor
        Those without a gradient are passed over; one that comes twice counts once.
    max_norm : float
        Above 0.
    error_if_nonfinite : bool
        Refuse a gradient whose length is infinite or not a number, and leave it as it is.

    Returns
    -------
    Tensor
        The length before, worth watching during training.

    Raises
    ------
    TypeError
        If ``parameters`` holds anything but tensors, or ``max_norm`` is no number.
    ValueError
        If ``max_norm`` is not positive, or a gradient is sparse, complex or of another shape than
        its parameter, or ``error_if_nonfinite`` asks for it.

    Examples
    --------
    >>> theta = torch.zeros(2, requires_grad=True)
    >>> theta.grad = torch.tensor([3.0, 4.0])
    >>> clip_grad_norm([theta], max_norm=1.0), theta.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    gradients = _gradients(parameters)
    _require_number(max_norm=max_norm)
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    if not gradients:
        return torch.zeros(())
    lengths = [torch.linalg.vector_norm(g, dtype=_at_least_32_bits(g)) for g in gradients]
    norm = torch.stack([length.to(lengths[0].device) for length in lengths]).norm()
    if error_if_nonfinite and not norm.isfinite():
        raise ValueError(f"the gradient's length is {norm.item()}: an earlier step went wrong")
    scale = (max_norm / norm).clamp(max=1)
    for g in gradients:
        g *= scale.to(g.device)
    return norm


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Return the gradients that there are, each once."""
    if isinstance(parameters, Tensor):  # which is an iterable, of its rows
        parameters = [parameters]
    given = _as_list("parameters", parameters)
    for parameter in given:
        if not isinstance(parameter, Tensor):
            raise TypeError(f"parameters must be tensors, got {type(parameter).__name__}")
    each_once = dict.fromkeys(given)
    with_gradient = [parameter for parameter in each_once if parameter.grad is not None]
    for parameter in with_gradient:
        _require_gradient(parameter)
    return [parameter.grad for parameter in with_gradient if parameter.grad is not None]


# -- what is refused -----------------------------------------------------------------------------


def _as_list(name: str, values: Any) -> list[Any]:
    """Return what an iterable holds; not the rows of a tensor, the letters of a string."""
    if isinstance(values, (Tensor, str, bytes, dict, set)) or not isinstance(values, Iterable):
        raise TypeError(
            f"{name} must be a list or an iterator of tensors, got {type(values).__name__}"
        )
    return list(values)


def _at_least_32_bits(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def _moved(value: Any, parameter: Tensor) -> Any:
    """Return a copy of a tensor where the parameter is, in the type that it is updated in."""
    if not isinstance(value, Tensor):
        return value
    return value.detach().to(parameter.device, _at_least_32_bits(parameter), copy=True)


def _require_gradient(parameter: Tensor) -> None:
    g = parameter.grad
    assert g is not None
    if g.layout != torch.strided:
        raise ValueError(f"gradients must be dense, got {g.layout}: make it with sparse=False")
    if g.is_complex():
        raise ValueError(f"gradients must be real numbers, got a tensor of {g.dtype}")
    if g.shape != parameter.shape:
        raise ValueError(
            f"a gradient must have the shape of its parameter, {tuple(parameter.shape)}, "
            f"got {tuple(g.shape)}"
        )


def _require_remembered(state: State, parameter: Tensor) -> None:
    for name, value in state.items():
        if isinstance(value, Tensor) and value.shape != parameter.shape:
            raise ValueError(
                f"a parameter has shape {tuple(parameter.shape)} now, and its {name!r} of the "
                f"steps before {tuple(value.shape)}: make a new optimiser"
            )


def _require_matrix(matrix: Any) -> None:
    if not (isinstance(matrix, Tensor) and matrix.is_floating_point()):
        raise TypeError("matrix must be a tensor of floating-point numbers")
    if matrix.ndim != 2:
        raise ValueError(f"matrix must have two dimensions, got shape {tuple(matrix.shape)}")


def _require_known(group: Group, defaults: Group) -> None:
    known = defaults.keys() | NOTES
    for name in group:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f", only {sorted(defaults)}"
            raise ValueError(f"a group has no setting {name!r}{hint}")


def _require_settings(**settings: Any) -> None:
    """Refuse numbers that no optimiser can use; each name means the same in all of them."""
    for name in ("lr", "eps", "weight_decay"):
        if name in settings:
            _require_at_least_zero(**{name: settings[name]})
    if "momentum" in settings:
        _require_fraction(momentum=settings["momentum"])
    if "betas" in settings:
        _require_pair(settings["betas"])
        _require_fraction(beta_1=settings["betas"][0], beta_2=settings["betas"][1])
    if "steps" in settings:
        _require_int("steps", settings["steps"], least=0)
    if "nesterov" in settings:
        if not isinstance(settings["nesterov"], bool):
            raise TypeError(f"nesterov must be True or False, got {settings['nesterov']!r}")
        if settings["nesterov"] and not settings["momentum"]:
            raise ValueError("nesterov needs a momentum above 0")


def _require_layout(kind: str, saved: Any) -> None:
    """Refuse what `Optimizer.state_dict` of this kind of optimiser cannot have returned."""
    if not isinstance(saved, dict):
        raise TypeError(f"state_dict must be a dict, got {type(saved).__name__}")
    if saved.get("optimizer") != kind:
        came = saved.get("optimizer", f"a dict of {sorted(map(str, saved))}")
        raise ValueError(f"state_dict must be that of our {kind}, got {came}")
    groups, states = saved.get("param_groups"), saved.get("state")
    if not (isinstance(groups, list) and isinstance(states, dict)):
        raise ValueError("state_dict must have a list 'param_groups' and a dict 'state'")
    for group in groups:
        if not (isinstance(group, dict) and isinstance(group.get("params"), list)):
            raise ValueError("state_dict has a group without a list 'params'")
    places = [place for group in groups for place in group["params"]]
    if len(set(places)) < len(places):
        raise ValueError("state_dict has a parameter twice in its groups")


def _require_state(names: tuple[str, ...], state: Any, parameter: Tensor, place: int) -> None:
    """Refuse a state that is neither empty nor what the optimiser keeps of this parameter."""
    if not isinstance(state, dict):
        raise TypeError(f"state_dict: the state of parameter {place} must be a dict")
    if state and state.keys() != set(names):
        raise ValueError(
            f"state_dict: the state of parameter {place} must have {sorted(names)}, "
            f"got {sorted(map(str, state))}"
        )
    for name, value in state.items():
        if name == "t" and isinstance(value, Tensor):  # as a number it would pass
            raise TypeError(f"t must be a whole number, got {value!r}")
        if name == "t":
            _require_int("t", value, least=1)
        elif not (isinstance(value, Tensor) and value.is_floating_point()):
            raise TypeError(f"state_dict: {name!r} of parameter {place} must be a real tensor")
        elif value.shape != parameter.shape:
            raise ValueError(
                f"state_dict: {name!r} of parameter {place} must have shape "
                f"{tuple(parameter.shape)}, got {tuple(value.shape)}"
            )


def _require_number(**numbers_by_name: Any) -> None:
    for name, number in numbers_by_name.items():
        if isinstance(number, bool) or not isinstance(number, numbers.Real):
            raise TypeError(f"{name} must be a number, got {number!r}")


def _require_finite(**numbers_by_name: Any) -> None:
    _require_number(**numbers_by_name)
    for name, number in numbers_by_name.items():
        if not math.isfinite(number):
            raise ValueError(f"{name} must be finite, got {number}")


def _require_at_least_zero(**numbers_by_name: Any) -> None:
    _require_number(**numbers_by_name)
    for name, number in numbers_by_name.items():
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} must be at least 0, got {number}")


def _require_fraction(**numbers_by_name: Any) -> None:
    _require_number(**numbers_by_name)
    for name, number in numbers_by_name.items():
        if not 0 <= number < 1:
            raise ValueError(f"{name} must be from 0 to below 1, got {number}")


def _require_pair(betas: Any) -> None:
    if not isinstance(betas, (tuple, list)):
        raise TypeError(f"betas must be two numbers, got {betas!r}")
    if len(betas) != 2:
        raise ValueError(f"betas must be two numbers, got {betas!r}")


def _require_rates(peak: Any, floor: Any) -> None:
    _require_at_least_zero(peak=peak, floor=floor)
    if floor > peak:
        raise ValueError(f"floor must be from 0 to peak {peak}, got {floor}")
