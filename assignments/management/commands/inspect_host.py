"""``manage.py inspect_host``: what the host class makes of the project's real rows, before the first booking."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, SystemCheckError

from assignments.maintenance import inspection, trial
from assignments.maintenance.inspection import MOST_ODD, Inspection, Planned, RestaurantFound
from assignments.maintenance.trial import Trial
from assignments.management import arguments
from assignments.management.base import EXIT_UNEXPECTED, DatabaseCommand, restaurant_meant

TRIED = (
    "Now the host's callbacks on_confirmed, on_moved, on_released and on_review are called for these bookings, in a "
    "transaction that is rolled back. What they do outside the database (mails, requests, tasks that do not wait for "
    "the commit) happens all the same."
)


class Command(DatabaseCommand):
    help = (
        "Read the project's bookings and floors through the host class, report what was found, and plan the next ten "
        "bookings. It writes nothing and calls no callback; with --try-writes it also calls the callbacks, in a transaction "
        "that is rolled back. Exit codes: 0 fine; 1 problems were found; 2 bad usage, or migrations are missing; 75 the "
        "database is unavailable."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--restaurant", type=arguments.restaurant_ref, help=f"Only this restaurant. {arguments.RESTAURANT}"
        )
        parser.add_argument("--try-writes", action="store_true", help="Also call the host's callbacks, and roll back.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.check()  # Not those that query: what they find is found here, and the rows are named.
        except (SystemCheckError, ImproperlyConfigured) as error:
            raise CommandError(str(error), returncode=EXIT_UNEXPECTED) from error
        found = inspection.inspect(restaurant_ref=restaurant_meant(options["restaurant"]))
        tried = None
        if not options["json"]:
            self.stdout.write("\n".join(_lines(found)))
        if options["try_writes"]:
            # Said first, so that nobody is surprised; not among the JSON.
            (self.stderr if options["json"] else self.stdout).write(f"\n{TRIED}")
            self.stdout.flush()
            tried = trial.try_writes(found.planned)
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(found, tried)))
        elif tried is not None:
            self.stdout.write("\n".join(_tried(tried)))
        if found.has_problems or (tried is not None and tried.problems):
            raise CommandError("Problems were found.", returncode=EXIT_UNEXPECTED)


def _lines(found: Inspection) -> Iterator[str]:
    yield f"Host: {found.host}"
    yield from (f"  {name} = {value}" for name, value in found.fields.items())
    read = sum(found.bookings.values())
    of = f", the newest of {found.total}" if found.total is not None and found.total > read else ""
    counts = ", ".join(f"{count} {word}" for word, count in sorted(found.bookings.items()))
    yield f"Bookings: {read}{of}{f' ({counts})' if counts else ''}"
    yield from (f"  Problem: {each}" for each in found.odd[:MOST_ODD])
    if len(found.odd) > MOST_ODD:
        yield f"  Problem: and {len(found.odd) - MOST_ODD} more."
    for restaurant in found.restaurants:
        yield from _restaurant(restaurant)
    yield f"Next bookings that wait: {len(found.planned)}"
    yield from (_planned(each) for each in found.planned)
    yield from (f"Problem: {each}" for each in found.problems)


def _restaurant(found: RestaurantFound) -> Iterator[str]:
    name = f" ({found.name})" if found.name else ""
    out = f", {found.out_of_service} out of service" if found.out_of_service else ""
    yield (
        f"Restaurant {found.ref}{name}: {found.tables} tables with {found.seats} seats, the largest with {found.largest}"
        f"{out}; {found.timezone or 'no time zone'}"
    )
    if found.has_own_hours:
        yield f"  Services: {', '.join(found.services) or 'none'}"
    elif found.timezone:
        yield "  Services: none entered, so it counts as open all day. Enter them in the admin under Table assignments."
    yield from (f"  Problem: {each}" for each in found.problems)


def _planned(each: Planned) -> str:
    booking = each.booking
    by = f" {each.planner}:" if each.planner else ""
    problem = " Problem:" if each.is_problem else ""
    at = f"{booking.starts_at:%Y-%m-%d %H:%M %Z}, party of {booking.party}, restaurant {booking.restaurant_ref}"
    return f"  Booking {booking.ref} ({at}):{problem}{by} {each.says}"


def _tried(tried: Trial) -> Iterator[str]:
    if not tried.tried:
        yield "None of them would get a table, so no callback was called."
    elif not tried.problems:
        yield f"Tried for {len(tried.tried)} bookings, without a problem. Everything was rolled back."
    else:
        yield f"Tried for {len(tried.tried)} bookings. Everything was rolled back."
    yield from (f"  Problem: {each}" for each in tried.problems)


def _as_json(found: Inspection, tried: Trial | None) -> dict[str, Any]:
    return {
        "host": found.host,
        "fields": found.fields,
        "total": found.total,
        "bookings": dict(found.bookings),
        "odd": found.odd,
        "restaurants": [vars(each) for each in found.restaurants],
        "planned": [
            {
                "booking": each.booking.ref,
                "restaurant": each.booking.restaurant_ref,
                "starts_at": each.booking.starts_at.isoformat(),
                "party": each.booking.party,
                "planner": each.planner,
                "tables": list(each.decision.best.table_refs) if each.decision and each.decision.best else [],
                "says": each.says,
                "is_problem": each.is_problem,
            }
            for each in found.planned
        ],
        "problems": found.problems,
        "tried": None if tried is None else {"bookings": tried.tried, "problems": tried.problems},
    }
