"""Tic-tac-toe in the page: its replies are those of a player who never loses, and it plays them."""

from __future__ import annotations

import base64
import json
import re

import pytest
from docutils import nodes

from companion.alignment.games import SearchPlayer, TicTacToe, best_moves
from tests.site import small_books
from tests.site.conftest import EDITIONS, ROOT
from tools.book import phrases
from tools.models import board
from tools.models import board_directive as extension
from tools.pages import editions

pytestmark = pytest.mark.chapter("alignment")
PAGE = "chapters/alignment/rewards.html"


# -- the replies ---------------------------------------------------------------------------------


def test_each_position_has_a_place_and_a_reply():
    positions = board.undecided()
    assert len(positions) == 4520
    assert len(set(map(board.place, positions))) == 4520
    assert board.place(TicTacToe().after(2)) == 2 * 3**2
    assert all(board.reply(position) in position.moves for position in positions)
    (replies,) = json.loads(board.FILE.read_text(encoding="utf-8")).values()
    assert len(replies) == 3**9
    assert len(replies) - replies.count(board.NONE) == 4520


def lost(position: TicTacToe, own: bool) -> int:
    """Count the games that the stored replies lose if the other player tries every move."""
    if position.outcome is not None:
        return int(own and position.outcome == -1)
    moves = [board.reply(position)] if own else position.moves
    return sum(lost(position.after(move), not own) for move in moves)


@pytest.mark.parametrize("own", [True, False], ids=["begins", "answers"])
def test_no_game_at_all_is_lost(own):
    assert lost(TicTacToe(), own) == 0


def test_what_is_written_is_what_the_player_says(tmp_path):
    class Last(SearchPlayer):
        def __call__(self, position, rng):
            return position.moves[-1]

    path = tmp_path / "replies.json"
    board.write(Last(lambda position: None, 1), path)
    assert board.reply(TicTacToe(), path) == 8
    assert board.reply(TicTacToe().after(8), path) == 7


def test_a_wrong_move_is_punished():
    """After a corner only the middle holds the draw, for the stored replies too."""
    assert board.reply(TicTacToe().after(0)) in best_moves(TicTacToe().after(0)) == [4]


# -- where nothing runs --------------------------------------------------------------------------


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.folder)
def test_in_a_notebook_stands_a_drawing_with_the_address(edition):
    document = nodes.document(None, None)
    document += extension.tic_tac_toe()
    say = phrases.speaker(ROOT, edition.language)
    extension.hold_still(document, say, "https://a.b/c")
    picture, words = document.children
    assert words[-1]["refuri"] == words[-1].astext() == "https://a.b/c"
    drawing = base64.b64decode(re.search('base64,([^"]+)"', picture.astext())[1]).decode()
    assert re.findall(">([XO])<", drawing) == ["X", "O", "X"]
    assert ("board" in picture.astext()) == (edition.folder == "en")


@pytest.fixture
def small_book(tmp_path):
    """Return a book of two pages, on the second of which there is a board."""
    small_books.write_book(tmp_path, "A page whose only words are these.")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: game\n")
    (tmp_path / "game.md").write_text("# Game\n\n```{tic-tac-toe}\n```\n")
    return tmp_path


@pytest.mark.parametrize(("builder", "file"), [("printed", "book.html"), ("ebook", "pages.json")])
def test_on_paper_and_on_e_readers_it_is_a_picture(run_builder, small_book, builder, file):
    assert run_builder(builder, small_book) == 0
    made = editions.place(builder, small_book, editions.edition("en"))
    text = (made / file).read_text(encoding="utf-8")
    assert "A board of tic-tac-toe after three moves" in text
    assert "data-field" not in text


def test_what_a_page_with_a_board_loads_is_small():
    assert (ROOT / "web" / "js" / extension.SCRIPT).stat().st_size < 4000
    assert board.FILE.stat().st_size < 25_000


def test_only_a_page_with_a_board_loads_its_script(run_builder, small_book):
    assert run_builder("html", small_book) == 0
    made = editions.place("html", small_book, editions.edition("en"))
    pages = {
        name: (made / f"{name}.html").read_text(encoding="utf-8") for name in ("index", "game")
    }
    assert {name: extension.SCRIPT in page for name, page in pages.items()} == {
        "index": False,
        "game": True,
    }
    assert pages["game"].count("data-field=") == 9
    assert re.search(r'data-replies="[^"]*models/tic-tac-toe\.json\?v=\w{8}"', pages["game"])


# -- on the page ---------------------------------------------------------------------------------


def fields(visit):
    return visit.page.locator(".board [data-field]")


def stones(visit) -> str:
    return "".join(text or "." for text in fields(visit).all_text_contents())


def said(visit) -> str:
    return visit.page.locator(".board [role=status]").text_content()


def after_reply(visit, position: TicTacToe) -> TicTacToe:
    """Wait for the network's stone, and hold it against the stored reply."""
    if position.outcome is None:
        field = board.reply(position)
        visit.page.locator(f'.board [data-field="{field}"]:not(:empty)').wait_for(timeout=5000)
        position = position.after(field)
    assert stones(visit) == str(position).replace(" ", "").replace("\n", "")
    return position


@pytest.mark.browser
@pytest.mark.parametrize("edition", [each.folder for each in EDITIONS])
@pytest.mark.parametrize("begins", ["reader", "network"])
def test_a_game_with_the_keyboard(new_visit, edition, begins):
    visit = new_visit(f"{edition}/{PAGE}")
    visit.page.locator(f'.board [data-begin="{begins}"]').press("Enter")
    position = TicTacToe() if begins == "reader" else after_reply(visit, TicTacToe())
    while position.outcome is None:
        field = position.moves[0]
        fields(visit).nth(field).press("Enter")
        position = after_reply(visit, position.after(field))
    words = {"en": ("draw", "network has won"), "zh": ("平局", "网络赢了")}[edition]
    assert any(word in said(visit) for word in words)
    fields(visit).nth(4).press("ArrowRight")
    assert visit.page.evaluate("document.activeElement.dataset.field") == "5"
    visit.page.keyboard.press("ArrowRight")  # there is no field further right
    assert visit.page.evaluate("document.activeElement.dataset.field") == "5"
    assert visit.messages == []
    assert visit.strangers == []


@pytest.mark.browser
def test_a_reply_that_does_not_come_takes_the_move_back(new_visit):
    visit = new_visit(f"en/{PAGE}")
    visit.page.route("**/tic-tac-toe.json*", lambda route: route.abort())
    fields(visit).nth(0).press("Enter")
    visit.page.get_by_text("could not be loaded").wait_for(timeout=5000)
    assert stones(visit) == "." * 9
    visit.page.unroute("**/tic-tac-toe.json*")
    fields(visit).nth(0).press("Enter")
    after_reply(visit, TicTacToe().after(0))
