"""Snapshots as JSON and back: what one planner saw, kept so that any planner can be asked again later.

The floor is kept apart, by its version: an evening's snapshots share it. A snapshot that is read back has the
digest that it was written with.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any

from assignments.planning.decision import Decision, Plan
from assignments.planning.floor import Floor, Join, ServicePeriod, Table, TurnTime, adjacency
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot


def snapshot_to_json(snapshot: Snapshot) -> dict[str, Any]:
    """Everything of a snapshot but its floor, which is named by its version."""
    request, rules = snapshot.request, snapshot.rules
    return {
        "floor": snapshot.floor.version,
        "now": snapshot.now.isoformat(),
        "request": {
            "booking_ref": request.booking_ref,
            "starts_at": request.starts_at.isoformat(),
            "party": request.party,
            "ends_at": _text(request.ends_at),
            "zone_ref": request.zone_ref,
            "requested_at": _text(request.requested_at),
            "pinned_table_refs": list(request.pinned_table_refs),
        },
        "occupied": [
            [taken.table_ref, taken.blocked_from.isoformat(), taken.blocked_until.isoformat(), taken.booking_ref]
            for taken in snapshot.occupied
        ],
        "rules": {
            "max_spare_seats": rules.max_spare_seats,
            "max_tables": rules.max_tables,
            "min_lead_minutes": rules.min_lead_minutes,
            "max_party": rules.max_party,
            "ranked_plans": rules.ranked_plans,
            "weights": dict(rules.weights),
        },
        "success": dict(snapshot.success),
    }


def snapshot_from_json(stored: Mapping[str, Any], floor: Floor) -> Snapshot:
    """The snapshot again. Raises ValueError when the floor is not the one that it was stored with."""
    if stored["floor"] != floor.version:
        raise ValueError(f"This snapshot belongs to floor version {stored['floor']}, not {floor.version}.")
    request = stored["request"]
    return Snapshot(
        floor=floor,
        now=datetime.fromisoformat(stored["now"]),
        request=SeatingRequest(
            booking_ref=request["booking_ref"],
            starts_at=datetime.fromisoformat(request["starts_at"]),
            party=request["party"],
            ends_at=_moment(request["ends_at"]),
            zone_ref=request["zone_ref"],
            requested_at=_moment(request["requested_at"]),
            pinned_table_refs=tuple(request["pinned_table_refs"]),
        ),
        occupied=tuple(
            Occupied(
                table_ref=table_ref,
                blocked_from=datetime.fromisoformat(start),
                blocked_until=datetime.fromisoformat(until),
                booking_ref=booking_ref,
            )
            for table_ref, start, until, booking_ref in stored["occupied"]
        ),
        rules=PlanningRules(**stored["rules"]),
        success=stored["success"],
    )


def floor_to_json(floor: Floor) -> dict[str, Any]:
    return {
        "restaurant_ref": floor.restaurant_ref,
        "timezone": floor.timezone,
        "tables": [
            [table.ref, table.name, table.seats, table.zone_ref, table.min_party, table.max_party, table.active]
            for table in floor.tables
        ],
        "services": [
            {
                "key": service.key,
                "starts": service.starts.isoformat(),
                "ends": service.ends.isoformat(),
                "turn_times": [[turn.max_party, turn.minutes] for turn in service.turn_times],
                "allow_overrun": service.allow_overrun,
                "buffer_before_minutes": service.buffer_before_minutes,
                "buffer_after_minutes": service.buffer_after_minutes,
                "weekdays": sorted(service.weekdays),
            }
            for service in floor.services
        ],
        "adjacent": sorted(sorted(pair) for pair in floor.adjacent),
        "joins": [[sorted(join.table_refs), join.seats, join.min_party, join.max_party] for join in floor.joins],
        "outside_service_minutes": floor.outside_service_minutes,
        "zone_names": dict(floor.zone_names),
    }


def floor_from_json(stored: Mapping[str, Any]) -> Floor:
    """The floor again, with the same version."""
    return Floor(
        restaurant_ref=stored["restaurant_ref"],
        timezone=stored["timezone"],
        tables=tuple(
            Table(
                ref=ref,
                name=name,
                seats=seats,
                zone_ref=zone_ref,
                min_party=min_party,
                max_party=max_party,
                active=active,
            )
            for ref, name, seats, zone_ref, min_party, max_party, active in stored["tables"]
        ),
        services=tuple(
            ServicePeriod(
                key=service["key"],
                starts=time.fromisoformat(service["starts"]),
                ends=time.fromisoformat(service["ends"]),
                turn_times=tuple(
                    TurnTime(max_party=max_party, minutes=minutes) for max_party, minutes in service["turn_times"]
                ),
                allow_overrun=service["allow_overrun"],
                buffer_before_minutes=service["buffer_before_minutes"],
                buffer_after_minutes=service["buffer_after_minutes"],
                weekdays=frozenset(service["weekdays"]),
            )
            for service in stored["services"]
        ),
        adjacent=adjacency((one, other) for one, other in stored["adjacent"]),
        joins=tuple(
            Join(table_refs=frozenset(refs), seats=seats, min_party=min_party, max_party=max_party)
            for refs, seats, min_party, max_party in stored["joins"]
        ),
        outside_service_minutes=stored["outside_service_minutes"],
        zone_names=dict(stored.get("zone_names") or {}),  # Earlier releases kept none.
    )


def decision_to_json(decision: Decision) -> dict[str, Any]:
    window = decision.window
    return {
        "booking_ref": decision.booking_ref,
        "snapshot_hash": decision.snapshot_hash,
        "window": window
        and [
            window.starts_at.isoformat(),
            window.ends_at.isoformat(),
            window.blocked_from.isoformat(),
            window.blocked_until.isoformat(),
            window.service_key,
        ],
        "plans": [
            {
                "table_refs": list(plan.table_refs),
                "seats": plan.seats,
                "spare_seats": plan.spare_seats,
                "score": plan.score,
                "breakdown": dict(plan.breakdown),
                "strategy": plan.strategy,
                "zone_ref": plan.zone_ref,
            }
            for plan in decision.plans
        ],
        "refusal": decision.refusal and _refusal_to_json(decision.refusal),
        "considered": decision.considered,
        "rejected": {str(reason): count for reason, count in decision.rejected.items()},
    }


def decision_from_json(stored: Mapping[str, Any]) -> Decision:
    """The decision again. Raises KeyError, TypeError or ValueError for what is none."""
    window = stored["window"]
    refusal = stored["refusal"]
    decision = Decision(
        booking_ref=str(stored["booking_ref"]),
        snapshot_hash=str(stored["snapshot_hash"]),
        window=window
        and SeatingWindow(
            starts_at=datetime.fromisoformat(window[0]),
            ends_at=datetime.fromisoformat(window[1]),
            blocked_from=datetime.fromisoformat(window[2]),
            blocked_until=datetime.fromisoformat(window[3]),
            service_key=window[4],
        ),
        plans=tuple(Plan(**{**plan, "table_refs": tuple(plan["table_refs"])}) for plan in stored["plans"]),
        refusal=refusal and _refusal_from_json(refusal),
        considered=int(stored["considered"]),
        rejected=dict(stored["rejected"]),
    )
    if bool(decision.plans) == bool(decision.refusal):
        raise ValueError("A decision has plans or a refusal, and not both.")
    if decision.plans and decision.window is None:
        raise ValueError("A decision with plans has a window.")
    return decision


def _refusal_to_json(refusal: Refusal) -> list[Any]:
    """Its reason and its sentence; then what the sentence was made from, so that it can be read in other languages too."""
    because = [_refusal_to_json(each) for each in refusal.because]
    return [refusal.reason.value, refusal.detail, refusal.text, dict(refusal.values), because]


def _refusal_from_json(stored: Sequence[Any]) -> Refusal:
    reason, detail, *made_from = stored
    if not made_from:  # Kept before the parts were.
        return Refusal(reason=Reason(reason), text=str(detail))
    text, values, because = made_from
    refusal = Refusal(
        reason=Reason(reason),
        text=str(text),
        values=dict(values),
        because=tuple(_refusal_from_json(each) for each in because),
    )
    if refusal.detail != detail:
        raise ValueError(f"A refusal says {detail!r}, and is made from what says {refusal.detail!r}.")
    return refusal


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
