"""``manage.py load_evening FILE``: put an evening into the database."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from assignments.integration import evening_file
from assignments.integration.evening_file import UnusableFileError
from example import evening
from example.stored_floor import Loaded

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
"""Of what spreadsheets save; the last is their "Unicode text"."""


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date; write YYYY-MM-DD") from None


class Command(BaseCommand):
    help = (
        "Load a restaurant with its floor, services and bookings (JSON), or bookings for existing restaurants "
        f"(CSV with the columns {','.join(evening.CSV_COLUMNS)}, separated by commas, semicolons or tabs). The file is "
        "UTF-8 or UTF-16. Bad rows are reported and left out; loading twice changes nothing. Parts of the floor that "
        "the file no longer has are removed and listed. "
        "Exit codes: 0 done; 1 rows were left out; 2 the file cannot be used, nothing was loaded; 75 the database is "
        "unavailable or busy, nothing was loaded."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="The evening file: JSON or CSV.")
        parser.add_argument("--date", type=_date, help="Move the bookings to this day (YYYY-MM-DD).")
        parser.add_argument("--restaurant-name", default="", help="Load it as a restaurant with this name (JSON).")
        parser.add_argument("--strict", action="store_true", help="Refuse the whole file when a row is bad.")
        parser.add_argument("--json", action="store_true", help="Print the counts as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            text = evening_file.read(path)
            parse = evening.parse_csv if path.suffix.lower() in CSV_SUFFIXES else evening.parse_json
            loaded = evening.store(
                parse(text, on=options["date"]), restaurant_name=options["restaurant_name"], strict=options["strict"]
            )
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=2) from error
        except UnusableFileError as error:
            raise CommandError(f"{path} cannot be used. {error}", returncode=2) from error
        except OperationalError as error:
            raise CommandError(f"The database is unavailable or busy: {error}", returncode=75) from error
        if options["json"]:
            self.stdout.write(json.dumps(loaded.as_dict()))
        else:
            self._print(loaded)
        for row in loaded.bad_rows:
            self.stderr.write(f"skipped: {row}")
        if loaded.bad_rows:
            raise CommandError(f"{len(loaded.bad_rows)} rows of {path} were left out.", returncode=1)

    def _print(self, loaded: Loaded) -> None:
        for kind, counts in loaded.counts.items():
            self.stdout.write(f"{kind}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
        if not loaded.counts and not loaded.bad_rows:
            self.stdout.write("There is nothing in it to load.")
        for kind, names in loaded.removed.items():
            self.stdout.write(f"removed {kind}: {', '.join(names)}")
        for note in loaded.notes:
            self.stdout.write(note)
