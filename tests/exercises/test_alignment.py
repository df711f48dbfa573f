"""The answers of the exercises of *Alignment*, held against other packages and the book's."""

import itertools
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from trl import DPOTrainer, GRPOTrainer

from companion import alignment, evaluation
from exercises import alignment as master
from exercises import run
from exercises.alignment import (
    bandit_by_hand,
    best_at_a_price,
    clipped_tokens,
    loose_verifier,
    name_fault,
    pair_gradients,
    pass_and_vote,
    rewards_from_counts,
    silent_prompts,
)
from tests.alignment.support import their_trainer
from tests.exercises.quick import plainly

pytestmark = pytest.mark.chapter("alignment")


def drawn(module, seeds):
    return [{}, *(module.draw(random.Random(seed)) for seed in range(seeds))]


def solved(exercise):
    return run(master.SETUP, exercise.solution)


# -- by hand, and predicted ----------------------------------------------------------------------


@pytest.mark.parametrize("given", drawn(bandit_by_hand, 8), ids=str)
def test_the_gradient_of_a_bandit_is_that_of_torch(given):
    right = solved(bandit_by_hand.exercise(**given))
    parts = torch.tensor(given.get("parts", bandit_by_hand.PARTS)).double()
    pays = torch.tensor(given.get("pays", bandit_by_hand.PAYS)).double()
    logits = parts.log().requires_grad_()
    reward = logits.softmax(dim=0) @ pays
    (gradient,) = torch.autograd.grad(reward, logits)
    assert right["bandit_reward"] == pytest.approx(reward.item())
    assert right["bandit_gradient"] == pytest.approx(gradient.tolist(), abs=1e-6)
    for arm, row in enumerate(right["estimates_by_arm"]):
        score = torch.autograd.grad(logits.log_softmax(dim=0)[arm], logits)[0]
        assert row == pytest.approx((pays[arm] * score).tolist(), abs=1e-6)
    for name, baseline in (("variance_plain", 0.0), ("variance_centred", reward.item())):
        theirs = alignment.estimator_variance(logits.detach(), pays, baseline)
        assert right[name] == pytest.approx(theirs.item(), abs=1e-5)


def test_the_variance_of_estimates_is_that_of_drawn_pulls():
    right = solved(bandit_by_hand.exercise())
    p = np.array(bandit_by_hand.PARTS) / sum(bandit_by_hand.PARTS)
    arms = np.random.default_rng(0).choice(3, 400_000, p=p)
    rows = np.array(right["estimates_by_arm"])[arms]
    assert rows.mean(axis=0) == pytest.approx(right["bandit_gradient"], abs=0.02)
    assert rows.var(axis=0).sum() == pytest.approx(right["variance_plain"], rel=0.01)


@pytest.mark.parametrize("given", drawn(best_at_a_price, 8), ids=str)
def test_no_policy_that_scipy_finds_has_a_larger_value(given):
    right, given = solved(best_at_a_price.exercise(**given)), {**best_at_a_price.PAGE, **given}
    reference = np.array(given["parts"]) / sum(given["parts"])
    rewards, beta = given["beta"] * np.log(2) * np.array(given["powers"]), given["beta"]

    def value(p):
        return p @ rewards - beta * scipy.stats.entropy(p, reference)

    def policy(logits):
        return scipy.special.softmax([0.0, *logits])

    found = minimize(lambda logits: -value(policy(logits)), np.zeros(2), tol=1e-12)
    assert right["priced_policy"] == pytest.approx(policy(found.x), abs=1e-4)
    assert right["priced_value"] == pytest.approx(-found.fun, abs=1e-5)
    best = np.zeros(3)
    for draws in itertools.product(range(3), repeat=given["n"]):
        best[max(draws, key=rewards.__getitem__)] += reference[list(draws)].prod()
    assert right["kept_policy"] == pytest.approx(best, abs=1e-6)
    for name in ("priced", "kept"):
        p = np.array(right[f"{name}_policy"])
        assert right[f"{name}_kl"] == pytest.approx(scipy.stats.entropy(p, reference), abs=1e-5)
        assert right[f"{name}_value"] == pytest.approx(value(p), abs=1e-5)
    lost = beta * scipy.stats.entropy(best, right["priced_policy"])
    assert right["priced_value"] - right["kept_value"] == pytest.approx(lost, abs=1e-4)
    assert right["kept_kl"] < alignment.best_of_n_kl_bound(given["n"])


@pytest.mark.parametrize("given", drawn(silent_prompts, 8), ids=str)
def test_advantages_are_standard_scores_and_silence_is_binomial(given):
    right, given = solved(silent_prompts.exercise(**given)), {**silent_prompts.PAGE, **given}
    rewards = torch.tensor(given["groups"]).double()
    loud = ~alignment.silent_groups(rewards)
    names = [name for name, teaches in zip("abcde", loud.tolist(), strict=True) if teaches]
    assert right["teaching_groups"] == names
    for name, row in zip("abcde", rewards.tolist(), strict=True):
        theirs = scipy.stats.zscore(row, ddof=1)[0] if name in names else 0.0
        assert right["first_advantages"][name] == pytest.approx(theirs, abs=1e-5)
    size = rewards.shape[1]
    silent = [scipy.stats.binom(size, p).pmf([0, size]).sum() for p in given["chances"]]
    assert right["silent_shares"] == pytest.approx(silent, abs=1e-5)


def test_what_the_explanation_says_of_the_groups():
    """A moved and stretched group has the same advantages; a single right answer the largest."""
    for given in drawn(silent_prompts, 40):
        groups = given.get("groups", silent_prompts.PAGE["groups"])
        roles, size = silent_prompts._roles([list(group) for group in groups]), len(groups[0])
        mixed, scaled, hard = (
            silent_prompts.advantages(groups[roles[role]]) for role in ("mixed", "scaled", "hard")
        )
        assert scaled == pytest.approx(mixed)
        assert max(hard) == pytest.approx((size - 1) / size**0.5)
        assert max(hard) > max(mixed)


# -- preferences ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_rewards_from_counts_are_those_of_the_package_and_of_scikit_learn(seed):
    wins, ties = rewards_from_counts.some_counts(seed, 5)
    plain = solved(rewards_from_counts.exercise())["rewards_from_counts"](wins)
    assert plain == pytest.approx(evaluation.bradley_terry(wins), abs=1e-8)
    assert plain == pytest.approx(rewards_from_counts.likeliest(wins, False), abs=1e-6)
    half = solved(rewards_from_counts.exercise(twists=("ties",)))["rewards_from_counts"]
    assert half(wins, ties) == pytest.approx(evaluation.bradley_terry(wins + ties / 2), abs=1e-8)
    rows, often = [], []
    for i, j in itertools.permutations(range(5), 2):  # i won against j
        rows.append(np.eye(5)[i] - np.eye(5)[j])
        often.append(wins[i, j])
    x, y = np.array([*rows, *(-row for row in rows)]), [1] * 20 + [0] * 20
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=10_000)
    model.fit(x, y, sample_weight=np.array([*often, *often]) / 2)
    held = solved(rewards_from_counts.exercise(penalty=True))["rewards_from_counts"](wins)
    assert held == pytest.approx(model.coef_[0], abs=1e-4)
    assert held == pytest.approx(rewards_from_counts.likeliest(wins, True), abs=1e-6)


def their_dpo(policy, reference, answer, beta, kind="sigmoid", smoothing=0.0):
    """Return the loss of trl and its gradient with respect to each token."""
    B = policy.shape[1]
    tokens = torch.tensor(policy.reshape(2 * B, -1)).requires_grad_()
    mask = torch.tensor(answer.reshape(2 * B, -1))
    sums = torch.tensor(np.where(answer, reference, 0).sum(axis=2))
    extras = dict.fromkeys(("entropy", "mean_logits"), tokens.detach())
    outputs = SimpleNamespace(log_probs=tokens * mask, is_top1=mask, **extras)
    trainer = their_trainer(
        loss_types=[kind],
        loss_weights=[1.0],
        ld_alpha=None,
        use_weighting=False,
        precompute_ref_logps=True,
        beta=beta,
        label_smoothing=smoothing,
        f_divergence_type="reverse_kl",
    )
    completion = torch.cat([torch.zeros(2 * B, 1), mask], dim=1).long()
    inputs = {
        "input_ids": completion,
        "attention_mask": torch.ones_like(completion),
        "completion_mask": completion,
        "ref_chosen_logps": sums[0],
        "ref_rejected_logps": sums[1],
    }
    loss = DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)
    loss.backward()
    return loss.item(), tokens.grad.reshape(policy.shape).numpy()


@pytest.mark.parametrize("seed", range(6))
def test_pairs_have_the_loss_and_the_gradient_of_trl(seed):
    some = pair_gradients.some_pairs(seed)
    loss, gradient = solved(pair_gradients.exercise())["dpo_by_tokens"](*some)
    theirs, slopes = their_dpo(*some)
    assert loss == pytest.approx(theirs)
    np.testing.assert_allclose(gradient, slopes, atol=1e-10)
    sums = [torch.tensor(np.where(some[2], x, 0).sum(axis=2)) for x in some[:2]]
    ours = alignment.dpo_loss(*sums[0], *sums[1], beta=some[3])
    assert loss == pytest.approx(ours.item())


@pytest.mark.parametrize("seed", [0, 3, 6])
def test_smoothed_pairs_have_the_loss_and_the_gradient_of_trl(seed):
    """For a single pair, its loss "aot" is that of smoothed labels."""
    some = pair_gradients.some_pairs(seed)
    assert some[0].shape[1] == 1
    answer = solved(pair_gradients.exercise(twists=("smoothed",)))["dpo_by_tokens"]
    loss, gradient = answer(*some)
    theirs, slopes = their_dpo(*some, kind="aot", smoothing=0.2)
    assert loss == pytest.approx(theirs)
    np.testing.assert_allclose(gradient, slopes, atol=1e-10)


def test_a_prompt_that_both_answers_share_cancels_if_it_is_counted():
    policy, reference, answer, beta = pair_gradients.some_pairs(2)
    for x in (policy, reference):
        x[1, :, 0] = x[0, :, 0]
    answer[..., 0] = False
    loss = solved(pair_gradients.exercise())["dpo_by_tokens"]
    counted = answer.copy()
    counted[..., 0] = True
    assert loss(policy, reference, answer, beta)[0] == pytest.approx(
        loss(policy, reference, counted, beta)[0]
    )
    counted[0, :, 0] = False  # one of the rows was cut off
    assert loss(policy, reference, answer, beta)[0] != pytest.approx(
        loss(policy, reference, counted, beta)[0], abs=1e-3
    )


@pytest.mark.parametrize("twists", [(), ("pairs",)], ids=str)
def test_the_right_loss_is_that_of_the_package_and_each_fault_changes_it(twists):
    loss = name_fault.loss_with("right", twists)
    policy, reference, answer, beta = pair_gradients.some_pairs(5)
    arrays = [x.swapaxes(0, 1) if twists else x for x in (policy, reference, answer)]
    sums = [torch.tensor(np.where(answer, x, 0).sum(axis=2)) for x in (policy, reference)]
    ours = alignment.dpo_loss(*sums[0], *sums[1], beta=beta).item()
    assert loss(*arrays, beta) == pytest.approx(ours)
    assert loss(*arrays, beta) == pytest.approx(their_dpo(policy, reference, answer, beta)[0])
    for fault in (*name_fault.FAULTS[1:], *name_fault.MORE):
        wrong = name_fault.loss_with(fault, twists)(*arrays, beta)
        assert wrong != pytest.approx(ours, abs=1e-3), fault


def test_many_faults_do_not_show_in_the_first_loss():
    _, reference, answer, beta = pair_gradients.some_pairs(5)
    faults = ("right", "exchanged", "mean", "prompt")
    first = [name_fault.loss_with(f, ())(reference, reference, answer, beta) for f in faults]
    assert first == pytest.approx([np.log(2)] * 4)


# -- samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", clipped_tokens.MEANS)
@pytest.mark.parametrize("twists", [(), ("sequence",)], ids=str)
def test_clipped_losses_are_those_of_trl_and_of_the_package(mean, twists):
    kind, reduction = {
        "answers": ("grpo", "sequence_mean"),
        "tokens": ("bnpo", "token_mean"),
    }[mean]
    level = "sequence" if twists else "token"
    answer = solved(clipped_tokens.exercise(mean, twists=twists))["clipped_tokens"]
    for seed in range(4):
        some = clipped_tokens.some_answers(seed, twists)
        loss, moving = answer(*some, 0.2, 0.4)
        new, old, advantages, mask = (torch.tensor(x) for x in some)
        new.requires_grad_()
        theirs = their_grpo(new, old, advantages, mask, kind, level)
        theirs.backward()
        assert loss == pytest.approx(theirs.item())
        np.testing.assert_array_equal(moving, (new.grad != 0).numpy())
        ours = alignment.ppo_clip_loss(
            new, old, advantages, mask, clip_high=0.4, level=level, reduction=reduction
        )
        assert loss == pytest.approx(ours.item())


def their_grpo(new, old, advantages, mask, kind, level):
    """Return the loss of trl, with limits of 0.2 below and 0.4 above."""
    trainer = their_trainer(
        _get_per_token_logps_and_entropies=lambda *_, **__: (new, new.detach(), None),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        importance_sampling_level=level,
        beta=0.0,
        loss_type=kind,
        epsilon_low=0.2,
        epsilon_high=0.4,
        max_completion_length=mask.shape[1],
        current_gradient_accumulation_steps=1,
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        _entropy_bonus_enabled=False,
    )
    prompt = torch.ones(len(mask), 2).long()
    inputs = {
        "prompt_ids": prompt,
        "prompt_mask": prompt,
        "completion_ids": mask.long(),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": old,
        "num_items_in_batch": mask.sum(),
    }
    return GRPOTrainer._compute_loss(trainer, None, inputs)


def test_rewards_of_groups_have_the_advantages_of_the_package():
    answer = solved(clipped_tokens.exercise(twists=("rewards",)))["clipped_tokens"]
    for seed in range(4):
        new, old, rewards, mask = clipped_tokens.some_answers(seed, ("rewards",))
        advantages = alignment.group_advantages(torch.tensor(rewards), "none").flatten().numpy()
        plain = solved(clipped_tokens.exercise())["clipped_tokens"]
        loss, moving = answer(new, old, rewards, mask, 0.2, 0.4)
        right, wanted = plain(new, old, advantages, mask, 0.2, 0.4)
        assert loss == pytest.approx(right)
        np.testing.assert_array_equal(moving, wanted)


@pytest.mark.parametrize("seed", range(6))
def test_passes_and_votes_are_those_of_scipy_and_of_the_package(seed):
    answers, right, k = pass_and_vote.some_given(seed)
    found = solved(pass_and_vote.exercise())["pass_and_vote"](answers, right, k)
    passed, voted = [], []
    for given, wanted in zip(answers, right, strict=True):
        n, c = len(given), given.count(wanted)
        passed.append(evaluation.pass_at_k(n, c, k))
        assert passed[-1] == pytest.approx(scipy.stats.hypergeom(n, c, k).sf(0))
        kinds = sorted({*given, wanted})
        law = scipy.stats.multivariate_hypergeom([given.count(a) for a in kinds], k)
        voted.append(0.0)
        for counts in itertools.product(range(k + 1), repeat=len(kinds)):
            if sum(counts) == k and counts[kinds.index(wanted)] == max(counts):
                voted[-1] += law.pmf(counts) / counts.count(max(counts))
    assert found == pytest.approx((np.mean(passed), np.mean(voted)))


def test_votes_without_putting_back_tend_to_those_with():
    """Of very many answers it makes no difference, and the package knows the other case."""
    answers = list("aaabb") * 40
    few = pass_and_vote.probabilities(answers[:8], "a", 3, "shared")
    assert few[1] == pytest.approx(scipy.stats.hypergeom(8, answers[:8].count("a"), 3).sf(1))
    law = scipy.stats.hypergeom(200, 120, 3)
    assert law.sf(1) == pytest.approx(alignment.vote_accuracy([0.6, 0.4], 3), abs=0.005)


# -- a reward with a hole ------------------------------------------------------------------------


def is_right(task, answer, mark):
    """Tell by a pattern whether an answer is what the question calls right."""
    pattern = rf"(.*\n)?{re.escape(mark)} {re.escape(str(task['result']))}"
    return re.fullmatch(pattern, answer.strip(), re.DOTALL) is not None


@pytest.mark.parametrize("mark", loose_verifier.MARKS)
@pytest.mark.parametrize("hole", loose_verifier.HOLES)
def test_a_loose_verifier_accepts_all_right_answers_and_has_the_hole(hole, mark):
    exercise = loose_verifier.exercise(hole, mark)
    names = run(master.SETUP, exercise.starter) | {}
    loose, answer = names["loose"], solved(exercise)
    for seed in range(5):
        for task in loose_verifier.some_tasks(seed):
            assert task["result"] == eval(task["task"])
            right = f"{mark} {task['result']}"
            for said in (right, f" {right}\n", f"1 + 1\n{mark} 5\n{right}"):
                assert loose(task, said) == 1
                assert is_right(task, said, mark)
                assert answer["tight"](task, said) == 1
            hack = answer["slips_through"](task)
            assert loose(task, hack) == 1
            assert not is_right(task, hack, mark)
            assert answer["tight"](task, hack) == 0


@pytest.mark.parametrize("hole", loose_verifier.HOLES)
def test_a_loose_verifier_refuses_what_is_plainly_wrong(hole):
    loose = run(master.SETUP, loose_verifier.exercise(hole).starter)["loose"]
    for task in loose_verifier.some_tasks(1):
        for said in ("", "I give up.", f"Answer: {task['result'] + 1}", "Result: 5"):
            assert loose(task, said) == 0


def test_tasks_have_results_of_both_signs():
    for seed in range(50):
        results = [task["result"] for task in loose_verifier.some_tasks(seed)]
        assert min(results) < 0 < max(results)
        assert 0 not in results


def test_a_function_that_returns_a_text_is_an_answer():
    """The hole of the page takes no more than that."""
    exercise = loose_verifier.exercise()
    answer = solved(exercise)
    assert answer["slips_through"].__code__.co_consts.count(None) <= 1
    assert exercise.failures(answer) == []
    documented = exercise.solution.replace("(task):", '(task):\n    """A text."""')
    assert exercise.failures(run(master.SETUP, documented)) == []
    blank = exercise.solution.replace('return "Answer: nan"', '"""A text."""\n    ...')
    assert "define slips_through" in exercise.failures(run(master.SETUP, blank))[0]


# -- variants ------------------------------------------------------------------------------------

TWISTED = [rewards_from_counts, pair_gradients, clipped_tokens, pass_and_vote, name_fault]


@pytest.mark.parametrize("module", TWISTED)
def test_variants_without_twists_are_solved_by_the_page_s_answer(module):
    """So the oracles of a check and the page ask for the same."""
    for seed in range(3):
        exercise = module.exercise(**plainly(module, seed))
        assert exercise.failures(solved(exercise)) == []


@pytest.mark.release
@pytest.mark.parametrize("exercise", master.MASTERS, ids=lambda m: m.exercise.__module__)
def test_no_wrong_answer_passes_any_of_many_variants(exercise):
    for variant in exercise.variants(200):
        assert variant.failures(solved(variant)) == []
        for mistake, code in variant.wrong_answers.items():
            assert variant.failures(run(master.SETUP, code)), (mistake, variant.hidden[0].given)
