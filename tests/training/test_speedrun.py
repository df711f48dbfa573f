"""The speedrun: its model and its steps by hand, its changes, its race, its command."""

import dataclasses
import json
import math
import signal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from companion import data, optim
from companion.layers import apply_rotary
from companion.training import command as training_command
from companion.training import speedrun
from companion.training.speedrun import (
    CHANGES,
    RECIPES,
    Change,
    Runner,
    Settings,
    SpeedGPT,
    Text,
    console,
    first_below,
    held_out_loss,
    ladder,
    leave_out,
    load_text,
    ngram_rows,
    race,
    rate_share,
    recipe,
    write_record,
)
from tests.support import attend_by_loops, fill
from tests.training.support import tokens
from tests.verification import agree, same

WORDS = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer. "
TEXT = load_text(WORDS * 20)
V = len(TEXT.characters)
FAST = RECIPES["fast"]
SMALL = Settings(n_layers=2, d_model=8, n_heads=2, context=8, batch_size=3, steps=4, warmup=1)
MODERN = {"norm": "rms", "positions": "rotary", "qk_norm": True, "activation": "relu2"}
MODERN |= {"tied": False, "zero_init": True, "tables": (150, 97), "optimizer": "muon"}
NEW = dataclasses.replace(SMALL, **MODERN, order="once", schedule="stable", clip=None)


# -- the model -----------------------------------------------------------------------------------


def gpt(settings):
    return fill(SpeedGPT(settings, 11), scale=0.3)


def torchs_blocks(model):
    """PyTorch's own Transformer with the weights of a model of nanoGPT's kind."""
    width = model.settings.d_model
    layer = nn.TransformerEncoderLayer(
        width, 2, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True, bias=False
    )
    stack = nn.TransformerEncoder(layer, len(model.blocks), enable_nested_tensor=False).double()
    for theirs, ours in zip(stack.layers, model.blocks, strict=True):
        attention, feed_forward = ours.attention, ours.feed_forward
        projections = [getattr(attention.layer, f"w_{name}").weight for name in "qkv"]
        pairs = {
            theirs.self_attn.in_proj_weight: torch.cat(projections),
            theirs.self_attn.out_proj.weight: attention.layer.w_o.weight,
            theirs.linear1.weight: feed_forward.layer.expand.weight,
            theirs.linear2.weight: feed_forward.layer.contract.weight,
            theirs.norm1.weight: attention.norm.weight,
            theirs.norm2.weight: feed_forward.norm.weight,
        }
        for parameter, value in pairs.items():
            parameter.data = value.data
    return stack


def test_nanogpts_model_is_pytorchs_transformer():
    model, ids = gpt(SMALL), tokens(3, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(8, dtype=torch.float64)
    x = F.embedding(ids, model.tokens.weight) + model.positions.weight
    x = torchs_blocks(model)(x, mask=mask)
    x = F.layer_norm(x, (8,), model.norm.weight)
    agree("SpeedGPT, nanoGPT's", "torch.nn", model(ids), x @ model.tokens.weight.T)


def rms(x, weight):
    return F.rms_norm(x, x.shape[-1:], weight, eps=1e-6)


def by_hand(model, ids):
    """The new parts, written out; the attention goes number by number."""
    x = model.tokens.weight[ids]
    for n, table in enumerate(model.tables, start=2):
        x = x + table.weight[by_digits(ids, n, 11, len(table.weight))]
    for block in model.blocks:
        one, other = block.attention, block.feed_forward
        y = rms(x, one.norm.weight)
        q, k, v = (
            (y @ getattr(one.layer, f"w_{name}").weight.T).unflatten(-1, (2, 4)).transpose(1, 2)
            for name in "qkv"
        )
        q = apply_rotary(rms(q, one.layer.q_norm.weight))
        k = apply_rotary(rms(k, one.layer.k_norm.weight))
        sees = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        heads = attend_by_loops(q, k, v, sees).transpose(1, 2).flatten(-2)
        x = x + heads @ one.layer.w_o.weight.T
        hidden = (rms(x, other.norm.weight) @ other.layer.expand.weight.T).clamp(min=0) ** 2
        x = x + hidden @ other.layer.contract.weight.T
    return rms(x, model.norm.weight) @ model.head.weight.T


def test_the_new_parts_by_hand():
    model, ids = gpt(NEW), tokens(2, 6)
    agree("SpeedGPT, with all changes", "by hand", model(ids), by_hand(model, ids))


def test_without_attention_a_place_sees_its_ngrams_alone():
    model = gpt(dataclasses.replace(NEW, attention=False))
    ids = tokens(1, 8)
    changed = ids.clone()
    changed[0, 0] = (ids[0, 0] + 1) % 11
    differ = (model(ids) != model(changed)).any(-1)
    assert differ.tolist() == [[True] * 3 + [False] * 5]  # trigrams reach two places back


@pytest.mark.parametrize("settings", [SMALL, NEW])
def test_no_place_sees_a_later_one(settings):
    model, ids = gpt(settings), tokens(2, 8)
    changed = ids.clone()
    changed[:, 5] = (ids[:, 5] + 1) % 11
    differ = (model(ids) - model(changed)).abs().amax(dim=(0, 2))
    assert (differ[:5] == 0).all()
    assert (differ[5:] > 0).all()


def by_digits(ids, n, vocab_size, rows):
    """The rows with Python's whole numbers, which do not overflow."""
    found = torch.zeros_like(ids)
    for i, row in enumerate(ids.tolist()):
        for t in range(len(row)):
            last = row[max(0, t - n + 1) : t + 1]
            number = sum((c + 1) * (vocab_size + 1) ** j for j, c in enumerate(reversed(last)))
            if (vocab_size + 1) ** n > rows:
                number = (number * 2654435761 // 4096) % rows
            found[i, t] = number
    return found


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("rows", [97, 4_356, 32_768])
def test_the_rows_of_ngrams(n, rows):
    ids = tokens(3, 9, n=65)
    found = ngram_rows(ids, n, 65, rows)
    same("ngram_rows", "whole numbers of Python", found, by_digits(ids, n, 65, rows))
    assert 0 <= int(found.min()) <= int(found.max()) < rows


def test_ngrams_that_have_a_row_each_share_none():
    ids = torch.cartesian_prod(torch.arange(65), torch.arange(65))
    assert len(set(ngram_rows(ids, 2, 65, 66**2)[:, 1].tolist())) == 65**2


def test_a_new_model_says_that_all_characters_are_alike():
    torch.manual_seed(0)
    model = SpeedGPT(FAST, 65)
    assert held_out_loss(model, tokens(200, n=65)) == pytest.approx(math.log(65), abs=1e-5)
    assert all(not block.attention.layer.w_o.weight.any() for block in model.blocks)
    assert model.tokens.weight.std().item() == pytest.approx(0.3, rel=0.05)


def test_what_is_looked_up():
    assert len(gpt(SMALL).looked_up()) == 2
    assert len(gpt(NEW).looked_up()) == 3


# -- the settings --------------------------------------------------------------------------------


def test_the_defaults_are_nanogpts_recipe_for_a_cpu():
    """The values of its README and of its train.py, by the names that they have there."""
    theirs = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64, "batch_size": 12}
    theirs |= {"max_iters": 2000, "beta2": 0.99, "warmup_iters": 100, "grad_clip": 1.0}
    theirs |= {"learning_rate": 1e-3, "min_lr": 1e-4, "weight_decay": 1e-1}
    ours = Settings()
    found = {"n_layer": ours.n_layers, "n_head": ours.n_heads, "n_embd": ours.d_model}
    found |= {"block_size": ours.context, "batch_size": ours.batch_size, "max_iters": ours.steps}
    found |= {"beta2": ours.betas[1], "warmup_iters": ours.warmup, "grad_clip": ours.clip}
    found |= {"learning_rate": ours.lr, "min_lr": ours.lr * ours.final_share}
    found |= {"weight_decay": ours.weight_decay}
    same("Settings", "nanoGPT's recipe", found, theirs)
    assert ours.table_lr == ours.lr
    weights = sum(p.numel() for p in SpeedGPT(ours, 65).parameters())
    assert weights == 65 * 128 + 64 * 128 + 4 * (12 * 128**2 + 2 * 128) + 128  # tied, no bias


def test_the_ladder_climbs_from_one_recipe_to_the_other():
    rungs = list(ladder().values())
    by_hand = {**dataclasses.asdict(Settings())}
    for change, rung in zip(CHANGES, rungs[1:], strict=True):
        by_hand |= change.settings
        same("ladder", "settings joined by hand", dataclasses.asdict(rung), by_hand)
    assert rungs[0] == recipe("nanogpt")
    assert rungs[-1] == recipe("fast")
    same("recipe", "the tokens by hand", recipe("nanogpt").tokens, 2_000 * 12 * 64)
    assert list(ladder())[1:] == [change.name for change in CHANGES]


def test_changes_do_not_overlap_and_each_is_said():
    names = [name for change in CHANGES for name in change.settings]
    assert len(set(names)) == len(names)
    assert all(change.does.endswith(".") for change in CHANGES)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_without_a_change_nanogpts_values_are_back(change):
    fast, left = dataclasses.asdict(FAST), dataclasses.asdict(leave_out(change.name))
    differ = {name: left[name] for name in fast if fast[name] != left[name]}
    same(
        "leave_out",
        "nanoGPT's values",
        differ,
        {name: getattr(Settings(), name) for name in differ},
    )
    assert set(differ) <= set(change.settings)
    assert differ
    same("Change, off and on", "itself", change.on(change.off(FAST)), FAST)


def shortened(settings):
    sizes = {"steps": min(settings.steps, 8), "context": 16, "batch_size": settings.batch_size // 4}
    return dataclasses.replace(settings, **sizes, tables=settings.tables and (700, 300))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_each_change_changes_what_is_learnt(change):
    """Gradients are long enough to be cut in the first steps of this text."""
    losses = []
    for settings in (FAST, change.off(FAST)):
        runner = Runner(shortened(settings), TEXT, seed=1)
        losses.append([runner.step() for _ in range(runner.settings.steps)])
    assert losses[0] != losses[1]


def test_plain_is_fast_without_tables():
    fast, plain = dataclasses.asdict(FAST), dataclasses.asdict(RECIPES["plain"])
    assert {name for name in fast if fast[name] != plain[name]} == {"tables", "steps"}


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 1.5}, TypeError, "steps must be a whole number"),
        ({"norm": "batch"}, ValueError, "norm must be one of"),
        ({"n_heads": 3}, ValueError, "n_heads must divide d_model, got 3 heads and 128"),
        ({"lr": -1.0}, ValueError, "lr must be finite and at least 0, got -1.0"),
        ({"muon_lr": math.nan}, ValueError, "muon_lr must be finite"),
        ({"clip": 0}, ValueError, "clip must be above 0, or None, got 0"),
        ({"tied": "no"}, TypeError, "tied must be True or False"),
        ({"tables": (0,)}, ValueError, "each of tables must be at least 1"),
        ({"warmup": -1}, ValueError, "warmup must be at least 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, error, said):
    with pytest.raises(error, match=said):
        Settings(**changes)


def test_names_that_are_unknown_are_refused():
    with pytest.raises(ValueError, match=r"'rotari'; did you mean 'rotary'\?"):
        leave_out("rotari")
    with pytest.raises(ValueError, match=r"'fats'; did you mean 'fast'\?"):
        recipe("fats")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((torch.zeros(2, 3), 2, 5, 9), TypeError, "ids must hold whole numbers"),
        ((torch.zeros(3, dtype=int), 2, 5, 9), ValueError, "ids must be \\(batch, length\\)"),
        ((torch.zeros(2, 3, dtype=int), 6, 5, 9), ValueError, "n must be at most 5, got 6"),
        ((torch.zeros(2, 3, dtype=int), 2, 5, 0), ValueError, "rows must be at least 1"),
    ],
)
def test_rows_that_cannot_be_are_refused(arguments, error, said):
    with pytest.raises(error, match=said):
        ngram_rows(*arguments)


def test_positions_end_where_the_context_does():
    with pytest.raises(ValueError, match=r"ids must be 8 characters at most, .* got 9"):
        gpt(SMALL)(tokens(1, 9))
    assert gpt(NEW)(tokens(1, 30)).shape == (1, 30, 11)


# -- the text and the loss -----------------------------------------------------------------------


def test_the_split_is_nanogpts():
    """As its data/shakespeare_char/prepare.py makes it."""
    text = WORDS * 3
    chars = sorted(set(text))
    stoi = {ch: i for i, ch in enumerate(chars)}
    n = len(text)
    parts = [[stoi[c] for c in part] for part in (text[: int(n * 0.9)], text[int(n * 0.9) :])]
    found = load_text(text)
    same(
        "load_text", "nanoGPT's prepare.py", [found.train.tolist(), found.held_out.tolist()], parts
    )
    same("Text", "nanoGPT's prepare.py", found.characters, "".join(chars))
    with pytest.raises(TypeError, match="text must be a str"):
        load_text(b"to be")


@pytest.mark.parametrize("n", [9, 16, 17, 100])
def test_the_held_out_loss_window_by_window(n):
    model, ids = gpt(SMALL), tokens(n)
    losses = []
    for start in range(0, n - 8, 8):
        for place in range(8):
            scores = model(ids[None, start : start + place + 1])[0, -1].detach().numpy()
            losses.append(np.logaddexp.reduce(scores) - scores[int(ids[start + place + 1])])
    found = torch.tensor(held_out_loss(model, ids, 8), dtype=torch.float64)
    agree("held_out_loss", "NumPy, place by place", found, np.mean(losses))


def test_a_text_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="ids must"):
        held_out_loss(gpt(SMALL), tokens(8), 8)
    with pytest.raises(ValueError, match="ids must"):
        Runner(SMALL, load_text("to be"))


# -- a run ---------------------------------------------------------------------------------------


def test_the_schedules_by_hand():
    cosine = dataclasses.replace(SMALL, steps=40, warmup=4, final_share=0.1)
    expected = [t / 4 for t in range(1, 5)]
    expected += [0.1 + 0.45 * (1 + math.cos(math.pi * t / 36)) for t in range(1, 37)]
    found = [rate_share(t, cosine) for t in range(1, 41)]
    agree("rate_share, cosine", "by hand", np.array(found), np.array(expected))
    stable = dataclasses.replace(cosine, schedule="stable", warmup=1, final_share=0.0)
    expected = [0.5] + [1.0] * 20 + [t / 20 for t in range(19, 0, -1)]
    found = [rate_share(t, stable) for t in range(1, 41)]
    agree("rate_share, stable", "by hand", np.array(found), np.array(expected))
    with pytest.raises(ValueError, match="step must be at least 1"):
        rate_share(0, stable)


def test_steps_of_nanogpts_recipe_with_pytorchs_optimiser():
    """Its loop: AdamW that decays all matrices, a cosine, clipping."""
    settings = dataclasses.replace(SMALL, clip=0.5)
    runner = Runner(settings, TEXT, seed=3)
    torch.manual_seed(3)
    model, draws = SpeedGPT(settings, V), torch.Generator().manual_seed(3)
    groups = [[p for p in model.parameters() if (p.ndim > 1) is matrix] for matrix in (True, False)]
    groups = [
        {"params": groups[0], "weight_decay": 0.1},
        {"params": groups[1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    for step in range(1, 5):
        starts = torch.randint(len(TEXT.train) - 8, (3,), generator=draws).tolist()
        x, y = (torch.stack([TEXT.train[s + i : s + i + 8] for s in starts]) for i in (0, 1))
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        adamw.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        for group in adamw.param_groups:
            group["lr"] = 1e-3 * rate_share(step, settings)
        adamw.step()
        assert runner.step() == pytest.approx(loss.item(), abs=1e-6)
    ours, theirs = (nn.utils.parameters_to_vector(m.parameters()) for m in (runner.model, model))
    agree("Runner, nanoGPT's recipe", "torch.optim", ours, theirs)


def test_steps_of_the_new_recipe_with_the_books_optimisers():
    settings = dataclasses.replace(NEW, lr=0.01, table_lr=0.02, weight_decay=0.1)
    runner = Runner(settings, TEXT, seed=3)
    torch.manual_seed(3)
    model = SpeedGPT(settings, V)
    inside = [p for p in model.blocks.parameters() if p.ndim == 2]
    plain = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": [model.tokens.weight, *model.tables.parameters()], "lr": 0.02},
        {"params": [model.head.weight], "lr": 0.01},
        {"params": plain, "lr": 0.01, "weight_decay": 0.0},
    ]
    optimizers = [
        optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.1),
        optim.Muon(inside, lr=0.02, weight_decay=0.1),
    ]
    highest = [[group["lr"] for group in each.param_groups] for each in optimizers]
    twin = Runner(settings, TEXT, seed=3)  # which draws the same batches
    for step in range(1, 5):
        x, y = twin._batch()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        for optimizer, rates in zip(optimizers, highest, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * rate_share(step, settings)
            optimizer.step()
            optimizer.zero_grad()
        runner.step()
    ours, theirs = (nn.utils.parameters_to_vector(m.parameters()) for m in (runner.model, model))
    agree("Runner, the fast recipe", "companion.optim", ours, theirs)


def test_windows_of_an_epoch_cover_the_text_once():
    text = Text(torch.arange(103), torch.arange(9), "x" * 103)
    runner = Runner(dataclasses.replace(NEW, context=10, batch_size=5), text)
    seen = torch.cat([runner._batch()[0].flatten() for _ in range(2)])
    assert len(set(seen.tolist())) == 100
    starts = {tuple(Runner(NEW, text, seed)._batch()[0][:, 0].tolist()) for seed in range(5)}
    assert len(starts) == 5


def test_the_same_seed_gives_the_same_run():
    one, other, third = (Runner(NEW, TEXT, seed) for seed in (0, 0, 1))
    losses = [[runner.step() for _ in range(4)] for runner in (one, other, third)]
    assert losses[0] == losses[1] != losses[2]


def test_the_clock_stands_while_a_loss_is_measured():
    settings = dataclasses.replace(NEW, steps=2)
    runner = Runner(settings, TEXT)
    runner.step()
    before = runner.seconds, runner.cpu_seconds
    assert before[0] > 0
    runner.measure()
    assert (runner.seconds, runner.cpu_seconds) == before
    runner.step()
    assert runner.seconds > before[0]
    assert runner.curve[0]["held_out"] == held_out_loss_before(settings)


def held_out_loss_before(settings):
    runner = Runner(settings, TEXT)
    runner.step()
    return held_out_loss(runner.model, TEXT.held_out)


def test_first_below():
    curve = [{"step": i, "seconds": i / 2, "held_out": loss} for i, loss in enumerate([3, 1, 2])]
    same("first_below", "by hand", first_below(curve, 2.0), 0.5)
    same("first_below, steps", "by hand", first_below(curve, 1, "step"), 1)
    assert first_below(curve, 0.5) is None
    with pytest.raises(ValueError, match="loss must be a number, got NaN"):
        first_below(curve, math.nan)


# -- the race and its command --------------------------------------------------------------------


class Paced(Runner):
    """A runner whose steps take as long as it is told."""

    def step(self):
        self.taken += 1
        self.seconds += self.pace
        LOG.append(self.seed)

    def measure(self):
        self.curve.append({"step": self.taken, "seconds": self.seconds, "held_out": 1.0})


LOG: list[int] = []


def paced(seed, pace, steps):
    runner = Paced(dataclasses.replace(SMALL, steps=steps), TEXT, seed)
    runner.seconds, runner.pace = 0.0, pace
    return runner


def test_whose_clock_shows_least_goes_next():
    LOG.clear()
    slow, quick = paced(0, 3.0, 2), paced(1, 1.0, 5)
    said = []
    assert race([slow, quick], 2, lambda runner: said.append((runner.seed, runner.taken)))
    same("race", "clocks by hand", LOG, [0, 1, 1, 1, 0, 1, 1])
    assert said == [(0, 1), (1, 2), (0, 2), (1, 5)]
    with pytest.raises(ValueError, match="points must be at least 1"):
        race([slow], 0)


def test_what_was_measured_before_an_interruption_is_written(tmp_path):
    runner = Runner(dataclasses.replace(NEW, context=64, steps=6), TEXT)
    stop = [None, None, None, KeyboardInterrupt]

    def say(_):
        if stop.pop(0):
            raise KeyboardInterrupt

    assert not race([runner], 6, say)
    write_record(tmp_path / "run.json", [runner])
    record = json.loads((tmp_path / "run.json").read_text())
    same("write_record", "the runner", record["runs"][0]["curve"], runner.curve)
    assert (record["finished"], record["runs"][0]["finished"]) == (False, False)
    assert record["runs"][0]["steps"] == len(record["runs"][0]["curve"]) == 4
    assert record["runs"][0]["recipe"] == "other"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "load_text", lambda: TEXT)

    def run(*arguments):
        try:
            code = training_command.main(["speedrun", *arguments])
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def test_the_command_runs_and_writes_a_record(run, tmp_path):
    threads = torch.get_num_threads()
    code, out, _ = run("--steps", "3", "--points", "2", "--seed", "5", "--out", "mine.json")
    assert code == 0
    record = json.loads((tmp_path / "mine.json").read_text())
    assert record["finished"] is True
    assert record["machine"].startswith("CPU")
    (one,) = record["runs"]
    assert (one["recipe"], one["seed"], one["steps"]) == ("fast", 5, 3)
    assert one["settings"] == {
        **json.loads(json.dumps(dataclasses.asdict(FAST))),
        "steps": 3,
    }
    assert [point["step"] for point in one["curve"]] == [2, 3]
    assert one["held_out"] == one["curve"][-1]["held_out"]
    assert 0 < one["curve"][0]["seconds"] < one["seconds"]
    assert f"fast: loss {one['held_out']:.4f} after {one['seconds']:.2f} s" in out
    assert f"{console.TARGET:.4f}, nanoGPT's recipe's mean" in out
    assert torch.get_num_threads() == threads


def test_both_race_side_by_side(run, tmp_path):
    code, out, _ = run("--both", "--recipe", "plain", "--steps", "2", "--points", "1")
    assert code == 0
    record = json.loads((tmp_path / "speedrun.json").read_text())
    assert [one["recipe"] for one in record["runs"]] == ["nanogpt", "plain"]
    assert "plain  step     2 of 2" in out


def test_a_signal_ends_it_and_what_was_measured_is_kept(run, tmp_path, monkeypatch):
    step, before = Runner.step, signal.getsignal(signal.SIGTERM)

    def stopped_at_5(runner):
        if runner.taken == 5 and runner.settings.steps == 8:
            signal.raise_signal(signal.SIGTERM)
        return step(runner)

    monkeypatch.setattr(Runner, "step", stopped_at_5)
    code, out, _ = run("--steps", "8", "--points", "8")
    record = json.loads((tmp_path / "speedrun.json").read_text())
    assert code == 1
    assert record["finished"] is False
    assert record["runs"][0]["steps"] == len(record["runs"][0]["curve"]) == 5
    assert out.endswith("speedrun.json, finished: false\n")
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--recipe", "slow"], 2, "invalid choice: 'slow'"),
        (["--steps", "0"], 1, "steps must be at least 1, got 0"),
        (["--threads", "0"], 1, "--threads must be at least 1"),
        (["--seed", "-1"], 1, "--seed must be at least 0"),
        (["--points", "0"], 1, "--points must be at least 1"),
        (["--out", "nowhere/run.json"], 1, "--out must be a file in a folder that can be written"),
    ],
)
def test_a_wrong_call_is_refused_before_it_trains(run, monkeypatch, arguments, code, said):
    monkeypatch.setattr(Runner, "step", lambda runner: pytest.fail("it trained"))
    found, _, complaint = run(*arguments)
    assert found == code
    assert said in complaint


def test_missing_data_are_named(run, monkeypatch, tmp_path):
    def missing():
        raise data.Unavailable("tinyshakespeare: no file, and no network")

    monkeypatch.setattr(console, "load_text", missing)
    code, _, complaint = run()
    assert code == 1
    assert complaint.endswith("error: tinyshakespeare: no file, and no network\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.verifies("speedrun.console.main", "it runs, stops, and refuses")
def test_the_command_of_training_still_trains(run, capsys):
    assert training_command.main(["--example"]) == 0
    assert set(training_command.COMMANDS) == {"speedrun"}
    assert speedrun.Change is Change
