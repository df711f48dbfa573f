r"""``python -m companion.training``: trains a language model that a JSON file describes.

This file adds: `main`. A first word that is no option names another command.
"""

import argparse
import dataclasses
import importlib
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from companion.training.batches import WindowBatches
from companion.training.checkpoints import latest
from companion.training.history import History, _write_whole
from companion.training.loop import train
from companion.training.memory import OutOfMemory
from companion.training.preparing import Corpus, build, corpus, held_out_batches
from companion.training.processes import ProcessError, from_first, together, world
from companion.training.recipe import MODELS, SECTIONS, Recipe, known_sizes
from companion.training.starting import process_group

__all__ = ["main"]

# Modules with a function `main` of the arguments that follow, by the word that names them.
COMMANDS = {"speedrun": "companion.training.speedrun.console"}
# A GPT of 0.2 million weights: half a minute on one core of a CPU.
EXAMPLE = {
    "data": {"source": "tinyworld", "stories": 5000, "length": 64, "batch_size": 32},
    "tokenizer": {"kind": "words"},
    "model": {"name": "GPT", "d_model": 64, "n_layers": 4, "n_heads": 4, "dropout": 0.0},
    "train": {
        "steps": 300,
        "lr": 3e-3,
        "warmup": 10,
        "evaluate_every": 100,
        "checkpoint_every": 100,
        "folder": "run",
    },
}
DESCRIPTION = """Train a language model that a JSON file describes. The same command again goes on
from the newest checkpoint; Ctrl-C stops after the step at hand, and writes one. In several
processes: torchrun --nproc-per-node=2 -m companion.training --config run.json. And
"python -m companion.training speedrun --help" tells of a race on one core."""
FAILURES = (ValueError, TypeError, OSError, OutOfMemory, FloatingPointError, ProcessError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all is well, 1 if training fails, 2 if it is called wrongly.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the command line.

    Returns
    -------
    int
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return int(importlib.import_module(COMMANDS[given[0]]).main(given[1:]) or 0)
    parser = _parser()
    chosen = parser.parse_args(given)
    if chosen.example:
        print(json.dumps(EXAMPLE, indent=1))
        return 0
    if chosen.config is None:
        parser.error("say what to train: --config run.json, or --example, which prints such a file")
    try:
        recipe = _recipe(Path(chosen.config), chosen.set)
    except (ValueError, TypeError, OSError) as error:
        return _say(f"{chosen.config}: {error}", 2)
    try:
        with process_group(recipe.train.device):
            return _train(recipe)
    except FAILURES as error:
        return _say(str(error), 1, own=isinstance(error, (OSError, OutOfMemory)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m companion.training",
        description=DESCRIPTION,
        epilog=_fields(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", help="the JSON file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="another value than the file's, such as --set train.steps=100; may come repeatedly",
    )
    parser.add_argument(
        "--example", action="store_true", help="print a file that works as it is, and do no more"
    )
    return parser


def _fields() -> str:
    """Return the sections of the file, with all of their fields."""
    lines = ["sections of the file, with their fields and what these are by default:", ""]
    for section in dataclasses.fields(Recipe):
        fields = dataclasses.fields(section.type)  # type: ignore[arg-type]
        said = [f"{each.name} {_default(each)}" for each in fields if each.name != "sizes"]
        lines.append(_wrapped(f"{section.name}: {', '.join(said)}"))
    for name in MODELS:
        lines.append(_wrapped(f"model, of a {name}: {', '.join(known_sizes(name))}"))
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 98, initial_indent="  ", subsequent_indent="    ")


def _default(each: dataclasses.Field[Any]) -> str:
    return "(needed)" if each.default is dataclasses.MISSING else json.dumps(each.default)


def _say(complaint: str, code: int, own: bool = False) -> int:
    """Say what is wrong, once if all processes say it; return the code."""
    if own or os.environ.get("RANK", "0") == "0":
        print(f"python -m companion.training: error: {complaint}", file=sys.stderr)
    return code


# -- the run -------------------------------------------------------------------------------------


def _recipe(path: Path, changes: Sequence[str]) -> Recipe:
    """Read the file; a run has a folder of its own, by default beside it and of its name."""
    recipe = Recipe.from_json(path.read_text(encoding="utf-8"), changes)
    if recipe.train.folder is not None:
        return recipe
    train_settings = dataclasses.replace(recipe.train, folder=str(path.with_suffix("")))
    return dataclasses.replace(recipe, train=train_settings)


def _train(recipe: Recipe) -> int:
    folder = Path(str(recipe.train.folder))
    text = from_first(lambda: _begun(recipe, folder))
    history = train(
        build(recipe, text.tokenizer.vocab_size),
        WindowBatches(
            text.train, recipe.data.batch_size, recipe.data.length, seed=recipe.data.seed
        ),
        recipe.train,
        held_out=held_out_batches(text, recipe.data),
        floor=text.floor,
    )
    with together():
        if world().rank == 0:
            history.save(folder / "history.json")
            _report(history, text, folder, recipe, sys.stdout)
    return 0


def _begun(recipe: Recipe, folder: Path) -> Corpus:
    """Make the corpus, and write the whole recipe into the folder, if it is not another run's."""
    _require_same_recipe(recipe, folder)
    text = corpus(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    _write_whole(folder / "config.json", recipe.to_json() + "\n")
    return text


def _require_same_recipe(recipe: Recipe, folder: Path) -> None:
    """Refuse to go on with other data or another model; `train` looks at its settings itself."""
    path = folder / "config.json"
    if not (path.exists() and any(folder.glob("step-*.pt"))):
        return
    old, new = (json.loads(text) for text in (path.read_text(encoding="utf-8"), recipe.to_json()))
    differ = [
        f"{section}.{name} {old[section].get(name)!r} there and {new[section].get(name)!r} here"
        for section in SECTIONS[:-1]
        for name in {**old[section], **new[section]}
        if old[section].get(name) != new[section].get(name)
    ]
    if differ:
        raise ValueError(
            f"the checkpoint in {folder} is of a run with other settings: {', '.join(differ)}. "
            "Take those, or another folder"
        )


def _report(history: History, text: Corpus, folder: Path, recipe: Recipe, out: TextIO) -> None:
    """Say how it went, and where everything is."""
    last = history[-1]
    print(f"{len(history)} of {recipe.train.steps} steps, {last['tokens']:,} tokens", file=out)
    print(f"loss {last['loss']:.4f} nats a token", file=out)
    if history.best is not None:
        floor = "" if text.floor is None else f" (no model can expect less than {text.floor:.4f})"
        print(f"held out {history.best['held_out']:.4f} at best{floor}", file=out)
    written = ["config.json", "history.json"]
    newest = latest(folder)
    if newest is not None:
        written = [newest.name, *written]
    print(f"{folder}: {', '.join(written)}", file=out)
    if history.stopped:
        print("stopped; the same command goes on from here", file=out)
