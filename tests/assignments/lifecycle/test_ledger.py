"""The ledger: nobody ever has a table that somebody else has, whoever writes, at any isolation level."""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from psycopg.types.range import TimestamptzRange

from assignments.concurrency import locks, transactions
from assignments.exceptions import HoldExpiredError, TableTakenError
from assignments.lifecycle import ledger, waiting
from assignments.models import Allocation, Assignment, Closure, Stage
from assignments.planning.floor import Pacing
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied
from tests.assignments.planning.restaurant import floor, table

pytestmark = pytest.mark.django_db(transaction=True)

SEVEN = datetime(2030, 1, 14, 19, tzinfo=UTC)


def placement(
    booking_ref: str, *table_refs: str, start: datetime = SEVEN, minutes: int = 90, **columns: Any
) -> ledger.Placement:
    end = start + timedelta(minutes=minutes)
    return ledger.Placement(
        restaurant_ref=columns.pop("restaurant_ref", "R1"),
        booking_ref=booking_ref,
        table_refs=table_refs,
        window=SeatingWindow(
            starts_at=start, ends_at=end, blocked_from=start, blocked_until=end + timedelta(minutes=5)
        ),
        planner="test",
        **columns,
    )


def seats() -> list[tuple[str, str]]:
    return sorted(Allocation.objects.values_list("table_ref", "booking_ref"))


def test_an_overlap_is_refused_and_the_error_names_the_table() -> None:
    ledger.seat([placement("A", "T1")])
    with pytest.raises(TableTakenError, match="T1"), transaction.atomic():
        ledger.seat([placement("B", "T1", "T2", start=SEVEN + timedelta(minutes=94))])
    assert seats() == [("T1", "A")]


def test_tables_are_returned_in_natural_order() -> None:
    ledger.seat([placement("A", "T10", "T2")])
    with transactions.atomic():
        token = ledger.hold(placement("B", "T11", "T3"), seconds=60, now=SEVEN)
    Allocation.objects.filter(token=token).update(expires_at=datetime(2100, 1, 1, tzinfo=UTC))
    with transactions.atomic():
        assert ledger.seat_hold(token) == ("T3", "T11")
    assert [row.table_ref for row in ledger.seatings_of(["A"])["A"]] == ["T2", "T10"]
    with transactions.atomic():
        assert ledger.release(["A", "B"]) == {"A": ("T2", "T10"), "B": ("T3", "T11")}


def test_a_table_is_free_from_the_moment_its_buffer_ends() -> None:
    ledger.seat([placement("A", "T1")])
    ledger.seat([placement("B", "T1", start=SEVEN + timedelta(minutes=95))])
    assert seats() == [("T1", "A"), ("T1", "B")]


def test_a_booking_has_a_table_once_at_any_time_until_its_guests_have_left_it() -> None:
    """The tables of its rows are free then: the index alone keeps a booking from having one twice."""
    later = SEVEN + timedelta(hours=4)
    ledger.seat([placement("A", "T1")])
    with pytest.raises(IntegrityError, match="allocation_one_current_seating"), transaction.atomic():
        ledger.seat([placement("A", "T1", start=later)])
    ledger.seat([placement("A", "T2", start=later), placement("A", "T1", start=later, restaurant_ref="R2")])
    Allocation.objects.filter(table_ref="T1", restaurant_ref="R1").update(ended_at=SEVEN + timedelta(hours=1))
    ledger.seat([placement("A", "T1", start=later)])
    assert [row.table_ref for row in ledger.seatings_of(["A"])["A"] if row.restaurant_ref == "R1"] == ["T1", "T2"]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_of_two_transactions_that_both_saw_the_table_free_one_gets_it(isolation: str) -> None:
    barrier = threading.Barrier(2, timeout=20)
    results: list[str] = []

    def seat(booking_ref: str) -> None:
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
                assert ledger.occupied("R1", SEVEN, SEVEN + timedelta(hours=2)) == ()
                barrier.wait()
                ledger.seat([placement(booking_ref, "T1")])
            results.append("seated")
        except Exception as error:  # noqa: BLE001
            assert transactions.is_lost_race(error), error
            results.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=seat, args=(ref,)) for ref in ("A", "B")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["refused", "seated"]
    assert len(seats()) == 1


def test_raw_sql_cannot_double_book_either() -> None:
    ledger.seat([placement("A", "T1")])
    with pytest.raises(IntegrityError, match="allocation_no_overlap"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO assignments_allocation"
            "       (restaurant_ref, table_ref, booking_ref, kind, blocked, starts_at, ends_at, planner)"
            " SELECT restaurant_ref, table_ref, 'B', kind, blocked, starts_at, ends_at, 'by hand'"
            "   FROM assignments_allocation"
        )


def test_an_expired_hold_gives_its_table_back() -> None:
    now = datetime.now(UTC)
    ledger.hold(placement("A", "T1"), seconds=60, now=now - timedelta(seconds=120))
    ledger.hold(placement("B", "T2"), seconds=60, now=now)
    taken = ledger.occupied("R1", SEVEN, SEVEN + timedelta(hours=1))
    assert {(each.table_ref, each.booking_ref) for each in taken} == {("T2", "B")}
    assert Allocation.objects.count() == 2, "who only looks removes nothing"
    assert ledger.occupied("R1", SEVEN, SEVEN + timedelta(hours=1), remove_expired=True) == taken
    ledger.seat([placement("C", "T1")])
    assert seats() == [("T1", "C"), ("T2", "B")]


def test_a_hold_becomes_a_seating_whole_or_not_at_all() -> None:
    now = datetime.now(UTC)
    token = ledger.hold(placement("A", "T1", "T2"), seconds=60, now=now)
    with transaction.atomic():
        assert ledger.seat_hold(token) == ("T1", "T2")
    assert set(Allocation.objects.values_list("kind", "expires_at")) == {("seating", None)}
    for gone in (token, uuid.uuid4()):
        with pytest.raises(HoldExpiredError), transaction.atomic():
            ledger.seat_hold(gone)
    late = ledger.hold(placement("B", "T3"), seconds=60, now=now - timedelta(seconds=61))
    with pytest.raises(HoldExpiredError), transaction.atomic():
        ledger.seat_hold(late)


def test_releasing_frees_seatings_and_holds_of_these_bookings_only() -> None:
    ledger.seat([placement("A", "T1"), placement("B", "T2")])
    ledger.hold(placement("A", "T3"), seconds=60, now=datetime.now(UTC))
    assert ledger.release(["A", "Z"]) == {"A": ("T1", "T3")}
    assert seats() == [("T2", "B")]


@pytest.mark.parametrize("tables", [["T1"], ["T1", "T2"], []], ids=["a table", "two tables", "the restaurant"])
@pytest.mark.parametrize("ends", [timedelta(hours=3), None], ids=["for hours", "until further notice"])
def test_postgresql_seats_nobody_over_a_closure_until_it_is_lifted(tables: list[str], ends: timedelta | None) -> None:
    until = SEVEN + ends if ends else None
    closure = Closure.objects.create(
        restaurant_ref="R1", table_refs=tables, starts_at=SEVEN + timedelta(minutes=30), ends_at=until
    )
    for take in (lambda each: ledger.seat([each]), lambda each: ledger.hold(each, seconds=60, now=SEVEN)):
        with pytest.raises(TableTakenError, match="closed"), transaction.atomic():
            take(placement("A", "T1"))
    ledger.seat([placement("elsewhere", "T3" if tables else "T1", restaurant_ref="R2")])
    Allocation.objects.all().delete()
    with transaction.atomic():
        ledger.seat([placement("A", "T1", overridden_by="staff:7")])
        assert Allocation.objects.get().overridden_by == "staff:7"
        transaction.set_rollback(True)
    closure.lifted_at = SEVEN
    closure.save()
    ledger.seat([placement("A", "T1")])
    assert seats() == [("T1", "A")]


def test_permits_are_bounded_across_connections_and_end_with_the_transaction(settings: object) -> None:
    settings.ASSIGNMENTS = {"HOST": "a.b", "MAX_PARALLEL": 2}  # type: ignore[attr-defined]
    inside, leave = threading.Barrier(3, timeout=20), threading.Event()
    slots: list[int | None] = []

    def enter(day: int) -> None:
        try:
            with transaction.atomic():
                slots.append(locks.try_enter("R1", SEVEN.date() + timedelta(days=day)).slot)
                inside.wait()
                leave.wait(20)
        finally:
            connection.close()

    threads = [threading.Thread(target=enter, args=(day,)) for day in (1, 2)]
    for thread in threads:
        thread.start()
    inside.wait()
    with transaction.atomic():
        third = locks.try_enter("R1", SEVEN.date())
        other_restaurant = locks.try_enter("R2", SEVEN.date())
    leave.set()
    for thread in threads:
        thread.join(20)
    assert sorted(slot or 0 for slot in slots) == [1, 2]
    assert (third.day_locked, third.slot, third.granted) == (True, None, False)
    assert other_restaurant.granted
    with transaction.atomic():
        assert locks.try_enter("R1", SEVEN.date()).granted


def test_the_promise_of_an_older_seating_is_noted_and_a_known_one_stays() -> None:
    ledger.seat([placement("A", "T1"), placement("B", "T2", party=2, zone_ref="Hall")])
    ledger.note_promise(list(Allocation.objects.all()), party=5, zone_ref="Bar")
    assert set(Allocation.objects.values_list("booking_ref", "party", "zone_ref")) == {
        ("A", 5, "Bar"),
        ("B", 2, "Hall"),
    }


def test_an_error_of_another_kind_is_not_taken_for_a_table_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.seat([placement("A", "T1"), placement("B", "T1", start=SEVEN + timedelta(hours=2))])
    early, late = Allocation.objects.order_by("starts_at")
    until = SEVEN + timedelta(hours=3)

    def what_happens(work: Callable[[], object]) -> object:
        with transaction.atomic():
            try:
                return work()
            except (IntegrityError, TableTakenError) as error:
                return type(error)
            finally:
                transaction.set_rollback(True)

    def all_in_vain() -> list[object]:
        return [
            what_happens(lambda: ledger.seat([placement("C", "T1")])),
            what_happens(lambda: ledger.reinstate([(late.pk, early.blocked)])),
            what_happens(lambda: ledger.begin_at([late], SEVEN, actor="test")),
            what_happens(lambda: ledger.stay_until([early], until, until, actor="test", into_closures=False)),
        ]

    assert all_in_vain() == [TableTakenError, TableTakenError, False, False]
    monkeypatch.setattr(ledger, "is_overlap", lambda _error: False)
    assert all_in_vain() == [IntegrityError] * 4


def test_a_lost_race_is_run_again_and_a_real_error_is_not() -> None:
    runs = []

    def taken_once() -> str:
        runs.append(1)
        if len(runs) == 1:
            raise TableTakenError
        return "done"

    assert transactions.run(taken_once) == "done"
    assert len(runs) == 2

    def broken() -> None:
        runs.append(1)
        raise KeyError("no race")

    with pytest.raises(KeyError):
        transactions.run(broken)
    assert len(runs) == 3
    with pytest.raises(RuntimeError), transaction.atomic():
        transactions.run(taken_once)


# What guests keep. Each seating is from 19:00 to 20:30, and keeps its table until 20:35.


def clock(text: str) -> datetime:
    hour, minute = map(int, text.split(":"))
    return SEVEN.replace(hour=hour, minute=minute)


def a_seating(*table_refs: str, ref: str = "A", start: str = "19:00", **columns: Any) -> list[Allocation]:
    ledger.seat([placement(ref, *(table_refs or ("T1",)), start=clock(start), **columns)])
    return list(Allocation.objects.filter(booking_ref=ref).order_by("table_ref"))


def close(start: str) -> None:
    Closure.objects.create(restaurant_ref="R1", table_refs=["T1"], starts_at=clock(start), ends_at=None)


def kept(ref: str = "A") -> list[tuple[str | None, ...]]:
    """What is stored of the booking: from when to when each table is blocked, and the ends that are noted."""
    return [
        tuple(
            None if moment is None else f"{moment:%H:%M}"
            for moment in (row.blocked.lower, row.blocked.upper, row.ends_at, row.overstays_until, row.ended_at)
        )
        for row in Allocation.objects.filter(booking_ref=ref).order_by("table_ref")
    ]


@pytest.mark.parametrize(
    ("at", "has_sat", "expected"),
    [
        ("19:30", False, []),
        ("19:00", True, []),  # they have not sat down
        ("19:01", True, [("19:00", "19:01", "20:30", None, "19:01")]),
        ("20:30", True, [("19:00", "20:30", "20:30", None, "20:30")]),
        ("21:00", True, [("19:00", "20:35", "20:30", None, "21:00")]),  # the table is no longer theirs
    ],
)
def test_a_table_is_free_from_the_moment_at_which_its_guests_leave(
    at: str, has_sat: bool, expected: list[tuple[str | None, ...]]
) -> None:
    ledger.vacate(a_seating(), at=clock(at), has_sat=has_sat)
    assert kept() == expected


@pytest.mark.parametrize(
    ("at", "now", "stays", "expected"),
    [
        ("20:00", "19:30", True, ("19:00", "20:00", "20:30", "20:30", None)),
        ("20:30", "19:30", True, ("19:00", "20:30", "20:30", None, None)),  # only the buffer is cut
        ("20:33", "19:30", True, ("19:00", "20:33", "20:30", None, None)),
        ("21:00", "19:30", True, ("19:00", "20:35", "20:30", None, None)),
        ("20:00", "20:00", False, ("19:00", "20:00", "20:30", None, "20:00")),  # it closes now
        ("20:00", "20:10", False, ("19:00", "20:10", "20:30", None, "20:10")),
    ],
)
def test_a_table_that_closes_is_its_guests_until_then(
    at: str, now: str, stays: bool, expected: tuple[str | None, ...]
) -> None:
    rows = a_seating()
    assert ledger.close_at(rows, clock(at), now=clock(now)) == (rows if stays else [])
    assert kept() == [expected]


def test_a_table_that_closes_before_they_come_is_not_theirs() -> None:
    assert ledger.close_at(a_seating(), clock("19:00"), now=clock("18:30")) == []
    assert kept() == []


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ("20:10", [("19:00", "20:00", "20:10", "20:10", None), ("19:00", "20:15", "20:10", None, None)]),
        ("20:00", [("19:00", "20:00", "20:00", None, None), ("19:00", "20:05", "20:00", None, None)]),
    ],
)
def test_who_leaves_earlier_keeps_a_table_that_closes_until_then(
    ends: str, expected: list[tuple[str | None, ...]]
) -> None:
    rows = a_seating("T1", "T2")
    ledger.close_at(rows[:1], clock("20:00"), now=SEVEN)
    ledger.leave_earlier(rows, clock(ends))
    assert kept() == expected


@pytest.mark.parametrize(
    ("until", "others", "closes", "blocked"),
    [
        ("21:30", None, None, "21:30"),
        ("21:30", "21:00", None, "21:00"),  # until the next guests come
        ("21:30", "21:30", None, "21:30"),
        ("21:30", None, "21:10", "21:10"),
        ("20:32", None, None, "20:35"),
    ],
)
def test_who_overstays_keeps_the_table_until_somebody_else_has_it(
    until: str, others: str | None, closes: str | None, blocked: str
) -> None:
    rows = a_seating()
    if others:
        a_seating(ref="B", start=others)
    if closes:
        close(closes)
    ledger.overstay(rows, clock(until), actor="staff:7", into_closures=False)
    assert kept() == [("19:00", blocked, "20:30", until, None)]


@pytest.mark.parametrize(("until", "found"), [("20:35", []), ("21:00", []), ("21:01", ["B"]), ("23:59", ["B", "C"])])
def test_followers_are_those_who_have_the_table_next(until: str, found: list[str]) -> None:
    rows = a_seating()
    for ref, table_ref, start in [("B", "T1", "21:00"), ("C", "T1", "22:40"), ("other", "T2", "21:00")]:
        a_seating(table_ref, ref=ref, start=start)
    assert [row.booking_ref for row in ledger.followers(rows, clock(until))] == found
    assert ledger.followers([], clock(until)) == []


@pytest.mark.parametrize(
    ("ends", "blocks", "closes", "into_closures", "expected", "overridden"),
    [
        ("21:00", "21:05", None, False, ("19:00", "21:05", "21:00", None, None), ""),
        ("20:00", "20:05", None, False, ("19:00", "20:05", "20:00", None, None), ""),
        ("21:00", "21:05", "20:45", False, ("19:00", "20:45", "21:00", "21:00", None), ""),
        ("21:00", "21:05", "20:45", True, ("19:00", "21:05", "21:00", None, None), "staff:7"),
        ("21:00", "21:05", "21:00", False, ("19:00", "21:00", "21:00", None, None), ""),  # the buffer is given up
        ("21:00", "21:05", "21:00", True, ("19:00", "21:00", "21:00", None, None), ""),
        ("21:00", "21:05", "21:05", False, ("19:00", "21:05", "21:00", None, None), ""),
    ],
)
def test_who_stays_longer_keeps_the_table_until_it_closes_unless_staff_say_otherwise(
    ends: str, blocks: str, closes: str | None, into_closures: bool, expected: tuple[str | None, ...], overridden: str
) -> None:
    rows = a_seating()
    if closes:
        close(closes)
    assert ledger.stay_until(rows, clock(ends), clock(blocks), actor="staff:7", into_closures=into_closures)
    assert kept() == [expected]
    (row,) = Allocation.objects.all()
    assert (row.overridden_by, row.despite) == (overridden, ["closed"] if overridden else [])
    assert ledger.is_cut(row) is (row.overstays_until is not None)
    assert ledger.closing_later("R1", SEVEN) == ([row] if row.overstays_until else [])


def test_nobody_stays_into_the_time_of_the_next_guests() -> None:
    rows = a_seating()
    a_seating(ref="B", start="21:00")
    assert ledger.stay_until(rows, clock("20:55"), clock("21:00"), actor="staff:7", into_closures=False)
    assert not ledger.stay_until(rows, clock("20:56"), clock("21:01"), actor="staff:7", into_closures=False)
    assert kept() == [("19:00", "21:00", "20:55", None, None)]
    assert (rows[0].ends_at, rows[0].blocked.upper) == (clock("20:55"), clock("21:00"))


def test_who_is_to_leave_before_the_table_is_theirs_has_it_as_short_as_can_be() -> None:
    rows = a_seating()
    assert ledger.stay_until(rows, clock("18:50"), clock("18:55"), actor="staff:7", into_closures=False)
    (row,) = Allocation.objects.all()
    assert (row.blocked.lower, row.blocked.upper) == (SEVEN, SEVEN + datetime.resolution)


@pytest.mark.parametrize(
    ("closes", "others", "blocked"),
    [
        (None, None, "20:30"),
        ("20:10", None, "20:10"),
        (None, "20:20", "20:20"),
        ("20:00", None, ""),
    ],
)
def test_a_table_that_was_to_close_is_blocked_as_long_as_its_guests_may_have_it(
    closes: str | None, others: str | None, blocked: str
) -> None:
    rows = a_seating()
    ledger.close_at(rows, clock("20:00"), now=SEVEN)
    if closes:
        close(closes)
    if others:
        a_seating(ref="B", start=others)
    assert ledger.reach_closures(rows) == (rows if blocked else [])
    assert kept() == [("19:00", blocked or "20:00", "20:30", "20:30", None)]


@pytest.mark.parametrize(
    ("start", "until", "is_there"), [("18:00", "19:00", False), ("18:00", "19:01", True), ("20:35", "21:00", False)]
)
def test_what_is_taken_is_what_meets_the_time(start: str, until: str, is_there: bool) -> None:
    rows = a_seating()
    expected = rows if is_there else []
    assert ledger.taken_at("R1", ["T1", "T9"], clock(start), clock(until)) == expected
    assert ledger.taken_at("R1", ["T9"], clock(start), clock(until)) == []
    assert ledger.blocked_at("R1", None, clock(start), clock(until)) == expected
    assert ledger.blocked_at("R1", ["T9"], clock(start), None) == []
    assert [row.table_ref for row in ledger.occupied("R1", clock(start), clock(until))] == ["T1"] * len(expected)


def test_a_closure_without_tables_closes_the_floor_and_one_of_a_zone_what_stands_there() -> None:
    on = floor(table("T1", 2, "Hall"), table("T2", 2, "Bar"), table("T3", 2, "Bar"))
    assert ledger.tables_closed(["T1"], "", on) == ("T1",)
    assert ledger.tables_closed(["T3"], "Bar", on) == ("T3", "T2")
    assert ledger.tables_closed([], "", on) == ("T1", "T2", "T3")
    assert ledger.tables_closed(["T1"], "Bar", None) == ["T1"]


def test_a_seating_of_an_older_version_counts_as_one_cover_until_its_guests_have_left() -> None:
    (row,) = a_seating()
    assert ledger.sitting(row) == {"party": 1, "starts_at": clock("19:00"), "ends_at": clock("20:30")}
    row.party, row.overstays_until = 0, clock("21:00")
    assert ledger.sitting(row) == {"party": 0, "starts_at": clock("19:00"), "ends_at": clock("21:00")}
    row.ended_at = clock("20:00")
    assert ledger.sitting(row)["ends_at"] == clock("20:00")


def test_who_waits_is_woken_for_what_others_give_up_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[tuple[object, ...]] = []

    def wake(restaurant_ref: str, start: datetime, until: datetime, *, deleting: Sequence[int] = ()) -> None:
        woken.append((restaurant_ref, f"{start:%H:%M}", f"{until:%H:%M}", len(deleting)))
        Allocation.objects.filter(pk__in=deleting).delete()

    def after(work: Callable[[list[Allocation]], object]) -> list[tuple[object, ...]]:
        Allocation.objects.all().delete()
        woken.clear()
        work(a_seating())
        return woken[:]

    def staying(ends: str, blocks: str) -> Callable[[list[Allocation]], object]:
        return lambda rows: ledger.stay_until(rows, clock(ends), clock(blocks), actor="staff:7", into_closures=False)

    monkeypatch.setattr(waiting, "wake", wake)
    assert after(lambda rows: ledger.vacate(rows, at=clock("20:00"), has_sat=True)) == [("R1", "20:00", "20:35", 0)]
    assert after(lambda rows: ledger.vacate(rows, at=clock("20:00"), has_sat=False)) == [("R1", "19:00", "20:35", 1)]
    assert after(staying("20:00", "20:05")) == [("R1", "20:05", "20:35", 0)]
    assert after(staying("20:30", "20:35")) == after(staying("21:00", "21:05")) == []
    assert after(lambda rows: ledger.leave_earlier(rows, clock("20:10"))) == [("R1", "20:15", "20:35", 0)]
    assert after(lambda _rows: ledger.release([])) == []
    assert after(lambda _rows: a_seating("T2", start="20:00") and ledger.release(["A"])) == [
        ("R1", "19:00", "21:35", 2)
    ]
    assert not Allocation.objects.exists()
    assert after(lambda _rows: ledger.release(["A"], for_others=False)) == []
    assert not Allocation.objects.exists()
    token = ledger.hold(placement("A", "T1", "T2"), seconds=60, now=datetime.now(UTC))
    assert [ledger.release_hold(token), ledger.release_hold(token)] == [2, 0]
    assert woken == [("R1", "19:00", "20:35", 2)]
    ledger.hold(placement("A", "T1"), seconds=-1, now=datetime.now(UTC))
    ledger.hold(placement("B", "T2", restaurant_ref="R2"), seconds=-1, now=datetime.now(UTC))
    ledger.hold(placement("B", "T1", restaurant_ref="R2"), seconds=-1, now=datetime.now(UTC))
    assert ledger.restaurants_with_expired_holds() == ["R1", "R2"]
    assert [ledger.remove_expired_holds("R2"), ledger.remove_expired_holds("R2")] == [2, 0]
    assert ledger.expired_by_now()[1:] == (True, False)


def test_what_planning_is_told_is_what_is_seated_held_or_closed() -> None:
    on = floor(table("T1", 2), table("T2", 2), table("T3", 2))
    until = clock("23:00")
    ledger.seat([placement("A", "T1", party=4)])
    ledger.hold(placement("B", "T3"), seconds=-1, now=datetime.now(UTC))
    Closure.objects.create(restaurant_ref="R1", table_refs=["T2"], starts_at=clock("21:00"), ends_at=None)
    seated = Occupied(
        table_ref="T1", blocked_from=clock("19:00"), blocked_until=clock("20:35"), booking_ref="A", closed=False
    )
    sitting = replace(seated, party=4, starts_at=clock("19:00"), ends_at=clock("20:30"))
    closed = Occupied(table_ref="T2", blocked_from=clock("21:00"), blocked_until=until, closed=True)
    assert set(ledger.occupied("R1", SEVEN, until, floor=on)) == {seated, closed}
    assert set(ledger.occupied("R1", SEVEN, until, with_stays=True)) == {sitting, closed}
    paced = replace(on, pacing=(Pacing(most_covers=8),))
    assert set(ledger.occupied("R1", SEVEN, until, floor=paced)) == {sitting, closed}
    assert Allocation.objects.filter(kind="hold").exists()
    ledger.occupied("R1", SEVEN, until, remove_expired=True)
    assert not Allocation.objects.filter(kind="hold").exists()
    # Guests at a table that closes keep it beside the closure, as long as nobody else has it.
    ledger.close_at(a_seating("T3", ref="C"), clock("20:00"), now=SEVEN)
    found = [row for row in ledger.occupied("R1", clock("20:10"), until) if row.table_ref == "T3"]
    assert [(row.blocked_from, row.blocked_until) for row in found] == [(clock("20:00"), clock("20:30"))]


def test_what_is_taken_costs_one_query_where_no_hold_has_expired(django_assert_num_queries: Any) -> None:
    a_seating()
    ledger.hold(placement("B", "T2"), seconds=60, now=datetime.now(UTC))
    with django_assert_num_queries(1):
        assert len(ledger.occupied("R1", SEVEN, clock("23:00"), remove_expired=True)) == 2


@pytest.mark.parametrize(
    ("start", "until", "blocked"),
    [
        ("20:30", "22:00", ("19:00", "20:30")),
        ("20:32", "22:00", ("19:00", "20:32")),
        ("18:00", "19:00", ("19:00", "20:35")),
    ],
)
def test_a_buffer_is_given_up_where_others_need_it(start: str, until: str, blocked: tuple[str, str]) -> None:
    ledger.give_up_buffers(a_seating(), clock(start), clock(until))
    assert [row[:2] for row in kept()] == [blocked]


def test_nobody_loses_part_of_the_stay_by_it() -> None:
    rows = a_seating()
    with pytest.raises(AssertionError, match="would lose part of its stay"):
        ledger.give_up_buffers(rows, clock("18:00"), clock("19:01"))
    with pytest.raises(AssertionError, match="would lose part of its stay"):
        ledger._shorten(rows[0], TimestamptzRange(clock("19:00"), clock("20:29")))
    ledger._shorten(rows[0], TimestamptzRange(clock("19:00"), clock("20:30")))
    assert [row[:2] for row in kept()] == [("19:00", "20:30")]


@pytest.mark.parametrize(("closes", "is_kept"), [("20:34", True), ("20:35", False)])
def test_that_staff_overrode_a_closure_is_forgotten_once_nothing_closes_the_table(closes: str, is_kept: bool) -> None:
    rows = a_seating(overridden_by="staff:7", despite=("closed", "not_adjacent"))
    close(closes)
    ledger.forget_closures(rows)
    (row,) = Allocation.objects.all()
    expected = ("staff:7", ["closed", "not_adjacent"]) if is_kept else ("", ["not_adjacent"])
    assert (row.overridden_by, row.despite) == expected


def test_guests_who_overstay_share_the_table_with_those_who_come_next() -> None:
    rows, late, elsewhere = a_seating(), a_seating(ref="B", start="21:00"), a_seating("T2", ref="C", start="21:00")
    assert ledger.sharing_tables([]) == ledger.sharing_tables(rows) == ledger.sharing_tables(late) == []
    ledger.overstay(rows, clock("21:30"), actor="staff:7", into_closures=False)
    assert ledger.sharing_tables(rows) == ["B"]
    assert ledger.sharing_tables(late) == ["A"]
    assert ledger.sharing_tables(elsewhere) == []
    assert ledger.overstaying(late) == ledger.overstaying(late, clock("21:29")) == rows
    assert ledger.overstaying(late, clock("21:30")) == []
    assert ledger.overstaying(rows) == [], "they do not share it with themselves"
    assert [row.booking_ref for row in ledger.blocked_at("R1", ["T1"], clock("21:05"), None)] == ["A", "B"]


def test_who_sits_before_the_table_is_theirs_shares_it_with_those_who_have_it_until_then() -> None:
    before, early = a_seating(ref="before", start="17:00"), a_seating(ref="early")
    after, elsewhere = a_seating(ref="after", start="21:00"), a_seating("T2", ref="elsewhere", start="17:00")
    assert [ledger.sharing_tables(rows) for rows in (before, early, after, elsewhere)] == [[], [], [], []]
    Assignment.objects.create(
        booking_ref="early",
        restaurant_ref="R1",
        service_date=SEVEN.date(),
        starts_at=SEVEN,
        party=2,
        requested_at=SEVEN,
        due_at=SEVEN,
        stage=Stage.SEATED,
    )
    assert ledger.sharing_tables(before) == ["early"]
    assert ledger.sharing_tables(early) == ["before"]
    assert ledger.sharing_tables(after) == ledger.sharing_tables(elsewhere) == []


@pytest.mark.parametrize(
    ("now", "found"), [("19:30", ["A"]), ("20:34", ["A"]), ("20:35", []), ("21:00", []), ("21:30", [])]
)
def test_who_is_still_there_is_who_has_the_table_before_others_may(now: str, found: list[str]) -> None:
    a_seating()
    assert [row.booking_ref for row in ledger.still_there(a_seating(ref="B", start="21:00"), clock(now))] == found


def test_who_comes_early_has_a_free_table_from_then_on_whatever_closes_it() -> None:
    rows = a_seating()
    Closure.objects.create(restaurant_ref="R1", table_refs=[], starts_at=clock("18:00"), ends_at=clock("18:40"))
    assert ledger.begin_at(rows, clock("18:30"), actor="staff:7")
    (row,) = Allocation.objects.all()
    assert (kept()[0][:2], row.overridden_by, row.despite) == (("18:30", "20:35"), "staff:7", ["closed"])
    a_seating(ref="B", start="16:25")
    assert not ledger.begin_at(rows, clock("17:59"), actor="staff:8")
    assert (rows[0].blocked.lower, kept()[0][0]) == (clock("18:30"), "18:30")


def test_staff_may_let_guests_overstay_into_a_closure() -> None:
    rows = a_seating()
    close("21:00")
    ledger.overstay(rows, clock("21:30"), actor="staff:7", into_closures=True)
    assert kept() == [("19:00", "21:30", "20:30", "21:30", None)]
    assert [row.overridden_by for row in Allocation.objects.all()] == ["staff:7"]
