"""``manage.py rollout force``."""

from argparse import ArgumentParser
from typing import Any

from assignments.management import arguments
from rollout.cli import base
from rollout.control import steering
from rollout.models import ForcedPlanner

NONE = "none"


class Action(base.Action):
    help = "Force one planner for a restaurant at stages where V3 decides, regardless of the percentage, or stop forcing it."
    asks_reason = True

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("restaurant", help=arguments.RESTAURANT)
        parser.add_argument(
            "--planner",
            required=True,
            choices=[*ForcedPlanner.PlannerChoice.values, NONE],
            help=f"The planner to force; {NONE}: no longer force one.",
        )

    def run(self, options: dict[str, Any]) -> None:
        ref, planner, reason = base.restaurant_meant(options["restaurant"]), options["planner"], options["reason"]
        if planner == NONE:
            steering.unforce_planner(restaurant_ref=ref, actor=base.actor(), reason=reason)
        else:
            steering.force_planner(
                restaurant_ref=ref, planner=ForcedPlanner.PlannerChoice(planner), actor=base.actor(), reason=reason
            )
        if options["json"]:
            self.print_json({"restaurant": ref, "planner": None if planner == NONE else planner})
        else:
            self.stdout.write(
                f"Restaurant {ref} is {'not forced to a planner' if planner == NONE else f'forced to {planner}'}."
            )
