"""``manage.py rollout guard``."""

from typing import Any

from django.core.management.base import CommandError

from assignments.telemetry import events
from rollout.cli import base
from rollout.control import guard


class Action(base.Action):
    help = (
        "Look at what V3 did lately (for cron, every few minutes). On a breach of a guardrail, go back to the previous safe "
        "stage, keep why, and exit with 3."
    )

    def run(self, options: dict[str, Any]) -> None:
        look = guard.look()
        events.flush()
        if options["json"]:
            self.print_json(look.as_dict())
        elif look.facts is None and not look.problem:
            self.stdout.write("V3 decides for nobody: there is nothing to guard.")
        elif look.facts is not None and not look.breaches:
            since = f"since {look.facts.since:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"{look.stage}: {look.facts.v3.bookings} bookings of V3 {since}, nothing is breached.")
        for breach in look.breaches:
            self.stderr.write(self.style.ERROR(f"{breach.rail}: {breach.detail}."))
        if look.breaches:
            what = (
                f"Rolled back to {look.rolled_back_to}." if look.rolled_back_to else f"Not rolled back: {look.problem}"
            )
            raise CommandError(what, returncode=base.EXIT_BREACH)
        if look.problem:
            raise CommandError(look.problem, returncode=base.EXIT_REFUSED)
