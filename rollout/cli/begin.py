"""``manage.py rollout begin``."""

from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = "Begin the ladder at the stage that matches the current flags. Nothing else changes."
    asks_reason = True

    def run(self, options: dict[str, Any]) -> None:
        self.steer(steering.begin, options)
