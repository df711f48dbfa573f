"""companion.notebook.hardware: what a chapter runs on, said only where it does not matter."""

import pytest
import torch

from companion import device
from companion.notebook import hardware


@pytest.mark.verifies("hardware", "by hand, feigned hardware")
@pytest.mark.parametrize(("where", "size"), [("cpu", "small"), ("cuda", "large"), ("mps", "large")])
def test_it_names_the_machine_and_the_sizes_there(monkeypatch, capsys, where, size):
    monkeypatch.setattr(device, "pick_device", lambda: torch.device(where))
    monkeypatch.setattr(device, "describe_device", lambda found: f"a {found.type}")
    hardware(cpu="small", gpu="large")
    assert capsys.readouterr().out == f"This runs on: a {where}\nIt trains with: {size}\n"
    hardware()
    assert capsys.readouterr().out == f"This runs on: a {where}\n"


def test_nothing_is_said_while_chapters_are_run_for_keeps(monkeypatch, capsys):
    monkeypatch.setenv("COMPANION_QUIET", "1")
    hardware(cpu="small", gpu="large")
    assert capsys.readouterr().out == ""
