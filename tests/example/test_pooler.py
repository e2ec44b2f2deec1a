"""Behind a transaction pooler: a real PgBouncer, through which each transaction may reach another session."""

import json
import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from assignments.models import Allocation, Assignment
from example import demo, models
from rollout.control import switches
from rollout.flags import resolution
from rollout.models import Comparison
from tests import debian
from tests.example import processes
from tests.example.conftest import keep_few, load

# One process has the address of the pooler, and so the processes that are ready for it.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("pooler")]


@cache
def free_address() -> str:
    """An address of the loopback range whose port 6543, by which the settings know a pooler, is free."""
    while True:
        address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        with socket.socket() as probe:
            if probe.connect_ex((address, 6543)):
                return address


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may read: started by root, PgBouncer runs as another user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def pooler(transactional_db: Any, folder: Path) -> Iterator[str]:
    """A PgBouncer with three sessions for everybody; the URL of the test's database behind it."""
    pgbouncer = debian.program("pgbouncer", "pgbouncer")
    settings = connection.settings_dict
    host, user, name = str(settings["HOST"]), str(settings["USER"]), str(settings["NAME"])
    address = free_address()
    (folder / "users.txt").write_text(f'"{user}" "{settings["PASSWORD"]}"\n')
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"""
        [databases]
        {name} = host={host} port={settings["PORT"] or 5432} dbname={name}
        [pgbouncer]
        listen_addr = {address}
        listen_port = 6543
        unix_socket_dir =
        auth_type = trust
        auth_file = {folder}/users.txt
        pool_mode = transaction
        default_pool_size = 3
        """.replace("        ", "")
    )
    # A folder is where a server on this machine has its socket, for its own user; any other one is reached by its name.
    server_user = Path(host).owner() if Path(host).is_dir() else "nobody"
    as_user = ["-u", server_user] if os.getuid() == 0 else []
    url = f"postgresql://{user}@{address}:6543/{name}"
    process = subprocess.Popen([pgbouncer, *as_user, str(configuration)], stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            try:
                psycopg.connect(url, connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                if process.poll() is not None:
                    pytest.fail(process.stderr.read() if process.stderr else "")
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=10)


def manage(url: str, *arguments: str, **environment: str) -> str:
    code, out, err = processes.run(*arguments, DATABASE_URL=url, **environment)
    assert code == 0, out + err
    return out


@pytest.mark.parametrize("planner", ["v3", pytest.param("legacy", marks=pytest.mark.legacy_planner)])
def test_several_workers_seat_the_evening(pooler: str, planner: str) -> None:
    keep_few(load(planner), 50)
    workers = [processes.start("run_coordinator", "--json", DATABASE_URL=pooler) for _ in range(3)]
    said = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], said
    while json.loads(manage(pooler, "run_coordinator", "--json"))["processed"]:
        Assignment.objects.filter(state="assignment_pending").update(due_at="2100-01-01T00:00Z")
    assert Assignment.objects.filter(state="confirmed").count() >= (28 if planner == "v3" else 25)
    assert demo.count_overlaps() == demo.count_lost() == 0


@pytest.mark.legacy_planner
def test_every_command_works_and_leaves_no_session_changed(pooler: str) -> None:
    keep_few(load("legacy"), 10)
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="test", reason="test")
    assert "fits" in manage(pooler, "run_coordinator", "--dry-run")
    assert not Allocation.objects.exists()
    manage(pooler, "run_coordinator")
    manage(pooler, "deliver_outbox")
    manage(pooler, "reconcile_assignments")
    assert json.loads(manage(pooler, "rollout", "status", "--json"))["mode"] == "shadow"
    writing = {"TEST_CANDIDATE": "tests.rollout.candidates.updates"}
    refused = json.loads(manage(pooler, "rollout", "compare", "--json", "--limit", "3", **writing))
    assert refused["verdicts"]["v3_error"] == 3
    compared = json.loads(manage(pooler, "rollout", "compare", "--json"))
    assert (compared["compared"], compared["verdicts"]["v3_error"]) == (7, 0)
    assert Comparison.objects.exclude(verdict="").count() == 10
    manage(pooler, "check", "--database", "default")
    with psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as session:
        for name in ("default_transaction_read_only", "statement_timeout", "lock_timeout", "transaction_read_only"):
            assert session.execute(f"SHOW {name}").fetchone() in {("off",), ("0",)}, name
    assert (
        models.Booking.objects.filter(status="confirmed").count()
        == Assignment.objects.filter(state="confirmed").count()
    )
