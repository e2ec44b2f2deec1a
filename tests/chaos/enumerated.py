"""Faults at every statement of every flow: the process is killed there, its session ends there, PostgreSQL refuses there."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

from django.db import connection

from assignments.concurrency import transactions
from tests.chaos.flows import FLOWS, Flow
from tests.chaos.points import Points, counted
from tests.chaos.result import Result
from tests.chaos.world import End, Rows, World, copy_rows, problems, put_back, recover

QUICK_STEP = 7
"""With ``--quick`` only every so many points of a flow are tried."""
OTHER_STEP = 3
"""A process is killed at every point; other faults come to every so many statements."""
STOPPED_IDLE_MS = 300
DONE_BY_OTHERS = ("batch", "legacy", "reconcile", "outbox")
"""Flows that the commands do for whoever has stopped: nothing is left for it when it goes on."""
SETTLED = (
    "assignments_assignment",
    "assignments_statetransition",
    "assignments_allocation",
    "assignments_seatingchange",
    "assignments_outboxmessage",
    "example_booking",
    "example_booking_tables",
)
"""Tables in which such a stale worker changes no row."""


def _refuse(sqlstate: str) -> Callable[[], None]:
    """PostgreSQL answers the next statement with this error, as it does when it really happens."""

    def refuse() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'chaos' USING ERRCODE = '{sqlstate}'; END $$")

    return refuse


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _terminate() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True, kw_only=True)
class Fault:
    act: Callable[[], object]
    only_before: bool = True
    stops: bool = False


FAULTS = {
    "kill": Fault(act=_kill, only_before=False),
    "terminate": Fault(act=_terminate),
    "deadlock 40P01": Fault(act=_refuse("40P01")),
    "serialization 40001": Fault(act=_refuse("40001")),
    "lock timeout 55P03": Fault(act=_refuse("55P03")),
    "statement timeout 57014": Fault(act=_refuse("57014")),
    "read-only 25006": Fault(act=_refuse("25006")),
    "disk full 53100": Fault(act=_refuse("53100")),
    "stop and go on": Fault(act=_stop, stops=True),
}


@cache
def prepared(name: str) -> Rows:
    """The rows before this flow."""
    put_back({})
    FLOWS[name].prepare()
    return copy_rows()


def count_points(world: World, name: str) -> list[str]:
    """Do the flow without a fault, and name its statements."""
    put_back(prepared(name))

    def dry() -> None:
        points = Points()
        with counted(points):
            FLOWS[name].do()
        print("\n".join(points.statements))

    end = world.run(dry)
    if end.code:
        raise RuntimeError(f"The flow {name} fails without any fault: {end.output}")
    wrong = judge(FLOWS[name], repeats=False)
    if wrong:
        raise RuntimeError(f"The flow {name} is wrong without any fault: {wrong}")
    return end.output.splitlines()


def judge(flow: Flow, *, repeats: bool = True) -> list[str]:
    """Recover, and say what is wrong; then do the flow again, as somebody does who does not know that it was done."""
    recover()
    found = problems()
    if repeats:
        flow.again()
        recover(1)
        found += [f"repeated: {each}" for each in problems() if each not in found]
    wrong = flow.wrong()
    return [*found, f"in the end: {wrong}"] if wrong else found


def at_each_point(world: World, name: str, fault: str, *, is_quick: bool) -> Result:
    """This fault at every point of this flow."""
    flow, how = FLOWS[name], FAULTS[fault]
    statements = count_points(world, name)
    result = Result(fault=f"{fault} in {name}")
    last = 2 * len(statements)
    step = (2 * OTHER_STEP if how.only_before else 1) * (QUICK_STEP if is_quick else 1)
    for number in range(0, last, step):
        put_back(prepared(name))
        started = time.monotonic()
        end, wrong = suffer(world, name, how, number)
        wrong += judge(flow)
        where = statements[min(number // 2, len(statements) - 1)]
        side = "after" if number % 2 else "before"
        wrong = [f"{side} statement {number // 2} ({where}): {each}" for each in wrong]
        result.add(time.monotonic() - started, wrong, has_met=end.has_met)
    return result


def suffer(
    world: World, name: str, how: Fault, number: int, begin: Callable[[], object] = lambda: None
) -> tuple[End, list[str]]:
    """Have a child do the flow, with this fault at this point; its end, and what was wrong with that.

    ``begin``: what it does first.
    """

    def work() -> None:
        begin()
        if how.stops:
            transactions.IDLE_TIMEOUT_MS = STOPPED_IDLE_MS
        with counted(Points(meant=number, at=how.act)):
            FLOWS[name].do()

    if not how.stops:
        return world.run(work), []
    child, settled = world.fork(work), Rows()
    if child.has_stopped():
        time.sleep(STOPPED_IDLE_MS / 1000 + 0.1)
        recover(1)
        FLOWS[name].by_another()
        recover(1)
        settled = copy_rows()
        os.kill(child.pid, signal.SIGCONT)
    end = child.wait()
    connection.close()
    world.server.wait_until_alone()
    if not settled or name not in DONE_BY_OTHERS:
        return end, []
    now = copy_rows()
    return end, [
        f"the stale worker changed {table}" for table in SETTLED if _sorted(now, table) != _sorted(settled, table)
    ]


def _sorted(rows: Rows, table: str) -> list[bytes]:
    return sorted(rows.get(table, b"").splitlines())


def all_of_them(world: World, *, is_quick: bool) -> Iterator[tuple[str, Callable[[], Result]]]:
    for fault in FAULTS:
        for name in FLOWS:
            yield f"{fault} in {name}", partial(at_each_point, world, name, fault, is_quick=is_quick)
