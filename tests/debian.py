"""Programs that Debian brings and no Python package does."""

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """Its path. Without it the test is skipped and says how to get it; where CI is set it fails, for CI installs all."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        message = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path
