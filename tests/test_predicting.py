"""The exact distribution over the next token, against counting, drawing and the chain rule."""

import functools
import json
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from companion.tinyworld import TinyWorld, grammar, predicting, world
from companion.tokenizers import BPE, Characters, Words
from tests.plugins.shapes import unchecked
from tests.verification import agree, same
from tools.models import tinyworld_rules

LANGUAGES = ("en", "zh")
END = "<|end|>"
OPENING = "One morning Anna went to the park."


@functools.cache
def words_of(language):
    return Words.train(TinyWorld(language=language).sentences(), [END])


def tokenizers(language):
    """Return one tokenizer of each kind that gives back what it takes."""
    stories = [TinyWorld(seed, language).story() for seed in range(60)]
    sentences = TinyWorld(language=language).sentences()
    return {
        "words": words_of(language),
        "characters": Characters.train(sentences, [END]),
        "bytes": BPE.train(" ".join(stories), 400, [END]),
    }


def named(distribution, tokenizer):
    """Return the probabilities of tokens by what is written."""
    return {tokenizer.decode([token]): p for token, p in distribution.items()}


# -- by hand -------------------------------------------------------------------------------------


def follows(text, language="en"):
    words = words_of(language)
    return named(TinyWorld(language=language).next_tokens(text, words), words)


def agree_on(found, expected):
    same("TinyWorld.next_tokens", "by hand", sorted(found), sorted(expected))
    agree("TinyWorld.next_tokens", "by hand", list(found.values()), [expected[w] for w in found])


def test_first_words_by_hand():
    """Times have probabilities 1/2, 1/3, …, 1/9, divided by their sum; five begin with One."""
    total = sum(1 / place for place in range(2, 10))
    one = sum(1 / place for place in range(2, 7))
    expected = {"One": one, "Last": 1 / 7, "Long": 1 / 8, "Yesterday": 1 / 9}
    agree_on(follows(""), {word: p / total for word, p in expected.items()})
    chinese = {"一": one - 1 / 3, "有": 1 / 3, "上": 1 / 7, "很": 1 / 8, "昨": 1 / 9}
    agree_on(follows("", "zh"), {word: p / total for word, p in chinese.items()})


def test_what_happens_next_by_hand():
    """After rain no rain: of the others, found 3, met 3, saw, ate, fell 2, slept, sang 1."""
    weights = {" found": 3, " met": 3, " saw": 2, " ate": 2, " fell": 2, " took": 1, " sang": 1}
    rain = f"{OPENING} It began to rain."
    agree_on(follows(rain), {" In": 0.10, " She": 0.90})
    agree_on(follows(f"{rain} She"), {word: weight / 14 for word, weight in weights.items()})
    agree_on(follows(OPENING), {" It": 2 / 16, " She": 14 / 16})
    assert " met" not in follows(f"{OPENING} She met Ben. She")


def test_a_hero_meets_anybody_else_by_hand():
    weights = {f" {word.en}": 1 / (place + 2) for place, word in enumerate(grammar.WORDS["hero"])}
    del weights[" Anna"]
    agree_on(
        follows(f"{OPENING} She met"), {w: p / sum(weights.values()) for w, p in weights.items()}
    )


def test_the_end_by_hand():
    rain = f"{OPENING} It began to rain."
    sad = follows(f"{rain} In the end Anna felt")
    agree("TinyWorld.next_tokens", "by hand", sad[" sad"], 0.75 * grammar.zipf(BAD)[BAD[0]])
    agree_on(follows(f"{rain} In the end Anna felt sad"), {".": 1.0})
    agree_on(follows(f"{rain} In the end Anna felt sad."), {END: 1.0})
    sixth = " She ate a cake. She took a nap." * 3
    agree_on(follows(OPENING + sixth), {" In": 1.0})


BAD = list(grammar.WORDS["bad"])


# -- against what is known otherwise -------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "kind", "n"),
    [
        ("en", "words", 40),
        ("zh", "words", 40),
        ("en", "bytes", 5),  # in Chinese a token may end within a character
        ("en", "characters", 5),
        ("zh", "characters", 5),
    ],
)
def test_the_product_over_all_tokens_is_the_story_s_probability(language, kind, n):
    source, tokenizer = TinyWorld(21, language), tokenizers(language)[kind]
    for _ in range(n):
        text = source.story()
        ids = [*tokenizer.encode(text), tokenizer.special_ids[END]]
        beginnings = [tokenizer.decode(ids[:i]) for i in range(len(ids))]
        found = [source.next_tokens(beginning, tokenizer) for beginning in beginnings]
        log_p = math.fsum(math.log(p[i]) for p, i in zip(found, ids, strict=True))
        subject = f"predicting.next_tokens, {kind}"
        agree(subject, "TinyWorld.log_prob", log_p, source.log_prob(text), 1e-12)
        agree(subject, "by hand", [sum(p.values()) for p in found], np.ones(len(found)), 1e-12)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_first_sentence_leaves_open_is_its_entropy(language):
    """The entropies of all next tokens, each weighted with the probability that it is asked for."""
    source, words = TinyWorld(language=language), words_of(language)

    def open_after(text):
        found = named(source.next_tokens(text, words), words)
        rest = (p * open_after(text + word) for word, p in found.items() if word not in ".。")
        return world.surprise(found) + math.fsum(rest)

    slots = ("time", "hero", "place")
    expected = math.fsum(world.surprise(grammar.WORDS[slot]) for slot in slots)
    agree("TinyWorld.next_tokens", "entropy of the choices", open_after(""), expected, 1e-12)


def test_the_mean_of_what_is_open_is_the_entropy():
    source, words, totals = TinyWorld(22), words_of("en"), []
    for _ in range(60):
        ids = words.encode(source.story())
        found = [source.next_tokens(words.decode(ids[:i]), words) for i in range(len(ids))]
        totals.append(math.fsum(world.surprise(p) for p in found))
    mean, error = np.mean(totals), 4 * np.std(totals) / math.sqrt(len(totals))
    agree(
        "TinyWorld.next_tokens, entropy",
        "TinyWorld.entropy",
        mean,
        source.entropy(),
        error,
        limit="1/√n",
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_shares_in_drawn_stories(language):
    source, words = TinyWorld(23, language), words_of(language)
    seen = defaultdict(Counter)
    for _ in range(5_000):
        ids = words.encode(source.story())
        for i, token in enumerate(ids[:12]):
            seen[tuple(ids[:i])][token] += 1
    often = [start for start, counts in seen.items() if counts.total() >= 300]
    assert len(often) >= 10
    for start in often:
        counts, n = seen[start], seen[start].total()
        found = source.next_tokens(words.decode(start), words)
        assert set(counts) <= set(found)
        share, p = (np.array([x.get(i, 0) for i in found]) for x in (counts, found))
        allowed = 5 * math.sqrt(0.25 / n)
        agree("TinyWorld.next_tokens", "drawn stories", p, share / n, allowed, limit="1/√n")


@pytest.mark.verifies("predicting.Group", "the sentences of a group have probability 1 together")
@pytest.mark.verifies("predicting.Place", "reached by every beginning of a story")
def test_groups_of_sentences():
    source = TinyWorld(24)
    for _ in range(50):
        place = predicting.Place()
        for sentence in predicting.AFTER_SENTENCES.split(source.story())[:-1]:
            groups = predicting._groups(place)
            agree("fillings", "by hand", math.fsum(groups.values()), 1.0)
            for group in groups:
                told = predicting._sentences(group, "en").values()
                agree("fillings", "by hand", math.fsum(p for _, p in told), 1.0)
            place = place.after(predicting._told(sentence, place, "en"))
        assert place.is_over
        assert predicting._groups(place) == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_sentences(language):
    source = TinyWorld(25, language)
    sentences = source.sentences()
    n = 2 + sum(n * p for n, p in grammar.N_EVENTS.items())
    agree("TinyWorld.sentences", "by hand", math.fsum(sentences.values()), n)
    for _ in range(100):
        text = source.story()
        assert all(each in sentences for each in predicting.AFTER_SENTENCES.split(text)[:-1])


# -- what is no beginning ------------------------------------------------------------------------

WRONG = {
    "One noon": "at its beginning none has 'One noon'",
    "One park": "at its beginning none has 'One park'",
    ". One day": "at its beginning none has '.'",
    "一": "at its beginning none has '一'",
    f"{OPENING} ": "after 0 events none has ' '",
    f"{OPENING} He": "after 0 events none has ' He'",
    f"{OPENING} In": "after 0 events none has ' In'",
    f"{OPENING} She saw an": "after 0 events none has ' She saw an'",
    f"{OPENING} She met Anna": "after 0 events none has ' She met Anna'",
    f"{OPENING} She met Anna.": "after 0 events none has ' She met Anna.'",
    f"{OPENING} She lost": "after 0 events none has ' She lost'",
    f"{OPENING} It began to rain. It": "after 1 events none has ' It'",
    f"{OPENING} It began to rain. In the end Anna felt sad. She": "at the end none has ' She'",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_beginning(text):
    words = words_of("en")
    with pytest.raises(ValueError, match=f"the beginning of a story, but {WRONG[text]}$"):
        TinyWorld().next_tokens(text, words)
    assert TinyWorld().next_tokens(OPENING, words)


def test_what_else_is_refused():
    words = words_of("en")
    with pytest.raises(
        ValueError, match="end must be a special token of the tokenizer, got '</s>'"
    ):
        TinyWorld().next_tokens("", words, end="</s>")
    with unchecked(), pytest.raises(TypeError, match="text must be a str, got NoneType"):
        TinyWorld().next_tokens(None, words)


# -- the rules as JSON ---------------------------------------------------------------------------


def log_p_by_rules(rules, story):
    """Return the log-probability of a story by nothing but the file of rules."""

    def p_of(word, slot):
        return next(p for *known, p in rules["words"][slot] if known == list(word))

    state, mood, last = set(), 0, ""  # what is held, and who is there
    total = dict(rules["n_events"])[len(story.events)]
    total *= math.prod(p_of(getattr(story, slot), slot) for slot in ("time", "hero", "place"))
    for event in story.events:
        can = {
            name: kind["weight"]
            for name, kind in rules["kinds"].items()
            if all((n.removeprefix("no ") in state) != n.startswith("no ") for n in kind["needs"])
        }
        can.pop(last, None)
        last, kind = event.kind, rules["kinds"][event.kind]
        total *= can[last] / sum(can.values())
        for slot, word in zip(kind["slots"], event.words, strict=True):
            friend = slot == "friend"
            p = p_of(word, "hero" if friend else slot)
            total *= p / (1 - p_of(story.hero, "hero")) if friend else p
        state = (state | {*kind["slots"]} & {"thing", "friend"}) - {kind["ends"]}
        mood = max(-3, min(3, mood + kind["mood"]))
    good, feeling = dict(rules["p_good"])[mood], story.feeling
    is_good = any(known == list(feeling) for *known, _ in rules["words"]["good"])
    return math.log(
        total * (good if is_good else 1 - good) * p_of(feeling, "good" if is_good else "bad")
    )


def test_the_rules_settle_every_probability(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tinyworld_rules", str(tmp_path / "rules.json")])
    tinyworld_rules.main()
    rules, source = json.loads((tmp_path / "rules.json").read_text("utf-8")), TinyWorld(26)
    for _ in range(100):
        story = source.draw()
        agree(
            "log_probability",
            "the rules as JSON",
            grammar.log_probability(story),
            log_p_by_rules(rules, story),
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rules_settle_every_sentence(language):
    rules, which = tinyworld_rules.rules(), LANGUAGES.index(language)
    story = TinyWorld(27).draw()
    sentences = grammar.sentences(story, language)
    fields = {slot: getattr(story, slot)[which] for slot in ("time", "hero", "place", "feeling")}
    same("sentences", "the rules as JSON", sentences[0], rules["opening"][which].format(**fields))
    same("sentences", "the rules as JSON", sentences[-1], rules["ending"][which].format(**fields))
    same(
        "write",
        "the rules as JSON",
        grammar.write(story, language),
        rules["blank"][which].join(sentences),
    )
    fields = {"P": rules["pronouns"][story.hero.extra][which], "a": "a"}
    for event, sentence in zip(story.events, sentences[1:-1], strict=True):
        slots = rules["kinds"][event.kind]["slots"]
        fields |= {slot: word[which] for slot, word in zip(slots, event.words, strict=True)}
        fields["m"] = event.words[-1].extra if event.words else ""
        expected = rules["kinds"][event.kind]["text"][which].format(**fields)
        same("write_event", "the rules as JSON", sentence, expected)
