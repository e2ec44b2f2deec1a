"""``manage.py reconcile_assignments``: find and mend what host and ledger disagree about."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from assignments.reconcile import reconcile


class Command(BaseCommand):
    help = (
        "Compare assignments and ledger with the host's bookings, and mend what differs: bookings deleted, cancelled or "
        "edited without a word, bookings never requested, tables taken for nobody."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Report only.")
        parser.add_argument("--restaurant", help="Only this restaurant (its ref).")
        parser.add_argument("--json", action="store_true", help="One JSON object a discrepancy, a line each.")

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        for found in reconcile(dry_run=options["dry_run"], restaurant_ref=options["restaurant"]):
            count += 1
            if options["json"]:
                self.stdout.write(json.dumps(asdict(found)))
            else:
                remedy = "would be: " if options["dry_run"] else ""
                self.stdout.write(f"{found.booking_ref}: {found.problem} -> {remedy}{found.remedy}")
        if not options["json"]:
            self.stdout.write(f"{count} discrepancies." if count else "Host and ledger agree.")
