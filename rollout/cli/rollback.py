"""``manage.py rollout rollback``."""

from argparse import ArgumentParser
from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = (
        "Roll back immediately; always allowed. Goes to the nearest lower stage in which V3 decides for nobody, or to a "
        "named lower one. The next pass hands V3's unfinished bookings to the legacy planner."
    )
    asks_reason = True

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--to", default="", metavar="STAGE", help="A lower stage (default: the previous safe one).")

    def run(self, options: dict[str, Any]) -> None:
        self.steer(steering.roll_back, options, to=options["to"], seen=steering.current())
