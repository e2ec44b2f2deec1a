"""Starting a command without a supervisor: it works, and says so."""

import logging
import os
import signal
import threading
from typing import Any

import pytest
from django.core.management import load_command_class
from django.db import connection

from assignments.management import supervisor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("command", ["run_coordinator", "deliver_outbox"])
def test_a_command_in_a_process_that_cannot_be_forked_says_that_it_has_no_supervisor(
    host: Any, caplog: Any, command: str
) -> None:
    connection.ensure_connection()
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait, name="the-projects-own")
    thread.start()
    try:
        with caplog.at_level(logging.WARNING, "assignments.supervisor"):
            load_command_class("assignments", command).run_from_argv(["manage.py", command])
    finally:
        ends.set()
        thread.join(10)
    (said,) = (each.getMessage() for each in caplog.records if each.name == "assignments.supervisor")
    assert "No supervisor: other threads run at start" in said
    assert "the-projects-own" in said
    assert "database connections are open at start (default" in said


def test_a_process_that_can_be_forked_says_nothing(monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(supervisor, "_hindrances", list)
    assert supervisor.is_wanted()
    assert not caplog.records


def test_a_signal_for_a_worker_that_has_just_ended_is_no_error() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    watched = supervisor._Watched(pid, -1, 60.0)
    watched._forward(signal.SIGTERM, None)
    assert watched.signal is signal.SIGTERM
