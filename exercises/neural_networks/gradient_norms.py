"""Predict what depth does to the gradient, for activations and initialisations."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from exercises import Check, Exercise
from exercises.answers import otherwise, words_for_cases

# Activation, factor of the standard deviation 1/√n, how the question says it, and why.
CASES = {
    "sigmoid": (
        "sigmoid, standard deviation $1/\\sqrt n$",
        "the derivative is $\\tfrac14$ at most, in every layer.",
    ),
    "relu": (
        "ReLU, standard deviation $1/\\sqrt n$",
        "half of the derivatives are 0, so the mean square is halved in every layer, and the norm multiplied by $\\sqrt{1/2}$.",
    ),
    "relu he": (
        "ReLU, standard deviation $\\sqrt{2/n}$",
        "the 2 makes up for the half that ReLU cuts off.",
    ),
    "relu twice": (
        "ReLU, standard deviation $2\\sqrt{2/n}$",
        "twice what keeps it, in every layer.",
    ),
    "linear": (
        "no activation, standard deviation $1/\\sqrt n$",
        "a sum of $n$ products with variance $1/n$ keeps the mean square, and so the norm.",
    ),
    "linear half": (
        "no activation, standard deviation $1/(2\\sqrt n)$",
        "half of what keeps it, in every layer.",
    ),
    "linear twice": (
        "no activation, standard deviation $2/\\sqrt n$",
        "twice what keeps it, in every layer.",
    ),
    "tanh half": (
        "tanh, standard deviation $1/(2\\sqrt n)$",
        "the signal soon is so small that tanh is nearly straight, and each layer halves.",
    ),
}
QUESTION = """
A network has {{depth}} layers of $n = {{width}}$ neurons, normal weights and no biases. Compare the norm of the loss's gradient with respect to the network's input with that with respect to its output. It *vanishes* if it is less than a hundredth, *explodes* if it is more than a hundred times as large, and *stays* otherwise:

{cases}

Write down your predictions, with a reason for each. Then measure: `gradient_ratio` below builds such a network and returns the first norm divided by the second. Call it once for each case, with the activation and the standard deviation.
"""
STARTER = """
depth_predictions = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}

def gradient_ratio(activation, std, depth=DEPTH, n=WIDTH):
    torch.manual_seed(0)
    h = x = torch.randn(32, n, requires_grad=True)
    for _ in range(depth):
        h = activation(h @ (std * torch.randn(n, n)))
    at_output = torch.randn(32, n)  # what a loss might send back
    (at_input,) = torch.autograd.grad((h * at_output).sum(), x)
    return (at_input.norm() / at_output.norm()).item()

# For example gradient_ratio(torch.relu, 1 / WIDTH**0.5). The others are
# torch.sigmoid, torch.tanh, and for no activation torch.clone.
"""
HINT = "On its way back the gradient passes each layer's transposed weights and the derivative of each activation. By what factor does one layer change its norm?"
TRIAL = """
cases = {
CASES}
for case, (activation, std) in cases.items():
    ratio = gradient_ratio(activation, std)
    fate = "explodes" if ratio > 100 else "vanishes" if ratio < 0.01 else "stays"
    print(f"({case}) the norm is multiplied by {ratio:.2g}")
    check(f"prediction ({case})", depth_predictions[case], fate)
"""
PAGE = ("relu", "sigmoid", "linear twice", "relu he", "linear half")


def exercise(
    depth: int = 20, width: int = 100, cases: tuple[str, ...] = PAGE, seed: int = 0
) -> Exercise:
    """Return the exercise with five `cases` of networks."""
    truth = fates(depth, width, cases, seed)
    letters = dict(zip(cases, "abcde", strict=True))
    keys = {case: case.replace(" ", "_") for case in cases}
    fate = {f"{keys[case]}_fate": truth[letter] for case, letter in letters.items()}
    listed = [f"- ({{{{{keys[case]}}}}}) {CASES[case][0]}" for case in cases]
    reasons = [f"- ({{{{{keys[c]}}}}}) {{{{{keys[c]}_fate}}}}: {CASES[c][1]}" for c in cases]
    others = {"vanishes": "stays", "stays": "explodes", "explodes": "stays"}
    trusting = dict.fromkeys(truth, "stays")
    return Exercise(
        id="neural-networks-gradient-norms",
        title="What reaches the first layer",
        kind="predict",
        difficulty=2,
        minutes=15,
        points=2,
        question=QUESTION.replace("{cases}", "\n".join(listed)),
        starter=STARTER.replace("DEPTH", str(depth)).replace("WIDTH", str(width)),
        hint=HINT,
        solution=f"depth_predictions = {truth}",
        explanation="\n".join(reasons),
        values={
            **{keys[case]: letter for case, letter in letters.items()},
            **fate,
            "depth": depth,
            "width": width,
        },
        visible=(Check(fates_are_named),),
        hidden=(
            Check(fates_come_true, {"depth": depth, "width": width, "cases": cases, "seed": seed}),
        ),
        wrong_answers={
            "all stays as it was": f"depth_predictions = {trusting}",
            "all otherwise": f"depth_predictions = { {k: others[v] for k, v in truth.items()} }",
            "a word that was not offered": f"depth_predictions = {truth | {'c': 'shrinks'}}",
        },
        public_solution=True,
        words=True,
        trial=TRIAL.replace("CASES", _calls(letters, width)),
    )


def _calls(letters: dict[str, str], width: int) -> str:
    """Return for each case, as code, the activation and the standard deviation."""
    lines = ""
    for case, letter in letters.items():
        kind, scale = _parts(case)
        lines += f'    "{letter}": (torch.{kind}, {scale / width**0.5:.4g}),\n'
    return lines.replace("torch.linear", "torch.clone")


def _parts(case: str) -> tuple[str, float]:
    """Return a case's activation, and its standard deviation times √n."""
    kind, _, how = case.partition(" ")
    return kind, SCALES.get(how, 1.0) * (2**0.5 if case == "relu twice" else 1.0)


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a depth, a width and five cases in which all three things happen."""
    vanishing = ["sigmoid", "relu", "linear half", "tanh half"]
    cases = [
        *rng.sample(vanishing, 2),
        rng.choice(["relu he", "linear"]),
        rng.choice(["relu twice", "linear twice"]),
    ]
    cases.append(rng.choice([case for case in CASES if case not in cases]))
    rng.shuffle(cases)
    return {
        "depth": rng.choice([18, 24, 30]),
        "width": rng.choice([100, 150, 200]),
        "cases": tuple(cases),
        "seed": rng.randrange(10_000),
    }


# -- checks --------------------------------------------------------------------------------------

ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "linear": torch.clone,
    "tanh": torch.tanh,
}
SCALES = {"he": 2**0.5, "twice": 2.0, "half": 0.5}


def gradient_ratio(case, depth, width, seed) -> float:
    """Return the norm of the gradient at the input over that at the output, for 32 samples."""
    kind, scale = _parts(case)
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = start = normal(32, width).requires_grad_()
    for _ in range(depth):
        x = ACTIVATIONS[kind](x @ (normal(width, width) * scale / width**0.5))
    behind = normal(32, width)
    (gradient,) = torch.autograd.grad((x * behind).sum(), start)
    return float(gradient.norm() / behind.norm())


def fates(depth, width, cases, seed) -> dict[str, str]:
    """Run each network and say what became of its gradient."""
    found = {}
    for letter, case in zip("abcde", cases, strict=True):
        ratio = gradient_ratio(case, depth, width, seed)
        found[letter] = "explodes" if ratio > 100 else "vanishes" if ratio < 0.01 else "stays"
    return found


def fates_are_named(depth_predictions):
    """Check that there is one of the three words for each case."""
    words_for_cases(depth_predictions, ("vanishes", "stays", "explodes"))


def fates_come_true(depth_predictions, *, depth, width, cases, seed):
    """Run the networks and compare."""
    truth = fates(depth, width, cases, seed)
    wrong = otherwise(depth_predictions, truth)
    assert not wrong, (
        f"The run says otherwise for {', '.join(wrong)}: how does one layer change the gradient?"
    )
