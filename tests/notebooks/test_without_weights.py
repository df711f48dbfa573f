"""A part on real weights runs to its end, and says so in one sentence, where there are none."""

import matplotlib.pyplot as plt
import pytest

from companion import models
from tools.book import contents, notebooks
from tools.book.notebooks import tags

PATH = contents.ROOT / "chapters" / "model-families" / "weights.ipynb"


@pytest.mark.chapter("model-families")
def test_real_weights_may_be_out_of_reach(monkeypatch, capsys):
    def refuse(*_names):
        raise FileNotFoundError("no network here")

    monkeypatch.setattr(models, "load_pretrained", refuse)
    names = {"__name__": "__main__"}
    for cell in notebooks.read(PATH).cells:
        if cell.cell_type == "code" and "setup" not in tags(cell):
            exec(compile(cell.source, cell.id, "exec"), names)
            plt.close("all")
    said = capsys.readouterr()
    assert said.out.startswith("No weights of SmolLM2 are to be had: random ones stand in")
    assert "no network here" not in said.out + said.err
    assert not names["real"]
