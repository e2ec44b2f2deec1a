"""Candidates that misbehave on purpose. Those that try to write answer like V3 if nobody stops them."""

import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.core.mail import send_mail
from django.db import connection, transaction

from assignments import api
from assignments.integration.host import Seating
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger
from assignments.models import Assignment, StateTransition
from assignments.planning.decision import Decision
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Snapshot
from example.models import Booking, Restaurant
from rollout.shadow.candidate import v3

NOW = datetime(2031, 1, 1, 19, tzinfo=UTC)


def raises(snapshot: Snapshot) -> Decision:
    raise ZeroDivisionError("Canary Guest divided by nobody")


def hangs(snapshot: Snapshot) -> Decision:
    time.sleep(60)
    return v3(snapshot)


def exits(snapshot: Snapshot) -> Decision:
    os._exit(3)


def leaves(snapshot: Snapshot) -> Decision:
    raise SystemExit(3)


def talks_nonsense(snapshot: Snapshot) -> Any:
    return {"tables": "all of them"}


def prints(snapshot: Snapshot) -> Decision:
    print('{"decision": null, "ms": 0, "error": "forged"}')  # noqa: T201
    return v3(snapshot)


def updates(snapshot: Snapshot) -> Decision:
    Booking.objects.update(party=1)
    return v3(snapshot)


def inserts(snapshot: Snapshot) -> Decision:
    Restaurant.objects.create(name="Ghost", reference="ghost")
    return v3(snapshot)


def deletes(snapshot: Snapshot) -> Decision:
    Booking.objects.all().delete()
    return v3(snapshot)


def holds(snapshot: Snapshot) -> Decision:
    window = SeatingWindow(
        starts_at=NOW, ends_at=NOW + timedelta(hours=1), blocked_from=NOW, blocked_until=NOW + timedelta(hours=1)
    )
    placement = ledger.Placement(
        restaurant_ref="1", booking_ref="1", table_refs=("1",), window=window, planner="candidate"
    )
    ledger.hold(placement, seconds=60, now=NOW)
    return v3(snapshot)


def writes_history(snapshot: Snapshot) -> Decision:
    assignment = Assignment.objects.all()[0]
    StateTransition.objects.create(
        assignment=assignment, booking_ref="x", version=99, name="x", source="x", target="x", actor="candidate"
    )
    return v3(snapshot)


def assigns(snapshot: Snapshot) -> Decision:
    api.release_tables(booking_ref=snapshot.request.booking_ref)
    return v3(snapshot)


def calls_the_host(snapshot: Snapshot) -> Decision:
    configured().on_confirmed(
        [Seating(booking_ref=snapshot.request.booking_ref, table_refs=("1",), starts_at=NOW, ends_at=NOW)]
    )
    return v3(snapshot)


def makes_itself_writable(snapshot: Snapshot) -> Decision:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ WRITE")
    return updates(snapshot)


def commits_first(snapshot: Snapshot) -> Decision:
    """Around Django's back, to be out of the transaction that is rolled back."""
    connection.connection.commit()
    return updates(snapshot)


def opens_another_connection(snapshot: Snapshot) -> Decision:
    with psycopg.connect(connection.connection.info.dsn) as other:
        other.execute("UPDATE example_booking SET party = 1")
    return v3(snapshot)


def locks_for_ever(snapshot: Snapshot) -> Decision:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(424242)")
    return v3(snapshot)


def acts_on_commit(snapshot: Snapshot) -> Decision:
    transaction.on_commit(lambda: os._exit(5))
    return v3(snapshot)


def mails(snapshot: Snapshot) -> Decision:
    send_mail(f"{uuid.uuid4()}", "from the shadow", "a@example.test", ["b@example.test"])
    return v3(snapshot)


def takes_a_taken_table(snapshot: Snapshot) -> Decision:
    """What a planner with a bug would do."""
    from dataclasses import replace

    decision = v3(snapshot)
    if not snapshot.occupied or decision.best is None:
        return decision
    return replace(decision, plans=(replace(decision.best, table_refs=(snapshot.occupied[0].table_ref,)),))
