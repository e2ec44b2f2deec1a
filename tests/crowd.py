"""Much data, in seconds: a real evening that was really decided, copied over restaurants and days by SQL.

Everything is as valid as the original: PostgreSQL checks each copy (no overlap, no state without history) as it checks
anything else. Days behind us are copied without what was never decided.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from assignments.concurrency.transactions import database_now
from assignments.integration import release
from assignments.integration.project_host import configured
from assignments.models import Allocation, Assignment, Attempt, Event, StateTransition
from assignments.planning import engine
from assignments.planning.decision import Decision
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.planning.text import Text
from example import models
from rollout.models import Comparison
from rollout.policy.verdict import compare
from rollout.shadow import recorder
from rollout.shadow.serialization import decision_to_json

COPIED_RESTAURANTS = 4
A_DAY = 24 * 60 * 60
ERROR = {"error_type": "HostError", "trigger": "cron"}


def grow(
    restaurant: models.Restaurant, *, bookings: int = 10_000, events: int = 100_000, comparisons: int = 10_000
) -> None:
    """At least so many of each, from one decided evening of this restaurant, its events and its comparisons."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        restaurants = [restaurant.pk, *_restaurants(cursor, restaurant.pk)]
        _plan_copies(cursor, restaurants, bookings)
        _bookings(cursor)
        _decisions(cursor, restaurant.pk)
        _events(cursor, events)
        _comparisons(cursor, comparisons)
        for model in (models.Booking, Allocation, Assignment, Attempt, Event, StateTransition, Comparison):
            cursor.execute(f"ANALYZE {model._meta.db_table}")


def compare_evening(restaurant: models.Restaurant, *, of: int = 40) -> None:
    """Comparisons of so many of the evening's bookings, with whole snapshots: V3's decision, and what it is held against.

    The other planner agrees, takes V3's second choice, or refuses, in turn; nobody has to be asked for that.
    """
    host, ref = configured(), str(restaurant.pk)
    floor = host.floor(ref)
    refs = [str(pk) for pk in restaurant.bookings.order_by("start", "pk").values_list("pk", flat=True)[:of]]
    # Half of the seatings: on a full evening there would be no second choice.
    taken = list(Allocation.objects.filter(restaurant_ref=ref, kind=Allocation.Kind.SEATING).order_by("pk"))[::2]
    now = database_now()
    recorder.keep_floors([floor])
    rows = []
    for (booking_ref, booking), agrees in zip(
        sorted(host.bookings(refs).items()), cycle(["yes", "second", "refuses", "yes"])
    ):
        request = SeatingRequest(booking_ref=booking_ref, starts_at=booking.starts_at, party=booking.party)
        occupied = tuple(
            Occupied(
                table_ref=each.table_ref,
                blocked_from=each.blocked.lower,
                blocked_until=each.blocked.upper,
                booking_ref=each.booking_ref,
            )
            for each in taken
            if each.booking_ref != booking_ref
        )
        snapshot = Snapshot(floor=floor, occupied=occupied, request=request, now=now)
        candidate = engine.plan(snapshot)
        control = _other(candidate, agrees)
        rows.append(
            Comparison(
                booking_ref=booking_ref,
                **recorder.about(snapshot, control),
                control_ms=0.6,
                control_repeats=True,
                candidate=decision_to_json(candidate),
                candidate_ms=0.4,
                verdict=compare(snapshot, control, candidate),
                release=release.running(),
                compared_at=now,
            )
        )
    Comparison.objects.bulk_create(rows)


def _other(decision: Decision, agrees: str) -> Decision:
    if agrees == "second" and len(decision.plans) > 1:
        first, second, *rest = decision.plans
        return replace(decision, plans=(second, first, *rest))
    if agrees == "refuses" and decision.plans:
        return replace(decision, plans=(), refusal=Refusal(reason=Reason.NO_CAPACITY, text=Text("No table was free.")))
    return decision


def _copy(cursor: Any, model: type[Model], joined: str, **instead: str) -> None:
    """Insert copies of the model's rows (``old``), joined as given, with these columns worked out instead."""
    columns = [str(field.column) for field in model._meta.concrete_fields if field.column != "id" or "id" in instead]
    table, quoted = model._meta.db_table, {column: connection.ops.quote_name(column) for column in columns}
    values = [instead.get(column, f"old.{quoted[column]}") for column in columns]
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(quoted.values())}) SELECT {', '.join(values)} FROM {table} AS old {joined}"
    )


def _restaurants(cursor: Any, original: int) -> Sequence[int]:
    """Copies of the restaurant with its whole floor; their keys. ``crowd_table`` says which table is which."""
    cursor.execute(
        "CREATE TEMP TABLE crowd_restaurant ON COMMIT DROP AS SELECT nextval('example_restaurant_id_seq') AS id, number "
        "FROM generate_series(1, %s) AS number",
        [COPIED_RESTAURANTS],
    )
    here = f"CROSS JOIN crowd_restaurant AS crowd WHERE old.restaurant_id = {original}"
    _copy(
        cursor,
        models.Restaurant,
        f"CROSS JOIN crowd_restaurant AS crowd WHERE old.id = {original}",
        id="crowd.id",
        name="old.name || ' ' || crowd.number",
        reference="old.reference || ' ' || crowd.number",
    )
    _copy(cursor, models.Zone, here, restaurant_id="crowd.id")
    zone = (
        "JOIN example_zone AS was ON was.id = old.zone_id "
        "JOIN example_zone AS zone ON zone.name = was.name JOIN crowd_restaurant AS crowd ON crowd.id = zone.restaurant_id "
        f"WHERE old.restaurant_id = {original}"
    )
    _copy(cursor, models.Table, zone, restaurant_id="crowd.id", zone_id="zone.id")
    _copy(cursor, models.ServicePeriod, here, restaurant_id="crowd.id")
    service = (
        f"JOIN example_serviceperiod AS was ON was.id = old.service_id AND was.restaurant_id = {original} "
        "JOIN example_serviceperiod AS service ON service.key = was.key "
        "JOIN crowd_restaurant AS crowd ON crowd.id = service.restaurant_id"
    )
    _copy(cursor, models.TurnTime, service, service_id="service.id")
    cursor.execute(
        "CREATE TEMP TABLE crowd_table ON COMMIT DROP AS "
        "SELECT was.id AS was, copy.id, copy.restaurant_id FROM example_table AS was JOIN example_table AS copy "
        "ON copy.code = was.code WHERE was.restaurant_id = %s",
        [original],
    )
    pair = (
        "JOIN crowd_table AS first ON first.was = old.first_id JOIN crowd_table AS second ON second.was = old.second_id "
        f"AND second.restaurant_id = first.restaurant_id WHERE first.restaurant_id <> {original}"
    )
    _copy(cursor, models.TableAdjacency, pair, first_id="first.id", second_id="second.id")
    cursor.execute("SELECT id FROM crowd_restaurant ORDER BY id")
    return [key for (key,) in cursor.fetchall()]


def _plan_copies(cursor: Any, restaurants: Sequence[int], bookings: int) -> None:
    """Which booking is copied where: ``crowd`` (was, booking, assignment, restaurant, by how many days, number)."""
    cursor.execute(
        """
        CREATE TEMP TABLE crowd ON COMMIT DROP AS
        SELECT nextval('example_booking_id_seq') AS booking, nextval('assignments_assignment_id_seq') AS assignment, chosen.*
          FROM (SELECT old.id AS was, restaurant.id AS restaurant, make_interval(days => days) AS shift,
                       row_number() OVER (ORDER BY abs(days + extract(day FROM old.start - now())), restaurant.id, old.id)
                           AS number
                  FROM example_booking AS old
                  JOIN assignments_assignment AS decided ON decided.booking_ref = old.id::text
                 CROSS JOIN unnest(%s::bigint[]) AS restaurant(id)
                 CROSS JOIN generate_series(-400, 400) AS days
                 WHERE old.restaurant_id = %s AND NOT (days = 0 AND restaurant.id = old.restaurant_id)
                   AND abs(days + extract(day FROM old.start - now())) <= %s
                   AND (decided.due_at IS NULL OR old.start + make_interval(days => days) > now())) AS chosen
         WHERE number <= %s
        """,
        [restaurants, restaurants[0], 1 + bookings // (80 * len(restaurants)), bookings],
    )
    cursor.execute("CREATE INDEX ON crowd (was)")
    cursor.execute("ANALYZE crowd")


def _bookings(cursor: Any) -> None:
    _copy(
        cursor,
        models.Booking,
        "JOIN crowd ON crowd.was = old.id",
        id="crowd.booking",
        restaurant_id="crowd.restaurant",
        reference="old.reference || '-' || crowd.number",
        start="old.start + crowd.shift",
        end='old."end" + crowd.shift',
        zone_id="NULL",
        created_at="least(old.created_at + crowd.shift, old.created_at)",
    )
    _copy(
        cursor,
        models.Booking.tables.through,
        "JOIN crowd ON crowd.was = old.booking_id "
        "JOIN crowd_table AS seat ON seat.was = old.table_id AND seat.restaurant_id = crowd.restaurant",
        booking_id="crowd.booking",
        table_id="seat.id",
    )


def _decisions(cursor: Any, original: int) -> None:
    """Assignments, their history and attempts, and the ledger. What was decided for the future was decided by now."""
    by_ref = "JOIN crowd ON crowd.was::text = old.booking_ref"
    moment = "least(old.{0} + crowd.shift, old.{0})"
    _copy(
        cursor,
        Assignment,
        by_ref,
        id="crowd.assignment",
        booking_ref="crowd.booking::text",
        restaurant_ref="crowd.restaurant::text",
        service_date="old.service_date + extract(day FROM crowd.shift)::int",
        starts_at="old.starts_at + crowd.shift",
        requested_at=moment.format("requested_at"),
        updated_at=moment.format("updated_at"),
    )
    of_it = {"assignment_id": "crowd.assignment", "booking_ref": "crowd.booking::text", "at": moment.format("at")}
    _copy(cursor, StateTransition, by_ref, **of_it)
    tables = """ARRAY(SELECT seat.id::text FROM unnest(old.table_refs) AS ref JOIN crowd_table AS seat
                        ON seat.was::text = ref AND seat.restaurant_id = crowd.restaurant)"""
    # The plans name the original's tables; elsewhere nothing is said rather than something wrong.
    told = f"CASE WHEN crowd.restaurant = {original} THEN old.decision ELSE '{{}}' END"
    _copy(cursor, Attempt, by_ref, **of_it, table_refs=tables, decision=told)
    _copy(
        cursor,
        Allocation,
        f"{by_ref} JOIN crowd_table AS seat ON seat.was::text = old.table_ref AND seat.restaurant_id = crowd.restaurant",
        restaurant_ref="crowd.restaurant::text",
        table_ref="seat.id::text",
        booking_ref="crowd.booking::text",
        blocked="tstzrange(lower(old.blocked) + crowd.shift, upper(old.blocked) + crowd.shift)",
        starts_at="old.starts_at + crowd.shift",
        ends_at="old.ends_at + crowd.shift",
        created_at=moment.format("created_at"),
    )


def _events(cursor: Any, count: int) -> None:
    """The evening's events again and again over thirty days; every two hundredth is an error."""
    cursor.execute(
        "CREATE TEMP TABLE crowd_event ON COMMIT DROP AS "
        "SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM assignments_event"
    )
    cursor.execute("SELECT count(*) FROM crowd_event")
    known = int(cursor.fetchone()[0])
    if not known:
        raise ValueError("There is no event to copy: ASSIGNMENTS['EVENT_SINKS'] must store them.")
    cursor.execute("SELECT coalesce(max(number), 0) FROM crowd")
    bookings = int(cursor.fetchone()[0])
    many = (
        f"JOIN crowd_event USING (id) JOIN generate_series(0, {count - 1}) AS many ON many % {known} = crowd_event.number "
        f"LEFT JOIN crowd ON crowd.number = 1 + many % {max(1, bookings)}"
    )
    at = f"old.at - many * interval '{30 * A_DAY / count} seconds'"
    _copy(
        cursor,
        Event,
        many,
        at=at,
        stored_at=at,
        booking_ref="CASE WHEN old.booking_ref = '' THEN '' ELSE crowd.booking::text END",
        restaurant_ref="CASE WHEN old.restaurant_ref = '' THEN '' ELSE crowd.restaurant::text END",
        severity="CASE WHEN many % 200 = 7 THEN 'error' ELSE old.severity END",
        type="CASE WHEN many % 200 = 7 THEN 'coordinator.error' ELSE old.type END",
        source="CASE WHEN many % 200 = 7 THEN 'assignment.coordinator' ELSE old.source END",
        context=f"CASE WHEN many % 200 = 7 THEN '{json.dumps(ERROR)}'::jsonb ELSE old.context END",
    )


def _comparisons(cursor: Any, count: int) -> None:
    """The evening's comparisons again and again over three days."""
    cursor.execute(
        "CREATE TEMP TABLE crowd_comparison ON COMMIT DROP AS "
        "SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM rollout_comparison"
    )
    cursor.execute("SELECT count(*) FROM crowd_comparison")
    known = int(cursor.fetchone()[0])
    if not known:
        raise ValueError("There is no comparison to copy: compare_evening() makes some.")
    back = f"many * interval '{3 * A_DAY / count} seconds'"
    _copy(
        cursor,
        Comparison,
        "JOIN crowd_comparison USING (id) "
        f"JOIN generate_series(1, {count}) AS many ON many % {known} = crowd_comparison.number",
        recorded_at=f"old.recorded_at - {back}",
        compared_at=f"old.compared_at - {back}",
        snapshot_hash="old.snapshot_hash || '-' || many",
    )
