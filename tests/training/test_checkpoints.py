"""Checkpoints that are whole or not there: damage, full disks, and processes that are killed."""

import errno
import hashlib
import json
import multiprocessing
import os
import random
import signal
import warnings

import pytest
import torch

from companion import training
from companion.training import checkpoints
from tests.training.support import equal_state, noisy, points, settings, timeless, weights
from tests.verification import same

# Python 3.12 warns of a fork beside threads, which the bar of other tests has left.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
HALF = "ignore:.*is passed over.*may be half written"


@pytest.fixture
def folder(tmp_path):
    """Three checkpoints, of which the second has the lowest held-out loss."""
    for step, held_out in ((1, 2.0), (2, 1.0), (3, 3.0)):
        content, about = {"x": torch.full((3,), step)}, {"held_out": held_out}
        checkpoints.write_checkpoint(tmp_path, step, content, about, keep=9)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- whole ---------------------------------------------------------------------------------------


@pytest.mark.verifies("latest", "finds the newest whole checkpoint, whatever was damaged")
@pytest.mark.verifies("best", "finds the checkpoint with the lowest held-out loss")
def test_what_was_written_is_read(folder):
    path = training.latest(folder)
    assert path == folder / "step-000003.pt"
    same("read_checkpoint", "what was written", training.read_checkpoint(path)["x"], [3, 3, 3])
    assert training.best(folder) == folder / "step-000002.pt"
    described = json.loads(path.with_suffix(".json").read_text())
    assert (described["step"], described["bytes"]) == (3, path.stat().st_size)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    same("write_checkpoint, SHA-256", "hashlib", described["sha256"], digest)


def test_the_newest_and_the_best_stay(folder):
    checkpoints.write_checkpoint(folder, 4, {}, {"held_out": None}, keep=2)
    stems = ("step-000002", "step-000003", "step-000004")
    assert names(folder) == sorted(f"{stem}.{end}" for stem in stems for end in ("pt", "json"))


def test_there_may_be_none(tmp_path):
    assert training.latest(tmp_path) is training.best(tmp_path) is None
    assert training.latest(tmp_path / "nowhere") is None
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        training.read_checkpoint(tmp_path / "step-000001.pt")


def test_it_is_read_without_running_code(tmp_path):
    """What a pickle could run is not run, since only tensors and plain things are read."""
    checkpoints.write_checkpoint(tmp_path, 1, {"x": noisy()}, {})
    with pytest.raises(Exception, match=r"[Ww]eights.?only"):
        training.read_checkpoint(tmp_path / "step-000001.pt")


# -- damaged -------------------------------------------------------------------------------------


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a bit": (flip_a_bit, "it is damaged: its SHA-256"),
    "half": (lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "bytes instead of"),
    "empty": (lambda p: p.write_bytes(b""), "it has 0 bytes instead of"),
    "no json": (lambda p: p.with_suffix(".json").unlink(), "its .json is missing"),
    "half a json": (lambda p: p.with_suffix(".json").write_text('{"sha'), "json cannot be read"),
    "another json": (lambda p: p.with_suffix(".json").write_text("[]"), "its JSON is no object"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_one_is_passed_over_with_a_warning(folder, name):
    damage, complaint = DAMAGES[name]
    newest = folder / "step-000003.pt"
    damage(newest)
    with pytest.warns(UserWarning, match=f"step-000003.pt is passed over: .*{complaint}"):
        assert training.latest(folder) == folder / "step-000002.pt"
    with pytest.raises(ValueError, match=f"step-000003.pt is no whole checkpoint: .*{complaint}"):
        training.read_checkpoint(newest)
    damage(folder / "step-000002.pt")
    assert training.best(folder) == folder / "step-000001.pt"


def test_training_goes_on_from_the_one_before(tmp_path):
    config = settings(folder=str(tmp_path), checkpoint_every=2)
    model, again = noisy(), noisy(1)
    training.train(model, points, config)
    flip_a_bit(tmp_path / "step-000006.pt")
    with pytest.warns(UserWarning, match="step-000006.pt is passed over"):
        training.train(again, points, config)
    assert torch.equal(weights(again), weights(model))
    assert training.latest(tmp_path).name == "step-000006.pt"  # it was written anew


# -- no room, no rights --------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a file that is always full")
@pytest.mark.parametrize("suffix", [".pt.part", ".json.part"])
def test_on_a_full_disk_the_last_good_one_stays(tmp_path, monkeypatch, suffix):
    """The error of a real full device comes through PyTorch's writer."""
    config = settings(folder=str(tmp_path), checkpoint_every=2)
    training.train(noisy(), points, settings(**{**vars(config), "steps": 2}))
    before = names(tmp_path)

    def full(path, *mode):
        is_this = str(path).endswith(f"4{suffix}")
        return open("/dev/full" if is_this else path, *mode)

    monkeypatch.setattr(checkpoints, "open", full, raising=False)
    with pytest.raises(OSError, match="could not be written: the disk is full; the last") as caught:
        training.train(noisy(), points, config)
    assert caught.value.errno == errno.ENOSPC
    assert "the last good one stays: step-000002.pt" in str(caught.value)
    assert names(tmp_path) == before
    monkeypatch.undo()
    assert len(training.train(noisy(), points, config)) == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="rights are taken from a process of its own")
def test_a_folder_that_cannot_be_written_to_is_found_before_the_first_step(tmp_path):
    place = tmp_path / "mine"
    place.mkdir()
    place.chmod(0o555)

    def attempt(pipe):
        if os.getuid() == 0:
            os.setuid(65534)  # root may write anywhere
        try:
            training.train(noisy(), lambda i: pytest.fail("a step"), settings(folder=str(place)))
        except OSError as error:
            pipe.send(str(error))

    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:
        if parent.owner() == tmp_path.owner() and "pytest" in parent.name:
            parent.chmod(0o755)
    assert f"folder {place} cannot be written to" in in_a_child(attempt)


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"folder .*file cannot be written to"):
        training.train(noisy(), points, settings(folder=str(tmp_path / "file")))


def test_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="keep must be at least 1"):
        checkpoints.write_checkpoint(tmp_path, 1, {}, {}, keep=0)
    with pytest.raises(TypeError, match="step must be a whole number"):
        checkpoints.write_checkpoint(tmp_path, 1.5, {}, {})
    assert names(tmp_path) == []


# -- killed --------------------------------------------------------------------------------------

FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


def in_a_child(function):
    """Return what ``function`` sends from a process of its own."""
    ours, theirs = FORK.Pipe()
    child = FORK.Process(target=function, args=(theirs,))
    child.start()
    theirs.close()
    try:
        assert ours.poll(60)
        return ours.recv()
    finally:
        child.kill()
        child.join()


RUN = {"steps": 12, "accumulate": 2, "warmup": 3, "optimizer": "muon", "checkpoint_every": 1}


def run(folder):
    model = noisy()
    config = settings(**RUN, folder=str(folder), evaluate_every=3)
    history = training.train(model, points, config, held_out=[points(50)])
    return model, history


def child(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(folder)
    os._exit(0)


@pytest.mark.skipif(FORK is None, reason="needs os.fork")
@pytest.mark.parametrize(
    "kills", [20, pytest.param(100, marks=pytest.mark.release)], ids=["few", "many"]
)
@pytest.mark.filterwarnings(HALF)
def test_killed_at_any_moment_a_run_goes_on_as_if_it_had_not_been(tmp_path, kills):
    """SIGKILL, at random moments; each process goes on where the one before was killed."""
    torch.set_num_threads(1)  # a forked process has no threads
    model, history = run(tmp_path / "whole")
    expected = training.read_checkpoint(training.latest(tmp_path / "whole"))["optimizers"]
    draw, killed, reached, longest, round_ = random.Random(0), 0, set(), 0.1, 0
    while killed < kills:
        folder = tmp_path / str(round_)
        before = step_of(folder)
        process = FORK.Process(target=child, args=(folder,))
        process.start()
        process.join(draw.uniform(0.0, longest))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        ended = process.exitcode == 0
        killed += not ended
        after = step_of(folder)
        reached.add(after)
        # However fast the machine is, most are killed, and most have taken a step or more.
        longest *= 0.7 if ended else 1.2 if before == after else 1.0
        if ended or killed == kills:
            finished, found = run(folder)
            assert timeless(found) == timeless(history)
            assert torch.equal(weights(finished), weights(model))
            content = training.read_checkpoint(training.latest(folder))
            assert equal_state(content["optimizers"], expected)
            round_ += 1
    assert len(reached) > 3  # the moments were spread over the run


def step_of(folder):
    path = training.latest(folder)
    return None if path is None else training.read_checkpoint(path)["step"]
