"""Tiny World: what is claimed in closed form, against counting and against drawing."""

from __future__ import annotations

import itertools
import math
import re
import statistics

import numpy as np
import pytest

from companion.tinyworld import TinyWorld, grammar, tasks, world
from companion.tokenizers import BPE, Words
from tests.verification import agree, same

LANGUAGES = ("en", "zh")
MANY = 3000


def mean_and_error(values):
    """Return a mean, and four standard errors of it."""
    return statistics.fmean(values), 4 * statistics.stdev(values) / math.sqrt(len(values))


def first(slot):
    return next(iter(grammar.WORDS[slot]))


@pytest.fixture(scope="module")
def drawn():
    """Stories, drawn once."""
    source = TinyWorld(seed=11)
    return [source.draw() for _ in range(MANY)]


@pytest.fixture(scope="module")
def texts(drawn):
    return {lang: [grammar.write(story, lang) for story in drawn] for lang in LANGUAGES}


# -- probabilities -------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_mean_surprise_of_what_is_drawn_is_the_entropy(texts, language):
    source = TinyWorld(language=language)
    surprise = [-source.log_prob(text) for text in texts[language]]
    mean, error = mean_and_error(surprise)
    agree("TinyWorld, entropy", "drawn stories", source.entropy(), mean, error / mean, limit="1/√n")
    assert error < 0.6


def completions(hero):
    """Yield all that can happen to a hero in a story of one event, up to how it is felt."""
    state = grammar.State()
    for kind in grammar.next_kinds(state):
        slots = [grammar.choices(slot, hero) for slot in grammar.KINDS[kind].slots]
        for words in itertools.product(*slots):
            yield grammar.Event(kind, words)


def stories_of_one_event(hero):
    feelings = [*grammar.WORDS["good"], *grammar.WORDS["bad"]]
    for event in completions(hero):
        for feeling in feelings:
            yield grammar.Story(first("time"), hero, first("place"), (event,), feeling)


def test_probabilities_of_all_stories_of_one_event_sum_to_theirs():
    source, hero = TinyWorld(), first("hero")
    stories = [grammar.write(story) for story in stories_of_one_event(hero)]
    assert len(set(stories)) == len(stories) > 5000
    total = math.fsum(math.exp(source.log_prob(text)) for text in stories)
    beginning = [grammar.WORDS[slot][first(slot)] for slot in ("time", "hero", "place")]
    agree("TinyWorld, log_prob", "counting", total, math.prod(beginning) * grammar.N_EVENTS[1])


def test_probabilities_of_all_choices_sum_to_one():
    for words in grammar.WORDS.values():
        agree("grammar.zipf", "by hand", sum(words.values()), 1.0)
    for hero in grammar.WORDS["hero"]:
        friends = grammar.choices("friend", hero)
        assert hero not in friends
        agree("choices", "by hand", sum(friends.values()), 1.0)
        same("without", "by hand", len(grammar.without(hero)), len(grammar.WORDS["hero"]) - 1)
    agree("grammar.zipf", "by hand", sum(grammar.N_EVENTS.values()), 1.0)
    for states in world._steps():
        agree("next_kinds", "by hand", sum(states.values()), 1.0)
        for state in states:
            agree("next_kinds", "by hand", sum(grammar.next_kinds(state).values()), 1.0)
            feelings = [*grammar.WORDS["good"], *grammar.WORDS["bad"]]
            total = sum(grammar.probability_of_feeling(f, state.mood) for f in feelings)
            agree("probability_of_feeling", "by hand", total, 1.0)


def test_entropy_by_counting_every_story_of_one_event(monkeypatch):
    """With one event for sure, all stories of a hero can be listed."""
    cached = [f for f in vars(world).values() if hasattr(f, "cache_clear")]
    monkeypatch.setattr(grammar, "N_EVENTS", {1: 1.0})
    monkeypatch.setattr(world, "N_EVENTS", {1: 1.0})
    try:
        for function in cached:
            function.cache_clear()
        counted = 0.0
        for hero, p_hero in grammar.WORDS["hero"].items():
            logs = [grammar.log_probability(story) for story in stories_of_one_event(hero)]
            start = math.log(grammar.WORDS["time"][first("time")])
            start += math.log(grammar.WORDS["place"][first("place")]) + math.log(p_hero)
            counted += p_hero * math.fsum(-(x - start) * math.exp(x - start) for x in logs)
        counted += sum(world.surprise(grammar.WORDS[s]) for s in ("time", "hero", "place"))
        agree("TinyWorld, entropy", "counting", TinyWorld().entropy(), counted)
    finally:
        monkeypatch.undo()
        for function in cached:
            function.cache_clear()


def test_surprise_by_hand():
    agree("surprise", "by hand", world.surprise({"a": 0.5, "b": 0.5, "c": 0.0}), math.log(2))


def test_a_story_s_probability_by_hand():
    words = {slot: first(slot) for slot in grammar.WORDS}
    events = (grammar.Event("rained"),)
    story = grammar.Story(words["time"], words["hero"], words["place"], events, words["bad"])
    text = "One morning Anna went to the park. It began to rain. In the end Anna felt sad."
    assert grammar.write(story) == text
    # of what may come first (found 3, met 3, saw, ate, fell, rained 2, slept, sang 1) rain has 2/16
    p = math.prod(grammar.WORDS[slot][words[slot]] for slot in ("time", "hero", "place"))
    p *= 0.10 * (2 / 16) * 0.75 * grammar.WORDS["bad"][words["bad"]]
    agree("TinyWorld, log_prob", "by hand", TinyWorld().log_prob(text), math.log(p))
    agree("log_probability", "by hand", grammar.log_probability(story), math.log(p))


# -- reading and writing -------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_written_is_read_in_one_way(drawn, texts, language):
    back = [grammar.read(text) for text in texts[language]]
    same("grammar.read", "what was written", back, drawn)
    which = LANGUAGES.index(language)
    for story in drawn[:300]:
        for sentence in grammar.sentences(story, language)[1:-1]:
            fits = [
                name
                for name, pattern in grammar._EVENTS[which].items()
                if pattern.fullmatch(sentence)
            ]
            assert len(fits) == 1


def test_no_word_stands_for_two_things():
    for which in (0, 1):
        words = [word[which] for words in grammar.WORDS.values() for word in words]
        assert len(set(words)) == len(words)


def test_both_languages_tell_one_story_with_one_probability(texts):
    source = TinyWorld()
    for english, chinese in list(zip(texts["en"], texts["zh"], strict=True))[:300]:
        assert source.log_prob(english) == source.log_prob(chinese)
        assert english.count(".") == chinese.count("。")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello.",
        "One morning Anna went to the park.",
        "One morning Anna went to the park. In the end Anna felt sad.",
        "One morning Anna went to the park. It began to rain. In the end Ben felt sad.",
        "One morning Anna went to the park. He took a nap. In the end Anna felt sad.",
        "One morning Anna went to the park.  It began to rain. In the end Anna felt sad.",
        "One morning Anna went to the park. She lost the ball. In the end Anna felt sad.",
        "One morning Anna went to the park. She met Anna. In the end Anna felt sad.",
        "One morning Anna went to the park. She saw an dog. In the end Anna felt sad.",
        "One morning Anna went to the park. It began to rain. It began to rain. In the end Anna "
        "felt sad.",
        "One morning Anna went to the park. It began to rain. In the end Anna felt sad. ",
        "One morning Anna went to the moon. It began to rain. In the end Anna felt sad.",
        "一天早上，安娜去了公园。他打了个盹。最后，安娜觉得很伤心。",
        "一天早上，安娜去了公园。她看见了一个狗。最后，安娜觉得很伤心。",
    ],
)
def test_what_is_no_story_has_probability_zero(text):
    assert TinyWorld().log_prob(text) == -math.inf


def test_articles_agree_with_their_words(texts):
    same("article", "by hand", [grammar.article(w) for w in ("apple", "ball")], ["an", "a"])
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", " ".join(texts["en"]))


# -- drawing -------------------------------------------------------------------------------------


def test_a_seed_settles_everything():
    def draw(seed):
        source = TinyWorld(seed)
        tasks = (source.story, source.sentiment, source.question, source.instruction)
        return [task() for _ in range(5) for task in tasks], source.preference()

    assert draw(4) == draw(4)
    assert draw(4) != draw(5)


def test_stories_have_three_to_eight_sentences(drawn):
    lengths = [len(grammar.sentences(story, "en")) for story in drawn]
    assert set(lengths) == set(range(3, 9))
    for n, p in grammar.N_EVENTS.items():
        share = lengths.count(n + 2) / MANY
        assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / MANY)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("unit", ["characters", "bytes", "tokens"])
def test_the_mean_length_of_what_is_drawn_is_the_expected_one(texts, language, unit):
    tokenizer = BPE.train(" ".join(texts[language][:100]), 400)
    length = {
        "characters": len,
        "bytes": lambda text: len(text.encode()),
        "tokens": lambda text: len(tokenizer.encode(text)),
    }[unit]
    source = TinyWorld(language=language)
    mean, error = mean_and_error([length(text) for text in texts[language]])
    expected = source.expected_length(length)
    agree("TinyWorld, expected_length", "drawn stories", expected, mean, error / mean, limit="1/√n")
    agree("TinyWorld, entropy", "by hand", source.entropy(length), source.entropy() / expected)


def test_the_end_of_a_story_counts_as_a_token_where_it_must_be_predicted(texts):
    source = TinyWorld()
    tokenizer = Words.train(source.sentences(), ["<|end|>"])
    n_tokens = lambda text: len(tokenizer.encode(text))  # noqa: E731
    perplexed = []  # nats of a story, and its tokens
    for text in texts["en"][:40]:
        ids = [*tokenizer.encode(text), *tokenizer.encode("<|end|>", allow_special=True)]
        beginnings = (tokenizer.decode(ids[:n]) for n in range(len(ids)))
        exact = (source.next_tokens(beginning, tokenizer) for beginning in beginnings)
        nats = -sum(math.log(p[i]) for p, i in zip(exact, ids, strict=True))
        assert math.isclose(nats, -source.log_prob(text))
        perplexed.append((nats, len(ids)))
    nats, tokens = np.array(perplexed).T
    ratio = nats.sum() / tokens.sum()
    _, error = mean_and_error((nats - ratio * tokens) / tokens.mean())
    value = source.entropy(n_tokens, with_end=True)
    agree("TinyWorld, entropy, with the end", "next tokens", value, ratio, error, limit="1/√n")
    longer = source.expected_length(n_tokens, with_end=True)
    shorter = source.expected_length(n_tokens)
    agree("TinyWorld, expected_length, with the end", "by hand", longer, shorter + 1)


# -- tasks ---------------------------------------------------------------------------------------


def test_nobody_can_guess_the_end_better_than_the_mood_lets(drawn):
    source = TinyWorld()
    hits = []
    for story in drawn:
        mood = grammar.State()
        for event in story.events:
            mood = mood.after(event)
        _, label = tasks.sentiment(story, "en")
        hits.append(float((grammar.P_GOOD[mood.mood] > 0.5) == label))
    mean, error = mean_and_error(hits)
    best = source.bayes_accuracy()
    agree("TinyWorld, bayes_accuracy", "drawn stories", best, mean, error / mean, limit="1/√n")
    assert 0.6 < best < 0.9


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentiment_leaves_the_end_out(drawn, language):
    for story in drawn[:200]:
        text, label = tasks.sentiment(story, language)
        whole = grammar.write(story, language)
        assert whole.startswith(text)
        assert story.feeling[LANGUAGES.index(language)] not in text
        same("tasks.sentiment", "by hand", label, int(story.feeling in grammar.WORDS["good"]))
        same("is_good", "by hand", tasks.is_good(story), bool(label))


@pytest.mark.parametrize("language", LANGUAGES)
def test_entities(drawn, language):
    which = LANGUAGES.index(language)
    names = {
        "PER": {word[which] for word in grammar.WORDS["hero"]},
        "LOC": {word[which] for word in grammar.WORDS["place"]},
        "ANI": {word[which] for word in grammar.WORDS["animal"]},
    }
    for story in drawn[:300]:
        words, tags = tasks.entities(story, language)
        text = grammar.write(story, language)
        same("tasks.entities", "by hand", "".join(words), re.sub(r"\s", "", text))
        assert len(words) == len(tags)
        spans = []
        for i, (word, tag) in enumerate(zip(words, tags, strict=True)):
            if tag.startswith("B-"):
                spans.append([tag[2:], [word]])
            elif tag.startswith("I-"):
                assert tags[i - 1][2:] == tag[2:]
                spans[-1][1].append(word)
        for label, parts in spans:
            name = ("" if which else " ").join(parts)
            assert label == "OBJ" or name in names[label]
        people = sum(text.count(name) for name in names["PER"])
        assert sum(label == "PER" for label, _ in spans) == people


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_stand_where_they_are_said_to(language):
    source, asked = TinyWorld(3, language), set()
    for _ in range(400):
        example = source.question()
        start, answer = example["start"], example["answer"]
        assert example["context"][start : start + len(answer)] == answer
        asked.add(re.sub(r"[A-Z][a-z]+ |^.*?(?=去|捡|遇|看|把|最)", "", example["question"]))
    assert len(asked) == 6


def test_the_right_answer_by_hand():
    words = {slot: first(slot) for slot in grammar.WORDS}
    thing = grammar.Event("found", (words["colour"], words["thing"]))
    ben = list(grammar.WORDS["hero"])[1]
    events = (thing, grammar.Event("met", (ben,)), grammar.Event("gave"))
    story = grammar.Story(words["time"], words["hero"], words["place"], events, words["good"])
    found = {q[0].format(hero="Anna"): a for q, a, _ in tasks._questions(story, "en")}
    expected = {
        "Where did Anna go?": "park",
        "How did Anna feel in the end?": "happy",
        "What did Anna find?": "red ball",
        "Whom did Anna meet?": "Ben",
        "To whom did Anna give something?": "Ben",
    }
    same("tasks.question", "by hand", found, expected)
    same("tasks.reward", "by hand", tasks.reward(story), 4.0)
    assert TinyWorld().reward(grammar.write(story)) == 4.0


def test_translations():
    source = TinyWorld(5)
    for _ in range(50):
        english, chinese = source.translation()
        same("TinyWorld, translation", "reading", grammar.read(english), grammar.read(chinese))


@pytest.mark.parametrize("language", LANGUAGES)
def test_instructions_are_carried_out(language):
    source, kinds = TinyWorld(6, language), set()
    for _ in range(200):
        example = source.instruction()
        given, output = example["input"], example["output"]
        if output.isdigit():
            kinds.add("count")
            same("tasks.instruction", "by hand", int(output), len(re.findall(r"[.。]", given)))
        elif not given:
            kinds.add("tell")
            assert source.log_prob(output) > -math.inf
        elif output.count("。") + output.count(".") > 1:
            kinds.add("translate")
            assert grammar.read(given) == grammar.read(output)
        else:
            kinds.add("ask")
            assert output in given
    assert kinds == {"count", "tell", "translate", "ask"}


def test_preferences_follow_the_hidden_reward():
    """Of pairs with a margin m, a share of σ(m) prefers the better one."""
    source, won = TinyWorld(7), {}
    for _ in range(4000):
        example = source.preference()
        pair = [f"{example['prompt']} {example[part]}" for part in ("chosen", "rejected")]
        margin = source.reward(pair[0]) - source.reward(pair[1])
        if margin:
            won.setdefault(abs(margin), []).append(float(margin > 0))
    for margin in (1.0, 2.0, 3.0):
        share, error = mean_and_error(won[margin])
        expected = 1 / (1 + math.exp(-margin))
        agree(
            "tasks.preference",
            "Bradley and Terry",
            np.float64(share),
            expected,
            error,
            limit="1/√n",
        )


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match='language must be "en" or "zh", got \'de\''):
        TinyWorld(language="de")
    with pytest.raises(ValueError, match="must be a story of Tiny World, got 'Hello"):
        TinyWorld().reward("Hello.")


@pytest.mark.verifies("Word", "a word in two languages, by the tests of reading and writing")
@pytest.mark.verifies("Kind", "a kind of event, by the tests of reading and writing")
@pytest.mark.verifies("Event", "an event, by the tests of reading and writing")
@pytest.mark.verifies("Story", "a story in no language, by the tests of reading and writing")
@pytest.mark.verifies("State", "what may come next, by the sums of all probabilities")
@pytest.mark.verifies("sentences", "marked and plain sentences hold the same words")
@pytest.mark.verifies("write", "what is written is read in one way")
@pytest.mark.verifies("write_event", "an event alone is written as in its story")
def test_marked_and_plain_sentences_are_the_same(drawn):
    for story, language in itertools.product(drawn[:100], LANGUAGES):
        plain = grammar.sentences(story, language)
        marked = grammar.sentences(story, language, marked=True)
        assert [grammar.MARK.sub(r"\g<name>", sentence) for sentence in marked] == plain
        state = grammar.State()
        for event, sentence in zip(story.events, plain[1:], strict=False):
            assert grammar.write_event(event, story.hero, state, language) == sentence
            state = state.after(event)
        assert grammar.write(story, language) == ("" if language == "zh" else " ").join(plain)


def test_what_is_given_to_a_story_must_be_words_of_its_kind():
    world = TinyWorld(seed=0)
    hero = next(iter(grammar.WORDS["hero"]))
    assert world.draw(hero=hero).hero == hero
    with pytest.raises(TypeError, match="time, hero and place can be given, got foo=1"):
        world.draw(foo=1)
    with pytest.raises(ValueError, match="hero must be one of"):
        world.draw(hero="Bob")
    for text in (None, b"One day", ["One day"]):
        with pytest.raises(TypeError, match="text must be a str, got"):
            world.log_prob(text)
        with pytest.raises(TypeError, match="text must be a str, got"):
            world.reward(text)


def test_the_seed_of_a_world_is_not_negative():
    """Python's generator draws for -3 what it draws for 3."""
    with pytest.raises(ValueError, match="seed must be at least 0, got -3"):
        TinyWorld(-3)


@pytest.mark.parametrize("seed", [0.5, "a", None, True])
def test_the_seed_of_a_world_is_a_whole_number(seed):
    """None would draw another world each time."""
    with pytest.raises(TypeError, match="seed must be a whole number, got"):
        TinyWorld(seed)
