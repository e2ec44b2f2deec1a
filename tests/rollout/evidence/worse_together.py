"""Faults in code that V3 and the legacy planner share: both are wrong in the same way, so comparing them shows nothing."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from types import ModuleType
from typing import Any

from assignments.planning import admission
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.reasons import Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import Snapshot
from assignments.planning.units import Unit, seatable_units
from rollout.shadow.candidate import V3Candidate

Window = SeatingWindow | Refusal


def _forgets_buffers(floor: Floor, **party: Any) -> Window:
    found = seating_window(floor, **party)
    if isinstance(found, Refusal):
        return found
    return replace(found, blocked_from=found.starts_at, blocked_until=found.ends_at)


def _is_an_hour_off(floor: Floor, **party: Any) -> Window:
    found, hour = seating_window(floor, **party), timedelta(hours=1)
    if isinstance(found, Refusal):
        return found
    return replace(found, blocked_from=found.blocked_from + hour, blocked_until=found.blocked_until + hour)


def _joins_what_is_apart(floor: Floor, *limits: int) -> Sequence[Unit]:
    """Any two tables of a zone are joined."""
    pairs = combinations([table for table in floor.tables if table.active], 2)
    beside = frozenset(frozenset((one.ref, other.ref)) for one, other in pairs if one.zone_ref == other.zone_ref)
    return seatable_units(replace(floor, adjacent=beside), *limits)


def _who_has(name: str, function: Callable[..., Any]) -> list[ModuleType]:
    """The modules that have imported the function, both planners' among them."""
    return [
        module
        for module in list(sys.modules.values())
        if vars(module).get(name) is function and module.__name__ != __name__
    ]


@contextmanager
def spoiled(fault: str) -> Iterator[None]:
    """Both planners have it meanwhile."""
    faults: Mapping[str, Sequence[tuple[Any, str, Callable[..., Any]]]] = {
        "forgets_buffers": [(admission, "seating_window", _forgets_buffers)],
        "is_an_hour_off": [(admission, "seating_window", _is_an_hour_off)],
        "joins_what_is_apart": [
            (module, "seatable_units", _joins_what_is_apart) for module in _who_has("seatable_units", seatable_units)
        ],
    }
    replaced = faults[fault]
    before = [getattr(module, name) for module, name, _wrong in replaced]
    for module, name, wrong in replaced:
        setattr(module, name, wrong)
    try:
        yield
    finally:
        for (module, name, _wrong), right in zip(replaced, before, strict=True):
            setattr(module, name, right)


class _Spoiled(V3Candidate):
    def __init__(self, fault: str) -> None:
        self._fault = fault

    def __call__(self, snapshot: Snapshot) -> Decision:
        with spoiled(self._fault):
            return super().__call__(snapshot)

    def together(self, requests: Sequence[SeatingRequest], **day: Any) -> Mapping[str, Decision]:
        with spoiled(self._fault):
            return super().together(requests, **day)


forgets_buffers = _Spoiled("forgets_buffers")
is_an_hour_off = _Spoiled("is_an_hour_off")
joins_what_is_apart = _Spoiled("joins_what_is_apart")
