"""Calls of the API as a booking project's views write them. What they return is known to a type checker."""

from datetime import UTC, datetime, timedelta
from typing import assert_type

from assignments import api
from assignments.exceptions import ChangedMeanwhileError
from assignments.host import HostBooking
from assignments.outcome import Change, Extension, Kind, Outcome, Reason
from assignments.signals import state_changed
from assignments.testing import MemoryHost, a_floor, a_table, at

ACTOR = "user:1"


def guest_edits(booking_ref: str) -> str:
    assert_type(api.booking_changed(booking_ref=booking_ref), Change)
    outcome = api.assign_now(booking_ref=booking_ref, budget_seconds=1.0)
    assert_type(outcome, Outcome)
    if outcome.kind is Kind.CONFIRMED:
        return ", ".join(outcome.table_refs)
    return api.explain(booking_ref=booking_ref).text


def staff_work(booking_ref: str, version: int) -> tuple[str, ...]:
    try:
        api.assign(
            booking_ref=booking_ref,
            table_refs=["T1", "T2"],
            actor=ACTOR,
            version=version,
            overriding={Reason.TOO_MANY_SPARE_SEATS},
        )
        first, second = api.swap(booking_ref=booking_ref, other_ref="B2", actor=ACTOR)
        assert_type(first, Outcome)
        assert_type(second, Outcome)
    except ChangedMeanwhileError as error:
        return (str(error),)
    until = datetime.now(UTC) + timedelta(hours=1)
    assert_type(api.extend(booking_ref=booking_ref, until=until, actor=ACTOR), Extension)
    assert_type(api.arrived(booking_ref=booking_ref, actor=ACTOR), None)
    return api.left(booking_ref=booking_ref, actor=ACTOR)


def close_terrace() -> None:
    closure_id = api.close(restaurant_ref="R1", starts_at=datetime.now(UTC), zone_ref="terrace", actor=ACTOR)
    assert_type(closure_id, int)
    api.edit_closure(closure_id=closure_id, actor=ACTOR, ends_at=None)
    api.lift_closure(closure_id=closure_id, actor=ACTOR)


def own_tests() -> HostBooking:
    host = MemoryHost(floors=[a_floor(tables=[a_table("T1", seats=4)])])
    with at(datetime(2030, 5, 3, 12, tzinfo=UTC)):
        host.book("B1", starts_at=datetime(2030, 5, 3, 19, tzinfo=UTC), party=2)
    return host.bookings(["B1"])["B1"]


state_changed.connect(lambda **about: None)
