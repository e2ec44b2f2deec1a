"""The candidate's READ ONLY transaction, taken away: then what a candidate writes and commits by itself is stored."""

import io
import json
import uuid
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from assignments.models import BatchMark
from assignments.planning import engine
from assignments.planning.decision import Decision
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Snapshot
from assignments.testing import a_floor, a_table
from rollout.shadow import sandbox
from rollout.shadow.serialization import floor_to_json, snapshot_to_json

pytestmark = pytest.mark.django_db(transaction=True)

SEVEN = datetime(2030, 1, 14, 19, tzinfo=UTC)


def writes(snapshot: Snapshot) -> Decision:
    """A candidate that writes, and commits so that the rollback which always follows comes too late."""
    BatchMark.objects.create(run=uuid.uuid4(), restaurant_ref="R1", service_date=SEVEN.date(), booking_refs=["written"])
    with connection.cursor() as cursor:
        cursor.execute("COMMIT")
    return engine.plan(snapshot)


def without_read_only(execute: Any, statement: str, *rest: Any) -> Any:
    return None if statement == "SET TRANSACTION READ ONLY" else execute(statement, *rest)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "taken away"])
def test_a_candidate_cannot_write_even_if_it_commits(guarded: bool) -> None:
    floor = a_floor(tables=[a_table("T1")])
    request = SeatingRequest(booking_ref="B1", starts_at=SEVEN, party=2)
    snapshot = Snapshot(floor=floor, occupied=(), request=request, now=datetime(2030, 1, 1, tzinfo=UTC))
    question = {"snapshot": snapshot_to_json(snapshot), "floor": floor_to_json(floor)}
    answers = io.BytesIO()
    with nullcontext() if guarded else connection.execute_wrapper(without_read_only):
        sandbox._answer(json.loads(json.dumps(question)), writes, answers)
    said = json.loads(answers.getvalue())
    assert (said["error"] == "InternalError") is guarded, said
    assert BatchMark.objects.exists() is not guarded
