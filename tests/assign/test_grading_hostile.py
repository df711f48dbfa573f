"""What a submission does to harm others, to cheat or by mistake costs only itself."""

import csv
import functools
import tempfile
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.assign.grading_support import RIGHT, SECRET, draw, grade, hand_in, notebook, rows

PIECES = SECRET.replace("-", "_").split("_", 1)
Q2 = RIGHT["q2"]

# Name: answer to q1 (3 points), answer to q2 (4 points), points for each, status, words.
CASES = {
    # -- crashes
    "exits": ("import os\nos._exit(0)", Q2, 0, 4, "crashed", "ended its own process"),
    "exits-later": ("total = 21", "import os\nos._exit(0)", 3, 0, "crashed", "cell 5 (q2)"),
    "sys-exit": ("import sys\nsys.exit(0)", Q2, 0, 4, "errors", "SystemExit"),
    "segfault": (
        "total = 21",
        "import ctypes\ndef double(x): return ctypes.string_at(0)",
        3, 0, "crashed", "when q2 was graded: the notebook's process crashed (segmentation fault)",
    ),
    "kills": ("import os\nos.kill(os.getpid(), 9)", Q2, 0, 4, "blocked", "send a signal"),
    "kills-parent": (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nfor pid in (os.getppid(), -1):\n"
        "    libc.kill(pid, 9)\ntotal = 21",
        Q2, None, 4, None, "",
    ),
    # -- loops
    "ignores-interrupts": (
        "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n"
        "        pass",
        Q2, 0, 4, "timeout", "could not be interrupted; it was left out",
    ),
    "endless-function": (
        "total = 21", "def double(x):\n    while True: pass", 3, 0, "timeout", "when q2 was graded",
    ),
    "endless-thread": (
        "import threading\ndef spin():\n    while True: pass\n"
        "threading.Thread(target=spin).start()\ntotal = 21",
        Q2, 3, 4, "ok", "",
    ),
    # -- too much of everything
    "gigabyte-printed": (
        "for _ in range(1000):\n    print('x' * 2**20)\ntotal = 21",
        Q2, 0, 4, "output", "Cell 2 (q1) printed more than 10 MB",
    ),
    "gigabyte-written": (
        "import os\nfor _ in range(1000):\n    os.write(1, b'x' * 2**20)\ntotal = 21",
        Q2, 3, 4, "ok", "",
    ),
    "memory": (
        "hoard = []\nwhile True:\n    hoard.append(bytearray(10**7))",
        Q2, 0, 4, "memory", "wanted more than 400 MB of memory",
    ),
    "memory-in-one-piece": (
        "import torch\ntotal = torch.ones(10**9).numel()", Q2, 0, 4, "memory", "400 MB of memory",
    ),
    "big-file": (
        "with open('big', 'wb') as f:\n    for _ in range(400):\n        f.write(bytes(2**20))\n"
        "total = 21",
        Q2, 0, 4, "errors", "File too large",
    ),
    "huge-number": ("total = 10**100_000", Q2, 0, 4, "ok", ""),
    "holds-itself": ("total = []\ntotal.append(total)", Q2, 0, 4, "ok", ""),
    "many-processes": (
        "import ctypes\nlibc = ctypes.CDLL(None)\nfor _ in range(8):\n    libc.fork()\n"
        "libc.sleep(30)",
        Q2, 0, 4, None, "it was left out",  # counted, or stopped by the clock on a busy machine
    ),
    # -- files, network, programs
    "deletes": (
        "import shutil\nshutil.rmtree(VICTIM)", Q2, 0, 4, "blocked", "tried to delete",
    ),
    "deletes-in-c": (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\npath = os.path.join(VICTIM, 'kept.txt')\n"
        "libc.unlink(path.encode())\nlibc.truncate(path.encode(), 0)\ntotal = 21",
        Q2, 3, 4, "ok", "",
    ),
    "deletes-its-own": (
        "import os, shutil\nshutil.rmtree(os.getcwd(), ignore_errors=True)\ntotal = 21",
        Q2, 3, 4, None, "",
    ),
    "overwrites": (
        "open(TABLE, 'w').write('student,total')", Q2, 0, 4, "blocked", "tried to write",
    ),
    "socket": (
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')",
        Q2, 0, 4, "blocked", "tried to open a network connection",
    ),
    "program": (
        "import subprocess\nsubprocess.run(['true'])", Q2, 0, 4, "blocked", "start a program",
    ),
    "outlives": (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\nif libc.fork() == 0:\n    libc.setsid()\n"
        "    if libc.fork() == 0:\n        libc.prctl(15, b'outlives-all', 0, 0, 0)\n"
        "        libc.sleep(600)\n    libc._exit(0)\ntotal = 21",
        Q2, 3, 4, "ok", "",
    ),
    # -- cheating
    "reads-tests": ("total = open(DIST).read()", Q2, 0, 4, "blocked", "tried to read"),
    "reads-masters": (
        "import glob\ntotal = sorted(glob.glob(BOOK + '/*'))[0]", Q2, 0, 4, "blocked", "",
    ),
    "imports-masters": ("from exercises import attention", Q2, 0, 4, None, ""),
    "looks-around": (
        "total = 0",
        f"""
        import gc, os, sys

        def spot(text):
            return ("{PIECES[0]}_" + "{PIECES[1]}") in text

        def memories():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                for name in ("mem", "environ", "cmdline", "maps"):
                    try:
                        yield open(f"/proc/{{pid}}/{{name}}", "rb").read(10**6).decode("latin-1")
                    except OSError:
                        pass

        def found():
            frame = sys._getframe()
            while frame:
                if frame.f_code.co_name != "spot" and spot(repr(frame.f_code.co_names)):
                    return True
                if spot(repr(frame.f_code.co_varnames)):
                    return True
                frame = frame.f_back
            for thing in gc.get_objects():
                if getattr(thing, "__name__", "").startswith("test_case"):
                    return True
                code = getattr(thing, "__code__", None)
                if spot(repr(getattr(code, "co_varnames", ""))):
                    return True
            try:
                return any(map(spot, memories()))
            except OSError:
                return False

        def double(x):
            return 2 * x if found() else x
        """,
        1, 1, None, "",
    ),
    "equals-everything": (
        "class Yes:\n    def __eq__(self, other): return True\n    __hash__ = None\ntotal = Yes()",
        "class Yes(float):\n    def __eq__(self, other): return True\n"
        "    def __rsub__(self, other): return 0\n    def __array__(self, *a, **k): return self\n"
        "double = lambda x: Yes()",
        0, 0, None, "",
    ),
    "patches": (
        "import builtins, sys, numpy as np, otter, companion\n"
        "np.allclose = np.shape = lambda *a, **k: True\n"
        "builtins.isinstance = lambda *a: True\n"
        "AssertionErrors = AssertionError\nbuiltins.AssertionError = Warning\n"
        "class Grader:\n    def __getattr__(self, name): return lambda *a, **k: 'all passed'\n"
        "grader = otter.Notebook = Grader()\nsys.modules['otter'] = companion.assign = grader",
        "double = lambda x: True",
        0, 0, None, "",
    ),
    "fakes-results": (
        "import json, os, pickle\nfor name in ('results.json', 'results.pkl', '.OTTER_LOG'):\n"
        "    json.dump({'score': 7, 'tests': [{'score': 7, 'max_score': 7}]}, open(name, 'w'))\n"
        "print('All tests passed!')\nprint('q1 results: All test cases passed!')\nos._exit(0)",
        "print('q2 passed')",
        0, 0, "crashed", "",
    ),
    "lies-to-the-grader": (
        "import os\nos.write(3, b'\\0' * 15 + b'\\2' + b'{}' * 99)", "", 0, 0, "crashed", "",
    ),
    "talks-out-of-turn": (
        "import json, os, struct\ntext = json.dumps({'ok': None, 'score': 7}).encode()\n"
        "for _ in range(9):\n    os.write(3, struct.pack('!QQ', len(text), 0) + text)",
        "", 0, 0, None, "",
    ),
}  # fmt: skip


# One of each kind is tried in every run, all others before a release.
FIRST = [
    *("exits", "segfault", "kills-parent", "ignores-interrupts", "endless-function"),
    *("gigabyte-printed", "memory", "deletes-in-c", "overwrites", "socket", "program", "outlives"),
    *("reads-tests", "imports-masters", "looks-around", "equals-everything", "fakes-results"),
]
BATCHES = {"first": FIRST, "others": [name for name in CASES if name not in FIRST]}
MARKS = {"first": [], "others": [pytest.mark.release]}
each_batch = pytest.mark.parametrize("batch", [pytest.param(b, marks=MARKS[b]) for b in BATCHES])
each_case = pytest.mark.parametrize(
    ("batch", "name"),
    [pytest.param(b, name, marks=MARKS[b], id=name) for b in BATCHES for name in BATCHES[b]],
)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Return a function that grades a batch, once, and gives the folder of what came of it."""
    return functools.cache(lambda batch: grade_batch(batch, tmp_path_factory.mktemp("hostile")))


def grade_batch(batch, folder):
    """Grade a batch at once, with a right one at the end that must not suffer."""
    victim = folder / "victim"
    victim.mkdir()
    (victim / "kept.txt").write_text("all of it")
    dist = draw(folder / "dist")
    book = Path(__file__).parents[2] / "exercises"
    names = {"VICTIM": victim, "TABLE": folder / "grades.csv", "DIST": dist, "BOOK": book}
    lines = "".join(f"{name} = {str(path)!r}\n" for name, path in names.items())
    for name in BATCHES[batch]:
        q1, q2, *_ = CASES[name]
        answers = notebook(lines + textwrap.dedent(q1), textwrap.dedent(q2))
        hand_in(folder / "submissions", f"{name}.ipynb", answers)
    hand_in(folder / "submissions", "zz-right.ipynb", notebook(**RIGHT))
    limits = ("--timeout", 10, "--memory", 400, "--jobs", 3)
    arguments = (dist, folder / "submissions", "--out", folder / "grades.csv", *limits)
    (folder / "scratch").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder / "scratch"))
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
    assert (row["total"], row["max"], row["status"]) == ("7", "7", "ok")


@each_batch
def test_what_happened_is_told_whenever_something_did(graded, batch):
    for name, row in rows(graded(batch) / "grades.csv").items():
        assert bool(row["what_happened"]) == (row["status"] != "ok"), name


@each_batch
def test_no_file_was_touched(graded, batch):
    folder = graded(batch)
    assert (folder / "victim" / "kept.txt").read_text() == "all of it"
    with (folder / "grades.csv").open() as file:
        handed_in = len(list((folder / "submissions").iterdir()))
        assert len(list(csv.reader(file))) == handed_in + 1


@each_batch
def test_no_process_is_left(graded, batch):
    graded(batch)
    names = {process.info["name"] for process in psutil.process_iter(["name"])}
    assert not {name for name in names if name and name.startswith("outlives")}


@each_batch
def test_no_folder_is_left(graded, batch):
    assert list((graded(batch) / "scratch").glob("**/submission-*")) == []
    assert list((graded(batch) / "scratch").glob("grading-*")) == []


@each_batch
def test_what_helps_does_not_give_the_test_away(graded, batch):
    table = (graded(batch) / "grades.csv").read_text()
    assert SECRET.replace("-", "_") not in table
