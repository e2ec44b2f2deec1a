"""``manage.py rollout hold``."""

from argparse import ArgumentParser
from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = "Nobody may promote, not even with --override, until 'rollout release'."

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        base.add_reason(parser)

    def run(self, options: dict[str, Any]) -> None:
        self.print_position(steering.hold(actor=base.actor(), reason=options["reason"]), options)
