"""``manage.py rollout same-release``."""

from argparse import ArgumentParser
from typing import Any

from rollout.cli import base
from rollout.control import releases


class Action(base.Action):
    help = (
        "Record that the running release decides like another one, so that the other's evidence counts for it too. Use it "
        "only for a change that cannot alter decisions. Run it before you restart workers: then the time in stage continues."
    )
    asks_reason = True

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="as_release", required=True, metavar="OLD", help="The release with evidence."
        )

    def run(self, options: dict[str, Any]) -> None:
        self.steer(releases.same, options, as_release=options["as_release"])
