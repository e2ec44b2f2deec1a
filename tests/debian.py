"""Programs that Debian brings and no Python package does."""

import os
import shutil

import pytest


def path(name: str) -> str | None:
    """Where the program is, root's folders included; None without it."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def program(name: str, package: str) -> str:
    """Its path. Without it the test is skipped and says how to get it; where CI is set it fails, for CI installs all."""
    found = path(name)
    if found is None:
        message = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found
