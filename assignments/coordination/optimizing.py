"""The optimum of an evening with waiting bookings: seats them by moving confirmed parties that nobody has told their table.

The evening is read as it stands, and solved outside any transaction, which may take seconds. Then a short transaction locks
the day, reads it again, and writes the answer only if nothing has changed; otherwise it is solved again.

Long because an evening is read, solved, compared and written here, by what was read once.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from assignments import conf
from assignments.concurrency import circuit_breaker, locks, transactions
from assignments.coordination import rearrangement
from assignments.coordination.invocation import DayResult, Invocation, Record, Try
from assignments.coordination.rearrangement import Confirmed
from assignments.coordination.snapshots import held_tables, is_plannable, seating_request, touched_by
from assignments.coordination.table_record import success_of
from assignments.error_logging import log_error
from assignments.integration import release
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host
from assignments.integration.planners import V3, Batch, Preview, kept_batch, router
from assignments.integration.project_host import configured
from assignments.integration.swaps import obstacle_to_swaps
from assignments.lifecycle import ledger, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, EveningOptimum, OptimizedEvening, State
from assignments.models.assignment import AssignmentQuerySet
from assignments.models.moment import DatabaseNow
from assignments.planning import optimum
from assignments.planning.admission import admit
from assignments.planning.aim import Aim
from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.decision import Decision, TableMove
from assignments.planning.floor import Floor
from assignments.planning.optimum import Optimum, Problem
from assignments.planning.reasons import Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, occupied_by
from assignments.planning.violations import violations
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.optimizing")

SOLUTIONS = 3
"""How often an evening is solved at most: once, and again when it has changed meanwhile."""
TRIGGER = "optimizer"


class Result(StrEnum):
    """The result of optimizing one evening."""

    SEATED = "seated"
    """Waiting bookings have tables now."""
    NOTHING_TO_GAIN = "nothing_to_gain"
    """Nobody who waits can be seated, whoever moves."""
    WOULD_SEAT = "would_seat"
    """A dry run: nothing was written."""
    NOT_V3 = "not_v3"
    """V3 does not decide here: it is off, killed, or another planner's turn."""
    NOBODY_MOVES = "nobody_moves"
    """V3 may move nobody here: by the switch, the settings, or the host."""
    CHANGED_MEANWHILE = "changed_meanwhile"
    """The evening changed each time while it was solved, so nothing was written."""
    BUSY = "busy"
    """Another worker decides this evening, or its circuit breaker is open."""
    REFUSED_BY_HOST = "refused_by_host"
    """The host refused the moves, so nobody was moved."""
    UNPLANNABLE = "unplannable"
    """The restaurant's floor is invalid, or nobody who waits could be planned."""
    FAILED = "failed"
    """An error, which is in the log. Other evenings go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizedDay:
    """One evening. ``had_tables``, ``waiting``: how many had tables and how many waited. ``seated``, ``moved``: refs.

    ``possible``: at most so many of the waiting could be seated by the aim. ``evening_possible``: at most so many bookings
    in all, if those who wait are seated in the order in which they asked; ``evening_possible_in_any_order``: in any order.
    None: not solved. ``is_proven``: so many can be seated by the aim, and no more; ``is_evening_proven``: as many as all
    these numbers say.
    """

    restaurant_ref: str
    service_date: date
    result: Result
    waiting: int = 0
    seated: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    possible: int = 0
    is_proven: bool = False
    had_tables: int = 0
    evening_possible: int | None = None
    evening_possible_in_any_order: int | None = None
    is_evening_proven: bool = False

    @property
    def evening_seated(self) -> int:
        """How many bookings have tables after the run, or would have after a dry one."""
        return self.had_tables + len(self.seated)

    def as_dict(self) -> dict[str, object]:
        return {
            "restaurant_ref": self.restaurant_ref,
            "service_date": self.service_date.isoformat(),
            "result": self.result.value,
            "waiting": self.waiting,
            "seated": list(self.seated),
            "moved": list(self.moved),
            "possible": self.possible,
            "is_proven": self.is_proven,
            "evening": {
                "seated": self.evening_seated,
                "possible": self.evening_possible,
                "possible_in_any_order": self.evening_possible_in_any_order,
                "is_proven": self.is_evening_proven,
            },
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Evening:
    """An evening as it was read: the problem, and the rows behind it."""

    problem: Problem
    waiting: Mapping[str, Assignment]
    confirmed: Mapping[str, Confirmed]
    success: Mapping[str, float]
    had_tables: int
    """How many bookings of the evening have tables, movable or not."""


def optimize(*, days: int = 14, restaurant_ref: str = "", dry_run: bool = False) -> Iterator[OptimizedDay]:
    """Optimize the evenings of the next ``days`` on which somebody waits for a table, the nearest first.

    Raises OptimizerMissingError before anything is read.
    """
    optimum.require()
    now = transactions.database_now()
    rows = _waiting(AssignmentQuerySet(Assignment)).filter(starts_at__gt=now, starts_at__lt=now + timedelta(days=days))
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    days_waiting = rows.order_by("service_date", "restaurant_ref").values_list("restaurant_ref", "service_date")
    for ref, day in list(days_waiting.distinct()):
        try:
            yield optimize_day(ref, day, dry_run=dry_run)
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            log_error(logger, error, "The evening %s of restaurant %s could not be optimized", day, ref)
            yield OptimizedDay(restaurant_ref=ref, service_date=day, result=Result.FAILED)


def optimize_day(restaurant_ref: str, service_date: date, *, dry_run: bool = False) -> OptimizedDay:
    """Optimize one evening. Raises OptimizerMissingError."""
    optimum.require()
    host = configured()
    day = _Day(host, restaurant_ref, service_date)
    with correlation.scope():
        found = day.optimize(dry_run=dry_run)
    if not dry_run:
        _keep(found)
    return found


def _keep(day: OptimizedDay) -> None:
    """Keep what is possible on that evening, for those who show it and solve nothing."""
    if day.evening_possible is None or day.evening_possible_in_any_order is None:
        return
    with transactions.atomic():
        EveningOptimum.objects.update_or_create(
            restaurant_ref=day.restaurant_ref,
            service_date=day.service_date,
            defaults={
                "seated": day.evening_seated,
                "waiting": day.waiting,
                "possible": day.evening_possible,
                "possible_in_any_order": day.evening_possible_in_any_order,
                "is_proven": day.is_evening_proven,
                "examined_at": DatabaseNow(),
            },
        )


def _waiting(rows: AssignmentQuerySet) -> AssignmentQuerySet:
    """Filter bookings that wait for a table: open ones, and those in review for want of one."""
    in_review = rows.filter(state=State.MANUAL_REVIEW, reason__in=sorted(waiting.CURES[waiting.Freed.TABLES]))
    return rows.waiting() | in_review


class _StoppedError(Exception):
    """Nothing can be done, for this reason."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(result.value)


class _ChangedError(Exception):
    """The evening is not what it was when it was solved."""


class _Day:
    """One evening at work."""

    def __init__(self, host: Host, restaurant_ref: str, service_date: date) -> None:
        self.host = host
        self.restaurant_ref = restaurant_ref
        self.service_date = service_date
        self._busy: set[str] = set()
        """Confirmed bookings that somebody else has locked or changed: they count as fixed."""

    def optimize(self, *, dry_run: bool) -> OptimizedDay:
        try:
            return self._optimize(dry_run=dry_run)
        except _StoppedError as stopped:
            return OptimizedDay(
                restaurant_ref=self.restaurant_ref, service_date=self.service_date, result=stopped.result
            )

    def _optimize(self, *, dry_run: bool) -> OptimizedDay:
        aim = Aim(conf.settings().OPTIMIZE_FOR)
        found = self._told(Result.CHANGED_MEANWHILE)
        for _solution in range(SOLUTIONS):
            with transactions.read_only():
                evening = self._read(transactions.database_now(), claims=False)
            answer = optimum.solve(evening.problem, aim=aim)
            found = self._told(Result.NOTHING_TO_GAIN, evening, answer)
            if not answer.seated:
                return _with_possible(found, evening.problem, answer)
            tables = {move.booking_ref: move.to_table_refs for move in answer.moves}
            if obstacle_to_swaps() and not rearrangement.in_turn(evening.problem.movable, tables):
                raise _StoppedError(Result.REFUSED_BY_HOST)
            if dry_run:
                return _with_possible(replace(found, result=Result.WOULD_SEAT), evening.problem, answer)
            try:
                self._write(evening, answer)
            except _ChangedError:
                continue
            return _with_possible(replace(found, result=Result.SEATED), evening.problem, answer)
        return replace(found, result=Result.CHANGED_MEANWHILE, seated=(), moved=())

    def _told(self, result: Result, evening: _Evening | None = None, answer: Optimum | None = None) -> OptimizedDay:
        return OptimizedDay(
            restaurant_ref=self.restaurant_ref,
            service_date=self.service_date,
            result=result,
            waiting=len(evening.waiting) if evening else 0,
            seated=answer.seated if answer else (),
            moved=tuple(move.booking_ref for move in answer.moves) if answer else (),
            possible=answer.bound if answer else 0,
            is_proven=answer.is_proven if answer else False,
            had_tables=evening.had_tables if evening else 0,
        )

    def _read(self, now: datetime, *, claims: bool) -> _Evening:
        """Read the evening. With ``claims``, lock the rows of waiting bookings, the host's too.

        Raises _StoppedError if V3 may not optimize it, _ChangedError if somebody has locked a row of who waits.
        """
        floor = floor_or_none(self.restaurant_ref, host=self.host)
        if floor is None:
            raise _StoppedError(Result.UNPLANNABLE)
        day = _waiting(Assignment.objects.of_day(self.restaurant_ref, self.service_date)).filter(deaths=0)
        rows = list(day.order_by("requested_at", "id").claim() if claims else day.order_by("requested_at", "id"))
        if claims and len(rows) != day.count():
            raise _ChangedError
        self._check_routes(rows)
        requests = self._requests(rows, floor, claims=claims)
        confirmed = {
            ref: each
            for ref, each in rearrangement.movable_of(floor, self.service_date, now=now).items()
            if ref not in self._busy
        }
        confirmed = rearrangement.still_movable(confirmed, floor=floor, host=self.host)
        movable = tuple(confirmed[ref].movable for ref in sorted(confirmed))
        occupied = rearrangement.occupied_around(requests, movable, floor, remove_expired=claims)
        held = held_tables(requests, occupied, floor=floor, now=now)
        problem = Problem(
            floor=floor,
            occupied=tuple(each for each in occupied if each.booking_ref not in held),
            movable=movable,
            requests=tuple(
                replace(each, pinned_table_refs=held.get(each.booking_ref, each.pinned_table_refs)) for each in requests
            ),
            now=now,
            rules=conf.settings().rules(),
        )
        wanted = {each.booking_ref for each in requests}
        return _Evening(
            problem=problem,
            waiting={row.booking_ref: row for row in rows if row.booking_ref in wanted},
            confirmed=confirmed,
            success=success_of(self.restaurant_ref),
            had_tables=self._count_seated(),
        )

    def _count_seated(self) -> int:
        refs = Assignment.objects.of_day(self.restaurant_ref, self.service_date).values("booking_ref")
        return Allocation.objects.current().filter(booking_ref__in=refs).values("booking_ref").distinct().count()

    def _check_routes(self, rows: Sequence[Assignment]) -> None:
        routes = router().route(rows) if rows else {}
        if any(route.planner != V3 for route in routes.values()):
            raise _StoppedError(Result.NOT_V3)
        may_move = all(route.may_rearrange for route in routes.values())
        if not may_move or not rearrangement.is_possible(self.host, self.restaurant_ref):
            raise _StoppedError(Result.NOBODY_MOVES)

    def _requests(self, rows: Sequence[Assignment], floor: Floor, *, claims: bool) -> list[SeatingRequest]:
        """Return the requests of the bookings that wait for a table and for nothing else.

        The usual pass settles the others: who has been changed by the host, who has tables, who stays into another day.
        """
        seated = ledger.seatings_of([row.booking_ref for row in rows])
        refs = [row.booking_ref for row in rows if row.booking_ref not in seated]
        bookings = self.host.bookings(refs, lock=claims)
        requests = []
        for row in rows:
            booking = bookings.get(row.booking_ref)
            if booking is None or not is_plannable(booking, row, self.restaurant_ref):
                continue
            is_same = (booking.starts_at, booking.party) == (row.starts_at, row.party)
            request = seating_request(booking, row)
            if is_same and touched_by([request], floor) == {self.service_date}:
                requests.append(request)
        if not requests:
            raise _StoppedError(Result.UNPLANNABLE)
        return requests

    def _write(self, evening: _Evening, answer: Optimum) -> None:
        """Write the answer, if the evening is still as it was. Raises _StoppedError, _ChangedError."""
        wrong = violations(evening.problem, answer.tables)
        assert not wrong, f"The optimum of {self.restaurant_ref} on {self.service_date} is wrong: {wrong[0]}"
        invocation = Invocation(trigger=TRIGGER)
        decisions = _decisions(evening, answer)

        def work(record: Record) -> DayResult:
            if not invocation.may_move:
                raise _StoppedError(Result.REFUSED_BY_HOST)
            entry = locks.try_enter(self.restaurant_ref, self.service_date)
            if not entry.granted or entry.breaker.is_open(entry.now):
                raise _StoppedError(Result.BUSY)
            current = self._read(entry.now, claims=True)
            if current.problem.digest() != evening.problem.digest() or _comes_too_late(current.problem, answer):
                raise _ChangedError
            moved = [current.confirmed[move.booking_ref] for move in answer.moves]
            busy = rearrangement.lock(moved, floor=current.problem.floor, host=self.host)
            if busy:
                self._busy |= busy
                raise _ChangedError
            settlement = Settlement(host=self.host, planner=V3, actor=V3, trigger=TRIGGER, now=entry.now)
            if batch := self._batch(current, decisions):
                settlement.batch = batch.key
                settlement.keep(batch)
            self._settle(settlement, current, answer, decisions)
            settlement.write()
            circuit_breaker.record_success(self.restaurant_ref, entry.breaker)
            OptimizedEvening.objects.create(
                restaurant_ref=self.restaurant_ref,
                service_date=self.service_date,
                snapshot_hash=current.problem.digest(),
                problem=problem_to_json(current.problem),
                answer=answer.to_json(),
                release=release.running(),
            )
            for outcome in settlement.outcomes:
                row = current.waiting[outcome.booking_ref]
                record.tries[row.booking_ref] = Try(
                    restaurant_ref=self.restaurant_ref,
                    attempt=row.attempts,
                    wait_seconds=(entry.now - row.requested_at).total_seconds(),
                )
            return DayResult(outcomes=tuple(settlement.outcomes))

        invocation.execute(lambda: invocation.transact(work))

    def _batch(self, evening: _Evening, decisions: Mapping[str, Decision]) -> Batch | None:
        """Return the answer as planned together. Who gets no table goes on waiting, and is no part of it."""
        problem = evening.problem
        preview = Preview(
            floor=problem.floor,
            occupied=problem.occupied,
            requests=tuple(each for each in problem.requests if each.booking_ref in decisions),
            now=problem.now,
            rules=problem.rules,
            success=evening.success,
        )
        return kept_batch(preview, decisions, service_date=self.service_date, movable=problem.movable)

    def _settle(
        self, settlement: Settlement, evening: _Evening, answer: Optimum, decisions: Mapping[str, Decision]
    ) -> None:
        for move in answer.moves:
            confirmed = evening.confirmed[move.booking_ref]
            for_whom = [ref for ref, decision in decisions.items() if move in decision.moves]
            settlement.rearrange(
                confirmed.assignment,
                confirmed.seatings,
                table_refs=move.to_table_refs,
                detail=", ".join(for_whom),
            )
        ledger.release(list(decisions), for_others=False)  # What they held, they sit at now, or do not need.
        for ref, decision in decisions.items():
            row = evening.waiting[ref]
            assert decision.best is not None, f"{ref} has no plan"
            assert decision.window is not None, f"{ref} has no window"
            if row.state == State.MANUAL_REVIEW:
                row.wake_at = settlement.now
            settlement.confirm(
                row,
                table_refs=decision.best.table_refs,
                window=decision.window,
                strategy=decision.best.strategy,
                decision=decision,
            )


def _with_possible(day: OptimizedDay, problem: Problem, answer: Optimum) -> OptimizedDay:
    """Add how many bookings the evening could have, in the order in which they asked and in any order.

    Where everybody is seated, or all asked at the same time, both are the same, and nothing is solved again.
    """
    in_order = answer if answer.aim is Aim.ORDER else optimum.possible(problem, aim=Aim.ORDER)
    is_full = len(in_order.seated) == len(problem.requests)
    is_same = is_full or len({request.requested_at for request in problem.requests}) == 1
    known = answer if answer.aim is Aim.NUMBER else in_order if is_same else None
    in_any_order = known or optimum.possible(problem, aim=Aim.NUMBER)
    in_order_at_most = min(in_order.bound, in_any_order.bound)
    return replace(
        day,
        evening_possible=day.had_tables + in_order_at_most,
        evening_possible_in_any_order=day.had_tables + in_any_order.bound,
        is_evening_proven=in_order.value == in_order_at_most and in_any_order.is_proven,
    )


def _comes_too_late(problem: Problem, answer: Optimum) -> bool:
    """Return whether somebody who would be seated may not be any more, because the start has come too near."""
    return any(
        isinstance(admit(problem.floor, request, rules=problem.rules, now=problem.now), Refusal)
        for request in problem.requests
        if request.booking_ref in answer.seated
    )


def _decisions(evening: _Evening, answer: Optimum) -> dict[str, Decision]:
    """Return the decision on each booking that the answer seats, as if all others sat where the answer has them."""
    problem = evening.problem
    movers = {each.booking_ref: each for each in problem.movable}
    others = [each for each in problem.occupied if each.booking_ref not in movers]
    windows = {ref: mover.window for ref, mover in movers.items()}
    requests = {each.booking_ref: each for each in problem.requests}
    for ref in answer.seated:
        window = admit(problem.floor, requests[ref], rules=problem.rules, now=problem.now)
        assert isinstance(window, SeatingWindow), f"{ref} is seated although it may not be"
        windows[ref] = window
    seated = {ref: occupied_by(ref, tables, windows[ref]) for ref, tables in answer.tables.items()}
    found = {}
    for ref in answer.seated:
        taken = [*others, *(each for other, rows in seated.items() if other != ref for each in rows)]
        planner = EveningPlanner(
            floor=problem.floor, occupied=taken, rules=problem.rules, now=problem.now, success=evening.success
        )
        decision = planner.decide(replace(requests[ref], pinned_table_refs=answer.tables[ref]))
        found[ref] = replace(decision, moves=_moves_for(windows[ref], answer.moves, movers))
    untold = [move for move in answer.moves if not any(move in each.moves for each in found.values())]
    if untold and found:
        first = next(iter(found))
        found[first] = replace(found[first], moves=(*found[first].moves, *untold))
    return found


def _moves_for(
    window: SeatingWindow, moves: Sequence[TableMove], movers: Mapping[str, Movable]
) -> tuple[TableMove, ...]:
    """Return the moves of those who are there at the same time."""
    return tuple(
        move
        for move in moves
        if movers[move.booking_ref].window.blocked_from < window.blocked_until
        and window.blocked_from < movers[move.booking_ref].window.blocked_until
    )


def problem_to_json(problem: Problem) -> dict[str, Any]:
    """What is kept of a problem: all of it."""
    content: dict[str, Any] = msgspec.to_builtins(problem, builtin_types=(), str_keys=True)
    return content


def problem_from_json(stored: Mapping[str, Any]) -> Problem:
    """Read a problem. Raises TypeError or ValueError if it is invalid."""
    return msgspec.convert(stored, Problem)


def answers(*, days: int, restaurant_ref: str = "") -> Iterator[OptimizedEvening]:
    """Yield the answers that were written in the last ``days``, the newest first."""
    rows = OptimizedEvening.objects.filter(optimized_at__gt=transactions.database_now() - timedelta(days=days))
    if restaurant_ref:
        rows = rows.filter(restaurant_ref=restaurant_ref)
    yield from rows.iterator(chunk_size=20)


def replay(row: OptimizedEvening) -> list[str]:
    """Return what is wrong with a stored answer by the rules of planning, without the solver."""
    problem = problem_from_json(row.problem)
    found = violations(problem, row.answer["tables"])
    if problem.digest() != row.snapshot_hash:
        found.append("the problem is not the one that was solved")
    return found
