"""A conversation with a kernel, as a notebook's page has it: run code, move a slider, look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from tests.notebooks.conftest import clean_environment

VIEW = "application/vnd.jupyter.widget-view+json"
Message = dict[str, Any]


class Talk:
    """A kernel that runs in a folder, with these environment variables besides."""

    def __init__(self, manager: KernelManager, folder: Path, **variables: str) -> None:
        self.manager, self.folder, self.variables = manager, folder, variables

    def __enter__(self) -> Talk:
        environment = clean_environment(**self.variables)
        self.manager.start_kernel(cwd=str(self.folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str) -> list[Message]:
        """Run a cell."""
        return self.ask("execute_request", {"code": code, "silent": False})

    def move(self, control: str, index: int) -> list[Message]:
        """Move a slider to a place, or press one of several buttons."""
        data = {"method": "update", "state": {"index": index}, "buffer_paths": []}
        return self.ask("comm_msg", {"comm_id": control, "data": data})

    def ask(self, kind: str, content: dict[str, Any]) -> list[Message]:
        """Send a message; return all that the kernel says until it is idle again."""
        message = self.client.session.msg(kind, content)
        self.client.shell_channel.send(message)
        answers = []
        while True:
            answer = self.client.get_iopub_msg(timeout=120)
            if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            answers.append(answer)
            if answer["content"].get("execution_state") == "idle":
                return answers


def streams(messages: list[Message]) -> str:
    """Return what was printed."""
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")


def pictures(messages: list[Message]) -> list[str]:
    """Return the pictures shown, but for one that stands in where there are no widgets."""
    shown = [m["content"]["data"] for m in messages if m["msg_type"] == "display_data"]
    return [
        data["text/html"]
        for data in shown
        if "<img" in data.get("text/html", "") and VIEW not in data
    ]


def errors(messages: list[Message]) -> list[str]:
    """Return what was said of each error that was shown."""
    return [
        f"{m['content']['ename']}: {m['content']['evalue']}"
        for m in messages
        if m["msg_type"] == "error"
    ]


def controls(messages: list[Message]) -> list[str]:
    """Return the names by which messages reach each control."""
    opened = [m["content"] for m in messages if m["msg_type"] == "comm_open"]
    kinds = ("SelectionSliderModel", "ToggleButtonsModel")
    return [
        content["comm_id"]
        for content in opened
        if content["data"]["state"].get("_model_name") in kinds
    ]
