"""``make serve``: the parts run beside each other, and end together."""

import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection

from example.management.commands import serve
from example.serving import Ended, Parts, Program, Repeated
from tests.example import processes

STAYS = "import signal, sys, time; print('here', flush=True); time.sleep(60)"
HOLDS_ON = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: None); print('here', flush=True); time.sleep(60)"
)


def program(name: str, code: str) -> Program:
    return Program(name=name, command=[sys.executable, "-c", code])


class Said(list[tuple[str, str]]):
    """What the parts printed. Calls ``then`` with each line."""

    def __init__(self, then: Callable[["Said"], None] = lambda said: None) -> None:
        super().__init__()
        self._then = then

    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))
        self._then(self)

    def of(self, name: str) -> list[str]:
        return [line for part, line in self if part == name]


def parts(*programs: Program, say: Said, repeated: tuple[Repeated, ...] = ()) -> Parts:
    return Parts(programs=programs, repeated=repeated, say=say)


def run_in_a_thread(running: Parts) -> Ended | None:
    """Where no signal handlers can be set, as in a test."""
    result: list[Ended | None] = []
    thread = threading.Thread(target=lambda: result.append(running.run()))
    thread.start()
    thread.join(60)
    return result[0]


def test_a_part_that_dies_is_named_with_its_exit_code_and_the_others_are_ended() -> None:
    said = Said()
    running = parts(program("web", STAYS), program("worker", "import sys; print('bye'); sys.exit(4)"), say=said)
    assert running.run() == Ended(name="worker", code=4)
    assert said.of("worker") == ["bye"]


def test_a_part_that_was_killed_has_a_shells_exit_code() -> None:
    killed = program("worker", "import os; os.kill(os.getpid(), 9)")
    assert parts(killed, say=Said()).run() == Ended(name="worker", code=137)


def test_stopping_ends_every_part_also_one_that_holds_on(monkeypatch: Any) -> None:
    monkeypatch.setattr("example.serving.STOP_SECONDS", 0.2)
    said = Said(lambda said: running.stop() if len(said) == 2 else None)
    running = parts(program("web", STAYS), program("worker", HOLDS_ON), say=said)
    assert run_in_a_thread(running) is None
    assert sorted(said) == [("web", "here"), ("worker", "here")]


def test_signals_stop_it_and_find_their_handlers_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    said = Said(lambda said: signal.raise_signal(signal.SIGTERM))
    assert parts(program("web", STAYS), say=said).run() is None
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def commands(monkeypatch: Any) -> dict[str, Any]:
    """Commands of this test, by name: each prints the text, and raises the error behind it."""
    known: dict[str, Any] = {}

    def call(name: str, *, stdout: Any, **options: Any) -> None:
        text, error = known[name].pop(0) if len(known[name]) > 1 else known[name][0]
        stdout.write(text)
        if error is not None:
            raise error

    monkeypatch.setattr("example.serving.call_command", call)
    monkeypatch.setattr("example.serving.close_old_connections", lambda: None)
    return known


def repeated(name: str) -> Repeated:
    return Repeated(name=name, command=(name,), seconds=0.01)


def test_a_command_is_repeated_whatever_it_found_and_says_what_is_new(commands: dict[str, Any]) -> None:
    commands["guard"] = [
        ("no breaches\n", None),
        ("no breaches\n", None),
        ("", CommandError("Rolled back to shadow.", returncode=3)),
        ("nothing to guard\n", None),
    ]
    said = Said(lambda said: running.stop() if len(said) == 3 else None)
    running = parts(say=said, repeated=(repeated("guard"),))
    assert run_in_a_thread(running) is None
    assert said.of("guard") == ["no breaches", "Rolled back to shadow.", "nothing to guard"]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (CommandError("run migrate first", returncode=2), 2, "run migrate first"),
        (ValueError("Anna Schmidt"), 70, "Unexpected ValueError: run outbox by itself to see where."),
    ],
)
def test_a_command_that_cannot_work_ends_everything(
    commands: dict[str, Any], error: Exception, code: int, told: str
) -> None:
    commands["outbox"] = [("", error)]
    said = Said()
    running = parts(program("web", STAYS), say=said, repeated=(repeated("outbox"),))
    assert running.run() == Ended(name="outbox", code=code)
    assert said.of("outbox") == [told]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["0"], "must be a port or HOST:PORT, not '127.0.0.1:0'"),
        (["here"], "must be a port or HOST:PORT, not 'here'"),
        (["--every", "tea=5"], "must be one of coordinator, outbox, compare, guard with seconds"),
        (["--every", "guard=-1"], "must be a number of seconds above 0"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], problem: str) -> None:
    code, _out, err = processes.run_here("serve", *arguments)
    assert (code, problem in err) == (2, True), err


def test_it_is_for_development(settings: Any) -> None:
    settings.ENVIRONMENT = "production"
    code, _out, err = processes.run_here("serve")
    assert (code, "ENVIRONMENT is production" in err) == (2, True)


@pytest.fixture
def _unmarked(transactional_db: None) -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        cursor.execute("COMMENT ON TABLE example_restaurant IS NULL")


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.usefixtures("_unmarked")
def test_it_serves_and_works_until_it_is_told_to_stop() -> None:
    port = a_free_port()
    every = [f"--every={name}=0.5" for name in serve.EVERY]
    process = processes.start("serve", str(port), *every)
    printed: list[str] = []
    try:
        assert process.stdout is not None
        waited_for = {"web         | Quit", "outbox      | 0 delivered", "compare     |", "guard       |"}
        for line in process.stdout:
            printed.append(line.rstrip())
            waited_for = {each for each in waited_for if not line.startswith(each)}
            if not waited_for:
                break
        links = re.findall(r"^[A-Z][\w ]+ {2,}(http\S+)$", "\n".join(printed), re.MULTILINE)
        assert len(links) == 5
        assert all(link.startswith(f"http://127.0.0.1:{port}/") for link in links)
        seen = urllib.request.urlopen(links[0], timeout=30)  # The way to the login.
        assert (seen.status, "/admin/login/" in seen.url) == (200, True)
        found = re.search(r"^Log in +as demo, with the password in (\S+)$", "\n".join(printed), re.MULTILINE)
        assert found is not None
        assert Path(found[1]).read_text()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1] == "Stopped."
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return
    raise AssertionError("the server still listens")
