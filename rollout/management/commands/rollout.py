"""``manage.py rollout``: look at the rollout, and steer it."""

import getpass
import json
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from assignments import conf as assignments_conf
from assignments import events
from rollout import comparing, conf, flags, switches
from rollout.verdict import Verdict

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_DATABASE_AWAY = 75


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


class Command(BaseCommand):
    help = (
        "Which planner decides, and why. Exit codes: 0 done; 1 refused (the flags would contradict each other); "
        "2 bad usage or configuration; 75 the database is away."
    )
    # A wrong variable must not keep anybody from seeing the status that names it.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        status = actions.add_parser("status", help="Every flag, its value and where that came from; the mode.")
        status.add_argument("--json", action="store_true", help="Print one JSON object.")
        compare = actions.add_parser(
            "compare", help="Ask V3 what it would have decided where the old planner did in shadow mode (for cron)."
        )
        compare.add_argument("--limit", type=_positive, default=0, help="Compare at most this many decisions.")
        compare.add_argument("--json", action="store_true", help="Print one JSON object.")
        change = actions.add_parser("set", help="Turn a switch on or off.")
        change.add_argument("switch", choices=sorted(switches.SWITCHES))
        change.add_argument("value", choices=["on", "off"])
        change.add_argument("--reason", required=True, help="Why; kept with the switch and in the events.")
        change.add_argument("--json", action="store_true", help="Print the new status as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["action"] == "compare":
                self._compare(options)
                return
            if options["action"] == "set":
                self._set(options)
            self._status(options)
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database is away: {error}", returncode=EXIT_DATABASE_AWAY) from error

    def _set(self, options: dict[str, Any]) -> None:
        try:
            switches.set_switch(
                switches.SWITCHES[options["switch"]],
                active=options["value"] == "on",
                actor=f"command:{getpass.getuser()}",
                reason=options["reason"],
            )
        except switches.ContradictionError as error:
            raise CommandError(str(error), returncode=EXIT_REFUSED) from error
        except ValueError as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        events.flush()

    def _compare(self, options: dict[str, Any]) -> None:
        verdicts: Counter[str] = Counter()
        for verdicts in comparing.compare_waiting(limit=options["limit"]):
            if not options["json"]:
                self.stdout.write(f"{verdicts.total()} compared")
        counts = {verdict.value: verdicts[verdict] for verdict in Verdict}
        if options["json"]:
            self.stdout.write(json.dumps({"compared": verdicts.total(), "verdicts": counts}))
            return
        if not verdicts:
            self.stdout.write("No decision waits for comparison.")
        for verdict, count in counts.items():
            if count:
                self.stdout.write(f"  {count:6} {verdict}")

    def _status(self, options: dict[str, Any]) -> None:
        current = flags.read()
        settings = conf.settings()
        problems = flags.wrong_variables()
        if current.contradict:
            problems.append(f"{current.v3.switch} and {current.shadow.switch} are both on; shadow wins.")
        if options["json"]:
            values = {
                flag.switch: {"value": flag.value, "source": flag.source, "raw": flag.raw, "variable": flag.variable}
                for flag in (current.v3, current.shadow)
            }
            self.stdout.write(
                json.dumps(
                    {
                        "environment": settings.ENVIRONMENT,
                        "mode": current.mode,
                        "killed": current.killed,
                        "flags": values,
                        "max_parallel": assignments_conf.settings().MAX_PARALLEL,
                        "legacy": settings.LEGACY_PLANNER,
                        "problems": problems,
                    }
                )
            )
            return
        self.stdout.write(f"Environment     {settings.ENVIRONMENT}")
        self.stdout.write(f"Mode            {current.mode}{' (killed)' if current.killed else ''}")
        for flag in (current.v3, current.shadow):
            value = "on" if flag.value else "off"
            where = (
                f"{flag.source} {flag.variable}={flag.raw}" if flag.source is flags.Source.ENVIRONMENT else flag.source
            )
            self.stdout.write(f"  {flag.switch:30} {value:4} by {where}")
        self.stdout.write(f"Max parallel    {assignments_conf.settings().MAX_PARALLEL}")
        self.stdout.write(f"Legacy planner  {settings.LEGACY_PLANNER or 'not installed'}")
        for problem in problems:
            self.stdout.write(self.style.ERROR(f"Problem: {problem}"))
