"""``manage.py rollout promote``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = (
        "Go to the next stage, if all gates pass and the rollout is not paused, cooling down or in a change freeze. "
        "Otherwise list what blocks the promotion, and exit with 1. 'rollout plan' shows this beforehand."
    )
    asks_reason = True

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from",
            dest="from_stage",
            default="",
            help="Refuse unless this is the current stage. Required with --override.",
        )
        parser.add_argument(
            "--override",
            action="store_true",
            help="Promote although gates do not pass, or in a change freeze or cool-down. Stored "
            "permanently in the audit log. Does not lift a pause.",
        )

    def run(self, options: dict[str, Any]) -> None:
        if options["override"] and not options["from_stage"]:
            # A rollback may have come in between, so an override must name the stage from which it promotes.
            raise CommandError("--override requires --from, the stage that you have seen.", returncode=base.EXIT_USAGE)
        position = steering.current()
        if position is None:
            raise steering.NotBegunError
        from_stage = options["from_stage"] or position.stage
        self.steer(steering.promote, options, from_stage=from_stage, override=options["override"])
