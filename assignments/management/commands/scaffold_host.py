"""``manage.py scaffold_host``: a first host class from the project's models."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.core.management.base import BaseCommand, CommandError

from assignments import conf
from assignments.maintenance.scaffold import NothingFoundError, Scaffold, scaffold
from assignments.management.base import EXIT_USAGE


class Command(BaseCommand):
    help = (
        "Write a host class from the models of an app, with a comment on every guess. It prints the class; with --write it "
        "creates host.py in the app's folder, and never overwrites one. Needs no database. Exit codes: 0 done; 2 bad usage, "
        "no fitting models, or the file exists."
    )
    requires_system_checks = ()
    """Before there is a host, the checks have nothing else to say."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("app", help="Label of the app with the project's bookings.")
        parser.add_argument("--booking-model", metavar="MODEL", help="The bookings' model, if the guess is wrong.")
        parser.add_argument(
            "--table-model",
            metavar="MODEL",
            help="The tables' model, if the guess is wrong; of another app: app.Model.",
        )
        parser.add_argument("--write", action="store_true", help="Create host.py in the app's folder.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            app = apps.get_app_config(options["app"])
            made = scaffold(app, booking=options["booking_model"], table=options["table_model"])
            made.class_name = _name_in_settings(app) or made.class_name
        except NothingFoundError as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        except LookupError as error:
            known = ", ".join(sorted(each.label for each in apps.get_app_configs()))
            problem = f"There is no app {options['app']!r}. Installed are: {known}."
            raise CommandError(problem, returncode=EXIT_USAGE) from error
        if not options["write"]:
            self.stdout.write(made.text(), ending="")
            return
        path = Path(app.path) / "host.py"
        _create(path, made)
        self.stdout.write(f"Created {path}. Read its comments.")
        if not _name_in_settings(app):
            self.stdout.write("Put into the settings:")
            self.stdout.write(f'ASSIGNMENTS = {{"HOST": "{app.name}.host.{made.class_name}"}}')
        self.stdout.write("Then run manage.py check, and manage.py inspect_host.")


def _name_in_settings(app: AppConfig) -> str:
    """Return the class that the settings name as the host in this app's host.py; empty if they name none there."""
    module, _point, name = ("" if conf.problems() else conf.settings().HOST).rpartition(".")
    return name if module == f"{app.name}.host" and name.isidentifier() else ""


def _create(path: Path, made: Scaffold) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(made.text())
    except FileExistsError as error:
        problem = f"{path} exists, and is not overwritten. Leave --write out to see what would be written."
        raise CommandError(problem, returncode=EXIT_USAGE) from error
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.", returncode=EXIT_USAGE) from error
