"""What ``make bench --against`` says about a commit that is not there."""

import subprocess
from pathlib import Path

import pytest

from tests.throughput import UnknownCommitError, known


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_commit_that_is_not_in_the_clone_is_named_with_the_oldest_that_is(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    first = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "second")
    assert known("HEAD~1", root=tmp_path) == first
    with pytest.raises(UnknownCommitError, match=f"no commit 'c470640' in this clone. The oldest one is {first[:12]}"):
        known("c470640", root=tmp_path)
