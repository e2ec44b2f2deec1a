"""``manage.py rollout rehearse``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from assignments.management import arguments
from rollout.cli import base
from rollout.rehearsal import rehearsal
from rollout.rehearsal.kinds import KINDS
from rollout.rehearsal.rehearsal import Rehearsal
from rollout.rehearsal.runs import Caught

RUNS = 200


class Action(base.Action):
    help = (
        "Break V3 on purpose, in memory, on the stored situations of the comparisons. Show which gate and which guardrail "
        "catches each kind of fault, after how many decisions, and how often V3 fails without a fault. Writes nothing: the "
        "transaction is read-only."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument(
            "--runs", type=arguments.count, default=RUNS, help=f"How often to try each kind (default: {RUNS})."
        )
        parser.add_argument("--seed", type=int, default=0, help="Random seed of situations and runs (default: 0).")
        parser.add_argument(
            "--kind",
            action="append",
            choices=list(KINDS),
            default=[],
            metavar="NAME",
            help=f"Only this kind; may be repeated. Kinds: {', '.join(KINDS)}.",
        )

    def run(self, options: dict[str, Any]) -> None:
        try:
            found = rehearsal.rehearse(
                kinds=options["kind"], times=options["runs"], seed=options["seed"], on_progress=self._say
            )
        except rehearsal.NoEvidenceError as error:
            raise CommandError(str(error), returncode=base.EXIT_REFUSED) from error
        if options["json"]:
            self.print_json(found.as_dict())
        else:
            self._write(found)

    def _say(self, progress: str) -> None:
        self.stderr.write(progress)

    def _write(self, found: Rehearsal) -> None:
        self.stdout.write(f"{found.runs} runs of each kind, on {found.cases} situations of the evidence.")
        if found.unreadable:
            self.stdout.write(self.style.WARNING(f"Situations that cannot be read: {found.unreadable}."))
        if not found.has_gates:
            self.stdout.write("No stage before V3 decides has gates here: only the guard is tried.")
        self.stdout.write(f"{'kind':28}{'gate':>34}{'guardrail':>34}")
        for tried in found.kinds:
            self.stdout.write(f"{tried.kind.name:28}{_said(tried.gate):>34}{_said(tried.rail):>34}")
            staged = f" (staged in {tried.staged} situations)" if tried.staged else ""
            self.stdout.write(f"    {tried.kind.does}{staged}")
        self.stdout.write(
            f"V3 as it is: gates failed in {found.failed_gates} of {found.runs} runs, "
            f"and the guard would have rolled back in {found.rollbacks}."
        )
        if found.not_tried:
            self.stdout.write(f"Gates that a rehearsal cannot try: {', '.join(found.not_tried)}.")


def _said(caught: Caught) -> str:
    return "nothing" if caught.after is None else f"{caught.by} after {caught.after}"
