"""The optimum: the best seating of an evening, found and proven by a constraint solver.

It has one Boolean for each booking and set of tables, and at most one booking at each table at every start. Everybody who
is confirmed keeps a seat. Then waiting bookings are seated by the ``Aim``, then as few parties as possible move, then the
fewest seats stay empty. The same problem always has the same answer: one worker, a fixed seed, a limit that counts steps.

The solver, OR-Tools, is an extra: ``table-assignments[optimizer]``.

Long because each step of a search goes on from the places that the one before has found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from types import ModuleType
from typing import Any

from assignments.planning.admission import admit
from assignments.planning.aim import Aim
from assignments.planning.batch_planner import in_order
from assignments.planning.capacity_bound import is_overcrowded, size_classes
from assignments.planning.decision import TableMove
from assignments.planning.feasibility import fit_of, objections
from assignments.planning.floor import Floor
from assignments.planning.occupancy import Occupancy
from assignments.planning.pacing import Pace
from assignments.planning.reasons import Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.reseating import Batch, Party, make_room
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied, PlanningRules
from assignments.planning.snapshot_hash import SnapshotDigest
from assignments.planning.units import Unit, each_bit, unit_of

INSTALL = "pip install 'table-assignments[optimizer]'"
SEED = 1
DETERMINISTIC_SECONDS = 11.0
"""Limit of one answer, in the solver's own seconds: it counts steps, so it ends at the same step on every machine."""
QUESTION_SECONDS = 3.0
"""Limit, counted in the same way, for bookings that are asked about at once, so that a hard question leaves some."""
MOST_ANSWERS = 2**20
"""Maximum answers that a question about several bookings may have, by who is seated. With more the solver is slower."""
MOVES_SECONDS = 2.0
SPARE_SECONDS = 1.0
"""Limits, counted in the same way, of each search for fewer moves and of the one for fewer spare seats, kept for these."""
_LAST = datetime.max.replace(tzinfo=UTC)


class OptimizerMissingError(RuntimeError):
    """OR-Tools is not installed."""

    def __init__(self) -> None:
        super().__init__(f"The optimum needs OR-Tools: {INSTALL}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An evening as it stands, immutable. ``occupied`` and ``movable`` as for ``EveningPlanner``; ``requests`` wait."""

    floor: Floor
    occupied: tuple[Occupied, ...]
    movable: tuple[Movable, ...]
    requests: tuple[SeatingRequest, ...]
    now: datetime
    rules: PlanningRules = field(default_factory=PlanningRules)

    def digest(self) -> str:
        """Return what tells this problem from any other. ``now`` counts only by what it changes."""
        fixed = SnapshotDigest(
            self.floor,
            self.occupied,
            rules=self.rules,
            now=_LAST,
            success={},
            movable=sorted(
                f"{each.booking_ref} {each.party} {each.zone_ref or ''} {' '.join(sorted(each.needs))} "
                f"{each.window.starts_at.timestamp()} {each.window.ends_at.timestamp()}"
                for each in self.movable
            ),
        )
        return fixed.of_all(sorted(self.requests, key=lambda request: request.booking_ref))


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimum:
    """The answer. ``tables``: of everybody who is seated. ``seated``: the waiting ones among them, in their order.

    ``value``: bookings, or covers for ``Aim.COVERS``, of ``seated``. ``bound``: what nobody can exceed under the aim.
    ``is_proven``: the bound is reached. ``has_fewest_moves``: that as few as possible move is proven, too. ``solver``: its
    version. ``deterministic_seconds``: what it took.
    """

    aim: Aim
    tables: Mapping[str, tuple[str, ...]]
    seated: tuple[str, ...]
    moves: tuple[TableMove, ...]
    value: int
    bound: int
    is_proven: bool
    has_fewest_moves: bool
    solver: str
    deterministic_seconds: float

    def to_json(self) -> dict[str, Any]:
        """What is kept of it."""
        return {
            "aim": self.aim.value,
            "tables": {ref: list(refs) for ref, refs in sorted(self.tables.items())},
            "seated": list(self.seated),
            "moves": [
                {"booking_ref": move.booking_ref, "from": list(move.from_table_refs), "to": list(move.to_table_refs)}
                for move in self.moves
            ],
            "value": self.value,
            "bound": self.bound,
            "is_proven": self.is_proven,
            "has_fewest_moves": self.has_fewest_moves,
            "solver": self.solver,
            "deterministic_seconds": round(self.deterministic_seconds, 3),
        }


def require() -> None:
    """Raise OptimizerMissingError unless the solver is there."""
    _solver()


def is_installed() -> bool:
    """Return whether the solver is there."""
    try:
        require()
    except OptimizerMissingError:
        return False
    return True


def solve(problem: Problem, *, aim: Aim = Aim.ORDER, deterministic_seconds: float = DETERMINISTIC_SECONDS) -> Optimum:
    """Return the best answer found within the limit. It never is worse than what V3 finds without the solver.

    Raises OptimizerMissingError.
    """
    return _Search(problem, aim, deterministic_seconds, tidies=True).answer()


def possible(
    problem: Problem, *, aim: Aim = Aim.NUMBER, deterministic_seconds: float = DETERMINISTIC_SECONDS
) -> Optimum:
    """Return how many could be seated, in any way: who moves, and where, is left open. Raises OptimizerMissingError."""
    return _Search(problem, aim, deterministic_seconds, tidies=False).answer()


@lru_cache(maxsize=1)
def _solver() -> ModuleType:
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise OptimizerMissingError from error
    module: ModuleType = cp_model
    return module


def _version() -> str:
    import ortools

    return f"ortools {ortools.__version__}"


@dataclass(eq=False, slots=True)
class _Guest:
    """A booking of the problem. ``own``: where it sits, if it is confirmed."""

    ref: str
    window: SeatingWindow
    covers: int
    party: Party
    own: Unit | None = None

    @property
    def options(self) -> Sequence[Unit]:
        return self.party.options


class _Search:
    """One problem. Whoever is seated so far has a unit at its party; each step goes on from there."""

    def __init__(self, problem: Problem, aim: Aim, deterministic_seconds: float, *, tidies: bool) -> None:
        self._cp = _solver()
        self._problem = problem
        self._aim = aim
        self._left = self._limit = deterministic_seconds
        self._tidies = tidies
        movers = {each.booking_ref for each in problem.movable}
        stays = [each for each in problem.occupied if each.booking_ref not in movers]
        self._taken = Occupancy(problem.floor, stays)
        self._classes = size_classes(problem.floor)
        self._batch = Batch()
        self._confirmed = [self._confirmed_guest(each) for each in problem.movable]
        self._pace = Pace(problem.floor, problem.occupied)
        for each in problem.movable:
            self._pace.add(each.booking_ref, each.party, each.window.starts_at, each.window.ends_at)
        self._requests = {request.booking_ref: request for request in problem.requests}
        self._waiting = list(self._waiting_guests())
        self._ceilings = tuple(
            self._pace.ceilings([(self._requests[each.ref], each.window) for each in self._waiting], problem.rules)
        )

    @property
    def _seated(self) -> list[_Guest]:
        return [guest for guest in (*self._confirmed, *self._waiting) if guest.party.unit is not None]

    def answer(self) -> Optimum:
        if self._aim is Aim.ORDER:
            value, bound = self._in_order()
        else:
            value, bound = self._as_many(1 if self._aim is Aim.NUMBER else None)
        has_fewest_moves = self._tidies and self._tidy(value)
        units = {guest.ref: guest.party.unit for guest in self._seated}
        moves = tuple(
            TableMove(booking_ref=guest.ref, from_table_refs=guest.own.table_refs, to_table_refs=unit.table_refs)
            for guest in self._confirmed
            if (unit := guest.party.unit) is not None and guest.own is not None and unit.mask != guest.own.mask
        )
        return Optimum(
            aim=self._aim,
            tables={ref: unit.table_refs for ref, unit in units.items() if unit is not None},
            seated=tuple(guest.ref for guest in self._waiting if guest.party.unit is not None),
            moves=moves,
            value=value,
            bound=bound,
            is_proven=value == bound,
            has_fewest_moves=has_fewest_moves,
            solver=_version(),
            deterministic_seconds=self._limit - self._left,
        )

    def _guest(self, ref: str, window: SeatingWindow, covers: int, options: list[Unit], own: Unit | None) -> _Guest:
        party = Party(
            ref,
            start=window.blocked_from.timestamp(),
            until=window.blocked_until.timestamp(),
            options=options,
            is_confirmed=own is not None,
        )
        return _Guest(ref, window, covers, party, own)

    def _confirmed_guest(self, mover: Movable) -> _Guest:
        request = mover.request()
        own = unit_of(self._problem.floor, mover.table_refs)
        options = self._free(fit_of(self._problem.floor, request, self._problem.rules).units, mover.window)
        known = next((unit for unit in options if unit.mask == own.mask), None)
        if known is None:  # It was promised these tables by other rules than today's.
            options.append(own)
        guest = self._guest(mover.booking_ref, mover.window, mover.party, options, known or own)
        self._batch.seat(guest.party, known or own)
        return guest

    def _waiting_guests(self) -> Iterable[_Guest]:
        """Yield the waiting bookings that could be seated at all, in the order of decision."""
        problem = self._problem
        for request in in_order(problem.requests, floor=problem.floor, rules=problem.rules):
            window = admit(problem.floor, request, rules=problem.rules, now=problem.now)
            if isinstance(window, Refusal):
                continue
            units: Sequence[Unit]
            if not request.pinned_table_refs:
                units = fit_of(problem.floor, request, problem.rules).units
            elif next(objections(problem.floor, request, problem.rules, request.pinned_table_refs), None) is None:
                units = [unit_of(problem.floor, request.pinned_table_refs)]
            else:
                continue
            if self._pace.refusal(request, window, problem.rules):
                continue
            if options := self._free(units, window):
                yield self._guest(request.booking_ref, window, request.party, options, None)

    def _free(self, units: Iterable[Unit], window: SeatingWindow) -> list[Unit]:
        free = self._taken.free(window.blocked_from, window.blocked_until)
        return [unit for unit in units if unit.mask & free == unit.mask]

    def _in_order(self) -> tuple[int, int]:
        """Seat bookings in the order of asking. Returns the number seated, and its upper bound.

        The solver is asked about several at once, from the first one on for whom moves alone find no seat.
        """
        asked = {request.booking_ref: request.requested_at or _LAST for request in self._problem.requests}
        unproven, answers = 0, 1
        questions: list[list[_Guest]] = []
        for _moment, group in groupby(self._waiting, key=lambda guest: asked[guest.ref]):
            guests = list(group)
            if questions and answers * (len(guests) + 1) > MOST_ANSWERS:
                unproven += self._answer(questions)
                questions, answers = [], 1
            candidates = self._seat_by_moves(guests, besides=[guest for each in questions for guest in each])
            if questions or any(guest.party.unit is None for guest in candidates):
                questions.append(candidates)
                answers *= len(candidates) + 1
        unproven += self._answer(questions)
        value = sum(1 for guest in self._waiting if guest.party.unit is not None)
        return value, value + unproven

    def _seat_by_moves(self, guests: Sequence[_Guest], *, besides: Sequence[_Guest]) -> list[_Guest]:
        """Seat guests by moves alone. Returns those who have a seat, or might have one in place of some ``besides``.

        ``besides``: guests about whom the solver is still to be asked.
        """
        # Asked before any of them is seated, who might give way to the others.
        possible = [guest for guest in guests if not self._is_overcrowded(guest, besides=besides)]
        for guest in possible:
            self._by_moves(guest)
        others = [*besides, *guests]
        return [
            guest for guest in possible if guest.party.unit is not None or not self._is_held_back(guest, besides=others)
        ]

    def _answer(self, questions: Sequence[Sequence[_Guest]]) -> int:
        """Seat as many as possible of the first of these groups, then of the next. Returns how many more may be possible.

        Nothing to answer where all of them have a seat.
        """
        if all(guest.party.unit is not None for group in questions for guest in group):
            return 0
        weights: dict[_Guest, int] = {}
        weight = 1
        for group in reversed(questions):  # One of a group weighs more than all of the groups after it.
            weights.update(dict.fromkeys(group, weight))
            weight *= len(group) + 1
        of_one_moment = len(questions) == 1 and len(weights) > 1
        limit = DETERMINISTIC_SECONDS if of_one_moment else QUESTION_SECONDS
        bound = self._best_of(list(weights), weights, limit=limit)
        unproven, is_proven = 0, True
        for group in filter(None, questions):
            weight, seated = weights[group[0]], sum(1 for guest in group if guest.party.unit is not None)
            most = min(bound // weight, len(group)) if is_proven else len(group)
            unproven += most - seated
            is_proven = is_proven and most == seated
            bound -= weight * seated
        return unproven

    def _as_many(self, weight: int | None) -> tuple[int, int]:
        """Seat as many bookings, or covers, as possible. Returns the number, and its bound."""
        for guest in self._waiting:
            self._by_moves(guest)
        weights = {guest: weight or guest.covers for guest in self._waiting}
        bound = self._best_of(self._waiting, weights)
        return sum(weights[guest] for guest in self._waiting if guest.party.unit is not None), bound

    def _by_moves(self, guest: _Guest) -> None:
        """Seat a waiting booking as V3 does, by a chain of moves, without the solver, if there is a way."""
        if self._is_held_back(guest):
            return
        self._batch.meet(guest.party)
        room = make_room(guest.party)
        if room is None:
            return
        for party, unit in room.items():
            party.unit = unit
        self._batch.seat(guest.party, room[guest.party])

    def _is_held_back(self, guest: _Guest, *, besides: Sequence[_Guest] = ()) -> bool:
        """Return whether pacing refuses the guest for those who are seated so far, ``besides`` some of them."""
        if not self._ceilings:
            return False
        seated = {each.ref for each in self._seated if each not in besides} | {guest.ref}
        return any(
            sum(weight for ref, weight in ceiling.counted.items() if ref in seated) > ceiling.most
            for ceiling in self._ceilings
            if ceiling.whom == guest.ref or (not ceiling.slack and guest.ref in ceiling.counted)
        )

    def _is_overcrowded(self, guest: _Guest, *, besides: Sequence[_Guest]) -> bool:
        """Return whether there are too few tables for the guest and those who are seated so far, without ``besides``."""
        self._batch.meet(guest.party)
        may_leave = {each.party for each in besides}
        guest.party.meets = [party for party in guest.party.meets if party not in may_leave]
        fixed = self._taken.blocks(guest.window.blocked_from, guest.window.blocked_until)
        return is_overcrowded(guest.party, fixed, self._classes)

    def _best_of(
        self,
        guests: Sequence[_Guest],
        weights: Mapping[_Guest, int],
        *,
        limit: float = DETERMINISTIC_SECONDS,
    ) -> int:
        """Seat as many of ``guests`` by these weights as possible, while all others keep a seat. Returns the bound."""
        model = self._model([each for each in self._seated if each not in weights], guests)
        total = sum(weight * model.is_seated[guest] for guest, weight in weights.items())
        worth = sum(weight for guest, weight in weights.items() if guest.party.unit is not None)
        limit = min(limit, self._left - self._kept_for_tidying())
        return self._run(model, total, sum(weights.values()), worth=worth, limit=limit)

    def _kept_for_tidying(self) -> float:
        """Return the time that the search for who sits leaves: at most half of what there was."""
        if not self._tidies:
            return 0.0
        return min(self._limit / 2, SPARE_SECONDS + (2 * MOVES_SECONDS if self._confirmed else 0.0))

    def _tidy(self, value: int) -> bool:
        """Move as few as possible, then leave as few seats empty as possible. Returns whether the first is proven.

        With ``Aim.ORDER`` those who are seated stay so. Otherwise others may take their place, if as many are.
        """
        optional = [] if self._aim is Aim.ORDER else self._waiting
        model = self._model([each for each in self._seated if each not in set(optional)], optional)
        if optional:
            weights = {guest: 1 if self._aim is Aim.NUMBER else guest.covers for guest in optional}
            model.cp.add(sum(weight * model.is_seated[guest] for guest, weight in weights.items()) >= value)
        stays = [
            choice
            for guest in self._confirmed
            for unit, choice in zip(guest.options, model.choices[guest], strict=True)
            if guest.own is not None and unit.mask == guest.own.mask
        ]
        for from_own in (True, False):  # Where one of them takes long, the other one does not.
            if is_proven := self._stayed() == len(stays):
                break
            bound = self._run(
                model, sum(stays), len(stays), worth=self._stayed(), limit=MOVES_SECONDS, from_own=from_own
            )
            if is_proven := bound == self._stayed():
                break
        if stays:
            model.cp.add(sum(stays) >= self._stayed())
        seats = sum(
            unit.seats * choice
            for guest, choices in model.choices.items()
            for unit, choice in zip(guest.options, choices, strict=True)
        )
        if model.choices:
            used = sum(guest.party.unit.seats for guest in model.choices if guest.party.unit is not None)
            self._run(model, -seats, 0, worth=-used, limit=SPARE_SECONDS)
        return is_proven

    def _stayed(self) -> int:
        return sum(1 for guest in self._confirmed if guest.party.unit is guest.own)

    def _model(self, kept: Sequence[_Guest], optional: Sequence[_Guest]) -> "_Model":
        """Return a model of ``kept``, who keep a seat, and of ``optional``, who may have one."""
        model = _Model(self._cp.CpModel())
        at: dict[int, list[tuple[float, float, Any]]] = {}
        for guest in (*kept, *optional):
            choices = [model.cp.new_bool_var("") for _unit in guest.options]
            model.choices[guest] = choices
            for unit, choice in zip(guest.options, choices, strict=True):
                for bit in each_bit(unit.mask):
                    at.setdefault(bit, []).append((guest.party.start, guest.party.until, choice))
        for guest in kept:
            model.cp.add_exactly_one(model.choices[guest])
        for guest in optional:
            model.is_seated[guest] = model.cp.new_bool_var("")
            model.cp.add_exactly_one([*model.choices[guest], ~model.is_seated[guest]])
        for blocks in at.values():
            for moment in sorted({start for start, _until, _choice in blocks}):
                present = [choice for start, until, choice in blocks if start <= moment < until]
                if len(present) > 1:
                    model.cp.add_at_most_one(present)
        self._keep_pace(model)
        return model

    def _keep_pace(self, model: "_Model") -> None:
        """Keep the model to the pacing."""
        seats = {guest.ref: model.is_seated.get(guest, 1) for guest in model.choices}
        for ceiling in self._ceilings:
            total = sum(weight * seats.get(ref, 0) for ref, weight in ceiling.counted.items())
            if not isinstance(total, int):  # Otherwise nothing is left open.
                model.cp.add(total <= ceiling.most + ceiling.slack * (1 - seats.get(ceiling.whom, 0)))

    def _run(
        self, model: "_Model", objective: Any, most: int, *, worth: int, limit: float, from_own: bool = False
    ) -> int:
        """Search for the largest objective from the places so far, and take over what is found if it is better.

        ``worth``: the objective of the places so far. ``from_own``: from where confirmed parties sit before anybody moves,
        and by the solution of the linear program.

        Returns the bound of the objective, or ``most`` if none was found.
        """
        if limit <= 0 or self._left <= 0:
            return most
        model.cp.clear_hints()
        for guest, choices in model.choices.items():
            place = guest.own if from_own and guest.own is not None else guest.party.unit
            for unit, choice in zip(guest.options, choices, strict=True):
                model.cp.add_hint(choice, unit is place)
        for guest, is_seated in model.is_seated.items():
            model.cp.add_hint(is_seated, guest.party.unit is not None)
        model.cp.maximize(objective)
        solver = self._cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = SEED
        # With the whole model as a linear program it proves in seconds what takes minutes without.
        solver.parameters.linearization_level = 2
        if from_own:
            solver.parameters.search_branching = solver.parameters.search_branching.LP_SEARCH
        solver.parameters.max_deterministic_time = min(limit, self._left)
        status = str(solver.status_name(solver.solve(model.cp)))
        self._left -= float(solver.response_proto.deterministic_time)
        if status not in {"OPTIMAL", "FEASIBLE"}:
            return most
        bound = round(float(solver.best_objective_bound))
        if round(float(solver.objective_value)) <= worth:
            return bound
        for guest, choices in model.choices.items():
            chosen = (unit for unit, choice in zip(guest.options, choices, strict=True) if solver.boolean_value(choice))
            self._place(guest, next(chosen, None))
        return bound

    def _place(self, guest: _Guest, unit: Unit | None) -> None:
        """Seat the guest at ``unit``, or nowhere."""
        if unit is not None and guest.party.unit is None:
            self._batch.seat(guest.party, unit)
        elif unit is None and guest.party.unit is not None:
            self._batch.leave(guest.party)
        guest.party.unit = unit


@dataclass(slots=True)
class _Model:
    """The solver's model: for each guest one Boolean per option, and for optional ones whether they are seated."""

    cp: Any
    choices: dict[_Guest, list[Any]] = field(default_factory=dict)
    is_seated: dict[_Guest, Any] = field(default_factory=dict)
