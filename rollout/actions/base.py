"""What all actions of ``manage.py rollout`` have in common."""

import getpass
import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, ClassVar

from django.core.management.base import OutputWrapper
from django.core.management.color import Style
from django.core.serializers.json import DjangoJSONEncoder

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_BREACH = 3
EXIT_DATABASE_AWAY = 75


class Action:
    """One action. ``run`` prints, and raises CommandError with an exit code for whatever was refused."""

    help: ClassVar[str]

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper, style: Style) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.style = style

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        """Its arguments. Every action has ``--json`` already."""

    def run(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def print_json(self, value: Any) -> None:
        """One JSON object on one line; moments in ISO 8601."""
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder))


def actor() -> str:
    """Who runs this command, for the record: ``command:<login>``."""
    return f"command:{getpass.getuser()}"


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)
