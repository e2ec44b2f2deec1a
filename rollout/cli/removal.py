"""``manage.py rollout removal``."""

from argparse import ArgumentParser, ArgumentTypeError
from itertools import groupby
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import CommandError

from assignments.concurrency import clock
from assignments.management import arguments
from rollout.cli import base
from rollout.policy.gates import GateResult, Status
from rollout.removal import patterns, readiness, scope, usage
from rollout.removal.finding import RISKS
from rollout.removal.finding import Action as Todo

PARTS = ("readiness", "scope")
DAYS = 7


class Action(base.Action):
    help = (
        "Show whether the legacy planner can be removed from this environment, and every place to change, with "
        "file and line, what to do, and what may go wrong. Changes nothing. Exits with 0 when ready, 1 when not."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days",
            type=arguments.count,
            default=DAYS,
            help=f"How long V3 must have decided everything (default: {DAYS}).",
        )
        parser.add_argument(
            "--root",
            type=_folder,
            default=None,
            help="The project to search (default: settings.BASE_DIR, else the current folder).",
        )
        parser.add_argument(
            "--only",
            choices=PARTS,
            help="readiness: reads no files, for servers without the sources. scope: needs no database; exits with 0.",
        )

    def run(self, options: dict[str, Any]) -> None:
        report: dict[str, Any] = {}
        results: tuple[GateResult, ...] = ()
        if options["only"] != "scope":
            measured = usage.read(now=clock.now(), days=options["days"])
            results = readiness.evaluate(measured)
            report |= {
                "environment": measured.environment,
                "days": options["days"],
                "ready": readiness.is_ready(results),
                "readiness": [result.as_dict() for result in results],
            }
        found = None
        if options["only"] != "readiness":
            found = scope.find(options["root"] or _root(), patterns.current())
            report["scope"] = found.as_dict()
            if found.missing:
                self.stderr.write(self.style.WARNING(found.missing))
        if options["json"]:
            self.print_json(report)
        else:
            self._print_readiness(report, results)
            self._print_scope(found)
        if results and not report["ready"]:
            open_ones = ", ".join(result.gate for result in results if result.status is not Status.PASS)
            raise CommandError(f"Not ready to remove the legacy planner: {open_ones}.", returncode=base.EXIT_REFUSED)

    def _print_readiness(self, report: dict[str, Any], results: tuple[GateResult, ...]) -> None:
        if not results:
            return
        self.stdout.write(f"Can the legacy planner be removed from {report['environment']}? ({report['days']} days)")
        styles = {
            Status.PASS: self.style.SUCCESS,
            Status.FAIL: self.style.ERROR,
            Status.INCONCLUSIVE: self.style.WARNING,
        }
        for result in results:
            status = styles[result.status](f"{result.status:12}")
            self.stdout.write(f"  {status} {result.gate:14} {result.detail}")

    def _print_scope(self, found: scope.Scope | None) -> None:
        if found is None:
            return
        self.stdout.write("")
        self.stdout.write(f"What to remove or change, under {found.root}:")
        for kind, traces in groupby(found.traces, key=lambda trace: trace.kind):
            self.stdout.write(f"\n{kind}: {RISKS[kind][1]}")
            for trace in traces:
                todo = trace.action.replace("_", " ")
                self.stdout.write(f"  {trace.risk:6} {todo:13} {trace.place}  {trace.text[:80]}".rstrip())
                if trace.action is Todo.REPLACE_LINES:
                    self.stdout.write(
                        "\n".join(f"{'':22} -> {line.strip()}" for line in trace.replacement.splitlines())
                    )
                elif trace.what:
                    self.stdout.write(f"{'':22} {trace.what}")
        self.stdout.write(
            f"\n{len(found.mechanical)} edits that a program can make (--json), {len(found.by_hand)} places for people."
        )
        if not found.is_installed:
            self.stdout.write("The legacy planner's package is not installed.")


def _root() -> Path:
    return Path(getattr(django_settings, "BASE_DIR", "") or Path.cwd())


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ArgumentTypeError(f"is not a folder: {text!r}")
    return Path(text)
