"""Faults that come from outside of a statement: the server, the network, the host, the sinks, other people."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import psycopg
from django.core.management import execute_from_command_line
from django.db import connection

from assignments import conf
from assignments.telemetry import background_writer
from rollout.control import steering, switches
from rollout.flags import resolution
from rollout.models import Change
from tests import debian
from tests.chaos import failover, pooling
from tests.chaos.enumerated import FAULTS, count_points, judge, prepared
from tests.chaos.flows import FLOWS, HAS_LEGACY_PLANNER
from tests.chaos.host import HOW, POISON
from tests.chaos.points import Points, counted, met, noticed, unconnected
from tests.chaos.proxy import Proxy
from tests.chaos.result import Result
from tests.chaos.setting_up import PROJECT
from tests.chaos.world import World, problems, put_back, recover, somebody_writes

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
LONGEST_RECOVERY_SECONDS = 75.0
CALLBACKS = {
    "bookings": "batch",
    "unassigned": "batch",
    "floor": "batch",
    "floor_fingerprint": "batch",
    "on_confirmed": "batch",
    "on_review": "batch",
    "on_moved": "swap",
    "on_released": "undo",
    "tables_of": "reconcile",
    "history": "reconcile",
    "deliver": "outbox",
}
"""The host's callbacks, and the flow in which each is called."""


def command(*arguments: str) -> None:
    """A command as it runs in production, with its supervisor."""
    execute_from_command_line(["manage.py", *arguments])


def try_flow(
    world: World, name: str, result: Result, work: Callable[[], object], has_met: Callable[[], bool] | None = None
) -> None:
    """Have a child do this to a flow, and judge. ``has_met``: whether it met the fault, if its own word does not count."""
    put_back(prepared(name))
    started = time.monotonic()
    end = world.run(work)
    wrong = judge(FLOWS[name])
    met_it = end.has_met if has_met is None else has_met()
    result.add(time.monotonic() - started, [f"{name}: {each}" for each in wrong], has_met=met_it)


def lost_answers(world: World) -> Result:
    """PostgreSQL commits, and its answer never arrives."""
    result = Result(fault="answer to COMMIT lost")
    for name, flow in FLOWS.items():
        commits = count_points(world, name).count("COMMIT")
        for number in range(1, commits + 1):
            with Proxy(world.server.port, number) as proxy:

                def work(port: int = proxy.port, flow_of: Callable[[], object] = flow.do) -> None:
                    connection.settings_dict["PORT"] = str(port)
                    flow_of()

                try_flow(world, name, result, work, lambda of=proxy: of.has_lost)  # type: ignore[misc]
    return result


def immediate_stops(world: World, times: int = 3) -> Result:
    """The server stops as in a power cut while four workers decide, and is started again."""
    result = Result(fault="immediate stop under load")
    for _ in range(times):
        put_back(prepared("batch"))
        workers = [world.fork(partial(command, "run_coordinator", "--watch", "--interval", "0.1")) for _ in range(4)]
        has_met = somebody_writes(world.server.url)
        world.server.stop("immediate")
        time.sleep(1)
        world.server.start()
        started = time.monotonic()
        wrong = [""]
        while wrong and time.monotonic() - started < LONGEST_RECOVERY_SECONDS:
            time.sleep(0.5)
            wrong = [each for each in problems() if not each.startswith("not told")]
            connection.close()
        for worker in workers:
            os.kill(worker.pid, signal.SIGTERM)
        ends = [worker.wait(30) for worker in workers]
        wrong += [f"a worker ended with {end.code}" for end in ends if end.code]
        result.add(time.monotonic() - started, wrong or judge(FLOWS["batch"]), has_met=has_met)
    return result


def read_only(world: World) -> Result:
    """The server takes no writes for a while, as one does that a failover has made a standby."""
    result = Result(fault="read-only server")
    for name, flow in FLOWS.items():
        put_back(prepared(name))
        started = time.monotonic()
        world.server.say(f"ALTER DATABASE {connection.settings_dict['NAME']} SET default_transaction_read_only = on")
        connection.close()
        end = world.run(partial(_noticing, noticed("25006"), flow.do))
        world.server.say(
            "BEGIN READ WRITE; "
            f"ALTER DATABASE {connection.settings_dict['NAME']} RESET default_transaction_read_only; COMMIT"
        )
        connection.close()
        wrong = [f"{name}: {each}" for each in judge(flow)]
        result.add(time.monotonic() - started, wrong, has_met=end.has_met)
    return result


def _noticing(notices: AbstractContextManager[None], work: Callable[[], object]) -> None:
    with notices:
        work()


def no_connections(world: World) -> Result:
    """All connections are taken while a flow begins."""
    result = Result(fault="connections exhausted")
    for name, flow in FLOWS.items():
        put_back(prepared(name))
        connection.close()
        started = time.monotonic()
        taken = []
        with socket.socket():
            while True:
                try:
                    taken.append(psycopg.connect(world.server.url))
                except psycopg.OperationalError:
                    break
        end = world.fork(partial(_noticing, unconnected(), flow.do)).wait()
        for each in taken:
            each.close()
        world.server.wait_until_alone()
        wrong = [f"{name}: {each}" for each in judge(flow)]
        result.add(time.monotonic() - started, wrong, has_met=end.has_met)
    return result


def many_starts(world: World) -> Result:
    """Twenty coordinators start within a second."""
    result = Result(fault="20 cron starts at once")
    put_back(prepared("batch"))
    started = time.monotonic()
    children = [world.fork(partial(command, "run_coordinator", "--json")) for _ in range(20)]
    at_once = sum(not child.has_ended() for child in children)
    ends = [child.wait() for child in children]
    connection.close()
    wrong = [f"one ended with {end.code}: {end.output[-200:]}" for end in ends if end.code]
    result.add(time.monotonic() - started, wrong + judge(FLOWS["batch"]), has_met=at_once > 1)
    return result


def poisoned(world: World, callback: str, how: str) -> Result:
    """The host misbehaves for one booking; then, mended, everything else follows."""
    result = Result(fault=f"{how} in {callback}")
    name = CALLBACKS[callback]
    put_back(prepared(name))
    from example import models

    reference = {"on_review": "B6", "on_moved": "B1", "on_released": "B6"}.get(callback, "B2")
    ref = str(models.Booking.objects.get(reference=reference).pk)
    started = time.monotonic()

    commands = {"outbox": "deliver_outbox", "batch": "run_coordinator", "reconcile": "reconcile_assignments"}

    def work() -> None:
        POISON.callback, POISON.how, POISON.ref = callback, how, ref
        if name in commands:
            command(commands[name])
        else:
            FLOWS[name].do()

    end = world.run(work, seconds=150)
    has_hung = end.seconds >= 150
    wrong = [f"the command hangs: {end.output[-200:]}"] if has_hung else []
    if "Traceback" in end.output:
        wrong.append(f"a traceback: {end.output[-300:]}")
    result.add(time.monotonic() - started, wrong + _mended(name), has_met=end.has_met)
    return result


def _mended(name: str) -> list[str]:
    """Do what staff do when the host is mended: have messages delivered again, and bookings in review planned again."""
    from assignments import api
    from assignments.models import Assignment, OutboxMessage

    for ref in Assignment.objects.filter(state="manual_review").values_list("booking_ref", flat=True):
        api.reopen(booking_ref=ref, actor="staff:1")
    OutboxMessage.objects.filter(set_aside_at__isnull=False).update(set_aside_at=None, deaths=0, attempts=0)
    Assignment.objects.filter(due_at__isnull=False).update(due_at="2020-01-01T00:00Z")
    return judge(FLOWS[name])


class RaisingSink:
    def write(self, events: object) -> None:
        met()
        raise RuntimeError("The sink raises.")


class FullSink:
    """A file on a disk that is full."""

    def write(self, events: object) -> None:
        met()
        with Path("/dev/full").open("w") as file:
            file.write(str(events))


class HangingSink:
    def write(self, events: object) -> None:
        met()
        time.sleep(30)


def sinks(world: World) -> Result:
    """A sink of the events raises, another one is full, another one hangs."""
    result = Result(fault="failing, full and hanging sinks")
    for sink in ("RaisingSink", "FullSink", "HangingSink"):

        def work(path: str = f"tests.chaos.faults.{sink}") -> None:
            from django.conf import settings

            settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": (path,)}
            conf.settings.cache_clear()
            FLOWS["batch"].do()
            background_writer.flush_all(1.0)

        try_flow(world, "batch", result, work)
    return result


def turned_meanwhile(world: World) -> Result:
    """The planner is toggled, rolled back or promoted by somebody else in the middle of a batch."""
    result = Result(fault="toggle, roll back, promote mid-batch")
    changes = {
        "toggle": lambda: switches.set_switch(resolution.V3_SWITCH, active=False, actor="chaos", reason="chaos"),
        "roll back": lambda: steering.roll_back(actor="chaos", reason="chaos"),
        "promote": FLOWS["promote"].do,
    }
    for change, make in changes.items():
        first = prepared("promote" if change == "promote" else "batch")
        put_back(first)
        statements = len(count_points(world, "batch"))
        for number in range(0, 2 * statements, max(2, statements // 8 * 2)):
            put_back(first)
            if change != "promote":
                steering.begin(actor="chaos", reason="chaos")
            started, before = time.monotonic(), Change.objects.count()
            end = world.run(partial(_meanwhile, number, make))
            where = f"{change} at point {number}"
            wrong = [f"{where}: {end.output}"] if end.code else []
            if end.has_met and Change.objects.count() == before:
                wrong.append(f"{where}: it was refused")
            if not HAS_LEGACY_PLANNER:
                switches.set_switch(resolution.V3_SWITCH, active=True, actor="chaos", reason="chaos")
            recover()
            wrong += [f"{where}: {each}" for each in problems()]
            result.add(time.monotonic() - started, wrong, has_met=end.has_met)
    return result


def _meanwhile(number: int, change: Callable[[], object]) -> None:
    others = []

    def somebody() -> None:
        pid = os.fork()
        if pid == 0:
            connection.connection = None  # The child's own; the transaction's stays with its process.
            connection.in_atomic_block, connection.savepoint_ids, connection.atomic_blocks = False, [], []
            connection.run_on_commit = []
            try:
                change()
            except BaseException as error:  # noqa: BLE001  (its end is what is looked at)
                os.write(2, f"refused: {type(error).__name__}: {error}".encode())
                os._exit(1)
            os._exit(0)
        for _ in range(100):  # What waits for the batch goes on after it.
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)
        others.append(pid)

    with counted(Points(meant=number, at=somebody)):
        FLOWS["batch"].do()
    for pid in others:
        os.waitpid(pid, 0)


def full_output(world: World) -> Result:
    """The disk to which commands write what they say is full."""
    result = Result(fault="/dev/full as output")
    for arguments in (
        ["run_coordinator"],
        ["run_coordinator", "--json"],
        ["deliver_outbox"],
        ["reconcile_assignments"],
    ):
        put_back(prepared("batch"))
        started = time.monotonic()
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments],
                check=False,
                cwd=PROJECT,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
            )
        wrong = [f"{arguments[0]}: {done.stderr[-300:]}"] if "Traceback" in done.stderr else []
        connection.close()  # Otherwise this process waits for its own session.
        world.server.wait_until_alone()
        has_met = "could not be written" in done.stderr
        result.add(time.monotonic() - started, wrong + judge(FLOWS["batch"]), has_met=has_met)
    return result


def wrong_clocks(world: World) -> Result:
    """The clock of a machine that runs commands is an hour off, and not that of the database."""
    result = Result(fault=CLOCK)
    commands = {"batch": ["run_coordinator"], "outbox": ["deliver_outbox"], "reconcile": ["reconcile_assignments"]}
    for name, arguments in commands.items():
        for off in ("-3600s", "+3600s"):
            put_back(prepared(name))
            connection.close()
            started = time.monotonic()
            program = "import sys, time, manage; print('clock', time.time(), flush=True); manage.main()"
            done = subprocess.run(
                [sys.executable, "-c", program, *arguments],
                check=False,
                cwd=PROJECT,
                env={**os.environ, "LD_PRELOAD": str(FAKETIME), "FAKETIME": off, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
                capture_output=True,
                text=True,
                timeout=120,
            )
            shown = float(done.stdout.split()[1]) - time.time() if done.stdout.startswith("clock") else 0.0
            wrong = [f"{arguments[0]} {off}: {done.stderr[-300:]}"] if done.returncode else []
            world.server.wait_until_alone()
            wrong += [f"{name} {off}: {each}" for each in judge(FLOWS[name])]
            result.add(time.monotonic() - started, wrong, has_met=abs(shown) > 3000)
    return result


CLOCK = "clock an hour off"


def missing_programs(wanted: Iterable[str]) -> list[str]:
    """What these faults need of Debian and is not installed, each with how to install it."""
    needed = set(wanted)
    found = []
    if CLOCK in needed and not FAKETIME.exists():
        found.append(f"'{CLOCK}' needs libfaketime: apt-get install faketime")
    if any(name.startswith(pooling.POOLED) for name in needed) and debian.path("pgbouncer") is None:
        found.append(f"'{pooling.POOLED}' needs PgBouncer: apt-get install pgbouncer")
    return found


def all_of_them(world: World) -> Iterator[tuple[str, Callable[[], Result]]]:
    yield "answer to COMMIT lost", partial(lost_answers, world)
    yield "immediate stop under load", partial(immediate_stops, world)
    yield failover.SYNCHRONOUS, partial(failover.synchronous, world)
    yield failover.ASYNCHRONOUS, partial(failover.asynchronous, world)
    yield "read-only server", partial(read_only, world)
    yield "connections exhausted", partial(no_connections, world)
    yield "20 cron starts at once", partial(many_starts, world)
    for callback in CALLBACKS:
        for how in HOW:
            yield f"{how} in {callback}", partial(poisoned, world, callback, how)
    yield "failing, full and hanging sinks", partial(sinks, world)
    yield "toggle, roll back, promote mid-batch", partial(turned_meanwhile, world)
    yield "/dev/full as output", partial(full_output, world)
    yield CLOCK, partial(wrong_clocks, world)
    for fault in (None, *FAULTS):
        yield pooling.name_of(fault), partial(pooling.pooled, world, fault)
