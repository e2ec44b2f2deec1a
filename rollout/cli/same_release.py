"""``manage.py rollout same-release``."""

from argparse import ArgumentParser
from typing import Any

from rollout.cli import base
from rollout.control import releases


class Action(base.Action):
    help = (
        "Declare, on record, that the running release decides like another one: the evidence of that one counts for it too. "
        "Only for a change that cannot alter decisions. Run it before workers are restarted, and the time in stage goes on."
    )
    asks_reason = True

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="as_release", required=True, metavar="OLD", help="The release with evidence."
        )

    def run(self, options: dict[str, Any]) -> None:
        self.steer(releases.same, options, as_release=options["as_release"])
