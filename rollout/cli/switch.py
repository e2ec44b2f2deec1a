"""``manage.py rollout set``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from assignments.telemetry import events
from rollout.cli import base, status
from rollout.control import switches


class Action(base.Action):
    help = "Turn a switch on or off."

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("switch", choices=sorted(switches.SWITCHES), help="The switch to turn.")
        parser.add_argument("value", choices=["on", "off"], help="On or off.")
        parser.add_argument("--reason", required=True, help="Why. Stored with the switch and in the audit log.")

    def run(self, options: dict[str, Any]) -> None:
        try:
            switches.set_switch(
                switches.SWITCHES[options["switch"]],
                active=options["value"] == "on",
                actor=base.actor(),
                reason=options["reason"],
            )
        except switches.ContradictionError as error:
            raise CommandError(str(error), returncode=base.EXIT_REFUSED) from error
        except ValueError as error:
            raise CommandError(str(error), returncode=base.EXIT_USAGE) from error
        events.flush()
        status.Action(self.stdout, self.stderr, self.style).run(options)
