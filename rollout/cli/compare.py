"""``manage.py rollout compare``."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from assignments.management import arguments
from rollout.cli import base
from rollout.control import releases
from rollout.policy.verdict import Verdict
from rollout.shadow import comparator


class Action(base.Action):
    help = "Compare V3 with the legacy planner's decisions recorded in shadow mode (for cron)."

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=arguments.count, default=0, help="Compare at most this many decisions.")

    def run(self, options: dict[str, Any]) -> None:
        releases.note()
        verdicts: Counter[str] = Counter()
        for verdicts in comparator.compare_waiting(limit=options["limit"]):
            if not options["json"]:
                self.stdout.write(f"{verdicts.total()} compared")
        counts = {verdict.value: verdicts[verdict] for verdict in Verdict}
        if options["json"]:
            self.print_json({"compared": verdicts.total(), "verdicts": counts})
            return
        if not verdicts:
            self.stdout.write("No decisions are waiting for comparison.")
        for verdict, count in counts.items():
            if count:
                self.stdout.write(f"  {count:6} {verdict}")
