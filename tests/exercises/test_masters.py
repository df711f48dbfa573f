"""What holds for every exercise: its solution passes, its wrong answers fail, nothing leaks."""

import ast
import collections
import dataclasses
import functools
import inspect
import itertools
import re
import textwrap

import nbformat
import pytest

from assign import localise, sources, texts
from companion.notebook import CheckFailed
from exercises import KINDS, TEXTS, Check, run
from tests.exercises.quick import MASTERS, MODULES, quick  # noqa: F401
from tools.book import contents
from tools.words import translation_checks

EXERCISES = [m.page for module in MODULES.values() for m in module.MASTERS]
SETUP = {m.page.id: module.SETUP for module in MODULES.values() for m in module.MASTERS}
pytestmark = pytest.mark.usefixtures("quick")


def answer(exercise, code):
    return run(SETUP[exercise.id], code)


def each(exercises):
    return pytest.mark.parametrize("exercise", exercises, ids=lambda e: e.id)


# -- checks --------------------------------------------------------------------------------------


@each(EXERCISES)
def test_the_solution_passes(exercise):
    assert exercise.failures(answer(exercise, exercise.solution)) == []


@pytest.mark.parametrize(
    ("exercise", "mistake"),
    [
        pytest.param(e, mistake, id=f"{e.id}: {mistake}")
        for e in EXERCISES
        for mistake in e.wrong_answers
    ],
)
def test_a_wrong_answer_fails_with_a_message_that_helps(exercise, mistake):
    found = exercise.failures(answer(exercise, exercise.wrong_answers[mistake]))
    assert found
    assert all(len(message.split()) >= 6 for message in found)
    told = [message for message in found if not message.startswith("The answer could not be used")]
    assert told, "no check says in its own words what is wrong"


@each(EXERCISES)
def test_an_empty_answer_fails_every_check(exercise):
    assert len(exercise.failures({})) == len(exercise.visible) + len(exercise.hidden)


@each(EXERCISES)
def test_the_starter_fails(exercise):
    assert exercise.starter
    assert exercise.failures(answer(exercise, exercise.starter))


@each(EXERCISES)
def test_there_are_checks_and_wrong_answers(exercise):
    assert exercise.visible
    assert exercise.hidden
    assert len(exercise.wrong_answers) >= 2


@each(EXERCISES)
def test_what_a_check_says_stands_in_one_piece(exercise):
    """Only a whole message is translated; half of one from elsewhere would stay English."""
    source = sources.gather([c.function for c in (*exercise.visible, *exercise.hidden)])
    said = " ".join(localise.messages(source))
    tree = ast.parse(source)
    explained = {
        ast.get_docstring(n, clean=False) for n in tree.body if isinstance(n, ast.FunctionDef)
    }
    strings = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    sentences = [s for s in strings if isinstance(s, str) and re.search(r"[a-z]+ [a-z]+ [a-z]+", s)]
    assert [s for s in sentences if s not in explained and s not in said] == []
    choices = [n for n in ast.walk(tree) if isinstance(n, ast.FormattedValue)]
    assert [ast.unparse(n) for n in choices if isinstance(n.value, ast.IfExp)] == []


def test_a_check_says_what_is_missing_and_what_broke():
    def halves(a, b, *, factor):
        if a * factor != b:
            raise AssertionError("b should be the double of a")

    check = Check(halves, {"factor": 2})
    assert check.needs == ["a", "b"]
    assert check.failure({"a": 1, "b": 2}) == ""
    assert check.failure({"a": 1, "b": 3}) == "b should be the double of a"
    assert "define a, b" in check.failure({"a": ...})
    assert "define a, b" in check.failure({"a": [1, ...], "b": lambda x: None})
    assert "TypeError" in check.failure({"a": None, "b": 1})


# -- what a master holds -------------------------------------------------------------------------


@pytest.mark.chapter
def test_ids_are_unique_and_named_after_their_chapter():
    ids = [exercise.id for exercise in EXERCISES]
    assert len(set(ids)) == len(ids)
    for name, module in MODULES.items():
        for exercise in (m.page for m in module.MASTERS):
            assert re.fullmatch(rf"{name.replace('_', '-')}(-[a-z0-9]+)+", exercise.id)
            assert len(f"exercise-{exercise.id}") <= 64


# What the exercises of a chapter are together is looked at on its page: `tools.chapters.anatomy`.
@each(EXERCISES)
def test_the_kind_is_known(exercise):
    assert exercise.kind in KINDS


def test_the_mix_of_attention():
    kinds = collections.Counter(m.page.kind for m in MODULES["attention"].MASTERS)
    assert kinds == {"by hand": 2, "predict": 1, "code": 3, "measure": 1, "open": 1}


@each(EXERCISES)
def test_every_part_is_there(exercise):
    assert exercise.minutes > 0
    assert exercise.points > 0
    for part in (exercise.question, exercise.hint, exercise.explanation):
        assert len(part.split()) >= 6


@each(EXERCISES)
def test_a_kind_and_a_difficulty_must_be_known(exercise):
    values = {
        name: getattr(exercise, name) for name in inspect.signature(type(exercise)).parameters
    }
    with pytest.raises(ValueError, match="kind must be one of by hand"):
        type(exercise)(**{**values, "kind": "essay"})
    with pytest.raises(ValueError, match="difficulty must be 1, 2 or 3, got 4"):
        type(exercise)(**{**values, "difficulty": 4})
    with pytest.raises(ValueError, match="by_hand must be 0 to"):
        type(exercise)(**{**values, "by_hand": exercise.points})
    with pytest.raises(ValueError, match=r"values must hold nobody: .*\{\{nobody\}\}"):
        type(exercise)(**{**values, "hint": "Ask {{nobody}}."})


@pytest.mark.chapter
def test_no_two_exercises_ask_for_the_same_name():
    """A notebook has one room for all names."""
    asked = {
        e.id: {name for check in (*e.visible, *e.hidden) for name in check.needs} for e in EXERCISES
    }
    counted = collections.Counter(name for names in asked.values() for name in names)
    assert [name for name, count in counted.items() if count > 1] == []


@each(EXERCISES)
def test_the_visible_checks_bring_nothing_hidden_along(exercise):
    shown = sources.gather([check.function for check in exercise.visible])
    for check in exercise.hidden:
        assert f"def {check.function.__name__}(" not in shown
    assert not any(line in flat(shown) for line in pairs_of_lines(exercise.solution))


# -- what is filled in stays as it is in every language ------------------------------------------

VALUE = re.compile("\ue010([^\ue011]*)\ue011")
ITALIC = re.compile(r"(?<!\*)\*(?!\*)[^*]+\*(?!\*)")  # a word that is spoken of, not said


def words_filled_in(exercise):
    """Return the words that values say: not code, formulas, what is spoken of, or an answer."""
    strings = (
        n.value for n in ast.walk(ast.parse(exercise.solution)) if isinstance(n, ast.Constant)
    )
    answers = {value for value in strings if isinstance(value, str)}
    marked = {name: f"\ue010{value}\ue011" for name, value in exercise.values.items()}
    found = set()
    for message in (m for part in TEXTS for m in texts.messages(getattr(exercise, part))):
        text = ITALIC.sub("", translation_checks.masked(texts.fill(message, marked)))
        said = {value for value in VALUE.findall(text) if value not in answers}
        found |= {word for value in said for word in re.findall(r"[^\W\d_]{2,}", value)}
    return found


@pytest.mark.parametrize("master", [m for _, m in MASTERS], ids=lambda m: m.exercise.__module__)
def test_what_is_filled_in_says_nothing_in_words(master):
    """Texts are translated before they are filled: a sentence in a value would stay English."""
    assert [words for e in master.variants(20) if (words := words_filled_in(e))] == []


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        ("Ask {{this}} about it.", "the *teacher*", {"the"}),
        ("Ask **{{this}}** about it.", "nobody", {"nobody"}),
        ("Ask *{{this}}*, `{{this}}` and ${{this}}$ about it.", "nobody", set()),
        ("Ask {{this}} about it.", "*tin* 4, `the`, $\\ln 2$, x_1 (a)", set()),
    ],
)
def test_words_that_are_filled_in_would_be_found(hint, value, words):
    exercise = EXERCISES[0]
    values = {**exercise.values, "this": value}
    assert words_filled_in(dataclasses.replace(exercise, hint=hint, values=values)) == words


# -- nothing leaks -------------------------------------------------------------------------------


def book():
    """Return all that the book's notebooks hold, without line breaks and indentation."""
    notebooks = [nbformat.read(path, as_version=4) for path in contents.notebooks()]
    return flat("\n".join(cell.source for notebook in notebooks for cell in notebook.cells))


def flat(text):
    return " ".join(text.split())


def pairs_of_lines(code):
    lines = [line.strip() for line in code.splitlines() if len(line.strip()) > 8]
    return {flat(f"{a} {b}") for a, b in itertools.pairwise(lines)}


def sentences(text):
    return {s for s in re.split(r"(?<=[.:;?]) ", flat(text)) if len(s) > 40}


def secrets(exercise):
    """Return what must not be found: hidden checks, and the solution if it is not public."""
    found = set()
    for check in exercise.hidden:
        source = inspect.getsource(check.function)
        found |= pairs_of_lines(source) | sentences(inspect.getdoc(check.function))
    if not exercise.public_solution:
        found |= pairs_of_lines(exercise.solution) | sentences(exercise.text("explanation"))
    shown = flat(f"{exercise.starter} {exercise.text('question')} {exercise.text('hint')}")
    return {secret for secret in found if secret not in shown}


@each(EXERCISES)
def test_the_book_gives_nothing_away(exercise):
    text = book()
    assert [secret for secret in secrets(exercise) if secret in text] == []


@each([e for e in EXERCISES if not e.public_solution])
def test_what_leaks_would_be_found(exercise):
    text = flat(exercise.solution + "\n" + exercise.text("explanation"))
    assert any(secret in text for secret in secrets(exercise))


# -- what a reader tries on the page -------------------------------------------------------------

TRIALS = [e for e in EXERCISES if e.trial]


@functools.cache
def imports_of(chapter):
    """Return what the notebook with a chapter's exercises imports."""
    path = next(c.last for c in contents.chapters() if c.module == chapter)
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    found = (node for cell in cells[1:] for node in ast.parse(cell).body)
    lines = [ast.unparse(n) for n in found if isinstance(n, ast.Import | ast.ImportFrom)]
    return "\n".join(lines)


def try_on_the_page(exercise, code):
    """Run an answer where the exercise stands, and then its check."""
    names = {}
    chapter = next(
        name for name, module in MODULES.items() if exercise in [m.page for m in module.MASTERS]
    )
    for part in (imports_of(chapter), exercise.starter, code, exercise.trial):
        exec(textwrap.dedent(part), names)


def test_every_exercise_can_be_checked_on_its_page():
    """By running a check; what was found by hand, and so is not run, by its solution, too."""
    unchecked = [e for e in EXERCISES if not e.trial and e.kind != "open"]
    assert [e.id for e in unchecked if e.kind != "by hand" or not e.public_solution] == []


@each(TRIALS)
def test_the_page_s_check_passes_the_solution(exercise, capsys):
    try_on_the_page(exercise, exercise.solution)
    assert "✓" in capsys.readouterr().out


# One run in one process does not show these.
BEYOND_A_PAGE = {"the order of a set", "at least for more than"}


@pytest.mark.parametrize(
    ("exercise", "mistake"),
    [
        pytest.param(e, m, id=f"{e.id}: {m}")
        for e in TRIALS
        for m in e.wrong_answers
        if m not in BEYOND_A_PAGE
    ],
)
def test_the_page_s_check_finds_the_wrong_answers(exercise, mistake):
    with pytest.raises(CheckFailed):
        try_on_the_page(exercise, exercise.wrong_answers[mistake])
