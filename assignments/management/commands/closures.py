"""``manage.py closures``: list, add, edit and lift closures."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.core.management.base import CommandError

from assignments import api
from assignments.concurrency import clock
from assignments.exceptions import AssignmentsError
from assignments.integration.floor_cache import floor_or_none
from assignments.management import arguments
from assignments.management.base import EXIT_UNEXPECTED, EXIT_USAGE, DatabaseCommand, restaurant_meant
from assignments.models import Closure
from assignments.planning.seating_window import local_to_aware

TIMES = 'A time is "YYYY-MM-DD HH:MM" by the restaurant\'s clock, or has an offset ("2030-06-01T18:00+02:00").'
FOREVER = "never"


class Command(DatabaseCommand):
    help = (
        "List, add, edit and lift closures: when tables, a zone or a whole restaurant cannot be used. Bookings that lose "
        "their tables get others at once, or go to the review queue. Exit codes: 0 done; 1 refused; 2 bad usage, or "
        "migrations are missing; 75 the database is unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="List current and future closures.")
        listing.add_argument(
            "--restaurant", type=arguments.restaurant_ref, help=f"Only this restaurant. {arguments.RESTAURANT}"
        )
        listing.add_argument("--all", action="store_true", help="Include closures that are over or lifted.")
        listing.add_argument("--json", action="store_true", help="One JSON object per closure, one per line.")
        add = actions.add_parser("add", help="Close tables, a zone, or the whole restaurant if neither is named.")
        add.add_argument("restaurant", type=arguments.restaurant_ref, help=arguments.RESTAURANT)
        self._add_extent(add, required=True)
        self._add_actor(add)
        edit = actions.add_parser("edit", help="Change a closure; options that are not given stay as they are.")
        edit.add_argument("id", type=arguments.count, help="The closure's id, as listed.")
        self._add_extent(edit, required=False)
        edit.add_argument("--whole-restaurant", action="store_true", help="Close every table from now on.")
        self._add_actor(edit)
        lift = actions.add_parser("lift", help="End a closure now. It is kept on record.")
        lift.add_argument("id", type=arguments.count, help="The closure's id, as listed.")
        self._add_actor(lift)

    def _add_actor(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--actor",
            type=arguments.actor,
            help="Who does it, for history, such as staff:7 (default: command: and the login of this user).",
        )

    def _add_extent(self, parser: ArgumentParser, *, required: bool) -> None:
        parser.add_argument(
            "--from", dest="starts_at", required=required, metavar="TIME", help=f"When it begins. {TIMES}"
        )
        parser.add_argument(
            "--until", dest="ends_at", metavar="TIME", help=f'When it ends; "{FOREVER}": until further notice.'
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--table", action="append", metavar="REF", help="A table's ref; may be repeated.")
        what.add_argument("--zone", metavar="REF", help="A zone's ref: all its tables.")
        parser.add_argument("--reason", help="Why, for staff. Do not name a guest.")

    def handle(self, *args: Any, **options: Any) -> None:
        if "actor" in options:
            options["actor"] = options["actor"] or arguments.login()
        if "restaurant" in options:
            options["restaurant"] = restaurant_meant(options["restaurant"])
        try:
            getattr(self, f"_{options['action']}")(options)
        except ValueError as error:
            raise CommandError(str(error), returncode=EXIT_USAGE) from error
        except AssignmentsError as error:
            raise CommandError(str(error), returncode=EXIT_UNEXPECTED) from error

    def _list(self, options: dict[str, Any]) -> None:
        closures = Closure.objects.all()
        if not options["all"]:
            closures = closures.not_lifted().during(clock.now(), datetime.max.replace(tzinfo=UTC))
        if options["restaurant"]:
            closures = closures.filter(restaurant_ref=options["restaurant"])
        count = 0
        for closure in closures.order_by("restaurant_ref", "starts_at", "id"):
            count += 1
            self.stdout.write(json.dumps(_as_json(closure)) if options["json"] else _as_line(closure))
        if not count and not options["json"]:
            self.stdout.write("Nothing is closed.")

    def _add(self, options: dict[str, Any]) -> None:
        zone = _zone_of(options["restaurant"])
        until = options["ends_at"]
        closure_id = api.close(
            restaurant_ref=options["restaurant"],
            table_refs=options["table"] or (),
            zone_ref=options["zone"] or "",
            starts_at=_moment(options["starts_at"], zone),
            ends_at=None if until in {None, FOREVER} else _moment(until, zone),
            reason=options["reason"] or "",
            actor=options["actor"],
        )
        self.stdout.write(_as_line(Closure.objects.get(pk=closure_id)))

    def _edit(self, options: dict[str, Any]) -> None:
        closure = Closure.objects.filter(pk=options["id"]).first()
        zone = _zone_of(closure.restaurant_ref) if closure else UTC
        changes: dict[str, Any] = {}
        if options["starts_at"]:
            changes["starts_at"] = _moment(options["starts_at"], zone)
        if options["ends_at"]:
            changes["ends_at"] = None if options["ends_at"] == FOREVER else _moment(options["ends_at"], zone)
        if options["table"] or options["whole_restaurant"]:
            changes["table_refs"] = () if options["whole_restaurant"] else options["table"]
        elif options["zone"]:
            changes["zone_ref"] = options["zone"]
        if options["reason"] is not None:
            changes["reason"] = options["reason"]
        if not changes:
            raise ValueError("Say what is to change: see --help.")
        api.edit_closure(closure_id=options["id"], actor=options["actor"], **changes)
        self.stdout.write(_as_line(Closure.objects.get(pk=options["id"])))

    def _lift(self, options: dict[str, Any]) -> None:
        api.lift_closure(closure_id=options["id"], actor=options["actor"])
        self.stdout.write(_as_line(Closure.objects.get(pk=options["id"])))


def _zone_of(restaurant_ref: str) -> tzinfo:
    floor = floor_or_none(restaurant_ref)
    return floor.zone if floor else UTC


def _moment(text: str, zone: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time. {TIMES}") from None
    return moment if moment.tzinfo else local_to_aware(moment, zone)  # type: ignore[arg-type]


def _as_json(closure: Closure) -> dict[str, Any]:
    moments = {name: getattr(closure, name) for name in ("starts_at", "ends_at", "created_at", "lifted_at")}
    return {
        "id": closure.pk,
        "restaurant_ref": closure.restaurant_ref,
        "table_refs": closure.table_refs,
        "zone_ref": closure.zone_ref,
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
        "reason": closure.reason,
        "author": closure.author,
        "lifted_by": closure.lifted_by,
        "version": closure.version,
    }


def _as_line(closure: Closure) -> str:
    zone = _zone_of(closure.restaurant_ref)
    start = f"{closure.starts_at.astimezone(zone):%Y-%m-%d %H:%M}"
    end = f"until {closure.ends_at.astimezone(zone):%Y-%m-%d %H:%M}" if closure.ends_at else "until further notice"
    what = "all tables" if closure.is_whole_restaurant else f"{'zone' if closure.zone_ref else 'tables'} {closure.what}"
    reason = f": {closure.reason}" if closure.reason else ""
    lifted = f" (lifted by {closure.lifted_by})" if closure.lifted_at else ""
    return f"{closure.pk}  restaurant {closure.restaurant_ref}, {what}, from {start} {end}{reason}{lifted}"
