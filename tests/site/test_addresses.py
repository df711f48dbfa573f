"""A fork is a working book: every address in it is its own."""

import re
import subprocess
import zipfile

import pytest
import yaml

from assign import setup
from tests.site import folders, small_books
from tools.assignments.repository import Repository
from tools.book import addresses, contents, wheel

FORK, PAGES = "ada/fine-book", "https://ada.github.io/fine-book"
WORKFLOWS = contents.ROOT / ".github" / "workflows"
HOLDERS = {".html", ".js", ".ipynb", ".xml", ".txt"}


@pytest.fixture
def nowhere(monkeypatch):
    """Be in no workflow."""
    for name in ("GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


def write_settings(root, baseurl=None):
    url = "https://github.com/NOBODY/book"
    settings = {"repository": {"url": url}, "html": {"baseurl": baseurl or addresses.of_pages(url)}}
    (root / "_config.yml").write_text(yaml.safe_dump(settings))


def git(root, *words):
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- whose book it is ----------------------------------------------------------------------------


def test_without_a_remote_the_settings_hold(nowhere, tmp_path):
    write_settings(tmp_path)
    assert addresses.repository(tmp_path) == "https://github.com/NOBODY/book"
    assert addresses.site(tmp_path) == "https://NOBODY.github.io/book"


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/ada/fine-book",
        "https://github.com/ada/fine-book.git",
        "https://x-access-token:secret@github.com/ada/fine-book/",
        "git@github.com:ada/fine-book.git",
        "ssh://git@github.com/ada/fine-book.git",
    ],
)
def test_the_remote_says_whose_book_it_is(nowhere, tmp_path, remote):
    write_settings(tmp_path)
    git(tmp_path, "init")
    git(tmp_path, "remote", "add", "origin", remote)
    assert addresses.repository(tmp_path) == f"https://github.com/{FORK}"
    assert addresses.site(tmp_path) == PAGES


@pytest.mark.parametrize(
    "remote",
    ["/srv/git/book.git", "https://gitlab.com/ada/book", "https://github.com.evil.org/a/b",
     "https://evil.org/github.com/a/b", "https://github.com/ada"],
)  # fmt: skip
def test_another_remote_says_nothing(nowhere, tmp_path, remote):
    write_settings(tmp_path)
    git(tmp_path, "init")
    git(tmp_path, "remote", "add", "origin", remote)
    assert addresses.repository(tmp_path) == "https://github.com/NOBODY/book"


def test_a_folder_within_another_checkout_has_no_remote(nowhere, tmp_path):
    git(tmp_path, "init")
    git(tmp_path, "remote", "add", "origin", f"https://github.com/{FORK}")
    (tmp_path / "within").mkdir()
    write_settings(tmp_path / "within")
    assert addresses.repository(tmp_path / "within") == "https://github.com/NOBODY/book"


def test_in_a_workflow_github_says_it(monkeypatch, tmp_path):
    write_settings(tmp_path)
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/ada.github.io")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    assert addresses.repository(tmp_path) == "https://github.com/ada/ada.github.io"
    assert addresses.site(tmp_path) == "https://ada.github.io"


def test_a_name_that_is_none_is_refused(monkeypatch, tmp_path):
    write_settings(tmp_path)
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/fine book")
    with pytest.raises(ValueError, match=r"GITHUB_REPOSITORY must be .* got 'ada/fine book'"):
        addresses.repository(tmp_path)


def test_a_domain_of_its_own_is_kept(monkeypatch, tmp_path):
    write_settings(tmp_path, "https://book.example/")
    monkeypatch.setenv("GITHUB_REPOSITORY", FORK)
    assert addresses.is_own_domain(tmp_path)
    assert addresses.site(tmp_path) == "https://book.example"


# -- the site that a fork builds -----------------------------------------------------------------


@pytest.fixture(scope="module")
def fork(tmp_path_factory):
    """Return a book with the real one's settings, built in a workflow of somebody's fork."""
    root = folders.write(tmp_path_factory.mktemp("fork"))
    settings = folders.settings() | {"html": contents.settings()["html"]}
    (root / "_config.yml").write_text(yaml.safe_dump(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_REPOSITORY", FORK)
        assert small_books.build(root) == 0
    return root


@pytest.fixture(scope="module")
def texts(fork):
    """Return the text of every file of the site that can hold an address."""
    found = (fork / "_build" / "html").rglob("*")
    return {path: path.read_text() for path in found if path.suffix in HOLDERS}


def test_nothing_on_the_site_names_the_placeholder(fork, texts):
    owner = contents.settings()["repository"]["url"].split("/")[-2]
    assert len(texts) > 20
    named = re.compile(rf"\b{owner}(?:/|\.github|%2F)")
    assert [path for path, text in texts.items() if named.search(text)] == []


def test_every_link_to_a_repository_or_to_colab_names_the_fork(texts):
    found = re.compile(
        r"https://(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+/[\w.-]+)"
    )
    pages = {path: found.findall(text) for path, text in texts.items() if path.suffix == ".html"}
    named = [name for names in pages.values() for name in names]
    assert len(named) > 20
    assert set(named) == {FORK}


def test_canonical_links_and_the_map_of_the_site_lead_to_the_forks_pages(fork, texts):
    canonical = re.compile(r'<link rel="canonical" href="([^"]+)"')
    links = [link for text in texts.values() for link in canonical.findall(text)]
    assert len(links) >= 8
    places = re.findall("<loc>([^<]+)</loc>", (fork / "_build/html/sitemap.xml").read_text())
    assert all(link.startswith(f"{PAGES}/") for link in links + places)
    assert (fork / "_build/html/.nojekyll").exists()
    assert not (fork / "_build/html/CNAME").exists()


def test_its_notebooks_install_from_the_forks_pages(texts):
    notebooks = [text for path, text in texts.items() if path.suffix == ".ipynb"]
    assert notebooks
    with_cell = [text for text in notebooks if "SITE = " in text]
    assert all(f'SITE = \\"{PAGES}\\"' in text for text in with_cell)


def test_the_wheel_and_the_students_notebook_name_the_fork(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_REPOSITORY", FORK)
    with zipfile.ZipFile(wheel.build(tmp_path)) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith("METADATA"))
        said = packed.read(name).decode()
    assert f"Project-URL: Repository, https://github.com/{FORK}\n" in said
    assert f'"COMPANION_SITE", "{PAGES}")' in setup.source(Repository(), "en", weights=False)


# -- publishing it -------------------------------------------------------------------------------


def test_a_site_is_pushed_to_the_branch_that_is_served(tmp_path):
    site, remote = tmp_path / "site", tmp_path / "remote.git"
    site.mkdir()
    git(tmp_path, "init", "--bare", str(remote))
    for text in ("old", "new"):  # what stood there before goes
        (site / "index.html").write_text(text)
        (site / f"{text}.html").touch()
        (site / ".nojekyll").touch()
        command = [str(contents.ROOT / ".github" / "publish"), str(site)]
        done = subprocess.run(
            command, cwd=contents.ROOT, env={"PATH": "/usr/bin:/bin", "SITE_REMOTE": str(remote)},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (site / "old.html").unlink(missing_ok=True)
    branch = addresses.site_branch()
    assert git(remote, "show", f"{branch}:index.html") == "new"
    assert git(remote, "ls-tree", "--name-only", branch).split() == [
        ".nojekyll", "index.html", "new.html",
    ]  # fmt: skip
    assert git(remote, "rev-list", "--count", branch) == "1"


def test_a_folder_without_a_site_is_not_pushed(tmp_path):
    command = [str(contents.ROOT / ".github" / "publish"), str(tmp_path)]
    done = subprocess.run(command, cwd=contents.ROOT, capture_output=True, text=True)
    assert done.returncode
    assert "holds no built site" in done.stderr


@pytest.mark.parametrize("name", ["book.yml", "release.yml"])
def test_workflows_run_what_is_there(name):
    """Targets of make, files and the branch that they name exist; a job's needs are jobs."""
    text = (WORKFLOWS / name).read_text()
    jobs = yaml.safe_load(text)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    targets = {t for step in steps for t in re.findall(r"^make (.+)$", step.get("run", ""), re.M)}
    makefile = (contents.ROOT / "Makefile").read_text()
    for target in " ".join(targets).split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for script in re.findall(r"run: (\.(?:ci|github)/\w+)", text):
        assert (contents.ROOT / script).stat().st_mode & 0o100, script
    assert {job.get("needs") for job in jobs.values()} - {None} <= jobs.keys()


def test_only_the_main_branch_is_published():
    jobs = yaml.safe_load((WORKFLOWS / "book.yml").read_text())["jobs"]
    assert jobs["publish"]["needs"] == "book"
    assert "github.event.repository.default_branch" in jobs["publish"]["if"]
    assert "github.event_name == 'push'" in jobs["publish"]["if"]
