"""Faults that come from outside of a statement: the server, the network, the host, the sinks, other people."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from django.core.management import execute_from_command_line
from django.db import connection

from assignments import conf
from rollout.control import steering, switches
from rollout.flags import resolution
from tests import debian
from tests.chaos.enumerated import count_points, judge, prepared
from tests.chaos.flows import FLOWS, HAS_LEGACY_PLANNER
from tests.chaos.host import HOW, POISON
from tests.chaos.points import Points, counted
from tests.chaos.proxy import Proxy
from tests.chaos.result import Result
from tests.chaos.server import free_port
from tests.chaos.setting_up import PROJECT
from tests.chaos.world import World, problems, put_back, recover

LONGEST_RECOVERY_SECONDS = 75.0
CALLBACKS = ("bookings", "unassigned", "floor", "on_confirmed", "on_review")


def command(*arguments: str) -> None:
    """A command as it runs in production, with its supervisor."""
    execute_from_command_line(["manage.py", *arguments])


def try_flow(world: World, name: str, result: Result, work: Callable[[], object]) -> None:
    """Have a child do this to a flow, and judge."""
    put_back(prepared(name))
    started = time.monotonic()
    world.run(work)
    wrong = judge(FLOWS[name])
    result.add(time.monotonic() - started, [f"{name}: {each}" for each in wrong])


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

                try_flow(world, name, result, work)
    return result


def immediate_stops(world: World, times: int = 3) -> Result:
    """The server stops as in a power cut while four workers decide, and is started again."""
    result = Result(fault="immediate stop under load")
    for _ in range(times):
        put_back(prepared("batch"))
        workers = [world.fork(partial(command, "run_coordinator", "--watch", "--interval", "0.1")) for _ in range(4)]
        time.sleep(0.7)
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
        result.add(time.monotonic() - started, wrong or judge(FLOWS["batch"]))
    return result


def read_only(world: World) -> Result:
    """The server takes no writes for a while, as one does that a failover has made a standby."""
    result = Result(fault="read-only server")
    for name, flow in FLOWS.items():
        put_back(prepared(name))
        started = time.monotonic()
        world.server.say(f"ALTER DATABASE {connection.settings_dict['NAME']} SET default_transaction_read_only = on")
        connection.close()
        world.run(flow.do)
        world.server.say(
            "BEGIN READ WRITE; "
            f"ALTER DATABASE {connection.settings_dict['NAME']} RESET default_transaction_read_only; COMMIT"
        )
        connection.close()
        result.add(time.monotonic() - started, judge(flow))
    return result


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
        world.fork(flow.do).wait()
        for each in taken:
            each.close()
        world.server.wait_until_alone()
        result.add(time.monotonic() - started, judge(flow))
    return result


def many_starts(world: World) -> Result:
    """Twenty coordinators start within a second."""
    result = Result(fault="20 cron starts at once")
    put_back(prepared("batch"))
    started = time.monotonic()
    children = [world.fork(partial(command, "run_coordinator", "--json")) for _ in range(20)]
    ends = [child.wait() for child in children]
    connection.close()
    wrong = [f"one ended with {end.code}: {end.output[-200:]}" for end in ends if end.code]
    result.add(time.monotonic() - started, wrong + judge(FLOWS["batch"]))
    return result


def poisoned(world: World, callback: str, how: str) -> Result:
    """The host misbehaves for one booking; then, mended, everything else follows."""
    result = Result(fault=f"{how} in {callback}")
    name = "outbox" if callback == "deliver" else "batch"
    put_back(prepared(name))
    from example import models

    ref = str(models.Booking.objects.get(reference="B6" if callback == "on_review" else "B2").pk)
    started = time.monotonic()

    def work() -> None:
        POISON.callback, POISON.how, POISON.ref = callback, how, ref
        command(*(("deliver_outbox",) if callback == "deliver" else ("run_coordinator",)))

    end = world.run(work, seconds=150)
    wrong = [f"the command hangs: {end.output[-200:]}"] if end.code < 0 else []
    if "Traceback" in end.output:
        wrong.append(f"a traceback: {end.output[-300:]}")
    result.add(time.monotonic() - started, wrong + _mended(name))
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
        raise OSError(28, "No space left on device")


class HangingSink:
    def write(self, events: object) -> None:
        time.sleep(30)


def sinks(world: World) -> Result:
    """A sink of the events raises, another one hangs."""
    result = Result(fault="failing and hanging sinks")
    for sink in ("RaisingSink", "HangingSink"):

        def work(path: str = f"tests.chaos.faults.{sink}") -> None:
            from django.conf import settings

            settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": (path,)}
            conf.settings.cache_clear()
            FLOWS["batch"].do()

        try_flow(world, "batch", result, work)
    return result


def turned_meanwhile(world: World) -> Result:
    """The planner is toggled or rolled back by somebody else in the middle of a batch."""
    result = Result(fault="toggle or roll back mid-batch")
    changes = {
        "toggle": lambda: switches.set_switch(resolution.V3_SWITCH, active=False, actor="chaos", reason="chaos"),
        "roll back": lambda: steering.roll_back(actor="chaos", reason="chaos"),
    }
    for change in changes.values():
        statements = len(count_points(world, "batch"))
        for number in range(0, 2 * statements, max(2, statements // 8 * 2)):
            put_back(prepared("batch"))
            steering.begin(actor="chaos", reason="chaos")
            started = time.monotonic()
            end = world.run(partial(_meanwhile, number, change))
            wrong = [end.output] if end.code else []
            if not HAS_LEGACY_PLANNER:
                switches.set_switch(resolution.V3_SWITCH, active=True, actor="chaos", reason="chaos")
            recover()
            result.add(time.monotonic() - started, wrong + problems())
    return result


def _meanwhile(number: int, change: Callable[[], object]) -> None:
    def somebody() -> None:
        pid = os.fork()
        if pid == 0:
            connection.connection = None  # The child's own; the transaction's stays with its process.
            connection.in_atomic_block, connection.savepoint_ids, connection.atomic_blocks = False, [], []
            connection.run_on_commit = []
            try:
                change()
            finally:
                os._exit(0)
        for _ in range(300):
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    with counted(Points(meant=number, at=somebody)):
        FLOWS["batch"].do()


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
        result.add(time.monotonic() - started, wrong + judge(FLOWS["batch"]))
    return result


@contextmanager
def pooler(world: World) -> Iterator[str]:
    """A PgBouncer in transaction mode; its address. Settings know it by its port."""
    program = debian.path("pgbouncer")
    if program is None:
        raise FileNotFoundError("pgbouncer is not installed: apt-get install pgbouncer")
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "users.txt").write_text('"postgres" ""\n')
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\nchaos = host=127.0.0.1 port={world.server.port} dbname=chaos\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = 3\nserver_idle_timeout = 1\n"
        )
        as_user = ["-u", "nobody"] if os.getuid() == 0 else []
        with subprocess.Popen([program, *as_user, str(settings)], stderr=subprocess.DEVNULL) as process:
            try:
                for _ in range(100):
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    time.sleep(0.05)
                yield str(port)
            finally:
                process.terminate()


def pooled(world: World) -> Result:
    """Each flow through PgBouncer, whole, and killed in the middle."""
    result = Result(fault="through PgBouncer")
    for name, flow in FLOWS.items():
        middle = len(count_points(world, name))
        for point in (-1, middle):
            with pooler(world) as port:

                def work(number: int = point, to: str = port, do: Callable[[], object] = flow.do) -> None:
                    connection.settings_dict["PORT"] = to
                    connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
                    connection.settings_dict["OPTIONS"] = {"prepare_threshold": None}
                    with counted(Points(meant=number, at=lambda: os.kill(os.getpid(), signal.SIGKILL))):
                        do()

                put_back(prepared(name))
                started = time.monotonic()
                world.fork(work).wait()
            connection.close()
            world.server.wait_until_alone()
            result.add(time.monotonic() - started, [f"{name}: {each}" for each in judge(flow)])
    return result


def all_of_them(world: World) -> Iterator[tuple[str, Callable[[], Result]]]:
    yield "answer to COMMIT lost", partial(lost_answers, world)
    yield "immediate stop under load", partial(immediate_stops, world)
    yield "read-only server", partial(read_only, world)
    yield "connections exhausted", partial(no_connections, world)
    yield "20 cron starts at once", partial(many_starts, world)
    for callback in (*CALLBACKS, "deliver"):
        for how in HOW:
            yield f"{how} in {callback}", partial(poisoned, world, callback, how)
    yield "failing and hanging sinks", partial(sinks, world)
    yield "toggle or roll back mid-batch", partial(turned_meanwhile, world)
    yield "/dev/full as output", partial(full_output, world)
    yield "through PgBouncer", partial(pooled, world)
