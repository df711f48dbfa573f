"""companion.notebook.play: a whole game by the buttons, in Jupyter and where none can run."""

import pytest

from companion.alignment.games import TicTacToe
from companion.notebook import board, play


def first_free(position, _rng):
    return position.moves[0]


def click(shown, *fields):
    for field in fields:
        shown.fields[field].click()
    return "".join(field.description.replace(" ", ".") for field in shown.fields)


def test_a_game_that_the_reader_wins():
    shown = board._Board(TicTacToe(), first_free)
    assert shown.says.value == "Your turn. You set X."
    assert click(shown, 4) == "O...X...."
    assert click(shown, 0) == "O...X...."  # that field is taken
    assert click(shown, 2, 6) == "OOX.X.X.."
    assert shown.says.value == "You have won."
    assert click(shown, 8) == "OOX.X.X.."  # the game is over


def test_games_that_the_player_wins_or_nobody():
    shown = board._Board(TicTacToe(), first_free)
    assert click(shown, 8, 7, 3) == "OOOX...XX"
    assert shown.says.value == "The player has won."
    shown.starts[1].click()
    assert (click(shown), shown.says.value) == ("X........", "Your turn. You set O.")
    shown.starts[0].click()
    assert (click(shown), shown.says.value) == (".........", "Your turn. You set X.")


def test_a_draw():
    replies = iter([4, 1, 6, 5])
    shown = board._Board(TicTacToe(), lambda *_: next(replies))
    assert click(shown, 0, 8, 7, 2) == "XOX.OOOXX"
    assert click(shown, 3) == "XOXXOOOXX"
    assert shown.says.value == "The game is a draw."


def test_what_stands_where_nothing_runs(monkeypatch):
    shown = board._Board(TicTacToe(), first_free)
    assert set(shown._repr_mimebundle_()) == {"text/plain", board.VIEW}
    monkeypatch.setenv("COMPANION_WIDGETS", "stored")
    assert shown._repr_mimebundle_() == {"text/plain": board.STILL}


def test_games_in_which_the_reader_comes_second():
    shown = board._Board(TicTacToe(), first_free)
    for fields, stones, says in (
        ((8, 7), "XXX....OO", "The player has won."),
        ((4, 2, 6), "XXOXO.O..", "You have won."),
    ):
        shown.starts[1].click()
        assert (click(shown, *fields), shown.says.value) == (stones, says)


def test_what_is_refused():
    with pytest.raises(TypeError, match="player must be a function of a position and rng, got 3"):
        play(TicTacToe(), 3)
    for start in (3, TicTacToe, first_free):
        with pytest.raises(TypeError, match="start must have moves, outcome and after"):
            play(start, first_free)
