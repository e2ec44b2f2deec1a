"""``manage.py rollout history``."""

from argparse import ArgumentParser
from typing import Any

from assignments.management import arguments
from rollout.cli import base
from rollout.models import Change


class Action(base.Action):
    help = "List changes with author and reason, newest first."

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=arguments.count, default=20, help="Maximum changes to list (default: 20).")
        parser.add_argument("--kind", choices=Change.Kind.values, help="Only changes of this kind.")

    def run(self, options: dict[str, Any]) -> None:
        changes = Change.objects.all()
        if options["kind"]:
            changes = changes.of_kind(options["kind"])
        changes = changes[: options["limit"]]
        if options["json"]:
            fields = (
                "id",
                "at",
                "environment",
                "kind",
                "subject",
                "before",
                "after",
                "actor",
                "reason",
                "overridden",
                "release",
            )
            rows = [{field: getattr(change, field) for field in (*fields, "evidence")} for change in changes]
            self.print_json({"changes": rows})
            return
        for change in changes:
            what = f"{change.kind} {change.subject}: {change.before or '-'} -> {change.after or '-'}"
            overridden = f" {self.style.WARNING('(gates overridden)')}" if change.overridden else ""
            self.stdout.write(f"{change.at:%Y-%m-%d %H:%M} {change.environment} {what}{overridden}")
            self.stdout.write(f"{'':17}{change.actor}: {change.reason}")
        if not changes:
            self.stdout.write("No changes yet.")
