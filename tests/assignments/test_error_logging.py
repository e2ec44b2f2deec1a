"""Errors are logged by type, in one way: what they say may name a guest."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from assignments.error_logging import log_error

ROOT = Path(__file__).parents[2]
BY_HAND = re.compile(r"logger\.\w+\([^\n]*type\(\w+\)\.__name__|logger\.exception")


def raised() -> Exception:
    try:
        raise LookupError("Canary Guest")
    except LookupError as error:
        return error


@pytest.mark.parametrize("has_place", [False, True])
def test_the_line_names_what_failed_and_the_type_and_repeats_nothing(caplog: Any, has_place: bool) -> None:
    with caplog.at_level(logging.WARNING, "tests"):
        log_error(
            logging.getLogger("tests"), raised(), "Booking %s failed", "B1", level=logging.WARNING, has_place=has_place
        )
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("Booking B1 failed: LookupError")
    assert (f"{Path(__file__).name}:" in line.getMessage()) == has_place
    assert "Canary" not in caplog.text


def test_nobody_logs_an_error_by_hand() -> None:
    packages = [app.parent for app in ROOT.glob("*/apps.py") if app.parent.name not in {"example", "tests"}]
    sources = [path for package in packages for path in package.rglob("*.py") if path.name != "error_logging.py"]
    assert len(sources) > 100
    assert [path for path in sources if BY_HAND.search(path.read_text())] == []
