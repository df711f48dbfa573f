"""What holds for the repository as a whole: its settings agree, its modules keep their order."""

import ast
import importlib
import inspect
import pkgutil
import random
import re
import subprocess
import sys
import typing
from importlib import metadata

import numpy as np
import pytest
import torch
import yaml
from packaging.requirements import Requirement

import companion
from tools.book import contents
from tools.book import modules as chapter_modules
from tools.chapters import execute
from tools.models import live_models

if sys.version_info >= (3, 11):
    import tomllib

ROOT = contents.ROOT
PACKAGE = ROOT / "companion"

# Modules that stand although their chapter is still being written.
AHEAD: list[str] = []
# The order of the book. A module imports only from those before it, from torch and from numpy.
ORDER = [*chapter_modules.order(), *AHEAD]
STANDARD = set(sys.stdlib_module_names) | {"__future__"}
SHAPES = {"jaxtyping"}
# What a module needs besides, and only there.
BESIDES = {
    "tokenizers": {"regex"},
    "finetuning": {"safetensors"},
    "models": {"gguf", "huggingface_hub", "safetensors"},
    "data": {"pooch", "sklearn", "tqdm"},
    "training": {"matplotlib", "tqdm"},
}
NOTEBOOK = {"numpy", "matplotlib", "matplotlib_inline", "cycler", "ipywidgets", "IPython", "PIL"}


def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name="requirements.txt"):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


# -- settings ------------------------------------------------------------------------------------


def test_the_repository_has_one_address():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert settings()["project"]["urls"]["Repository"] == config["repository"]["url"]


def ranges():
    project = settings()["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return {(r := Requirement(text)).name: r for group in groups for text in group}


def test_every_range_holds_its_pin():
    pinned = {pin.name.lower(): pin for pin in pins()}
    for name, requirement in ranges().items():
        (specifier,) = pinned[name.lower()].specifier
        assert requirement.specifier.contains(specifier.version), name


def test_every_pin_is_exact_and_stands_once():
    names = [r.name.lower().replace("_", "-") for r in [*pins(), *pins("constraints.txt")]]
    assert len(names) == len(set(names))
    for pin in [*pins(), *pins("constraints.txt"), *pins("requirements-weights.txt")]:
        assert [s.operator for s in pin.specifier] == ["=="], pin.name


def test_what_is_installed_is_what_is_pinned():
    for pin in pins():
        assert pin.specifier.contains(metadata.version(pin.name)), pin.name


# Pins that no file of ours imports by name, and what asks for them instead.
ASKED_FOR_OTHERWISE = {
    "accelerate": "Trainer of transformers",
    "brotli": "fontTools, for WOFF2",
    "ipykernel": "runs the notebooks",
    "mypy": "make lint",
    "myst-nb": "the notebooks' metadata",
    "ruff": "make lint",
    "setuptools": "pyproject.toml",
    "sphinxcontrib-bibtex": "_config.yml",
    "beartype": "tests/plugins/shapes.py, by its name",
}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions_imported():
    """Return the distributions that the book's own code imports, chapters included."""
    names = {name.partition(".")[0] for path in tracked() for name in imported_by(path)}
    ours = {path.relative_to(ROOT).parts[0] for path in tracked() if path.suffix == ".py"}
    by_module = metadata.packages_distributions()
    foreign = names - STANDARD - ours - {""}
    return {canonical(found) for name in foreign for found in by_module.get(name, [name])}


def imported_by(path):
    if path.suffix == ".py":
        yield from imports(path)
    elif path.suffix == ".ipynb":
        for cell in execute.code_cells(execute.read(path)):
            yield from imports_of(cell.source)


def test_what_is_imported_is_pinned_and_what_is_pinned_is_used():
    pinned = {canonical(pin.name) for pin in [*pins(), *pins("requirements-weights.txt")]}
    weights = {canonical(pin.name) for pin in pins("requirements-weights.txt")}
    imported = distributions_imported()
    assert imported - pinned == set()
    assert pinned - weights - imported - set(ASKED_FOR_OTHERWISE) == set()
    assert set(ASKED_FOR_OTHERWISE) & imported == set()


def test_no_dependency_of_the_package_is_pinned_exactly():
    for name, requirement in ranges().items():
        assert "==" not in {s.operator for s in requirement.specifier}, name


# -- files ---------------------------------------------------------------------------------------


def tracked():
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name]


def test_no_binary_is_kept_but_weights_that_live_in_a_page():
    binary = [path for path in tracked() if path.exists() and b"\0" in path.read_bytes()]
    weights = [live_models.loaded(name)[-1] for name in live_models.names()]
    assert binary == weights


def test_no_large_file_is_kept():
    limits = {".ipynb": 4_000_000, ".json": 600_000, ".bin": 1_500_000}
    sizes = {p: p.stat().st_size for p in tracked() if p.exists()}
    assert {p: s for p, s in sizes.items() if s > limits.get(p.suffix, 200_000)} == {}


def test_text_ends_with_a_newline_and_has_no_trailing_space():
    bad = []
    for path in tracked():
        if path.exists() and path.suffix in {".py", ".md", ".yml", ".toml", ".txt", ".css", ".js"}:
            text = path.read_text(encoding="utf-8")
            if (text and not text.endswith("\n")) or re.search(r"[ \t]+$", text, re.MULTILINE):
                bad.append(path.name)
    assert bad == []


# -- imports -------------------------------------------------------------------------------------


def module_of(path):
    """Return the module's name inside the package, such as ``reference.attention``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Yield the full name of everything a file imports, wherever in it."""
    yield from imports_of(path.read_text(encoding="utf-8"))


def imports_of(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level
            elif node.module == "companion":
                yield from (f"companion.{alias.name}" for alias in node.names)
            else:
                yield node.module


def forbidden(module, imported):
    """Say whether the design forbids `module` to import something."""
    top, _, inner = imported.partition(".")
    part = module.partition(".")[0]
    if top in STANDARD:
        return False
    if part == "reference":
        return top != "numpy" and not imported.startswith("companion.reference")
    if part == "notebook":
        ours = ("companion.notebook", "companion.device")
        return top not in NOTEBOOK and not imported.startswith(ours)
    if part == "_setting_up":  # nothing imports it
        return False
    if top == "companion":
        target = inner.split(".")[0]
        if target.startswith("_"):  # what all modules share
            return False
        if part not in ORDER:
            return module != ""
        # A concept may be a folder of modules; those import one another.
        return target not in [*ORDER[: ORDER.index(part)], part]
    return top not in {"torch", "numpy"} | SHAPES | BESIDES.get(part, set())


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=module_of)
def test_a_module_imports_only_what_comes_before_it(path):
    module = module_of(path).removesuffix("__init__")
    assert [name for name in imports(path) if forbidden(module, name)] == []


@pytest.mark.parametrize(
    ("module", "imported", "wrong"),
    [
        ("attention", "companion.layers", False),
        ("layers", "companion.attention", True),
        ("layers", "companion._tensors", False),
        ("attention", "companion.notebook", True),
        ("attention", "companion.reference.attention", True),
        ("attention", "matplotlib.pyplot", True),
        ("attention", "torch.nn", False),
        ("attention", ".", True),
        ("reference.attention", "torch", True),
        ("reference.attention", "companion.attention", True),
        ("reference.attention", "companion.reference.activations", False),
        ("notebook.widgets", "companion.attention", True),
        ("notebook.widgets", "ipywidgets", False),
        ("models.bert", "companion.models.loading", False),
    ],
)
def test_the_rule_for_imports(module, imported, wrong):
    assert forbidden(module, imported) is wrong


@pytest.mark.chapter
def test_every_module_is_taught_in_one_chapter():
    found = [path for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"]
    names = {path.stem for path in found if not path.name.startswith("_")}
    untaught = names - {*ORDER, "reference", "notebook"}
    assert untaught == set(), 'no chapter names it in its metadata: "companion": {"modules": ...}'
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.chapter
def test_what_chapters_say_that_they_teach_is_there():
    for chapter in contents.chapters():
        for module in chapter_modules.of(chapter):
            path = PACKAGE / module.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").is_file(), f"{chapter.name}: {module}"


# -- documentation -------------------------------------------------------------------------------


def modules():
    found = pkgutil.walk_packages(companion.__path__, "companion.")
    return [importlib.import_module(info.name) for info in found]


def public():
    """Yield each public function and class where it is defined, and the classes' methods."""
    for module in modules():
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(thing):
                yield f"{module.__name__}.{name}", thing
            elif inspect.isclass(thing):
                yield f"{module.__name__}.{name}", thing
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{module.__name__}.{name}.{method}", function


PUBLIC = dict(public())


# Twins say their formula in one line. The others are the inside of a command, of a grammar, of an
# engine that a chapter builds line by line: each function does what its one sentence says.
IN_ONE_LINE = (
    *("companion.reference.", "companion.autograd."),
    *("companion.tinyworld.", "companion.tokenizers.merges.", "companion.notebook.measured."),
)


def exported():
    """Yield the functions that modules name in ``__all__``, with their own parameters."""
    for name, thing in PUBLIC.items():
        module = sys.modules[thing.__module__]
        listed = inspect.isfunction(thing) and thing.__name__ in getattr(module, "__all__", ())
        if listed and not name.startswith(IN_ONE_LINE):
            yield name


def section(doc, title):
    match = re.search(rf"^{title}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", doc, re.DOTALL | re.MULTILINE)
    return match[1] if match else ""


def undocumented(function):
    """Return what a function's docstring leaves out; that there is one, ruff demands."""
    doc, function = inspect.getdoc(function), inspect.unwrap(function)
    described = section(doc, "Parameters")
    names = inspect.signature(function).parameters
    left_out = [n for n in names if not re.search(rf"(^|, |\*){n}\b", described, re.MULTILINE)]
    if function.__annotations__.get("return") not in (None, "None", type(None)):
        left_out += [] if section(doc, "Returns") or section(doc, "Yields") else ["Returns"]
    if re.search(r"^\s+raise (Value|Type)Error", inspect.getsource(function), re.MULTILINE):
        left_out += [] if section(doc, "Raises") else ["Raises"]
    return left_out


def test_functions_document_parameters_results_and_errors():
    functions = {name: PUBLIC[name] for name in exported()}
    assert len(functions) > 50
    found = {name: undocumented(function) for name, function in functions.items()}
    assert {name: left_out for name, left_out in found.items() if left_out} == {}


def test_what_a_docstring_leaves_out_is_found():
    def half(x: int, y: int) -> int:
        """Return half of x.

        Parameters
        ----------
        x : int
            A number.
        """
        if y:
            raise ValueError("y must be 0")
        return x // 2

    assert undocumented(half) == ["y", "Returns", "Raises"]


def test_docstrings_with_math_are_raw():
    """Otherwise a tab or a line feed stands where a command was meant."""
    for name, thing in PUBLIC.items():
        assert not re.search(r"[\t\f\v\b\r\a]", thing.__doc__ or ""), name


# What randomness is called, by the generator that a function takes.
CHANCE = {torch.Generator: "generator", np.random.Generator: "rng", random.Random: "rng"}
OTHER_WORDS = {"gen", "random", "random_state", "prng", "key"}


def parameters():
    """Yield every public function and class with its parameters, those of generators too."""
    for name, thing in PUBLIC.items():
        error = inspect.isclass(thing) and issubclass(thing, BaseException)
        if not error:
            yield name, inspect.signature(inspect.unwrap(thing)).parameters.values()


def misnamed(parameter):
    """Say whether a source of randomness is called otherwise than elsewhere in the package."""
    kinds = [parameter.annotation, *typing.get_args(parameter.annotation)]
    words = {word for kind, word in CHANCE.items() if kind in kinds}
    if not words:  # a whole number is a seed, a generator says what it is
        return parameter.name in {*CHANCE.values(), *OTHER_WORDS}
    return {parameter.name} != words


def test_there_is_one_word_for_randomness():
    found = {name: [p for p in ps if misnamed(p)] for name, ps in parameters()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    named = [p.name for _, ps in parameters() for p in ps]
    assert all(named.count(word) > 2 for word in ("generator", "rng", "seed"))


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        ("generator", torch.Generator, False),
        ("generator", torch.Generator | None, False),
        ("rng", torch.Generator, True),
        ("rng", np.random.Generator | None, False),
        ("rng", random.Random, False),
        ("generator", random.Random, True),
        ("rng", int, True),
        ("seed", int, False),
        ("random_state", int, True),
    ],
)
def test_how_a_misnamed_source_of_randomness_is_found(name, kind, wrong):
    keyword = inspect.Parameter.KEYWORD_ONLY
    assert misnamed(inspect.Parameter(name, keyword, annotation=kind)) is wrong
