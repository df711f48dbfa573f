"""``python -m companion.data``: what it says, and how it exits."""

import pytest

from companion.data import __main__ as command
from companion.data import fetching
from tests.data.server import CONTENT, register, toy
from tests.verification import same

NOWHERE = "http://127.0.0.1:9/{}"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Two sets, and a folder that has the first of the one and none of the other."""
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COMPANION_MIRROR", raising=False)
    monkeypatch.setattr(fetching, "_announced", {"here", "there", "many"})
    many = [f"{i}.bin" for i in range(30)]
    register(
        monkeypatch,
        toy(NOWHERE, name="here"),
        toy(NOWHERE, name="there", files=("a.bin", "b.bin")),
        toy(NOWHERE, name="many", files=many),
    )
    for name in ("here/a.bin", *(f"many/{file}" for file in many)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        code = command.main(list(arguments))
        return code, *capsys.readouterr()

    return run


def test_list(folder, run):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert "here                   0.2 MB    here\n" in out
    assert "there                  0.4 MB    not here\n" in out
    assert "A toy: for tests\n" in out
    assert "train 204,800 (a row: a byte)\n" in out
    assert "licence: CC0\n" in out


def test_list_of_one(folder, run):
    code, out, _ = run("list", "there")
    assert code == 0
    assert out.startswith("there ")
    assert "\nhere " not in out


def test_list_of_half_a_set(folder, run):
    (folder / "there").mkdir()
    (folder / "there" / "a.bin").write_bytes(CONTENT)
    assert "incomplete: python -m companion.data verify there" in run("list", "there")[1]


def test_verify(folder, run):
    code, out, _ = run("verify", "here")
    same("__main__.main verify", "by hand", code, 0)
    assert f"ok       {folder / 'here' / 'a.bin'}" in out


def test_verify_says_what_is_missing(folder, run):
    code, out, _ = run("verify", "there")
    same("__main__.main verify", "by hand", code, 1)
    assert "there/b.bin             missing  http://127.0.0.1:9/b.bin" in out


def test_verify_of_all_minds_only_damage(folder, run):
    assert run("verify")[0] == 0
    (folder / "here" / "a.bin").write_bytes(b"!")
    code, out, _ = run("verify")
    same("__main__.main verify", "by hand", code, 1)
    assert "here/a.bin              damaged" in out
    assert "there/a.bin             missing" in out


def test_verify_sums_up_many_files(folder, run):
    assert run("verify", "many")[1] == "many                    30 files ok\n"
    (folder / "many" / "3.bin").write_bytes(b"!")
    code, out, _ = run("verify", "many")
    assert code == 1
    assert "many/3.bin              damaged" in out
    assert "29 files ok, 1 files damaged" in out


def test_verify_looks_into_the_cache(folder, run):
    for name, content in (("a.bin", CONTENT), ("b.bin", b"!")):
        (folder / "cache" / "there").mkdir(parents=True, exist_ok=True)
        (folder / "cache" / "there" / name).write_bytes(content)
    code, out, _ = run("verify", "there")
    assert code == 1
    assert "there/a.bin             ok" in out
    assert f"damaged  {folder / 'cache' / 'there' / 'b.bin'}: the next fetch replaces it" in out


def test_fetch(folder, run):
    code, out, err = run("fetch", "here", "there", "many")
    same("__main__.main fetch", "by hand", code, 1)
    assert f"here                   {folder / 'here'}\n" in out
    assert f"many                   {folder / 'many'}\n" in out  # one that fails stops no other
    assert "there: the data set 'there' is not on this machine" in err


def test_fetch_all(folder, run):
    assert run("fetch", "here", "many")[0] == 0
    code, _, err = run("fetch", "--all")
    assert code == 1
    assert "there: the data set" in err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["fetch"], "fetch needs names of sets, or --all"),
        (["fetch", "--all", "here"], "fetch needs names of sets, or --all"),
        (["verify", "heer"], "did you mean 'here'"),
        ([], "required"),
    ],
)
def test_what_makes_no_sense(folder, arguments, why, capsys):
    with pytest.raises(SystemExit) as error:
        command.main(arguments)
    assert error.value.code == 2
    assert why in capsys.readouterr().err


def test_the_digits_need_no_file(run):
    assert run("verify", "digits") == (
        0,
        "digits                  ok       with scikit-learn\n",
        "",
    )
    assert run("fetch", "digits")[0] == 0
    assert "with scikit-learn" in run("list", "digits")[1]
