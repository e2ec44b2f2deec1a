"""What every fault happens to: a small restaurant, put back as it was before each try, and judged after it."""

import io
import os
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

import psycopg
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from psycopg import sql

from assignments.concurrency import clock
from assignments.coordination import dispatch
from assignments.maintenance import mark_following, outbox, promise_check, reconcile
from assignments.models import Allocation, Assignment, BatchMark, OutboxMessage
from example import models
from tests import process_state
from tests.chaos.points import MET
from tests.chaos.server import Server

AFTER = timedelta(seconds=75)
"""When the recovery happens, by the clock: nothing may wait longer than this once a fault is over."""
DEADLINE_SECONDS = 60.0

Rows = dict[str, bytes]


def a_restaurant(name: str = "Chaos") -> models.Restaurant:
    """Six tables, two of each size, open all day."""
    restaurant = models.Restaurant.objects.create(name=name, timezone="UTC")
    zone = models.Zone.objects.create(restaurant=restaurant, name="Hall")
    for number, seats in enumerate((2, 2, 4, 4, 6, 6), 1):
        models.Table.objects.create(restaurant=restaurant, zone=zone, code=f"T{number}", seats=seats)
    service = models.ServicePeriod.objects.create(
        restaurant=restaurant, key="all_day", start=time_of_day(0), end=time_of_day(0), allow_overrun=True
    )
    models.TurnTime.objects.create(service=service, max_party=100, minutes=120)
    return restaurant


def evening(days: int = 20) -> datetime:
    return (datetime.now(UTC) + timedelta(days=days)).replace(hour=19, minute=0, second=0, microsecond=0)


def book(restaurant: models.Restaurant, reference: str, party: int = 2, **details: Any) -> str:
    """Make a booking in the host, which the app does not know yet; its ref."""
    start = details.pop("start", None) or evening()
    return str(
        models.Booking.objects.create(
            restaurant=restaurant, reference=reference, start=start, party=party, **details
        ).pk
    )


def quietly(*arguments: str) -> None:
    """Run a command of ``manage.py`` in place. What it refuses is no fault."""
    with suppress(CommandError):
        call_command(*arguments, stdout=io.StringIO(), stderr=io.StringIO())


def recover(passes: int = 2) -> None:
    """What cron does, a while later: the coordinator, the host's changes, and the outbox."""
    process_state.forget()
    _hurry()
    with clock.shifted(AFTER):
        for _ in range(passes):
            one_pass()
        list(reconcile.reconcile())
        one_pass()
        outbox.deliver()


def one_pass() -> None:
    """What ``run_coordinator`` does in one pass."""
    mark_following.sweep()
    dispatch.register_new()
    list(dispatch.run_pass())


def never_wait_for_the_disk() -> None:
    """Have this process and its children commit without waiting: for who looks at processes, and not at power cuts."""
    connection.close()
    connection.settings_dict["OPTIONS"] = {
        **connection.settings_dict["OPTIONS"],
        "options": "-c synchronous_commit=off",
    }


def _hurry() -> None:
    """Have this process, which suffers no fault itself, not wait for the disk."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")


def problems() -> list[str]:
    """What does not hold now, each as a sentence; none if all is well."""
    with clock.shifted(AFTER):
        found = [f"{each.promise}: {each.booking_ref}: {each.detail}" for each in promise_check.violations(days=2)]
        found += [f"a mark was left: {mark.booking_refs}" for mark in BatchMark.objects.all()]
        untold = OutboxMessage.objects.filter(delivered_at=None)
        found += [f"not told: {each.booking_ref} {each.topic}" for each in untold]
        waiting = Assignment.objects.filter(due_at__isnull=False).exclude(state__in=("manual_review", "failed"))
        found += [f"still waits: {each.booking_ref} ({each.state})" for each in waiting]
    return found


def somebody_writes(url: str, seconds: float = 20) -> bool:
    """Wait until another session has written something that it has not committed; whether one does."""
    until = time.monotonic() + seconds
    with psycopg.connect(url, autocommit=True) as session:
        while time.monotonic() < until:
            found = session.execute(
                "SELECT EXISTS (SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL)"
            )
            if found.fetchone() == (True,):
                return True
    return False


def seated() -> dict[str, list[str]]:
    """The tables of each booking now, from the ledger."""
    tables: dict[str, list[str]] = {}
    for ref, table in Allocation.objects.current().order_by("table_ref").values_list("booking_ref", "table_ref"):
        tables.setdefault(ref, []).append(table)
    return tables


def states() -> dict[str, str]:
    return dict(Assignment.objects.values_list("booking_ref", "state"))


def copy_rows() -> Rows:
    """All rows of the database."""
    rows = {}
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table)))
            if not cursor.fetchone()[0]:
                continue
            with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
                rows[table] = b"".join(bytes(block) for block in copy)
    return rows


def put_back(rows: Rows, *, of: str = "") -> None:
    """Have these rows in the database, and no others. Nothing of it starts a trigger. ``of``: how these tables begin."""
    process_state.forget()
    _hurry()
    names = [
        name for name in connection.introspection.table_names() if name != "django_migrations" and name.startswith(of)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        statements = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in names]
        cursor.execute(sql.SQL("; ").join(statements))
        for table, values in rows.items():
            if table in names:
                with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                    copy.write(values)


@dataclass(frozen=True)
class End:
    """How a child ended. ``code``: as ``waitpid`` says it; ``output``: what it wrote; ``has_met``: it met the fault."""

    code: int
    output: str
    seconds: float
    has_met: bool = False


class World:
    """The server, and the processes that are forked from this warm one."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def fork(self, work: Callable[[], object]) -> "Child":
        """Have a child do this. It has connections of its own."""
        connections.close_all()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            return Child(pid, reader)
        os.close(reader)
        code = 0
        with open(writer, "w", buffering=1) as said, redirect_stdout(said), redirect_stderr(said):  # noqa: PTH123
            os.dup2(writer, 2)
            try:
                work()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
            except BaseException as error:  # noqa: BLE001  (its end is what is looked at)
                said.write(f"{type(error).__name__}: {error}")
                code = 1
            said.flush()
        os._exit(code)

    def run(self, work: Callable[[], object], *, seconds: float = DEADLINE_SECONDS) -> End:
        """The same, to its end, and to that of its sessions."""
        started = time.monotonic()
        end = self.fork(work).wait(seconds)
        self.server.wait_until_alone()
        return replace(end, seconds=time.monotonic() - started)


class Child:
    """A forked process."""

    def __init__(self, pid: int, reader: int) -> None:
        self.pid = pid
        self._reader = reader
        os.set_blocking(reader, False)
        self._said = b""
        self._status: int | None = None

    def wait(self, seconds: float = DEADLINE_SECONDS) -> End:
        """Wait for its end. One that hangs is killed, which its code tells."""
        started = time.monotonic()
        while True:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG) if self._status is None else (self.pid, self._status)
            if pid:
                self._read()
                os.close(self._reader)
                taken = time.monotonic() - started
                output = self._said.replace(MET, b"").decode(errors="replace")
                return End(os.waitstatus_to_exitcode(status), output, taken, MET in self._said)
            if time.monotonic() - started > seconds:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.002)

    def has_ended(self) -> bool:
        if self._status is None:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def has_stopped(self) -> bool:
        """Wait until it stops or ends; whether it has stopped."""
        _pid, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self._status = status
        return os.WIFSTOPPED(status)

    def _read(self) -> None:
        try:
            while block := os.read(self._reader, 65536):
                self._said += block
        except BlockingIOError:
            pass
