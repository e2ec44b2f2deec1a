"""``manage.py rollout resume``."""

from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = "End a pause."
    asks_reason = True

    def run(self, options: dict[str, Any]) -> None:
        self.steer(steering.resume, options)
