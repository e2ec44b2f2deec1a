"""``manage.py prune_assignments``: delete old events, attempts, runs, outbox messages, breakers, marks, and more."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from assignments.maintenance import retention
from assignments.management.base import EXIT_USAGE, DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Delete records past their retention in ASSIGNMENTS: events (EVENT_DAYS), attempts of past bookings "
        "(ATTEMPT_DAYS), runs of run_coordinator (RUN_DAYS), delivered outbox messages, marks that could not be "
        "followed and what staff did on the evening's page (OUTBOX_DAYS); and circuit breakers idle for a day. "
        "Metrics still count them, and the history of states is kept. Run it daily from cron. "
        "Exit codes: 0 done; 2 bad usage or configuration, or migrations are missing; 75 the database is unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count rows; delete nothing.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            pruned = retention.count()
            if not options["dry_run"]:
                total = pruned.total
                for pruned in retention.prune():
                    if not options["json"] and total > retention.CHUNK:
                        self.stderr.write(f"{pruned.total} of {total} rows")
        except (retention.StillNeededError, ImproperlyConfigured) as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        if options["json"]:
            self.stdout.write(json.dumps({**pruned.as_dict(), "dry_run": options["dry_run"]}))
            return
        verb = "Would delete" if options["dry_run"] else "Deleted"
        self.stdout.write(
            f"{verb} {pruned.events} events, {pruned.attempts} attempts, {pruned.runs} runs, "
            f"{pruned.outbox_messages} outbox messages, {pruned.breakers} breakers, {pruned.marks} marks, "
            f"{pruned.staff_actions} actions by staff, {pruned.frozen_evenings} frozen and "
            f"{pruned.optimized_evenings} optimized evenings, {pruned.evening_optima} optima of evenings, "
            f"{pruned.queued_parties} parties that waited at the door, and {pruned.failed_invocations} failed invocations."
        )
