"""The candidate's process: ``python -m rollout.shadow.sandbox PATH``, started by ``rollout.shadow.comparator``.

Questions come as JSON lines on standard input, answers go out on the process's original standard output;
the candidate's own output goes to standard error. Each question is answered inside a READ ONLY transaction that is always
rolled back.
"""

import gc
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assignments.planning.decision import Decision
    from assignments.planning.floor import Floor
    from assignments.planning.request import SeatingRequest
    from assignments.planning.snapshot import Snapshot


_floors: dict[str, "Floor"] = {}


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import django

    gc.disable()  # What a start makes stays: to look for garbage in it would take a fifth of the time.
    django.setup()
    gc.freeze()
    gc.enable()
    from django.conf import settings
    from django.utils.module_loading import import_string

    from assignments.integration import release
    from rollout.shadow.comparator import database_is_read_only, is_behind_pooler

    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    candidate = import_string(sys.argv[1])
    if not is_behind_pooler() and not database_is_read_only():
        sys.exit("The candidate is only asked where the database refuses writes by default (PGOPTIONS).")
    answers.write(f"ready {release.running()}\n".encode())
    for line in sys.stdin.buffer:
        _answer(json.loads(line), candidate, answers)


def _answer(question: dict[str, Any], candidate: Any, answers: BinaryIO) -> None:
    from django.db import transaction

    from assignments.concurrency import transactions
    from assignments.concurrency.stopwatch import Stopwatch
    from rollout import conf
    from rollout.shadow.serialization import (
        batch_decision_to_json,
        decision_to_json,
        floor_from_json,
        requests_from_json,
        snapshot_from_json,
    )

    version = question["snapshot"]["floor"]
    if version not in _floors:
        _floors.clear()  # Decisions of one restaurant follow each other.
        _floors[version] = floor_from_json(question["floor"])
    snapshot = snapshot_from_json(question["snapshot"], _floors[version])
    requests = requests_from_json(question["requests"]) if "requests" in question else None
    said: dict[str, Any] = {"decision": None, "ms": 0.0, "error": ""}
    try:
        milliseconds = round(conf.settings().CANDIDATE_SECONDS * 1000) * (1 if requests is None else len(requests))
        limits = transactions.Limits(statement=milliseconds, idle=milliseconds + transactions.THINKING_TIMEOUT_MS)
        with transactions.read_only(limits=limits):
            stopwatch = Stopwatch()
            decided: Any = candidate(snapshot) if requests is None else _together(candidate, snapshot, requests)
            said["ms"] = stopwatch.milliseconds
            transaction.set_rollback(True)
            if requests is None:
                said["decision"] = decision_to_json(decided)
            else:
                said["decision"] = {ref: batch_decision_to_json(each) for ref, each in decided.items()}
    except Exception as error:  # noqa: BLE001  (whatever the candidate raises is its answer)
        said["error"] = type(error).__name__
    answers.write(json.dumps(said).encode() + b"\n")


def _together(candidate: Any, snapshot: "Snapshot", requests: "Sequence[SeatingRequest]") -> "Mapping[str, Decision]":
    """Return the candidate's decisions on a batch: one by one in V3's order, if it only decides single bookings."""
    from assignments.planning.batch_planner import in_order
    from assignments.planning.snapshot import occupied_by

    floor, occupied, rules = snapshot.floor, snapshot.occupied, snapshot.rules
    if hasattr(candidate, "together"):
        decided: Mapping[str, Decision] = candidate.together(
            requests, floor=floor, occupied=occupied, now=snapshot.now, rules=rules, success=snapshot.success
        )
        return decided
    decisions = {}
    for request in in_order(requests, floor=floor, rules=rules):
        decision = candidate(replace(snapshot, request=request, occupied=occupied))
        decisions[request.booking_ref] = decision
        if decision.best is not None and decision.window is not None:
            occupied += tuple(occupied_by(request.booking_ref, decision.best.table_refs, decision.window))
    return decisions


if __name__ == "__main__":
    main()
