"""A model that lives in the page: its JavaScript computes what torch and the grammar compute."""

from __future__ import annotations

import base64
import json
import random
import re
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from docutils import nodes

from companion import generation
from companion.models import GPT, GPTConfig
from companion.tinyworld import TinyWorld
from companion.tokenizers import Characters, Tokenizer, Words
from tests.site import small_books
from tests.site.conftest import EDITIONS, ROOT
from tests.site.visits import SIZES, THEMES
from tools.book import phrases
from tools.models import board_directive, live_export, live_models, live_poems, live_sampling
from tools.models import live_directive as extension
from tools.pages import editions, staging
from tools.site import whole_site

pytestmark = [pytest.mark.browser, pytest.mark.chapter("transformer", "generation")]
NAME = "tiny-world"
POEMS = "tang-poems"
SAMPLING = "chapters/generation/sampling"  # the page with the samplers
SPECIAL = [live_export.BEGIN, live_export.END]
LANGUAGES = ("en", "zh")
KB = 1000


# -- the engine ------------------------------------------------------------------------------------


def stories(language: str, count: int, seed: int = 0) -> list[str]:
    world = TinyWorld(seed=seed, language=language)
    return [world.story() for _ in range(count)]


@pytest.fixture(scope="module")
def tokenizer() -> Words:
    worlds = [TinyWorld(language=language) for language in LANGUAGES]
    return Words.train([text for world in worlds for text in world.sentences()], SPECIAL)


@pytest.fixture(scope="module")
def model(tokenizer) -> GPT:
    """Return a model with random weights, larger than those of a new one, so that all matter."""
    return random_model(tokenizer.vocab_size)


def random_model(vocab_size: int) -> GPT:
    torch.manual_seed(0)
    sizes = {"d_model": 24, "n_layers": 3, "n_heads": 4, "max_length": 96}
    model = GPT(GPTConfig(vocab_size=vocab_size, **sizes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return model


@pytest.fixture(scope="module")
def characters() -> Characters:
    known = sorted(set(POEM + "春風後月，。"))
    return Characters([*known, live_poems.UNKNOWN], [live_poems.BEGIN, live_poems.END])


@pytest.fixture(scope="module")
def poet(characters) -> GPT:
    """Return a model of poems with random weights."""
    return random_model(characters.vocab_size)


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory, model, tokenizer, poet, characters):
    """Return an empty page of a site that has the scripts, and the random model in `teller`.

    In `tellers` are this one, one of poems, and the one of poems that was trained.
    """
    root = tmp_path_factory.mktemp("live")
    staging.stage_live(ROOT, root)
    live_export.write(model, tokenizer, "random", root / "models")
    live_poems.write(poet, characters, "poet", root / "models")
    (root / "index.html").write_text("<!DOCTYPE html><title>Live</title>")
    server = whole_site.make_server(root)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
    page.evaluate("""async () => {
      const { load } = await import("./live/storyteller.js");
      const tellers = ["random", "poet", "tang-poems"].map(async (name) => [
        name, await load(`models/${name}.json`, `models/${name}.bin`),
      ]);
      window.tellers = Object.fromEntries(await Promise.all(tellers));
      window.teller = window.tellers.random;
      window.words = await import("./live/words.js");
      const parts = ["samplers", "distributions"].map((name) => import(`./live/${name}.js`));
      window.samplers = Object.assign({}, ...(await Promise.all(parts)));
    }""")
    yield page
    page.close()
    server.shutdown()
    server.server_close()


COMPUTE = """([name, text]) => {
  const teller = tellers[name];
  teller.read(teller.cut(text).tokens);
  const tokens = teller.model.read;
  return {
    tokens: teller.story,
    stream: tokens.map((token) => token.stream.map((x) => [...x])),
    attention: tokens.map((token) => token.attention.map((heads) => heads.map((row) => [...row]))),
    logits: tokens.map((token) => [...teller.model.logits(token.stream.at(-1))]),
  };
}"""


def test_the_page_computes_what_torch_computes(page, model, tokenizer):
    """Story after story: what two of them begin with is read once, the rest anew."""
    in_page = GPT(model.config).eval()
    in_page.load_state_dict(live_export.restored(model.state_dict()))
    english = stories("en", 2, seed=5)
    texts = [english[0], english[0][: len(english[0]) // 2].rsplit(" ", 1)[0], english[1]]
    for text in [*texts, *stories("zh", 2, seed=5), ""]:
        ids = tokenizer.encode(live_export.BEGIN + text, allow_special=True)
        compare_steps(page.evaluate(COMPUTE, ["random", text]), in_page, tokenizer, ids)


def compare_steps(found: dict, in_page: GPT, tokenizer: Tokenizer, ids: list[int]) -> None:
    """Compare all that the page has computed with torch."""
    assert found["tokens"] == [tokenizer.tokens[i] for i in ids]
    trace = in_page.trace(torch.tensor([ids]))
    compare(found["stream"], trace.stream[:, 0].transpose(0, 1))
    compare(found["logits"], trace.logits[0])
    for at, maps in enumerate(found["attention"]):
        compare(maps, trace.weights[:, 0, :, at, : at + 1])


POEM = "空山不見人，但聞人語響。返景入深林，復照青苔上。"


@pytest.mark.parametrize("name", ["poet", POEMS])
def test_the_page_computes_what_torch_computes_of_poems(page, poet, characters, name):
    """With random weights, and with those that were trained."""
    if name == POEMS:
        in_page, tokens = live_poems.read(POEMS)
    else:
        in_page, tokens = GPT(poet.config).eval(), characters
        in_page.load_state_dict(live_export.restored(poet.state_dict()))
    for text in (POEM, POEM[:9], POEM[:6] + "龘人", ""):
        read = live_poems.BEGIN + live_poems.known(text, tokens)
        ids = tokens.encode(read, allow_special=True)
        compare_steps(page.evaluate(COMPUTE, [name, text]), in_page, tokens, ids)


CUT = "([name, text]) => tellers[name].cut(text)"


def test_other_characters_are_read_as_those_that_the_model_knows(page):
    """A simplified one as a traditional one, the more common of two; an unknown one as □."""
    found = page.evaluate(CUT, [POEMS, "春风发龘ab龘，"])
    begin, unknown = live_poems.BEGIN, live_poems.UNKNOWN
    assert found["tokens"] == [begin, *"春風發", unknown, unknown, unknown, "，"]
    assert found["unknown"] == "龘ab"
    tokens = live_models.tokens(POEMS)
    about = json.loads(live_models.loaded(POEMS)[0].read_text(encoding="utf-8"))["alike"]
    assert len(about) > 900
    for simplified, traditional in about.items():
        assert simplified not in tokens
        assert traditional in tokens
    assert about["风"] == "風"
    assert about["东"] == "東"


def test_no_poem_contains_what_is_never_written(page):
    logits = page.evaluate(
        """name => {
      const teller = tellers[name];
      teller.read(teller.cut("空山").tokens);
      return [...teller.logits];
    }""",
        "poet",
    )
    names = page.evaluate("tellers.poet.tokens")
    never = [token for token, z in zip(names, logits, strict=True) if z == live_poems.NEVER]
    assert set(never) == {live_poems.BEGIN, live_poems.UNKNOWN}


def compare(found: list, expected: torch.Tensor) -> None:
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(torch.tensor(found).float(), expected, atol=1e-4, rtol=0)


def test_rounding_moves_no_weight_by_more_than_half_a_step(model):
    state, restored = model.state_dict(), live_export.restored(model.state_dict())
    for name, weight in state.items():
        step = weight.abs().amax(-1, keepdim=True) / 127 if weight.ndim == 2 else 0
        assert ((weight - restored[name]).abs() <= 0.5001 * step + 1e-9).all()
    assert not torch.equal(state["tokens.weight"], restored["tokens.weight"])


def test_what_the_page_cannot_do_is_refused_before_anything_is_written(tmp_path, tokenizer):
    sizes = {"d_model": 8, "n_layers": 1, "n_heads": 1}
    turning = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, positions="rotary", **sizes))
    with pytest.raises(ValueError, match="learned positions, got 'rotary'"):
        live_export.write(turning, tokenizer, "other", tmp_path)
    small = Words(tokenizer.entries[:-1], SPECIAL)
    with pytest.raises(ValueError, match=tokenizer.entries[-1]):
        live_export.write(
            GPT(GPTConfig(vocab_size=small.vocab_size, **sizes)), small, "other", tmp_path
        )
    assert list(tmp_path.iterdir()) == []


TRUTH = """text => [...teller.grammar.next(teller.cut(text).tokens.slice(1))]"""


def truth(page, text: str) -> dict[str, float]:
    return dict(page.evaluate(TRUTH, text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_grammar_in_the_page_is_tiny_worlds(page, tokenizer, language):
    world, picks = TinyWorld(language=language), random.Random(0)
    for story in stories(language, 12, seed=7):
        cut = Words.cut(story)
        for end in [1, len(cut), *picks.sample(range(2, len(cut)), 8)]:
            text = "".join(cut[:end])
            expected = world.next_tokens(text, tokenizer)
            found = truth(page, text)
            assert set(found) == {tokenizer.tokens[i] for i in expected}
            for i, p in expected.items():
                assert found[tokenizer.tokens[i]] == pytest.approx(p, abs=1e-9)


def test_a_story_begins_in_either_language(page, tokenizer):
    found = truth(page, "")
    for language in LANGUAGES:
        for i, p in TinyWorld(language=language).next_tokens("", tokenizer).items():
            assert found.pop(tokenizer.tokens[i]) == pytest.approx(p / 2, abs=1e-9)
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "One day Ben lost",
        "One day Ben went to the park. She",
        "One day Ben went to the park. He met Ben",
        "One day Anna went to the park. In",
        "有一天，小本去了公园。她",
    ],
)
def test_what_is_never_written_has_no_next_token(page, tokenizer, text):
    assert truth(page, text) == {}
    with pytest.raises(ValueError, match="beginning"):
        TinyWorld(language="zh" if "，" in text else "en").next_tokens(text, tokenizer)


ODD = ["One  day, Ben's 2nd café_x!", "去了 park里。\n", "é 𠀀 a\u0301b — ", "", " .  x"]


def test_the_page_cuts_texts_as_the_tokenizer_does(page):
    assert [page.evaluate("text => words.cut(text)", text) for text in ODD] == [
        Words.cut(text) for text in ODD
    ]


def test_what_it_draws_is_distributed_as_it_says(page):
    """Each share of the unit interval leads to one token, as wide as the token is probable."""
    drawn = page.evaluate("""() => {
      teller.read(teller.cut("One day Ben").tokens);
      const tokens = Array.from({ length: 4000 }, (_, i) => teller.draw((i + 0.5) / 4000));
      return [tokens, teller.answer(3).next];
    }""")
    for token, p, _ in drawn[1]:
        assert drawn[0].count(token) / 4000 == pytest.approx(p, abs=1e-3)


# -- samplers --------------------------------------------------------------------------------------


LEFT = (
    """each => each.map(([logits, past, settings]) => samplers.sampled(logits, past, settings))"""
)


def drawn_settings(picks: random.Random, **fixed) -> live_sampling.Settings:
    """Return a random place of each slider; temperatures are above 0."""
    values = {each.name: picks.choice(each.values) for each in live_sampling.SLIDERS}
    return {**values, "temperature": picks.choice([0.3, 1.0, 1.3, 2.0]), **fixed}


def neutral(**chosen) -> live_sampling.Settings:
    """Return the settings that change nothing, but for those that are chosen."""
    return {each.name: each.values[each.neutral] for each in live_sampling.SLIDERS} | chosen


def cases() -> list[tuple]:
    """Return logits, ids so far and settings: each sampler alone, and all of them together."""
    picks, generator = random.Random(0), torch.Generator().manual_seed(0)
    found = []
    stored = [(name, live_models.stored(name)["answers"]) for name in (NAME, POEMS)]
    for name, answer in ((name, each) for name, answers in stored for each in answers.values()):
        assert len(answer["logits"]) == len(live_models.tokens(name)), name
        found += [
            (answer["logits"], answer["ids"], neutral(**{each.name: value}))
            for each in live_sampling.SLIDERS
            for value in each.values
            if (each.name, value) != ("temperature", 0.0)
        ]
        found += [(answer["logits"], answer["ids"], drawn_settings(picks)) for _ in range(20)]
    for i in range(150):
        logits = picks.choice([0.5, 2.0, 6.0]) * torch.randn(
            210, generator=generator, dtype=torch.float64
        )
        if i % 3 == 0:
            logits = logits.round()  # in which many are equal, those at a limit too
        past = [picks.randrange(210) for _ in range(12)]
        found.append((logits.tolist(), past, drawn_settings(picks)))
    return found


def test_the_samplers_in_the_page_are_the_packages(page):
    """In the order of `live_sampling.samplers`, which `tests/generation` holds to transformers'."""
    asked = cases()
    found = page.evaluate(LEFT, asked)
    n_cut = []
    for left, (logits, past, settings) in zip(found, asked, strict=True):
        left = torch.tensor(left, dtype=torch.float64)
        expected = live_sampling.left(logits, past, settings)
        # Which of equal tokens top-p keeps is not said; how many, and with what, is.
        if settings["p"] < 1 and len(set(logits)) < len(logits) / 2:
            left, expected = left.sort().values, expected.sort().values
        torch.testing.assert_close(left, expected, atol=1e-12, rtol=1e-10)
        assert torch.equal(left > 0, expected > 0), settings
        n_cut.append(int((expected == 0).sum()))
    assert min(n_cut) == 0
    assert len(set(n_cut)) > 50


def test_their_order_is_that_of_the_sliders(page):
    """With the order turned round other tokens would be left."""
    logits = torch.tensor([0.40, 0.30, 0.15, 0.10, 0.05]).log().tolist()
    settings = neutral(temperature=2.0, p=0.8)
    assert [each.name for each in live_sampling.SLIDERS] == [
        *("penalty", "temperature", "k", "p", "least")
    ]
    (left,) = page.evaluate(LEFT, [[logits, [], settings]])
    assert sum(share > 0 for share in left) == 4  # and 3 if top-p came first, as the chapter says


def test_temperature_0_takes_the_first_of_the_likeliest_and_nothing_else(page):
    logits = [1.0, 3.0, 3.0, -1.0]
    for settings in (neutral(), neutral(k=1, p=0.1, least=1.0)):
        assert page.evaluate(LEFT, [[logits, [1], {**settings, "temperature": 0.0}]]) == [
            [0, 1, 0, 0]
        ]
    punished = neutral(temperature=0.0, penalty=1.5)
    assert page.evaluate(LEFT, [[logits, [1], punished]]) == [[0, 0, 1, 0]]


def test_a_number_falls_into_the_same_share_as_in_the_package(page):
    picks = random.Random(0)
    shares = [0.5, 0.0, 0.25, 0.25, 0.0]
    numbers = [0.0, 0.49, 0.5, 0.75, 1 - 2**-53, *(picks.random() for _ in range(100))]
    found = page.evaluate(
        "([p, us]) => us.map((u) => samplers.inverseCdf(p, u))", [shares, numbers]
    )
    p = torch.tensor([shares], dtype=torch.float64).expand(len(numbers), -1)
    assert found == generation.inverse_cdf(p, torch.tensor(numbers, dtype=torch.float64)).tolist()


def test_a_random_number_of_the_page_is_that_of_the_drawing(page):
    asked = [[seed, place] for seed in (0, 1, 9999, 2**32 - 1) for place in (0, 1, 127, 2**31)]
    found = page.evaluate("each => each.map((one) => samplers.uniform(...one))", asked)
    assert found == [live_sampling.uniform(*each) for each in asked]


def test_a_place_has_one_random_number_for_each_seed(page):
    found = page.evaluate("""() => Array.from({ length: 60 }, (_, seed) =>
      Array.from({ length: 120 }, (_, place) => samplers.uniform(seed, place)))""")
    numbers = torch.tensor(found, dtype=torch.float64)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert len(numbers.unique()) == numbers.numel()
    # Each tenth of the line gets a tenth of them: a chi-squared of 9 degrees, 27.9 in 1 of 1,000.
    counts = torch.histc(numbers, 10, 0, 1)
    assert float(((counts - 720) ** 2 / 720).sum()) < 27.9
    for rows in (numbers, numbers.T):  # neighbours are not alike: |r| < 4 / sqrt(7,000)
        pairs = torch.stack([rows[:, :-1].flatten(), rows[:, 1:].flatten()])
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.05


WRITE = """([text, settings, seed, length]) => {
  teller.read(teller.cut(text).tokens);
  const numbers = [];
  for (let i = 0; i < length; i++) {
    const past = teller.story.map((token) => teller.ids.get(token));
    const u = samplers.uniform(seed, teller.story.length);
    numbers.push(u);
    const id = samplers.inverseCdf(samplers.sampled(teller.logits, past, settings), u);
    teller.read([...teller.story, teller.tokens[id]]);
  }
  return [teller.story.slice(-length), numbers];
}"""


@pytest.mark.parametrize("temperature", [0.0, 1.0, 1.8])
def test_it_writes_what_the_package_writes_by_the_same_numbers(page, model, tokenizer, temperature):
    in_page = GPT(model.config).eval()
    in_page.load_state_dict(live_export.restored(model.state_dict()))
    settings = neutral(penalty=1.2, k=50, p=0.95, least=0.01)
    text = "One day Ben went to the park."
    asked = [text, {**settings, "temperature": temperature}, 3, 40]
    written, numbers = page.evaluate(WRITE, asked)
    ids = tokenizer.encode(live_export.BEGIN + text, allow_special=True)
    steps = iter(numbers)
    if temperature:
        how = {"draw": lambda p: generation.inverse_cdf(p, torch.tensor([next(steps)]).to(p))}
        chosen = live_sampling.samplers({**settings, "temperature": temperature})
    else:
        how, chosen = {}, [generation.RepetitionPenalty(1.2)]
    (expected,) = generation.generate(in_page, [ids], chosen, max_new_tokens=40, **how).ids
    assert written == [tokenizer.tokens[i] for i in expected]
    assert len(set(written)) > 5


# -- its files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "most"), [(NAME, 1000), (POEMS, 1500)])
def test_it_is_small(name, most):
    assert sum(path.stat().st_size for path in live_models.loaded(name)) < most * KB
    # The script of the board is loaded by another page, and measured in tests/site/test_board.py.
    scripts = {*(ROOT / "web" / "js" / "live").glob("*.js")} - {
        ROOT / "web" / "js" / board_directive.SCRIPT
    }
    assert sum(path.stat().st_size for path in scripts) < 48 * KB


def test_it_can_be_read_back_from_its_files(model, tokenizer, tmp_path):
    written = live_export.write(model, tokenizer, "other", tmp_path)
    assert_read_back(written, tokenizer, live_export.read("other", tmp_path))


def test_a_model_of_poems_can_be_read_back_from_its_files(poet, characters, tmp_path):
    written = live_poems.write(poet, characters, "other", tmp_path)
    assert_read_back(written, characters, live_poems.read("other", tmp_path))


def assert_read_back(model, tokenizer, found):
    """Hold what was read to what was written: the tokens, and each weight to the last bit."""
    again, tokens = found
    assert tokens.tokens == tokenizer.tokens
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def test_the_stored_poem_is_what_the_trained_model_writes():
    model, tokens = live_poems.read(POEMS)
    (answer,) = live_models.stored(POEMS)["answers"].values()
    assert live_poems.answer(model, tokens, live_poems.BEGINNINGS[0]) == answer
    assert answer["written"][-1] == "。"
    assert not {live_poems.BEGIN, live_poems.END, live_poems.UNKNOWN} & set(answer["written"])


def test_poems_need_their_tokens(poet, characters, tmp_path):
    bare = Characters([*characters.entries, "無"], [live_poems.BEGIN])
    with pytest.raises(ValueError, match="end"):
        live_poems.write(poet, bare, "other", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("language", "after", "then", "ks"),
    [("en", " She", " ate a", (7, 20)), ("zh", "她", "吃了一个", (7, 12))],
)
def test_the_page_asks_what_has_the_answer_that_it_gives(language, after, then, ks):
    """Top-k has no setting for both places, and the two that are named are right at both."""
    notebook = json.loads((ROOT / f"{SAMPLING}.ipynb").read_text(encoding="utf-8"))
    (text,) = (source for c in notebook["cells"] if ":sampler:" in (source := "".join(c["source"])))
    assert "Top-p 0.98 and min-p 0.05 are right at both" in text
    model, words = live_export.read(NAME)
    begun = live_export.BEGINNINGS[language][0]
    assert begun.endswith(after)
    for place, k in zip((begun, begun + then), ks, strict=True):
        is_right = judge(TinyWorld(language=language), model, words, place)
        assert [other for other in range(1, 100) if is_right(k=other)] == [k]
        assert is_right(p=0.98)
        assert is_right(least=0.05)


@torch.no_grad()
def judge(world: TinyWorld, model: GPT, words: Words, text: str) -> Callable[..., bool]:
    """Return what tells whether samplers leave exactly those tokens that can follow a text."""
    ids = words.encode(live_export.BEGIN + text, allow_special=True)
    logits, possible = model(torch.tensor([ids]))[0, -1].tolist(), world.next_tokens(text, words)

    def is_right(**chosen: float) -> bool:
        left = live_sampling.left(logits, ids, neutral(**chosen))
        return set(left.nonzero()[:, 0].tolist()) == set(possible)

    return is_right


# -- where nothing can run -------------------------------------------------------------------------


@pytest.fixture
def small_book(tmp_path):
    """Return a book of two pages, on the second of which a model lives."""
    small_books.write_book(tmp_path, "A page whose only words are these.")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: alive\n")
    asked = [(NAME, ""), (NAME, ":sampler:\n"), (POEMS, ":sampler:\n")]
    forms = "".join(f"```{{live-model}} {name}\n{option}```\n\n" for name, option in asked)
    (tmp_path / "alive.md").write_text(f"# Alive\n\n{forms}")
    return tmp_path


@pytest.mark.parametrize(("builder", "file"), [("printed", "book.html"), ("ebook", "pages.json")])
def test_on_paper_and_on_e_readers_it_is_a_picture(run_builder, small_book, builder, file):
    assert run_builder(builder, small_book) == 0
    made = editions.place(builder, small_book, editions.edition("en"))
    text = (made / file).read_text(encoding="utf-8")
    for file in (f"{NAME}.svg", f"{NAME}-sampler.svg", f"{POEMS}-sampler.svg"):
        assert f"_images/{file}" in text
        assert (made / "_images" / file).is_file()
    assert "can be changed on the site" in text
    assert "<form" not in text


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.folder)
def test_in_a_notebook_it_is_a_picture_with_the_address_of_the_page(edition):
    drawing = drawing_in_a_notebook(edition, extension.INSIDE)
    answer = live_models.stored(NAME)["answers"][edition.folder]
    shown = [f">{100 * p:.1f}%<" for _, p, _ in answer["next"]]
    assert [number for number in shown if number not in drawing] == []
    assert drawing.count("fill-opacity") == sum(range(len(answer["tokens"]) + 1))
    assert ("Model" in drawing) == (edition.folder == "en")


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.folder)
def test_in_a_notebook_samplers_are_a_picture_of_what_they_leave(edition):
    drawing = drawing_in_a_notebook(edition, extension.SAMPLER)
    answer = live_models.stored(NAME)["answers"][edition.folder]
    p = torch.tensor(answer["logits"]).softmax(dim=-1)
    kept = generation.TopP(0.9)(torch.tensor([answer["logits"]]))[0].softmax(dim=-1)
    likeliest = p.topk(10).indices
    numbers = [*(100 * p[likeliest]).tolist(), *(100 * kept[likeliest]).tolist()]
    assert [f">{x:.1f}%<" for x in numbers if x and f">{x:.1f}%<" not in drawing] == []
    assert drawing.count("line-through") == int((kept[likeliest] == 0).sum()) > 0
    assert "Top-p 0.9" in drawing
    assert ("Model" in drawing) == (edition.folder == "en")


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.folder)
def test_in_a_notebook_a_poem_stands_above_what_the_samplers_leave(edition):
    drawing = drawing_in_a_notebook(edition, extension.SAMPLER, POEMS)
    (answer,) = live_models.stored(POEMS)["answers"].values()
    poem = "".join([*answer["tokens"][1:], *answer["written"]])
    for couplet in poem.split("。")[:-1]:
        assert f">{couplet}。<" in drawing
    p = torch.tensor(answer["logits"]).softmax(dim=-1)
    assert f">{100 * p.max():.1f}%<" in drawing
    assert phrases.speaker(ROOT, edition.language)("Grammar") not in drawing


def drawing_in_a_notebook(edition, kind: str, name: str = NAME) -> str:
    """Return the drawing that stands in a notebook in a live model's place, with its address."""
    document = nodes.document(None, None)
    document += extension.live_model(name=name, kind=kind)
    config = SimpleNamespace(html_context={"edition": edition})
    say = phrases.speaker(ROOT, edition.language)
    extension.hold_still(document, config, say, "https://a.b/c")
    picture, words = document.children
    assert words[-1]["refuri"] == words[-1].astext() == "https://a.b/c"
    data = re.search('base64,([^"]+)"', picture.astext())[1]
    return base64.b64decode(data).decode()


@pytest.mark.parametrize(("name", "said"), [("nobody", "nobody"), (POEMS, "needs the option")])
def test_a_model_that_cannot_be_shown_stops_the_build(run_builder, small_book, capfd, name, said):
    (small_book / "alive.md").write_text(f"# Alive\n\n```{{live-model}} {name}\n```\n")
    assert run_builder("html", small_book) == 1
    assert said in capfd.readouterr().err


# -- on the page -----------------------------------------------------------------------------------


def form(visit, model: str = NAME):
    return visit.page.locator(f'.live[data-name="{model}"]')


def parts(visit, name: str, model: str = NAME):
    return form(visit, model).locator(f'[data-part="{name}"]')


def asked_for(visit) -> list[str]:
    names = visit.page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    return [name for name in names if "/models/" in name]


def awake(visit, model: str = NAME):
    """Load the model and the page's pictures, cut the network, and return the visit."""
    parts(visit, "load", model).press("Enter")
    visit.page.locator(f'.live[data-name="{model}"][data-state=alive]').wait_for(timeout=10_000)
    visit.read_through().page.context.set_offline(True)
    return visit


def shown(visit, model: str = NAME) -> list[str]:
    return parts(visit, "next", model).locator("tr").all_text_contents()


@pytest.mark.parametrize("edition", [each.folder for each in EDITIONS])
def test_the_stored_answer_is_what_the_model_says(new_visit, edition):
    visit = new_visit(f"{edition}/chapters/play.html")
    stored, before = live_models.stored(NAME)["answers"][edition], shown(visit)
    assert [row.split("%")[0] for row in before] == [
        f"{token.strip()}{100 * p:.1f}" for token, p, _ in stored["next"]
    ]
    assert asked_for(visit) == []
    live = visit.page.evaluate(
        """async ([tokens, at]) => {
          const script = document.querySelector("script[src*='live/page.js']").src;
          const { load } = await import(script.replace(/page.js.*/, "storyteller.js"));
          const { model, weights } = document.querySelector(".live").dataset;
          const teller = await load(model, weights);
          teller.read(tokens);
          return teller.answer(at);
        }""",
        [stored["tokens"], stored["at"]],
    )
    for key, said in live.items():
        digits = 4 if key in ("next", "loss", "floor") else 2  # maps and vectors are stored in two
        assert flat(stored[key]) == pytest.approx(flat(said), abs=0.51 * 10**-digits)
    awake(visit)
    assert shown(visit) == before


def flat(value) -> list:
    """Return all numbers of nested lists, each of them after the last."""
    if isinstance(value, list):
        return [number for each in value for number in flat(each)]
    return [value] if isinstance(value, int | float) else []


def test_it_is_used_with_the_keyboard_and_without_a_network(new_visit):
    visit = awake(new_visit("en/chapters/play.html"))
    assert [name.rsplit("/", 1)[1].split("?")[0] for name in asked_for(visit)] == [
        f"{NAME}.json",
        f"{NAME}.bin",
    ]
    page, text = visit.page, parts(visit, "text")
    text.fill("One day Ben")
    assert parts(visit, "tokens").locator("label").count() == 4
    candidate = parts(visit, "next").locator("button").first
    candidate.press("Enter")
    assert text.input_value() == "One day Ben went"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert text.input_value() == "One day Ben went to the"
    parts(visit, "tokens").locator("input:checked").press("ArrowLeft")
    assert "“to”" in parts(visit, "expected").text_content()
    before = parts(visit, "taken").text_content()
    parts(visit, "heads").locator("input:checked").press("ArrowRight")
    assert parts(visit, "taken").text_content() != before
    parts(visit, "back").press("Enter")
    assert text.input_value() == "One day Ben went to"
    parts(visit, "write").press("Enter")
    page.get_by_text("The story ends here.").wait_for(timeout=20_000)
    assert text.input_value().endswith(".")
    assert visit.messages == []
    assert visit.strangers == []


def test_it_says_what_it_cannot_read_and_what_cannot_be(new_visit):
    visit = awake(new_visit("en/chapters/play.html"))
    parts(visit, "text").fill("One day Ben went to the moon")
    assert "“moon”" in parts(visit, "status").text_content()
    parts(visit, "text").fill("One day Ben lost")
    assert parts(visit, "status").text_content() == ""
    assert "never writes" in parts(visit, "expected").text_content()
    assert visit.messages == []


def test_a_model_that_does_not_come_leaves_the_stored_answer(new_visit):
    visit = new_visit("en/chapters/play.html")
    before = shown(visit)
    visit.page.route("**/models/**", lambda route: route.abort())
    parts(visit, "load").click()
    visit.page.get_by_text("could not be loaded").wait_for()
    assert shown(visit) == before
    visit.page.unroute("**/models/**")
    awake(visit)


@pytest.mark.parametrize("edition", LANGUAGES)
@pytest.mark.parametrize("name", ["chapters/play", SAMPLING])
def test_on_a_phone_it_fits_and_axe_finds_nothing(new_visit, axe, name, edition):
    visit = awake(new_visit(f"{edition}/{name}.html", **SIZES["phone"]))
    parts(visit, "begin").select_option(live_export.BEGINNINGS[edition][-1])
    assert visit.page.evaluate("questions.width().page") <= SIZES["phone"]["width"]
    boxes = visit.page.evaluate(
        "[...document.querySelectorAll('.live *')].filter((e) => !e.closest('svg, canvas'))"
        ".map((e) => e.getBoundingClientRect().right)"
    )
    assert max(boxes) <= SIZES["phone"]["width"]
    for theme in THEMES:
        visit.wear(theme)
        assert visit.accessibility(axe, context=".live") == []
    assert visit.messages == []


@pytest.mark.parametrize("name", ["chapters/play", SAMPLING])
def test_without_javascript_there_is_a_picture(browser, address, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}en/{name}.html")
    for form in page.locator(".live").all():
        assert form.locator("img").is_visible()
        assert not form.locator("form").is_visible()
    context.close()


# -- samplers on the page --------------------------------------------------------------------------


def slider(visit, name: str, model: str = NAME):
    return form(visit, model).locator(f"input[name={name}]")


def expected_rows(edition: str, model: str = NAME, **settings) -> list[str]:
    """Return what stands in the table of tokens at first, with these settings."""
    answers, names = live_models.stored(model)["answers"], live_models.tokens(model)
    answer = answers[live_models.language_of(model, edition)]
    cut = phrases.speaker(ROOT, editions.edition(edition).language)("cut")
    left = live_sampling.left(answer["logits"], answer["ids"], neutral(**settings)).tolist()
    before = torch.tensor(answer["logits"], dtype=torch.float64).softmax(dim=-1)
    rows = []
    for i in before.argsort(descending=True)[: live_sampling.SHOWN].tolist():
        after = f"{100 * left[i]:.1f}%" if left[i] else cut
        q = dict(answer["truth"]).get(i, 0.0)
        grammar = f"{100 * q:.1f}%" if answer["truth"] else ""
        rows.append(f"{names[i].strip()}{100 * before[i]:.1f}%{after}{grammar}")
    return rows


@pytest.mark.parametrize("edition", LANGUAGES)
def test_samplers_move_before_anything_is_loaded(new_visit, edition):
    visit = new_visit(f"{edition}/{SAMPLING}.html")
    assert shown(visit) == expected_rows(edition, p=0.9)
    slider(visit, "temperature").press("End")
    slider(visit, "k").press("Home")
    slider(visit, "k").press("ArrowRight")
    assert shown(visit) == expected_rows(edition, p=0.9, temperature=2.0, k=2)
    assert slider(visit, "temperature").get_attribute("aria-valuetext") == "2"
    parts(visit, "neutral").press("Enter")
    assert shown(visit) == expected_rows(edition)
    slider(visit, "temperature").press("Home")
    assert [row for row in shown(visit) if "100.0%" in row] == shown(visit)[:1]
    parts(visit, "neutral").press("Enter")
    assert asked_for(visit) == []
    awake(visit)
    assert shown(visit) == expected_rows(edition)


def test_a_text_is_written_by_the_keyboard_and_the_same_again_for_one_seed(new_visit):
    visit = awake(new_visit(f"en/{SAMPLING}.html"))
    story, begun = parts(visit, "tokens"), live_export.BEGINNINGS["en"][0]
    for _ in range(3):
        parts(visit, "one").press("Enter")
    three = story.text_content()
    *_, last = Words.cut(three)
    assert Words.cut(three)[:-3] == Words.cut(begun)
    assert f"“{last.strip()}”" in parts(visit, "status").text_content()
    parts(visit, "back").press("Enter")
    assert story.text_content() == three.removesuffix(last)
    assert f"“{last.strip()}”" in parts(visit, "drawn").text_content()
    parts(visit, "one").press("Enter")
    assert story.text_content() == three
    ends = [told(visit, seed) for seed in (3, 4, 3)]
    assert ends[0] == ends[2] != ends[1]
    assert all(text.startswith(begun) and text.endswith(".") for text in ends)
    parts(visit, "restart").press("Enter")
    assert story.text_content() == begun
    assert visit.messages == []
    assert visit.strangers == []


def told(visit, seed: int) -> str:
    """Let the model write to the end of a story."""
    parts(visit, "seed").fill(str(seed))
    parts(visit, "restart").press("Enter")
    assert parts(visit, "status").text_content() == ""
    parts(visit, "write").press("Enter")
    visit.page.get_by_text("The story ends here.").wait_for(timeout=20_000)
    return parts(visit, "tokens").text_content()


def test_a_token_that_cannot_be_is_marked_and_what_was_cut_can_be_taken(new_visit):
    visit = awake(new_visit(f"en/{SAMPLING}.html"))
    marked, verdict = visit.page.locator(".live .wrong"), parts(visit, "verdict")
    assert marked.count() == 0
    row = parts(visit, "next").locator("tr.cut", has_text="found")
    row.locator("button").press("Enter")
    assert marked.text_content() == " found"
    assert "“found” cannot stand" in verdict.text_content()
    assert "no token is right" in parts(visit, "left").text_content()
    parts(visit, "back").press("Enter")
    assert marked.count() == 0
    parts(visit, "text").fill("One day Ben went to the moon")
    assert "“moon”" in parts(visit, "status").text_content()
    parts(visit, "text").fill("One day Ben lost")
    assert marked.text_content() == " lost"
    whole = "One day Ben went to the lake. He met Mia. He sang a song. In the end Ben felt glad."
    parts(visit, "text").fill(whole)
    assert parts(visit, "tokens").text_content() == whole
    assert "a whole story" in verdict.text_content()
    assert visit.messages == []


def test_only_a_setting_that_was_moved_is_said_to_those_who_listen(new_visit):
    visit = awake(new_visit(f"en/{SAMPLING}.html"))
    slider(visit, "k").press("ArrowLeft")
    assert parts(visit, "left").get_attribute("aria-live") == "polite"
    parts(visit, "one").press("Enter")
    assert parts(visit, "left").get_attribute("aria-live") == "off"


# -- poems on the page -----------------------------------------------------------------------------


def stored_poem() -> str:
    (answer,) = live_models.stored(POEMS)["answers"].values()
    return "".join([*answer["tokens"][1:], *answer["written"]])


def poem_on(visit) -> str:
    return parts(visit, "tokens", POEMS).text_content().replace("\n", "")


@pytest.mark.parametrize("edition", LANGUAGES)
def test_a_stored_poem_is_there_and_the_model_writes_the_same(new_visit, edition):
    """Samplers can be moved before anything is loaded; the other model of the page sleeps on."""
    visit = new_visit(f"{edition}/chapters/play.html")
    assert poem_on(visit) == stored_poem()
    assert shown(visit, POEMS) == expected_rows(edition, POEMS, p=0.9)
    slider(visit, "k", POEMS).press("Home")
    assert shown(visit, POEMS) == expected_rows(edition, POEMS, p=0.9, k=1)
    assert poem_on(visit) == live_poems.BEGINNINGS[0]  # with these samplers it would be another
    slider(visit, "k", POEMS).press("End")
    assert asked_for(visit) == []
    awake(visit, POEMS)
    loaded = [name.rsplit("/", 1)[1].split("?")[0] for name in asked_for(visit)]
    assert sorted(loaded) == [f"{POEMS}.bin", f"{POEMS}.json"]  # they come in any order
    parts(visit, "write", POEMS).press("Enter")
    visit.page.wait_for_function(
        "text => document.querySelector('.live[data-name=tang-poems] [data-part=tokens]')"
        ".textContent.replaceAll('\\n', '') === text",
        arg=stored_poem(),
        timeout=30_000,
    )
    assert form(visit).get_attribute("data-state") == "stored"
    assert visit.messages == []
    assert visit.strangers == []


def test_a_poem_is_begun_with_any_characters_and_its_lines_are_counted(new_visit):
    visit = awake(new_visit("en/chapters/play.html"), POEMS)
    text, verdict = parts(visit, "text", POEMS), parts(visit, "verdict", POEMS)
    text.fill("春风龘夜，不见人。a")
    status = parts(visit, "status", POEMS).text_content()
    assert "“龘a”" in status
    assert "3,000" in status
    assert parts(visit, "tokens", POEMS).text_content() == "春風□夜，不見人。\n□"
    assert verdict.text_content() == "Characters in its lines: 4, 3, 1."
    text.fill("月")
    assert parts(visit, "status", POEMS).text_content() == ""
    parts(visit, "one", POEMS).press("Enter")
    assert len(poem_on(visit)) == 2
    parts(visit, "back", POEMS).press("Enter")
    assert poem_on(visit) == "月"
    button = parts(visit, "next", POEMS).locator("button").first
    first = button.text_content()
    button.press("Enter")
    assert poem_on(visit) == f"月{first}"
    text.fill("")
    assert poem_on(visit) == ""
    parts(visit, "write", POEMS).press("Enter")
    visit.page.get_by_text("The poem ends here.").wait_for(timeout=30_000)
    assert poem_on(visit)[-1] in "。？！"
    assert visit.messages == []


@pytest.mark.parametrize("edition", LANGUAGES)
def test_poems_fit_a_phone_and_axe_finds_nothing(new_visit, axe, edition):
    visit = awake(new_visit(f"{edition}/chapters/play.html", **SIZES["phone"]), POEMS)
    parts(visit, "begin", POEMS).select_option(live_poems.BEGINNINGS[1])
    assert visit.page.evaluate("questions.width().page") <= SIZES["phone"]["width"]
    for theme in THEMES:
        visit.wear(theme)
        assert visit.accessibility(axe, context=f'.live[data-name="{POEMS}"]') == []
    assert visit.messages == []
