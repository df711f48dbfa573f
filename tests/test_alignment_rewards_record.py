"""What *Learning from rewards* quotes from its record is what the record says."""

import re

import numpy as np
import pytest

from benchmarks import alignment_rewards
from companion.alignment import games
from tests import recorded

pytestmark = pytest.mark.chapter("alignment")
PLAYERS = ("network alone", "25 simulations", "200 simulations")


def record():
    return recorded.record(alignment_rewards)


def text():
    return recorded.prose(alignment_rewards.CHAPTER)


def run(rounds):
    (found,) = [each for each in record()["runs"] if each["rounds"] == rounds]
    return found


def test_the_settings_are_those_of_the_chapter():
    settings = alignment_rewards.chapter_code()["Settings"]()
    assert record()["settings"] == vars(settings)
    assert len(record()["seeds"]) == 3
    assert "run with three seeds" in text()
    assert record()["games"]["losses"] == 1000
    assert (0, settings.rounds) == alignment_rewards.STAGES
    assert record()["simulations"] == 200


def test_the_table_is_the_record():
    rows = re.findall(r"^\| (.+?) \|(.+)\|$", text(), re.MULTILINE)
    assert [name for name, _ in rows] == ["player", *PLAYERS]
    assert [field.strip() for field in rows[0][1].split("|")] == ["new network", "24 rounds"]
    for name, fields in rows[1:]:
        kept = [run(rounds)[f"{name}: losses"] for rounds in alignment_rewards.STAGES]
        assert [field.strip() for field in fields.split("|")] == [
            recorded.spread(each, 1) for each in kept
        ]


def test_a_trained_player_that_searches_loses_no_game():
    assert run(24)["200 simulations: losses"]["values"] == [0.0] * 3
    assert run(24)["lines lost"]["values"] == [0.0] * 3
    assert "the trained players lose no line at all" in text()
    lines = run(0)["lines lost"]["values"]
    assert f"the same search lose {min(lines):.0f} to {max(lines):.0f} lines" in text()
    assert min(run(0)["200 simulations: losses"]["values"]) > 0
    assert "loses none of these games with any seed" in text()


def test_what_is_said_of_search():
    alone, few, many = ([run(n)[f"{name}: losses"] for n in (0, 24)] for name in PLAYERS)
    assert alone[0]["mean"] > few[0]["mean"] > many[0]["mean"]
    assert abs(alone[1]["mean"] - few[1]["mean"]) < min(alone[1]["sd"], few[1]["sd"])
    assert "no safer than the network alone" in text()
    best = run(24)["network alone: best"]
    assert f"{100 * best['mean']:.1f} %" in text()
    assert best["mean"] > run(0)["network alone: best"]["mean"] + 0.2


def test_games_against_random_moves_are_won():
    wins = run(24)["200 simulations: wins"]
    assert f"{wins['mean']:.0f} of {record()['games']['wins']} games" in text()


def test_every_line_is_tried():
    """A player who takes the first free field loses most games, and a perfect one none."""
    first = alignment_rewards.lines_lost(lambda position, rng: position.moves[0])
    perfect = alignment_rewards.lines_lost(lambda p, rng: games.best_moves(p)[0])
    assert (first > 50, perfect) == (True, 0)


def test_a_new_network_is_what_was_judged():
    network = alignment_rewards.trained(0, 0)
    alone = alignment_rewards.chapter_code()["players_of"](network)["network alone"]
    score = games.match(alone, games.PerfectPlayer(), 1000, np.random.default_rng(1))
    assert score.losses == pytest.approx(run(0)["network alone: losses"]["values"][0], abs=20)
