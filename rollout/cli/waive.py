"""``manage.py rollout waive``."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from assignments.concurrency import clock
from assignments.management import arguments
from rollout.cli import base
from rollout.control import steering
from rollout.models import WAIVED_AT_MOST, Waiver


class Action(base.Action):
    help = (
        "Accept a known difference between the planners for some days, or withdraw a waiver; without arguments, list the "
        "waivers. An expired waiver blocks promotion until it is withdrawn or renewed."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--verdict", choices=[str(verdict) for verdict in steering.WAIVABLE], help="The verdict to accept."
        )
        what.add_argument("--withdraw", type=arguments.count, metavar="ID", help="The waiver to withdraw.")
        parser.add_argument("--restaurant", default="", help=f"{arguments.RESTAURANT} Default: all restaurants.")
        parser.add_argument("--refusal", default="", help="The reason code of the refusing planner (default: any).")
        parser.add_argument(
            "--at-most",
            type=arguments.count,
            default=WAIVED_AT_MOST,
            help=f"How many comparisons it covers; further ones count (default: {WAIVED_AT_MOST}).",
        )
        parser.add_argument("--owner", default="", help="Who is responsible for it: a team or a user id.")
        parser.add_argument("--days", type=arguments.count, default=14, help="Days until it expires (default: 14).")
        parser.add_argument("--reason", default="", help="Why. Required for a change.")

    def run(self, options: dict[str, Any]) -> None:
        if options["verdict"]:
            steering.waive(
                verdict=options["verdict"],
                owner=options["owner"],
                expires_at=clock.now() + timedelta(days=options["days"]),
                restaurant_ref=base.restaurant_meant(options["restaurant"]),
                refusal=options["refusal"],
                at_most=options["at_most"],
                actor=base.actor(),
                reason=options["reason"],
            )
        elif options["withdraw"]:
            steering.withdraw(waiver_id=options["withdraw"], actor=base.actor(), reason=options["reason"])
        elif options["reason"]:
            raise CommandError("--reason needs --verdict or --withdraw.", returncode=base.EXIT_USAGE)
        self._list(options)

    def _list(self, options: dict[str, Any]) -> None:
        now = clock.now()
        known = Waiver.objects.filter(withdrawn_at__isnull=True)
        if options["json"]:
            fields = ("id", "verdict", "restaurant_ref", "refusal", "at_most", "owner", "reason", "expires_at")
            rows = [{**row, "expired": row["expires_at"] <= now} for row in known.values(*fields)]
            self.print_json({"waivers": rows})
            return
        for each in known:
            until = f"{each.expires_at:%Y-%m-%d %H:%M} UTC"
            text = (
                f"{each.pk:4} {each.verdict} {each.refusal or 'any reason'} at {each.restaurant_ref or 'all restaurants'}, "
                f"at most {each.at_most}, "
                f"{each.owner}, {'EXPIRED' if each.expires_at <= now else 'until'} {until}: {each.reason}"
            )
            self.stdout.write(self.style.ERROR(text) if each.expires_at <= now else text)
        if not known:
            self.stdout.write("There are no waivers.")
