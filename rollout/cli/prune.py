"""``manage.py rollout prune``."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from assignments.management import arguments
from rollout.cli import base
from rollout.maintenance import retention


class Action(base.Action):
    help = (
        "Delete old comparisons of decisions and of days, floors that only they needed, old guard runs without a breach, "
        "old audits and, after BATCH_DAYS, the inputs of V3's decisions. The numbers of audits, and of comparisons by "
        "verdict, restaurant and day, are kept."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=arguments.count, default=90, help="Days to keep (default: 90).")
        parser.add_argument("--dry-run", action="store_true", help="Only count; delete nothing.")

    def run(self, options: dict[str, Any]) -> None:
        try:
            pruned = retention.count(options["days"])
            if not options["dry_run"]:
                total = pruned.comparisons
                for pruned in retention.prune(options["days"]):
                    if not options["json"] and total > retention.CHUNK:
                        self.stderr.write(f"{pruned.comparisons} of {total} comparisons")
        except retention.EvidenceNeededError as error:
            raise CommandError(str(error), returncode=base.EXIT_USAGE) from error
        if options["json"]:
            self.print_json({**asdict(pruned), "dry_run": options["dry_run"]})
            return
        verb = "Would delete" if options["dry_run"] else "Deleted"
        self.stdout.write(
            f"{verb} {pruned.comparisons} comparisons, {pruned.days} compared days, {pruned.floors} floors, "
            f"{pruned.guard_runs} guard runs, {pruned.batches} batches and {pruned.audits} audits."
        )
