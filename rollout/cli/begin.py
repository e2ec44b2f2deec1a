"""``manage.py rollout begin``."""

from argparse import ArgumentParser
from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = "Begin the ladder at the stage that matches the current flags. Nothing else changes."

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        base.add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        self.print_position(steering.begin(actor=base.actor(), reason=options["reason"]), options)
