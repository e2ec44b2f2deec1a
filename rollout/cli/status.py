"""``manage.py rollout status``."""

from typing import Any

from assignments import conf as assignments_conf
from assignments.integration import release
from rollout import conf
from rollout.cli import base
from rollout.control import steering
from rollout.evidence import decision_audit, measuring
from rollout.flags import resolution
from rollout.models import ForcedPlanner, Position
from rollout.policy.gates import Status
from rollout.policy.ladder import UnknownStageError


class Action(base.Action):
    help = "Show every flag with its value and source, the mode, the stage with its gates, and the next step."

    def run(self, options: dict[str, Any]) -> None:
        current = resolution.read()
        settings = conf.settings()
        problems: list[str] = [*resolution.wrong_variables()]
        if current.contradict:
            problems.append(f"{current.v3.switch} and {current.shadow.switch} are both on; shadow wins.")
        # While killed it must work without a database.
        position = None if current.killed else steering.current()
        drift = measuring.drift_of(position, current) if position else ""
        if drift:
            problems.append(f"The flags do not match the stage: {drift}.")
        plan = _plan(position)
        unaudited = None if current.killed else decision_audit.waiting()
        forced = {} if current.killed else dict(ForcedPlanner.objects.values_list("restaurant_ref", "planner"))
        if options["json"]:
            values = {
                flag.switch: {"value": flag.value, "source": flag.source, "raw": flag.raw, "variable": flag.variable}
                for flag in (current.v3, current.shadow)
            }
            self.print_json(
                {
                    "environment": settings.ENVIRONMENT,
                    "mode": current.mode,
                    "killed": current.killed,
                    "flags": values,
                    "release": release.running(),
                    "max_parallel": assignments_conf.settings().MAX_PARALLEL,
                    "legacy": settings.LEGACY_PLANNER,
                    "position": base.position_as_dict(position) if position else None,
                    "drift": drift,
                    "forced_planners": forced,
                    "unaudited": unaudited and {"decisions": unaudited[0], "refusals": unaudited[1]},
                    "gates": {result.gate: result.status for result in plan.gates} if plan else {},
                    "next": plan.target.key if plan and plan.target else None,
                    "obstacles": [str(obstacle) for obstacle in plan.obstacles] if plan else [],
                    "problems": problems,
                }
            )
            return
        self.stdout.write(f"Environment     {settings.ENVIRONMENT}")
        self.stdout.write(f"Mode            {current.mode}{' (killed)' if current.killed else ''}")
        for flag in (current.v3, current.shadow):
            value = resolution.as_text(flag.value)
            where = (
                f"{flag.source} {flag.variable}={flag.raw}"
                if flag.source is resolution.Source.ENVIRONMENT
                else flag.source
            )
            self.stdout.write(f"  {flag.switch:30} {value:4} by {where}")
        self.stdout.write(f"Release         {release.running()}")
        self.stdout.write(f"Max parallel    {assignments_conf.settings().MAX_PARALLEL} per restaurant")
        self.stdout.write(f"Legacy planner  {settings.LEGACY_PLANNER or 'not installed'}")
        if not current.killed:
            self._write_stage(position, plan, forced)
        if unaudited and unaudited[0]:
            self.stdout.write(f"Not audited     {unaudited[0]} decisions of V3, {unaudited[1]} of them refusals")
        for problem in problems:
            self.stdout.write(self.style.ERROR(f"Problem: {problem}"))

    def _write_stage(
        self, position: Position | None, plan: steering.PromotionPlan | None, forced: dict[str, str]
    ) -> None:
        if position is None:
            self.stdout.write("Stage           not begun: the flags alone decide (manage.py rollout begin)")
            return
        since = f"since {position.since:%Y-%m-%d %H:%M} UTC"
        self.stdout.write(f"Stage           {position.stage}, {position.percent} % of restaurants, {since}")
        for ref, planner in sorted(forced.items()):
            self.stdout.write(f"Forced planner  restaurant {ref}: {planner}")
        if position.paused:
            self.stdout.write("Paused          promotions are refused (manage.py rollout resume)")
        if plan is None:
            return
        if position.cool_down_until and position.cool_down_until > plan.facts.now:
            self.stdout.write(f"Locked          no promotion until {position.cool_down_until:%Y-%m-%d %H:%M} UTC")
        gates = {status: [each.gate for each in plan.gates if each.status is status] for status in Status}
        shut = [
            f"; {status.value}: {', '.join(names)}"
            for status, names in gates.items()
            if status is not Status.PASS and names
        ]
        self.stdout.write(f"Gates           {len(gates[Status.PASS])} of {len(plan.gates)} pass{''.join(shut)}")
        if plan.target is None:
            next_step = "none: this is the last stage"
        elif plan.is_open:
            next_step = f"promote to {plan.target.key}: nothing is blocking promotion"
        else:
            next_step = f"{plan.target.key}, blocked by {len(plan.obstacles)} obstacles (manage.py rollout plan)"
        self.stdout.write(f"Next            {next_step}")


def _plan(position: Position | None) -> steering.PromotionPlan | None:
    if position is None:
        return None
    try:
        return steering.plan()
    except UnknownStageError:
        return None  # Reported as drift.
