"""The package's wheel, which the site carries: whole, alone, and the same bytes every time."""

import zipfile
from email import message_from_bytes

import companion
from tools.book import contents
from tools.book import wheel as wheels


def test_it_holds_the_whole_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {path for path in (contents.ROOT / "companion").rglob("*") if path.is_file()}
    kept = {path.relative_to(contents.ROOT) for path in files if path.suffix != ".pyc"}
    packaged = {name for name in names if ".dist-info/" not in name}
    assert packaged == {path.as_posix() for path in kept}
    assert wheel.name == wheels.name()
    assert wheels.version() == companion.__version__


def test_it_says_of_itself_what_the_packages_own_readme_says(wheel):
    packed = zipfile.ZipFile(wheel)
    (name,) = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
    said = message_from_bytes(packed.read(name)).get_payload(decode=True).decode("utf-8")
    readme = (contents.ROOT / "companion" / "README.md").read_text(encoding="utf-8")
    assert said.strip() == readme.strip()


def test_the_same_source_gives_the_same_bytes(wheel, tmp_path):
    assert wheels.build(tmp_path).read_bytes() == wheel.read_bytes()


def test_it_is_on_the_site_of_a_book_that_has_a_package(tmp_path):
    wheels.write(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    wheels.write(contents.ROOT, tmp_path / "site")
    assert [path.name for path in (tmp_path / "site" / "wheels").iterdir()] == [wheels.name()]
