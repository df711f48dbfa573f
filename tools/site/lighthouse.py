"""Measure the built pages with Lighthouse, as on a phone: ``python -m tools.site.lighthouse``.

Lighthouse comes from npm and is installed when this is first run. Each page is measured several
times, and of each score the median counts, because the machine's other work gets into every run.
The results go to ``benchmarks/results/lighthouse.json``; a score under the limit is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from datetime import date
from pathlib import Path

from tools.book import contents
from tools.pages import assets, chromium, editions
from tools.site import whole_site

RESULT = contents.ROOT / "benchmarks" / "results" / "lighthouse.json"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
LIMIT = 95
# Measured beside the scores: what they are made of, in milliseconds, shares and bytes.
AUDITS = {
    "first_contentful_paint_ms": "first-contentful-paint",
    "largest_contentful_paint_ms": "largest-contentful-paint",
    "total_blocking_time_ms": "total-blocking-time",
    "cumulative_layout_shift": "cumulative-layout-shift",
    "bytes": "total-byte-weight",
}


def pages() -> list[str]:
    """Return the pages that are measured: of each edition the landing page and the chapters."""
    names = ["index", *(page for chapter in contents.chapters() for page in chapter.pages)]
    return [f"{edition.folder}/{name}.html" for edition in editions.EDITIONS for name in names]


def measure(url: str, browser: str) -> dict:
    """Run Lighthouse once on a page, with its settings for phones; return its report."""
    program = assets.ensure(folder="web/lighthouse") / "lighthouse" / "cli" / "index.js"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(assets.node_binary()), str(program), url, "--output=json", "--quiet"]
        command += [f"--output-path={report}", f"--chrome-flags={' '.join(chromium.FLAGS)}"]
        command += [f"--only-categories={','.join(CATEGORIES)}"]
        environment = os.environ | {"CHROME_PATH": browser}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Lighthouse failed on {url}:\n{done.stderr}")
        return json.loads(report.read_text(encoding="utf-8"))


def scores(report: dict) -> dict[str, float]:
    """Return the four scores, out of 100."""
    return {name: round(100 * report["categories"][name]["score"]) for name in CATEGORIES}


def lost(report: dict) -> list[str]:
    """Return the audits that cost the page something, for whoever wants to mend it."""
    wanted = {
        audit["id"]
        for category in report["categories"].values()
        for audit in category["auditRefs"]
        if audit["weight"] > 0
    }
    audits = [report["audits"][name] for name in sorted(wanted)]
    return [f"{a['id']}: {a['score']}" for a in audits if a["score"] not in (None, 1)]


def summary(reports: list[dict]) -> dict:
    """Return a page's medians."""
    each = [scores(report) for report in reports]
    found: dict = {"runs": len(reports)}
    found |= {name: statistics.median(s[name] for s in each) for name in CATEGORIES}
    for name, audit in AUDITS.items():
        values = [report["audits"][audit]["numericValue"] for report in reports]
        found[name] = round(statistics.median(values), 3 if "shift" in name else 0)
    return found


def run(names: list[str], repeats: int) -> dict[str, dict]:
    """Serve the site, measure pages of it and say what came of each."""
    server = whole_site.make_server(contents.ROOT / "_build" / "html")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser, results = chromium.find(), {}
    try:
        for name in names:
            url = f"http://localhost:{server.server_address[1]}/{name}"
            reports = [measure(url, browser) for _ in range(repeats)]
            results[name] = summary(reports)
            print(name, *(f"{c} {results[name][c]:g}" for c in CATEGORIES), sep="  ", flush=True)
            for audit in lost(reports[0]):
                print(f"    {audit}")
    finally:
        server.shutdown()
        server.server_close()
    return results


def record(results: dict[str, dict], version: str) -> None:
    """Keep the results, with what they were measured by; pages not measured keep what they had."""
    before = json.loads(RESULT.read_text(encoding="utf-8"))["pages"] if RESULT.exists() else {}
    known = before | results
    content = {
        "command": "make lighthouse",
        "date": date.today().isoformat(),
        "lighthouse": version,
        "machine": f"{os.cpu_count()} CPU cores, {platform.system()}",
        "settings": "mobile, simulated throttling, of each page the median of its runs",
        "pages": {name: known[name] for name in pages() if name in known},
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def installed_version() -> str:
    """Return the version of Lighthouse."""
    package = assets.ensure(folder="web/lighthouse") / "lighthouse" / "package.json"
    return json.loads(package.read_text(encoding="utf-8"))["version"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.site.lighthouse", description=__doc__)
    parser.add_argument("page", nargs="*", help="for example en/index.html; default: all")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    results = run(options.page or pages(), options.repeats)
    record(results, installed_version())
    low = {
        (name, category): found[category]
        for name, found in results.items()
        for category in CATEGORIES
        if found[category] < LIMIT
    }
    for (name, category), score in low.items():
        print(f"{name}: {category} is {score:g}, under {LIMIT}", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
