"""``manage.py rollout check``."""

from typing import Any

from django.core.management.base import CommandError

from rollout.cli import base
from rollout.control import steering
from rollout.policy.gates import Status


class Action(base.Action):
    help = "Measure every gate of the current stage: value, threshold and sample. Exit code 1 unless all pass."

    def run(self, options: dict[str, Any]) -> None:
        plan = steering.plan()
        counts = {status: sum(1 for result in plan.gates if result.status is status) for status in Status}
        if options["json"]:
            self.print_json(
                {
                    **base.position_as_dict(plan.position),
                    "gates": [result.as_dict() for result in plan.gates],
                    "facts": plan.facts.as_dict(),
                    "release": plan.facts.release,
                    "others": plan.facts.comparisons.others,
                    "pass": counts[Status.PASS] == len(plan.gates),
                }
            )
        else:
            self.stdout.write(f"Release {plan.facts.release}: {base.of_others(plan.facts.comparisons.others)}.")
            paint = {
                Status.PASS: self.style.SUCCESS,
                Status.FAIL: self.style.ERROR,
                Status.INCONCLUSIVE: self.style.WARNING,
            }
            self.stdout.write(f"{'':12}  {'gate':18} {'value':>10} {'threshold':>10} {'sample':>8}")
            for result in plan.gates:
                value = "-" if result.value is None else f"{result.value:.4g}"
                row = f"{result.gate:18} {value:>10} {result.threshold:>10.4g} {result.sample:>8}"
                self.stdout.write(f"{paint[result.status](f'{result.status.value:12}')}  {row}  {result.detail}")
                self.stdout.write(f"{'':6}{result.window}")
        if counts[Status.PASS] < len(plan.gates):
            raise CommandError(
                f"{counts[Status.FAIL]} of {len(plan.gates)} gates fail, {counts[Status.INCONCLUSIVE]} are inconclusive.",
                returncode=base.EXIT_REFUSED,
            )
