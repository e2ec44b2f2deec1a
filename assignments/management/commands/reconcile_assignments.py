"""``manage.py reconcile_assignments``: find and repair discrepancies between host and ledger."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from assignments.maintenance.promise_check import violations
from assignments.maintenance.reconcile import OutdatedPromise, outdated_promises, reconcile
from assignments.management import arguments
from assignments.management.base import EXIT_UNEXPECTED, EXIT_USAGE, DatabaseCommand, restaurant_meant

DAYS_CHECKED = 7
EXIT_VIOLATED = 4


class Command(DatabaseCommand):
    help = (
        "Compare assignments and ledger with the host's bookings and repair differences: bookings deleted, cancelled "
        "or edited without notice, bookings never requested, tables assigned by the host itself, tables occupied "
        "without a booking. Promises are kept: confirmed bookings that today's floor and settings would seat "
        "differently are listed, and keep their tables. With --check, repair nothing and list every promise of the app "
        "that does not hold. Exit codes: 0 done; 1 something could not be repaired, or the host raised an error "
        "for it (the rest was done); 2 bad usage, or migrations are missing; 4 --check found something, or the host raised "
        "an error for it; 75 the database is unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Report only.")
        parser.add_argument(
            "--check",
            action="store_true",
            help="Repair nothing; list tables booked twice, bookings lost or with two outcomes, breaks in the history, "
            "what the host was not told, what waits for more than five minutes, rows that belong to nothing, tables that "
            "the host shows twice, and where host and ledger differ.",
        )
        parser.add_argument(
            "--days",
            type=arguments.count,
            metavar="N",
            help=f"With --check: also bookings of the last N days (default {DAYS_CHECKED}).",
        )
        parser.add_argument(
            "--repair",
            type=arguments.count,
            default=0,
            metavar="N",
            help="Plan at most N of the listed bookings again under today's rules. Each keeps its tables unless others fit.",
        )
        parser.add_argument(
            "--restaurant", type=arguments.restaurant_ref, help=f"Only this restaurant. {arguments.RESTAURANT}"
        )
        parser.add_argument("--json", action="store_true", help="One JSON object per discrepancy, one per line.")

    def handle(self, *args: Any, **options: Any) -> None:
        options["restaurant"] = restaurant_meant(options["restaurant"])
        if options["check"]:
            self._check(options)
            return
        if options["days"]:
            raise CommandError("--days needs --check.", returncode=EXIT_USAGE)
        count = failed = 0
        for found in reconcile(dry_run=options["dry_run"], restaurant_ref=options["restaurant"]):
            count += 1
            failed += bool(found.error)
            if options["json"]:
                self.stdout.write(json.dumps(asdict(found)))
                continue
            remedy = f"not repaired ({found.error})" if found.error else found.remedy
            would_be = "would be: " if options["dry_run"] and not found.error else ""
            self.stdout.write(f"{found.booking_ref or 'host'}: {found.problem} -> {would_be}{remedy}")
        if not options["json"]:
            self.stdout.write(f"Discrepancies: {count}." if count else "Host and ledger agree.")
        failed += self._outdated(options)
        if failed:
            raise CommandError(f"{failed} could not be compared or repaired; see the log.", returncode=EXIT_UNEXPECTED)

    def _check(self, options: dict[str, Any]) -> None:
        if options["repair"]:
            raise CommandError("--check repairs nothing: leave out --repair.", returncode=EXIT_USAGE)
        count = 0
        for found in violations(days=options["days"] or DAYS_CHECKED, restaurant_ref=options["restaurant"]):
            count += 1
            line = (
                json.dumps(asdict(found))
                if options["json"]
                else f"{found.booking_ref or 'host'}: {found.promise}: {found.detail}"
            )
            self.stdout.write(line)
        if count:
            raise CommandError(f"{count} found.", returncode=EXIT_VIOLATED)
        if not options["json"]:
            self.stdout.write("Every promise holds.")

    def _outdated(self, options: dict[str, Any]) -> int:
        """List the promises that today's rules would not make again, and return how many could not be replanned."""
        repair = 0 if options["dry_run"] else options["repair"]
        found: list[OutdatedPromise] = []
        for promise in outdated_promises(repair=repair, restaurant_ref=options["restaurant"]):
            found.append(promise)
            if options["json"]:
                self.stdout.write(json.dumps({"outdated_promise": asdict(promise)}))
            else:
                remedy = f"not planned again ({promise.error})" if promise.error else promise.remedy
                self.stdout.write(
                    f"{promise.booking_ref or 'host'}: not by today's rules ({promise.because}) -> {remedy}"
                )
        seen = [promise for promise in found if promise.booking_ref]
        if seen and not options["json"]:
            self.stdout.write(f"{len(seen)} confirmed bookings would be seated differently today. Promises are kept.")
        return sum(bool(promise.error) for promise in found)
