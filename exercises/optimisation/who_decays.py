"""Weight decay as part of the gradient or beside it, and which weight ends nearer to zero."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import otherwise, words_for_cases

# Two runs each: how the question says it, and why it comes out as it does.
CASES = {
    "sgd": (
        r"SGD with L2, or SGD whose weight is multiplied by $1 - \eta\alpha$ before each step; {{g_middle}}",
        r"$\theta - \eta(g + \alpha\theta)$ is $(1 - \eta\alpha)\theta - \eta g$.",
    ),
    "momentum": (
        r"SGD with momentum 0.9 and L2, or with the factor $1 - \eta\alpha$ and no L2; {{g_middle}}",
        r"in the buffer the decay adds up to ten times as much.",
    ),
    "large": (
        "Adam with L2, or AdamW; {{g_large}}",
        r"the decay is divided by $\sqrt{\hat v_t}$, too, and hardly anything is left.",
    ),
    "small": (
        "Adam with L2, or AdamW; {{g_small}}",
        r"the decay is most of what Adam sees, and is blown up to steps of nearly $\eta$.",
    ),
    "scaled": (
        "AdamW with {{g_large}}, or with {{g_middle}}",
        "the scale of the gradients cancels, and the decay does not pass through Adam.",
    ),
    "scaled_l2": (
        "Adam with L2 and {{g_large}}, or with {{g_middle}}",
        "the larger its gradients, the less a weight decays.",
    ),
    "both": (
        r"Adam with L2 and {{g_middle}}, or with ten times the gradients and ten times the $\alpha$",
        "what gradient and decay have in common cancels.",
    ),
    "half": (
        r"AdamW with $\eta / 2$, or with $\eta$; {{g_middle}}",
        r"the rate of decay is $\eta\alpha$: a schedule of the learning rate is one of the decay.",
    ),
}
# The same in code, with PyTorch's optimisers.
RUNS = {
    "sgd": "ends_at(SGD, MIDDLE), ends_at(SGD, MIDDLE, alpha=0, factor=FACTOR)",
    "momentum": "ends_at(SGD, MIDDLE, momentum=0.9), "
    "ends_at(SGD, MIDDLE, alpha=0, factor=FACTOR, momentum=0.9)",
    "large": "ends_at(Adam, LARGE), ends_at(AdamW, LARGE)",
    "small": "ends_at(Adam, SMALL), ends_at(AdamW, SMALL)",
    "scaled": "ends_at(AdamW, LARGE), ends_at(AdamW, MIDDLE)",
    "scaled_l2": "ends_at(Adam, LARGE), ends_at(Adam, MIDDLE)",
    "both": "ends_at(Adam, MIDDLE), ends_at(Adam, TENTIMES, alpha=TENFOLD)",
    "half": "ends_at(AdamW, MIDDLE, eta=HALF), ends_at(AdamW, MIDDLE)",
}
QUESTION = r"""
A weight starts at 1; for {{steps}} steps its gradients are $g, -g, g, -g, \dots$ Weight decay, with $\alpha = {{alpha}}$ and $\eta = {{eta}}$, is part of the gradient (*L2*) or, in AdamW, stands beside it. Does the first of two runs end *nearer* to 0 than the second, at the *same* place, or *farther*?

{cases}

Predict first, and say why; then run.
"""
STARTER = """
decay_predictions = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}
"""
HINT = r"Ask of each run: by what is the decay divided, and what else is divided by the same?"
TRIAL = """
def ends_at(kind, g, eta=ETA, alpha=ALPHA, factor=1.0, **more):
    w = torch.ones(1, dtype=torch.float64)
    optimiser = kind([w], lr=eta, weight_decay=alpha, **more)
    for step in range(STEPS):
        w *= factor
        w.grad = torch.full_like(w, -g if step % 2 else g)
        optimiser.step()
    return abs(w.item())

SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
runs = {
CASES}
for case, (one, other) in runs.items():
    fate = "same" if abs(one - other) < 1e-5 else "nearer" if one < other else "farther"
    print(f"({case}) {one:.5f} and {other:.5f}")
    check(f"prediction ({case})", decay_predictions[case], fate)
"""
EXPLANATION = r"""
{reasons}

Only for plain SGD are L2 and decay the same.
"""
PAGE = ("half", "large", "both", "small", "momentum")


def exercise(
    cases: tuple[str, ...] = PAGE,
    sizes: tuple[float, float, float] = (0.01, 0.5, 20.0),
    eta: float = 0.01,
    alpha: float = 0.1,
    steps: int = 100,
) -> Exercise:
    """Return the exercise with five `cases`, and gradients of three `sizes`."""
    given = {"cases": cases, "sizes": sizes, "eta": eta, "alpha": alpha, "steps": steps}
    truth = decay_outcomes(**given)
    letters = dict(zip(cases, "abcde", strict=True))
    outcomes = {f"{case}_outcome": truth[letter] for case, letter in letters.items()}
    listed = [f"- ({{{{{case}}}}}) {CASES[case][0]}" for case in cases]
    reasons = [f"- ({{{{{case}}}}}) {{{{{case}_outcome}}}}: {CASES[case][1]}" for case in cases]
    turned = {"nearer": "farther", "farther": "nearer", "same": "nearer"}
    alike = truth | {letters["large"]: "same", letters["small"]: "same"}
    return Exercise(
        id="optimisation-who-decays",
        title="Who decays?",
        kind="predict",
        difficulty=2,
        minutes=15,
        points=3,
        question=QUESTION.replace("{cases}", "\n".join(listed)),
        starter=STARTER,
        hint=HINT,
        solution=f"decay_predictions = {truth}",
        explanation=EXPLANATION.replace("{reasons}", "\n".join(reasons)),
        values={
            **letters,
            **outcomes,
            "g_small": f"$g = {sizes[0]:g}$",
            "g_middle": f"$g = {sizes[1]:g}$",
            "g_large": f"$g = {sizes[2]:g}$",
            "eta": eta,
            "alpha": alpha,
            "steps": steps,
        },
        visible=(Check(decays_are_complete),),
        hidden=(Check(decays_come_true, given),),
        wrong_answers={
            "decay is decay": f"decay_predictions = {alike}",
            "all the other way round": f"decay_predictions = { {k: turned[v] for k, v in truth.items()} }",
            "a word that was not offered": f"decay_predictions = {truth | {'c': 'closer'}}",
        },
        public_solution=True,
        words=True,
        trial=_trial(letters, **given),
    )


def _trial(letters: dict[str, str], sizes, eta: float, alpha: float, steps: int, **_: Any) -> str:
    """Return the page's check, with both runs of each case."""
    known = dict(zip(("SMALL", "MIDDLE", "LARGE"), sizes, strict=True))
    known |= {"ETA": eta, "ALPHA": alpha, "STEPS": steps, "HALF": eta / 2}
    known |= {"TENFOLD": 10 * alpha, "TENTIMES": 10 * sizes[1], "FACTOR": 1 - eta * alpha}
    lines = "".join(f'    "{letter}": ({RUNS[case]}),\n' for case, letter in letters.items())
    code = TRIAL.replace("CASES", lines)
    for name, value in known.items():
        code = code.replace(name, f"{value:g}")
    return code


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw five cases, of which two are Adam against AdamW, and other numbers."""
    cases = [
        "large",
        "small",
        *rng.sample(["sgd", "momentum", "scaled", "scaled_l2", "both", "half"], 3),
    ]
    rng.shuffle(cases)
    return {
        "cases": tuple(cases),
        "sizes": (rng.choice((0.005, 0.01)), rng.choice((0.4, 0.6)), rng.choice((10.0, 30.0))),
        "eta": rng.choice((0.004, 0.005)),
        "alpha": rng.choice((0.1, 0.2)),
        "steps": rng.choice((100, 150)),
    }


# -- checks --------------------------------------------------------------------------------------


def weight_after(kind, g, eta, alpha, steps) -> float:
    """Return where a weight of 1 ends, with gradients of g and -g in turn."""
    theta, b, m, v = 1.0, 0.0, 0.0, 0.0
    mu = 0.9 if kind.startswith("momentum") else 0.0
    for t in range(1, steps + 1):
        gradient = g if t % 2 else -g
        if kind in ("sgd", "momentum", "adam"):
            gradient += alpha * theta
        else:
            theta *= 1 - eta * alpha
        if kind.startswith("adam"):
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            theta -= eta * m / (1 - 0.9**t) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
        else:
            b = mu * b + gradient
            theta -= eta * b
    return theta


def decay_outcomes(cases, sizes, eta, alpha, steps) -> dict[str, str]:
    """Make both runs of each case, and compare."""
    small, middle, large = sizes
    runs = {  # the optimiser, the size of its gradients, learning rate and decay
        "sgd": (("sgd", middle, eta, alpha), ("sgd factor", middle, eta, alpha)),
        "momentum": (("momentum", middle, eta, alpha), ("momentum factor", middle, eta, alpha)),
        "large": (("adam", large, eta, alpha), ("adamw", large, eta, alpha)),
        "small": (("adam", small, eta, alpha), ("adamw", small, eta, alpha)),
        "scaled": (("adamw", large, eta, alpha), ("adamw", middle, eta, alpha)),
        "scaled_l2": (("adam", large, eta, alpha), ("adam", middle, eta, alpha)),
        "both": (("adam", middle, eta, alpha), ("adam", 10 * middle, eta, 10 * alpha)),
        "half": (("adamw", middle, eta / 2, alpha), ("adamw", middle, eta, alpha)),
    }
    found = {}
    for letter, case in zip("abcde", cases, strict=True):
        first, second = (abs(weight_after(*one, steps)) for one in runs[case])
        moved = "nearer" if first < second else "farther"
        found[letter] = "same" if abs(first - second) < 1e-5 else moved
    return found


def decays_are_complete(decay_predictions):
    """Check that there is one of the three words for each pair of runs."""
    words_for_cases(decay_predictions, ("nearer", "same", "farther"))


def decays_come_true(decay_predictions, *, cases, sizes, eta, alpha, steps):
    """Make the runs and compare."""
    truth = decay_outcomes(cases, sizes, eta, alpha, steps)
    wrong = otherwise(decay_predictions, truth)
    assert not wrong, f"The runs say otherwise for {', '.join(wrong)}; make both runs and compare"
