"""The digest of a snapshot: equal, in every process, exactly if the input of the decision is equal."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, PlanningRules

_MODULUS = 1 << 256


class SnapshotDigest:
    """Digests of a floor's snapshots, updated incrementally while a batch occupies tables.

    The occupancy is a sum of its entries' digests, so the order does not matter. ``movable``: refs of the confirmed parties
    that may be moved.
    """

    def __init__(
        self,
        floor: Floor,
        occupied: Iterable[Occupied],
        *,
        rules: PlanningRules,
        now: datetime,
        success: Mapping[str, float],
        movable: Iterable[str] = (),
    ) -> None:
        fixed = (
            floor.version,
            _moment(now),
            rules.max_spare_seats,
            rules.max_tables,
            rules.min_lead_minutes,
            rules.max_party,
            rules.ranked_plans,
            sorted(rules.weights.items()),
            sorted(success.items()),
            # Snapshots of releases without a grace keep their digest.
            *([rules.grace_minutes] if rules.grace_minutes else []),
            *([] if rules.is_paced else ["not paced"]),
            # So do snapshots in which no confirmed party may be moved.
            *([sorted(movable)] if movable else []),
        )
        self._fixed = repr(fixed)
        self._occupied = 0
        for taken in occupied:
            self.add(taken)

    def add(self, taken: Occupied) -> None:
        """Add an occupied table."""
        self._occupied = (self._occupied + _entry(taken)) % _MODULUS

    def remove(self, taken: Occupied) -> None:
        """Remove an occupied table."""
        self._occupied = (self._occupied - _entry(taken)) % _MODULUS

    def of(self, request: SeatingRequest) -> str:
        """Return 32 hexadecimal digits for the snapshot in which ``request`` is decided."""
        return self._digest(self._asked(request))

    def of_all(self, requests: Iterable[SeatingRequest]) -> str:
        """Return 32 hexadecimal digits for the snapshot in which all of these are decided together, in this order."""
        return self._digest(tuple(self._asked(request) for request in requests))

    def _digest(self, asked: tuple[object, ...]) -> str:
        # The text of a tuple of the three; that of the first is long, and the same for all requests.
        content = f"({self._fixed}, {asked!r}, {self._occupied!r})"
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    @staticmethod
    def _asked(request: SeatingRequest) -> tuple[object, ...]:
        return (
            request.booking_ref,
            _moment(request.starts_at),
            request.party,
            _moment(request.ends_at),
            request.zone_ref,
            _moment(request.requested_at),
            sorted(request.pinned_table_refs),
            # Snapshots of releases without the current tables of a booking keep their digest.
            *([sorted(request.current_table_refs)] if request.current_table_refs else []),
            *([("needs", sorted(request.needs))] if request.needs else []),
            *([("wishes", sorted(request.wishes))] if request.wishes else []),
            *([("promised", request.promised_party)] if request.promised_party else []),
        )


def _entry(taken: Occupied) -> int:
    stay = _in_utc(taken.blocked_from), _in_utc(taken.blocked_until)
    paced: tuple[object, ...] | None = None
    if taken.starts_at is not None:
        paced = taken.party, _moment(taken.starts_at), _moment(taken.ends_at)
    if paced is not None and taken.is_wish:
        paced = (*paced, "wish")
    return _digest_of(taken.table_ref, *stay, taken.booking_ref, taken.closed, paced)


@lru_cache(maxsize=16_384)
def _digest_of(
    table_ref: str,
    start: datetime,
    until: datetime,
    booking_ref: str | None,
    closed: bool,
    paced: tuple[object, ...] | None,
) -> int:
    content: tuple[object, ...] = (table_ref, _moment(start), _moment(until), booking_ref)
    if closed:  # Stored digests have no closures.
        content = (*content, "closed")
    if paced is not None:  # Nor pacing.
        content = (*content, *paced)
    return int.from_bytes(hashlib.sha256(repr(content).encode()).digest())


def _in_utc(moment: datetime) -> datetime:
    # In local time both repeated hours of a clock change would be equal, and share a key of the cache.
    return moment if moment.tzinfo is None or moment.tzinfo is UTC else moment.astimezone(UTC)


def _moment(moment: datetime | None) -> str | None:
    # A moment has the same digest in any time zone. A naive time is hashed as written.
    if moment is None:
        return None
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).isoformat()
