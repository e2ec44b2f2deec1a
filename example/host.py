"""The booking project's host, its interface for the assignments app."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from assignments.floor import EVERY_WEEKDAY, Floor, Join, ServicePeriod, Table, TurnTime, adjacency
from assignments.host import ModelHost
from example import models


class ExampleHost(ModelHost):
    booking_model = "example.Booking"
    start_field = "start"
    end_field = "end"
    restaurant_field = "restaurant"
    zone_field = "zone"
    requested_field = "created_at"
    status_field = "status"
    cancelled_statuses = ("cancelled", "no_show")
    told_field = "table_told"
    guest_name_field = "guest_name"
    guest_phone_field = "guest_phone"
    guest_notes_field = "guest_notes"
    guest_reference_field = "reference"
    tables_field = "tables"
    table_model = "example.Table"
    table_name_field = "code"
    table_restaurant_field = "restaurant"

    def floor_querysets(self, restaurant_ref: str) -> Sequence[QuerySet[Any]]:
        key = int(restaurant_ref) if restaurant_ref.isdecimal() else 0
        return [
            models.Restaurant.objects.filter(pk=key),
            models.Zone.objects.filter(restaurant=key),
            models.Table.objects.filter(restaurant=key),
            models.TableAdjacency.objects.filter(first__restaurant=key),
            models.TableJoin.tables.through.objects.filter(table__restaurant=key),
            models.TableJoin.objects.filter(tables__restaurant=key).distinct(),
            models.ServicePeriod.objects.filter(restaurant=key),
            models.TurnTime.objects.filter(service__restaurant=key),
            *self.calendar_querysets(restaurant_ref),
        ]

    def floor(self, restaurant_ref: str) -> Floor:
        """The floor, from this project's own tables, and the app's calendar. At most nine queries.

        Raises LookupError for an unknown restaurant.
        """
        restaurant = models.Restaurant.objects.filter(pk=restaurant_ref).first() if restaurant_ref.isdecimal() else None
        if restaurant is None:
            raise LookupError(f"There is no restaurant {restaurant_ref!r}.")
        services = tuple(
            ServicePeriod(
                key=service.key,
                starts=service.start,
                ends=service.end,
                turn_times=tuple(
                    TurnTime(max_party=turn.max_party, minutes=turn.minutes) for turn in service.turn_times.all()
                ),
                allow_overrun=service.allow_overrun,
                buffer_before_minutes=service.buffer_before_minutes,
                buffer_after_minutes=service.buffer_after_minutes,
                weekdays=frozenset(service.weekdays) or EVERY_WEEKDAY,
                early_minutes=service.early_minutes,
                late_minutes=service.late_minutes,
            )
            for service in restaurant.services.prefetch_related("turn_times")
        )
        pairs = models.TableAdjacency.objects.filter(first__restaurant=restaurant)
        return Floor(
            restaurant_ref=restaurant_ref,
            timezone=restaurant.timezone,
            tables=tuple(
                Table(
                    ref=str(table.pk),
                    name=table.code,
                    seats=table.seats,
                    zone_ref=str(table.zone_id),
                    min_party=table.min_party and min(table.min_party, table.seats),
                    max_party=table.max_party and min(table.max_party, table.seats),
                    active=table.active,
                )
                for table in restaurant.tables.order_by("code")
            ),
            services=services,
            calendar=self.calendar(restaurant_ref, services),
            pacing=self.pacing(restaurant_ref),
            adjacent=adjacency((str(one), str(other)) for one, other in pairs.values_list("first", "second")),
            joins=_joins(restaurant),
            zone_names={str(key): name for key, name in restaurant.zones.values_list("pk", "name")},
        )


def _joins(restaurant: models.Restaurant) -> tuple[Join, ...]:
    rows = models.TableJoin.tables.through.objects.filter(table__restaurant=restaurant).values_list(
        "tablejoin", "tablejoin__seats", "tablejoin__min_party", "tablejoin__max_party", "table"
    )
    tables, limits = defaultdict(set), {}
    for join, seats, min_party, max_party, table in rows:
        tables[join].add(str(table))
        limits[join] = (seats, min_party, max_party)
    return tuple(
        Join(table_refs=frozenset(refs), seats=seats, min_party=min_party, max_party=max_party)
        for join, refs in sorted(tables.items())
        for seats, min_party, max_party in [limits[join]]
    )
