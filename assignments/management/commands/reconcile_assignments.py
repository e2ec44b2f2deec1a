"""``manage.py reconcile_assignments``: find and repair discrepancies between host and ledger."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from assignments.maintenance.reconcile import reconcile
from assignments.management import arguments
from assignments.management.base import EXIT_UNEXPECTED, DatabaseCommand


class Command(DatabaseCommand):
    help = (
        "Compare assignments and ledger with the host's bookings and repair differences: bookings deleted, cancelled "
        "or edited without notice, bookings never requested, tables assigned by the host itself, tables occupied "
        "without a booking. Exit codes: 0 done; 1 something could not be repaired (the rest was); 2 bad usage, or "
        "migrations are missing; 75 the database is unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Report only.")
        parser.add_argument("--restaurant", type=arguments.restaurant_ref, help="Only this restaurant (its ref).")
        parser.add_argument("--json", action="store_true", help="One JSON object per discrepancy, one per line.")

    def handle(self, *args: Any, **options: Any) -> None:
        count = failed = 0
        for found in reconcile(dry_run=options["dry_run"], restaurant_ref=options["restaurant"]):
            count += 1
            failed += bool(found.error)
            if options["json"]:
                self.stdout.write(json.dumps(asdict(found)))
                continue
            remedy = f"not repaired ({found.error})" if found.error else found.remedy
            would_be = "would be: " if options["dry_run"] else ""
            self.stdout.write(f"{found.booking_ref}: {found.problem} -> {would_be}{remedy}")
        if not options["json"]:
            self.stdout.write(f"{count} discrepancies." if count else "Host and ledger agree.")
        if failed:
            raise CommandError(f"{failed} could not be repaired; see the log.", returncode=EXIT_UNEXPECTED)
