"""``manage.py rollout pause``."""

from argparse import ArgumentParser
from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = "Block promotion, also with --override, until 'rollout resume'."

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        base.add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        self.print_position(steering.pause(actor=base.actor(), reason=options["reason"]), options)
