"""``manage.py rollout rollback``."""

from argparse import ArgumentParser
from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = (
        "Go back, at once and always allowed: to the nearest stage below in which V3 decides for nobody, or to a named "
        "lower one. What V3 has begun and not finished is handed to the legacy planner by the next pass."
    )
    asks_reason = True

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--to", default="", metavar="STAGE", help="A lower stage (default: the previous safe one).")

    def run(self, options: dict[str, Any]) -> None:
        self.steer(steering.roll_back, options, to=options["to"])
