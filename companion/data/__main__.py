"""``python -m companion.data list|fetch|verify``: what data there is, and where."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from companion.data import fetching, registry
from companion.data.fetching import Unavailable, fetch
from companion.data.registry import File, Source

WIDTH = 23  # of the column of names
FEW = 10  # files that are named one by one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all is well, 1 if something asked for is not."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.command == "fetch" and chosen.all == bool(chosen.names):
        parser.error("fetch needs names of sets, or --all")
    try:
        named = [registry.source(name) for name in chosen.names]
    except ValueError as error:
        parser.error(str(error))
    sets = named or [registry.source(name) for name in registry.names()]
    if chosen.command == "verify":
        return max(_verify(each, required=bool(named)) for each in sets)
    return max((_fetch if chosen.command == "fetch" else _list)(each) for each in sets)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m companion.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, does in (
        ("list", "say what sets are: rows, size, licence, where they are"),
        ("fetch", "download sets into the cache, where they are not here yet"),
        ("verify", "check the SHA-256 of every file that is here"),
    ):
        added = commands.add_parser(command, help=does, description=does)
        added.add_argument("names", nargs="*", metavar="NAME", help="a data set, such as sst2")
        if command == "fetch":
            added.add_argument("--all", action="store_true", help="all data sets")
    return parser


# -- list ----------------------------------------------------------------------------------------


def _list(wanted: Source) -> int:
    rows = ", ".join(f"{split} {n:,}" for split, n in wanted.rows.items())
    size = f"{wanted.bytes / 1e6:.1f} MB" if wanted.files else ""
    print(f"{wanted.name:{WIDTH}}{size:10}{_where(wanted)}")
    for line in (
        f"{wanted.title}: {wanted.about}",
        f"{rows} (a row: {wanted.row})",
        f"licence: {wanted.licence}",
    ):
        print(f"{'':{WIDTH}}{line}")
    return 0


def _where(wanted: Source) -> str:
    """Say in a few words where a set is."""
    if not wanted.files:
        return "with scikit-learn"
    states = {_state(wanted, file)[0] for file in wanted.files}
    if states == {"missing"}:
        return "not here"
    return (
        "here" if states == {"ok"} else f"incomplete: python -m companion.data verify {wanted.name}"
    )


def _state(wanted: Source, file: File) -> tuple[str, str]:
    """Return "ok", "missing" or "damaged", and the path or what is wrong."""
    try:
        path = fetching.locate(wanted, file)
    except ValueError as error:
        return "damaged", str(error)
    kept = fetching.cache_folder() / wanted.name / file.name
    if path is None and kept.is_file():
        return "damaged", f"{kept}: the next fetch replaces it"
    return ("missing", file.addresses[0]) if path is None else ("ok", str(path))


# -- fetch and verify ----------------------------------------------------------------------------


def _fetch(wanted: Source) -> int:
    try:
        paths = fetch(wanted.name)
    except (Unavailable, ValueError) as error:
        print(f"{wanted.name}: {error}", file=sys.stderr)
        return 1
    folders = sorted({str(path.parent) for path in paths.values()})
    print(f"{wanted.name:{WIDTH}}{', '.join(folders) or 'with scikit-learn'}")
    return 0


def _verify(wanted: Source, required: bool) -> int:
    """Say of each file how it is. What is missing is wrong only where the set was asked for."""
    states = [(file.name, *_state(wanted, file)) for file in wanted.files]
    for name, state, detail in states:
        if len(states) <= FEW or state == "damaged":
            print(f"{wanted.name + '/' + name:{WIDTH}} {state:8} {detail}")
    if len(states) > FEW:
        counts = Counter(state for _, state, _ in states)
        said = [f"{counts[state]} files {state}" for state in sorted(counts, reverse=True)]
        print(f"{wanted.name:{WIDTH}} {', '.join(said)}")
    if not states:
        print(f"{wanted.name:{WIDTH}} {'ok':8} with scikit-learn")
    bad = {"damaged", "missing"} if required else {"damaged"}
    return int(any(state in bad for _, state, _ in states))


if __name__ == "__main__":
    sys.exit(main())
