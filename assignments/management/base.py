"""Base class of this app's commands."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError

from assignments.checks import UNDEFINED_TABLE
from assignments.concurrency.transactions import is_database_away, sqlstate
from assignments.management.output import Output
from assignments.staff import restaurants

EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_DATABASE_AWAY = 75
"""EX_TEMPFAIL of sysexits.h: try again later."""

UNDEFINED_COLUMN = "42703"
UNDEFINED_FUNCTION = "42883"


class DatabaseCommand(BaseCommand):
    """A command that needs the database.

    Exits with 2 if migrations are missing, with 75 if the database is unavailable, and with 1 after all the work if its
    output could not be written.
    """

    stdout: Output
    stderr: Output

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stdout = Output.instead_of(self.stdout)
        self.stderr = Output.instead_of(self.stderr)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.parse_args = partial(_parse_args, parser.parse_args, parser)  # type: ignore[method-assign]
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        said = self.stdout
        try:
            result = self._execute(*args, **options)
        finally:
            said.end()
        if said.error is not None:
            problem = f"The output could not be written: {said.error.strerror}."
            raise CommandError(problem, returncode=EXIT_UNEXPECTED) from said.error
        return result

    def _execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except ProgrammingError as error:
            if sqlstate(error) not in {UNDEFINED_TABLE, UNDEFINED_COLUMN, UNDEFINED_FUNCTION}:
                raise
            missing = error.__cause__.diag.message_primary  # type: ignore[union-attr]
            problem = f"The database is not up to date ({missing}): run `manage.py migrate` first."
            raise CommandError(problem, returncode=EXIT_USAGE) from error
        except (OperationalError, InterfaceError) as error:
            if not is_database_away(error):
                # The type only: a message from the host's database may contain a guest's name.
                raise CommandError(f"Unexpected {type(error).__name__}.", returncode=EXIT_UNEXPECTED) from error
            raise CommandError(f"The database is unavailable: {error}", returncode=EXIT_DATABASE_AWAY) from error


def restaurant_meant(text: str) -> str:
    """Return the ref of the restaurant that an argument means; empty and unknown texts are returned unchanged.

    Raises CommandError if several may be meant.
    """
    try:
        return restaurants.ref_of(text) if text else text
    except restaurants.AmbiguousRestaurantError as error:
        raise CommandError(str(error), returncode=EXIT_USAGE) from error


def _parse_args(parse: Any, parser: CommandParser, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
    """Parse, but refuse ``--option=--``: before Python 3.13 its value would be an empty list."""
    for given in args or ():
        name, equals, value = str(given).partition("=")
        if name.startswith("--") and equals and value == "--":
            parser.error(f"argument {name}: -- is no value")
    return parse(args, namespace)
