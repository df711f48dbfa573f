"""Place four methods under the frontier of reward and divergence, and overdo a learnt reward.

World, settings, pretraining and the trainings are the notebook's own cells (tagged ``frontier``),
so that what is measured is what is printed there. One GPT learns the endings of a story; that is
the reference of all. From it REINFORCE, PPO, GRPO and DPO start, at several prices and with
several seeds, and the reward and the divergence of what they reach are exact sums over all
endings. Then REINFORCE is given a reward that was learnt from few comparisons, other ones for each
seed: by the round, what that reward says, what the true one is, and how far the policy has gone.
Run from the repository's root; what is interrupted
goes on where it was:

    OMP_NUM_THREADS=1 python -m benchmarks.alignment_frontier [--seeds 3]
"""

import contextlib
import io
from functools import cache
from typing import Any

from benchmarks import records

CHAPTER = records.chapter("alignment/frontier")
RESULT = records.RESULTS / "alignment_frontier.json"
METHODS = ("reinforce", "ppo", "grpo", "dpo")
BETAS = (0.3, 1.0)
#: Comparisons that a reward is learnt from, and prices at which it is climbed.
COMPARISONS, CHEAP = 25, (0.03, 0.3)
#: Prices of the policies that the curve goes through.
PRICES = (100.0, 10.0, 5.0, 3.0, 2.0, 1.5, 1.2, 1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1)
ROUNDS = (0, 5, 10, 15, 20, 30, 40, 60, 80, 99)

Code = dict[str, Any]
Measured = dict[str, float]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "frontier-imports", "frontier")


@cache
def reference() -> Any:
    """Return the GPT that writes endings."""
    code = chapter_code()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return code["pretrain"](code["Settings"](), 0)


def curve() -> list[list[float]]:
    """Return divergence and reward of the best policies, from the largest price to the smallest."""
    code = chapter_code()
    found = code["alignment"].frontier(code["of_all"](reference()), code["REWARDS"], PRICES)
    return [[round(each.kl, 4), round(each.reward, 4)] for each in found]


def climbed(method: str, beta: float, seed: int) -> Measured:
    """Return where a method gets to, and where the best policy is."""
    code, start = chapter_code(), reference()
    settings = code["Settings"]()
    if method == "dpo":
        policy = code["climb_by_dpo"](beta, start, settings, seed)
    else:
        policy = code["climb"](method, beta, start, settings, seed)
    logs, usual = code["of_all"](policy), code["of_all"](start)
    alignment, rewards = code["alignment"], code["REWARDS"]
    before, after = (alignment.trade_off(x, usual, rewards, beta) for x in (usual, logs))
    best = float(alignment.best_value(usual, rewards, beta))
    return {
        "reward": after.reward,
        "kl": after.kl,
        "value": after.value,
        "best": best,
        "start": before.value,
        "of_best": after.value / best,
        "gain": (after.value - before.value) / (best - before.value),
        "frontier": alignment.best_reward(usual, rewards, after.kl),
        "no_ending": float(logs[-1].exp()),
    }


def overdone(beta: float, seed: int) -> Measured:
    """Return by the round what a learnt reward says, and what is true."""
    code, start = chapter_code(), reference()
    weights = code["learnt_reward"](COMPARISONS, seed)
    found: Measured = {}

    def watch(done: Any, policy: Any) -> None:
        if done.step in ROUNDS:
            logs, rewards = code["of_all"](policy), code["REWARDS"]
            found[f"proxy_{done.step}"] = done.reward
            found[f"kl_{done.step}"] = done.kl
            found[f"true_{done.step}"] = float((logs.exp() * rewards).sum())
            found[f"no_ending_{done.step}"] = float(logs[-1].exp())

    judge = code["by_words"](weights)
    code["climb"]("reinforce", beta, start, code["Settings"](), seed, judge, watch)
    return found


def measured(method: str, beta: float, seed: int) -> Measured:
    """Return what one case gives."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return overdone(beta, seed) if method == "learnt" else climbed(method, beta, seed)


def cases(seeds: range) -> list[dict[str, Any]]:
    """Return what is measured."""
    ways = [(method, 1.0) for method in METHODS] + [("learnt", beta) for beta in CHEAP]
    ways += [(method, beta) for beta in BETAS if beta != 1 for method in METHODS]
    return [{"method": way, "beta": beta, "seed": seed} for way, beta in ways for seed in seeds]


def main() -> None:
    """Measure, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    runs = records.untimed(records.kept_runs("alignment_frontier", cases(seeds), measured))
    records.write(
        RESULT,
        seeds,
        settings=vars(chapter_code()["Settings"]()),
        comparisons=COMPARISONS,
        frontier=curve(),
        runs=records.by_seed(runs),
    )


if __name__ == "__main__":
    main()
