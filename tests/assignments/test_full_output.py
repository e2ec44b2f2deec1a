"""Commands do their work though what they say cannot be written: the disk is full, or the reader is gone."""

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from assignments.management import supervisor
from assignments.models import Assignment, OutboxMessage
from tests.assignments.conftest import TheHost

pytestmark = pytest.mark.django_db(transaction=True)

FULL = Path("/dev/full")


@contextmanager
def full_disk(*names: str) -> Iterator[TextIO]:
    """The process's output is on a full disk."""
    if not FULL.exists():
        pytest.skip("this system has no /dev/full")
    with FULL.open("w") as stream, ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch.object(sys, name, stream))
        yield stream


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_all_is_decided_and_delivered_with_a_full_disk(host: TheHost, tonight: datetime, arguments: list[str]) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
    for command, more in (("run_coordinator", arguments), ("deliver_outbox", []), ("reconcile_assignments", [])):
        with full_disk("stdout") as full:
            with pytest.raises(CommandError, match="could not be written: No space left on device") as refused:
                call_command(command, *more)
            full.flush()  # Nothing is left that Python would complain of.
        assert refused.value.returncode == 1
    assert set(Assignment.objects.values_list("state", flat=True)) == {"confirmed"}
    assert not OutboxMessage.objects.filter(delivered_at=None).exists()


def test_an_error_is_told_rather_than_the_full_disk() -> None:
    with full_disk("stdout"), pytest.raises(CommandError, match="--watch and --dry-run"):
        call_command("run_coordinator", "--watch", "--dry-run")


def test_a_supervisor_goes_on_with_a_full_disk() -> None:
    with suppress(OSError), full_disk("stderr"):  # The stream itself complains as it is closed.
        supervisor.say("The worker died; another one goes on.")
        goes_on = True
    assert goes_on


def test_any_stream_can_be_the_output(host: TheHost) -> None:
    said = io.StringIO()
    call_command("run_coordinator", stdout=said)
    assert "nothing due" in said.getvalue()
