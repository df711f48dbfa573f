"""A model that lives in the page: its JavaScript computes what torch and the grammar compute."""

from __future__ import annotations

import base64
import random
import re
import threading
from types import SimpleNamespace

import pytest
import torch
from docutils import nodes

from companion.models import GPT, GPTConfig
from companion.tinyworld import TinyWorld
from companion.tokenizers import Words
from tests.site import small_books
from tests.site.conftest import EDITIONS, ROOT
from tests.site.visits import SIZES, THEMES
from tools import editions, live_export, live_models, phrases, site, staging
from tools.extensions import live_models as extension

pytestmark = [pytest.mark.browser, pytest.mark.chapter("transformer")]
NAME = "tiny-world"
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
    torch.manual_seed(0)
    sizes = {"d_model": 24, "n_layers": 3, "n_heads": 4, "max_length": 96}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **sizes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return model


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory, model, tokenizer):
    """Return an empty page of a site that has the scripts, and the random model in `teller`."""
    root = tmp_path_factory.mktemp("live")
    staging.stage_live(ROOT, root)
    live_export.write(model, tokenizer, "random", root / "models")
    (root / "index.html").write_text("<!DOCTYPE html><title>Live</title>")
    server = site.make_server(root)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
    page.evaluate("""async () => {
      const { load } = await import("./live/storyteller.js");
      window.teller = await load("models/random.json", "models/random.bin");
      window.words = await import("./live/words.js");
    }""")
    yield page
    page.close()
    server.shutdown()
    server.server_close()


COMPUTE = """text => {
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
        found = page.evaluate(COMPUTE, text)
        ids = tokenizer.encode(live_export.BEGIN + text, allow_special=True)
        assert found["tokens"] == [tokenizer.tokens[i] for i in ids]
        trace = in_page.trace(torch.tensor([ids]))
        compare(found["stream"], trace.stream[:, 0].transpose(0, 1))
        compare(found["logits"], trace.logits[0])
        for at, maps in enumerate(found["attention"]):
            compare(maps, trace.weights[:, 0, :, at, : at + 1])


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


# -- its files -------------------------------------------------------------------------------------


def test_it_is_small():
    assert sum(path.stat().st_size for path in live_models.loaded(NAME)) < 1000 * KB
    scripts = list((ROOT / "web" / "js" / "live").glob("*.js"))
    assert sum(path.stat().st_size for path in scripts) < 40 * KB


# -- where nothing can run -------------------------------------------------------------------------


@pytest.fixture
def small_book(tmp_path):
    """Return a book of two pages, on the second of which a model lives."""
    small_books.write_book(tmp_path, "A page whose only words are these.")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n- file: alive\n")
    (tmp_path / "alive.md").write_text(f"# Alive\n\n```{{live-model}} {NAME}\n```\n")
    return tmp_path


@pytest.mark.parametrize(("builder", "file"), [("printed", "book.html"), ("ebook", "pages.json")])
def test_on_paper_and_on_e_readers_it_is_a_picture(run_builder, small_book, builder, file):
    assert run_builder(builder, small_book) == 0
    made = editions.place(builder, small_book, editions.edition("en"))
    text = (made / file).read_text(encoding="utf-8")
    assert (made / re.search(rf"_images/{NAME}\.svg", text)[0]).is_file()
    assert "can be changed on the site" in text
    assert "<form" not in text


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.folder)
def test_in_a_notebook_it_is_a_picture_with_the_address_of_the_page(edition):
    document = nodes.document(None, None)
    document += extension.live_model(name=NAME)
    config = SimpleNamespace(html_context={"edition": edition})
    extension.hold_still(document, config, phrases.speaker(ROOT, edition.language), "https://a.b/c")
    picture, words = document.children
    assert words[-1]["refuri"] == words[-1].astext() == "https://a.b/c"
    data = re.search('base64,([^"]+)"', picture.astext())[1]
    drawing = base64.b64decode(data).decode()
    answer = live_models.stored(NAME)["answers"][edition.folder]
    shown = [f">{100 * p:.1f}%<" for _, p, _ in answer["next"]]
    assert [number for number in shown if number not in drawing] == []
    assert drawing.count("fill-opacity") == sum(range(len(answer["tokens"]) + 1))
    assert ("Model" in drawing) == (edition.folder == "en")


def test_a_model_that_is_not_there_stops_the_build(run_builder, small_book, capfd):
    (small_book / "alive.md").write_text("# Alive\n\n```{live-model} nobody\n```\n")
    assert run_builder("html", small_book) == 1
    assert "nobody" in capfd.readouterr().err


# -- on the page -----------------------------------------------------------------------------------


def parts(visit, name: str):
    return visit.page.locator(f'.live [data-part="{name}"]')


def asked_for(visit) -> list[str]:
    names = visit.page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    return [name for name in names if "/models/" in name]


def awake(visit):
    """Load the model, cut the network, and return the visit."""
    parts(visit, "load").press("Enter")
    visit.page.locator(".live[data-state=alive]").wait_for(timeout=10_000)
    visit.wait().page.context.set_offline(True)
    return visit


def shown(visit) -> list[str]:
    return parts(visit, "next").locator("tr").all_text_contents()


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


@pytest.mark.parametrize("name", ["en", "zh"])
def test_on_a_phone_it_fits_and_axe_finds_nothing(new_visit, axe, name):
    visit = awake(new_visit(f"{name}/chapters/play.html", **SIZES["phone"]))
    parts(visit, "begin").select_option(live_export.BEGINNINGS[name][-1])
    assert visit.page.evaluate("questions.width().page") <= SIZES["phone"]["width"]
    boxes = visit.page.evaluate(
        "[...document.querySelectorAll('.live *')].filter((e) => !e.closest('svg, canvas'))"
        ".map((e) => e.getBoundingClientRect().right)"
    )
    assert max(boxes) <= SIZES["phone"]["width"]
    for theme in THEMES:
        visit.wear(theme)
        assert visit.accessibility(axe) == []
    assert visit.messages == []


def test_without_javascript_there_is_a_picture(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}en/chapters/play.html")
    assert page.locator(".live img").is_visible()
    assert not page.locator(".live form").is_visible()
    context.close()
