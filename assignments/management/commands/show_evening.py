"""``manage.py show_evening``: one evening of a restaurant in the terminal, by time and by table."""

import json
import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assignments.concurrency.transactions import database_now
from assignments.management import arguments
from assignments.management.base import EXIT_USAGE, DatabaseCommand, restaurant_meant
from assignments.staff import evening
from assignments.staff.evening import Closed, Evening, Seated, UnknownRestaurantError

WIDTH = 110
"""Columns where the output is no terminal, unless COLUMNS says otherwise."""
NOWHERE = "-"


class Command(DatabaseCommand):
    help = (
        "Show one evening of a restaurant: who sits where and when, the guests' stage, what is closed, who waits, "
        "and what would help them. Bookings are named by their refs, never their guests. It writes nothing. Exit codes: 0 "
        "done; 2 bad usage, an unknown restaurant, or migrations are missing; 75 the database is unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("restaurant", type=arguments.restaurant_ref, help=arguments.RESTAURANT)
        parser.add_argument(
            "--date", type=_day, metavar="YYYY-MM-DD", help="The evening to show (default: today, restaurant time)."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            shown = evening.evening(restaurant_meant(options["restaurant"]), options["date"], now=database_now())
        except UnknownRestaurantError as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(shown)))
            return
        width = None if self.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH
        console = Console(file=self.stdout, width=width, highlight=False)  # type: ignore[arg-type]
        self._print(console, shown)

    def _print(self, console: Console, shown: Evening) -> None:
        console.print(
            f"[bold]Restaurant {escape(shown.restaurant_ref)}, {shown.day:%A %Y-%m-%d}[/bold] ({shown.zone}; local time "
            f"{shown.now.astimezone(shown.zone):%Y-%m-%d %H:%M})"
        )
        if shown.problem:
            console.print(escape(str(shown.problem)))
        if shown.is_empty:
            console.print("No bookings, nobody waiting, no closures.")
            return
        stages = ", ".join(f"{count} {_words(stage)}" for stage, count in shown.stages.items())
        console.print(
            f"Bookings with tables: {len(shown.seated)}{f' ({stages})' if stages else ''}. Waiting: {len(shown.waiting)}."
        )
        if shown.seated:
            console.print(_by_time(shown))
            console.print(_by_table(shown))
        if shown.waiting:
            console.print(_waiting(shown))
        for closure in shown.closures:
            console.print(escape(_closed(shown, closure)))


def _by_time(shown: Evening) -> Table:
    table = _table("By time", "From", "Until", "Party", "Tables", "Booking", "Stage", "To know")
    for each in shown.seated:
        table.add_row(
            _clock(shown, each.starts_at),
            _clock(shown, each.ends_at),
            str(each.party),
            escape(_names(shown, each.table_refs)),
            escape(each.booking_ref),
            _words(each.stage),
            escape(" ".join(_to_know(shown, each))),
        )
    return table


def _to_know(shown: Evening, each: Seated) -> Iterator[str]:
    if each.overstays:
        yield "Overstays."
    if each.before:
        yield f"Was at {_names(shown, each.before)}."
    if each.trouble:
        yield f"For staff ({_words(each.trouble)}): {each.says}"


def _by_table(shown: Evening) -> Table:
    table = _table("By table", "Table", "Seats", "Who")
    for known, ref, seated, closures in shown.by_table():
        who = [
            f"{_clock(shown, each.starts_at)}-{_clock(shown, each.ends_at)} {each.booking_ref} ({each.party}, "
            f"{_words(each.stage)})"
            for each in seated
        ]
        who += [
            f"closed {_clock(shown, each.starts_at)}-{_clock(shown, each.ends_at) if each.ends_at else ''}"
            for each in closures
        ]
        out = "" if known is None or known.active else "out of service"
        table.add_row(
            escape(known.name if known else ref),
            str(known.seats) if known else "?",
            escape("; ".join([*([out] if out else []), *who]) or NOWHERE),
        )
    return table


def _waiting(shown: Evening) -> Table:
    table = _table("Waiting, in the order in which they asked", "At", "Party", "Booking", "Why", "What would help")
    for each in shown.waiting:
        table.add_row(
            _clock(shown, each.starts_at),
            str(each.party),
            escape(each.booking_ref),
            escape(each.says or _words(each.state)),
            escape(each.helps or NOWHERE),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in {"Party", "Seats"} else "left", overflow="fold")
    return table


def _closed(shown: Evening, closure: Closed) -> str:
    what = f"Closed: {_names(shown, closure.table_refs)}" if closure.table_refs else "The whole restaurant is closed"
    end = f"until {_clock(shown, closure.ends_at)}" if closure.ends_at else "until further notice"
    reason = f": {closure.reason}" if closure.reason else ""
    return f"{what}, from {_clock(shown, closure.starts_at)} {end}{reason} (closure {closure.pk})"


def _clock(shown: Evening, moment: datetime) -> str:
    """Return a time by the restaurant's clock, with its date if that is not the evening's or the night after it."""
    local = moment.astimezone(shown.zone)
    return f"{local:%H:%M}" if 0 <= (local.date() - shown.day).days <= 1 else f"{local:%Y-%m-%d %H:%M}"


def _names(shown: Evening, table_refs: tuple[str, ...]) -> str:
    return " + ".join(shown.name(ref) for ref in table_refs)


def _words(code: str) -> str:
    return code.replace("_", " ")


def _as_json(shown: Evening) -> dict[str, Any]:
    def said(moment: datetime | None) -> str | None:
        return moment.astimezone(shown.zone).isoformat() if moment else None

    return {
        "restaurant_ref": shown.restaurant_ref,
        "date": shown.day.isoformat(),
        "timezone": str(shown.zone),
        "now": said(shown.now),
        "problem": str(shown.problem),
        "stages": shown.stages,
        "seated": [
            {
                "booking_ref": each.booking_ref,
                "party": each.party,
                "starts_at": said(each.starts_at),
                "ends_at": said(each.ends_at),
                "table_refs": each.table_refs,
                "tables": [shown.name(ref) for ref in each.table_refs],
                "stage": each.stage,
                "before": [shown.name(ref) for ref in each.before],
                "overstays": each.overstays,
                "trouble": each.trouble,
                "says": each.says,
            }
            for each in shown.seated
        ],
        "tables": [
            {
                "table_ref": ref,
                "name": known.name if known else ref,
                "seats": known.seats if known else None,
                "bookings": [each.booking_ref for each in seated],
                "closures": [each.pk for each in closures],
            }
            for known, ref, seated, closures in shown.by_table()
        ],
        "waiting": [
            {
                "booking_ref": each.booking_ref,
                "party": each.party,
                "starts_at": said(each.starts_at),
                "requested_at": said(each.requested_at),
                "state": each.state,
                "stage": each.stage,
                "why": each.why,
                "says": each.says,
                "helps": each.helps,
            }
            for each in shown.waiting
        ],
        "closures": [
            {
                "id": each.pk,
                "table_refs": each.table_refs,
                "starts_at": said(each.starts_at),
                "ends_at": said(each.ends_at),
                "reason": each.reason,
            }
            for each in shown.closures
        ],
    }


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a date, YYYY-MM-DD, not {text!r}") from None
