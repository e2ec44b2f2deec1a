"""The documentation builds without a warning: every link leads to a page, file or heading, and every page is listed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.document import DOCS, PROJECT
from tests.ops import anchors

pytestmark = pytest.mark.legacy_planner  # Its pages go with it, and so do their lines in the table of contents.

OPTIONS = ("-W", "-n", "--keep-going", "-q", "-b", "html")


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        *OPTIONS,
        "-d",
        str(target / "doctrees"),
        str(source),
        str(target / "html"),
    ]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False)


def test_it_builds_strictly(tmp_path: Path) -> None:
    done = build(DOCS, tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for page in DOCS.rglob("*.md"):
        if "_build" not in page.parts:
            assert (tmp_path / "html" / page.relative_to(DOCS)).with_suffix(".html").exists()


def test_a_link_to_nowhere_fails_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text())
    (source / "index.md").write_text("# A page\n\n[gone](gone.md), [no such heading](#none), [fine](#a-page)\n")
    done = build(source, tmp_path)
    assert done.returncode == 1
    assert "gone.md" in done.stderr
    assert "none" in done.stderr
    assert "a-page" not in done.stderr


def test_make_builds_it_in_the_same_way() -> None:
    (recipe,) = [line for line in (PROJECT / "Makefile").read_text().splitlines() if "sphinx-build" in line]
    assert f"sphinx-build {' '.join(OPTIONS[:4])} -b html docs " in recipe


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_the_links_of_the_pages_beside_it_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", (PROJECT / page).read_text())
    files = [link for link in links if "#" not in link]
    assert [each for each in files if not (PROJECT / each).exists()] == []
    assert [each for each in links if "#" in each and not anchors.resolves(each)] == []
