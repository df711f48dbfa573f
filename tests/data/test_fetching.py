"""Downloads from a server that fails in every way: nothing half-written is ever used."""

import errno
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest

from companion import data
from companion.data import downloading, fetching
from tests.data.server import CONTENT, HALF, Server, register, running, toy
from tests.verification import same

N = len(CONTENT)


@pytest.fixture
def server():
    with running(Server()) as server:
        yield server


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A cache of our own, no folder, no mirror, and no patience."""
    for name in ("COMPANION_DATA", "COMPANION_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COMPANION_QUIET", "1")
    monkeypatch.setattr(downloading, "PAUSE", 0.001)
    monkeypatch.setattr(downloading, "TIMEOUT", 5.0)
    monkeypatch.setattr(downloading, "_lost", {})
    monkeypatch.setattr(downloading, "_met", set())
    monkeypatch.setattr(fetching, "_announced", set())
    return tmp_path / "cache" / "toy"


@pytest.fixture
def one(monkeypatch, server, cache):
    """A data set of one file at one address."""
    register(monkeypatch, toy(server.address("{}")))


def files_in(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    )


def only_whole_files_in(folder):
    """Nothing but the file stands there, whole."""
    same("fetch", "what the server has", (folder / "a.bin").read_bytes(), CONTENT)
    return files_in(folder) == ["a.bin"]


# -- it arrives whole ----------------------------------------------------------------------------

RECOVERIES = {
    "at once": (["whole"], [None]),
    "cut in the middle": (["cut 1000", "whole"], [None, "bytes=1000-"]),
    "cut again and again": (
        [*(f"cut {n}" for n in range(10_000, N, 40_000)), "whole"],
        [None, *(f"bytes={n}-" for n in range(10_000, N, 40_000))],
    ),
    "cut before the first byte": (["cut 0", "whole"], [None, None]),
    "hangs up without a word": (["silent", "whole"], [None, None]),
    "falls asleep in the middle": ([f"stall {HALF}", "whole"], [None, f"bytes={HALF}-"]),
    "spoilt on the way, once": (["wrong", "whole"], [None, None]),
    "busy, then recovers": (["status 503", "status 502", "whole"], [None] * 3),
    "busy in the middle": (
        [f"cut {HALF}", "status 503", "whole"],
        [None, f"bytes={HALF}-", f"bytes={HALF}-"],
    ),
    "knows no ranges": ([f"norange {HALF}", "norange"], [None, f"bytes={HALF}-"]),
    "has another version since": ([f"cut {HALF}", "changed"], [None, f"bytes={HALF}-"]),
    "names versions weakly": ([f"weak {HALF}", "weak"], [None, f"bytes={HALF}-"]),
    "does not say how much comes": (["unsized"], [None]),
    "does not say, and cuts": ([f"unsized {HALF}", "unsized"], [None, f"bytes={HALF}-"]),
    "sends in chunks": (["chunked"], [None]),
    "compresses on the way": (["packed"], [None]),
    "compresses in another way": ([f"packed {N} deflate"], [None]),
    "compresses, and cuts": (["packed 500", "packed", "packed"], [None, "bytes=~-", None]),
    "calls an archive compressed": (["archive"], [None]),
}


@pytest.mark.parametrize("what", RECOVERIES)
def test_it_arrives_whole(monkeypatch, one, server, cache, what):
    answers, ranges = RECOVERIES[what]
    if "asleep" in what:
        monkeypatch.setattr(downloading, "TIMEOUT", 1.0)
    server.script("a.bin", *answers)
    assert data.fetch("toy") == {"a.bin": cache / "a.bin"}
    assert only_whole_files_in(cache)
    asked = [re.sub(r"(?<==)[^0]\d*", "~", each or "") for each in server.asked("a.bin")]
    if "compresses" in what:  # how much of it was unpacked is its own affair
        ranges = [(each or "") for each in ranges]
    else:
        asked = server.asked("a.bin")
    assert asked == ranges


def test_a_file_that_has_moved_is_followed_and_resumed(one, server, cache):
    server.script("a.bin", "moved elsewhere/b")
    server.script("elsewhere/b", "cut 1000", "whole")
    data.fetch("toy")
    assert only_whole_files_in(cache)
    assert server.asked("elsewhere/b") == [None, "bytes=1000-"]


def test_a_server_that_never_stops_is_left(one, server, cache):
    server.script("a.bin", "endless")
    with pytest.raises(data.Unavailable, match=r"has more than 204,800 bytes"):
        data.fetch("toy")
    assert files_in(cache) == []
    assert server.sent < 20_000_000  # what was under way when we hung up


def test_a_small_file_that_unpacks_to_a_huge_one_is_left(one, server, cache):
    seen = []
    server.script("a.bin", "packed", content=bytes(50_000_000))
    digest = hashlib.sha256(CONTENT).hexdigest()
    facts = {"part": cache / "p", "size": N, "digest": digest, "report": seen.append}
    cache.mkdir(parents=True)
    with pytest.raises(ValueError, match="more than 204,800 bytes"):
        downloading.download(server.address("a.bin"), cache / "t", **facts)
    assert sum(n for n in seen if n > 0) < 2 * N
    assert files_in(cache) == []


def test_a_date_to_wait_for(monkeypatch, one, server, cache):
    pauses = []
    monkeypatch.setattr(downloading.time, "sleep", pauses.append)
    soon = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=20), usegmt=True)
    asked = [soon, "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "a-while"]
    answers = [f"status 503 {when.replace(' ', '_')}" for when in asked[:3]]
    server.script("a.bin", *answers, "whole")
    data.fetch("toy")
    assert 15 < pauses[0] <= 20
    assert pauses[1:] == [0.002, 60.0]
    assert downloading._seconds(asked[3]) == downloading._seconds("²") == 0


def test_a_full_disk_is_said_and_no_other_server_asked(monkeypatch, server, cache):
    register(monkeypatch, toy(server.address("1/{}"), server.address("2/{}")))
    server.script("1/a.bin", "whole")
    opened = Path.open

    class Full(io.BytesIO):
        def write(self, piece):
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(path, mode="r", **options):
        return Full() if mode == "ab" and path.suffix == ".part" else opened(path, mode, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(data.Unavailable, match=r"No space left .*COMPANION_CACHE .*has room"):
        data.fetch("toy")
    assert [path for path, *_ in server.requests] == ["1/a.bin"]
    monkeypatch.undo()


@pytest.mark.verifies("CannotWrite", "a folder that is not there")
def test_what_cannot_be_written_is_told_apart(server, cache, tmp_path):
    server.script("x", "whole")
    facts = {"size": N, "digest": hashlib.sha256(CONTENT).hexdigest()}
    with pytest.raises(downloading.CannotWrite, match="cannot be written"):
        downloading.download(server.address("x"), tmp_path / "t", part=tmp_path / "no/p", **facts)


@pytest.mark.parametrize("names", [["a.bin"], ["a.bin", "b.bin"]], ids=["one", "two"])
def test_an_interrupt_stops_at_once_and_leaves_what_came(monkeypatch, server, cache, names):
    register(monkeypatch, toy(server.address("{}"), files=names))
    for name in names:
        server.script(name, "slow", "whole")
    part = cache / names[-1]
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        data.fetch("toy")
    assert not part.exists()
    assert 0 < part.with_suffix(".bin.part").stat().st_size < N
    data.fetch("toy")
    assert all((cache / name).read_bytes() == CONTENT for name in names)
    assert all(asked.startswith("bytes=") for asked in server.asked(names[0])[1:])


@pytest.mark.verifies("fetch_into", "a folder of its own, filled once")
def test_fetching_into_any_folder(server, cache, tmp_path):
    server.script("a.bin", "whole")
    files = toy(server.address("{}")).files
    for _ in range(2):
        found = fetching.fetch_into(tmp_path / "mine", "toy", files)
        assert found == {"a.bin": tmp_path / "mine" / "a.bin"}
    assert len(server.requests) == 1


@pytest.mark.verifies("download", "bytes from a local server that cuts, stalls, refuses and lies")
def test_what_is_asked_for_is_the_rest_of_the_same_version(one, server, cache):
    server.script("a.bin", "cut 1000", "whole")
    data.fetch("toy")
    assert server.requests == [("a.bin", None, None), ("a.bin", "bytes=1000-", '"one"')]


def test_a_weak_tag_is_not_used_for_a_range(one, server, cache):
    server.script("a.bin", "weak 1000", "weak")
    data.fetch("toy")
    assert server.requests[1] == ("a.bin", "bytes=1000-", None)


def test_a_file_in_the_cache_is_not_downloaded_again(one, server, cache):
    server.script("a.bin", "whole")
    assert data.fetch("toy") == data.fetch("toy")
    assert len(server.requests) == 1


def test_a_damaged_file_in_the_cache_is_replaced(one, server, cache):
    server.script("a.bin", "whole")
    cache.mkdir(parents=True)
    (cache / "a.bin").write_bytes(CONTENT[:-1] + b"\0")
    data.fetch("toy")
    assert only_whole_files_in(cache)


@pytest.mark.parametrize("left", [CONTENT[:777], b"\0" * 777, CONTENT, b"\0" * N, CONTENT + b"!"])
def test_a_part_from_another_day_is_used_if_it_fits(one, server, cache, left):
    server.script("a.bin", "whole")
    cache.mkdir(parents=True)
    (cache / "a.bin.part").write_bytes(left)
    data.fetch("toy")
    assert only_whole_files_in(cache)
    ranges = {777: ["bytes=777-"] if left[1] else ["bytes=777-", None]}
    assert server.asked("a.bin") == ranges.get(len(left), [] if left == CONTENT else [None])


def test_many_files_at_once(monkeypatch, server, cache):
    names = [f"part/{i}.bin" for i in range(20)]
    register(monkeypatch, toy(server.address("{}"), files=names))
    for name in names:
        server.script(name, "status 503", "cut 5000", "whole")
    assert list(data.fetch("toy")) == names
    assert files_in(cache) == sorted(names)
    assert all((cache / name).read_bytes() == CONTENT for name in names)


# -- it does not arrive --------------------------------------------------------------------------

FAILURES = {
    "not there": (["status 404"], "the server said 404", 1),
    "forbidden": (["status 403"], "the server said 403", 1),
    "always busy": (["status 503"], "the server said 503", downloading.ATTEMPTS),
    "always cut at the same place": ([f"cut {HALF}"], "the connection was cut after", 4),
    "always cut, no ranges": ([f"norange {HALF}"], "the connection was cut after", 4),
    "other bytes": (["wrong"], "what came is another file", 2),
    "a page that asks for a password": (["portal"], "has 26 bytes, expected 204,800", 1),
    "begins elsewhere": (["elsewhere"], "the server sent bytes from 7 on", 1),
    "does not say where it begins": ([f"cut {HALF}", "mute"], "did not say which", 2),
    "other bytes after a cut": (["cut 1000", "wrong"], "what came is another file", 4),
    "hangs up, always": (["silent"], "the connection was cut", downloading.ATTEMPTS),
}


@pytest.mark.verifies("Unavailable", "the message says what was tried and what to do")
@pytest.mark.parametrize("what", FAILURES)
def test_it_does_not_arrive(one, server, cache, what):
    answers, why, requests = FAILURES[what]
    server.script("a.bin", *answers)
    with pytest.raises(data.Unavailable) as error:
        data.fetch("toy")
    assert not (cache / "a.bin").exists()
    said = str(error.value)
    address = server.address("a.bin")
    assert why in said
    assert f"download {address} (204,800 bytes)" in said
    assert "FOLDER/toy/a.bin, where FOLDER is any folder, and set COMPANION_DATA to it" in said
    assert "COMPANION_MIRROR" in said
    assert len(server.requests) == requests


def test_after_a_failure_the_next_day_goes_on(one, server, cache):
    server.script("a.bin", "cut 1000", *["status 503"] * downloading.ATTEMPTS, "whole")
    with pytest.raises(data.Unavailable):
        data.fetch("toy")
    assert files_in(cache) == ["a.bin.part"]
    data.fetch("toy")
    assert only_whole_files_in(cache)
    assert server.asked("a.bin")[-1] == "bytes=1000-"


def test_the_server_may_say_how_long_to_wait(one, server, cache):
    server.script("a.bin", "status 503 1", "whole")
    started = time.monotonic()
    data.fetch("toy")
    assert time.monotonic() - started >= 1


def test_a_server_out_of_reach_is_not_asked_again_at_once(monkeypatch, cache):
    register(monkeypatch, toy("http://127.0.0.1:9/{}"))
    with pytest.raises(data.Unavailable, match=r"the server is out of reach \(.*refused"):
        data.fetch("toy")
    with pytest.raises(data.Unavailable, match="was out of reach a moment ago"):
        data.fetch("toy")
    monkeypatch.setattr(downloading, "REST", 0.0)
    with pytest.raises(data.Unavailable, match="the server is out of reach"):
        data.fetch("toy")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("http_proxy", "http://proxy:port"), ("COMPANION_MIRROR", "http://127.0.0.1:9/my sets")],
)
def test_an_address_that_cannot_be_used_is_not_tried_again(monkeypatch, one, variable, value):
    """It does not get better by waiting, and no connection was cut."""
    pauses = []
    monkeypatch.setattr(downloading.time, "sleep", pauses.append)
    monkeypatch.setenv(variable, value)
    with pytest.raises(data.Unavailable, match="the address cannot be used") as error:
        data.fetch("toy")
    assert "cut" not in str(error.value)
    assert pauses == []


def test_a_proxy_named_after_a_first_attempt_is_used_at_once(monkeypatch, server, cache):
    """As in a notebook: the set is out of reach, a cell names the proxy, the set is asked for."""
    register(monkeypatch, toy("http://nowhere.invalid/{}"))
    with pytest.raises(data.Unavailable, match="the server is out of reach"):
        data.fetch("toy")
    server.script("http://nowhere.invalid/a.bin", "whole")
    monkeypatch.setenv("http_proxy", server.address())
    data.fetch("toy")
    assert files_in(cache) == ["a.bin"]


def test_a_server_that_goes_away_is_asked_again(monkeypatch, one, server, cache):
    """Between two attempts it refuses connections, as while it starts again."""
    server.script("a.bin", "cut 1000", "whole")
    pauses = []
    director = downloading.urllib.request.OpenerDirector
    opened = director.open

    def away(*arguments, **options):
        if len(pauses) == 1:
            raise downloading.urllib.error.URLError("Connection refused")
        return opened(*arguments, **options)

    monkeypatch.setattr(director, "open", away)
    monkeypatch.setattr(downloading.time, "sleep", pauses.append)
    data.fetch("toy")
    assert only_whole_files_in(cache)
    assert pauses == [0.001, 0.002]


def test_a_cache_that_cannot_be_written(monkeypatch, one, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "file"))
    with pytest.raises(data.Unavailable, match=r"cannot be used .*set COMPANION_CACHE to a folder"):
        data.fetch("toy")


@pytest.mark.verifies("Interrupted", "what a connection that is cut leaves stays for the next one")
def test_interrupted_is_told_apart_from_refused(server, cache, tmp_path):
    facts = {"part": tmp_path / "p", "size": N, "digest": hashlib.sha256(CONTENT).hexdigest()}
    for answer, kind in (("cut 10", downloading.Interrupted), ("status 404", OSError)):
        server.script("x", answer)
        with pytest.raises(OSError, match=r"cut|404") as error:
            downloading.download(server.address("x"), tmp_path / "t", **facts)
        assert type(error.value) is kind
        assert (tmp_path / "p").read_bytes() == CONTENT[:10]
    assert not (tmp_path / "t").exists()


def test_progress_adds_up(server, cache, tmp_path):
    seen = []
    server.script("x", f"norange {HALF}", "norange")
    digest = hashlib.sha256(CONTENT).hexdigest()
    place = {"part": tmp_path / "p", "report": seen.append}
    downloading.download(server.address("x"), tmp_path / "t", size=N, digest=digest, **place)
    assert sum(seen) == N
    assert min(seen) == -HALF


# -- mirrors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["status 404", "status 503", "wrong", "portal", "elsewhere"])
def test_mirrors_are_tried_in_order(monkeypatch, server, cache, failure):
    register(monkeypatch, toy(*(server.address(f"{folder}/{{}}") for folder in "123")))
    server.script("1/a.bin", failure)
    server.script("2/a.bin", failure)
    server.script("3/a.bin", "whole")
    data.fetch("toy")
    assert only_whole_files_in(cache)
    paths = [path for path, *_ in server.requests]
    assert paths == sorted(paths)
    assert set(paths) == {"1/a.bin", "2/a.bin", "3/a.bin"}


def test_a_mirror_goes_on_where_another_server_was_cut(monkeypatch, server, cache):
    register(monkeypatch, toy(server.address("1/{}"), server.address("2/{}")))
    server.script("1/a.bin", "cut 1000", "status 404")
    server.script("2/a.bin", "whole")
    data.fetch("toy")
    assert only_whole_files_in(cache)
    assert server.requests[-1] == ("2/a.bin", "bytes=1000-", None)


def test_the_mirror_of_the_environment_comes_first(monkeypatch, one, server, cache):
    monkeypatch.setenv("COMPANION_MIRROR", server.address("ours/"))
    server.script("ours/toy/a.bin", "whole")
    data.fetch("toy")
    assert [path for path, *_ in server.requests] == ["ours/toy/a.bin"]
    toy_set = data.source("toy")
    expected = [server.address("ours/toy/a.bin"), server.address("a.bin")]
    same("addresses", "by hand", fetching.addresses(toy_set, toy_set.files[0]), expected)


# -- the folder of the environment ---------------------------------------------------------------


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "own"))
    (tmp_path / "own" / "toy").mkdir(parents=True)
    return tmp_path / "own" / "toy"


def test_the_folder_of_the_environment_comes_first(one, server, cache, folder):
    (folder / "a.bin").write_bytes(CONTENT)
    same("fetch", "the folder", data.fetch("toy")["a.bin"].as_posix(), f"{folder.as_posix()}/a.bin")
    assert server.requests == []


@pytest.mark.verifies("locate", "a file with one bit changed is refused")
def test_a_wrong_file_in_the_folder_is_refused(one, server, cache, folder):
    (folder / "a.bin").write_bytes(CONTENT[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"a\.bin has SHA-256 .*, expected .*Replace it by http"):
        data.fetch("toy")
    assert server.requests == []


def test_what_the_folder_lacks_is_downloaded(one, server, cache, folder):
    server.script("a.bin", "whole")
    assert data.fetch("toy") == {"a.bin": cache / "a.bin"}


def test_the_message_names_the_folder(one, server, cache, folder):
    with pytest.raises(data.Unavailable) as error:
        data.fetch("toy")
    assert f"save it as {folder / 'a.bin'}." in str(error.value)


@pytest.mark.verifies("cache_folder", "where downloads are found afterwards")
def test_the_usual_cache(monkeypatch, cache, tmp_path):
    import pooch

    assert fetching.cache_folder() == cache.parent
    monkeypatch.delenv("COMPANION_CACHE")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    assert fetching.cache_folder() == tmp_path / "large-models-companion" / "data"


# -- several at once -----------------------------------------------------------------------------

OTHER_PROCESS = """
import sys
from companion import data
from companion.data import downloading, registry
from tests.data.server import toy
toy_set = toy(sys.argv[1])
registry._registry = lambda: {"toy": toy_set}
print(data.fetch("toy")["a.bin"])
"""


def start(server):
    command = [sys.executable, "-c", textwrap.dedent(OTHER_PROCESS), server.address("{}")]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=root, env=environment, **pipes)


def test_processes_at_once_do_not_disturb_each_other(server, cache):
    server.script("a.bin", "slow")
    processes = [start(server) for _ in range(3)]
    said = [process.communicate(timeout=60) for process in processes]
    assert said == [(f"{cache / 'a.bin'}\n", "")] * 3
    assert only_whole_files_in(cache)
    assert server.asked("a.bin") == [None]  # whoever came later waited, and found it


def test_threads_at_once_do_not_disturb_each_other(one, server, cache):
    server.script("a.bin", "slow")
    found = []
    threads = [threading.Thread(target=lambda: found.append(data.fetch("toy"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"a.bin": cache / "a.bin"}] * 4
    assert server.asked("a.bin") == [None]


def test_after_a_killed_process_the_next_one_goes_on(one, server, cache):
    server.script("a.bin", "slow", "whole")
    process = start(server)
    part = cache / "a.bin.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = part.stat().st_size
    assert 0 < kept < N
    assert not (cache / "a.bin").exists()
    data.fetch("toy")
    assert (cache / "a.bin").read_bytes() == CONTENT
    assert server.asked("a.bin") == [None, f"bytes={kept}-"]


# -- what is said --------------------------------------------------------------------------------


def test_licence_and_citation_are_printed_at_the_first_use(monkeypatch, one, server, capfd):
    server.script("a.bin", "whole")
    monkeypatch.setenv("COMPANION_QUIET", "")
    data.fetch("toy")
    said = capfd.readouterr()
    assert "A toy. Licence: CC0.\nPlease cite: Nobody (2026).\n" in said.out
    assert said.err == ""
    data.fetch("toy")
    assert capfd.readouterr().out == ""


def test_nothing_is_said_where_that_is_asked_for(one, server, capfd):
    server.script("a.bin", "cut 100", "whole")
    data.fetch("toy")
    assert capfd.readouterr() == ("", "")


def test_a_long_download_draws_a_bar(monkeypatch, one, server, capfd):
    monkeypatch.setenv("COMPANION_QUIET", "")
    server.script("a.bin", "slow")
    data.fetch("toy")
    said = capfd.readouterr()
    assert "toy:" in said.out
    assert "205k/205k" in said.out
    assert said.err == ""


def test_without_tqdm_there_is_no_bar(monkeypatch, one, server, capfd):
    monkeypatch.setenv("COMPANION_QUIET", "")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    server.script("a.bin", "slow")
    data.fetch("toy")
    assert "toy:" not in capfd.readouterr().out


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_sha256(tmp_path, size):
    content = b"x" * size
    (tmp_path / "file").write_bytes(content)
    same(
        "sha256",
        "hashlib",
        downloading.sha256(tmp_path / "file"),
        hashlib.sha256(content).hexdigest(),
    )
