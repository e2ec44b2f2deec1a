"""Recording the control's snapshots and decisions in shadow mode, for a later comparison.

A thread with its own connection records them after the control's transactions have ended. It never raises and never
delays the control. ``rollout.shadow.comparator`` compares them.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from assignments.concurrency import clock, transactions
from assignments.error_logging import log_error
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.service_day import service_date
from assignments.planning.snapshot import Snapshot
from assignments.telemetry.background_writer import GATHER_SECONDS, BackgroundWriter
from rollout import conf
from rollout.models import FARTHEST_DAYS, Comparison, FloorRecord
from rollout.shadow.serialization import decision_to_json, floor_to_json, snapshot_to_json

logger = logging.getLogger("rollout.shadow")

BUFFER_SIZE = 5000
LIMITS = transactions.Limits(statement=5000, lock=5000)
RECORDED_DAYS = FARTHEST_DAYS - 2
"""Bookings that start later are not recorded. Two days less than the database takes, because clocks and zones differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A decision of the control to be stored."""

    snapshot: Snapshot
    control: Decision
    decision_ms: float


def record(snapshot: Snapshot, control: Decision, *, decision_ms: float) -> None:
    """Record a decision of the control for comparison, if the booking is in the sample and not too far in the future.

    Call it for decisions whose route is recorded: the mode was shadow when the booking was claimed.
    """
    if is_sampled(snapshot.request.booking_ref) and is_within_reason(snapshot):
        _writer.append([Kept(snapshot=snapshot, control=control, decision_ms=decision_ms)])
    else:
        _writer.count("left_out")


def is_sampled(booking_ref: str) -> bool:
    """Return whether the booking is in the sample. Stable; a larger sample contains every smaller one."""
    digest = hashlib.sha256(f"shadow:{booking_ref}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < conf.settings().SHADOW_SAMPLE


def is_within_reason(snapshot: Snapshot) -> bool:
    """Return whether the booking starts within RECORDED_DAYS, so that the database takes its comparison."""
    return snapshot.request.starts_at < clock.now() + timedelta(days=RECORDED_DAYS)


def flush(timeout_seconds: float = 10.0) -> bool:
    """Wait until everything recorded so far is stored; False on timeout."""
    return _writer.flush(timeout_seconds)


def counters() -> dict[str, int]:
    """Counters of this process: ``stored``, ``left_out`` by sampling or date, ``dropped_overflow``, ``dropped_failure``."""
    return _writer.counters()


def _write(batch: Sequence[Kept]) -> bool:
    try:
        _store(batch)
    except Exception as error:  # noqa: BLE001  (lost comparisons are counted and affect nothing else)
        log_error(logger, error, "%d decisions could not be recorded for comparison", len(batch))
        return False
    finally:
        connection.close()
    return True


def _store(batch: Sequence[Kept]) -> None:
    with transactions.atomic(limits=LIMITS):
        keep_floors(kept.snapshot.floor for kept in batch)
        Comparison.objects.bulk_create(
            [
                Comparison(
                    booking_ref=kept.snapshot.request.booking_ref,
                    **about(kept.snapshot, kept.control),
                    control_ms=kept.decision_ms,
                )
                for kept in batch
            ]
        )


def keep_floors(floors: Iterable[Floor]) -> None:
    """Store the floors that comparisons refer to, each version once. One query."""
    by_version = {floor.version: floor for floor in floors}
    FloorRecord.objects.bulk_create(
        [
            FloorRecord(version=version, restaurant_ref=floor.restaurant_ref, content=floor_to_json(floor))
            for version, floor in sorted(by_version.items())
        ],
        ignore_conflicts=True,
    )


def about(snapshot: Snapshot, control: Decision) -> dict[str, Any]:
    """The columns of a comparison that describe the booking and the control's decision."""
    floor, request = snapshot.floor, snapshot.request
    return {
        "restaurant_ref": floor.restaurant_ref,
        "floor_id": floor.version,
        "party": request.party,
        "starts_at": request.starts_at,
        "service_date": service_date(floor, request.starts_at),
        "peak": is_peak(snapshot),
        "joined": is_joined(control),
        "snapshot": snapshot_to_json(snapshot),
        "snapshot_hash": control.snapshot_hash,
        "control": decision_to_json(control),
    }


def is_peak(snapshot: Snapshot) -> bool:
    """Return whether at least half of the tables were taken at the booking's start."""
    start = snapshot.request.starts_at
    taken = {each.table_ref for each in snapshot.occupied if each.blocked_from <= start < each.blocked_until}
    tables = {table.ref for table in snapshot.floor.tables if table.active}
    return bool(tables) and 2 * len(taken & tables) >= len(tables)


def is_joined(decision: Decision) -> bool:
    """Return whether the decision joins tables."""
    return decision.best is not None and len(decision.best.table_refs) > 1


_writer = BackgroundWriter("rollout-shadow", _write, size=lambda: BUFFER_SIZE, gather_seconds=GATHER_SECONDS)
