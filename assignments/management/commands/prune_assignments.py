"""``manage.py prune_assignments``: forget old events, attempts, runs, delivered outbox messages and breakers at rest."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from assignments.maintenance import retention
from assignments.management.base import EXIT_USAGE, DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Forget what is older than ASSIGNMENTS says: events (EVENT_DAYS), attempts at past bookings (ATTEMPT_DAYS), "
        "runs of run_coordinator (RUN_DAYS), delivered outbox messages (OUTBOX_DAYS); and "
        "circuit breakers at which nothing has happened for a day. Metrics go on counting them; the "
        "history of states is kept for ever. Once a day from cron. Exit codes: 0 done; 2 bad usage or configuration, or a "
        "database that was not migrated; 75 the database is away."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count.")
        parser.add_argument("--json", action="store_true", help="One JSON object on standard output.")

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
        verb = "Would forget" if options["dry_run"] else "Forgot"
        self.stdout.write(
            f"{verb} {pruned.events} events, {pruned.attempts} attempts, {pruned.runs} runs, "
            f"{pruned.outbox_messages} outbox messages and {pruned.breakers} breakers."
        )
