"""What a submission does to harm others, or by mistake, costs only itself."""

import functools
import tempfile
import textwrap

import psutil
import pytest

from assign.sandbox import attempts, process, walls
from tests.assign.grading_support import RIGHT, draw, grade, hand_in, notebook, rows

Q2 = RIGHT["q2"]
FINDS = """
def finds(*words):
    import os
    for place, folders, names in os.walk("/"):
        if place.startswith(("/proc", "/sys", "/dev", "/usr", "/lib")) or "python3" in place:
            folders.clear()  # what everybody has
            continue
        for name in names:
            path = os.path.join(place, name)
            try:
                text = open(path, "rb").read(10**6) if os.path.getsize(path) < 10**6 else b""
            except OSError:
                continue
            if any(word in text for word in words):
                return path
"""

# Name: answer to q1 (3 points), answer to q2 (4 points), points for each, status, words.
CASES = {
    # -- crashes
    "exits": ("import os\nos._exit(0)", Q2, 0, 4, "crashed", "ended its own process"),
    "exits-later": ("total = 21", "import os\nos._exit(0)", 3, 0, "crashed", "cell 5 (q2)"),
    "sys-exit": ("import sys\nsys.exit(0)", Q2, 0, 4, "errors", "SystemExit"),
    "segfault": (
        "total = 21", "import ctypes\ndef double(x): return ctypes.string_at(0)",
        3, 0, "crashed", "q2, check 1: the notebook's process crashed (segmentation fault)",
    ),
    "kills": (
        "import os\nfor pid in (1, 2, os.getppid(), -1):\n    try:\n        os.kill(pid, 9)\n"
        "    except OSError:\n        pass\ntotal = 21",
        Q2, None, 4, None, "",
    ),
    # -- loops
    "endless-loop": ("while True: pass", Q2, 0, 4, "timeout", "cell 2 (q1): ran longer than the"),
    "ignores-interrupts": (
        "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n"
        "        pass",
        Q2, 0, 4, "timeout", "ran longer than the",
    ),
    "endless-function": (
        "total = 21", "def double(x):\n    while True: pass", 3, 0, "timeout", "q2, check 1",
    ),
    "endless-generator": (
        "import itertools\ntotal = 21",
        "def double(x):\n    return (2 * i for i in itertools.count())",
        3, 0, None, "",
    ),
    "endless-thread": (
        "import threading\ndef spin():\n    while True: pass\n"
        "threading.Thread(target=spin).start()\ntotal = 21",
        Q2, 3, 4, "ok", "",
    ),
    # -- too much of everything
    "gigabyte-printed": (
        "for _ in range(1000):\n    print('x' * 2**20)\ntotal = 21",
        Q2, None, 4, None, "",  # nobody listens; a busy machine's clock may stop it
    ),
    "memory": (
        "hoard = []\nwhile True:\n    hoard.append(bytearray(10**7))",
        Q2, 0, 4, "errors", "MemoryError",
    ),
    "memory-of-many": (
        "import os\nfor _ in range(6):\n    if os.fork() == 0:\n"
        "        hoard = [bytearray(os.urandom(10**6)) for _ in range(100)]\n"
        "        import time\n        time.sleep(60)\nimport time\ntime.sleep(60)",
        Q2, 0, 4, None, "",  # seen, or stopped by the clock on a busy machine
    ),
    "big-file": (
        "with open('big', 'wb') as f:\n    for _ in range(400):\n        f.write(bytes(2**20))\n"
        "total = 21",
        Q2, 0, 4, "errors", "OSError",
    ),
    "fork-bomb": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        Q2, 0, 4, "timeout", "ran longer than",
    ),
    # -- files, network, programs
    "deletes": (
        "import shutil\nshutil.rmtree(VICTIM, ignore_errors=True)\n"
        "shutil.rmtree('/etc', ignore_errors=True)\ntotal = 21",
        Q2, 3, 4, "ok", "",
    ),
    "goes-up": (
        "import pathlib\nup = pathlib.Path('../' * 20 + VICTIM, 'kept.txt')\n"
        "up.write_text('mine')", Q2, 0, 4, "errors", "No such file",
    ),
    "overwrites": (
        "open(TABLE, 'w').write('student,total')", Q2, 0, 4, "errors", "No such file",
    ),
    "network": (
        "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)",
        Q2, 0, 4, "errors", "ConnectionRefused",
    ),
    "outlives": (
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.execvp('sleep', ['outlives-all', '600'])\n    os._exit(0)\ntotal = 21",
        Q2, 3, 4, "ok", "",
    ),
    # -- others' work, and others' tests
    "reads-others": (
        f"{FINDS}\ntotal = 21 if finds(b'word-of-' + b'another') is None else 0",
        Q2, 3, 4, None, "",
    ),
    "reads-tests": (
        f"{FINDS}\ntotal = 21 if finds(b'twice, ' + b'please', b'small' + b'-1') is None else 0",
        Q2, 3, 4, None, "",
    ),
    "reads-the-memory-of-others": (
        "import glob\ntotal = 21\nfor path in glob.glob('/' + 'proc/[0-9]*/environ'):\n"
        "    try:\n        total = 0 if b'SECRET_TOKEN' in open(path, 'rb').read() else total\n"
        "    except OSError:\n        pass",
        Q2, 3, 4, "ok", "",
    ),
    # -- what is given up: it is inside of the same process, but the instructor is told
    "looks-for-the-checker": (
        "import sys\nframe = sys._getframe()\ntotal = 21", Q2, 3, 4, "checker's names", "_getframe",
    ),
    "lies-to-the-grader": (
        "import os\nos.write(3, b'{}' * 99 + bytes([10]))", Q2, 0, 4, "crashed", "is no report",
    ),
}  # fmt: skip


# One of each kind is tried in every run, all others before a release.
FIRST = [
    *("exits", "segfault", "kills", "endless-loop", "endless-function", "gigabyte-printed"),
    *("memory", "fork-bomb", "deletes", "goes-up", "network", "outlives", "reads-others"),
    *("reads-tests", "reads-the-memory-of-others", "looks-for-the-checker"),
]
BATCHES = {"first": FIRST, "others": [name for name in CASES if name not in FIRST]}
MARKS = {"first": [], "others": [pytest.mark.release]}
each_batch = pytest.mark.parametrize("batch", [pytest.param(b, marks=MARKS[b]) for b in BATCHES])
each_case = pytest.mark.parametrize(
    ("batch", "name"),
    [pytest.param(b, name, marks=MARKS[b], id=name) for b in BATCHES for name in BATCHES[b]],
)


@pytest.fixture(scope="module")
def graded(tmp_path_factory, listener):
    """Return a function that grades a batch, once, and gives the folder of what came of it."""
    return functools.cache(lambda batch: grade_batch(batch, tmp_path_factory, listener))


@pytest.fixture(scope="module")
def listener():
    """Listen where a notebook could connect to, if it had a network."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def grade_batch(batch, factory, port):
    """Grade a batch at once, with a right one at the end that must not suffer."""
    folder = factory.mktemp("hostile")
    victim = folder / "victim"
    victim.mkdir()
    (victim / "kept.txt").write_text("all of it")
    dist = draw(folder / "dist")
    lines = f"VICTIM = {str(victim)!r}\nTABLE = {str(folder / 'grades.csv')!r}\nPORT = {port}\n"
    for name in BATCHES[batch]:
        q1, q2, *_ = CASES[name]
        answers = notebook(lines + textwrap.dedent(q1), textwrap.dedent(q2))
        hand_in(folder / "submissions", f"{name}.ipynb", answers)
    others = notebook(RIGHT["q1"] + "  # word-of-another", RIGHT["q2"])
    hand_in(folder / "submissions", "zz-right.ipynb", others)
    limits = ("--timeout", 10, "--memory", 300, "--jobs", 2)
    arguments = (dist, folder / "submissions", "--out", folder / "grades.csv", *limits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_TOKEN", "for nobody")
        patch.setattr(tempfile, "tempdir", None)
        assert grade(*arguments) == 0
    return folder


@each_case
def test_it_costs_only_itself(graded, batch, name):
    _, _, q1, q2, status, words = CASES[name]
    row = rows(graded(batch) / "grades.csv")[name]
    if q1 is not None:
        assert float(row["q1 sum"]) == q1, row
    assert float(row["q2 double"]) == q2, row
    assert float(row["total"]) == float(row["q1 sum"]) + float(row["q2 double"])
    assert status in (None, row["status"]), row
    assert words.lower() in row["what_happened"].lower()


@each_batch
def test_the_others_get_what_they_deserve(graded, batch):
    row = rows(graded(batch) / "grades.csv")["zz-right"]
    assert (row["total"], row["max"], row["status"]) == ("7", "8", "ok")


@each_batch
def test_what_happened_is_told_whenever_something_did(graded, batch):
    for name, row in rows(graded(batch) / "grades.csv").items():
        assert bool(row["what_happened"]) == (row["status"] != "ok"), name


@each_batch
def test_no_file_was_touched(graded, batch):
    folder = graded(batch)
    assert (folder / "victim" / "kept.txt").read_text() == "all of it"
    assert len(rows(folder / "grades.csv")) == len(BATCHES[batch]) + 1


@each_batch
def test_no_process_is_left(graded, batch):
    graded(batch)
    # Other tests beside this one may have containers; what has lost its parent belongs to nobody.
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    left = [
        process.info
        for process in psutil.process_iter(["pid", "ppid", "cmdline"])
        if process.info["cmdline"]
        and process.info["cmdline"][0] in ("outlives-all", "bwrap")
        and (process.pid in ours or process.info["ppid"] == 1)
    ]
    assert left == []


# -- which wall ----------------------------------------------------------------------------------


def test_this_machine_has_a_wall():
    assert walls.choose() == "bubblewrap"


@pytest.mark.parametrize("tool", ["docker", "podman"])
def test_without_bubblewrap_an_image_is_asked_for(monkeypatch, tool):
    asked = []
    monkeypatch.setattr(walls.shutil, "which", lambda name: name if name == tool else None)
    monkeypatch.setattr(walls, "_works", lambda command: not asked.append(command))
    assert walls.choose() == tool
    assert asked == [[tool, "image", "inspect", "book-grading"]]


def test_without_any_wall_nothing_is_run_unless_it_is_trusted(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(walls.shutil, "which", lambda name: None)
    dist = draw(tmp_path / "dist")
    hand_in(tmp_path / "in", "ada.ipynb", notebook(**RIGHT))
    out = tmp_path / "grades.csv"
    assert grade(dist, tmp_path / "in", "--out", out) == 2
    assert not out.exists()
    told = capsys.readouterr().err
    assert "apt install bubblewrap" in told
    assert "With --trust every notebook can read, change and delete whatever you can" in told
    assert grade(dist, tmp_path / "in", "--out", out, "--trust", "--jobs", 1) == 0
    assert rows(out)["ada"]["total"] == "7"


IMAGE_TOOL = """#!/bin/sh
echo "$@" >> {log}
case "$1" in run) while [ "$1" != python ]; do shift; done; shift; exec {python} "$@";; esac
"""


def test_a_container_gets_the_job_on_its_input_and_no_network(monkeypatch, tmp_path):
    """Stand in for Docker: run what would be run in the image here."""
    import sys

    tool, log = tmp_path / "docker", tmp_path / "log"
    tool.write_text(IMAGE_TOOL.format(log=log, python=sys.executable))
    tool.chmod(0o755)
    monkeypatch.setattr(walls, "choose", lambda trust: str(tool))
    monkeypatch.setenv("PYTHONPATH", str(walls.Path(walls.__file__).parents[2]))
    dist = draw(tmp_path / "dist")
    hand_in(tmp_path / "in", "ada.ipynb", notebook(**RIGHT))
    dies = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"
    hand_in(tmp_path / "in", "bob.ipynb", notebook(dies, RIGHT["q2"]))
    arguments = (dist, tmp_path / "in", "--out", tmp_path / "grades.csv", "--jobs", 2)
    assert grade(*arguments) == 0
    found = rows(tmp_path / "grades.csv")
    assert (found["ada"]["total"], found["ada"]["status"]) == ("7", "ok")
    assert (found["bob"]["total"], found["bob"]["status"]) == ("4", "crashed")
    assert "segmentation fault" in found["bob"]["what_happened"]
    called = log.read_text().splitlines()
    assert sum(line.startswith("kill grading-") for line in called) == 3  # bob's once more
    (run, *_) = [line for line in called if line.startswith("run ")]
    for option in ("--network none", "--read-only", "--cap-drop ALL", "--pids-limit 64"):
        assert option in run


def test_how_long_a_container_takes_to_start_counts_for_no_notebook():
    steps = [{"number": 0, "question": "q1", "name": "question 1", "source": ""}]
    attempt = attempts._Attempt(attempts.Graded(), steps, process.Limits(), until=1000.0)
    attempt.since -= 50
    attempt._hear({"begin": 0})
    assert 1050 <= attempt.until < 1060


def test_limits_must_be_positive():
    with pytest.raises(ValueError, match="memory must be above 0, got 0"):
        process.Limits(memory=0)
