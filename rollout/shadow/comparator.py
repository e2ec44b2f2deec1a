"""Having the candidate decide recorded snapshots without side effects, and storing the verdicts.

The candidate runs in a process of its own, whose database connections are read-only by default and limited in time, inside
a READ ONLY transaction that is always rolled back. If it raises, hangs, exits, returns nonsense or tries to
write, the verdict is ``v3_error``; the control's outcome was committed long before.

A transaction pooler does not support session defaults. Behind one, only the READ ONLY transaction protects, and a
candidate could bypass it with another connection.
"""

import json
import logging
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import DatabaseError, connection

from assignments import conf as assignments_conf
from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.integration import release
from assignments.models.moment import DatabaseNow
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Snapshot
from rollout import conf
from rollout.models import Comparison
from rollout.policy.verdict import Verdict, compare
from rollout.shadow import days
from rollout.shadow.candidate_environment import without_secrets
from rollout.shadow.recorder import is_joined
from rollout.shadow.serialization import (
    UNREADABLE,
    decision_from_json,
    floor_from_json,
    floor_to_json,
    requests_to_json,
    snapshot_from_json,
    snapshot_to_json,
)

logger = logging.getLogger("rollout.shadow")

CHUNK = 50
READY_SECONDS = 60.0
READY = b"ready "


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The candidate's answer: a decision, or an ``error``: a type's name, ``timeout`` or ``exited``."""

    decision: Mapping[str, Any] | None = None
    milliseconds: float = 0.0
    error: str = ""


V3_ITSELF = "rollout.shadow.candidate.v3"
"""The candidate that decides as V3 does for guests."""


BY_OTHER_RULES = "+other-rules"
"""Added to the release of decisions by rules other than those in its settings, as before a deploy.

They do not speak for the release, since it decides otherwise. What is unsafe by any rules speaks against it all the same.
"""


class CandidateProcess:
    """The candidate's process, started when first needed and restarted after it had to be killed.

    ``release``: the release that the last process reported; it may differ from ours after a deploy.
    """

    def __init__(self, seconds: float) -> None:
        self.release = _of_candidate(release.running())
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "CandidateProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def ask(self, question: Mapping[str, Any], *, bookings: int = 1) -> Answer:
        """Ask the candidate, and return its answer or error. Never raises because of the candidate.

        ``bookings``: the number of bookings for which it gets time.
        """
        process = self._running()
        if process is None:
            return Answer(error="not_started")
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._end()
            return Answer(error="exited")
        line = self._line(self._seconds * max(1, bookings))
        if line is None:
            self._end()
            return Answer(error="timeout")
        try:
            said = json.loads(line)
            return Answer(decision=said.get("decision"), milliseconds=float(said["ms"]), error=str(said["error"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._end()
            return Answer(error="exited" if not line else "nonsense")

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  (this Python, our module, a path from the settings)
                [sys.executable, "-m", "rollout.shadow.sandbox", conf.settings().CANDIDATE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={
                    **without_secrets(os.environ),
                    **_named_release(),
                    **self._connection_options(),
                    "PYTHONPATH": os.pathsep.join(sys.path),
                },
                bufsize=0,
            )
            line = self._line(READY_SECONDS) or b""
            if line.startswith(READY):
                self.release = _of_candidate(line.removeprefix(READY).decode().strip())
            else:
                self._end()
        return self._process

    def _connection_options(self) -> dict[str, str]:
        if is_behind_pooler():
            return {}
        milliseconds = round(self._seconds * 1000)
        return {"PGOPTIONS": f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}"}

    def _line(self, seconds: float) -> bytes | None:
        """Return the next line; empty at the end of the stream, None on timeout."""
        assert self._process is not None
        assert self._process.stdout is not None
        deadline, line = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                part = self._process.stdout.read(65536)
                if not part:
                    return b""
                line += part
        return line

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _of_candidate(running: str) -> str:
    """Return the release of the candidate's decisions: that of V3 only if V3 is the candidate."""
    path = conf.settings().CANDIDATE
    return running if path == V3_ITSELF else f"{running}+{path}"


def _named_release() -> dict[str, str]:
    """Return the release that the settings name, as an environment variable for the candidate's process."""
    named = assignments_conf.settings().RELEASE
    return {assignments_conf.VARIABLES["RELEASE"]: named} if named else {}


def compare_waiting(*, limit: int = 0) -> Iterator[Counter[str]]:
    """Compare waiting decisions, oldest first, at most ``limit``; yield the verdicts so far after each chunk.

    Then compare the days that they belong to as a whole. Parallel runs share the work. Raises ImproperlyConfigured for a
    wrong ROLLOUT setting.
    """
    verdicts: Counter[str] = Counter()
    floors: dict[str, Floor] = {}
    touched: set[tuple[str, date]] = set()
    with CandidateProcess(conf.settings().CANDIDATE_SECONDS) as candidate:
        while not limit or verdicts.total() < limit:
            with transactions.atomic(limits=_limits()):
                waiting = Comparison.objects.filter(verdict="").order_by("id").select_related("floor")
                chunk = list(
                    waiting.select_for_update(skip_locked=True, of=("self",))[
                        : min(CHUNK, limit - verdicts.total() if limit else CHUNK)
                    ]
                )
                for comparison in chunk:
                    _compare_in_any_case(comparison, floors, candidate)
                    verdicts[comparison.verdict] += 1
                    transactions.stay_awake()
                    if comparison.service_date is not None:
                        touched.add((comparison.restaurant_ref, comparison.service_date))
                Comparison.objects.bulk_update(
                    chunk,
                    [
                        "candidate",
                        "candidate_ms",
                        "verdict",
                        "error",
                        "control_repeats",
                        "joined",
                        "release",
                        "compared_at",
                    ],
                )
            if not chunk:
                break
            yield verdicts
        compare_days(candidate, touched)


def _limits() -> transactions.Limits:
    """Return limits for one comparison at a time, by a process that may have to be started first."""
    return transactions.Limits(
        idle=round((READY_SECONDS + conf.settings().CANDIDATE_SECONDS) * 1000) + transactions.THINKING_TIMEOUT_MS
    )


def compare_days(candidate: CandidateProcess, touched: Collection[tuple[str, date]]) -> None:
    """Compare these and the last days as a whole, if enough has been decided since the last time."""
    path = conf.settings().LEGACY_PLANNER
    judge = assignments_conf.load(path).judge if path else None
    for restaurant_ref, service_date in days.waiting(touched, candidate.release):
        try:
            day = days.recorded(restaurant_ref, service_date)
            if day is not None:
                days.compare(
                    day,
                    service_date=service_date,
                    origin=Comparison.Origin.SHADOW,
                    together=together_by(candidate),
                    judge=judge,
                    release=lambda: candidate.release,
                )
        except Exception as error:
            if transactions.is_database_away(error):
                raise  # The day is not to blame.
            log_error(logger, error, "%s of restaurant %s could not be compared", service_date, restaurant_ref)


def together_by(candidate: CandidateProcess) -> days.Together:
    """Return a function for the candidate's decisions on a batch, which raises NoDecisionsError."""
    floors: dict[str, Any] = {}

    def together(snapshot: Snapshot, requests: Sequence[SeatingRequest]) -> Mapping[str, Decision]:
        version = snapshot.floor.version
        if version not in floors:
            floors[version] = floor_to_json(snapshot.floor)
        question = {
            "snapshot": snapshot_to_json(snapshot),
            "floor": floors[version],
            "requests": requests_to_json(requests),
        }
        answer = candidate.ask(question, bookings=len(requests))
        if answer.error:
            raise days.NoDecisionsError(answer.error)
        try:
            return {ref: decision_from_json(each) for ref, each in dict(answer.decision or {}).items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise days.NoDecisionsError(f"nonsense: {type(error).__name__}") from error

    return together


def _compare_in_any_case(comparison: Comparison, floors: dict[str, Floor], candidate: CandidateProcess) -> None:
    """Give the comparison a verdict in any case: without one, each run would try it again before all others."""
    try:
        _compare_one(comparison, floors, candidate)
    except DatabaseError:
        raise  # The transaction is over; the comparison is not to blame.
    except Exception as error:  # noqa: BLE001  (what a snapshot makes the code raise is not known beforehand)
        log_error(logger, error, "Decision %s could not be compared", comparison.pk)
        comparison.verdict, comparison.error = Verdict.V3_ERROR, f"not comparable: {type(error).__name__}"


def _compare_one(comparison: Comparison, floors: dict[str, Floor], candidate: CandidateProcess) -> None:
    comparison.compared_at, comparison.release = DatabaseNow(), candidate.release
    try:
        if comparison.floor_id not in floors:
            floors[comparison.floor_id] = floor_from_json(comparison.floor.content)
        floor = floors[comparison.floor_id]
        snapshot = snapshot_from_json(comparison.snapshot, floor)
        control = decision_from_json(comparison.control)
    except UNREADABLE as error:
        # Stored by another release, or by hand. It must not block the others.
        comparison.verdict, comparison.error = Verdict.V3_ERROR, f"not readable: {type(error).__name__}"
        return
    answer = candidate.ask({"snapshot": comparison.snapshot, "floor": comparison.floor.content})
    comparison.candidate_ms, comparison.release = answer.milliseconds, candidate.release
    comparison.control_repeats = _repeats(comparison, floor, control)
    decision = None
    if not answer.error:
        try:
            decision = decision_from_json(answer.decision or {})
        except (KeyError, TypeError, ValueError) as error:
            answer = Answer(error=f"nonsense: {type(error).__name__}")
    if decision is None:
        comparison.verdict, comparison.error = Verdict.V3_ERROR, answer.error
        return
    comparison.candidate = dict(answer.decision or {})
    comparison.verdict = compare(snapshot, control, decision)
    if comparison.verdict != Verdict.UNSAFE and snapshot.rules != assignments_conf.settings().rules():
        comparison.release += BY_OTHER_RULES
    comparison.joined = is_joined(control) or is_joined(decision)


def _repeats(comparison: Comparison, floor: Floor, control: Decision) -> bool | None:
    """Return whether the control, asked again, chooses the same tables; None if it is no longer installed.

    One that raises does not choose them.
    """
    path = conf.settings().LEGACY_PLANNER
    if not path:
        return None
    snapshot = snapshot_from_json(comparison.snapshot, floor)
    try:
        again = assignments_conf.load(path).judge(snapshot)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (a planner may raise anything on a snapshot of another release)
        log_error(logger, error, "The control could not decide comparison %s again", comparison.pk)
        return False
    # Ignore the order: stored decisions may list their tables differently.
    first, second = (frozenset(each.best.table_refs) if each.best else None for each in (control, again))
    return first == second


def is_behind_pooler() -> bool:
    """Return whether the database is behind a transaction pooler, according to Django's settings."""
    return bool(connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def database_is_read_only() -> bool:
    """Return whether this process's connection refuses writes by default; the candidate's process checks this."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW default_transaction_read_only")
        return bool(cursor.fetchone()[0] == "on")
