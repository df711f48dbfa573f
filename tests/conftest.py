"""What all tests share: no screen is drawn on, and nothing is skipped unseen."""

import os
import signal

import pytest

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("COMPANION_QUIET", "")

# A shell that starts a run in the background lets it ignore the stop button; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Shapes are checked on every call, the largest error of each comparison is recorded, and slow
# tests are left out unless they are asked for.
pytest_plugins = ["tests.plugins.shapes", "tests.verification", "tests.plugins.running"]
# A run may be about one chapter.
pytest_plugins += ["tests.plugins.chapter"]

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Let a run fail in CI if a test was skipped, for want of a browser, say."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    """Say why a run without a failed test fails."""
    if IN_CI and terminalreporter.stats.get("skipped"):
        terminalreporter.section("skipped tests are failures in CI", red=True, bold=True)
