"""The floors by which decisions are judged, read from the host only if they are not on record.

The guard runs from cron, in a process that has no floors loaded, and to read a floor from the host takes several
queries. So a floor's record keeps the fingerprint with which it was read, and the host is asked only for fingerprints,
in one query if it has ``floor_fingerprints``.
"""

import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from assignments.concurrency import clock, transactions
from assignments.concurrency.sql import rows
from assignments.integration import floor_cache, release
from assignments.planning.floor import Floor
from rollout.models import FloorRecord
from rollout.shadow.serialization import UNREADABLE, floor_from_json, floor_to_json

DAY = 24 * 60 * 60


@dataclass
class _Look:
    """The fingerprints and floors that one run of the guard has read."""

    fingerprints: dict[str, str] = field(default_factory=dict)
    from_host: dict[str, Floor] = field(default_factory=dict)


_look: ContextVar[_Look | None] = ContextVar("look", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """Read each fingerprint only once inside, and at the end store the floors that had to be read from the host.

    So after an edit, earlier decisions can still be judged by the floor that they knew. One query if there are such
    floors.
    """
    look = _Look()
    token = _look.set(look)
    try:
        yield
    finally:
        _look.reset(token)
    _store(look)


def current(restaurant_refs: Collection[str]) -> Mapping[str, Floor]:
    """Return the current floors of these restaurants that are valid. Two queries for those on record."""
    look = _look.get() or _Look()
    missing = [ref for ref in restaurant_refs if ref not in look.fingerprints]
    look.fingerprints.update(floor_cache.fingerprints_of(missing) if missing else {})
    fingerprints = {ref: look.fingerprints[ref] for ref in restaurant_refs if look.fingerprints.get(ref)}
    keys = {ref: _key(ref, fingerprint) for ref, fingerprint in fingerprints.items()}
    found = {ref: look.from_host[ref] for ref in restaurant_refs if ref in look.from_host}
    for ref, content in rows(_RECORDED, refs=list(keys), keys=list(keys.values())) if keys else ():
        floor = _readable(content)
        if floor is not None:
            found[ref] = floor
    unknown = [ref for ref in restaurant_refs if ref not in found]
    read = _valid(floor_cache.floors_or_none(unknown, fingerprints=fingerprints)) if unknown else {}
    # A floor that was edited while it was read does not match its fingerprint.
    look.from_host.update(
        {ref: floor for ref, floor in read.items() if floor_cache.is_known_by(fingerprints.get(ref, ""), floor)}
    )
    return {**found, **read}


def from_host(restaurant_ref: str) -> Floor | None:
    """Return the floor that the host has at this moment, whatever is on record; None if it is invalid."""
    return floor_cache.floors_or_none([restaurant_ref])[restaurant_ref]


def of_batches(versions: Mapping[str, UUID]) -> Mapping[str, Floor]:
    """Return the floors of stored batches, by version. ``versions``: the key of one batch for each version. One query."""
    found = {}
    if versions:
        for version, content in rows(_OF_BATCHES, versions=list(versions), keys=list(versions.values())):
            floor = _readable(content)
            if floor is not None:
                found[version] = floor
    return found


def _valid(floors: Mapping[str, Floor | None]) -> dict[str, Floor]:
    return {ref: floor for ref, floor in floors.items() if floor is not None}


def _readable(content: str) -> Floor | None:
    try:
        return floor_from_json(json.loads(content))
    except UNREADABLE:
        return None  # Stored in another release's format, so it is read from the host.


def _store(look: _Look) -> None:
    records = {
        floor.version: FloorRecord(
            version=floor.version,
            restaurant_ref=ref,
            content=floor_to_json(floor),
            fingerprint=_key(ref, look.fingerprints[ref]),
        )
        for ref, floor in look.from_host.items()
        if look.fingerprints.get(ref)
    }
    if not records:
        return
    with transactions.atomic():
        FloorRecord.objects.bulk_create(
            [record for _version, record in sorted(records.items())],
            update_conflicts=True,
            unique_fields=["version"],
            update_fields=["fingerprint"],
        )


def _key(restaurant_ref: str, fingerprint: str) -> str:
    """Return the key under which a floor is on record.

    The host's code also shapes a floor, and a fingerprint does not show that. So each floor is read again for each
    release, and once a day, at different times.
    """
    return f"{fingerprint}:{release.running()}:{_day(restaurant_ref, clock.now())}"


def _day(restaurant_ref: str, now: datetime) -> int:
    return int(now.timestamp() + zlib.crc32(restaurant_ref.encode()) % DAY) // DAY


_RECORDED = """
SELECT record.restaurant_ref, record.content::text
  FROM rollout_floorrecord AS record
  JOIN unnest(%(refs)s::text[], %(keys)s::text[]) AS wanted(ref, key)
    ON record.fingerprint = wanted.key AND record.restaurant_ref = wanted.ref
"""

_OF_BATCHES = """
SELECT wanted.version, coalesce(record.content, batch.floor)::text
  FROM unnest(%(versions)s::text[], %(keys)s::uuid[]) AS wanted(version, key)
  JOIN rollout_frozenbatch AS batch ON batch.key = wanted.key
  LEFT JOIN rollout_floorrecord AS record ON record.version = wanted.version
 WHERE record.version IS NOT NULL OR batch.floor IS NOT NULL
"""
