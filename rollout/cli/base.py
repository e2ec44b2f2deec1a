"""Common base of all actions of ``manage.py rollout``."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import date
from typing import Any, ClassVar

from django.core.management.base import OutputWrapper
from django.core.management.color import Style
from django.core.serializers.json import DjangoJSONEncoder

from assignments.integration.written_time import YEARS
from assignments.management import arguments, base
from assignments.telemetry import events
from rollout.models import Position

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_BREACH = 3
EXIT_DATABASE_AWAY = 75


class Action:
    """One action. ``run`` prints, and raises CommandError with an exit code when refused."""

    help: ClassVar[str]
    asks_reason: ClassVar[bool] = False
    """Whether it takes ``--reason``, as whatever changes something does."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper, style: Style) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.style = style

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        """Add the action's arguments. Every action already has ``--json``."""

    def run(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def print_json(self, value: Any) -> None:
        """Print one JSON object on one line; times in ISO 8601."""
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder))

    def steer(self, change: Callable[..., Position], options: dict[str, Any], **how: Any) -> None:
        """Change the rollout in this user's name, for the given reason, and print the new position."""
        self.print_position(change(actor=actor(), reason=options["reason"], **how), options)

    def print_position(self, position: Position, options: dict[str, Any]) -> None:
        """Print the position after a change, once its events are stored."""
        events.flush()
        if options["json"]:
            self.print_json(position_as_dict(position))
            return
        paused = ", paused" if position.paused else ""
        self.stdout.write(
            f"Environment {position.environment} is at stage {position.stage}, since {position.since:%Y-%m-%d %H:%M} UTC. "
            f"V3 decides for {position.percent} % of restaurants{paused}."
        )


def actor() -> str:
    """Return who runs this command, for the audit log: ``command:<login>``."""
    return arguments.login()


def restaurant_meant(text: str) -> str:
    """Return the ref of the restaurant that an argument means; empty and unknown texts are returned unchanged."""
    return base.restaurant_meant(text)


def of_others(comparisons: int) -> str:
    """Say how many comparisons do not count."""
    if not comparisons:
        return "no comparisons belong to other releases"
    return f"comparisons that belong to other releases and do not count: {comparisons}"


def position_as_dict(position: Position) -> dict[str, Any]:
    names = ("environment", "stage", "percent", "since", "paused", "cool_down_until", "release")
    return {name: getattr(position, name) for name in names}


def local_date(text: str) -> date:
    """Parse a date in a year that a booking may have, for argparse."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD") from None
    if day.year not in YEARS:
        raise ArgumentTypeError(f"must be in the years {YEARS[0]} to {YEARS[-1]}, not {text}")
    return day
