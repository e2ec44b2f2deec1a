"""``manage.py rollout``: look at the rollout, and steer it."""

import getpass
import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from assignments import conf as assignments_conf
from assignments import events
from rollout import conf, flags, switches

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_DATABASE_AWAY = 75


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
        change = actions.add_parser("set", help="Turn a switch on or off.")
        change.add_argument("switch", choices=sorted(switches.SWITCHES))
        change.add_argument("value", choices=["on", "off"])
        change.add_argument("--reason", required=True, help="Why; kept with the switch and in the events.")
        change.add_argument("--json", action="store_true", help="Print the new status as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
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
