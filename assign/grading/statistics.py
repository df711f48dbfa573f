"""What to teach again: how many failed each check, as a table and as a plot."""

from __future__ import annotations

import csv
import io
import textwrap
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["counted", "as_table", "hardest", "plot"]

Count = dict[str, Any]
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "SimHei")


def counted(records: Iterable[dict[str, Any]]) -> list[Count]:
    """Return for each check how many passed and failed, of those who handed something in."""
    found: dict[str, Count] = {}
    for made in records:
        for question in made["questions"]:
            for check in question["checks"]:
                count = found.setdefault(
                    check["name"],
                    {
                        "question": question["name"],
                        "exercise": question["exercise"],
                        "check": check["what"].rstrip("."),
                        "failed": 0,
                        "of": 0,
                    },
                )
                count["failed"] += not check["passed"]
                count["of"] += 1
    return list(found.values())


def as_table(counts: list[Count]) -> str:
    """Return the counts as CSV, with the share that failed."""
    text = io.StringIO("\ufeff", newline="")
    text.seek(0, io.SEEK_END)
    columns = ["question", "exercise", "check", "failed", "of", "share"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({**c, "share": f"{c['failed'] / c['of']:.2f}"} for c in counts)
    return text.getvalue()


def hardest(counts: list[Count], number: int = 3) -> list[str]:
    """Return in words what most students failed."""
    failed = sorted((c for c in counts if c["failed"]), key=lambda c: -c["failed"] / c["of"])
    return [
        f"{c['failed']} of {c['of']} failed in {c['question']}: {c['check']}"
        for c in failed[:number]
    ]


def plot(counts: list[Count], path: Path) -> None:
    """Draw a bar for each check, the share that failed."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import font_manager
    from matplotlib import pyplot as plt

    there = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [name for name in FONTS if name in there]
    with mpl.rc_context({"font.family": fonts, "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever opens the file has the letters that miss here
        figure, axes = plt.subplots(figsize=(9, 1 + 0.45 * len(counts)), layout="constrained")
        labels = [f"{c['question']}  {textwrap.shorten(c['check'], 60)}" for c in counts]
        shares = [100 * c["failed"] / c["of"] for c in counts]
        bars = axes.barh(range(len(counts)), shares, color="#b5651d")
        axes.bar_label(bars, [f"{c['failed']} of {c['of']}" for c in counts], padding=4)
        axes.set_yticks(range(len(counts)), labels)
        axes.set(xlim=(0, 115), xlabel="failed, in %", title="What to teach again")
        axes.invert_yaxis()
        figure.savefig(path)
        plt.close(figure)
