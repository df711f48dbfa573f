"""Early stopping with patience."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
After each epoch there is a validation loss. An epoch is *better* if its loss lies more than {{least}} below that of the last better one; the first epoch always is, and `nan` never. Training stops after `patience` epochs in a row that are not better, or when the losses end. Return the epoch to keep, the last better one, and the last that was trained, counted from 0.
"""
STARTER = '''
def stop_early(validation_losses, patience):
    """Return the epoch to keep, and the last epoch that was trained."""
    ...
'''
TWISTS = {
    "stopped": Twist(
        "Return three things, the last of which is `True` if patience ran out and `False` if the losses ended before.",
        {"stop_early": ("", "result = *result, result[1] - result[0] == patience")},
        {
            "and the last epoch that was trained.": "the last that was trained, and whether patience ran out."
        },
    ),
    "from one": Twist(
        "Epochs are counted from 1.",
        {"stop_early": ("", "result = result[0] + 1, result[1] + 1")},
        {"the epoch to keep": "the epoch to keep (from 1)"},
    ),
    "scores": Twist(
        "In place of losses there are *scores*, such as accuracies: a score is better if it lies more than {{least}} *above* that of the last better one.",
        {"stop_early": ("validation_losses = [-score for score in validation_losses]", "")},
    ),
}
HINT = "Go through the losses once, as training does. What must be remembered?"
SOLUTION = """
def stop_early(validation_losses, patience):
    best = 0
    for epoch, loss in enumerate(validation_losses):
        if loss < validation_losses[best] - LEAST:
            best = epoch
        elif epoch - best == patience:
            return best, epoch
    return best, len(validation_losses) - 1
"""
TRIAL = """
rng = np.random.default_rng(0)
noisy = 1 + abs(np.arange(30) - 12) / 15 + 0.2 * rng.normal(size=30)
creeping, broken = 1 - 0.4 * LEAST * np.arange(9), np.array([2, 1, math.nan, math.nan, 0.5])
for history in (noisy, creeping, broken):
    for patience in (1, 2, 4):
        sgd = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            sgd, patience=patience - 1, threshold=LEAST, threshold_mode="abs"
        )  # lowers the rate where your training would stop
        for epoch, loss in enumerate(history):
            best = plateau.best
            plateau.step(loss)
            kept = epoch if plateau.best != best else kept
            if sgd.param_groups[0]["lr"] < 1:
                break
        found = stop_early(history.tolist(), patience)
        check(f"epochs kept and last, by PyTorch, patience {patience}", found, [kept, epoch])
"""
EXPLANATION = r"""
Only the best epoch must be remembered. Whoever compares with the *previous* one stops at noise, or never. Kept are the best epoch's weights, not the last ones. Every comparison with `nan` is false, so it never counts as better.
"""
WRONG_ANSWERS = {
    "compared with the epoch before": """
        def stop_early(validation_losses, patience):
            best, waited = 0, 0
            for epoch in range(1, len(validation_losses)):
                if validation_losses[epoch] < validation_losses[epoch - 1] - LEAST:
                    best, waited = epoch, 0
                else:
                    waited += 1
                if waited == patience:
                    return best, epoch
            return best, len(validation_losses) - 1
        """,
    "one epoch too patient": """
        def stop_early(validation_losses, patience):
            best = 0
            for epoch, loss in enumerate(validation_losses):
                if loss < validation_losses[best] - LEAST:
                    best = epoch
                elif epoch - best > patience:
                    return best, epoch
            return best, len(validation_losses) - 1
        """,
    "the last weights are kept": """
        def stop_early(validation_losses, patience):
            best = 0
            for epoch, loss in enumerate(validation_losses):
                if loss < validation_losses[best] - LEAST:
                    best = epoch
                elif epoch - best == patience:
                    return epoch, epoch
            return len(validation_losses) - 1, len(validation_losses) - 1
        """,
    "not in a row": """
        def stop_early(validation_losses, patience):
            best, waited = 0, -1
            for epoch, loss in enumerate(validation_losses):
                if loss < validation_losses[best] - LEAST:
                    best = epoch
                else:
                    waited += 1
                if waited == patience:
                    return best, epoch
            return best, len(validation_losses) - 1
        """,
    "any improvement counts": """
        def stop_early(validation_losses, patience):
            best = 0
            for epoch, loss in enumerate(validation_losses):
                if loss < validation_losses[best]:
                    best = epoch
                elif epoch - best == patience:
                    return best, epoch
            return best, len(validation_losses) - 1
        """,
    "at least for more than": """
        def stop_early(validation_losses, patience):
            best = 0
            for epoch, loss in enumerate(validation_losses):
                if epoch and loss <= validation_losses[best] - LEAST:
                    best = epoch
                elif epoch - best == patience:
                    return best, epoch
            return best, len(validation_losses) - 1
        """,
    "a look at the future": """
        def stop_early(validation_losses, patience):
            best = int(np.nanargmin(validation_losses))
            return best, min(best + patience, len(validation_losses) - 1)
        """,
}


def exercise(seed: int = 0, least: float = 0.01, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise in which a loss must be lower by more than `least`, with `twists`."""
    given = {"seed": seed, "least": least, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"stop_early": "validation_losses, patience"}, twisted)
        return answer.replace("LEAST", str(least))

    return Exercise(
        id="optimisation-patience",
        title="Patience",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"least": least},
        visible=(Check(clear_runs_end_well, {"twists": twists}),),
        hidden=(
            Check(runs_stop_in_time, given),
            Check(small_gains_do_not_count, {"least": least, "twists": twists}),
            Check(nan_is_no_gain, {"twists": twists}),
            Check(as_much_is_not_more, {"least": least, "twists": twists}),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("LEAST", str(least)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw losses, by how much one must be lower, and twists."""
    return {
        "seed": rng.randrange(10_000),
        "least": rng.choice((0.002, 0.005, 0.02, 0.05)),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def plain(stop_early, twists):
    """Return the function as the page asks for it."""

    def as_on_the_page(losses, patience):
        given = [-loss for loss in losses] if "scores" in twists else losses
        result = stop_early(given, patience)
        kept, last, *told = parts(result, 3 if "stopped" in twists else 2)
        if told:
            ran_out = bool(last - kept == patience)
            assert bool(told[0]) is ran_out, (
                f"With a patience of {patience}, epoch {kept} kept and epoch {last} the last, "
                f"whether patience ran out should be {ran_out}"
            )
        first = int("from one" in twists)
        return kept - first, last - first

    return as_on_the_page


def clear_runs_end_well(stop_early, *, twists):
    """Try losses that only fall, and losses that fall once and rise ever after."""
    stop_early = plain(stop_early, twists)
    kept, last = stop_early([3.0, 2.0, 1.0], 2)
    assert (kept, last) == (2, 2), (
        f"Where each epoch is better, the last is trained and kept: 2 of 0 to 2, got {kept}, {last}"
    )
    kept, last = stop_early([3.0, 1.0, 2.0, 3.0, 4.0, 5.0], 2)
    assert (kept, last) == (1, 3), (
        "After 3.0, 1.0, 2.0, 3.0, ... with a patience of 2, epoch 1 is kept and epoch 3 is the "
        f"last; got {kept}, {last}"
    )


def noisy_losses(seed: int, least: float):
    """Draw validation losses that fall by fits and starts, then rise."""
    rng = np.random.default_rng(seed)
    n, low = int(rng.integers(25, 40)), int(rng.integers(8, 16))
    trend = 2 * np.abs(np.arange(n) - low) / n
    return (1 + trend + 0.2 * rng.standard_normal(n) + 10 * least).tolist()


def epochs_by_recounting(losses, patience, least):
    """Find the end by trying each length of training, slowly."""
    for last in range(len(losses)):
        better = [0]
        for epoch in range(1, last + 1):
            if losses[epoch] < min(losses[i] for i in better) - least:
                better.append(epoch)
        if last - better[-1] == patience:
            break
    return better[-1], last


def runs_stop_in_time(stop_early, *, seed, least, twists):
    """Try noisy losses, with more and less patience."""
    stop_early = plain(stop_early, twists)
    for number in range(40):
        losses, patience = noisy_losses(1000 * seed + number, least), 1 + number % 5
        right = epochs_by_recounting(losses, patience, least)
        got = tuple(int(epoch) for epoch in stop_early(losses, patience))
        after = ", ".join(f"{loss:.3f}" for loss in losses)
        assert got[0] == right[0], (
            f"With a patience of {patience}, the epoch to keep should not be {got[0]} where the "
            f"losses are {after}"
        )
        assert got[1] == right[1], (
            f"With a patience of {patience}, the epoch to stop after should not be {got[1]} where "
            f"the losses are {after}"
        )


def small_gains_do_not_count(stop_early, *, least, twists):
    """Try a loss that creeps down in steps too small to count one by one."""
    stop_early = plain(stop_early, twists)
    losses = [1 - 0.4 * least * epoch for epoch in range(8)]
    right = epochs_by_recounting(losses, 4, least)
    got = tuple(int(epoch) for epoch in stop_early(losses, 4))
    assert got == right, (
        f"With losses that fall by {0.4 * least:g} an epoch and a patience of 4, it should not be "
        f"{got}: several small gains together may be more than {least}"
    )


def nan_is_no_gain(stop_early, *, twists):
    """Try losses of nan after the best."""
    stop_early = plain(stop_early, twists)
    nan = float("nan")
    got = tuple(int(epoch) for epoch in stop_early([2.0, 1.0, nan, nan, nan, 0.5], 3))
    assert got[0] != 5, "After three epochs of nan and a patience of 3 nothing more is trained"
    assert got == (1, 4), f"A loss of nan is one that is not better, but the answer was {got}"


def as_much_is_not_more(stop_early, *, least, twists):
    """Try a loss that is lower by just the least amount, in numbers without rounding."""
    stop_early = plain(stop_early, twists)
    got = tuple(int(epoch) for epoch in stop_early([least, 0.0, 0.0, -3.0], 2))
    assert got == (0, 2), (
        f"Where a loss of {least} is followed by 0.0, that is lower by {least} and not by more, so "
        f"with a patience of 2 the answer should not be {got}"
    )
