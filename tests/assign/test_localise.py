"""What checks say: found in their source, and said in another language."""

import pytest

from assign import localise

SOURCE = '''
def counts(answer, n):
    """Check the count."""
    assert answer, "nothing is there"
    assert answer == n, (
        f"there should be {n} and not {answer!r}, "
        f"which is {100 * answer / n:.1f} percent"
    )
    try:
        answer = int(answer)
    except ValueError as error:
        raise AssertionError(f"{error}: é, a number is needed") from error
    assert answer in (1, 2), f"{answer}"
    print("done {not a part}", f"{answer}", 3)
    print("more" if n > 1 else "less", end="")
    return "not said"
'''
MESSAGES = [
    "nothing is there",
    "there should be {n} and not {answer!r}, which is {100 * answer / n:.1f} percent",
    "{error}: é, a number is needed",
    "done {{not a part}}",
    "more",
    "less",
]


def said(source, *arguments):
    names = {}
    exec(source, names)
    with pytest.raises(AssertionError) as error:
        names["counts"](*arguments)
    return str(error.value)


def test_messages_are_those_that_are_said():
    assert localise.messages(SOURCE) == MESSAGES


def test_nothing_changes_where_nothing_is_translated():
    assert localise.localise(SOURCE, lambda message: message) == SOURCE


def test_a_translation_is_said_in_its_own_order():
    turned = {MESSAGES[1]: "{answer!r}（{100 * answer / n:.1f}%）不对，“应为” {n}"}
    source = localise.localise(SOURCE, lambda message: turned.get(message, message))
    assert said(source, 4, 8) == "4（50.0%）不对，“应为” 8"
    assert said(source, 0, 8) == "nothing is there"


def test_everything_else_stays():
    source = localise.localise(SOURCE, str.upper if False else lambda m: m.replace("is", "ist"))
    assert 'return "not said"' in source
    assert '"""Check the count."""' in source
    assert said(source, 0, 1) == "nothing ist there"


def test_braces_that_are_meant_stay(capsys):
    source = localise.localise(SOURCE, lambda m: m.replace("done", "fertig"))
    names = {}
    exec(source, names)
    names["counts"](1, 1)
    assert capsys.readouterr().out.startswith("fertig {not a part} 1 3")


@pytest.mark.parametrize("foreign", ["{exit()}", "{n.__class__}", "{n:>{answer}}"])
def test_a_translation_cannot_bring_code_along(foreign):
    with pytest.raises(ValueError, match="translation must use only"):
        localise.localise(SOURCE, lambda m: f"{foreign} {m}" if "should" in m else m)
