"""The demo's rollout: V3 takes over from the legacy planner, step by step, on copies of one evening.

Each step calls the functions that the commands and the admin call, on development's ladder (``ROLLOUT["LADDERS"]`` in
``example.settings``), so the Rollout page shows it afterwards. Stages that would last for hours are left by override, which
the audit log records.
"""

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.management import call_command

from assignments.concurrency import transactions
from assignments.coordination import dispatch
from assignments.floor import Floor
from assignments.integration.evening_file import EveningFile
from assignments.integration.planners import V3
from assignments.models import Assignment
from assignments.outcome import Kind
from assignments.planning import admission
from assignments.planning.reasons import Refusal
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.telemetry import events
from example import evening, models, twins
from rollout.control import guard, steering, switches
from rollout.flags import resolution
from rollout.models import ForcedPlanner
from rollout.shadow import comparator, recorder

ACTOR = "command:demo"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step: a heading, its result in sentences, and the same result as values."""

    title: str
    lines: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def watched(source: EveningFile) -> Step:
    """Run the legacy planner's evening twice, without and with shadow mode; the database must be the same afterwards.

    Needs an empty database that nobody else uses: it is reset in between and at the end.
    """
    restaurant = evening.store(source.called(f"{source.name} (in shadow)")).restaurants[0]
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor=ACTOR, reason="The legacy planner alone")
    events.flush(10)
    twins.start_over()
    _pass(restaurant)
    alone = twins.contents()
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor=ACTOR, reason="V3 watches")
    events.flush(10)
    twins.start_over()  # The record of the switch itself is not compared.
    _pass(restaurant)
    recorder.flush()
    changed = twins.differences(alone, twins.contents())
    verdicts = Counter[str]()
    for so_far in comparator.compare_waiting():
        verdicts = so_far
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor=ACTOR, reason="The evening is over")
    twins.start_over()
    restaurant.bookings.all().delete()
    same = "the same, row by row," if not changed else f"NOT the same: {', '.join(changed)}"
    return Step(
        title="The legacy planner decides, V3 watches",
        lines=(
            f"Apart from comparisons, every database table is {same} as without shadow mode.",
            f"{verdicts.total()} decisions compared: {_counted(verdicts)}.",
            "The gates do not count them: the rollout begins after this evening, and only then does evidence count.",
        ),
        facts={"changed_by_shadow": changed, "verdicts": dict(verdicts)},
    )


def taken_over(source: EveningFile, path: Path, report: Path) -> Iterator[Step]:
    """Go from shadow to V3 and back: promotion refused, backtest, promotion, V3 live, a regression, the guard."""
    for name in (resolution.V3_SWITCH, resolution.SHADOW_SWITCH):
        switches.set_switch(name, active=name == resolution.SHADOW_SWITCH, actor=ACTOR, reason="Begin in shadow")
    steering.begin(actor=ACTOR, reason="V3 has watched an evening")
    yield _refused()
    yield _backtested(path)
    yield _promoted()
    yield _live(source)
    yield _guarded(source)
    yield _reported(report)


def _refused() -> Step:
    try:
        steering.promote(from_stage="shadow", actor=ACTOR, reason="it looked fine")
    except steering.PromotionRefusedError as error:
        obstacles = [str(obstacle) for obstacle in error.obstacles]
    else:
        raise AssertionError("One evening of shadow is no evidence: the promotion must be refused.")
    return Step(
        title="Promote? Refused",
        lines=(f"{len(obstacles)} reasons, including:", *(f"- {each}" for each in obstacles[:4])),
        facts={"obstacles": obstacles},
    )


def _backtested(path: Path) -> Step:
    out = io.StringIO()
    call_command("rollout", "backtest", "--file", str(path), "--feed", "--json", stdout=out, stderr=io.StringIO())
    said = json.loads(out.getvalue())
    planners = said["planners"]
    return Step(
        title="Backtest: the same evening, booking by booking, in the order they were made",
        lines=(
            *(
                f"{name}: {planners[key]['seated']} bookings, {planners[key]['covers']} covers."
                for key, name in (("legacy", "Legacy planner"), ("v3", "V3"))
            ),
            f"{said['fed']} decisions were added as evidence for the gates.",
        ),
        facts={"backtest": said},
    )


def _promoted() -> Step:
    position = steering.promote(from_stage="shadow", actor=ACTOR, reason="a demo has no days to wait", override=True)
    return Step(
        title="Promote with an override",
        lines=(
            f"At {position.stage}: V3 decides for {position.percent} % of restaurants. The audit log names what was lifted.",
        ),
        facts={"stage": position.stage},
    )


def _live(source: EveningFile) -> Step:
    restaurant = _pinned(source, "V3 live")
    said = _run_coordinator(restaurant)
    seen = guard.run()
    kinds = {kind.value: said[kind] for kind in Kind if said[kind]}
    return Step(
        title="V3 decides, the guard is watching",
        lines=(
            f"{said[Kind.CONFIRMED]} bookings seated by V3, at a restaurant where it is forced.",
            f"The guard found {len(seen.breaches) or 'no'} breaches.",
        ),
        facts={"live": kinds, "breaches": [breach.rail for breach in seen.breaches]},
    )


def _guarded(source: EveningFile) -> Step:
    """Run a release with a bug that causes no double booking: it drops the buffers between seatings."""
    steering.promote(from_stage="canary", actor=ACTOR, reason="a new release", override=True)
    restaurant = _pinned(source, "a bad release")
    with mock.patch.object(admission, "seating_window", without_buffers):
        _run_coordinator(restaurant)
    seen = guard.run()
    left = _run_coordinator(restaurant)
    back_at = seen.rolled_back_to or "nothing: no guardrail was breached"
    by_old = sum(count for planner, count in left["planners"].items() if planner not in {"", V3})
    return Step(
        title="A bad release drops the buffers between seatings; the guard rolls back automatically",
        lines=(
            *(f"- {breach.detail}" for breach in seen.breaches),
            f"Rolled back to {back_at}. The legacy planner took over {by_old} waiting bookings.",
        ),
        facts={
            "breaches_after_regression": [breach.rail for breach in seen.breaches],
            "rolled_back_to": seen.rolled_back_to,
            "finished_by_the_legacy_planner": by_old,
        },
    )


def _reported(report: Path) -> Step:
    call_command("rollout", "report", "--format", "html", "--output", str(report), stdout=io.StringIO())
    return Step(title="Report for the promotion review", lines=(f"{report}",), facts={"report": str(report)})


def without_buffers(floor: Floor, **request: Any) -> SeatingWindow | Refusal:
    window = seating_window(floor, **request)
    if isinstance(window, Refusal):
        return window
    return replace(window, blocked_from=window.starts_at, blocked_until=window.ends_at)


def _pinned(source: EveningFile, name: str) -> models.Restaurant:
    restaurant = evening.store(source.called(f"{source.name} ({name})")).restaurants[0]
    steering.force_planner(
        restaurant_ref=str(restaurant.pk),
        planner=ForcedPlanner.PlannerChoice.V3,
        actor=ACTOR,
        reason="The demo's restaurant",
    )
    return restaurant


def _pass(restaurant: models.Restaurant) -> None:
    """Run one pass over the restaurant's bookings without recording a run, so that only bookings are compared."""
    ref = str(restaurant.pk)
    dispatch.register_new(ref)
    for _progress in dispatch.run_pass(dispatch.PassLimits(restaurant_ref=ref)):
        pass
    events.flush(10)


def _run_coordinator(restaurant: models.Restaurant) -> dict[str, Any]:
    """Run the coordinator for this restaurant as cron does, including bookings due later; return its output."""
    make_due(restaurant)
    out = io.StringIO()
    call_command("run_coordinator", "--restaurant", str(restaurant.pk), "--json", stdout=out)
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


def make_due(restaurant: models.Restaurant) -> None:
    """Make the restaurant's waiting bookings due now."""
    waiting = Assignment.objects.open().filter(restaurant_ref=str(restaurant.pk))
    waiting.update(due_at=transactions.database_now() - timedelta(seconds=1))


def _counted(verdicts: Counter[str]) -> str:
    return ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in verdicts.most_common())
