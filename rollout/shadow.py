"""Shadow mode: keep what the old planner saw and decided; V3 is asked later, elsewhere, where it can harm nobody.

Recording happens after the old planner's transactions have ended, in a short one of its own, and never raises: the
control's outcome stands already. Asking V3 is ``rollout.comparing``'s.
"""

import hashlib
import logging
from collections import Counter
from contextvars import ContextVar

from django.db import connection, transaction

from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot
from rollout import conf
from rollout.frozen import freeze, freeze_decision, freeze_floor
from rollout.models import Comparison, FloorRecord

logger = logging.getLogger("rollout.shadow")

STATEMENT_TIMEOUT_MS = 500

is_on: ContextVar[bool] = ContextVar("rollout_shadow_is_on", default=False)
"""Whether the mode was shadow when the router last read it in this context: recording needs no query to know."""

counters: Counter[str] = Counter()
"""Of this process: ``recorded``, ``left_out`` by sampling, ``failed``."""

_known_floors: set[str] = set()


def record(snapshot: Snapshot, control: Decision, *, decision_ms: float) -> None:
    """Keep a decision of the old planner for comparison, if the mode is shadow and the booking is in the sample."""
    if not is_on.get():
        return
    if not is_sampled(snapshot.request.booking_ref):
        counters["left_out"] += 1
        return
    try:
        _store(snapshot, control, decision_ms)
        counters["recorded"] += 1
    except Exception as error:  # noqa: BLE001  (the control's outcome stands; a comparison less is counted)
        counters["failed"] += 1
        logger.error("A decision could not be kept for comparison: %s.", type(error).__name__)


def is_sampled(booking_ref: str) -> bool:
    """Whether the booking is in the sample; the same answer each time, and a larger sample keeps the smaller one."""
    digest = hashlib.sha256(f"shadow:{booking_ref}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < conf.settings().SHADOW_SAMPLE


def _store(snapshot: Snapshot, control: Decision, decision_ms: float) -> None:
    floor = snapshot.floor
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(STATEMENT_TIMEOUT_MS)])
        if floor.version not in _known_floors:
            FloorRecord.objects.bulk_create(
                [FloorRecord(version=floor.version, restaurant_ref=floor.restaurant_ref, content=freeze_floor(floor))],
                ignore_conflicts=True,
            )
        Comparison.objects.create(
            booking_ref=snapshot.request.booking_ref,
            restaurant_ref=floor.restaurant_ref,
            floor_id=floor.version,
            snapshot=freeze(snapshot),
            snapshot_hash=control.snapshot_hash,
            control=freeze_decision(control),
            control_ms=decision_ms,
        )
    _known_floors.add(floor.version)


def forget() -> None:
    """Start afresh, for tests."""
    _known_floors.clear()
    counters.clear()
    is_on.set(False)
