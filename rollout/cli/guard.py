"""``manage.py rollout guard``."""

from typing import Any

from django.core.management.base import CommandError

from assignments.telemetry import events
from rollout.cli import base
from rollout.control import guard


class Action(base.Action):
    help = (
        "Measure V3's recent decisions (for cron, every few minutes). On a breach of a guardrail, roll back to the "
        "previous safe stage, record why, and exit with 3. An unsafe seating of the legacy planner is a breach "
        "too, but leaves the stage as it is."
    )

    def run(self, options: dict[str, Any]) -> None:
        findings = guard.run()
        events.flush()
        if options["json"]:
            self.print_json(findings.as_dict())
        elif findings.facts is None and not findings.problem and not findings.breaches:
            self.stdout.write("V3 decides for no restaurant: nothing to guard.")
        elif findings.facts is not None and not findings.breaches:
            since = f"since {findings.facts.since:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"{findings.stage}: {findings.facts.v3.bookings} bookings by V3 {since}, no breaches.")
        for breach in findings.breaches:
            self.stderr.write(self.style.ERROR(f"{breach.rail}: {breach.detail}."))
        if findings.breaches:
            what = (
                f"Rolled back to {findings.rolled_back_to}."
                if findings.rolled_back_to
                else f"Not rolled back: {findings.problem}"
            )
            raise CommandError(what, returncode=base.EXIT_BREACH)
        if findings.problem:
            raise CommandError(findings.problem, returncode=base.EXIT_REFUSED)
