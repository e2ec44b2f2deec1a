"""``manage.py rollout pause``."""

from typing import Any

from rollout.cli import base
from rollout.control import steering


class Action(base.Action):
    help = "Block promotion, also with --override, until 'rollout resume'."
    asks_reason = True

    def run(self, options: dict[str, Any]) -> None:
        self.steer(steering.pause, options)
