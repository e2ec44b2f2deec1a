"""``manage.py rollout``: look at the rollout, and steer it. What each action does is in ``rollout.actions``."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from rollout.actions import base, compare, status, switch

ACTIONS: dict[str, type[base.Action]] = {
    "status": status.Action,
    "set": switch.Action,
    "compare": compare.Action,
}


class Command(BaseCommand):
    help = (
        "Which planner decides, and why. Exit codes: 0 done; 1 refused; 2 bad usage or configuration; "
        "3 the guard rolled back; 75 the database is away."
    )
    # A wrong variable must not keep anybody from seeing the status that names it.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        for name, action in ACTIONS.items():
            its_parser = actions.add_parser(name, help=action.help, description=action.help)
            action.add_arguments(its_parser)
            its_parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ACTIONS[options["action"]](self.stdout, self.stderr, self.style).run(options)
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=base.EXIT_USAGE) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database is away: {error}", returncode=base.EXIT_DATABASE_AWAY) from error
