"""``manage.py rollout plan``."""

from typing import Any

from rollout.cli import base
from rollout.control import steering
from rollout.flags.resolution import as_text

NAMED = 10


class Action(base.Action):
    help = "Show what a promotion would do now: the exact switches, and everything that blocks it. Changes nothing."

    def run(self, options: dict[str, Any]) -> None:
        plan = steering.plan()
        if options["json"]:
            self.print_json(as_dict(plan))
            return
        stage, target = plan.position.stage, plan.target
        if target is None:
            self.stdout.write(f"{stage} is the last stage of {plan.position.environment}.")
        else:
            self.stdout.write(f"{plan.position.environment}: {stage} -> {target.key}")
            for switch, (before, after) in plan.switches.items():
                change = f"{as_text(before)} -> {as_text(after)}" if before != after else f"stays {as_text(after)}"
                self.stdout.write(f"  {switch:30} {change}")
            share = f"V3 would decide for {target.percent} % of restaurants"
            named = ", ".join(plan.joining[:NAMED]) + (", ..." if len(plan.joining) > NAMED else "")
            self.stdout.write(f"  {share}: {len(plan.joining)} more{f' ({named})' if named else ''}")
        if plan.obstacles:
            self.stdout.write("Blocking promotion:" if target else "Blocking the removal of the legacy planner:")
            for obstacle in plan.obstacles:
                self.stdout.write(f"  {'' if obstacle.overridable else '(cannot be overridden) '}{obstacle}")
        elif target:
            self.stdout.write(
                self.style.SUCCESS("Nothing is blocking promotion: manage.py rollout promote --reason ...")
            )


def as_dict(plan: steering.PromotionPlan) -> dict[str, Any]:
    """The plan for ``--json``."""
    return {
        "position": base.position_as_dict(plan.position),
        "target": plan.target.key if plan.target else None,
        "percent": plan.target.percent if plan.target else None,
        "switches": {switch: {"before": before, "after": after} for switch, (before, after) in plan.switches.items()},
        "joining": list(plan.joining),
        "open": plan.is_open,
        "obstacles": [
            {"kind": each.kind, "detail": each.detail, "remedy": each.remedy, "overridable": each.overridable}
            for each in plan.obstacles
        ],
        "gates": [result.as_dict() for result in plan.gates],
    }
