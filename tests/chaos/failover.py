"""The primary dies and a standby is promoted: a synchronous one loses nothing, and what another one loses is found.

Guests book and cancel and workers decide through one address, which leads to the standby from then on.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError, connection

from assignments.maintenance import outbox, promise_check, reconcile
from assignments.models import Assignment, OutboxMessage
from tests.chaos.enumerated import judge, prepared
from tests.chaos.flows import FLOWS
from tests.chaos.proxy import Gateway
from tests.chaos.result import Result
from tests.chaos.server import Server
from tests.chaos.setting_up import TOLD
from tests.chaos.world import (
    Child,
    World,
    copy_rows,
    evening,
    one_pass,
    problems,
    put_back,
    recover,
    seated,
    somebody_writes,
    states,
)

SYNCHRONOUS, ASYNCHRONOUS = "synchronous standby promoted", "asynchronous standby promoted"
LONGEST_SECONDS = 75.0
GUESTS, WORKERS = 2, 2
BOOKED_BEFORE, BOOKED_MEANWHILE = 60, 30
DAYS = 40
"""Over which the bookings are spread, so that most of them find a table."""
HOSTS_TABLES = "example_"
OTHER_IDS = """
SELECT setval('assignments_outboxmessage_id_seq', nextval('assignments_outboxmessage_id_seq') + 1000000)
"""
"""What docs/production.md has done to a promoted server, so that no message gets the id of one that was lost."""
ENDED = ("confirmed", "manual_review", "failed", "cancelled")


@dataclass
class Heard:
    """What was committed and told, as far as it was answered, by the files in which each process notes it."""

    folder: Path
    booked: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)

    def read(self) -> "Heard":
        for number in range(GUESTS):
            for line in self._lines(f"guest-{number}"):
                what, ref = line.split()
                (self.booked if what == "booked" else self.cancelled).add(ref)
        self.messages = {line.split()[0] for line in self._lines("told")}
        return self

    def lost(self) -> list[str]:
        """What the database, as it is now, does not know of it."""
        from example import models

        found = {str(pk): status for pk, status in models.Booking.objects.values_list("pk", "status")}
        kept = message_ids()
        return [
            *(f"booking {ref} is lost" for ref in sorted(self.booked - found.keys())),
            *(
                f"the cancellation of {ref} is lost"
                for ref in sorted(self.cancelled & found.keys())
                if found[ref] != "cancelled"
            ),
            *(f"a message that was told is lost: {key}" for key in sorted(self.messages - kept)),
        ]

    def undecided(self) -> set[str]:
        """The bookings that have no outcome."""
        return self.booked - set(Assignment.objects.filter(state__in=ENDED).values_list("booking_ref", flat=True))

    def _lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []


def guest(folder: Path, number: int) -> None:
    """Book for ever, and cancel one booking of five. What is answered is noted at once; who gets no answer goes on."""
    from example import models
    from example.booking import cancel_booking, make_booking

    restaurant = models.Restaurant.objects.get()
    with (folder / f"guest-{number}").open("ab", buffering=0) as notes:
        count = 0
        while True:
            count += 1
            try:
                made = make_booking(
                    restaurant=restaurant,
                    reference=f"guest-{number}-{count}-{time.monotonic_ns()}",
                    start=evening(30 + count % DAYS) + timedelta(hours=2 * (count // DAYS % 3) - 6 * number),
                    party=2 + count % 3,
                )
                notes.write(f"booked {made.pk}\n".encode())
                if count % 5 == 0:
                    cancel_booking(made)
                    notes.write(f"cancelled {made.pk}\n".encode())
            except (OperationalError, InterfaceError):
                connection.close()
                time.sleep(0.05)
            time.sleep(0.01)


def messenger(folder: Path) -> None:
    """Deliver messages for ever."""
    os.environ[TOLD] = str(folder / "told")
    while True:
        try:
            outbox.deliver()
        except (OperationalError, InterfaceError):
            connection.close()
        time.sleep(0.05)


@contextmanager
def a_busy_site(world: World, folder: Path) -> Iterator[list[Child]]:
    """Guests, workers with their supervisors, and a messenger, until the end."""
    watch = ["manage.py", "run_coordinator", "--watch", "--interval", "0.1"]
    guests = [world.fork(partial(guest, folder, number)) for number in range(GUESTS)]
    children = [*guests, world.fork(partial(messenger, folder))]
    children += [world.fork(partial(execute_from_command_line, watch)) for _ in range(WORKERS)]
    try:
        yield guests
    finally:
        for child in children:
            if not child.has_ended():
                os.kill(child.pid, signal.SIGTERM)
        for child in children:
            child.wait(30)


@contextmanager
def a_pair(world: World, **options: str) -> Iterator[tuple[Server, Gateway, Path]]:
    """A standby of the server that follows it, an address that leads to the server, and a folder for notes.

    Django's connection goes to that address. The server and its standby are put away at the end.
    """
    put_back(prepared("batch"))
    connection.close()
    world.server.stop()
    world.server.start(**options)
    folder = world.server.folder.with_name("failover")
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    standby = world.server.copied_to(world.server.folder.with_name("standby"))
    own_port = connection.settings_dict["PORT"]
    try:
        standby.start()
        world.server.wait_for_standby(state="sync" if options else "async")
        with Gateway(world.server.port) as gateway:
            connection.settings_dict["PORT"] = str(gateway.port)
            yield standby, gateway, folder
    finally:
        connection.close()
        connection.settings_dict["PORT"] = own_port
        if standby.is_running():
            standby.stop("immediate")
        world.server.start()


def wait_until(holds: Callable[[], bool], seconds: float = LONGEST_SECONDS) -> bool:
    """Wait until this is so; whether it is. The database may be away meanwhile."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if holds():
                return True
        except (OperationalError, InterfaceError):
            pass
        finally:
            connection.close()  # Otherwise a fork would share it.
        time.sleep(0.1)
    return False


def synchronous(world: World, times: int = 3) -> Result:
    """The primary is killed under load and its synchronous standby promoted: whatever was answered is there."""
    result = Result(fault=SYNCHRONOUS)
    heard_of = lost = 0
    resumed = []
    for _ in range(times):
        with a_pair(world, synchronous_standby_names="*") as (standby, gateway, folder):
            with a_busy_site(world, folder):
                is_busy = wait_until(lambda at=folder: len(Heard(at).read().booked) >= BOOKED_BEFORE)  # type: ignore[misc]
                has_met = is_busy and somebody_writes(world.server.url)
                started = time.monotonic()
                world.server.kill()
                before = Heard(folder).read()
                standby.promote()
                gateway.lead_to(standby.port)
                wrong = []
                if not wait_until(lambda was=before, at=folder: len(Heard(at).read().booked) > len(was.booked)):  # type: ignore[misc]
                    wrong.append("nobody could book any more")
                resumed.append(time.monotonic() - started)
                if not wait_until(lambda was=before: not was.undecided()):  # type: ignore[misc]
                    wrong.append(f"undecided: {sorted(before.undecided())[:5]}")
                seconds = time.monotonic() - started
            heard = Heard(folder).read()
            lost += len(missing := heard.lost())
            heard_of += len(heard.booked)
            wrong += missing
            recover()
            wrong += [f"undecided in the end: {ref}" for ref in sorted(heard.undecided())]
            result.add(seconds, [*wrong, *judge(FLOWS["batch"])], has_met=has_met)
    result.note = f"{heard_of} booked, {lost} lost, the first one again after {max(resumed):.1f} s"
    return result


def asynchronous(world: World) -> Result:
    """The standby is behind when the primary dies. What it has is whole; where only our rows are behind, it is found.

    Three cases: the host's rows are in the same database; they are elsewhere, and are complete; and they are what is behind.
    """
    result = Result(fault=ASYNCHRONOUS)
    wrong: list[str] = []
    with a_pair(world) as (standby, gateway, folder):
        with a_busy_site(world, folder):
            wait_until(lambda: len(Heard(folder).read().booked) >= BOOKED_BEFORE)
            standby.stop()
            behind = len(Heard(folder).read().booked)
            wait_until(lambda: len(Heard(folder).read().booked) >= behind + BOOKED_MEANWHILE)
        heard = Heard(folder).read()
        wait_until(lambda: not heard.undecided(), 5)  # Workers have gone; what is left is decided here.
        recover()
        complete, in_the_end = copy_rows(), tables_of_guests()
        connection.close()
        world.server.say("CHECKPOINT")  # The recovery did not wait for the disk.
        started = time.monotonic()
        world.server.kill()
        standby.start()
        standby.promote()
        gateway.lead_to(standby.port)

        # In one database both are behind alike.
        connection.close()
        behind_rows, lost = copy_rows(), heard.lost()
        lost_messages = heard.messages - message_ids()
        standby.say(OTHER_IDS)
        recover()
        wrong += [f"one database: {each}" for each in problems()]
        wrong += [f"the id of a lost message is given again: {key}" for key in sorted(lost_messages & message_ids())]
        result.add(time.monotonic() - started, wrong, has_met=bool(lost))

        # The host's rows are elsewhere, and complete.
        started = time.monotonic()
        put_back(behind_rows)
        put_back(complete, of=HOSTS_TABLES)
        ours, found, left = tables_of_guests(), found_by_check(), []
        unknown = {ref for ref, tables in in_the_end.items() if ours.get(ref, []) != tables}
        left += [f"host ahead: --check does not find {ref}" for ref in sorted(unknown - found)]
        mend()
        left += [f"host ahead: {each}" for each in problems()]
        moved = {ref for ref, tables in in_the_end.items() if tables and tables_of_guests().get(ref) != tables}
        left += [f"host ahead: {ref} has other tables than its guests were told" for ref in sorted(moved)]
        result.add(time.monotonic() - started, left, has_met=bool(unknown))
        ahead = len(unknown)
        connection.close()
        standby.stop("immediate")
    # Here is what the primary had. Now the host's rows are what is behind.
    started = time.monotonic()
    put_back(behind_rows, of=HOSTS_TABLES)
    gone = {ref for ref, tables in in_the_end.items() if tables and ref not in host_knows()}
    left = [f"host behind: --check does not find {ref}" for ref in sorted(gone - found_by_check())]
    mend()
    left += [f"host behind: {each}" for each in problems()]
    result.add(time.monotonic() - started, left, has_met=bool(gone))
    result.note = f"{len(lost)} lost with the primary; found by --check: {ahead} host ahead, {len(gone)} host behind"
    return result


def tables_of_guests() -> dict[str, list[str]]:
    """The tables of each booking that was ever seated or cancelled here."""
    kept = seated()
    return {ref: kept.get(ref, []) for ref, state in states().items() if state in ("confirmed", "cancelled")}


def message_ids() -> set[str]:
    return {str(pk) for pk in OutboxMessage.objects.values_list("pk", flat=True)}


def host_knows() -> set[str]:
    from example import models

    return {str(pk) for pk in models.Booking.objects.values_list("pk", flat=True)}


def found_by_check() -> set[str]:
    return {each.booking_ref for each in promise_check.violations(days=2)}


def mend() -> None:
    """What the runbook says: reconcile first, then let the commands go on."""
    list(reconcile.reconcile())
    one_pass()
    recover()
