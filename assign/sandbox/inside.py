"""What runs inside of the container: a notebook's cells, and otter's tests on what they define."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from IPython.core.interactiveshell import InteractiveShell
from otter.test_files.exception_test import ExceptionTestFile
from traitlets.config import Config

__all__ = ["Report", "run", "reporter", "told", "main"]

Report = Callable[[dict[str, Any]], None]


def run(job: dict[str, Any], report: Report) -> None:
    """Take the steps of a job, and report before and after each.

    Parameters
    ----------
    job : dict
        ``steps``, each with a ``number`` and either the ``source`` of a cell or the name of a
        ``test`` and the number of its ``case``; and ``tests``, the source of each test file.
    report : callable
        Gets ``{"begin": number}``, and then ``{"end": number}`` with what came of the step.
    """
    shell = _shell()
    files = {
        name: ExceptionTestFile.from_string(source, path=f"tests/{name}.py")
        for name, source in job["tests"].items()
    }
    for step in job["steps"]:
        report({"begin": step["number"]})
        if "test" in step:
            came = _check(files[step["test"]], step["case"], shell.user_ns)
        else:
            came = _cell(shell, step["source"])
        report({"end": step["number"], **came})


def _shell() -> InteractiveShell:
    """Return IPython's shell, without a history and with figures drawn for nobody."""
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    register: Any = shell.register_magic_function
    register(lambda *_: None, "line", "matplotlib")
    return shell


def _cell(shell: InteractiveShell, source: str) -> dict[str, Any]:
    """Run a cell; say what went wrong."""
    result = shell.run_cell(source, store_history=False)
    error = result.error_before_exec or result.error_in_exec
    return {"error": f"{type(error).__name__}: {_text(error)}" if error else ""}


def _check(tests: ExceptionTestFile, case: int, names: dict[str, Any]) -> dict[str, Any]:
    """Run one test case as otter does, whatever the notebook has changed before."""
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    np.seterr(divide="warn", over="warn", under="ignore", invalid="warn")
    cases, tests.test_cases = tests.test_cases, [tests.test_cases[case]]
    try:
        tests.run(names)
    except BaseException as error:  # otter lets an interrupt through
        return {"passed": False, "message": f"The answer ended with {type(error).__name__}."}
    finally:
        tests.test_cases = cases
    (result,) = tests.test_case_results
    return {"passed": result.passed, "message": "" if result.passed else told(result.message)}


def told(message: str | None) -> str:
    """Return the part of otter's message that is meant for the student.

    The lines before it quote the test's source, which must not be seen.
    """
    _, found, text = (message or "").partition("\nAssertionError: ")
    if found:
        return text.strip()[:1000]
    last = (message or "").strip().splitlines()[-1:] or [""]
    return f"The check could not be carried out ({last[0].partition(':')[0][:80]})."


def _text(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:200]
    except Exception:  # its author wrote a __str__ that fails
        return ""


# -- the process ---------------------------------------------------------------------------------


def reporter(writer: int) -> Report:
    """Return a function that writes a line of JSON to a file that no other process has."""

    def report(message: dict[str, Any]) -> None:
        rest = json.dumps(message).encode() + b"\n"
        while rest:
            rest = rest[os.write(writer, rest) :]

    return report


def alone(writer: int) -> Report:
    """Let nobody listen to what is printed, close all other files, and return a reporter."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    ours = os.dup(writer)
    for standard in range(3):
        os.dup2(nowhere, standard)
    os.dup2(ours, 3, inheritable=False)
    os.closerange(4, 65536)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    sys.stdin = os.fdopen(0, closefd=False)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    return reporter(3)


def main() -> None:
    """Take a job from standard input, and report on standard output.

    The job runs in a child: the first process of a container is spared by most signals, and how
    another ends can be told.
    """
    job = json.load(sys.stdin)
    child = os.fork()
    if not child:
        run(job, alone(1))
        os._exit(0)
    reporter(1)({"status": os.waitpid(child, 0)[1]})


if __name__ == "__main__":
    main()
